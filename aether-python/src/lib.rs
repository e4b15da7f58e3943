//! The native half of the Python package `aether`: converts types and lets go of the interpreter, nothing else.
//!
//! *Invariant:* whatever takes longer than a look-up runs detached, so that other Python threads go on meanwhile; no
//! lock of ours is held while Python code runs.

use pyo3::prelude::*;

mod audit;
mod command;

/// What `aether._native` holds; its types are described in `aether/_native.pyi`.
#[pymodule(gil_used = false)]
#[pyo3(name = "_native")]
mod native {
    #[pymodule_export]
    use super::audit::{Checked, ConfigurationError, check, check_cells, check_text};
    #[pymodule_export]
    use super::command::main;

    use super::{Bound, PyModule, PyModuleMethods as _, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
