//! `aether-bench targets`: every row of the table of targets, measured, with the fixed pool of the same run beside it.
//!
//! The best fixed size is chosen on one set of rounds and scored on another. Figures are of this machine at this moment:
//! the load of others is printed with each row.
//!
//! *Invariant:* a row says what it measured; what could not be measured here is "not run", never "pass".

mod burst;
mod checker;
mod load;
mod overhead;
mod profiles;
mod steady;

use std::process::ExitCode;
use std::time::Duration;

use aether_bench::os::host::{ForeignMeter, own_cpu_ns};

use crate::AnyError;
use crate::cli::TargetsArgs;
use crate::output;

/// How long things are measured.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    factor: f64,
}

impl Times {
    /// A duration of the full measurement, shortened for `--quick`.
    fn of(self, full: Duration) -> Duration {
        full.mul_f64(self.factor)
    }

    /// A count of the full measurement, shortened for `--quick`.
    fn count(self, full: usize) -> usize {
        (0..full).filter(|index| *index as f64 <= (full - 1) as f64 * self.factor).count()
    }
}

/// How a row came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Met,
    Missed,
    NotRun,
}

/// One line of the table.
pub(crate) struct Line {
    what: String,
    measured: String,
    target: String,
    outcome: Outcome,
}

impl Line {
    fn at_least(what: impl Into<String>, measured: f64, target: f64, detail: &str) -> Self {
        let met = measured >= target;
        Self {
            what: what.into(),
            measured: format!("{measured:.3}{detail}"),
            target: format!("≥ {target}"),
            outcome: if met { Outcome::Met } else { Outcome::Missed },
        }
    }

    fn at_most(what: impl Into<String>, measured: f64, target: f64, detail: &str) -> Self {
        let met = measured <= target;
        Self {
            what: what.into(),
            measured: format!("{measured:.3}{detail}"),
            target: format!("≤ {target}"),
            outcome: if met { Outcome::Met } else { Outcome::Missed },
        }
    }

    fn not_run(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), measured: why.into(), target: String::new(), outcome: Outcome::NotRun }
    }
}

type Row = (u32, fn(Times) -> Result<Vec<Line>, AnyError>);

const ROWS: [Row; 12] = [
    (1, steady::sleep),
    (2, steady::gil),
    (3, steady::cpu),
    (4, steady::lock),
    (5, steady::blend),
    (6, steady::mixed),
    (7, burst::bursts),
    (8, burst::phases),
    (9, steady::neighbours),
    (10, overhead::overhead),
    (11, profiles::repeated),
    (12, checker::alarms),
];

pub(crate) fn run(arguments: &TargetsArgs) -> Result<ExitCode, AnyError> {
    let times = Times { factor: if arguments.quick { 0.1 } else { 1.0 } };
    let wanted = |row: u32| arguments.rows.is_empty() || arguments.rows.contains(&row);
    let mut missed = 0;
    for (number, measure) in ROWS.into_iter().filter(|(number, _)| wanted(*number)) {
        let meter = ForeignMeter::start(own_cpu_ns());
        let lines = measure(times)?;
        let foreign = meter.stop(own_cpu_ns()).map_or(0.0, |load| load.cores + load.steal);
        output::progress("");
        for line in &lines {
            missed += u32::from(line.outcome == Outcome::Missed);
            output::result(&show(number, line, foreign), None)?;
        }
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(number: u32, line: &Line, foreign: f64) -> String {
    let outcome = match line.outcome {
        Outcome::Met => "met",
        Outcome::Missed => "MISSED",
        Outcome::NotRun => {
            return format!("{number:>2}  {:<52} not run: {}", line.what, line.measured);
        }
    };
    format!(
        "{number:>2}  {:<52} {:<58} target {:<8} {outcome}  (others: {foreign:.2} cores)",
        line.what, line.measured, line.target
    )
}
