//! `completions`: a script for a shell, derived from the arguments.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::{CommandError, Outcome};
use crate::args::Cli;
use crate::terminal::print;

/// Prints the script, for both names of the program.
pub(super) fn run(shell: Shell) -> Result<Outcome, CommandError> {
    let mut script = Vec::new();
    for name in ["aether-lint", "aether"] {
        generate(shell, &mut Cli::command().bin_name(name), name, &mut script);
    }
    print(|out| out.write_all(&script)).map_err(CommandError::Print)?;
    Ok(Outcome::Clean)
}
