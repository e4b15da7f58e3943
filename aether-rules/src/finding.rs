//! A rule's claim, before any setting has judged it.
//!
//! *Invariant:* a finding has exactly one primary span and no level; both sides of a race are in it, each on the
//! thread that runs it.

use ruff_text_size::TextRange;

use crate::rule::{Confidence, Rule};
use crate::source::Span;

/// What a rule claims about one place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(crate) confidence: Confidence,
    pub(crate) message: String,
    pub(crate) primary: Span,
    pub(crate) label: String,
    pub(crate) thread: Option<String>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) notes: Vec<String>,
    pub(crate) help: Option<String>,
    pub(crate) fix: Option<Fix>,
}

impl Finding {
    /// A claim about `primary`. The message says what happens, lower case, no full stop.
    pub fn new(primary: Span, confidence: Confidence, message: impl Into<String>) -> Self {
        Self {
            confidence,
            message: message.into(),
            primary,
            label: String::new(),
            thread: None,
            evidence: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// What stands beside the primary span.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// The thread that runs the primary span, as a reader would name it.
    #[must_use]
    pub fn on_thread(mut self, name: impl Into<String>) -> Self {
        self.thread = Some(name.into());
        self
    }

    /// Adds one piece of evidence.
    #[must_use]
    pub fn evidence(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// Adds pieces of evidence.
    #[must_use]
    pub fn evidence_all(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Adds a reason to believe it, or the builds and versions it concerns.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// What to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// How to repair it.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// A second place that makes the claim believable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where.
    pub span: Span,
    /// What is seen there.
    pub text: String,
    /// What it proves.
    pub role: EvidenceRole,
    /// The thread that runs it, if the evidence is about one.
    pub thread: Option<String>,
}

impl Evidence {
    /// Evidence of the given role.
    pub fn new(role: EvidenceRole, span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into(), role, thread: None }
    }

    /// Says which thread runs it.
    #[must_use]
    pub fn on_thread(mut self, name: impl Into<String>) -> Self {
        self.thread = Some(name.into());
        self
    }
}

/// What a piece of evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceRole {
    /// Where the thread is started.
    RootStarts,
    /// A call on the way from the root to the access.
    CallPath,
    /// Where the lock is taken, or declared to guard the place.
    Lock,
    /// The other access of the conflict.
    OtherAccess,
    /// Where the shared thing is made.
    Definition,
}

/// An edit that repairs a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What the edit does, as an imperative: "bind the loop variable".
    pub title: String,
    /// Non-overlapping replacements in the primary span's file.
    pub edits: Vec<Edit>,
    /// Whether behaviour is kept.
    pub applicability: Applicability,
}

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty for an insertion.
    pub range: TextRange,
    /// What stands there afterwards.
    pub text: String,
}

/// Whether an edit keeps behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// Keeps behaviour.
    Safe,
    /// May change it.
    Unsafe,
}

/// Where a rule puts what it finds.
#[derive(Debug)]
pub struct Findings<'a> {
    rule: &'static Rule,
    threshold: Confidence,
    found: &'a mut Vec<(&'static Rule, Finding)>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(
        rule: &'static Rule,
        threshold: Confidence,
        found: &'a mut Vec<(&'static Rule, Finding)>,
    ) -> Self {
        Self { rule, threshold, found }
    }

    /// Whether a finding of this confidence would be kept: ask before building a message.
    pub fn wants(&self, confidence: Confidence) -> bool {
        confidence >= self.threshold
    }

    /// Reports a finding.
    pub fn report(&mut self, finding: Finding) {
        if self.wants(finding.confidence) {
            self.found.push((self.rule, finding));
        }
    }
}
