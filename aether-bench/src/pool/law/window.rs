//! From readings of the workers to one window: throughput, shares of time, cores in use.
//!
//! *Invariant:* pure. A window's throughput is the sum over the workers of completions per time between two of *their*
//! completions, unless a worker completed nothing: then completions over the window's length are the fairer guess.

use crate::os::{Doing, ThreadUsage};

/// One worker's counters at one moment. Times are nanoseconds on the pool's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which worker; never used again for another.
    pub id: u64,
    /// Tasks completed.
    pub count: u64,
    /// When the last of them was.
    pub last_ns: u64,
    /// Since when it has been at a task; 0 while it is not.
    pub busy_since_ns: u64,
    /// Time spent in completed tasks.
    pub busy_ns: u64,
    /// CPU time and run-queue delay, if they were asked for.
    pub usage: Option<ThreadUsage>,
    /// What it is doing, if that was asked for.
    pub doing: Option<Doing>,
}

impl Reading {
    fn busy_by(&self, at_ns: u64) -> u64 {
        let current = if self.busy_since_ns == 0 { 0 } else { at_ns.saturating_sub(self.busy_since_ns) };
        self.busy_ns + current
    }
}

/// What the pool looks like at one tick.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Nanoseconds on the pool's clock.
    pub at_ns: u64,
    /// Tasks that no worker has begun.
    pub queued: usize,
    /// Workers at work or on their way.
    pub active: usize,
    /// Cores kept busy by other processes, as far as is known.
    pub foreign_cores: f64,
    /// The workers, by growing id.
    pub readings: Vec<Reading>,
}

impl Snapshot {
    /// Tasks completed so far by the workers that exist.
    pub fn completed(&self) -> u64 {
        self.readings.iter().map(|reading| reading.count).sum()
    }

    fn has_usage(&self) -> bool {
        self.readings.iter().any(|reading| reading.usage.is_some())
    }
}

/// One window's signals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// X: tasks per second.
    pub ops_s: f64,
    /// u: share of the busy time on a core.
    pub cpu: f64,
    /// r: share of the busy time runnable without a core.
    pub run_queue: f64,
    /// f: share of the sleeping samples that slept on a futex.
    pub futex: f64,
    /// Cores that the workers kept busy.
    pub own_cores: f64,
    /// Cores that others kept busy.
    pub foreign_cores: f64,
    /// Whether the CPU signals are known at all.
    pub known: bool,
}

impl Measured {
    /// β′ = 1 − (u + r); 1 where nothing is known, so that ignorance vetoes nothing.
    pub fn blocked(&self) -> f64 {
        if self.known { (1.0 - self.cpu - self.run_queue).clamp(0.0, 1.0) } else { 1.0 }
    }
}

/// A window that has begun.
#[derive(Clone, Debug)]
pub(super) struct Window {
    start: Snapshot,
    ticks: u32,
    full: u32,
    on_futex: u32,
    asleep: u32,
}

impl Window {
    /// Begins with this snapshot, which carries usage if the system tells it.
    pub(super) fn new(start: Snapshot) -> Self {
        Self { start, ticks: 0, full: 0, on_futex: 0, asleep: 0 }
    }

    /// Time since the window began.
    pub(super) fn age_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.start.at_ns)
    }

    /// Tasks completed since it began.
    pub(super) fn completions(&self, now: &Snapshot) -> u64 {
        now.completed().saturating_sub(self.start.completed())
    }

    /// Notes whether the queue had work, and what busy workers that sleep sleep on.
    pub(super) fn tick(&mut self, now: &Snapshot) {
        self.ticks += 1;
        self.full += u32::from(now.queued > 0);
        for reading in now.readings.iter().filter(|reading| reading.busy_since_ns != 0) {
            self.on_futex += u32::from(reading.doing == Some(Doing::Futex));
            self.asleep += u32::from(matches!(reading.doing, Some(Doing::Futex | Doing::OtherWait)));
        }
    }

    /// Whether there was work waiting in at least four ticks of five: otherwise demand was measured, not capacity.
    pub(super) fn saturated(&self) -> bool {
        self.full * 5 >= self.ticks * 4
    }

    /// The signals from the beginning until now.
    pub(super) fn measure(&self, now: &Snapshot) -> Measured {
        let mut sum = Sums::default();
        for end in &now.readings {
            let before = self.start.readings.binary_search_by_key(&end.id, |reading| reading.id);
            let start = before.ok().map(|index| self.start.readings[index]);
            sum.add(start, end, self.start.at_ns, now.at_ns);
        }
        let length = self.age_ns(now.at_ns).max(1) as f64;
        let busy = (sum.busy_ns as f64).max(1.0);
        let plain = sum.count as f64 / length * 1e9;
        let asleep = self.asleep.max(1);
        Measured {
            ops_s: if sum.barren { plain } else { sum.ops_s },
            cpu: (sum.cpu_ns as f64 / busy).min(1.0),
            run_queue: (sum.delay_ns as f64 / busy).min(1.0),
            futex: f64::from(self.on_futex) / f64::from(asleep),
            own_cores: sum.cpu_ns as f64 / length,
            foreign_cores: now.foreign_cores,
            known: now.has_usage() && self.start.has_usage(),
        }
    }
}

#[derive(Default)]
struct Sums {
    ops_s: f64,
    count: u64,
    busy_ns: u64,
    cpu_ns: u64,
    delay_ns: u64,
    /// Some worker was busy all the time and completed nothing.
    barren: bool,
}

impl Sums {
    fn add(&mut self, start: Option<Reading>, end: &Reading, from_ns: u64, to_ns: u64) {
        let fresh =
            Reading { id: end.id, count: 0, last_ns: 0, busy_since_ns: 0, busy_ns: 0, usage: None, doing: None };
        let start = start.unwrap_or(fresh);
        let done = end.count.saturating_sub(start.count);
        let busy = end.busy_by(to_ns).saturating_sub(start.busy_by(from_ns));
        let usage = end.usage.unwrap_or_default();
        let before = start.usage.unwrap_or_default();
        self.count += done;
        self.busy_ns += busy;
        self.cpu_ns += usage.cpu_ns.saturating_sub(before.cpu_ns);
        let delay = |usage: ThreadUsage| usage.run_delay_ns.unwrap_or(0);
        self.delay_ns += delay(usage).saturating_sub(delay(before));
        if done == 0 {
            self.barren |= busy > 0;
            return;
        }
        let base = if start.busy_since_ns == 0 { from_ns } else { start.busy_since_ns };
        let until = if end.busy_since_ns == 0 { to_ns } else { end.last_ns };
        self.ops_s += done as f64 * 1e9 / until.saturating_sub(base).max(1) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn sleeper(id: u64, at: u64, period: u64, phase: u64) -> Reading {
        let count = (at - phase) / period;
        let last = phase + count * period;
        Reading {
            id,
            count,
            last_ns: last,
            busy_since_ns: last,
            busy_ns: count * period,
            usage: Some(ThreadUsage { cpu_ns: count * MS, run_delay_ns: Some(0) }),
            doing: Some(Doing::OtherWait),
        }
    }

    fn snapshot(at: u64, phase: impl Fn(u64) -> u64) -> Snapshot {
        let readings = (0..64).map(|id| sleeper(id, at, 10 * MS, phase(id))).collect();
        Snapshot { at_ns: at, queued: 9, active: 64, foreign_cores: 0.0, readings }
    }

    #[test]
    fn lockstep_does_not_show_in_the_rate() {
        for end in [140, 143, 147, 149] {
            let mut window = Window::new(snapshot(105 * MS, |_| 1));
            let now = snapshot(end * MS, |_| 1);
            window.tick(&now);
            let measured = window.measure(&now);
            assert!((measured.ops_s - 6_400.0).abs() < 1.0, "{end}: {}", measured.ops_s);
            assert!((measured.cpu - 0.1).abs() < 0.03 && measured.futex == 0.0);
            assert!(window.saturated());
        }
    }

    #[test]
    fn a_worker_without_a_completion_falls_back_to_the_plain_rate() {
        let spread = |id: u64| 1 + id * MS / 7;
        let window = Window::new(snapshot(100 * MS, spread));
        let now = snapshot(104 * MS, spread);
        let measured = window.measure(&now);
        assert!((measured.ops_s / 6_400.0 - 1.0).abs() < 0.2, "{}", measured.ops_s);
    }

    #[test]
    fn an_empty_queue_makes_a_window_worthless_and_ignorance_vetoes_nothing() {
        let mut window = Window::new(Snapshot::default());
        window.tick(&Snapshot::default());
        assert!(!window.saturated());
        assert!((window.measure(&Snapshot::default()).blocked() - 1.0).abs() < 1e-9);
    }
}
