//! The native half of the Python package `aether`: converts types and lets go of the interpreter, nothing else.
//!
//! *Invariant:* whatever takes longer than a look-up runs detached, so that other Python threads go on meanwhile; no
//! lock of ours is held while Python code runs.

use pyo3::prelude::*;

mod audit;
mod command;
mod pool;
mod profile;
mod status;

/// What `aether._native` holds; its types are described in `aether/_native.pyi`.
#[pymodule(gil_used = false)]
#[pyo3(name = "_native")]
mod native {
    #[pymodule_export]
    use super::audit::{Checked, ConfigurationError, check, check_cells, check_text};
    #[pymodule_export]
    use super::command::main;
    #[pymodule_export]
    use super::pool::{Pool, Worker};
    #[pymodule_export]
    use super::profile::{Analysis, Probe, Sampler, profile};
    #[pymodule_export]
    use super::status::{Status, judge_status, probe_status, status_questions};

    use super::{Bound, PyModule, PyModuleMethods as _, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
