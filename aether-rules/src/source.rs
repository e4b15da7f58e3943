//! What the engine is given: texts with names. The engine never reads a file; it asks a [`Sources`].
//!
//! *Invariant:* paths are `/`-separated and unique; the order in which a caller lists its files changes nothing.

use std::sync::Arc;

use ruff_text_size::{TextRange, TextSize};
use thiserror::Error;

use crate::settings::Settings;

/// Where the engine gets its files from. Called from many threads at once.
pub trait Sources: Sync {
    /// How many files there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file's display path, `/`-separated, unique in the run. Its components double as the module's dotted name.
    fn path(&self, index: usize) -> &str;

    /// The settings that hold for the file.
    fn settings(&self, index: usize) -> &Arc<Settings>;

    /// The file's text. Called once per file; what it returns is kept for rendering.
    fn load(&self, index: usize) -> Result<SourceText, SourceError>;
}

/// A decoded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Python source, UTF-8, without a byte-order mark. For a notebook: the code cells joined by newlines.
    pub text: Arc<str>,
    /// What the text is.
    pub kind: SourceKind,
}

/// What a text is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// An ordinary module.
    #[default]
    Module,
    /// A `.pyi` stub: parsed for names, never reported on.
    Stub,
    /// A notebook: `IPython` syntax, cells in order.
    Notebook(Vec<Cell>),
}

/// One code cell of a notebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Position among all cells of the notebook, from 1, as a reader counts them.
    pub number: usize,
    /// The cell's part of the joined text.
    pub range: TextRange,
}

/// Why a file has no text. Becomes an `AETX02` diagnostic; the run goes on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct SourceError {
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A file of the run, by position in path order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

impl FileId {
    /// The position in [`Report::files`](crate::Report::files).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A stretch of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Byte offsets into its text.
    pub range: TextRange,
}

impl Span {
    /// The stretch `range` of `file`.
    pub const fn new(file: FileId, range: TextRange) -> Self {
        Self { file, range }
    }

    /// The key that puts spans into reading order.
    pub fn order(&self) -> (FileId, TextSize, TextSize) {
        (self.file, self.range.start(), self.range.end())
    }
}

/// Files held in memory, all under one [`Settings`]: tests, editors, snippets.
#[derive(Debug, Default)]
pub struct MemorySources {
    files: Vec<(String, SourceText)>,
    settings: Arc<Settings>,
}

impl MemorySources {
    /// No files yet.
    pub fn new(settings: Settings) -> Self {
        Self { files: Vec::new(), settings: Arc::new(settings) }
    }

    /// Adds an ordinary module.
    #[must_use]
    pub fn with(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), SourceText { text: text.into(), kind: SourceKind::Module }));
        self
    }
}

impl Sources for MemorySources {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn path(&self, index: usize) -> &str {
        &self.files[index].0
    }

    fn settings(&self, _index: usize) -> &Arc<Settings> {
        &self.settings
    }

    fn load(&self, index: usize) -> Result<SourceText, SourceError> {
        Ok(self.files[index].1.clone())
    }
}
