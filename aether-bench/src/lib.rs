//! Measurements: how many threads a workload can use, a pool that finds out by itself, and a check that scaling has
//! not become worse.
//!
//! *Invariant:* knows nothing of linting. What decides (`stats`, the fits, the control law, the verdict) is pure; the
//! clocks, threads and processes that feed it live beside it in modules of their own.
#![expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run stay far below 2^53")]

mod num;
pub mod os;
pub mod pool;
pub mod profile;
pub mod python;
pub mod regress;
pub mod report;
pub mod stats;
pub mod status;
pub mod workloads;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
