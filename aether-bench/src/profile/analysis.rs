//! The result of a profile: the curve, what was read off it, and what follows.
//!
//! *Invariant:* everything but the points and the surroundings is derived from them by [`SaturationAnalysis::new`];
//! a saved curve that is read again gives the same conclusions.

use serde::{Deserialize, Serialize};

use super::cause::{self, Cause, Surroundings};
use super::fits::{self, Fits};
use super::point::Point;
use super::shape::{self, Cliff, Peak, Recommended};
use super::words;
use super::workload::Identity;
use crate::os::host::Machine;

/// The format of the JSON this crate writes and reads.
pub const SCHEMA: &str = "aether-bench/scaling/1";

/// Where the curve was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The machine.
    #[serde(flatten)]
    pub machine: Machine,
    /// The interpreter's version, for Python.
    pub interp: Option<String>,
    /// Whether a GIL was in force; `None` for native code.
    pub gil: Option<bool>,
}

/// How many threads a workload can use, and why not more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaturationAnalysis {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where it was measured.
    pub env: Environment,
    /// What was measured.
    pub workload: Identity,
    /// The curve, by growing thread count.
    pub points: Vec<Point>,
    /// The size with the highest throughput.
    pub peak: Peak,
    /// The size to use.
    pub recommended: Recommended,
    /// Where more threads do harm, if anywhere.
    pub cliff: Option<Cliff>,
    /// Models of the curve; `None` below five sizes.
    pub fits: Option<Fits>,
    /// Why it stops growing.
    pub cause: Cause,
    /// What was seen, in sentences.
    pub findings: Vec<String>,
    /// What to do, in sentences.
    pub recommendations: Vec<String>,
}

impl SaturationAnalysis {
    /// Reads a curve; `None` if no point has a throughput.
    pub fn new(machine: Machine, workload: Identity, mut points: Vec<Point>) -> Option<Self> {
        points.sort_by_key(|point| point.n);
        let shape = shape::read(&points)?;
        let gil = workload.interpreter.as_ref().map(|interpreter| interpreter.gil);
        let around = Surroundings { cores: machine.cores, gil };
        let cause = cause::name(&points, &shape, around);
        let mut analysis = Self {
            schema: SCHEMA.to_owned(),
            env: Environment { interp: workload.interpreter.as_ref().map(|found| found.version.clone()), gil, machine },
            workload,
            fits: fits::fit(&points),
            peak: shape.peak,
            recommended: shape.recommended,
            cliff: shape.cliff,
            cause,
            points,
            findings: Vec::new(),
            recommendations: Vec::new(),
        };
        analysis.findings = words::findings(&analysis);
        analysis.recommendations = words::recommendations(&analysis);
        Some(analysis)
    }

    /// Workload and runtime, as in "work.py on `CPython` 3.14.0 with the GIL".
    pub fn name(&self) -> String {
        match &self.workload.interpreter {
            Some(found) => format!("{} on {}", self.workload.id, found.mode()),
            None => self.workload.id.clone(),
        }
    }

    /// The smallest thread count that is shown to reach the peak's throughput.
    pub fn optimal_threads(&self) -> usize {
        self.recommended.n
    }

    /// The first thread count past the cliff, if there is one.
    pub fn cliff_threads(&self) -> Option<usize> {
        self.cliff.map(|cliff| cliff.n)
    }

    /// Share of the peak's throughput lost past the cliff: 0 (no cliff) to 1.
    pub fn cliff_severity(&self) -> f64 {
        self.cliff.map_or(0.0, |cliff| cliff.severity)
    }

    /// The point of this size.
    pub fn point(&self, n: usize) -> Option<&Point> {
        self.points.iter().find(|point| point.n == n)
    }
}
