//! Curves recorded for later: by `record`, against which `check` holds the program of today.
//!
//! A baseline was measured at another time, so its runs are not paired with today's; and on another machine it says
//! little at all. What would be a failure is then *inconclusive*.
//!
//! *Invariant:* a baseline whose fingerprint does not match never fails a build.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::case::{self, Case, Metric, SizeRuns};
use super::compare::{Comparison, Effort, SCHEMA as COMPARISON, shape};
use super::run::{RunError, run};
use super::verdict::{Judgement, Pairs, Verdict, combine, judge};
use crate::os::host::Machine;
use crate::profile::workload::CancelToken;
use crate::stats::sample;

/// The format of a recorded baseline.
pub const SCHEMA: &str = "aether-bench/baseline/1";

/// Recorded runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where it was recorded.
    pub machine: Machine,
    /// What was run.
    pub case: Case,
    /// The program under test.
    pub bin: String,
    /// The runs.
    pub sizes: Vec<SizeRuns>,
}

/// Why a baseline cannot be used.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// It is not what this crate writes.
    #[error("not a recorded baseline")]
    Json(#[from] serde_json::Error),
    /// It was written by another version.
    #[error("the baseline has the format `{found}`, and `{SCHEMA}` is what can be read")]
    Schema {
        /// What it says it is.
        found: String,
    },
    /// The two were recorded for different cases.
    #[error("the baselines are of different cases: `{0}` and `{1}`")]
    Cases(String, String),
}

impl Baseline {
    /// Runs the case and keeps every run. `progress` hears of every one.
    pub fn record(
        case: &Case,
        bin: &str,
        runs: usize,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, RunError> {
        let mut sizes: Vec<SizeRuns> = case.sizes.iter().map(|&n| SizeRuns { n, runs: Vec::new() }).collect();
        for round in 0..runs {
            for size in &mut sizes {
                size.runs.push(run(&case.words(size.n, bin), cancel)?);
                progress(size.n, round + 1);
            }
        }
        Ok(Self {
            schema: SCHEMA.to_owned(),
            machine: Machine::current(),
            case: case.clone(),
            bin: bin.to_owned(),
            sizes,
        })
    }

    /// As it is saved.
    pub fn to_json(&self) -> Result<String, BaselineError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        let found = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or("(none)");
        if found != SCHEMA {
            return Err(BaselineError::Schema { found: found.to_owned() });
        }
        Ok(serde_json::from_value(value)?)
    }

    /// Holds `new` against this one. What was measured apart is compared by means, not by pairs.
    pub fn compare(&self, new: &Self) -> Result<Comparison, BaselineError> {
        if self.case.command != new.case.command || self.case.axis != new.case.axis {
            return Err(BaselineError::Cases(self.case.name.clone(), new.case.name.clone()));
        }
        let first = self.judge(new);
        let advisory = first.verdict == Verdict::Fail && !self.comparable(new);
        let verdict = if advisory { Verdict::Inconclusive } else { first.verdict };
        let mut sentences = shape(&self.case, &self.sizes, &new.sizes);
        if !self.comparable(new) {
            sentences.insert(0, "The baseline is from another machine: advice, not a verdict.".to_owned());
        }
        Ok(Comparison {
            schema: COMPARISON.to_owned(),
            machine: new.machine.clone(),
            case: new.case.clone(),
            verdict,
            first,
            again: None,
            shape: sentences,
        })
    }

    /// Measures the case now and holds it against this; a failure is measured again.
    pub fn check(
        &self,
        bin: &str,
        effort: Effort,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Comparison, CheckError> {
        let now = Self::record(&self.case, bin, effort.pairs, cancel, progress)?;
        let mut comparison = self.compare(&now)?;
        if comparison.verdict == Verdict::Fail {
            let fresh = Self::record(&self.case, bin, effort.pairs, cancel, progress)?;
            let again = self.judge(&fresh);
            comparison.verdict = combine(&comparison.first, &again);
            comparison.again = Some(again);
        }
        Ok(comparison)
    }

    fn comparable(&self, other: &Self) -> bool {
        self.machine == other.machine
    }

    /// Pairs runs by their order: their spread is then that of both series together, as it should be for runs that
    /// have nothing to do with each other.
    fn judge(&self, new: &Self) -> Judgement {
        let mut cells = Vec::new();
        for old in &self.sizes {
            let Some(size) = new.sizes.iter().find(|size| size.n == old.n) else {
                continue;
            };
            let threads = self.case.threads(old.n);
            for metric in Metric::ALL {
                let (before, after) = (old.rates(metric, threads), size.rates(metric, threads));
                let centred = |values: &[f64]| -> Vec<f64> {
                    let middle = sample::median(values).ln();
                    values.iter().map(|value| value.ln() - middle).collect()
                };
                let change = before.iter().zip(&after).map(|(old, new)| (new / old).ln()).collect();
                let same = centred(&before).into_iter().chain(centred(&after)).collect();
                cells.push(Pairs { n: old.n, metric, change, same });
            }
        }
        judge(&cells, case::peak(&self.sizes, &self.case))
    }
}

/// Why a check gave no verdict.
#[derive(Debug, Error)]
pub enum CheckError {
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The baseline cannot be used.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
}

#[cfg(test)]
mod tests {
    use super::super::case::{Axis, ProcessRun};
    use super::*;
    use crate::stats::rng::Rng;

    fn baseline(speed: f64, seed: u64) -> Baseline {
        let mut rng = Rng::new(seed);
        let mut runs = |n: usize| SizeRuns {
            n,
            runs: (0..10)
                .map(|_| {
                    let seconds = (1.0 + 0.01 * rng.normal()) / speed;
                    ProcessRun { ops: 1.0, wall_s: seconds, cpu_s: Some(seconds), run_delay_s: None }
                })
                .collect(),
        };
        let case = Case {
            name: "lint".to_owned(),
            command: vec!["{bin}".to_owned(), "{n}".to_owned()],
            axis: Axis::Threads,
            sizes: vec![1, 2],
        };
        let sizes = vec![runs(1), runs(2)];
        Baseline { schema: SCHEMA.to_owned(), machine: Machine::default(), case, bin: "x".to_owned(), sizes }
    }

    #[test]
    fn a_baseline_comes_back_as_it_went() {
        let recorded = baseline(1.0, 1);
        let text = recorded.to_json().expect("it can be written");
        assert_eq!(Baseline::parse(&text).expect("it can be read"), recorded);
        assert!(matches!(Baseline::parse("{}"), Err(BaselineError::Schema { .. })));
    }

    #[test]
    fn slower_than_the_baseline_fails_on_the_same_machine_only() {
        let old = baseline(1.0, 1);
        let slow = baseline(0.8, 2);
        assert_eq!(old.compare(&slow).expect("same case").verdict, Verdict::Fail);
        assert_eq!(old.compare(&baseline(1.0, 3)).expect("same case").verdict, Verdict::Pass);
        let elsewhere = Baseline { machine: Machine { cores: 64, ..Machine::default() }, ..slow };
        let comparison = old.compare(&elsewhere).expect("same case");
        assert_eq!(comparison.verdict, Verdict::Inconclusive);
        assert!(comparison.shape[0].contains("another machine"));
    }

    #[test]
    fn different_cases_are_not_compared() {
        let old = baseline(1.0, 1);
        let mut other = baseline(1.0, 2);
        other.case.command.push("--fast".to_owned());
        assert!(matches!(old.compare(&other), Err(BaselineError::Cases(..))));
    }
}
