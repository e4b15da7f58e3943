//! `profile`: how many threads a Python script can use, and whether that has become worse.
//!
//! *Invariant:* a workload that raises, exits, hangs, prints or forks gives an error, never a number; without
//! `--fail-on-regression` a measurement that succeeds exits with 0.

use std::fs;
use std::path::Path;

use aether_bench::profile::{CancelToken, SaturationAnalysis, SaturationCliffProfiler};
use aether_bench::python::Study;
use aether_bench::regress::{Verdict, curves};
use aether_bench::report::{Document, verdict::headline};
use aether_bench::status;

use super::{CommandError, Outcome, deliver};
use crate::args::{ProfileArgs, ProfileFormat};
use crate::terminal::Terminal;

/// Measures, compares with a baseline if there is one, and prints.
pub(super) fn run(args: &ProfileArgs, terminal: &Terminal) -> Result<Outcome, CommandError> {
    // Whatever can be wrong with files is found out before minutes are spent on measuring.
    let saved = args.baseline.as_deref().map(load).transpose()?;
    for path in [&args.output, &args.save_baseline].into_iter().flatten() {
        folder_exists(path)?;
    }
    let measurement = Measurement::new(args, terminal)?;
    let mut document = Document::new(measurement.take()?);
    if let Some(path) = &args.save_baseline {
        deliver(&with_newline(document.to_json()?), Some(path))?;
        terminal.say(format_args!("saved the curves to `{}`", path.display()));
    }
    if let Some(saved) = &saved {
        compare(&mut document, saved, &measurement)?;
    }
    let text = match args.format {
        ProfileFormat::Text => document.to_text(),
        ProfileFormat::Json => with_newline(document.to_json()?),
        ProfileFormat::Html => document.to_html(),
    };
    deliver(&text, args.output.as_deref())?;
    if let Some(path) = &args.output {
        terminal.say(format_args!("wrote `{}`", path.display()));
    }
    let failed = document.regression.as_ref().is_some_and(|found| found.verdict == Verdict::Fail);
    Ok(if failed && args.fail_on_regression { Outcome::Problems } else { Outcome::Clean })
}

/// Holds the curves against the saved ones; a failure is measured a second time before it is believed.
fn compare(document: &mut Document, saved: &Document, measurement: &Measurement<'_>) -> Result<(), CommandError> {
    let mut found = curves::compare(&saved.curves, &document.curves)?;
    if found.verdict == Verdict::Fail {
        measurement.terminal.say("throughput has fallen; measuring again to be sure");
        found.confirm(&saved.curves, &measurement.take()?)?;
    }
    measurement.terminal.say(format_args!("baseline: {}", headline(found.verdict)));
    document.regression = Some(found);
    Ok(())
}

/// What is measured and how, more than once if need be.
struct Measurement<'a> {
    study: Study,
    profiler: SaturationCliffProfiler,
    cancel: CancelToken,
    terminal: &'a Terminal,
}

impl<'a> Measurement<'a> {
    fn new(args: &ProfileArgs, terminal: &'a Terminal) -> Result<Self, CommandError> {
        let pythons = if args.python.is_empty() { vec![status::default_interpreter()?] } else { args.python.clone() };
        let study = Study {
            script: args.script.clone(),
            pythons,
            modes: args.gil.map(Into::into).unwrap_or_default(),
            function: args.function.clone(),
            setup: args.setup.clone(),
        };
        Ok(Self { study, profiler: profiler(args), cancel: CancelToken::of_interrupt(), terminal })
    }

    fn take(&self) -> Result<Vec<SaturationAnalysis>, CommandError> {
        let measured = self.study.run(&self.profiler, &self.cancel, &mut |progress| self.terminal.pass(progress));
        self.terminal.pass("");
        Ok(measured?)
    }
}

fn profiler(args: &ProfileArgs) -> SaturationCliffProfiler {
    let usual = SaturationCliffProfiler::default();
    let min_rounds = args.rounds.map_or(usual.min_rounds, Into::into);
    SaturationCliffProfiler {
        max_threads: args.max_threads.map_or(usual.max_threads, Into::into),
        duration_per_run: args.duration.unwrap_or(usual.duration_per_run),
        min_rounds,
        max_rounds: usual.max_rounds.max(min_rounds),
        budget: args.budget.unwrap_or(usual.budget),
        hang_after: args.hang_after.unwrap_or(usual.hang_after),
        ..usual
    }
}

fn load(path: &Path) -> Result<Document, CommandError> {
    let text = fs::read_to_string(path).map_err(|source| CommandError::Read { path: path.to_owned(), source })?;
    Document::parse(&text).map_err(|source| CommandError::Baseline { path: path.to_owned(), source })
}

fn folder_exists(path: &Path) -> Result<(), CommandError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| CommandError::Save { path: path.to_owned(), source };
    fs::read_dir(folder).map(drop).map_err(failed)
}

fn with_newline(text: String) -> String {
    text + "\n"
}
