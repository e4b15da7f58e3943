//! "Should I go free-threaded?": two curves of the same workload, answered from both.
//!
//! *Invariant:* nothing is assumed about either build; every ratio is of two measurements and carries its interval.

use serde::{Deserialize, Serialize};

use super::analysis::SaturationAnalysis;
use super::workload::Interpreter;
use crate::stats::{Estimate, bootstrap};

/// One size of the table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Threads of the candidate.
    pub n: usize,
    /// Candidate at `n` threads over the reference at its best size.
    pub ratio: Estimate,
}

/// What moving from a reference (with the GIL) to a candidate (without) brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// The reference's runtime.
    pub from: String,
    /// The candidate's runtime.
    pub to: String,
    /// The size the reference is at its best with.
    pub reference_threads: usize,
    /// Candidate over reference at one thread: what single-threaded code pays.
    pub single_thread: Option<Estimate>,
    /// One row a size of the candidate.
    pub steps: Vec<Step>,
    /// The smallest size whose lower bound exceeds 1.
    pub wins_from: Option<usize>,
}

/// Compares two curves; `None` if the reference has no point at its peak.
pub fn compare(reference: &SaturationAnalysis, candidate: &SaturationAnalysis) -> Option<Migration> {
    let best = reference.point(reference.peak.n)?;
    let steps: Vec<Step> = candidate
        .points
        .iter()
        .map(|point| {
            let log = bootstrap::unpaired_log_ratio(&point.values(), &best.values());
            Step { n: point.n, ratio: log.map(f64::exp) }
        })
        .collect();
    let single = reference
        .point(1)
        .zip(candidate.point(1))
        .map(|(before, after)| bootstrap::unpaired_log_ratio(&after.values(), &before.values()).map(f64::exp));
    let name = |analysis: &SaturationAnalysis| {
        analysis.workload.interpreter.as_ref().map_or_else(|| analysis.workload.id.clone(), Interpreter::mode)
    };
    Some(Migration {
        from: name(reference),
        to: name(candidate),
        reference_threads: best.n,
        single_thread: single,
        wins_from: steps.iter().find(|step| step.ratio.lo > 1.0).map(|step| step.n),
        steps,
    })
}

#[cfg(test)]
mod tests {
    use super::super::point::synthetic::curve;
    use super::super::workload::Identity;
    use super::*;
    use crate::os::host::Machine;

    fn analysis(truth: impl Fn(f64) -> f64) -> SaturationAnalysis {
        let points = curve(&[1, 2, 4, 8], 0.01, 7, truth);
        SaturationAnalysis::new(Machine::default(), Identity::default(), points).expect("four points")
    }

    #[test]
    fn finds_the_single_thread_cost_and_where_it_pays() {
        let with_gil = analysis(|_| 100.0);
        let without = analysis(|n| 70.0 * n.min(4.0));
        let migration = compare(&with_gil, &without).expect("both have points");
        let single = migration.single_thread.expect("both measured one thread");
        assert!((single.est - 0.7).abs() < 0.03);
        assert_eq!(migration.wins_from, Some(2));
        let never = compare(&with_gil, &analysis(|_| 60.0)).expect("both have points");
        assert_eq!(never.wins_from, None);
    }
}
