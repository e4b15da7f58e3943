//! What one worker counts as it goes.
//!
//! Only the worker writes, so plain loads and stores do: no locked instruction, no line shared with another worker.
//!
//! *Invariant:* readers may see a task's numbers a moment apart, never a number that was not written.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::law::Reading;
use crate::os::{Doing, ThreadProbe};

/// Eight buckets for each power of two up to two hours: a percentile is at most 12 % too high.
const BUCKETS: usize = 8 * 41;

/// Counters of one worker, on cache lines of its own (two, because adjacent lines are fetched in pairs).
#[repr(align(128))]
pub(super) struct WorkerStats {
    pub(super) id: u64,
    probe: OnceLock<Arc<dyn ThreadProbe>>,
    count: AtomicU64,
    last_ns: AtomicU64,
    busy_since_ns: AtomicU64,
    busy_ns: AtomicU64,
    sojourn_ns: AtomicU64,
    published_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// Sums over workers.
#[derive(Clone)]
pub(super) struct Totals {
    pub(super) count: u64,
    pub(super) sojourn_ns: u64,
    busy_ns: u64,
    /// Time on a core or waiting for one; `None` once a worker could not tell.
    awake_ns: Option<u64>,
    buckets: Vec<u64>,
}

impl Default for Totals {
    fn default() -> Self {
        Self { count: 0, sojourn_ns: 0, busy_ns: 0, awake_ns: Some(0), buckets: vec![0; BUCKETS] }
    }
}

/// A thread's clock is published this often where others cannot read it.
const PUBLISH_EVERY: u64 = 10_000_000;

impl WorkerStats {
    pub(super) fn new(id: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            id,
            probe: OnceLock::new(),
            count: zero(),
            last_ns: zero(),
            busy_since_ns: zero(),
            busy_ns: zero(),
            sojourn_ns: zero(),
            published_ns: zero(),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    /// Called by the worker itself, once.
    pub(super) fn attach(&self, probe: Arc<dyn ThreadProbe>) {
        self.probe.set(probe).unwrap_or_default();
    }

    pub(super) fn begin(&self, now_ns: u64) {
        self.busy_since_ns.store(now_ns.max(1), Relaxed);
    }

    /// A task that was submitted at `submitted_ns` has ended.
    pub(super) fn end(&self, now_ns: u64, submitted_ns: u64) {
        let add = |counter: &AtomicU64, by: u64| counter.store(counter.load(Relaxed) + by, Relaxed);
        let sojourn = now_ns.saturating_sub(submitted_ns);
        add(&self.busy_ns, now_ns.saturating_sub(self.busy_since_ns.load(Relaxed)));
        add(&self.sojourn_ns, sojourn);
        add(&self.buckets[bucket(sojourn)], 1);
        add(&self.count, 1);
        self.last_ns.store(now_ns, Relaxed);
        self.busy_since_ns.store(0, Relaxed);
        if now_ns >= self.published_ns.load(Relaxed) + PUBLISH_EVERY {
            self.published_ns.store(now_ns, Relaxed);
            if let Some(probe) = self.probe.get() {
                probe.publish();
            }
        }
    }

    /// A task that nobody had to run any more.
    pub(super) fn skip(&self) {
        self.busy_since_ns.store(0, Relaxed);
    }

    pub(super) fn reading(&self, depth: Depth) -> Reading {
        let busy_since_ns = self.busy_since_ns.load(Relaxed);
        let probe = self.probe.get();
        let sampled = depth.doing && busy_since_ns != 0;
        Reading {
            id: self.id,
            count: self.count.load(Relaxed),
            last_ns: self.last_ns.load(Relaxed),
            busy_since_ns,
            busy_ns: self.busy_ns.load(Relaxed),
            usage: if depth.usage { probe.and_then(|probe| probe.usage()) } else { None },
            doing: if sampled { probe.map(|probe| probe.doing()) } else { None }
                .filter(|doing| *doing != Doing::Unknown),
        }
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        totals.count += self.count.load(Relaxed);
        totals.sojourn_ns += self.sojourn_ns.load(Relaxed);
        totals.busy_ns += self.busy_ns.load(Relaxed);
        let usage = self.probe.get().and_then(|probe| probe.usage());
        let awake = usage.map(|usage| usage.cpu_ns + usage.run_delay_ns.unwrap_or(0));
        totals.awake_ns = totals.awake_ns.zip(awake).map(|(sum, awake)| sum + awake);
        for (total, bucket) in totals.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.load(Relaxed);
        }
    }
}

/// How much to ask the system about a worker.
#[derive(Clone, Copy)]
pub(super) struct Depth {
    pub(super) usage: bool,
    pub(super) doing: bool,
}

impl Totals {
    /// Share of the time in completed tasks that was spent asleep; `None` without tasks, or where it is not known.
    pub(super) fn blocking_ratio(&self) -> Option<f64> {
        let awake = self.awake_ns? as f64;
        (self.busy_ns > 0).then(|| (1.0 - awake / self.busy_ns as f64).clamp(0.0, 1.0))
    }

    /// The time that this share of the tasks stayed below, in nanoseconds; `None` without tasks.
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        let wanted = (self.count as f64 * q).max(1.0);
        let mut seen = 0;
        let found = self.buckets.iter().position(|&count| {
            seen += count;
            seen as f64 >= wanted
        });
        found.filter(|_| self.count > 0).map(upper_edge)
    }
}

fn bucket(ns: u64) -> usize {
    if ns < 8 {
        return ns as usize;
    }
    let exponent = 63 - ns.leading_zeros() as usize;
    let eighth = (ns >> (exponent - 3)) as usize & 7;
    ((exponent - 2) * 8 + eighth).min(BUCKETS - 1)
}

fn upper_edge(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (exponent, eighth) = (bucket / 8 + 2, bucket as u64 % 8);
    ((8 + eighth + 1) << (exponent - 3)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_what_falls_into_them() {
        for ns in [0, 1, 7, 8, 9, 100, 12_345, 1_000_000_007, 3_600_000_000_000] {
            let edge = upper_edge(bucket(ns));
            assert!(edge >= ns && edge as f64 <= (ns as f64 * 1.13).max(8.0), "{ns} in ..={edge}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn counts_and_quantiles_add_up() {
        let stats = WorkerStats::new(1);
        for task in 1..=100 {
            stats.begin(task * 1_000);
            stats.end(task * 1_000 + 500, task * 1_000);
        }
        stats.begin(200_000);
        stats.end(300_000, 200_000);
        let mut totals = Totals::default();
        stats.add_to(&mut totals);
        assert_eq!(totals.count, 101);
        assert!(totals.quantile(0.5).expect("tasks") < 600);
        assert!(totals.quantile(1.0).expect("tasks") >= 100_000);
        let reading = stats.reading(Depth { usage: false, doing: false });
        assert_eq!((reading.busy_ns, reading.busy_since_ns), (150_000, 0));
        assert_eq!(Totals::default().quantile(0.5), None);
    }
}
