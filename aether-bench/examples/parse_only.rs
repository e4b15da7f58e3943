//! Reads and parses the Python files below a folder with the linter's parser, and does nothing else: what `ratios.py`
//! holds the linter against.

use std::path::Path;
use std::process::ExitCode;

use rayon::prelude::*;

#[path = "../benches/corpus/mod.rs"]
mod corpus;

/// The linter's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else { return ExitCode::from(2) };
    corpus::parse(corpus::files(Path::new(&folder)).par_iter());
    ExitCode::SUCCESS
}
