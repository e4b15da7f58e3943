//! `aether-bench`: profiles a workload, records and compares scaling, measures the targets of this crate.
//!
//! *Invariant:* standard output carries results, standard error everything else; exit 0 pass, 1 fail, 3 inconclusive,
//! 2 error.
#![expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^53")]

mod cli;
mod output;
mod profile;
mod regress;
mod targets;
mod work;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Whatever went wrong, for the last line on standard error.
type AnyError = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Record(arguments) => regress::record(&arguments),
        Command::Compare(arguments) => regress::compare(&arguments),
        Command::Check(arguments) => regress::check(&arguments),
        Command::Targets(arguments) => targets::run(&arguments),
        Command::Work(arguments) => work::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        output::note(&format!("error: {error}"));
        let mut source = error.source();
        while let Some(cause) = source {
            output::note(&format!("  because: {cause}"));
            source = cause.source();
        }
        ExitCode::from(2)
    })
}
