//! Why a Python workload gave no number, and whose fault it is.
//!
//! *Invariant:* every error that the workload caused carries what Python said about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// What the workload did that makes its numbers worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misdeed {
    /// Its script could not be loaded, or its setup failed.
    Load,
    /// It raised an exception.
    Raise,
    /// It called `sys.exit()`.
    Exit,
    /// It wrote to standard output: the terminal or file would be measured with it.
    Print,
    /// It forked: a child of a process with many threads holds their locks for ever.
    Fork,
}

impl fmt::Display for Misdeed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Load => "the workload could not be loaded",
            Self::Raise => "the workload raised an exception",
            Self::Exit => "the workload called sys.exit()",
            Self::Print => {
                "the workload wrote to standard output while it was measured: \
                            the terminal would be measured with it; take the print out"
            }
            Self::Fork => {
                "the workload forked while it was measured: \
                           forking a process that runs threads is unsafe, and the child's work is not counted"
            }
        })
    }
}

/// Why a Python workload gave no number.
#[derive(Debug, Error)]
pub enum PythonError {
    /// The interpreter could not be started.
    #[error("cannot start `{}`", path.display())]
    Start {
        /// The interpreter.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The driver could not be written to the temporary folder.
    #[error("cannot write the driver to the temporary folder")]
    Driver(#[source] io::Error),
    /// The script cannot be read.
    #[error("cannot read `{}`", path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The workload did what cannot be measured.
    #[error("{what}\n{traceback}")]
    Misdeed {
        /// What it did.
        what: Misdeed,
        /// Where, as Python prints it.
        traceback: String,
    },
    /// The interpreter went away in the middle of a measurement.
    #[error("the interpreter ended before it gave a number ({status})\n{stderr}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// A task did not come to an end; the interpreter was killed.
    #[error("the workload hung: {threads} workers had not finished after {after:?}\n{stderr}")]
    Hung {
        /// Threads at work.
        threads: usize,
        /// How long was waited.
        after: Duration,
        /// Where each thread was, as `faulthandler` prints it.
        stderr: String,
    },
    /// The curve would be half of one build and half of the other.
    #[error(
        "the GIL was switched on while the workload was measured: something it imports does not \
         support free threading; import it at the top of the script, so that all of the curve is \
         measured with the GIL"
    )]
    GilChanged,
    /// The driver said something we do not understand: a bug of ours, or a workload that wrote into our pipe.
    #[error("the driver's answer makes no sense: {0}")]
    Protocol(String),
}
