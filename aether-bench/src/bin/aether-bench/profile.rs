//! `aether-bench profile`.
//!
//! *Invariant:* decides nothing: picks the subject, shows progress, prints what the library found.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aether_bench::profile::threads::InProcess;
use aether_bench::profile::{CancelToken, Progress, SaturationAnalysis, SaturationCliffProfiler, Task};
use aether_bench::python::{GilModes, Study};
use aether_bench::report::{self, Document};
use aether_bench::workloads::Kind;

use crate::AnyError;
use crate::cli::{Format, GilChoice, ProfileArgs};
use crate::output;

pub(crate) fn run(arguments: &ProfileArgs) -> Result<ExitCode, AnyError> {
    let cancel = CancelToken::of_interrupt();
    let document = Document::new(curves(arguments, &cancel)?);
    output::progress("");
    output::result(&render(arguments.format, &document)?, arguments.output.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn curves(arguments: &ProfileArgs, cancel: &CancelToken) -> Result<Vec<SaturationAnalysis>, AnyError> {
    let profiler = profiler(arguments);
    if let Some(kind) = Kind::named(&arguments.workload) {
        let body = kind.body();
        let task = Task::new(kind.name(), move |_| body());
        let mut subject = InProcess::new(Arc::new(task));
        return Ok(vec![profiler.profile_subject(&mut subject, cancel, &mut show)?]);
    }
    let default = || vec![PathBuf::from("python3")];
    let study = Study {
        script: PathBuf::from(&arguments.workload),
        pythons: if arguments.python.is_empty() { default() } else { arguments.python.clone() },
        modes: match arguments.gil {
            GilChoice::Default => GilModes::Default,
            GilChoice::On => GilModes::On,
            GilChoice::Off => GilModes::Off,
            GilChoice::Both => GilModes::Both,
        },
        function: arguments.function.clone(),
        setup: arguments.setup.clone(),
    };
    Ok(study.run(&profiler, cancel, &mut show)?)
}

fn profiler(arguments: &ProfileArgs) -> SaturationCliffProfiler {
    let usual = SaturationCliffProfiler::default();
    let min_rounds = arguments.rounds.unwrap_or(usual.min_rounds);
    SaturationCliffProfiler {
        max_threads: arguments.max_threads.unwrap_or(usual.max_threads),
        duration_per_run: arguments.duration.unwrap_or(usual.duration_per_run),
        min_rounds,
        max_rounds: usual.max_rounds.max(min_rounds),
        budget: arguments.budget.unwrap_or(usual.budget),
        ..usual
    }
}

fn show(progress: Progress) {
    output::progress(&progress.to_string());
}

fn render(format: Format, document: &Document) -> Result<String, AnyError> {
    Ok(match format {
        Format::Html => document.to_html(),
        Format::Svg => document.curves.iter().map(report::svg::throughput).collect(),
        Format::Text => document.to_text(),
        Format::Json => document.to_json()?,
    })
}
