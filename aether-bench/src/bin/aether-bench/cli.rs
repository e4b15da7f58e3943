//! The command line.
//!
//! *Invariant:* every value is checked here or by the type it becomes; commands get what they can use.

use std::path::PathBuf;
use std::time::Duration;

use aether_bench::regress::Axis;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// How many threads a workload can use, and whether scaling has become worse.
///
/// Exit status: 0 pass, 1 fail, 3 inconclusive, 2 error.
#[derive(Parser)]
#[command(name = "aether-bench", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Measure throughput over thread counts: the peak, the cliff, the cause
    Profile(ProfileArgs),
    /// Run a command at several sizes and keep the numbers as a baseline
    Record(RecordArgs),
    /// Compare two programs run in turn, or two recorded baselines
    Compare(CompareArgs),
    /// Hold a program against a recorded baseline
    Check(CheckArgs),
    /// Measure this crate against its own targets
    Targets(TargetsArgs),
    /// Do a fixed amount of a built-in workload and report it as JSON (for `record`, `compare` and `check`)
    Work(WorkArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Chart, findings and table for a terminal
    Text,
    /// `aether-bench/scaling/1`
    Json,
    /// One page without scripts
    Html,
    /// The curve alone
    Svg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GilChoice {
    /// As the interpreter decides
    Default,
    /// With the GIL
    On,
    /// Without the GIL
    Off,
    /// Both, compared
    Both,
}

#[derive(Args)]
pub(crate) struct ProfileArgs {
    /// A Python script, or one of: sleep, cpu, gil, gil-long, lock, lock-io, blend, mixed
    pub(crate) workload: String,
    /// Interpreter to run the script with; several are compared in one report
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Vec<PathBuf>,
    /// Function of the script to measure [default: `workload`, else the script's body]
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// Function of the script to call once in every process before measuring
    #[arg(long, value_name = "NAME")]
    pub(crate) setup: Option<String>,
    /// Whether the interpreter runs with its GIL
    #[arg(long, value_enum, default_value = "default")]
    pub(crate) gil: GilChoice,
    /// Largest thread count
    #[arg(long, value_name = "N")]
    pub(crate) max_threads: Option<usize>,
    /// Seconds measured in each run
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,
    /// Rounds every thread count gets
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
    /// Seconds after which no more precision is asked for
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) budget: Option<Duration>,
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// Write the result to a file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AxisChoice {
    /// Sizes are thread counts
    Threads,
    /// Sizes are sizes of the input
    Size,
}

impl From<AxisChoice> for Axis {
    fn from(choice: AxisChoice) -> Self {
        match choice {
            AxisChoice::Threads => Self::Threads,
            AxisChoice::Size => Self::Size,
        }
    }
}

#[derive(Args)]
pub(crate) struct CaseArgs {
    /// Sizes to run
    #[arg(long, value_delimiter = ',', value_name = "N,N,…", default_value = "1,2")]
    pub(crate) sizes: Vec<usize>,
    /// What the sizes mean
    #[arg(long, value_enum, default_value = "threads")]
    pub(crate) axis: AxisChoice,
    /// Name of the case
    #[arg(long, default_value = "case")]
    pub(crate) name: String,
    /// The command; `{n}` stands for the size, `{bin}` for the program under test [default: `{bin} {n}`]
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Args)]
pub(crate) struct RecordArgs {
    /// File to write
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The program that `{bin}` stands for
    #[arg(long, value_name = "PROGRAM", default_value = "")]
    pub(crate) bin: String,
    /// Runs at each size
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) runs: usize,
    #[command(flatten)]
    pub(crate) case: CaseArgs,
}

#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The old program, or a recorded baseline (`.json`)
    pub(crate) old: String,
    /// The new program, or a recorded baseline (`.json`)
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) effort: EffortArgs,
    #[command(flatten)]
    pub(crate) case: CaseArgs,
}

#[derive(Args)]
pub(crate) struct EffortArgs {
    /// Pairs of runs at each size
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) pairs: usize,
    /// Pairs at each size at most, where the first ones cannot tell
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(crate) most_pairs: usize,
    /// Print the comparison as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The recorded baseline
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: PathBuf,
    /// The program that `{bin}` stands for [default: the one that was recorded]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) bin: Option<String>,
    #[command(flatten)]
    pub(crate) effort: EffortArgs,
}

#[derive(Args)]
pub(crate) struct TargetsArgs {
    /// Rows to measure, 1 to 12 [default: all]
    #[arg(long, value_delimiter = ',', value_name = "ROW,…")]
    pub(crate) rows: Vec<u32>,
    /// A tenth of the time: shows that everything runs, proves little
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlowBy {
    /// More computing
    Cpu,
    /// More waiting
    Blocking,
}

#[derive(Args)]
pub(crate) struct WorkArgs {
    /// Threads
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Tasks of half a millisecond, over all threads
    #[arg(long, default_value_t = 400)]
    pub(crate) tasks: usize,
    /// Per cent by which every task is slowed down
    #[arg(long, default_value_t = 0.0)]
    pub(crate) slow: f64,
    /// How it is slowed down
    #[arg(long, value_enum, default_value = "cpu")]
    pub(crate) slow_by: SlowBy,
    /// Turns of the loop a task is made of; calibrated if not given (and then not comparable between processes)
    #[arg(long)]
    pub(crate) turns: Option<u64>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    Duration::try_from_secs_f64(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("x").is_err());
    }
}
