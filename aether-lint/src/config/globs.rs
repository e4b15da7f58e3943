//! Glob patterns, relative to the configuration that wrote them.
//!
//! A pattern without a slash matches a name at any depth; one with a slash matches the path below the configuration's
//! folder. As in ruff, `*` also matches `/`.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};

/// One pattern and the folder it is relative to.
#[derive(Clone, Debug)]
pub(crate) struct GlobPattern {
    text: String,
    name: Option<Glob>,
    path: Glob,
}

impl GlobPattern {
    /// Reads a pattern.
    pub(crate) fn new(root: &Path, text: &str) -> Result<Self, String> {
        let cleaned = text.trim_start_matches("./").trim_end_matches('/');
        let glob = |pattern: &str| Glob::new(pattern).map_err(|error| error.kind().to_string());
        let name = if cleaned.contains('/') { None } else { Some(glob(cleaned)?) };
        let below = if Path::new(cleaned).is_absolute() {
            PathBuf::from(cleaned)
        } else {
            Path::new(&globset::escape(&root.to_string_lossy())).join(cleaned)
        };
        Ok(Self { text: text.to_owned(), name, path: glob(&below.to_string_lossy())? })
    }

    /// The pattern as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Patterns of which any may match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globs {
    names: GlobSet,
    paths: GlobSet,
}

impl Globs {
    /// The union of `patterns`.
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a GlobPattern>) -> Self {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            if let Some(name) = &pattern.name {
                names.add(name.clone());
            }
            paths.add(pattern.path.clone());
        }
        // Every pattern compiled on its own; together they can only be too many, and then nothing is left out.
        Self { names: names.build().unwrap_or_default(), paths: paths.build().unwrap_or_default() }
    }

    /// Whether a pattern matches the absolute `path` or a folder around it, by name only as far as `below` goes, the
    /// end of `path` that counts.
    pub(crate) fn match_part_of(&self, path: &Path, below: &Path) -> bool {
        let by_name = below.components().any(|part| self.names.is_match(Path::new(part.as_os_str())));
        by_name || path.ancestors().any(|part| self.paths.is_match(part))
    }

    /// Whether a pattern matches the absolute `path`.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.is_match(name)) || self.paths.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = GlobPattern::new(Path::new("/home/[me]"), pattern).expect("a valid pattern");
        Globs::new([&pattern]).matches(Path::new(path))
    }

    #[test]
    fn a_bare_name_matches_at_any_depth_and_a_path_only_below_its_root() {
        assert!(matches("build", "/home/[me]/a/build"));
        assert!(matches("build/", "/home/[me]/build"));
        assert!(matches("*.pyi", "/elsewhere/x.pyi"));
        assert!(matches("tests/*", "/home/[me]/tests/deep/x.py"));
        assert!(matches("./tests/**/x.py", "/home/[me]/tests/deep/x.py"));
        assert!(!matches("tests/*", "/home/[me]/src/tests/x.py"));
        assert!(!matches("uild", "/home/[me]/build"));
        assert!(GlobPattern::new(Path::new("/"), "a[").is_err());
    }

    #[test]
    fn a_folder_above_the_part_that_counts_does_not_count() {
        let globs = |pattern| Globs::new([&GlobPattern::new(Path::new("/home"), pattern).expect("a valid pattern")]);
        let path = Path::new("/tests/a/tests/b.py");
        assert!(globs("tests").match_part_of(path, Path::new("a/tests/b.py")));
        assert!(!globs("tests").match_part_of(path, Path::new("b.py")));
        assert!(globs("b*").match_part_of(path, Path::new("b.py")));
        assert!(globs("/tests/a").match_part_of(path, Path::new("b.py")));
    }
}
