//! What the pool says about itself.
//!
//! *Invariant:* a number that was not measured is `None`; a pool at rest has a throughput of zero, not the last one.

use std::time::Duration;

use serde::Serialize;

use super::law::{Decision, Reading, Snapshot};

/// A decision and when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// Nanoseconds since the pool began.
    pub at_ns: u64,
    /// What was decided, and why.
    #[serde(flatten)]
    pub decision: Decision,
}

/// A pool at one moment. Rates are over the last half second of work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolMetrics {
    /// β′: share of the workers' busy time spent asleep (waiting for a core is not counted).
    pub blocking_ratio: Option<f64>,
    /// Workers at work.
    pub active: usize,
    /// Threads that exist, parked ones included.
    pub live: usize,
    /// Workers that may be at work at once.
    pub target: usize,
    /// Tasks that no worker has begun.
    pub queued: usize,
    /// Tasks completed since the pool began, panicked ones included.
    pub completed: u64,
    /// Tasks completed a second.
    pub throughput: f64,
    /// Mean time from submission to completion, over all tasks.
    pub latency_avg: Option<Duration>,
    /// The time from submission to completion that 99 % of all tasks stayed below (12 % too high at most).
    pub latency_p99: Option<Duration>,
    /// CPU time of the workers, in per cent of one core.
    pub cpu_percent: Option<f64>,
    /// The last decisions, oldest first.
    pub decisions: Vec<Logged>,
}

/// Rates between two snapshots that carry usage.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    before: Option<Snapshot>,
    pub(super) throughput: f64,
    pub(super) blocking_ratio: Option<f64>,
    pub(super) cpu_percent: Option<f64>,
    is_measured: bool,
}

impl Rates {
    /// Whether any span was ever measured.
    pub(super) fn is_measured(&self) -> bool {
        self.is_measured
    }

    pub(super) fn update(&mut self, now: &Snapshot) {
        let Some(before) = self.before.replace(now.clone()) else {
            return;
        };
        self.is_measured = true;
        let elapsed = now.at_ns.saturating_sub(before.at_ns).max(1) as f64;
        let (mut busy, mut cpu, mut waited, mut known) = (0, 0, 0, true);
        for end in &now.readings {
            let start = before.readings.iter().find(|reading| reading.id == end.id);
            busy += busy_by(end, now.at_ns).saturating_sub(start.map_or(0, |start| busy_by(start, before.at_ns)));
            let used = |reading: &Reading| reading.usage.unwrap_or_default();
            let base = start.map(used).unwrap_or_default();
            known &= end.usage.is_some();
            cpu += used(end).cpu_ns.saturating_sub(base.cpu_ns);
            let delay = used(end).run_delay_ns.unwrap_or(0);
            waited += delay.saturating_sub(base.run_delay_ns.unwrap_or(0));
        }
        let done = now.completed().saturating_sub(before.completed());
        self.throughput = done as f64 / elapsed * 1e9;
        self.cpu_percent = known.then(|| 100.0 * cpu as f64 / elapsed);
        self.blocking_ratio = (known && busy > 0).then(|| (1.0 - (cpu + waited) as f64 / busy as f64).clamp(0.0, 1.0));
    }

    /// The pool has nothing to do.
    pub(super) fn rest(&mut self) {
        *self = Self { cpu_percent: self.cpu_percent.map(|_| 0.0), is_measured: self.is_measured, ..Self::default() };
    }
}

fn busy_by(reading: &Reading, at_ns: u64) -> u64 {
    let current = if reading.busy_since_ns == 0 { 0 } else { at_ns.saturating_sub(reading.busy_since_ns) };
    reading.busy_ns + current
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::ThreadUsage;

    fn snapshot(at_ns: u64, count: u64, cpu_ns: u64) -> Snapshot {
        let reading = Reading {
            id: 1,
            count,
            last_ns: at_ns,
            busy_since_ns: 0,
            busy_ns: at_ns,
            usage: Some(ThreadUsage { cpu_ns, run_delay_ns: Some(0) }),
            doing: None,
        };
        Snapshot { at_ns, readings: vec![reading], ..Snapshot::default() }
    }

    #[test]
    fn rates_are_of_the_span_and_end_with_the_work() {
        let mut rates = Rates::default();
        rates.update(&snapshot(0, 0, 0));
        rates.update(&snapshot(500_000_000, 50, 125_000_000));
        assert!((rates.throughput - 100.0).abs() < 1e-6);
        assert_eq!(rates.blocking_ratio, Some(0.75));
        assert_eq!(rates.cpu_percent, Some(25.0));
        rates.rest();
        assert!(rates.throughput.abs() < 1e-9 && rates.blocking_ratio.is_none());
    }
}
