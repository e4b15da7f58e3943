//! The Python files that the linter is timed on, and what reading and parsing them costs: the floor no linter gets under.
//!
//! Invariant: files come in the same order every time; installed packages are left out.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

/// The Python files below a folder, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("site-packages") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "py") {
            found.push(path);
        }
    }
}

/// Reads and parses every file on all threads, and drops the trees.
pub(crate) fn parse<'a>(files: impl IndexedParallelIterator<Item = &'a PathBuf>) {
    // File by file, as the linter does: larger shares leave threads idle at the end.
    files.with_max_len(1).for_each(|path| {
        if let Ok(text) = fs::read_to_string(path) {
            black_box(ruff_python_parser::parse_unchecked_source(&text, ruff_python_ast::PySourceType::Python));
        }
    });
}
