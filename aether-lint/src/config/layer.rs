//! What one configuration says, and nothing about what it leaves open.
//!
//! *Invariant:* laying one layer over another never loses a decision of the upper one.

use std::collections::BTreeMap;

use aether_rules::model::Model;
use aether_rules::registry::Selector;
use aether_rules::{Confidence, Level, TargetBuilds};

use super::Target;
use super::globs::GlobPattern;
use super::options::OptionTable;
use crate::render::OutputFormat;

/// The decisions of one file, one `--config` setting, or the flags of the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) selection: Selection,
    pub(crate) levels: Vec<(Selector, Level)>,
    pub(crate) per_file_ignores: Vec<(GlobPattern, Vec<Selector>)>,
    pub(crate) test_files: Option<Vec<GlobPattern>>,
    pub(crate) test_level: Option<Level>,
    pub(crate) include: Option<Vec<GlobPattern>>,
    pub(crate) exclude: Option<Vec<GlobPattern>>,
    pub(crate) extend_exclude: Vec<GlobPattern>,
    pub(crate) force_exclude: Option<Exclusions>,
    pub(crate) gitignore: Option<Gitignore>,
    pub(crate) target: Option<Target>,
    pub(crate) builds: Option<TargetBuilds>,
    pub(crate) min_confidence: Option<Confidence>,
    pub(crate) output_format: Option<OutputFormat>,
    /// The upper ones win.
    pub(crate) models: Vec<Model>,
    /// By code.
    pub(crate) options: BTreeMap<&'static str, OptionTable>,
}

/// Which rules run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) select: Option<Vec<Selector>>,
    pub(crate) extend: Vec<Selector>,
    pub(crate) ignore: Vec<Selector>,
}

/// Whether exclusions hold for files named on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exclusions {
    /// What is named is checked.
    #[default]
    Discovered,
    /// What is excluded is never checked (pre-commit names every file).
    Always,
}

/// Whether `.gitignore` and its kin are heeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Gitignore {
    /// They are.
    #[default]
    Respected,
    /// They are not.
    Disregarded,
}

impl Layer {
    /// The decisions of `self` where it takes any, of `base` elsewhere.
    #[must_use]
    pub(crate) fn over(self, base: Self) -> Self {
        let mut options = base.options;
        for (rule, table) in self.options {
            match options.get_mut(rule) {
                Some(below) => below.overlay(table),
                None => drop(options.insert(rule, table)),
            }
        }
        Self {
            selection: self.selection.over(base.selection),
            levels: joined(base.levels, self.levels),
            per_file_ignores: joined(base.per_file_ignores, self.per_file_ignores),
            test_files: self.test_files.or(base.test_files),
            test_level: self.test_level.or(base.test_level),
            include: self.include.or(base.include),
            // A new list of exclusions starts afresh; an extension adds to whatever holds.
            extend_exclude: match self.exclude {
                Some(_) => self.extend_exclude,
                None => joined(base.extend_exclude, self.extend_exclude),
            },
            exclude: self.exclude.or(base.exclude),
            force_exclude: self.force_exclude.or(base.force_exclude),
            gitignore: self.gitignore.or(base.gitignore),
            // `3.13` above `3.14t` takes back the build that the `t` decided.
            builds: self.builds.or_else(|| self.target.and_then(|target| target.builds)).or(base.builds),
            target: self.target.or(base.target),
            min_confidence: self.min_confidence.or(base.min_confidence),
            output_format: self.output_format.or(base.output_format),
            models: joined(self.models, base.models),
            options,
        }
    }

    /// The builds decided by `free-threaded`, or else by the `t` of the target version.
    pub(crate) fn target_builds(&self) -> TargetBuilds {
        let by_version = self.target.and_then(|target| target.builds);
        self.builds.or(by_version).unwrap_or_default()
    }
}

impl Selection {
    /// A new `select` starts afresh; `extend-select` and `ignore` add to whatever holds.
    fn over(self, base: Self) -> Self {
        match self.select {
            Some(_) => self,
            None => Self {
                select: base.select,
                extend: joined(base.extend, self.extend),
                ignore: joined(base.ignore, self.ignore),
            },
        }
    }
}

fn joined<T>(mut below: Vec<T>, above: Vec<T>) -> Vec<T> {
    below.extend(above);
    below
}
