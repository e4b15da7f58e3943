//! The command `aether-lint`, also installed as `aether`.
//!
//! Rooms in one direction: [`args`] → [`config`] → [`discover`] → [`read`] → the engine → [`render`] → exit code.
//! `profile` and `status` are faces of `aether-bench` and use none of these rooms.
//! Only [`terminal`] writes to the terminal; only [`config`], [`discover`] and [`read`] touch the file system.
//!
//! *Invariant:* standard output carries what was asked for and nothing else; whatever the machine's order of events,
//! the same files and settings give the same bytes.

use std::ffi::OsString;
use std::process::ExitCode;

mod args;
mod command;
mod config;
mod discover;
mod docs;
pub mod embed;
mod files;
mod progress;
mod read;
mod render;
mod terminal;

/// Runs the command on the arguments of this process.
///
/// A crate of third-party rules calls it from a three-line `main`; its rules are found because they are linked in.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs the command line `args`, the program's name first, and says how the process should exit: 0 nothing to report,
/// 1 problems found, 2 the run itself failed.
pub fn run(args: impl Iterator<Item = OsString>) -> u8 {
    command::run(args)
}
