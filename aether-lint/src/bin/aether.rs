//! The command under its short name.

use std::process::ExitCode;

fn main() -> ExitCode {
    aether_lint::main()
}
