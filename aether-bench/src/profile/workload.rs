//! What can be profiled, and how a measurement is asked for.
//!
//! *Invariant:* a workload that fails ends the profile with its error; it never contributes a number.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::latency::Durations;
use super::trace::WorkerTrace;
use crate::os::host::Foreign;
use crate::python::PythonError;

/// The error of a workload, handed to the caller as it is.
pub type Failure = Box<dyn Error + Send + Sync>;

/// One task, run over and over on many threads.
pub trait Workload: Send + Sync {
    /// What to call it in reports and baselines.
    fn name(&self) -> &str;

    /// A digest of what it does; baselines of another digest are not compared.
    fn digest(&self) -> String {
        digest(self.name().as_bytes())
    }

    /// Runs the task once, on the worker of this number.
    fn call(&self, worker: usize) -> Result<(), Failure>;
}

/// A closure as a workload.
pub struct Task<F> {
    name: String,
    function: F,
}

impl<F: Fn(usize) + Send + Sync> Task<F> {
    /// Names a closure that takes the worker's number.
    pub fn new(name: impl Into<String>, function: F) -> Self {
        Self { name: name.into(), function }
    }
}

impl<F: Fn(usize) + Send + Sync> Workload for Task<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, worker: usize) -> Result<(), Failure> {
        (self.function)(worker);
        Ok(())
    }
}

/// FNV-1a, 64 bit: a stable name for content, not protection against anybody.
pub fn digest(content: &[u8]) -> String {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", content.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Ends a run early, from a signal handler or another thread. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that Ctrl-C cancels from now on, instead of ending the process: for commands, not for libraries.
    pub fn of_interrupt() -> Self {
        let token = Self::default();
        let handler = token.clone();
        // Without a handler Ctrl-C still ends the process, only less gently.
        ctrlc::set_handler(move || handler.cancel()).unwrap_or_default();
        token
    }

    /// Asks every holder to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// When tasks start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as the worker is free: finds the capacity.
    Closed,
    /// On a schedule of so many per second, late or not: finds what a request would wait. Times count from the moment
    /// a task was due, so that a slow task is not hidden by the requests it held up (coordinated omission).
    Open(f64),
}

/// One measurement to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shot {
    /// Threads at work.
    pub threads: usize,
    /// The longest warm-up before the measured part.
    pub warm: Duration,
    /// The measured part.
    pub measure: Duration,
    /// When tasks start.
    pub pace: Pace,
    /// How long a worker may go without finishing a task before the workload counts as hung.
    pub hang_after: Duration,
}

impl Shot {
    /// Workers note their counters this often.
    pub fn window(&self) -> Duration {
        (self.measure / 10).max(Duration::from_millis(10))
    }
}

/// The raw result of a [`Shot`].
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// One trace a worker.
    pub traces: Vec<WorkerTrace>,
    /// From a task's start to its end.
    pub service: Durations,
    /// From the moment a task was due to its end (open pace only).
    pub sojourn: Durations,
    /// Samples of sleeping workers: how many slept on a futex, of how many.
    pub futex: Option<(u64, u64)>,
    /// Run-queue share where it was seen from outside and not by the workers.
    pub run_queue: Option<f64>,
    /// What others used meanwhile.
    pub foreign: Option<Foreign>,
}

/// The runtime a workload ran in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interpreter {
    /// Implementation and version, as in "`CPython` 3.14.0".
    pub version: String,
    /// The executable.
    pub path: String,
    /// Whether the build can run without a GIL.
    pub free_threaded_build: bool,
    /// Whether the GIL was in force while measuring.
    pub gil: bool,
}

impl Interpreter {
    /// Version and mode, as in "`CPython` 3.14.0 without the GIL".
    pub fn mode(&self) -> String {
        let gil = if self.gil { "with" } else { "without" };
        format!("{} {gil} the GIL", self.version)
    }
}

/// What is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the workload.
    pub id: String,
    /// Digest of its content.
    pub hash: String,
    /// The interpreter, for Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<Interpreter>,
}

/// Something that can be measured block by block. Threads in this process and child interpreters are the two kinds.
pub trait Subject {
    /// Begins a block: whatever must be fresh (a process) is made here. `Identity` may be known only now.
    fn begin_block(&mut self, cancel: &CancelToken) -> Result<Identity, ProfileError>;

    /// Makes one measurement in the current block.
    fn measure(&mut self, shot: &Shot, cancel: &CancelToken) -> Result<Sample, ProfileError>;
}

/// Why there is no curve. A curve of a workload that failed would be a number about something else.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The workload returned an error.
    #[error("the workload failed on worker {worker} of {threads}")]
    Workload {
        /// Which worker.
        worker: usize,
        /// Of how many.
        threads: usize,
        /// What it said.
        source: Failure,
    },
    /// The workload panicked.
    #[error("the workload panicked on worker {worker} of {threads}: {message}")]
    Panicked {
        /// Which worker.
        worker: usize,
        /// Of how many.
        threads: usize,
        /// The panic's message.
        message: String,
    },
    /// A task did not come to an end. Threads cannot be killed: those that hang are left behind.
    #[error("{stuck} of {threads} workers did not finish a task within {after:?}")]
    Hung {
        /// How many hang.
        stuck: usize,
        /// Of how many.
        threads: usize,
        /// How long was waited.
        after: Duration,
    },
    /// The tasks are too long for the time given to them.
    #[error("no task could be timed at {threads} threads: give each run more than {given:?}")]
    TooShort {
        /// At how many threads.
        threads: usize,
        /// How long was measured.
        given: Duration,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A thread could not be started.
    #[error("cannot start thread {worker} of {threads}")]
    Spawn {
        /// Which.
        worker: usize,
        /// Of how many.
        threads: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings contradict themselves.
    #[error("{0}")]
    Settings(&'static str),
    /// A Python workload failed in its interpreter.
    #[error(transparent)]
    Python(#[from] PythonError),
}
