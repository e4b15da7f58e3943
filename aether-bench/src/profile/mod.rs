//! The cliff profiler: throughput over thread counts, where it peaks, where it falls, and why.
//!
//! Read as the pipeline: a [`Workload`] becomes a [`Subject`](workload::Subject) ([`threads`], or a child interpreter);
//! the [`plan`] says which sizes to measure; workers leave a [`trace`]; rounds become a [`point`]; points have a
//! [`shape`], [`fits`] and a [`cause`]; all of it is an [`analysis`].
//!
//! *Invariant:* `plan`, `trace`, `point`, `shape`, `fits`, `cause`, `analysis` and `migration` are pure. Clocks and
//! threads are met in `threads` and `profiler` only.

pub mod analysis;
pub mod cause;
mod collect;
pub mod fits;
pub mod latency;
pub mod migration;
pub mod plan;
pub mod point;
pub mod profiler;
pub mod shape;
pub mod signals;
pub mod threads;
pub mod trace;
pub(crate) mod words;
pub mod workload;

pub use analysis::SaturationAnalysis;
pub use cause::Cause;
pub use profiler::{OpenLoop, Progress, SaturationCliffProfiler};
pub use workload::{CancelToken, ProfileError, Task, Workload};
