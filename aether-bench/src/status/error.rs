//! Why nothing can be said about an interpreter.
//!
//! *Invariant:* every error names the interpreter, and carries what it said.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use crate::python::PythonError;

/// Why nothing can be said about an interpreter.
#[derive(Debug, Error)]
pub enum StatusError {
    /// No interpreter was named, and none is to be found.
    #[error("found no active virtual environment and no `{wanted}` on PATH: name an interpreter with --python")]
    NotFound {
        /// The name that was looked for.
        wanted: &'static str,
    },
    /// It could not be started.
    #[error("cannot start `{}`", path.display())]
    Start {
        /// The interpreter.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The questions could not be written to the temporary folder.
    #[error("cannot write to the temporary folder")]
    Scratch(#[source] io::Error),
    /// It ended without an answer: no Python, or one too old.
    #[error("`{}` gave no answer ({status}){}", path.display(), on_its_own_line(stderr))]
    Died {
        /// The interpreter.
        path: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It took too long; it was killed.
    #[error("`{}` gave no answer within {after:?}{}", path.display(), on_its_own_line(stderr))]
    Silent {
        /// The interpreter.
        path: PathBuf,
        /// How long was waited.
        after: Duration,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It answered something else: no Python, or something in it prints at start-up.
    #[error("`{}` gave an answer that makes no sense ({detail}): {line}", path.display())]
    Nonsense {
        /// The interpreter.
        path: PathBuf,
        /// What was expected and not found.
        detail: serde_json::Error,
        /// The beginning of the answer.
        line: String,
    },
}

impl StatusError {
    /// What went wrong in the child, told as a failure of this question.
    pub(super) fn of_child(path: &Path, error: PythonError) -> Self {
        let path = path.to_owned();
        match error {
            PythonError::Start { source, .. } => Self::Start { path, source },
            PythonError::Died { status, stderr } => Self::Died { path, status, stderr },
            PythonError::Driver(source) => Self::Scratch(source),
            other => Self::Start { path, source: io::Error::other(other.to_string()) },
        }
    }
}

fn on_its_own_line(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\n{text}") }
}
