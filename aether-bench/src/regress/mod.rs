//! The scaling check: has a program become slower, at any size, by more than noise?
//!
//! A [`case`] says what is run; [`compare`] runs two programs in turn; [`baseline`] holds one against a recording; the
//! [`verdict`] is pure. Curves of threads are held against saved ones by [`curves`].
//!
//! *Invariant:* FAIL is said only of what was measured twice; what cannot be told has an answer of its own.

pub mod baseline;
pub mod case;
pub mod compare;
pub mod curves;
pub mod run;
pub mod verdict;

pub use baseline::Baseline;
pub use case::{Axis, Case, ProcessRun};
pub use compare::{Comparison, Effort, compare};
pub use verdict::Verdict;
