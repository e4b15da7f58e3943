//! Two programs, run in turn (A B B A), size by size, until the answer is clear.
//!
//! *Invariant:* every number that is compared was measured beside the number it is compared with; a failure is measured
//! a second time before it is said.

use serde::{Deserialize, Serialize};

use super::case::{self, Case, Metric, ProcessRun, SizeRuns};
use super::run::{RunError, run};
use super::verdict::{Judgement, Pairs, Verdict, combine, judge};
use crate::os::host::Machine;
use crate::profile::workload::CancelToken;

/// The format of what [`Comparison`] is saved as.
pub const SCHEMA: &str = "aether-bench/comparison/1";

/// How many pairs of runs to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Pairs at each size (rounded up to an even number).
    pub pairs: usize,
    /// Pairs at each size at most, if the first ones cannot tell.
    pub most_pairs: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { pairs: 8, most_pairs: 24 }
    }
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where it was measured.
    pub machine: Machine,
    /// What was run.
    pub case: Case,
    /// The answer.
    pub verdict: Verdict,
    /// The first measurement, judged.
    pub first: Judgement,
    /// The fresh one, if the first failed.
    pub again: Option<Judgement>,
    /// What changed in the shape of the curve, in sentences.
    pub shape: Vec<String>,
}

/// The runs of both sides at one size.
#[derive(Clone, Debug, Default)]
struct Sides {
    old: Vec<ProcessRun>,
    new: Vec<ProcessRun>,
}

/// Compares two programs on a case. `progress` hears of every pair.
pub fn compare(
    case: &Case,
    old: &str,
    new: &str,
    effort: Effort,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Comparison, RunError> {
    let mut first = Measurement::new(case, old, new);
    first.extend(effort.pairs, cancel, progress)?;
    let mut judgement = first.judge();
    while judgement.verdict == Verdict::Inconclusive && first.pairs() < effort.most_pairs {
        first.extend(4, cancel, progress)?;
        judgement = first.judge();
    }
    let mut again = None;
    if judgement.verdict == Verdict::Fail {
        let mut fresh = Measurement::new(case, old, new);
        fresh.extend(first.pairs(), cancel, progress)?;
        again = Some(fresh.judge());
    }
    Ok(Comparison {
        schema: SCHEMA.to_owned(),
        machine: Machine::current(),
        case: case.clone(),
        verdict: again.as_ref().map_or(judgement.verdict, |again| combine(&judgement, again)),
        shape: shape(case, &first.side(|sides| &sides.old), &first.side(|sides| &sides.new)),
        first: judgement,
        again,
    })
}

struct Measurement<'a> {
    case: &'a Case,
    old: &'a str,
    new: &'a str,
    sides: Vec<Sides>,
}

impl<'a> Measurement<'a> {
    fn new(case: &'a Case, old: &'a str, new: &'a str) -> Self {
        Self { case, old, new, sides: vec![Sides::default(); case.sizes.len()] }
    }

    fn pairs(&self) -> usize {
        self.sides.iter().map(|sides| sides.old.len()).min().unwrap_or(0)
    }

    /// Makes `pairs` more pairs at each size, sizes in turn, sides in the order A B B A.
    fn extend(
        &mut self,
        pairs: usize,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), RunError> {
        for _ in 0..pairs.div_ceil(2) {
            for (sides, &n) in self.sides.iter_mut().zip(&self.case.sizes) {
                let once = |bin: &str| run(&self.case.words(n, bin), cancel);
                sides.old.push(once(self.old)?);
                sides.new.push(once(self.new)?);
                sides.new.push(once(self.new)?);
                sides.old.push(once(self.old)?);
                progress(n, sides.old.len());
            }
        }
        Ok(())
    }

    fn side(&self, get: fn(&Sides) -> &Vec<ProcessRun>) -> Vec<SizeRuns> {
        let sizes = self.case.sizes.iter().zip(&self.sides);
        sizes.map(|(&n, sides)| SizeRuns { n, runs: get(sides).clone() }).collect()
    }

    fn judge(&self) -> Judgement {
        let cells: Vec<Pairs> = self
            .case
            .sizes
            .iter()
            .zip(&self.sides)
            .flat_map(|(&n, sides)| Metric::ALL.map(|metric| self.pairs_of(n, sides, metric)))
            .collect();
        judge(&cells, case::peak(&self.side(|sides| &sides.old), self.case))
    }

    fn pairs_of(&self, n: usize, sides: &Sides, metric: Metric) -> Pairs {
        let threads = self.case.threads(n);
        let log = |run: &ProcessRun| run.rate(metric, threads).map(f64::ln);
        let difference = |to: &ProcessRun, from: &ProcessRun| Some(log(to)? - log(from)?);
        let change = sides.old.iter().zip(&sides.new);
        // Within a block of four the same side ran twice: what differs there is noise.
        let both = sides.old.chunks_exact(2).chain(sides.new.chunks_exact(2));
        Pairs {
            n,
            metric,
            change: change.filter_map(|(old, new)| difference(new, old)).collect(),
            same: both.filter_map(|pair| difference(&pair[1], &pair[0])).collect(),
        }
    }
}

/// What changed in the curves' shape: speed-up over the smallest size, and the best size.
pub(super) fn shape(case: &Case, old: &[SizeRuns], new: &[SizeRuns]) -> Vec<String> {
    use crate::stats::sample::median;
    let mut sentences = Vec::new();
    let rate = |size: &SizeRuns| median(&size.rates(Metric::Elapsed, case.threads(size.n)));
    if let (Some(before), Some(after)) = (case::peak(old, case), case::peak(new, case))
        && before != after
    {
        sentences.push(format!("The best size moved from {before} to {after}."));
    }
    let (Some(old_base), Some(new_base)) = (old.first().map(rate), new.first().map(rate)) else {
        return sentences;
    };
    for (before, after) in old.iter().zip(new).skip(1) {
        let (was, is) = (rate(before) / old_base, rate(after) / new_base);
        if (is / was).ln().abs() > 0.05 {
            sentences.push(format!("At {} the speed-up went from {was:.2} to {is:.2}.", before.n));
        }
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(script: &str) -> Case {
        Case {
            name: "test".to_owned(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            axis: case::Axis::Threads,
            sizes: vec![1, 2],
        }
    }

    /// Processes that report fixed numbers: the verdict is about them, not about the machine.
    #[test]
    #[cfg(unix)]
    fn reported_slowdowns_fail_and_equals_pass() {
        let script = r#"echo "{\"ops\": {bin}, \"wall_ns\": 1000000000, \"cpu_ns\": 1000000000}""#;
        let effort = Effort { pairs: 4, most_pairs: 4 };
        let run = |old: &str, new: &str| {
            compare(&case(script), old, new, effort, &CancelToken::default(), &mut |_, _| {})
                .expect("the processes succeed")
        };
        assert_eq!(run("100", "100").verdict, Verdict::Pass);
        let slower = run("100", "80");
        assert_eq!(slower.verdict, Verdict::Fail);
        assert!(slower.again.is_some(), "a failure is measured twice");
        assert_eq!(run("100", "120").verdict, Verdict::Pass);
    }

    #[test]
    fn a_changed_shape_is_put_into_words() {
        let runs = |n: usize, wall_s: f64| SizeRuns {
            n,
            runs: vec![ProcessRun { ops: 1.0, wall_s, cpu_s: None, run_delay_s: None }],
        };
        let old = [runs(1, 1.0), runs(2, 0.5)];
        let new = [runs(1, 1.0), runs(2, 1.5)];
        let sentences = shape(&case(""), &old, &new);
        assert!(sentences[0].contains("from 2 to 1") && sentences[1].contains("2.00 to 0.67"));
    }
}
