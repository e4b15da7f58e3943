//! What library names mean: which objects they make, what those objects are for, who runs a callback where.
//!
//! Data, not code: five tables ([`objects`], [`spawns`], [`methods`], [`blocking`](mod@blocking), [`confined`](mod@confined)) keyed by dotted names, from the documentation
//! of the libraries. A name without an entry is opaque; opaque never means safe.
//!
//! *Invariant:* nothing here depends on the program under analysis.

pub mod awaits;
pub mod blocking;
pub mod confined;
pub mod custom;
pub mod methods;
pub mod objects;
pub mod spawns;

pub use awaits::{Awaits, Waiting, waiting};
pub use blocking::{Blocking, blocking};
pub use confined::{CONFINED, Confined, Threads, confined};
pub use custom::{Meaning, Model, Models, Parameter};
pub use methods::{Effect, effect_of};
pub use objects::{ContainerKind, ExecutorKind, LockKind, Role, canonical, result_of, role_of};
pub use spawns::{RunsOn, Spawn};

use rustc_hash::FxHashMap;

use crate::facts::Qual;

/// The names a user's model may be `like`: those of the tables of objects and callbacks.
pub fn known_names() -> impl Iterator<Item = &'static str> {
    objects::names().chain(spawns::names())
}

/// A table keyed by dotted names, built once.
fn index<T: Copy>(rows: &[(&str, T)]) -> FxHashMap<Qual, T> {
    rows.iter().map(|&(name, value)| (Qual::of(name), value)).collect()
}
