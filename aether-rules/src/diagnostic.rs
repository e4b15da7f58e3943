//! What survives the settings: findings with a level, minus what comments suppress, in reading order.
//!
//! *Invariant:* [`Report::diagnostics`] is sorted by path, range, code and message, and holds no duplicates; the
//! number of threads and the order of the input change nothing.

use std::sync::Arc;

use crate::finding::{Evidence, Fix};
use crate::rule::{Confidence, Level, Rule};
use crate::source::{FileId, SourceKind, Span};

/// One thing to tell the user.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// How grave the user wants it.
    pub level: Level,
    /// How sure the analysis is.
    pub confidence: Confidence,
    /// What happens: lower case, no full stop.
    pub message: String,
    /// Where.
    pub primary: Span,
    /// What stands beside the primary span; may be empty.
    pub label: String,
    /// The thread that runs the primary span, if the rule knows one.
    pub thread: Option<String>,
    /// The other places, in the order a reader should follow them.
    pub evidence: Vec<Evidence>,
    /// Why we believe it; which builds and versions.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// How to repair it.
    pub fix: Option<Fix>,
}

/// One file of the run, kept for rendering.
#[derive(Clone, Debug)]
pub struct AnalyzedFile {
    /// The display path.
    pub path: Arc<str>,
    /// The text, empty if it could not be read.
    pub text: Arc<str>,
    /// What the text is.
    pub kind: SourceKind,
}

/// What one run found.
#[derive(Debug, Default)]
pub struct Report {
    /// The files, by path.
    pub files: Vec<AnalyzedFile>,
    /// What to tell, in reading order.
    pub diagnostics: Vec<Diagnostic>,
    /// What the run saw.
    pub statistics: Statistics,
}

impl Report {
    /// The file a span lies in.
    pub fn file(&self, id: FileId) -> &AnalyzedFile {
        &self.files[id.index()]
    }

    /// The text under a span.
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text.get(std::ops::Range::<usize>::from(span.range)).unwrap_or_default()
    }
}

/// What a run saw, for `--statistics` and `--verbose`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Files read.
    pub files: usize,
    /// Of these, files whose findings are off and that name no thread: they were searched for such names and no more.
    pub skimmed: usize,
    /// Lines in them.
    pub lines: usize,
    /// Functions, methods and lambdas.
    pub functions: usize,
    /// Functions that may start on another thread.
    pub roots: usize,
    /// Calls in the code.
    pub calls: usize,
    /// Calls whose target is not modelled: they end the reach, and never mean "safe".
    pub opaque_calls: usize,
    /// Places reachable from two threads.
    pub shared_places: usize,
    /// Findings below the confidence shown.
    pub hidden_by_confidence: usize,
    /// Findings suppressed by a comment.
    pub suppressed: usize,
}
