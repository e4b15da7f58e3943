//! `aether-bench record`, `compare` and `check`.
//!
//! *Invariant:* the exit status is the verdict's.

use std::path::Path;
use std::process::ExitCode;

use aether_bench::regress::case::Metric;
use aether_bench::regress::verdict::{Finding, Judgement};
use aether_bench::regress::{Baseline, Case, Comparison, Effort, Verdict};

use crate::AnyError;
use crate::cli::{CaseArgs, CheckArgs, CompareArgs, EffortArgs, RecordArgs};
use crate::output;

pub(crate) fn record(arguments: &RecordArgs) -> Result<ExitCode, AnyError> {
    let cancel = output::cancelled_by_ctrl_c();
    let case = case(&arguments.case);
    let baseline = Baseline::record(&case, &arguments.bin, arguments.runs.max(2), &cancel, &mut show)?;
    output::result(&baseline.to_json()?, Some(&arguments.output))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn compare(arguments: &CompareArgs) -> Result<ExitCode, AnyError> {
    let saved = |name: &str| Path::new(name).extension().is_some_and(|end| end == "json");
    let comparison = if saved(&arguments.old) && saved(&arguments.new) {
        let (old, new) = (load(arguments.old.as_ref())?, load(arguments.new.as_ref())?);
        old.compare(&new)?
    } else {
        let cancel = output::cancelled_by_ctrl_c();
        let case = case(&arguments.case);
        let effort = effort(&arguments.effort);
        let (old, new) = (&arguments.old, &arguments.new);
        aether_bench::regress::compare(&case, old, new, effort, &cancel, &mut show)?
    };
    report(&comparison, &arguments.effort)
}

pub(crate) fn check(arguments: &CheckArgs) -> Result<ExitCode, AnyError> {
    let baseline = load(&arguments.baseline)?;
    let bin = arguments.bin.as_ref().unwrap_or(&baseline.bin);
    let cancel = output::cancelled_by_ctrl_c();
    let comparison = baseline.check(bin, effort(&arguments.effort), &cancel, &mut show)?;
    report(&comparison, &arguments.effort)
}

fn load(path: &Path) -> Result<Baseline, AnyError> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Ok(Baseline::parse(&text)?)
}

fn case(arguments: &CaseArgs) -> Case {
    let mut sizes = arguments.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let default = || ["{bin}", "{n}"].map(str::to_owned).to_vec();
    let command = &arguments.command;
    Case {
        name: arguments.name.clone(),
        command: if command.is_empty() { default() } else { command.clone() },
        axis: arguments.axis.into(),
        sizes,
    }
}

fn effort(arguments: &EffortArgs) -> Effort {
    let pairs = arguments.pairs.max(2);
    Effort { pairs, most_pairs: arguments.most_pairs.max(pairs) }
}

fn show(n: usize, pairs: usize) {
    output::progress(&format!("size {n}: {pairs}"));
}

fn report(comparison: &Comparison, arguments: &EffortArgs) -> Result<ExitCode, AnyError> {
    output::progress("");
    let text = if arguments.json { serde_json::to_string_pretty(comparison)? } else { words(comparison) };
    output::result(&text, None)?;
    Ok(ExitCode::from(comparison.verdict.exit_code()))
}

fn words(comparison: &Comparison) -> String {
    let verdict = match comparison.verdict {
        Verdict::Pass => "PASS: no material loss at any size",
        Verdict::Fail => "FAIL: a significant and material loss, seen twice",
        Verdict::Inconclusive => "INCONCLUSIVE: the measurement cannot tell",
    };
    let mut lines = vec![format!("{verdict} ({})", comparison.case.name)];
    lines.extend(table(&comparison.first));
    if let Some(again) = &comparison.again {
        lines.push("measured again:".to_owned());
        lines.extend(table(again));
    }
    lines.extend(comparison.shape.iter().cloned());
    lines.join("\n")
}

fn table(judgement: &Judgement) -> Vec<String> {
    let row = |cell: &aether_bench::regress::verdict::Cell| {
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
    };
    judgement.cells.iter().map(row).collect()
}
