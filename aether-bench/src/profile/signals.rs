//! The shares of a worker's time: on a core, waiting for one, asleep.
//!
//! *Invariant:* what was not measured is `None`; shares of sums, never means of ratios.

use serde::{Deserialize, Serialize};

use crate::stats::sample;

/// How the workers spent the measured span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// u: share of the workers' time on a core.
    pub cpu: Option<f64>,
    /// r: share of the workers' time runnable without a core.
    pub run_queue: Option<f64>,
    /// f: share of the samples of sleeping workers that were asleep on a futex (lock, condition variable, GIL).
    pub futex: Option<f64>,
    /// Cores kept busy by the workers.
    pub own_cores: Option<f64>,
    /// Cores kept busy by other processes meanwhile.
    pub foreign_cores: Option<f64>,
    /// Cores the hypervisor took away meanwhile.
    pub steal: Option<f64>,
}

impl Signals {
    /// β′ = 1 − (u + r): the share of time asleep. Waiting for a core is not blocking.
    pub fn blocked(&self) -> Option<f64> {
        Some((1.0 - self.cpu? - self.run_queue.unwrap_or(0.0)).clamp(0.0, 1.0))
    }

    /// The signals of several rounds of the same point, by their medians.
    pub fn typical(rounds: &[Self]) -> Self {
        let middle = |get: fn(&Self) -> Option<f64>| {
            let known: Vec<f64> = rounds.iter().filter_map(get).collect();
            (!known.is_empty()).then(|| sample::median(&known))
        };
        Self {
            cpu: middle(|signals| signals.cpu),
            run_queue: middle(|signals| signals.run_queue),
            futex: middle(|signals| signals.futex),
            own_cores: middle(|signals| signals.own_cores),
            foreign_cores: middle(|signals| signals.foreign_cores),
            steal: middle(|signals| signals.steal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_core_is_not_blocking() {
        let signals = Signals { cpu: Some(0.25), run_queue: Some(0.7), ..Signals::default() };
        assert!((signals.blocked().expect("cpu is known") - 0.05).abs() < 1e-9);
        assert_eq!(Signals::default().blocked(), None);
    }

    #[test]
    fn typical_ignores_rounds_that_did_not_tell() {
        let with = |futex| Signals { futex, ..Signals::default() };
        let typical = Signals::typical(&[with(Some(0.25)), with(Some(0.75)), with(None)]);
        assert_eq!(typical.futex, Some(0.5));
        assert_eq!(typical.cpu, None);
    }
}
