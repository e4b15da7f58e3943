//! Which configuration governs a folder: the nearest above it, unless the command line names one or wants none.
//!
//! *Invariant:* every folder is looked at once per run, and its answer depends on nothing but the files above it: the
//! order in which threads ask changes nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aether_rules::{PythonVersion, Settings};
use rustc_hash::FxHashMap;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::keys::{self, Reading};
use super::layer::Layer;
use super::python;
use super::resolve::Resolved;
use super::value::Document;

/// Where configurations come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The nearest file above each checked file.
    Nearest,
    /// One file for all.
    File(PathBuf),
    /// No file at all.
    Isolated,
}

/// The answer for every folder.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    /// What the command line decides: lies on top of every file.
    flags: Layer,
    cwd: PathBuf,
    /// The answer for every folder, if it is not the nearest file's.
    fixed: Option<Arc<Source>>,
    mode: Mode,
    folders: Mutex<FxHashMap<PathBuf, Answer>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Projects,
    Isolated,
}

type Answer = Result<Scope, Arc<ConfigError>>;

/// One configuration and the file it came from, if it came from one.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: Option<PathBuf>,
    pub(crate) resolved: Resolved,
}

/// What governs the files of one folder.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) source: Arc<Source>,
    /// The lower bound of `requires-python` in the nearest `pyproject.toml`.
    pub(crate) python: Option<PythonVersion>,
}

impl Scope {
    /// The settings of the file at the absolute `path`, found below `base`, or named itself.
    pub(crate) fn settings(&self, path: &Path, base: Option<&Path>) -> Arc<Settings> {
        self.source.resolved.settings(path, base, self.python)
    }

    /// The configuration itself.
    pub(crate) fn config(&self) -> &Resolved {
        &self.source.resolved
    }
}

impl Hierarchy {
    /// The configurations of a run started in `cwd`.
    pub(crate) fn new(origin: &Origin, flags: Layer, cwd: &Path) -> Result<Self, ConfigError> {
        let fixed = match origin {
            Origin::Nearest => None,
            Origin::File(path) => Some(load(path, &flags, cwd)?.ok_or_else(|| no_table(path, cwd))?),
            Origin::Isolated => Some(unconfigured(&flags, cwd)?),
        };
        let mode = if matches!(origin, Origin::Isolated) { Mode::Isolated } else { Mode::Projects };
        Ok(Self { flags, cwd: cwd.to_owned(), fixed, mode, folders: Mutex::default() })
    }

    /// What governs the files directly in `folder`, an absolute path.
    pub(crate) fn for_folder(&self, folder: &Path) -> Answer {
        if let Some(known) = self.lock().get(folder) {
            return known.clone();
        }
        let answer = self.look(folder);
        self.lock().insert(folder.to_owned(), answer.clone());
        answer
    }

    /// The configuration files in use so far, in path order.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let folders = self.lock();
        let mut files: Vec<_> = folders.values().flatten().filter_map(|scope| scope.source.file.clone()).collect();
        files.sort();
        files.dedup();
        files
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<PathBuf, Answer>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, folder: &Path) -> Answer {
        let above = match folder.parent() {
            Some(parent) => self.for_folder(parent)?,
            None => Scope { source: self.root_source().map_err(Arc::new)?, python: None },
        };
        if self.mode == Mode::Isolated {
            return Ok(above);
        }
        let python = requires_python(&folder.join("pyproject.toml")).or(above.python);
        let source = match &self.fixed {
            Some(fixed) => Arc::clone(fixed),
            None => self.configured(folder).map_err(Arc::new)?.unwrap_or(above.source),
        };
        Ok(Scope { source, python })
    }

    fn root_source(&self) -> Result<Arc<Source>, ConfigError> {
        match &self.fixed {
            Some(fixed) => Ok(Arc::clone(fixed)),
            None => unconfigured(&self.flags, &self.cwd),
        }
    }

    /// The configuration that lies in `folder` itself.
    fn configured(&self, folder: &Path) -> Result<Option<Arc<Source>>, ConfigError> {
        for name in ["aether.toml", ".aether.toml", "pyproject.toml"] {
            let path = folder.join(name);
            if path.is_file()
                && let Some(source) = load(&path, &self.flags, &self.cwd)?
            {
                return Ok(Some(source));
            }
        }
        Ok(None)
    }
}

fn unconfigured(flags: &Layer, cwd: &Path) -> Result<Arc<Source>, ConfigError> {
    Ok(Arc::new(Source { file: None, resolved: Resolved::new(flags.clone(), cwd)? }))
}

/// The configuration in `path`, with all it inherits, under the flags; `None` for a `pyproject.toml` without one.
fn load(path: &Path, flags: &Layer, cwd: &Path) -> Result<Option<Arc<Source>>, ConfigError> {
    let mut chain = vec![path.to_owned()];
    let Some(mut reading) = read_file(path, cwd)? else { return Ok(None) };
    while let Some(base) = reading.extend.take() {
        let known = |seen: &PathBuf| fs::canonicalize(seen).ok() == fs::canonicalize(&base).ok();
        if base.exists() && chain.iter().any(known) {
            return Err(ConfigError::Cycle { path: shown(path, cwd) });
        }
        let below = read_file(&base, cwd)?.ok_or_else(|| no_table(&base, cwd))?;
        reading = Reading { layer: reading.layer.over(below.layer), extend: below.extend };
        chain.push(base);
    }
    let root = path.parent().unwrap_or(cwd);
    let resolved = Resolved::new(flags.clone().over(reading.layer), root)?;
    Ok(Some(Arc::new(Source { file: Some(path.to_owned()), resolved })))
}

/// The path as the user knows it.
fn shown(path: &Path, cwd: &Path) -> PathBuf {
    path.strip_prefix(cwd).unwrap_or(path).to_owned()
}

fn no_table(path: &Path, cwd: &Path) -> ConfigError {
    let missing = io::Error::new(io::ErrorKind::NotFound, "it has no table [tool.aether]");
    ConfigError::Read { path: shown(path, cwd), source: missing }
}

/// The decisions of one file; `None` for a `pyproject.toml` that does not mention us.
fn read_file(path: &Path, cwd: &Path) -> Result<Option<Reading>, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: shown(path, cwd), source })?;
    let is_pyproject = path.file_name().is_some_and(|name| name == "pyproject.toml");
    // A broken `pyproject.toml` that is none of our business (a test case of somebody's parser) must not stop the run.
    if is_pyproject && !text.contains("aether") {
        return Ok(None);
    }
    let document = Document {
        origin: shown(path, cwd).display().to_string(),
        root: path.parent().unwrap_or(cwd).to_owned(),
        text: text.into(),
    };
    let table = document.parse()?;
    if !is_pyproject {
        return keys::read(&document, &table).map(Some);
    }
    match inner(&table, "tool").and_then(|tool| inner(tool, "aether")) {
        Some(table) => keys::read(&document, table).map(Some),
        None => Ok(None),
    }
}

fn inner<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t DeTable<'d>> {
    match table.get(name)?.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// The lower bound of `requires-python` in one `pyproject.toml`, if there is one and it can be read.
fn requires_python(path: &Path) -> Option<PythonVersion> {
    let text = fs::read_to_string(path).ok()?;
    if !text.contains("requires-python") {
        return None;
    }
    let table = DeTable::parse(&text).ok()?;
    let project = inner(table.get_ref(), "project")?;
    python::lower_bound(project.get("requires-python")?.get_ref().as_str()?)
}

/// One `key = value` of the command line as a layer.
pub(crate) fn setting(text: &str, cwd: &Path) -> Result<Layer, ConfigError> {
    let document = Document { origin: "--config".to_owned(), root: cwd.to_owned(), text: text.into() };
    let table = document.parse()?;
    let reading = keys::read(&document, &table)?;
    match reading.extend {
        None => Ok(reading.layer),
        Some(base) => Ok(reading.layer.over(read_file(&base, cwd)?.ok_or_else(|| no_table(&base, cwd))?.layer)),
    }
}
