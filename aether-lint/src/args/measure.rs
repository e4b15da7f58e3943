//! What can be said to the commands that start interpreters: `profile` and `status`.
//!
//! *Invariant:* numbers arrive checked; paths are checked where they are used.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use aether_bench::python::GilModes;
use clap::{Args, ValueEnum, ValueHint};

/// Options of `profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// The Python script to measure
    #[arg(value_name = "SCRIPT", value_hint = ValueHint::FilePath)]
    pub(crate) script: PathBuf,

    /// An interpreter to run it in; several are measured in turn and compared with the first [default: that of the
    /// active virtual environment, else python3]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath, help_heading = "Workload")]
    pub(crate) python: Vec<PathBuf>,
    /// The function to call over and over [default: `workload`, else the script's body]
    #[arg(long, value_name = "NAME", help_heading = "Workload")]
    pub(crate) function: Option<String>,
    /// A function to call once in every process before measuring
    #[arg(long, value_name = "NAME", help_heading = "Workload")]
    pub(crate) setup: Option<String>,
    /// Run with the GIL, without, or both ways and compare [default: as the interpreter starts]
    #[arg(long, value_enum, value_name = "MODE", help_heading = "Workload")]
    pub(crate) gil: Option<GilChoice>,

    /// The largest number of threads [default: four per core, 16 to 64]
    #[arg(long, value_name = "N", help_heading = "Measurement")]
    pub(crate) max_threads: Option<NonZeroUsize>,
    /// Seconds measured in each run [default: 0.4]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Measurement")]
    pub(crate) duration: Option<Duration>,
    /// Runs every number of threads gets at least [default: 5]
    #[arg(long, value_name = "N", help_heading = "Measurement")]
    pub(crate) rounds: Option<NonZeroUsize>,
    /// Seconds after which no more precision is asked for [default: 120]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Measurement")]
    pub(crate) budget: Option<Duration>,
    /// Seconds after which a call that does not return counts as hung [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Measurement")]
    pub(crate) hang_after: Option<Duration>,

    /// How to print
    #[arg(long, value_enum, default_value_t = ProfileFormat::Text, value_name = "FORMAT", help_heading = "Output")]
    pub(crate) format: ProfileFormat,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// Save the curves, to hold later ones against
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Baseline")]
    pub(crate) save_baseline: Option<PathBuf>,
    /// Hold the curves against saved ones; what looks like a loss is measured again
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Baseline")]
    pub(crate) baseline: Option<PathBuf>,
    /// Exit with 1 if throughput has fallen, significantly and by 5 % or more
    #[arg(long, requires = "baseline", help_heading = "Baseline")]
    pub(crate) fail_on_regression: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The interpreter to ask [default: that of the active virtual environment, else python3]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
    pub(crate) python: Option<PathBuf>,
    /// Show build, settings and packages that are ready, too (like --verbose)
    #[arg(long)]
    pub(crate) full: bool,
    /// Do not import extension modules to see whether they enable the GIL (only done on free-threaded builds)
    #[arg(long)]
    pub(crate) no_import: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = StatusFormat::Text, value_name = "FORMAT")]
    pub(crate) format: StatusFormat,
}

/// How a profile is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileFormat {
    /// Chart, findings and table, for a terminal
    Text,
    /// For programs
    Json,
    /// One page, without scripts
    Html,
}

/// How a status is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// For a terminal
    Text,
    /// For programs
    Json,
}

/// Whether the script runs with the GIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GilChoice {
    /// With
    On,
    /// Without: needs a free-threaded build
    Off,
    /// With, and without where the build can
    Both,
}

impl From<GilChoice> for GilModes {
    fn from(choice: GilChoice) -> Self {
        match choice {
            GilChoice::On => Self::On,
            GilChoice::Off => Self::Off,
            GilChoice::Both => Self::Both,
        }
    }
}

/// A length of time in seconds.
fn seconds(word: &str) -> Result<Duration, String> {
    let number: f64 = word.parse().map_err(|_| "expected a number of seconds, such as 0.5".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
