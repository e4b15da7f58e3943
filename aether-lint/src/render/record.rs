//! A diagnostic as an object: what `json` and `json-lines` print.
//!
//! *Invariant:* fields are only ever added; a reader of today's output reads tomorrow's.

use aether_rules::{Applicability, Confidence, Diagnostic, EvidenceRole, Level, Span};
use serde::Serialize;

use super::Scene;
use super::scene::{Place, Position};

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    code: &'a str,
    name: &'a str,
    family: &'a str,
    level: Level,
    confidence: Confidence,
    message: &'a str,
    #[serde(flatten)]
    spot: Spot<'a>,
    label: &'a str,
    thread: Option<&'a str>,
    evidence: Vec<EvidenceRecord<'a>>,
    notes: &'a [String],
    help: Option<&'a str>,
    fix: Option<FixRecord<'a>>,
}

/// Where.
#[derive(Debug, Serialize)]
struct Spot<'a> {
    path: &'a str,
    /// The cell of a notebook; lines count within it.
    cell: Option<usize>,
    location: Position,
    end_location: Position,
}

/// One piece of evidence.
#[derive(Debug, Serialize)]
struct EvidenceRecord<'a> {
    role: &'static str,
    text: &'a str,
    #[serde(flatten)]
    spot: Spot<'a>,
    thread: Option<&'a str>,
}

/// A repair.
#[derive(Debug, Serialize)]
struct FixRecord<'a> {
    title: &'a str,
    applicability: &'static str,
    edits: Vec<EditRecord<'a>>,
}

/// One replacement.
#[derive(Debug, Serialize)]
struct EditRecord<'a> {
    #[serde(flatten)]
    spot: Spot<'a>,
    content: &'a str,
}

impl<'a> Spot<'a> {
    fn of(place: Place<'a>) -> Self {
        Self { path: place.path, cell: place.cell, location: place.start, end_location: place.end }
    }
}

/// The object of one diagnostic.
pub(super) fn record<'a>(scene: &Scene<'a>, diagnostic: &'a Diagnostic) -> Record<'a> {
    let evidence = diagnostic.evidence.iter().map(|evidence| EvidenceRecord {
        role: role_name(evidence.role),
        text: &evidence.text,
        spot: Spot::of(scene.place(evidence.span)),
        thread: evidence.thread.as_deref(),
    });
    Record {
        code: diagnostic.rule.code,
        name: diagnostic.rule.name,
        family: diagnostic.rule.family.name(),
        level: diagnostic.level,
        confidence: diagnostic.confidence,
        message: &diagnostic.message,
        spot: Spot::of(scene.place(diagnostic.primary)),
        label: &diagnostic.label,
        thread: diagnostic.thread.as_deref(),
        evidence: evidence.collect(),
        notes: &diagnostic.notes,
        help: diagnostic.help.as_deref(),
        fix: fix(scene, diagnostic),
    }
}

fn fix<'a>(scene: &Scene<'a>, diagnostic: &'a Diagnostic) -> Option<FixRecord<'a>> {
    let fix = diagnostic.fix.as_ref()?;
    let edits = fix.edits.iter().map(|edit| EditRecord {
        spot: Spot::of(scene.place(Span::new(diagnostic.primary.file, edit.range))),
        content: &edit.text,
    });
    let applicability = match fix.applicability {
        Applicability::Safe => "safe",
        Applicability::Unsafe => "unsafe",
    };
    Some(FixRecord { title: &fix.title, applicability, edits: edits.collect() })
}

/// What a piece of evidence proves, as a word.
fn role_name(role: EvidenceRole) -> &'static str {
    match role {
        EvidenceRole::RootStarts => "root-starts",
        EvidenceRole::CallPath => "call-path",
        EvidenceRole::Lock => "lock",
        EvidenceRole::OtherAccess => "other-access",
        EvidenceRole::Definition => "definition",
    }
}
