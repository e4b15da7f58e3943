//! Runs the questions in the interpreter they are about.
//!
//! *Invariant:* an interpreter that hangs or dies ends within a known time, with everything it started; importing a
//! module never happens in the process that reported the facts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::QUESTIONS;
use super::error::StatusError;
use super::facts::{Facts, Import, ImportOutcome};
use crate::python::PythonError;
use crate::python::child::Interpreter;

/// How long the facts may take; they read the files of every installed package.
const FACTS: Duration = Duration::from_mins(1);
/// How long one import may take.
const IMPORT: Duration = Duration::from_secs(30);

/// The questions, written down for one interpreter.
pub(super) struct Questions {
    python: PathBuf,
    folder: TempDir,
}

impl Questions {
    pub(super) fn new(python: &Path) -> Result<Self, StatusError> {
        let folder = TempDir::with_prefix("aether-").map_err(StatusError::Scratch)?;
        std::fs::write(folder.path().join("aether_status.py"), QUESTIONS).map_err(StatusError::Scratch)?;
        Ok(Self { python: python.to_owned(), folder })
    }

    pub(super) fn facts(&self) -> Result<Facts, StatusError> {
        let mut interpreter = self.start("facts", Environment::AsIs)?;
        let line = match interpreter.receive_line(FACTS) {
            Ok(Some(line)) => line,
            Ok(None) => {
                let stderr = interpreter.abort();
                return Err(StatusError::Silent { path: self.python.clone(), after: FACTS, stderr });
            }
            Err(error) => return Err(StatusError::of_child(&self.python, error)),
        };
        Facts::parse(&line).map_err(|detail| self.nonsense(detail, &line))
    }

    /// Imports each module, in as many processes as it takes: none tells more once its GIL is on, or once it has ended.
    pub(super) fn import(&self, modules: &[String]) -> Result<Vec<Import>, StatusError> {
        let mut outcomes: Vec<Import> = Vec::new();
        while outcomes.len() < modules.len() {
            let before = outcomes.len();
            self.import_some(&modules[before..], &mut outcomes)?;
            if outcomes.len() == before {
                break; // Not even the first answers: the reason is not in the modules.
            }
        }
        Ok(outcomes)
    }

    /// Imports from the first of `modules` on, as far as one process gets.
    fn import_some(&self, modules: &[String], outcomes: &mut Vec<Import>) -> Result<(), StatusError> {
        let mut interpreter = self.start("imports", Environment::WithoutGilVariable)?;
        let failed = |error| StatusError::of_child(&self.python, error);
        interpreter.send(&modules).map_err(failed)?;
        let mut pending: Option<Import> = None;
        loop {
            let line = match interpreter.receive_line(IMPORT) {
                Ok(Some(line)) => line,
                Ok(None) => {
                    outcomes.extend(pending.map(|import| import.ended(format!("did not finish within {IMPORT:?}"))));
                    return Ok(());
                }
                Err(PythonError::Died { status, .. }) => {
                    outcomes.extend(pending.map(|import| import.ended(format!("ended the interpreter ({status})"))));
                    return Ok(());
                }
                Err(error) => return Err(failed(error)),
            };
            let import: Import = serde_json::from_str(&line).map_err(|detail| self.nonsense(detail, &line))?;
            if import.outcome == ImportOutcome::Started {
                pending = Some(import);
            } else {
                pending = None;
                outcomes.push(import);
            }
        }
    }

    fn start(&self, question: &str, environment: Environment) -> Result<Interpreter, StatusError> {
        let mut command = Command::new(&self.python);
        command.arg(self.folder.path().join("aether_status.py")).arg(question);
        if environment == Environment::WithoutGilVariable {
            command.env_remove("PYTHON_GIL");
        }
        Interpreter::start(command).map_err(|error| StatusError::of_child(&self.python, error))
    }

    fn nonsense(&self, detail: serde_json::Error, line: &str) -> StatusError {
        StatusError::Nonsense { path: self.python.clone(), detail, line: line.chars().take(200).collect() }
    }
}

/// What the child sees of our environment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Environment {
    /// Everything: it is part of the answer.
    AsIs,
    /// Nothing may force the GIL, or modules would not show what they do to it.
    WithoutGilVariable,
}

impl Import {
    /// An import that began and did not return.
    fn ended(self, problem: String) -> Self {
        Self { outcome: ImportOutcome::Failed, problem: Some(problem), ..self }
    }
}
