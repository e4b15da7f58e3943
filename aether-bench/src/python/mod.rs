//! Python workloads: a script, measured in child interpreters by the driver this crate carries.
//!
//! A block is a fresh process. The driver's workers keep the time; this side watches from outside, where no GIL can
//! starve it, and ends what hangs.
//!
//! *Invariant:* a workload that raises, exits, hangs, prints or forks gives an error with its traceback, never a number.

pub(crate) mod child;
mod error;
mod outside;
mod protocol;
pub mod study;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use error::{Misdeed, PythonError};
pub use study::{GilModes, Study, StudyError};

use crate::os::host::ForeignMeter;
use crate::profile::workload::{
    CancelToken, Identity, Interpreter as Runtime, ProfileError, Sample, Shot, Subject, digest,
};
use child::Interpreter;
use outside::Outside;
use protocol::{Order, Reply};

/// The driver, as it is run by the interpreter.
pub const DRIVER: &str = include_str!("../../python/driver.py");

/// How often the watcher looks.
const SAMPLING: Duration = Duration::from_millis(10);
/// How long a script may take to be imported and set up.
const LOADING: Duration = Duration::from_mins(2);

/// Whether the interpreter runs with its GIL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gil {
    /// As the interpreter decides.
    #[default]
    AsBuilt,
    /// `-X gil=1`.
    On,
    /// `-X gil=0`; a build that cannot is an error.
    Off,
}

/// A Python script and how to run it.
#[derive(Debug)]
pub struct PythonScript {
    /// The interpreter.
    pub python: PathBuf,
    /// The script.
    pub script: PathBuf,
    /// The function to measure; by default `workload`, or the script's body if there is no such function.
    pub function: Option<String>,
    /// A function to call once in each process before measuring.
    pub setup: Option<String>,
    /// Whether it runs with its GIL.
    pub gil: Gil,
    driver: TempDir,
    interpreter: Option<Interpreter>,
    /// Whether the GIL was in force when the script had been loaded.
    gil_at_start: bool,
}

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "process {}", self.pid())
    }
}

impl PythonScript {
    /// Measures the script's `workload` function, or its body, in this interpreter.
    pub fn new(python: impl Into<PathBuf>, script: impl Into<PathBuf>) -> Result<Self, PythonError> {
        let driver = TempDir::with_prefix("aether-").map_err(PythonError::Driver)?;
        std::fs::write(driver.path().join("aether_driver.py"), DRIVER).map_err(PythonError::Driver)?;
        Ok(Self {
            python: python.into(),
            script: script.into(),
            function: None,
            setup: None,
            gil: Gil::AsBuilt,
            driver,
            interpreter: None,
            gil_at_start: true,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        match self.gil {
            Gil::AsBuilt => &mut command,
            Gil::On => command.args(["-X", "gil=1"]),
            Gil::Off => command.args(["-X", "gil=0"]),
        };
        command
            .arg(self.driver.path().join("aether_driver.py"))
            .arg(absolute(&self.script))
            .arg(self.function.as_deref().unwrap_or_default())
            .arg(self.setup.as_deref().unwrap_or_default());
        command
    }
}

/// Waits until the script is loaded.
fn greet(interpreter: &mut Interpreter, cancel: &CancelToken) -> Result<Runtime, ProfileError> {
    let deadline = Instant::now() + LOADING;
    loop {
        if cancel.is_cancelled() {
            return Err(ProfileError::Cancelled);
        }
        match interpreter.receive(SAMPLING)? {
            Some(Reply::Hello { version, path, free_threaded_build, gil }) => {
                return Ok(Runtime { version, path, free_threaded_build, gil });
            }
            Some(other) => return Err(unexpected(other).into()),
            None if Instant::now() > deadline => {
                let stderr = interpreter.abort();
                return Err(PythonError::Hung { threads: 1, after: LOADING, stderr }.into());
            }
            None => {}
        }
    }
}

impl Subject for PythonScript {
    fn begin_block(&mut self, cancel: &CancelToken) -> Result<Identity, ProfileError> {
        self.interpreter = None; // The old process ends before the new one is timed.
        let content =
            std::fs::read(&self.script).map_err(|source| PythonError::Script { path: self.script.clone(), source })?;
        let mut interpreter = Interpreter::start(self.command())?;
        let runtime = greet(&mut interpreter, cancel)?;
        self.gil_at_start = runtime.gil;
        self.interpreter = Some(interpreter);
        let name = self.script.file_name().unwrap_or_default().to_string_lossy();
        let function = self.function.as_deref().map(|name| format!("::{name}"));
        Ok(Identity {
            id: format!("{name}{}", function.unwrap_or_default()),
            hash: digest(&content),
            interpreter: Some(runtime),
        })
    }

    fn measure(&mut self, shot: &Shot, cancel: &CancelToken) -> Result<Sample, ProfileError> {
        if self.interpreter.is_none() {
            self.begin_block(cancel)?;
        }
        let Some(interpreter) = self.interpreter.as_mut() else {
            return Err(PythonError::Protocol("no interpreter".to_owned()).into());
        };
        let gil_at_start = self.gil_at_start;
        let outcome = watch(interpreter, shot, cancel).and_then(|measured| {
            let same = measured.gil == gil_at_start;
            if same { Ok(measured.sample) } else { Err(PythonError::GilChanged.into()) }
        });
        if outcome.is_err() {
            self.interpreter = None;
        }
        outcome
    }
}

/// A sample, and whether the GIL was in force when it was complete.
struct Measured {
    sample: Sample,
    gil: bool,
}

/// Gives one order and watches from outside until it is answered.
fn watch(interpreter: &mut Interpreter, shot: &Shot, cancel: &CancelToken) -> Result<Measured, ProfileError> {
    let order = Order::new(shot);
    let after = Duration::from_nanos(order.hard_ns) + shot.hang_after;
    let meter = ForeignMeter::start(own_and(interpreter));
    interpreter.send(&order)?;
    let started = Instant::now();
    let mut outside: Option<Outside> = None;
    loop {
        match interpreter.receive(SAMPLING)? {
            Some(Reply::Ready { tids }) => outside = Some(Outside::new(interpreter.pid(), tids)),
            Some(Reply::Result { workers, gil }) => {
                let sample = protocol::sample(&workers);
                let sample = Sample {
                    futex: outside.as_ref().and_then(Outside::futex),
                    run_queue: outside.as_ref().and_then(Outside::run_queue),
                    foreign: meter.stop(own_and(interpreter)),
                    ..sample
                };
                return Ok(Measured { sample, gil });
            }
            Some(other) => return Err(unexpected(other).into()),
            None => {
                if let Some(outside) = &mut outside {
                    outside.look();
                }
            }
        }
        if cancel.is_cancelled() {
            return Err(ProfileError::Cancelled);
        }
        if started.elapsed() > after {
            let stderr = interpreter.abort();
            return Err(PythonError::Hung { threads: shot.threads, after, stderr }.into());
        }
    }
}

/// CPU time that is not foreign: the interpreter's and our own.
fn own_and(interpreter: &Interpreter) -> Option<u64> {
    Some(interpreter.cpu_ns()? + crate::os::host::own_cpu_ns()?)
}

fn unexpected(reply: Reply) -> PythonError {
    match reply {
        Reply::Error { what, traceback } => PythonError::Misdeed { what, traceback: traceback.trim_end().to_owned() },
        other => PythonError::Protocol(format!("{other:?}")),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
