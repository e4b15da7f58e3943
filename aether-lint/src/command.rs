//! The commands, and the one way out: 0 nothing to report, 1 problems found, 2 the run itself failed.
//!
//! *Invariant:* every failure ends here, is said once on standard error, and exits with 2.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aether_bench::python::StudyError;
use aether_bench::regress::curves::NoCounterpart;
use aether_bench::report::ReportError;
use aether_bench::status::StatusError;
use thiserror::Error;

use crate::args::{self, Cli, Command, GlobalArgs};
use crate::config::{ConfigError, Hierarchy, Layer, Origin, setting};
use crate::discover::DiscoverError;
use crate::terminal::{Terminal, Verbosity, chain, print};

mod check;
mod completions;
mod config;
mod explain;
mod profile;
mod rules;
mod status;

pub(crate) use check::{Shown, flags, repository_root};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing that fails the run.
    Clean,
    /// At least one finding of level warning or error.
    Problems,
}

/// Why a run could not be made.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    /// A configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files cannot be found.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// There is no place to be relative to.
    #[error("cannot tell the working directory")]
    WorkingDirectory(#[source] io::Error),
    /// What was found cannot be delivered.
    #[error("cannot write to standard output")]
    Print(#[source] io::Error),
    /// What was found cannot be saved.
    #[error("cannot write `{}`", path.display())]
    Save { path: PathBuf, source: io::Error },
    /// What was measured before cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// What was measured before is something else.
    #[error("`{}` is no baseline", path.display())]
    Baseline { path: PathBuf, source: ReportError },
    /// What was measured before is about something else.
    #[error(transparent)]
    NoCounterpart(#[from] NoCounterpart),
    /// What was measured cannot be put into words.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// An interpreter says nothing about itself.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A script cannot be measured.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// A rule that does not exist is asked for.
    #[error("{message}")]
    UnknownRule { message: String },
}

/// Runs the command line `args`, the program's name first.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> u8 {
    let cli = match args::parse(args) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version go to standard output, mistakes to standard error; a closed pipe is nobody's fault.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).unwrap_or(2);
        }
    };
    let terminal = terminal(&cli.global);
    match dispatch(&cli, &terminal) {
        Ok(Outcome::Clean) => 0,
        Ok(Outcome::Problems) => 1,
        Err(error) => {
            complain(&error, &terminal);
            2
        }
    }
}

fn terminal(global: &GlobalArgs) -> Terminal {
    let verbosity = match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    Terminal::new(verbosity, global.color)
}

fn dispatch(cli: &Cli, terminal: &Terminal) -> Result<Outcome, CommandError> {
    let global = &cli.global;
    match &cli.command {
        Command::Check(args) => check::run(args, check::Shown::AsConfigured, global, terminal),
        Command::Scan(args) => check::run(args, check::Shown::Everything, global, terminal),
        Command::Profile(args) => profile::run(args, terminal),
        Command::Status(args) => status::run(args, terminal),
        Command::Explain(args) => explain::run(args, terminal),
        Command::Rules(args) => rules::run(args),
        Command::Config(args) => config::run(args, global),
        Command::Completions { shell } => completions::run(*shell),
    }
}

fn complain(error: &CommandError, terminal: &Terminal) {
    match error {
        CommandError::Config(error) => terminal.fail_rendered(&error.render(terminal.message_styling())),
        CommandError::Discover(DiscoverError::Config(error)) => {
            terminal.fail_rendered(&error.render(terminal.message_styling()));
        }
        other => terminal.fail(chain(other)),
    }
}

/// Writes a text to a file, or to standard output.
fn deliver(text: &str, to: Option<&Path>) -> Result<(), CommandError> {
    match to {
        Some(path) => fs::write(path, text).map_err(|source| CommandError::Save { path: path.to_owned(), source }),
        None => print(|out| out.write_all(text.as_bytes())).map_err(CommandError::Print),
    }
}

fn working_directory() -> Result<PathBuf, CommandError> {
    env::current_dir().map_err(CommandError::WorkingDirectory)
}

/// The configurations of this run: those of `--config`, with `flags` on top.
pub(crate) fn hierarchy(global: &GlobalArgs, flags: Layer, cwd: &Path) -> Result<Hierarchy, CommandError> {
    let mut settings = Layer::default();
    let mut file: Option<&str> = None;
    for word in &global.config {
        if Path::new(word).is_file() {
            if let Some(other) = file.replace(word) {
                return Err(ConfigError::TwoFiles(other.to_owned(), word.clone()).into());
            }
        } else if word.contains('=') {
            settings = setting(word, cwd)?.over(settings);
        } else {
            return Err(ConfigError::NeitherFileNorSetting(word.clone()).into());
        }
    }
    let origin = match file {
        Some(path) => Origin::File(cwd.join(path)),
        None if global.isolated => Origin::Isolated,
        None => Origin::Nearest,
    };
    Ok(Hierarchy::new(&origin, flags.over(settings), cwd)?)
}
