//! Row 12: false alarms of the scaling check, and slowdowns it catches.
//!
//! *Invariant:* every trial is a whole comparison in separate processes, as a user would run it.

use std::time::Duration;

use aether_bench::profile::CancelToken;
use aether_bench::regress::{Axis, Case, Effort, Verdict, compare};
use aether_bench::workloads::Burn;

use super::{Line, Times};
use crate::AnyError;
use crate::output;

/// A case of our own `work`, whose sides differ in one argument.
fn case(program: &str, slow_by: &str, turns: u64) -> Case {
    let words =
        format!("{program} work --threads {{n}} --tasks 200 --turns {turns} --slow-by {slow_by} --slow {{bin}}");
    Case {
        name: format!("work, slower by {slow_by}"),
        command: words.split(' ').map(str::to_owned).collect(),
        axis: Axis::Threads,
        sizes: vec![1, 2],
    }
}

/// How often trials came out this way.
fn count(verdict: Verdict, trials: usize, case: &Case, slow: &str) -> Result<usize, AnyError> {
    let mut seen = 0;
    for trial in 0..trials {
        output::progress(&format!("{}, {slow} %: trial {} of {trials}", case.name, trial + 1));
        let cancel = CancelToken::default();
        let effort = Effort { pairs: 8, most_pairs: 16 };
        let comparison = compare(case, "0", slow, effort, &cancel, &mut |_, _| {})?;
        seen += usize::from(comparison.verdict == verdict);
    }
    Ok(seen)
}

pub(super) fn alarms(times: Times) -> Result<Vec<Line>, AnyError> {
    let program = std::env::current_exe()?.display().to_string();
    let turns = Burn::lasting(Duration::from_micros(500)).turns();
    let (computing, blocking) = (case(&program, "cpu", turns), case(&program, "blocking", turns));
    let (many, some) = (times.count(100), times.count(20));
    let false_alarms = count(Verdict::Fail, many, &computing, "0")?;
    let caught = count(Verdict::Fail, some, &computing, "10")? as f64 / some as f64;
    let blocked = count(Verdict::Fail, some, &blocking, "10")? as f64 / some as f64;
    Ok(vec![
        Line::at_most(format!("check: false alarms in {many} A/A trials"), false_alarms as f64, 1.0, ""),
        Line::at_least(format!("check: 10 % slower caught, of {some}"), caught, 0.9, ""),
        Line::at_least(format!("check: 10 % slower by blocking caught, of {some}"), blocked, 0.9, ""),
    ])
}
