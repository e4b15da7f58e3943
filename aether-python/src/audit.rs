//! The linter for Python callers: words of the command line in, findings as JSON out.
//!
//! *Invariant:* an error arrives as the exception its cause deserves: whose words were wrong, whose file, whose system.
#![expect(clippy::needless_pass_by_value, reason = "what Python hands over arrives as an owned value")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use aether_lint::embed::{self, EmbedError, Text};
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

pyo3::create_exception!(
    aether.audit,
    ConfigurationError,
    PyValueError,
    "A configuration file (`aether.toml`, `pyproject.toml`) is wrong; the message shows where."
);

/// `ENOENT`, which makes an `OSError` with a file name read as Python's own do.
const NO_SUCH_FILE: i32 = 2;

/// What a run found.
#[pyclass(frozen, module = "aether._native")]
pub(crate) struct Checked(embed::Checked);

#[pymethods]
impl Checked {
    /// The findings in one of the command's output formats.
    fn render(&self, py: Python<'_>, format: &str) -> PyResult<String> {
        py.detach(|| self.0.render(format)).map_err(exception)
    }

    /// What was left out and why.
    #[getter]
    fn skipped(&self) -> Vec<String> {
        self.0.skipped().to_vec()
    }

    /// The paths that were checked, as findings name them.
    #[getter]
    fn paths(&self) -> Vec<String> {
        self.0.report().files.iter().map(|file| file.path.to_string()).collect()
    }

    /// The text that was checked at this place in `paths`.
    fn text(&self, index: usize) -> Option<String> {
        self.0.report().files.get(index).map(|file| file.text.to_string())
    }

    /// What the run saw, by name.
    #[getter]
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let statistics = self.0.report().statistics;
        let counts = PyDict::new(py);
        for (name, count) in [
            ("files", statistics.files),
            ("skimmed", statistics.skimmed),
            ("lines", statistics.lines),
            ("functions", statistics.functions),
            ("roots", statistics.roots),
            ("calls", statistics.calls),
            ("opaque_calls", statistics.opaque_calls),
            ("shared_places", statistics.shared_places),
            ("hidden_by_confidence", statistics.hidden_by_confidence),
            ("suppressed", statistics.suppressed),
        ] {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }
}

/// What `aether-lint check WORDS…` finds.
#[pyfunction]
pub(crate) fn check(py: Python<'_>, words: Vec<OsString>) -> PyResult<Checked> {
    py.detach(|| embed::check(words)).map(Checked).map_err(exception)
}

/// What the same words find in a text in memory.
#[pyfunction]
pub(crate) fn check_text(py: Python<'_>, source: String, name: PathBuf, words: Vec<OsString>) -> PyResult<Checked> {
    checked(py, Text::Module(source), &name, words)
}

/// What the same words find in the cells of a notebook, given in the order they ran.
#[pyfunction]
pub(crate) fn check_cells(
    py: Python<'_>,
    cells: Vec<String>,
    name: PathBuf,
    words: Vec<OsString>,
) -> PyResult<Checked> {
    checked(py, Text::Cells(cells), &name, words)
}

fn checked(py: Python<'_>, text: Text, name: &Path, words: Vec<OsString>) -> PyResult<Checked> {
    py.detach(|| embed::check_text(text, name, words)).map(Checked).map_err(exception)
}

fn exception(error: EmbedError) -> PyErr {
    match error {
        EmbedError::Usage(message) => PyValueError::new_err(message),
        EmbedError::Config(message) => ConfigurationError::new_err(message),
        EmbedError::Missing(path) => PyFileNotFoundError::new_err((NO_SUCH_FILE, "No such file or directory", path)),
        EmbedError::System(message) => PyOSError::new_err(message),
    }
}
