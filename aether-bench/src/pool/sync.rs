//! The primitives the [`gate`](super::gate) is made of.
//!
//! *Invariant:* names only; the gate's schedule test replaces this module by one of the same names.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
