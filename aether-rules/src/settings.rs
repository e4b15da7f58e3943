//! What the user decided, resolved: levels and options per rule, the target, the confidence to show.
//!
//! *Invariant:* every registered rule has a level and, if it declares options, a value of the declared type. Where
//! the decisions came from (file, flag, default) is the command's business.

use std::any::Any;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::Models;
use crate::registry::{self, Selector};
use crate::rule::{Confidence, Level, Rule};

/// The resolved settings of one file.
#[derive(Clone, Debug)]
pub struct Settings {
    levels: Vec<Option<Level>>,
    selected: Vec<bool>,
    options: Vec<Option<Arc<dyn Any + Send + Sync>>>,
    /// No rule reports above it; [`Level::Off`] silences them all. What the engine says of unreadable files stays.
    pub ceiling: Level,
    /// What the user says of libraries and helpers. The rows of all files hold for the whole program.
    pub models: Arc<Models>,
    /// The oldest Python the code must run on.
    pub target_version: PythonVersion,
    /// The builds the code must run on.
    pub target_builds: TargetBuilds,
    /// Findings below it are not shown.
    pub min_confidence: Confidence,
}

impl Default for Settings {
    fn default() -> Self {
        let rules = registry::rules();
        Self {
            levels: vec![None; rules.len()],
            selected: rules.iter().map(|rule| rule.level != Level::Off).collect(),
            options: rules.iter().map(|rule| rule.options.map(|spec| (spec.default)())).collect(),
            ceiling: Level::Error,
            models: Arc::default(),
            target_version: PythonVersion::default(),
            target_builds: TargetBuilds::default(),
            min_confidence: Confidence::Medium,
        }
    }
}

impl Settings {
    /// The level at which `rule` reports; [`Level::Off`] when it does not run.
    pub fn level(&self, rule: &'static Rule) -> Level {
        self.level_at(registry::index_of(rule), rule)
    }

    /// The same, given the position of the rule in [`registry::rules`].
    pub(crate) fn level_at(&self, index: usize, rule: &Rule) -> Level {
        if !self.selected[index] {
            return Level::Off;
        }
        let default = match (self.target_builds, rule.free_threaded_level) {
            (TargetBuilds::FreeThreaded, Some(level)) => level,
            _ => rule.level,
        };
        let chosen = match self.levels[index] {
            Some(level) => level,
            // Selected by name although off by default.
            None if default == Level::Off => Level::Warning,
            None => default,
        };
        if rule.check.is_some() { chosen.min(self.ceiling) } else { chosen }
    }

    /// The options of `rule`.
    pub(crate) fn options<T: 'static>(&self, rule: &'static Rule) -> Option<&T> {
        self.options[registry::index_of(rule)].as_ref()?.downcast_ref()
    }

    /// Replaces the level of `rule`, which otherwise is its default.
    pub fn set_level(&mut self, rule: &'static Rule, level: Level) {
        self.levels[registry::index_of(rule)] = Some(level);
        if level == Level::Off {
            self.deselect(rule);
        }
    }

    /// Replaces the options of `rule`; the value must come from the rule's own [`OptionsSpec`](crate::rule::OptionsSpec).
    pub fn set_options(&mut self, rule: &'static Rule, options: Arc<dyn Any + Send + Sync>) {
        self.options[registry::index_of(rule)] = Some(options);
    }

    /// Turns `rule` off.
    pub fn deselect(&mut self, rule: &'static Rule) {
        self.selected[registry::index_of(rule)] = false;
    }

    /// Applies `select`, then `ignore`, by specificity: the narrower word wins, `ignore` wins a tie.
    ///
    /// An empty `select` means the rules that are on by default. `AETX` rules stay on unless they are ignored by
    /// name: a run that hides that it skipped a file reads as a clean one.
    pub fn choose(&mut self, select: &[Selector], extend: &[Selector], ignore: &[Selector]) {
        for (index, rule) in registry::rules().iter().enumerate() {
            let narrowest = |words: &[Selector]| {
                let hits = words.iter().filter(|word| word.rules().contains(&index));
                hits.map(Selector::specificity).max()
            };
            let by_default = rule.level != Level::Off && (select.is_empty() || rule.check.is_none());
            let chosen = narrowest(select).max(narrowest(extend)).or(by_default.then_some(0));
            self.selected[index] = match (chosen, narrowest(ignore)) {
                (None, _) => false,
                (Some(chosen), Some(ignored)) => chosen > ignored,
                (Some(_), None) => true,
            };
        }
    }
}

/// A Python release, `3.13`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    /// Always 3.
    pub major: u8,
    /// 8 for 3.8.
    pub minor: u8,
}

impl PythonVersion {
    /// `3.minor`.
    pub const fn three(minor: u8) -> Self {
        Self { major: 3, minor }
    }
}

impl Default for PythonVersion {
    /// 3.13: the first release with a free-threaded build.
    fn default() -> Self {
        Self::three(13)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that is no Python version.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a Python version; write it like `3.13` or `py313`")]
pub struct BadVersion(pub String);

impl FromStr for PythonVersion {
    type Err = BadVersion;

    /// Accepts `3.13`, `py313` and, for the free-threaded build of a release, `3.13t` (the `t` is the caller's to see).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadVersion(text.to_owned());
        let digits = text.trim().trim_end_matches('t');
        let minor = digits.strip_prefix("3.").or_else(|| digits.strip_prefix("py3")).ok_or_else(bad)?;
        let minor: u8 = minor.parse().map_err(|_| bad())?;
        if minor > 99 { Err(bad()) } else { Ok(Self::three(minor)) }
    }
}

/// The builds the code must run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetBuilds {
    /// Not decided: with the GIL today, without it tomorrow.
    #[default]
    Both,
    /// Free-threaded builds only.
    FreeThreaded,
    /// GIL builds only.
    Gil,
}

impl TargetBuilds {
    /// Whether the code may run without the GIL.
    pub const fn without_gil(self) -> bool {
        matches!(self, Self::Both | Self::FreeThreaded)
    }

    /// Whether the code may run with the GIL.
    pub const fn with_gil(self) -> bool {
        matches!(self, Self::Both | Self::Gil)
    }
}
