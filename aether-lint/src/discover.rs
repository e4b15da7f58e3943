//! Which files are checked, under which settings and by which name.
//!
//! What is named on the command line is checked; below a directory, what the configuration includes and neither it nor
//! `.gitignore` leaves out. Links to directories are not followed, so there are no loops.
//!
//! *Invariant:* the result is sorted by display name, names no file twice, and does not depend on the order in which
//! the walk's threads came by.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aether_rules::{Settings, SourceError, SourceText};
use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::config::{ConfigError, Exclusions, Gitignore, Hierarchy, Scope};
use crate::read::{self, Kind};

mod names;
mod walk;

pub(crate) use names::{display, printable};

/// Why there is nothing to check.
#[derive(Debug, Error)]
pub(crate) enum DiscoverError {
    /// Somebody misspelt a path.
    #[error("`{}` does not exist", path.display())]
    Missing { path: PathBuf },
    /// It exists and cannot be reached.
    #[error("cannot look at `{}`", path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    /// `-` stands beside other paths.
    #[error("`-` (standard input) cannot be checked together with other paths")]
    StandardInputAndPaths,
    /// A configuration found on the way is wrong.
    #[error(transparent)]
    Config(#[from] Arc<ConfigError>),
}

/// What to look for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) roots: &'a [PathBuf],
    pub(crate) stdin_filename: Option<&'a Path>,
    pub(crate) cwd: &'a Path,
    pub(crate) gitignore: Gitignore,
    /// 0: as many as there are cores.
    pub(crate) threads: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    pub(crate) files: Vec<FoundFile>,
    /// What was left out, for `--verbose`.
    pub(crate) skipped: Vec<String>,
}

/// One file of the run.
#[derive(Debug)]
pub(crate) struct FoundFile {
    /// Unique in the run, `/`-separated, relative to the working directory if it lies below it.
    pub(crate) display: String,
    /// Absolute; for standard input what it would be.
    pub(crate) path: PathBuf,
    pub(crate) settings: Arc<Settings>,
    pub(crate) content: Content,
}

/// Where a file's text is.
#[derive(Debug)]
pub(crate) enum Content {
    /// Still to be read.
    OnDisk,
    /// Already here, or known to be out of reach.
    Given(Result<SourceText, SourceError>),
}

/// A file before duplicates are dropped.
#[derive(Debug)]
struct Candidate {
    display: String,
    path: PathBuf,
    /// The path with every link resolved: two candidates of one identity are one file.
    identity: PathBuf,
    is_link: bool,
    /// The folder named on the command line; none if the file itself is.
    base: Option<Arc<Path>>,
    scope: Scope,
    failure: Option<SourceError>,
}

/// Finds the files of `request`, under the configurations of `hierarchy`.
pub(crate) fn discover(request: &Request<'_>, hierarchy: &Hierarchy) -> Result<Discovery, DiscoverError> {
    let is_stdin = request.roots.iter().any(|root| root.as_os_str() == "-");
    if is_stdin || request.stdin_filename.is_some() {
        if request.roots.len() > 1 || !is_stdin && !request.roots.is_empty() {
            return Err(DiscoverError::StandardInputAndPaths);
        }
        return standard_input(request, hierarchy);
    }
    let current = [PathBuf::from(".")];
    let roots = if request.roots.is_empty() { &current } else { request.roots };
    let mut candidates = Vec::new();
    let mut skipped = Vec::new();
    for root in roots {
        let metadata = fs::symlink_metadata(root).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DiscoverError::Missing { path: root.clone() },
            _ => DiscoverError::Unreachable { path: root.clone(), source },
        })?;
        if metadata.is_dir() || root.is_dir() {
            walk::walk(root, request, hierarchy, &mut candidates, &mut skipped)?;
        } else {
            candidates.extend(named_file(root, metadata.is_symlink(), request, hierarchy)?);
        }
    }
    skipped.sort();
    Ok(Discovery { files: distinct(candidates), skipped })
}

/// A file named on the command line, unless it is excluded even so.
fn named_file(
    path: &Path,
    is_link: bool,
    request: &Request<'_>,
    hierarchy: &Hierarchy,
) -> Result<Option<Candidate>, DiscoverError> {
    let name = path.file_name().unwrap_or_default();
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder =
        fs::canonicalize(folder).map_err(|source| DiscoverError::Unreachable { path: folder.to_owned(), source })?;
    let scope = hierarchy.for_folder(&folder)?;
    let absolute = folder.join(name);
    if is_excluded(&scope, &absolute) {
        return Ok(None);
    }
    Ok(Some(Candidate {
        display: names::display(&absolute, request.cwd, path),
        identity: fs::canonicalize(&absolute).unwrap_or_else(|_| absolute.clone()),
        path: absolute,
        is_link,
        base: None,
        scope,
        failure: None,
    }))
}

/// Whether what is named on the command line is left out even so.
fn is_excluded(scope: &Scope, absolute: &Path) -> bool {
    let config = scope.config();
    config.exclusions() == Exclusions::Always && absolute.ancestors().any(|path| config.excludes(path))
}

/// One candidate per identity, under the name that is no link, or else the first name.
fn distinct(mut candidates: Vec<Candidate>) -> Vec<FoundFile> {
    candidates.sort_by(|a, b| (&a.display, a.is_link, &a.path).cmp(&(&b.display, b.is_link, &b.path)));
    let mut best: FxHashMap<PathBuf, usize> = FxHashMap::default();
    for (index, candidate) in candidates.iter().enumerate() {
        let known = best.entry(candidate.identity.clone()).or_insert(index);
        if candidates[*known].is_link && !candidate.is_link {
            *known = index;
        }
    }
    let mut files: Vec<FoundFile> = Vec::with_capacity(best.len());
    let mut names = names::Distinct::default();
    for (index, candidate) in candidates.into_iter().enumerate() {
        if best.get(&candidate.identity) == Some(&index) {
            let display = names.name(candidate.display);
            let settings = candidate.scope.settings(&candidate.path, candidate.base.as_deref());
            let content = match candidate.failure {
                Some(failure) => Content::Given(Err(failure)),
                None => Content::OnDisk,
            };
            files.push(FoundFile { display, path: candidate.path, settings, content });
        }
    }
    files.sort_by(|a, b| a.display.cmp(&b.display));
    files
}

fn standard_input(request: &Request<'_>, hierarchy: &Hierarchy) -> Result<Discovery, DiscoverError> {
    let name = request.stdin_filename.unwrap_or(Path::new("<stdin>"));
    let path = request.cwd.join(name);
    let folder = path.parent().unwrap_or(request.cwd);
    let scope = hierarchy.for_folder(&fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()))?;
    if is_excluded(&scope, &path) {
        return Ok(Discovery::default());
    }
    let text = read::read_stream(io::stdin().lock(), Kind::of(name)).map_err(SourceError::from);
    let file = FoundFile {
        display: names::display(&path, request.cwd, name),
        settings: scope.settings(&path, path.parent()),
        path,
        content: Content::Given(text),
    };
    Ok(Discovery { files: vec![file], skipped: Vec::new() })
}
