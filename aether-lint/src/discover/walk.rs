//! The walk below one directory, on several threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aether_rules::SourceError;
use ignore::{DirEntry, WalkBuilder, WalkState};

use super::{Candidate, DiscoverError, Request, is_excluded, names};
use crate::config::{ConfigError, Gitignore, Hierarchy, Scope};

/// Adds what lies below `root` to `candidates`, and what was left out without being excluded to `skipped`.
pub(super) fn walk(
    root: &Path,
    request: &Request<'_>,
    hierarchy: &Hierarchy,
    candidates: &mut Vec<Candidate>,
    skipped: &mut Vec<String>,
) -> Result<(), DiscoverError> {
    let absolute =
        fs::canonicalize(root).map_err(|source| DiscoverError::Unreachable { path: root.to_owned(), source })?;
    if is_excluded(&hierarchy.for_folder(&absolute)?, &absolute) {
        return Ok(());
    }
    let visitor = Visitor { root, absolute: absolute.as_path().into(), request, hierarchy, seen: Mutex::default() };
    builder(&absolute, request).build_parallel().run(|| Box::new(|entry| visitor.visit(entry)));
    let mut seen = visitor.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Threads race to the first mistake; the first in path order is the same every time.
    seen.mistakes.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some((_, mistake)) = seen.mistakes.into_iter().next() {
        return Err(mistake.into());
    }
    candidates.append(&mut seen.candidates);
    skipped.append(&mut seen.skipped);
    Ok(())
}

fn builder(root: &Path, request: &Request<'_>) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder
        .standard_filters(request.gitignore == Gitignore::Respected)
        // Hidden files are Python too; what tools hide is excluded by name.
        .hidden(false)
        // A `.gitignore` means what it says also in an export without `.git`.
        .require_git(false)
        .follow_links(false)
        .threads(request.threads);
    builder
}

struct Visitor<'a> {
    root: &'a Path,
    absolute: Arc<Path>,
    request: &'a Request<'a>,
    hierarchy: &'a Hierarchy,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    candidates: Vec<Candidate>,
    skipped: Vec<String>,
    mistakes: Vec<(PathBuf, Arc<ConfigError>)>,
}

impl Visitor<'_> {
    fn visit(&self, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        match entry {
            Ok(entry) if entry.depth() == 0 => WalkState::Continue,
            Ok(entry) => self.visit_entry(&entry),
            Err(error) => {
                self.visit_failure(&error);
                WalkState::Continue
            }
        }
    }

    fn visit_entry(&self, entry: &DirEntry) -> WalkState {
        let path = entry.path();
        let Some(scope) = self.scope(path) else { return WalkState::Skip };
        if scope.config().excludes(path) {
            return WalkState::Skip;
        }
        let file_type = entry.file_type();
        let is_link = file_type.is_some_and(|file_type| file_type.is_symlink());
        let is_directory = if is_link { path.is_dir() } else { file_type.is_some_and(|file_type| file_type.is_dir()) };
        if scope.config().includes(path) {
            // A directory with the name of a module is reported, and walked all the same.
            self.found(path, is_link, scope, None);
        } else if is_link && is_directory {
            self.lock().skipped.push(format!("{}: a link to a directory", self.name(path)));
        }
        WalkState::Continue
    }

    /// A directory that cannot be listed, or an entry that cannot be looked at.
    fn visit_failure(&self, error: &ignore::Error) {
        let path = path_of(error).unwrap_or(&self.absolute);
        let Some(scope) = self.scope(path) else { return };
        let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
        let message = format!("the directory cannot be read: {reason}");
        self.found(path, false, scope, Some(SourceError { message, help: None }));
    }

    fn found(&self, path: &Path, is_link: bool, scope: Scope, failure: Option<SourceError>) {
        let resolved = if is_link { fs::canonicalize(path).ok() } else { None };
        let candidate = Candidate {
            display: self.name(path),
            path: path.to_owned(),
            identity: resolved.unwrap_or_else(|| path.to_owned()),
            is_link,
            base: Some(Arc::clone(&self.absolute)),
            scope,
            failure,
        };
        self.lock().candidates.push(candidate);
    }

    /// What governs `path`; a mistake in a configuration is kept for the end.
    fn scope(&self, path: &Path) -> Option<Scope> {
        let folder = path.parent().unwrap_or(path);
        match self.hierarchy.for_folder(folder) {
            Ok(scope) => Some(scope),
            Err(mistake) => {
                self.lock().mistakes.push((folder.to_owned(), mistake));
                None
            }
        }
    }

    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.absolute).unwrap_or(path);
        names::display(path, self.request.cwd, &self.root.join(below))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path an error of the walk is about.
fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}
