//! The command under its long name.

use std::process::ExitCode;

fn main() -> ExitCode {
    aether_lint::main()
}
