//! The command, as the scripts `aether` and `aether-lint` call it.
//!
//! *Invariant:* the interpreter is let go for as long as the command runs.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line `args`, the program's name first, and returns the exit code. Writes to the process's own
/// standard output and standard error, not to `sys.stdout`.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| aether_lint::run(args.into_iter()))
}
