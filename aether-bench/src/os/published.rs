//! The portable probe: the thread itself stores its CPU time, others read what it stored.
//!
//! *Invariant:* a reading is at most one task old and never larger than the truth.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Doing, ThreadProbe, ThreadUsage};

pub(super) struct Published {
    cpu_ns: AtomicU64,
    source: fn() -> Option<u64>,
}

impl Published {
    /// A probe that is fed from `source`, which returns the calling thread's CPU time in nanoseconds.
    pub(super) fn new(source: fn() -> Option<u64>) -> Self {
        Self { cpu_ns: AtomicU64::new(source().unwrap_or(0)), source }
    }
}

impl ThreadProbe for Published {
    fn usage(&self) -> Option<ThreadUsage> {
        Some(ThreadUsage { cpu_ns: self.cpu_ns.load(Ordering::Relaxed), run_delay_ns: None })
    }

    fn doing(&self) -> Doing {
        Doing::Unknown
    }

    fn publish(&self) {
        if let Some(now) = (self.source)() {
            self.cpu_ns.store(now, Ordering::Relaxed);
        }
    }
}

/// `thread_info` on macOS, `GetThreadTimes` on Windows.
#[cfg(not(target_os = "linux"))]
pub(super) fn cpu_ns_of_current() -> Option<u64> {
    let time = cpu_time::ThreadTime::try_now().ok()?;
    u64::try_from(time.as_duration().as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_the_thread_last_stored() {
        static CLOCK: AtomicU64 = AtomicU64::new(5);
        let probe = Published::new(|| Some(CLOCK.load(Ordering::Relaxed)));
        CLOCK.store(9, Ordering::Relaxed);
        assert_eq!(probe.usage().map(|usage| usage.cpu_ns), Some(5));
        probe.publish();
        assert_eq!(probe.usage(), Some(ThreadUsage { cpu_ns: 9, run_delay_ns: None }));
        assert_eq!(probe.doing(), Doing::Unknown);
    }
}
