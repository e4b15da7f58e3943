//! `aether-bench record`, `compare` and `check`.
//!
//! *Invariant:* the exit status is the verdict's.

use std::path::Path;
use std::process::ExitCode;

use aether_bench::profile::CancelToken;
use aether_bench::regress::{Baseline, Case, Comparison, Effort};
use aether_bench::report::verdict::{cells, headline};

use crate::AnyError;
use crate::cli::{CaseArgs, CheckArgs, CompareArgs, EffortArgs, RecordArgs};
use crate::output;

pub(crate) fn record(arguments: &RecordArgs) -> Result<ExitCode, AnyError> {
    let cancel = CancelToken::of_interrupt();
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
        let cancel = CancelToken::of_interrupt();
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
    let cancel = CancelToken::of_interrupt();
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
    let mut text = format!("{} ({})\n{}", headline(comparison.verdict), comparison.case.name, cells(&comparison.first));
    if let Some(again) = &comparison.again {
        text.push_str("measured again:\n");
        text.push_str(&cells(again));
    }
    text + &comparison.shape.join("\n")
}
