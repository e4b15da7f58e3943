//! Curves of today held against saved ones.
//!
//! The rounds of a saved curve were measured at another time, so they are not paired with today's. Points carry
//! throughput only: what a curve costs in CPU seconds is the business of [`super::compare()`].
//!
//! *Invariant:* a saved curve of another machine, interpreter or script never fails a build.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::case::Metric;
use super::verdict::{Judgement, Pairs, Verdict, combine, judge};
use crate::profile::SaturationAnalysis;
use crate::stats::sample;

/// Why curves cannot be compared.
#[derive(Debug, Error)]
#[error("the baseline has no curve of {wanted}; it has {}", names(present))]
pub struct NoCounterpart {
    /// The curve of today.
    pub wanted: String,
    /// The saved curves.
    pub present: Vec<String>,
}

/// All curves, compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveComparison {
    /// The worst of the curves' answers.
    pub verdict: Verdict,
    /// One entry a curve of today.
    pub curves: Vec<ComparedCurve>,
}

/// One curve, compared with the one that was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparedCurve {
    /// Workload and runtime.
    pub name: String,
    /// The answer.
    pub verdict: Verdict,
    /// Why the saved curve is advice only, in sentences.
    pub reservations: Vec<String>,
    /// The first measurement, judged.
    pub first: Judgement,
    /// The fresh one, if the first failed.
    pub again: Option<Judgement>,
    /// What changed in the curve's shape, in sentences.
    pub shape: Vec<String>,
}

/// Holds every curve of `new` against its counterpart in `old`.
pub fn compare(old: &[SaturationAnalysis], new: &[SaturationAnalysis]) -> Result<CurveComparison, NoCounterpart> {
    let curves =
        new.iter().map(|curve| Ok(compare_one(counterpart(old, curve)?, curve))).collect::<Result<Vec<_>, _>>()?;
    Ok(CurveComparison { verdict: worst(&curves), curves })
}

impl CurveComparison {
    /// Takes a fresh measurement of the same curves into account: a failure stands only if it is seen again.
    pub fn confirm(&mut self, old: &[SaturationAnalysis], fresh: &[SaturationAnalysis]) -> Result<(), NoCounterpart> {
        for (curve, fresh) in self.curves.iter_mut().zip(fresh) {
            let again = judgement(counterpart(old, fresh)?, fresh);
            if curve.verdict == Verdict::Fail {
                curve.verdict = combine(&curve.first, &again);
                curve.again = Some(again);
            }
        }
        self.verdict = worst(&self.curves);
        Ok(())
    }
}

/// The saved curve of the same workload and runtime; failing that, the only one of the same workload and GIL.
fn counterpart<'a>(
    old: &'a [SaturationAnalysis],
    new: &SaturationAnalysis,
) -> Result<&'a SaturationAnalysis, NoCounterpart> {
    let name = new.name();
    let mut similar = old.iter().filter(|saved| saved.workload.id == new.workload.id && saved.env.gil == new.env.gil);
    let exact = old.iter().find(|saved| saved.name() == name);
    exact
        .or_else(|| similar.next().filter(|_| similar.next().is_none()))
        .ok_or_else(|| NoCounterpart { wanted: name, present: old.iter().map(SaturationAnalysis::name).collect() })
}

fn compare_one(old: &SaturationAnalysis, new: &SaturationAnalysis) -> ComparedCurve {
    let first = judgement(old, new);
    let reservations = reservations(old, new);
    let advisory = first.verdict == Verdict::Fail && !reservations.is_empty();
    ComparedCurve {
        name: new.name(),
        verdict: if advisory { Verdict::Inconclusive } else { first.verdict },
        reservations,
        first,
        again: None,
        shape: shape(old, new),
    }
}

/// Pairs rounds by their order, as rounds that have nothing to do with each other: their spread is that of both curves.
fn judgement(old: &SaturationAnalysis, new: &SaturationAnalysis) -> Judgement {
    let centred = |values: &[f64]| -> Vec<f64> {
        let middle = sample::median(values).ln();
        values.iter().map(|value| value.ln() - middle).collect()
    };
    let shared = old.points.iter().filter_map(|before| Some((before, new.point(before.n)?)));
    let cells: Vec<Pairs> = shared
        .map(|(before, after)| {
            let (was, is) = (before.values(), after.values());
            Pairs {
                n: before.n,
                metric: Metric::Elapsed,
                change: was.iter().zip(&is).map(|(was, is)| (is / was).ln()).collect(),
                same: centred(&was).into_iter().chain(centred(&is)).collect(),
            }
        })
        .collect();
    judge(&cells, Some(old.peak.n))
}

fn reservations(old: &SaturationAnalysis, new: &SaturationAnalysis) -> Vec<String> {
    let mut found = Vec::new();
    if old.env.machine != new.env.machine {
        found.push("The baseline is from another machine: advice, not a verdict.".to_owned());
    }
    if old.env.interp != new.env.interp {
        let version = old.env.interp.as_deref().unwrap_or("no interpreter");
        found.push(format!("The baseline was measured with {version}: advice, not a verdict."));
    }
    if old.workload.hash != new.workload.hash {
        found.push("The script has changed since the baseline was saved: advice, not a verdict.".to_owned());
    }
    found
}

fn shape(old: &SaturationAnalysis, new: &SaturationAnalysis) -> Vec<String> {
    let mut sentences = Vec::new();
    let (was, is) = (old.recommended.n, new.recommended.n);
    if was != is {
        sentences.push(format!("The size to use went from {was} to {is} threads."));
    }
    let cliff = |analysis: &SaturationAnalysis| {
        analysis.cliff_threads().map_or_else(|| "nowhere".to_owned(), |n| format!("at {n} threads"))
    };
    if old.cliff_threads() != new.cliff_threads() {
        sentences.push(format!("The cliff was {} and is {}.", cliff(old), cliff(new)));
    }
    sentences
}

/// A failure anywhere fails; what is not known anywhere is not known.
fn worst(curves: &[ComparedCurve]) -> Verdict {
    let any = |verdict: Verdict| curves.iter().any(|curve| curve.verdict == verdict);
    match (any(Verdict::Fail), any(Verdict::Inconclusive)) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Inconclusive,
        (false, false) => Verdict::Pass,
    }
}

fn names(present: &[String]) -> String {
    if present.is_empty() { "none".to_owned() } else { present.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::host::Machine;
    use crate::profile::point::synthetic::curve;
    use crate::profile::workload::{Identity, Interpreter};

    fn analysis(version: &str, hash: &str, seed: u64, truth: impl Fn(f64) -> f64) -> SaturationAnalysis {
        let interpreter = Interpreter { version: version.to_owned(), gil: true, ..Interpreter::default() };
        let workload = Identity { id: "work.py".to_owned(), hash: hash.to_owned(), interpreter: Some(interpreter) };
        let points = curve(&[1, 2, 4, 8], 0.01, seed, truth);
        SaturationAnalysis::new(Machine::default(), workload, points).expect("four points")
    }

    fn verdict(new: SaturationAnalysis) -> (Verdict, Vec<String>) {
        let old = [analysis("CPython 3.13.0", "1", 1, |n| 100.0 * n.min(4.0))];
        let found = compare(&old, &[new]).expect("a counterpart");
        (found.verdict, found.curves[0].reservations.clone())
    }

    #[test]
    fn a_slower_curve_fails_and_an_equal_one_passes() {
        let same = verdict(analysis("CPython 3.13.0", "1", 2, |n| 100.0 * n.min(4.0)));
        assert_eq!(same, (Verdict::Pass, Vec::new()));
        let slower = verdict(analysis("CPython 3.13.0", "1", 3, |n| 85.0 * n.min(4.0)));
        assert_eq!(slower, (Verdict::Fail, Vec::new()));
    }

    #[test]
    fn another_script_or_interpreter_is_advice() {
        for (version, hash) in [("CPython 3.13.0", "2"), ("CPython 3.13.1", "1")] {
            let (verdict, reservations) = verdict(analysis(version, hash, 3, |n| 85.0 * n.min(4.0)));
            assert_eq!((verdict, reservations.len()), (Verdict::Inconclusive, 1));
        }
    }

    #[test]
    fn a_failure_must_be_seen_twice() {
        let old = [analysis("CPython 3.13.0", "1", 1, |n| 100.0 * n.min(4.0))];
        let slow = [analysis("CPython 3.13.0", "1", 3, |n| 85.0 * n.min(4.0))];
        let fine = [analysis("CPython 3.13.0", "1", 4, |n| 100.0 * n.min(4.0))];
        let mut once = compare(&old, &slow).expect("a counterpart");
        let mut twice = once.clone();
        once.confirm(&old, &fine).expect("a counterpart");
        twice.confirm(&old, &slow).expect("a counterpart");
        assert_eq!((once.verdict, twice.verdict), (Verdict::Inconclusive, Verdict::Fail));
    }

    #[test]
    fn a_curve_without_counterpart_names_what_there_is() {
        let old = [analysis("CPython 3.13.0", "1", 1, |n| 100.0 * n)];
        let mut new = analysis("CPython 3.13.0", "1", 1, |n| 100.0 * n);
        new.workload.id = "other.py".to_owned();
        let error = compare(&old, &[new]).expect_err("another script").to_string();
        assert!(error.contains("other.py") && error.contains("work.py on CPython 3.13.0"), "{error}");
    }
}
