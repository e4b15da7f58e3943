//! What this interpreter is: the facts come from Python, the conclusions from `aether-bench`.
//!
//! *Invariant:* one interpreter, one answer: the command `status` and `aether.check` say the same about the same facts.
#![expect(clippy::needless_pass_by_value, reason = "what Python hands over arrives as an owned value")]

use std::path::PathBuf;

use aether_bench::status::{self, Facts, Imports, InterpreterStatus};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// The questions to ask an interpreter, as the source of a Python module.
#[pyfunction]
pub(crate) fn status_questions() -> &'static str {
    status::QUESTIONS
}

/// An interpreter and what is installed for it.
#[pyclass(frozen, module = "aether._native")]
pub(crate) struct Status(InterpreterStatus);

#[pymethods]
impl Status {
    /// All of it, as JSON.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.0).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// As the command prints it, `full` with every package.
    fn to_text(&self, full: bool) -> String {
        self.0.to_text(if full { status::Detail::Full } else { status::Detail::Brief })
    }
}

/// Draws the conclusions from the facts of this interpreter.
#[pyfunction]
pub(crate) fn judge_status(py: Python<'_>, facts: String) -> PyResult<Status> {
    py.detach(|| Facts::parse(&facts).map(|facts| Status(status::judge(facts, None))))
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Asks another interpreter.
#[pyfunction]
pub(crate) fn probe_status(py: Python<'_>, python: PathBuf, imports: bool) -> PyResult<Status> {
    let imports = if imports { Imports::Tried } else { Imports::Skipped };
    py.detach(|| status::probe(&python, imports)).map(Status).map_err(|error| PyOSError::new_err(error.to_string()))
}
