//! A layer and the defaults become what the rest of the program asks: settings per file, and what is left out.
//!
//! *Invariant:* files under one configuration that match the same `per-file-ignores` share one `Settings`.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aether_rules::model::Models;
use aether_rules::{Confidence, Level, PythonVersion, Rule, Settings, registry};

use super::error::ConfigError;
use super::globs::{GlobPattern, Globs};
use super::layer::{Exclusions, Layer};

/// What is left out unless the configuration says otherwise: what tools generate, and what is not the project's own.
pub(crate) const DEFAULT_EXCLUDE: &[&str] = &[
    ".#*",
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    "__pycache__",
    "__pypackages__",
    "_build",
    "buck-out",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
];

/// What is checked below a directory unless the configuration says otherwise.
pub(crate) const DEFAULT_INCLUDE: &[&str] = &["*.py", "*.pyi", "*.pyw", "*.ipynb"];

/// What is test code unless the configuration says otherwise.
pub(crate) const DEFAULT_TEST_FILES: &[&str] = &["test", "tests", "test_*.py", "*_test.py", "conftest.py"];

/// One configuration, ready to be asked about files.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) layer: Layer,
    include: Globs,
    exclude: Globs,
    test_files: Globs,
    root: PathBuf,
    per_file: Vec<(Globs, Vec<usize>)>,
    options: Vec<(&'static Rule, Options)>,
    models: Arc<Models>,
    settings: Mutex<BTreeMap<SettingsKey, Arc<Settings>>>,
}

/// A value of the type a rule declared for its options.
type Options = Arc<dyn Any + Send + Sync>;

/// What decides a file's settings besides the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SettingsKey {
    /// The Python its folder's `pyproject.toml` asks for.
    python: Option<PythonVersion>,
    /// Which `per-file-ignores` match.
    per_file: Vec<usize>,
    purpose: Purpose,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Product,
    Test,
}

impl Resolved {
    /// Resolves `layer`; the default globs are relative to `root`.
    pub(crate) fn new(layer: Layer, root: &Path) -> Result<Self, ConfigError> {
        let defaults = |words: &[&str]| -> Vec<GlobPattern> {
            words.iter().filter_map(|word| GlobPattern::new(root, word).ok()).collect()
        };
        let include = layer.include.clone().unwrap_or_else(|| defaults(DEFAULT_INCLUDE));
        let mut exclude = layer.exclude.clone().unwrap_or_else(|| defaults(DEFAULT_EXCLUDE));
        exclude.extend(layer.extend_exclude.iter().cloned());
        let per_file = layer.per_file_ignores.iter().map(|(pattern, words)| {
            let rules = words.iter().flat_map(|word| word.rules().iter().copied()).collect();
            (Globs::new([pattern]), rules)
        });
        let test_files = layer.test_files.clone().unwrap_or_else(|| defaults(DEFAULT_TEST_FILES));
        Ok(Self {
            test_files: Globs::new(&test_files),
            root: root.to_owned(),
            include: Globs::new(&include),
            exclude: Globs::new(&exclude),
            per_file: per_file.collect(),
            options: parse_options(&layer)?,
            models: Arc::new(Models::new(layer.models.clone())),
            settings: Mutex::default(),
            layer,
        })
    }

    /// Whether a discovered file of this name is wanted.
    pub(crate) fn includes(&self, path: &Path) -> bool {
        self.include.matches(path)
    }

    /// Whether the file or directory is left out.
    pub(crate) fn excludes(&self, path: &Path) -> bool {
        self.exclude.matches(path)
    }

    /// Whether exclusions hold for files named on the command line.
    pub(crate) fn exclusions(&self) -> Exclusions {
        self.layer.force_exclude.unwrap_or_default()
    }

    /// The settings of one file, found below `base` or named itself, in a folder whose project asks for `python`.
    pub(crate) fn settings(&self, path: &Path, base: Option<&Path>, python: Option<PythonVersion>) -> Arc<Settings> {
        let purpose = self.purpose(path, base);
        let matching = self.per_file.iter().enumerate().filter(|(_, (globs, _))| globs.matches(path));
        let key = SettingsKey { python, per_file: matching.map(|(index, _)| index).collect(), purpose };
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let make = |key: &SettingsKey| Arc::new(self.build(key));
        Arc::clone(known.entry(key.clone()).or_insert_with(|| make(&key)))
    }

    /// Who names a file wants to hear about it, test or not, unless exclusions hold even for what is named.
    fn purpose(&self, path: &Path, base: Option<&Path>) -> Purpose {
        if base.is_none() && self.exclusions() == Exclusions::Discovered {
            return Purpose::Product;
        }
        let base = base.or_else(|| path.parent()).unwrap_or(path);
        let below = path.strip_prefix(&self.root).or_else(|_| path.strip_prefix(base)).unwrap_or(path);
        if self.test_files.match_part_of(path, below) { Purpose::Test } else { Purpose::Product }
    }

    /// The level of every rule that was given one; the narrower word wins, among equals the later.
    fn levels(&self) -> Vec<(&'static Rule, Level)> {
        let mut words: Vec<_> = self.layer.levels.iter().collect();
        words.sort_by_key(|(selector, _)| selector.specificity());
        let mut levels = BTreeMap::new();
        for (selector, level) in words {
            levels.extend(selector.rules().iter().map(|&index| (index, *level)));
        }
        levels.into_iter().map(|(index, level)| (registry::rules()[index], level)).collect()
    }

    fn build(&self, key: &SettingsKey) -> Settings {
        let layer = &self.layer;
        let mut settings = Settings::default();
        settings.models = Arc::clone(&self.models);
        settings.target_builds = layer.target_builds();
        let version = layer.target.map(|target| target.version).or(key.python);
        settings.target_version = version.unwrap_or_default();
        settings.min_confidence = layer.min_confidence.unwrap_or(Confidence::Medium);
        let selection = &layer.selection;
        settings.choose(selection.select.as_deref().unwrap_or_default(), &selection.extend, &selection.ignore);
        for (rule, level) in self.levels() {
            settings.set_level(rule, level);
        }
        for (rule, options) in &self.options {
            settings.set_options(rule, Arc::clone(options));
        }
        if key.purpose == Purpose::Test {
            let shown = if settings.min_confidence == Confidence::Low { Level::Info } else { Level::Off };
            settings.ceiling = layer.test_level.unwrap_or(shown);
        }
        for &index in &key.per_file {
            for &rule in &self.per_file[index].1 {
                settings.deselect(registry::rules()[rule]);
            }
        }
        settings
    }
}

/// The merged options of every configured rule. Each was accepted alone; together they may still contradict.
fn parse_options(layer: &Layer) -> Result<Vec<(&'static Rule, Options)>, ConfigError> {
    let mut parsed = Vec::new();
    for rule in registry::rules() {
        let (Some(spec), Some(table)) = (rule.options, layer.options.get(rule.code)) else { continue };
        let options = (spec.parse)(table.value())
            .map_err(|error| ConfigError::Options { rule: rule.name, reason: error.message().to_owned() })?;
        parsed.push((*rule, options));
    }
    Ok(parsed)
}
