//! One thread count and what was measured at it.
//!
//! *Invariant:* a point's estimate is derived from its rounds and from nothing else, so a saved curve can be checked.

use serde::{Deserialize, Serialize};

use super::latency::Latency;
use super::signals::Signals;
use crate::stats::{Estimate, bootstrap};

/// One measurement: one thread count in one block.
///
/// A block measures every size once in random order (for Python: in one fresh process). What disturbs a block disturbs
/// all of it, so sizes are compared within blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Which block it belongs to.
    pub block: u32,
    /// Tasks per second.
    pub ops_s: f64,
}

/// What to doubt about a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Doubt {
    /// The windows did not agree within 5 % before the warm-up ended.
    NotSettled {
        /// In how many of the rounds.
        rounds: usize,
    },
    /// Other processes used more than a tenth of the cores, even when the round was repeated.
    ForeignLoad {
        /// Cores they used, at the median.
        cores: f64,
    },
    /// The interval is wider than ± 2 % although the budget is spent.
    Wide {
        /// Half its width over the estimate.
        half_width: f64,
    },
    /// So few tasks completed that a task more or less would show.
    FewCompletions {
        /// In the smallest of the rounds.
        completions: u64,
    },
}

/// A thread count, its throughput and its latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Threads at work.
    pub n: usize,
    /// Every measurement, by block.
    pub rounds: Vec<Round>,
    /// Tasks per second with its 95 % interval.
    pub ops_s: Estimate,
    /// From a task's start to its end, every worker always busy.
    pub service_ns: Option<Latency>,
    /// From the moment a task was due to its end, at 70 % of the peak rate (only where that was measured).
    pub sojourn_ns: Option<Latency>,
    /// How the workers spent their time.
    pub signals: Signals,
    /// What to doubt about it.
    pub doubts: Vec<Doubt>,
}

impl Point {
    /// A point of these rounds, with nothing known but its throughput.
    pub fn new(n: usize, rounds: Vec<Round>) -> Self {
        let values: Vec<f64> = rounds.iter().map(|round| round.ops_s).collect();
        Self {
            n,
            ops_s: bootstrap::estimate(&values),
            rounds,
            service_ns: None,
            sojourn_ns: None,
            signals: Signals::default(),
            doubts: Vec::new(),
        }
    }

    /// Tasks per second of each round.
    pub fn values(&self) -> Vec<f64> {
        self.rounds.iter().map(|round| round.ops_s).collect()
    }

    /// Tasks per second in one block.
    pub fn in_block(&self, block: u32) -> Option<f64> {
        self.rounds.iter().find(|round| round.block == block).map(|round| round.ops_s)
    }
}

#[cfg(test)]
pub(crate) mod synthetic {
    //! Curves with known truth, for the tests of whatever reads curves.

    use super::*;
    use crate::stats::rng::Rng;

    /// Five rounds a size of `truth(n)`, with multiplicative noise of the given deviation.
    pub(crate) fn curve(sizes: &[usize], noise: f64, seed: u64, truth: impl Fn(f64) -> f64) -> Vec<Point> {
        let mut rng = Rng::new(seed);
        let mut point = |&n: &usize| {
            let rounds =
                (0..5).map(|block| Round { block, ops_s: truth(n as f64) * (1.0 + noise * rng.normal()) }).collect();
            Point::new(n, rounds)
        };
        sizes.iter().map(&mut point).collect()
    }

    /// The sizes most tests measure.
    pub(crate) const LADDER: [usize; 10] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
}
