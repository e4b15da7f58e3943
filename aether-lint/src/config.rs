//! What the user decided in files and flags, found and resolved into the engine's [`Settings`](aether_rules::Settings).
//!
//! A file is governed by the nearest configuration above it, alone; a configuration inherits only where it says
//! `extend`. Flags lie on top of every one of them. A mistake in a configuration is an error that points at it: a
//! misspelt key that is skipped reads as a decision that was taken.
//!
//! *Invariant:* every key is one value in [`keys`]; reading, the JSON Schema and the reference derive from it.

use std::str::FromStr;

use aether_rules::settings::BadVersion;
use aether_rules::{Confidence, Level, PythonVersion, TargetBuilds};

mod error;
mod globs;
mod hierarchy;
pub(crate) mod keys;
mod layer;
mod models;
mod options;
mod python;
mod resolve;
pub(crate) mod schema;
mod show;
mod value;

pub(crate) use error::ConfigError;
pub(crate) use globs::GlobPattern;
pub(crate) use hierarchy::{Hierarchy, Origin, Scope, setting};
pub(crate) use layer::{Exclusions, Gitignore, Layer, Selection};
pub(crate) use show::show;

/// What `target-version` says: a release, and with a `t` behind it the free-threaded build of that release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) version: PythonVersion,
    pub(crate) builds: Option<TargetBuilds>,
}

impl FromStr for Target {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let builds = text.trim().ends_with('t').then_some(TargetBuilds::FreeThreaded);
        Ok(Self { version: text.parse()?, builds })
    }
}

/// The confidence called `word`.
pub(crate) fn confidence_named(word: &str) -> Option<Confidence> {
    let all = [Confidence::Low, Confidence::Medium, Confidence::High];
    all.into_iter().find(|confidence| confidence.to_string().eq_ignore_ascii_case(word.trim()))
}

/// The level called `word`.
pub(crate) fn level_named(word: &str) -> Option<Level> {
    let all = [Level::Off, Level::Info, Level::Warning, Level::Error];
    all.into_iter().find(|level| level.to_string().eq_ignore_ascii_case(word.trim()))
}
