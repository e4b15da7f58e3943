//! `aether-bench profile`.
//!
//! *Invariant:* decides nothing: picks the subject, shows progress, prints what the library found.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aether_bench::profile::migration::{self, Migration};
use aether_bench::profile::threads::InProcess;
use aether_bench::profile::workload::Subject;
use aether_bench::profile::{Progress, SaturationAnalysis, SaturationCliffProfiler, Task};
use aether_bench::python::{Gil, PythonScript};
use aether_bench::report;
use aether_bench::workloads::Kind;

use crate::AnyError;
use crate::cli::{Format, GilChoice, ProfileArgs};
use crate::output;

pub(crate) fn run(arguments: &ProfileArgs) -> Result<ExitCode, AnyError> {
    let profiler = profiler(arguments);
    let mut subjects = subjects(arguments)?;
    let mut measured: Vec<&mut dyn Subject> = Vec::new();
    for subject in &mut subjects {
        measured.push(&mut **subject);
    }
    let cancel = output::cancelled_by_ctrl_c();
    let analyses = profiler.profile_several(&mut measured, &cancel, &mut show)?;
    output::progress("");
    let table = match analyses.as_slice() {
        [reference, candidate] => migration::compare(reference, candidate),
        _ => None,
    };
    let text = render(arguments.format, &analyses, table.as_ref())?;
    output::result(&text, arguments.output.as_deref())?;
    Ok(ExitCode::SUCCESS)
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

fn subjects(arguments: &ProfileArgs) -> Result<Vec<Box<dyn Subject>>, AnyError> {
    if let Some(kind) = Kind::named(&arguments.workload) {
        let body = kind.body();
        let task = Task::new(kind.name(), move |_| body());
        return Ok(vec![Box::new(InProcess::new(Arc::new(task)))]);
    }
    let default = [PathBuf::from("python3")];
    let pythons = if arguments.python.is_empty() { &default } else { arguments.python.as_slice() };
    let gils: &[Gil] = match arguments.gil {
        GilChoice::Default => &[Gil::AsBuilt],
        GilChoice::On => &[Gil::On],
        GilChoice::Off => &[Gil::Off],
        GilChoice::Both => &[Gil::On, Gil::Off],
    };
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for python in pythons {
        for &gil in gils {
            let mut script = PythonScript::new(python, &arguments.workload)?;
            script.function.clone_from(&arguments.function);
            script.setup.clone_from(&arguments.setup);
            script.gil = gil;
            subjects.push(Box::new(script));
        }
    }
    Ok(subjects)
}

fn show(progress: Progress) {
    output::progress(&match progress {
        Progress::Measured { threads, ops_s, done, planned, .. } => {
            format!("{done} of {planned}: {threads} threads, {ops_s:.1} tasks/s")
        }
        Progress::Repeated { threads, foreign_cores } => {
            format!("{threads} threads again: others used {foreign_cores:.1} cores")
        }
        Progress::OpenLoop { threads, rate } => {
            format!("latency: {threads} threads, {rate:.1} tasks/s on a schedule")
        }
    });
}

fn render(format: Format, analyses: &[SaturationAnalysis], table: Option<&Migration>) -> Result<String, AnyError> {
    Ok(match format {
        Format::Html => report::html::page(analyses, table),
        Format::Svg => analyses.iter().map(report::svg::throughput).collect(),
        Format::Text => {
            let mut parts: Vec<String> = analyses.iter().map(SaturationAnalysis::to_text).collect();
            parts.extend(table.map(report::ascii::migration));
            parts.join("\n")
        }
        Format::Json => match analyses {
            [only] => report::json(only)?,
            several => serde_json::to_string_pretty(&serde_json::json!({ "curves": several, "migration": table }))?,
        },
    })
}
