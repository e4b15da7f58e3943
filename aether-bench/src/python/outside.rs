//! Looks at another process's threads from outside, so that looking never takes its GIL.
//!
//! *Invariant:* read only, and silent where the system does not tell.

use std::collections::BTreeMap;
use std::time::Instant;

/// Run-queue delay and what sleeping threads sleep on, over one measurement.
pub(super) struct Outside {
    pid: u32,
    tids: Vec<u32>,
    delays: BTreeMap<u32, (u64, u64)>,
    on_futex: u64,
    asleep: u64,
    started: Instant,
    last: Instant,
}

impl Outside {
    /// Begins to watch these threads.
    pub(super) fn new(pid: u32, tids: Vec<u32>) -> Self {
        let now = Instant::now();
        let mut outside = Self { pid, tids, delays: BTreeMap::new(), on_futex: 0, asleep: 0, started: now, last: now };
        outside.look();
        outside.on_futex = 0;
        outside.asleep = 0; // So far they slept at the barrier.
        outside
    }

    /// Takes one more look.
    pub(super) fn look(&mut self) {
        for &tid in &self.tids {
            if let Some(delay) = self.run_delay_ns(tid) {
                self.delays.entry(tid).or_insert((delay, delay)).1 = delay;
            }
            match self.sleeping_on_futex(tid) {
                Some(true) => {
                    self.on_futex += 1;
                    self.asleep += 1;
                }
                Some(false) => self.asleep += 1,
                None => {}
            }
        }
        self.last = Instant::now();
    }

    /// (sleeping on a futex, sleeping) of all samples.
    pub(super) fn futex(&self) -> Option<(u64, u64)> {
        (self.asleep > 0).then_some((self.on_futex, self.asleep))
    }

    /// Share of the threads' time spent runnable without a core.
    pub(super) fn run_queue(&self) -> Option<f64> {
        let elapsed = self.last.duration_since(self.started).as_secs_f64();
        if self.delays.len() < self.tids.len() || elapsed <= 0.0 {
            return None;
        }
        let delay: u64 = self.delays.values().map(|(first, last)| last.saturating_sub(*first)).sum();
        Some(crate::num::ns_to_seconds(delay) / (elapsed * self.tids.len() as f64))
    }

    fn read(&self, tid: u32, name: &str) -> Option<Vec<u8>> {
        std::fs::read(format!("/proc/{}/task/{tid}/{name}", self.pid)).ok()
    }

    fn run_delay_ns(&self, tid: u32) -> Option<u64> {
        let text = self.read(tid, "schedstat")?;
        std::str::from_utf8(&text).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// Whether a sleeping thread sleeps on a futex; `None` for one that does not sleep.
    #[cfg(target_os = "linux")]
    fn sleeping_on_futex(&self, tid: u32) -> Option<bool> {
        use crate::os::Doing;
        match crate::os::linux::classify_syscall(&self.read(tid, "syscall")?) {
            Doing::Futex => Some(true),
            Doing::OtherWait => Some(false),
            Doing::Running | Doing::Unknown => None,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn sleeping_on_futex(&self, _tid: u32) -> Option<bool> {
        None
    }
}
