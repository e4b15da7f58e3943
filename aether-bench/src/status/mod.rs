//! What an interpreter is: its build, whether its GIL is in force and why, and which installed packages can do without.
//!
//! [`probe`] runs `python/status.py` in the interpreter ([`ask`]), which reports [`facts`]; [`judge`] is pure and draws
//! the conclusions. Who has the facts already, because Python runs in the same process, calls [`judge`] directly.
//!
//! *Invariant:* nothing is known here about any package by its name: every verdict carries the observation or
//! declaration it rests on, and what is not known is called unknown.

mod ask;
mod error;
pub mod facts;
mod find;
mod gil;
mod package;
mod text;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use error::StatusError;
pub use facts::{Facts, Import, ImportOutcome};
pub use find::default_interpreter;
pub use gil::{GilReason, GilStatus};
pub use package::{Basis, Package, Verdict};
pub use text::Detail;

/// The questions, as they are run by the interpreter. A Python program may also import this text as a module and hand
/// what its function `facts` returns, as JSON, to [`Facts::parse`].
pub const QUESTIONS: &str = include_str!("../../python/status.py");

/// The format of the JSON that [`InterpreterStatus`] becomes.
pub const SCHEMA: &str = "aether-bench/status/1";

/// Whether extension modules may be imported, in a process of their own, to see what they do to the GIL.
///
/// Importing runs code of the packages, which the interpreter's owner installed. Only a free-threaded interpreter shows
/// anything; others are never asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Imports {
    /// Where it shows something.
    #[default]
    Tried,
    /// Declarations only.
    Skipped,
}

/// An interpreter and what is installed for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterpreterStatus {
    /// [`SCHEMA`].
    pub schema: String,
    /// Implementation and version, as in "`CPython` 3.14.0".
    pub python: String,
    /// Whether the build can run without a GIL.
    pub is_free_threaded_build: bool,
    /// Whether threads run in parallel now: the GIL is not in force.
    pub is_free_threaded: bool,
    /// Whether the GIL is in force.
    pub gil_status: GilStatus,
    /// Why.
    pub gil_reason: GilReason,
    /// Why, and what would change it, in sentences.
    pub gil_explanation: String,
    /// How the interpreter was built and is set.
    pub interpreter: facts::Interpreter,
    /// Packages that ship extension modules or declare something about free threading, by name.
    pub packages: Vec<Package>,
    /// How many others are installed: Python code alone never enables the GIL.
    pub pure_python_packages: usize,
    /// Whether the extension modules were imported to see what they do.
    pub imports_tried: bool,
    /// Names of the packages known to support free threading.
    pub free_threaded_packages: Vec<String>,
    /// Names of all other packages listed.
    pub potentially_unsafe_packages: Vec<String>,
}

impl InterpreterStatus {
    /// The status for programs, format [`SCHEMA`].
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

/// Asks the interpreter at `python` (a path, or a name to be found on `PATH`).
pub fn probe(python: &Path, imports: Imports) -> Result<InterpreterStatus, StatusError> {
    let questions = ask::Questions::new(python)?;
    let facts = questions.facts()?;
    let observed = match imports {
        Imports::Tried if facts.interpreter.free_threaded_build => Some(questions.import(&facts.modules_to_try())?),
        _ => None,
    };
    Ok(judge(facts, observed.as_deref()))
}

/// Draws the conclusions; `imports` are what came of importing extension modules, if that was tried.
pub fn judge(facts: Facts, imports: Option<&[Import]>) -> InterpreterStatus {
    let observed = imports.unwrap_or_default();
    let (reported, others): (Vec<_>, Vec<_>) = facts.distributions.iter().partition(|found| found.matters());
    let mut packages: Vec<Package> =
        reported.into_iter().map(|found| Package::judge(found, &facts.interpreter, observed)).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let names = |wanted: fn(Verdict) -> bool| -> Vec<String> {
        packages.iter().filter(|package| wanted(package.verdict)).map(|package| package.name.clone()).collect()
    };
    let (gil_status, gil_reason) = gil::read(&facts);
    InterpreterStatus {
        schema: SCHEMA.to_owned(),
        python: format!("{} {}", facts.interpreter.implementation, facts.interpreter.version),
        is_free_threaded_build: facts.interpreter.free_threaded_build,
        is_free_threaded: gil_status == GilStatus::Disabled,
        gil_status,
        gil_explanation: gil_reason.explanation(gil_status),
        gil_reason,
        free_threaded_packages: names(|verdict| verdict == Verdict::Ready),
        potentially_unsafe_packages: names(|verdict| verdict != Verdict::Ready),
        packages,
        pure_python_packages: others.len(),
        imports_tried: imports.is_some(),
        interpreter: facts.interpreter,
    }
}

#[cfg(test)]
mod tests;
