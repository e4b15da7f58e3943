//! Verdicts in words.
//!
//! *Invariant:* reads a judgement and decides nothing.

use std::fmt::Write as _;

use crate::regress::Verdict;
use crate::regress::case::Metric;
use crate::regress::curves::CurveComparison;
use crate::regress::verdict::{Cell, Finding, Judgement};

/// The answer in one line.
pub fn headline(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS: no material loss at any size",
        Verdict::Fail => "FAIL: a significant and material loss, seen twice",
        Verdict::Inconclusive => "INCONCLUSIVE: the measurement cannot tell",
    }
}

/// One line a cell.
pub fn cells(judgement: &Judgement) -> String {
    judgement.cells.iter().fold(String::new(), |mut text, cell| {
        let _ = writeln!(text, "{}", row(cell));
        text
    })
}

/// What came of holding curves against a baseline.
pub fn curves(comparison: &CurveComparison) -> String {
    let mut text = String::new();
    for curve in &comparison.curves {
        let _ = writeln!(text, "{} ({})", headline(curve.verdict), curve.name);
        for sentence in &curve.reservations {
            let _ = writeln!(text, "{sentence}");
        }
        text.push_str(&cells(&curve.first));
        if let Some(again) = &curve.again {
            let _ = writeln!(text, "measured again:");
            text.push_str(&cells(again));
        }
        for sentence in &curve.shape {
            let _ = writeln!(text, "{sentence}");
        }
    }
    text
}

fn row(cell: &Cell) -> String {
    let percent = |log: f64| 100.0 * log.exp_m1();
    let metric = match cell.metric {
        Metric::Elapsed => "elapsed",
        Metric::Cpu => "cpu",
    };
    let finding = match cell.finding {
        Finding::Fine => "fine",
        Finding::Worse => "worse",
        Finding::Open => "open",
    };
    format!(
        "  size {:>6} {metric:>8}: {:+6.1} % [{:+.1}, {:+.1}] of {} pairs; {:.1} % would count: {finding}",
        cell.n,
        percent(cell.change.est),
        percent(cell.change.lo),
        percent(cell.change.hi),
        cell.pairs,
        -percent(-cell.material),
    )
}
