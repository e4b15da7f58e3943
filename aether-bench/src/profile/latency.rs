//! How long tasks take, without keeping them all.
//!
//! *Invariant:* a tail is only claimed where enough tasks were seen: p99 from 1 000 on, p99.9 from 10 000 on.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Nanoseconds in an hour: longer tasks are counted as that long.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Durations in nanoseconds, kept to three significant digits.
#[derive(Clone, Debug)]
pub struct Durations(Histogram<u64>);

impl Default for Durations {
    fn default() -> Self {
        // The bounds are constants that hdrhistogram accepts; an unbounded histogram is the same thing, but resizing.
        Self(Histogram::new_with_bounds(1, LONGEST_NS, 3).unwrap_or_else(|_| unbounded()))
    }
}

fn unbounded() -> Histogram<u64> {
    Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are within hdrhistogram's 0 to 5"))
}

impl Durations {
    /// Counts one duration.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns.max(1));
    }

    /// Counts all of another's durations too.
    pub fn merge(&mut self, other: &Self) {
        // Bounds agree by construction, so nothing can be out of range.
        self.0.add(&other.0).unwrap_or_default();
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Percentiles of what was counted; `None` if nothing was.
    pub fn summary(&self) -> Option<Latency> {
        let at_least = |count: u64, q: f64| (self.len() >= count).then(|| self.0.value_at_quantile(q));
        Some(Latency {
            n: self.len(),
            p50: at_least(1, 0.5)?,
            p99: at_least(1_000, 0.99),
            p999: at_least(10_000, 0.999),
        })
    }
}

/// Percentiles in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the tasks took no longer.
    pub p50: u64,
    /// 99 % of the tasks took no longer; `None` below 1 000 tasks.
    pub p99: Option<u64>,
    /// 99.9 % of the tasks took no longer; `None` below 10 000 tasks.
    pub p999: Option<u64>,
    /// Tasks that were timed.
    pub n: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_needs_enough_tasks() {
        let mut durations = Durations::default();
        assert_eq!(durations.summary(), None);
        (1..=999).for_each(|ns| durations.record(ns));
        assert_eq!(durations.summary().expect("not empty").p99, None);
        durations.record(1_000);
        let summary = durations.summary().expect("not empty");
        assert_eq!((summary.n, summary.p50, summary.p99), (1_000, 500, Some(990)));
        assert_eq!(summary.p999, None);
    }

    #[test]
    fn merging_adds_up_and_extremes_are_clamped() {
        let mut left = Durations::default();
        left.record(0);
        let mut right = Durations::default();
        right.record(u64::MAX);
        left.merge(&right);
        assert_eq!(left.len(), 2);
    }
}
