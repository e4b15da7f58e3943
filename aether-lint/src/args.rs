//! What can be said on the command line: one value per command, with the words of its help.
//!
//! *Invariant:* everything that can be checked without touching the file system is checked here, so that a misspelt
//! rule or version is a usage error (exit 2) before any work starts.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use aether_rules::registry::Selector;
use aether_rules::{Confidence, TargetBuilds};
use clap::{Args, ColorChoice, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::config::Target;
use crate::render::OutputFormat;

mod measure;
mod values;

pub(crate) use measure::{ProfileArgs, ProfileFormat, StatusArgs, StatusFormat};
pub(crate) use values::{DocFormat, ListFormat};
use values::{confidence, selector, target};

/// Finds thread-safety and free-threading hazards in Python.
#[derive(Debug, Parser)]
#[command(name = "aether-lint", bin_name = "aether-lint", version, max_term_width = 100)]
#[command(after_help = "Exit status: 0 nothing to report, 1 problems found, 2 the run itself failed.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check Python files and report the hazards
    Check(Box<CheckArgs>),
    /// Check and show everything, findings of low confidence too (`check --all`)
    Scan(Box<CheckArgs>),
    /// Measure how many threads a Python script can use, and why not more
    Profile(Box<ProfileArgs>),
    /// Say whether an interpreter's GIL is in force, and which installed packages can do without it
    Status(StatusArgs),
    /// Explain what a rule reports, why, and what to do
    Explain(ExplainArgs),
    /// List the rules
    Rules(RulesArgs),
    /// Show the resolved settings, or the schema of `aether.toml`
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// A configuration file to use instead of the discovered ones, or a single `key = value` to override
    #[arg(long, global = true, value_name = "PATH|KEY=VALUE", help_heading = "Configuration")]
    pub(crate) config: Vec<String>,
    /// Ignore all configuration files
    #[arg(long, global = true, help_heading = "Configuration")]
    pub(crate) isolated: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto, help_heading = "Messages")]
    pub(crate) color: ColorChoice,
    /// Say more on standard error: configuration files, skipped files, times
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = "Messages")]
    pub(crate) verbose: bool,
    /// Say nothing on standard error except errors
    #[arg(short, long, global = true, help_heading = "Messages")]
    pub(crate) quiet: bool,
}

/// Options of `check` and `scan`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field per flag of the command line; typed right behind it")]
pub(crate) struct CheckArgs {
    /// Files and directories; `-` reads standard input [default: .]
    #[arg(value_name = "PATHS", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,

    /// Run only these rules: codes, prefixes, names or families, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = selector, value_name = "RULES", help_heading = "Rules")]
    pub(crate) select: Vec<Selector>,
    /// Run these rules too
    #[arg(long, value_delimiter = ',', value_parser = selector, value_name = "RULES", help_heading = "Rules")]
    pub(crate) extend_select: Vec<Selector>,
    /// Do not run these rules
    #[arg(long, value_delimiter = ',', value_parser = selector, value_name = "RULES", help_heading = "Rules")]
    pub(crate) ignore: Vec<Selector>,
    /// Show findings of at least this confidence: low, medium, high [default: medium]
    #[arg(long, value_parser = confidence, value_name = "LEVEL", help_heading = "Rules")]
    pub(crate) min_confidence: Option<Confidence>,
    /// Show findings of low confidence too
    #[arg(long, conflicts_with = "min_confidence", help_heading = "Rules")]
    pub(crate) all: bool,

    /// The oldest Python the code must run on, like 3.13; 3.14t is its free-threaded build
    #[arg(long, value_parser = target, value_name = "VERSION", help_heading = "Target")]
    pub(crate) target_version: Option<Target>,
    /// The code runs on free-threaded builds only
    #[arg(long, overrides_with = "no_free_threaded", help_heading = "Target")]
    pub(crate) free_threaded: bool,
    /// The code runs on builds with the GIL only
    #[arg(long, overrides_with = "free_threaded", help_heading = "Target")]
    pub(crate) no_free_threaded: bool,

    /// Skip files and directories that match, besides those of the configuration
    #[arg(long, value_delimiter = ',', value_name = "GLOBS", help_heading = "Files")]
    pub(crate) exclude: Vec<String>,
    /// Apply exclusions even to files named on the command line
    #[arg(long, help_heading = "Files")]
    pub(crate) force_exclude: bool,
    /// Check files that `.gitignore` leaves out
    #[arg(long, help_heading = "Files")]
    pub(crate) no_respect_gitignore: bool,
    /// The name of what standard input holds: decides configuration, kind and reported path
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    pub(crate) stdin_filename: Option<PathBuf>,

    /// How to print findings [default: full]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub(crate) output_format: Option<OutputFormat>,
    /// Write findings to this file instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(crate) output_file: Option<PathBuf>,
    /// Count findings per rule, and say what the run saw, on standard error
    #[arg(long, help_heading = "Output")]
    pub(crate) statistics: bool,
    /// Exit with 0 even if there are findings
    #[arg(long, help_heading = "Output")]
    pub(crate) exit_zero: bool,

    /// How many threads to use [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

impl CheckArgs {
    /// The builds the flags decide on, if they do.
    pub(crate) fn builds(&self) -> Option<TargetBuilds> {
        match (self.free_threaded, self.no_free_threaded) {
            (true, _) => Some(TargetBuilds::FreeThreaded),
            (_, true) => Some(TargetBuilds::Gil),
            _ => None,
        }
    }
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Codes or names
    #[arg(required = true, value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = DocFormat::Text, value_name = "FORMAT")]
    pub(crate) output_format: DocFormat,
}

/// Options of `rules`.
#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// Only these: codes, prefixes, names or families
    #[arg(value_parser = selector, value_name = "RULES")]
    pub(crate) rules: Vec<Selector>,
    /// How to print
    #[arg(long, value_enum, default_value_t = ListFormat::Text, value_name = "FORMAT")]
    pub(crate) output_format: ListFormat,
}

/// Options of `config`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ConfigAction>,
    /// The file or directory whose settings to show
    #[arg(default_value = ".", value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
}

/// What else `config` can do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print the JSON Schema of `aether.toml`
    Schema,
    /// Print every key, what it decides and its default, as Markdown
    Reference,
}

/// Reads the command line; usage errors, `--help` and `--version` come back as the error.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(args)
}
