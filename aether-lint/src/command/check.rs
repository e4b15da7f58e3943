//! `check` and `scan`: discover, read, analyse, render, judge.
//!
//! *Invariant:* what is printed on standard output depends on files and settings alone; times and counts of work go to
//! standard error, and times only under `--verbose`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use aether_rules::{Confidence, Level, Report, analyze_on};

use super::{CommandError, Outcome, hierarchy, working_directory};
use crate::args::{CheckArgs, GlobalArgs};
use crate::config::{ConfigError, Exclusions, Gitignore, GlobPattern, Hierarchy, Layer, Selection};
use crate::discover::{DiscoverError, Discovery, Request, discover};
use crate::files::Files;
use crate::progress;
use crate::render::{OutputFormat, Scene};
use crate::terminal::{Styling, Terminal, print};

mod summary;

/// How much of what was found is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// What the confidence asked for allows.
    AsConfigured,
    /// Findings of low confidence too.
    Everything,
}

/// Checks and reports.
pub(super) fn run(
    args: &CheckArgs,
    shown: Shown,
    global: &GlobalArgs,
    terminal: &Terminal,
) -> Result<Outcome, CommandError> {
    let cwd = working_directory()?;
    let started = Instant::now();
    let hierarchy = hierarchy(global, flags(args, shown, &cwd)?, &cwd)?;
    let scope = hierarchy.for_folder(&cwd).map_err(DiscoverError::Config)?;
    let request = Request {
        roots: &args.paths,
        stdin_filename: args.stdin_filename.as_deref(),
        cwd: &cwd,
        gitignore: scope.config().layer.gitignore.unwrap_or_default(),
        threads: args.threads.map_or(0, NonZeroUsize::get),
    };
    let discovery = discover(&request, &hierarchy)?;
    report_discovery(&discovery, &request, &hierarchy, terminal);
    let discovered = Instant::now();

    let files = Files::new(discovery.files);
    let report = analyze_files(&files, &request, terminal);
    let analyzed = Instant::now();

    let format = args.output_format.or(scope.config().layer.output_format).unwrap_or_default();
    deliver(&report, &files, format, args.output_file.as_deref(), &cwd, terminal)?;
    if format.is_for_people() && !report.files.is_empty() {
        terminal.say(summary::summary(&report));
    }
    if args.statistics {
        terminal.say(summary::statistics(&report));
    }
    terminal.detail(format_args!(
        "times: discovery {:?}, analysis {:?}, output {:?}",
        discovered - started,
        analyzed - discovered,
        analyzed.elapsed(),
    ));
    Ok(judge(&report, args))
}

fn judge(report: &Report, args: &CheckArgs) -> Outcome {
    let fails = report.diagnostics.iter().any(|diagnostic| diagnostic.level >= Level::Warning);
    if fails && !args.exit_zero { Outcome::Problems } else { Outcome::Clean }
}

/// The decisions of the command line.
pub(crate) fn flags(args: &CheckArgs, shown: Shown, cwd: &Path) -> Result<Layer, ConfigError> {
    let glob = |text: &String| {
        GlobPattern::new(cwd, text).map_err(|reason| ConfigError::Exclude { glob: text.clone(), reason })
    };
    let everything = shown == Shown::Everything || args.all;
    Ok(Layer {
        selection: Selection {
            select: (!args.select.is_empty()).then(|| args.select.clone()),
            extend: args.extend_select.clone(),
            ignore: args.ignore.clone(),
        },
        extend_exclude: args.exclude.iter().map(glob).collect::<Result<_, _>>()?,
        force_exclude: args.force_exclude.then_some(Exclusions::Always),
        gitignore: args.no_respect_gitignore.then_some(Gitignore::Disregarded),
        target: args.target_version,
        builds: args.builds(),
        min_confidence: args.min_confidence.or(everything.then_some(Confidence::Low)),
        output_format: args.output_format,
        ..Layer::default()
    })
}

fn report_discovery(discovery: &Discovery, request: &Request<'_>, hierarchy: &Hierarchy, terminal: &Terminal) {
    for path in hierarchy.files() {
        terminal.detail(format_args!("configuration: {}", path.strip_prefix(request.cwd).unwrap_or(&path).display()));
    }
    for skipped in &discovery.skipped {
        terminal.detail(format_args!("skipped: {skipped}"));
    }
    if discovery.files.is_empty() {
        let roots: Vec<_> = request.roots.iter().map(|root| format!("`{}`", root.display())).collect();
        let roots = if roots.is_empty() { "`.`".to_owned() } else { roots.join(", ") };
        terminal.warn(format_args!("no Python files found under {roots}, apart from excluded and git-ignored ones"));
    }
}

fn analyze_files(files: &Files, request: &Request<'_>, terminal: &Terminal) -> Report {
    let work = || analyze_on(files, request.threads);
    if terminal.may_animate() { progress::shown(files.all().len(), &files.loaded, work) } else { work() }
}

fn deliver(
    report: &Report,
    files: &Files,
    format: OutputFormat,
    to: Option<&Path>,
    cwd: &Path,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let root = repository_root(cwd);
    let paths = files.all().iter().map(|file| file.path.as_path()).collect();
    let Some(path) = to else {
        let scene = Scene::new(report, terminal.output_styling(), root, paths);
        return print(|out| format.renderer().render(&scene, out)).map_err(CommandError::Print);
    };
    let scene = Scene::new(report, Styling::Plain, root, paths);
    save(path, |out| format.renderer().render(&scene, out))
        .map_err(|source| CommandError::Save { path: path.to_owned(), source })
}

fn save(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write(&mut out)?;
    out.flush()
}

/// The nearest folder above with a `.git`, or the working directory.
pub(crate) fn repository_root(cwd: &Path) -> &Path {
    cwd.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(cwd)
}
