//! The command under its short name.

use std::process::ExitCode;

/// Facts are many small pieces, made on many threads and kept to the end.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    aether_lint::main()
}
