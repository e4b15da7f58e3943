//! One script in one or several interpreters, measured in turn.
//!
//! *Invariant:* every interpreter is asked what it is before anything is measured: a mode that a build does not have is
//! an error at once, and never a curve of another mode.

use std::path::PathBuf;

use thiserror::Error;

use super::{Gil, PythonError, PythonScript};
use crate::profile::workload::Subject;
use crate::profile::{CancelToken, ProfileError, Progress, SaturationAnalysis, SaturationCliffProfiler};
use crate::status::{self, Imports, StatusError};

/// Which modes an interpreter is measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GilModes {
    /// The one it starts in.
    #[default]
    Default,
    /// With the GIL.
    On,
    /// Without.
    Off,
    /// With, and without where the build can.
    Both,
}

/// What to measure, and where.
#[derive(Clone, Debug)]
pub struct Study {
    /// The script.
    pub script: PathBuf,
    /// The interpreters; the first one is what the others are compared with.
    pub pythons: Vec<PathBuf>,
    /// The modes.
    pub modes: GilModes,
    /// The function to measure; by default `workload`, or the script's body if there is no such function.
    pub function: Option<String>,
    /// A function to call once in each process before measuring.
    pub setup: Option<String>,
}

/// Why there are no curves.
#[derive(Debug, Error)]
pub enum StudyError {
    /// The script cannot be used.
    #[error("cannot read `{}`", path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An interpreter does not say what it is.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A mode was asked for that no interpreter has.
    #[error("{pythons} cannot run without the GIL: name a free-threaded build, such as python3.14t")]
    NoFreeThreading {
        /// The interpreters, with their paths.
        pythons: String,
    },
    /// The measurement failed.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl From<PythonError> for StudyError {
    fn from(error: PythonError) -> Self {
        Self::Profile(error.into())
    }
}

impl Study {
    /// One curve an interpreter and mode, in the order of the interpreters, with the GIL first.
    pub fn run(
        &self,
        profiler: &SaturationCliffProfiler,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<SaturationAnalysis>, StudyError> {
        let script = |source| StudyError::Script { path: self.script.clone(), source };
        // Opened before interpreters are started: a misspelt name is the likeliest mistake.
        std::fs::File::open(&self.script).and_then(|file| file.metadata()).map_err(script)?;
        let mut scripts = Vec::new();
        for (python, gil) in self.chosen()? {
            scripts.push(PythonScript {
                function: self.function.clone(),
                setup: self.setup.clone(),
                gil,
                ..PythonScript::new(python, &self.script)?
            });
        }
        let mut subjects: Vec<&mut dyn Subject> = Vec::new();
        for script in &mut scripts {
            subjects.push(script);
        }
        Ok(profiler.profile_several(&mut subjects, cancel, progress)?)
    }

    /// Every interpreter with every mode it is measured in.
    fn chosen(&self) -> Result<Vec<(PathBuf, Gil)>, StudyError> {
        if self.modes == GilModes::Default {
            return Ok(self.pythons.iter().map(|python| (python.clone(), Gil::AsBuilt)).collect());
        }
        let mut chosen = Vec::new();
        let mut without = Vec::new();
        for python in &self.pythons {
            let status = status::probe(python, Imports::Skipped)?;
            let free = status.is_free_threaded_build;
            if !free {
                without.push(format!("{} ({})", status.interpreter.executable, status.python));
            }
            // Builds without a choice do not all accept being told what they do anyway.
            let on = if free { Gil::On } else { Gil::AsBuilt };
            let modes: &[Gil] = match (self.modes, free) {
                (GilModes::On | GilModes::Default, _) | (GilModes::Both, false) => &[on],
                (GilModes::Off, _) => &[Gil::Off],
                (GilModes::Both, true) => &[on, Gil::Off],
            };
            chosen.extend(modes.iter().map(|&gil| (python.clone(), gil)));
        }
        let impossible = match self.modes {
            GilModes::Off => !without.is_empty(),
            GilModes::Both => without.len() == self.pythons.len(),
            GilModes::Default | GilModes::On => false,
        };
        if impossible { Err(StudyError::NoFreeThreading { pythons: without.join(", ") }) } else { Ok(chosen) }
    }
}
