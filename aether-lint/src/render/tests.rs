//! Rendering of hand-built reports: what no checked file can be relied upon to produce.

use std::path::Path;
use std::sync::Arc;

use aether_rules::rule::Family;
use aether_rules::{
    AnalyzedFile, Applicability, Cell, Confidence, Diagnostic, Edit, Evidence, EvidenceRole, FileId, Fix, Level,
    Report, Rule, SourceKind, Span,
};
use insta::{assert_json_snapshot, assert_snapshot};
use ruff_text_size::{TextRange, TextSize};

use super::*;
use crate::terminal::Styling;

mod positions;
mod sarif;

/// A rule that no registry knows, so that no snapshot depends on which rules exist.
static RULE: Rule = Rule {
    code: "TST001",
    name: "test-rule",
    summary: "something is wrong",
    family: Family::Races,
    docs: "## What it does\nNothing.",
    ..Rule::DEFAULTS
};

/// A report under construction.
#[derive(Default)]
struct Stage {
    report: Report,
}

impl Stage {
    fn with(mut self, path: &str, text: &str) -> Self {
        self.report.files.push(AnalyzedFile { path: path.into(), text: text.into(), kind: SourceKind::Module });
        self
    }

    /// A notebook whose code cells are `(number, text)`.
    fn with_notebook(mut self, path: &str, cells: &[(usize, &str)]) -> Self {
        let mut text = String::new();
        let mut ranges = Vec::new();
        for (number, cell) in cells {
            let start = TextSize::of(text.as_str());
            text.push_str(cell);
            ranges.push(Cell { number: *number, range: TextRange::new(start, TextSize::of(text.as_str())) });
            text.push('\n');
        }
        let kind = SourceKind::Notebook(ranges);
        self.report.files.push(AnalyzedFile { path: path.into(), text: text.into(), kind });
        self
    }

    /// The first place where `needle` stands in a file.
    fn span(&self, file: u32, needle: &str) -> Span {
        let text: &Arc<str> = &self.report.files[file as usize].text;
        let start = text.find(needle).expect("the needle is in the text");
        Self::range(file, start, start + needle.len())
    }

    fn range(file: u32, start: usize, end: usize) -> Span {
        let size = |at: usize| TextSize::try_from(at).expect("a small text");
        Span::new(FileId(file), TextRange::new(size(start), size(end)))
    }

    fn finds(mut self, diagnostic: Diagnostic) -> Self {
        self.report.diagnostics.push(diagnostic);
        self
    }

    fn render(&self, format: OutputFormat) -> String {
        self.render_styled(format, Styling::Plain)
    }

    fn render_styled(&self, format: OutputFormat, styling: Styling) -> String {
        let paths: Vec<_> = self.report.files.iter().map(|file| Path::new("/repo").join(&*file.path)).collect();
        let paths = paths.iter().map(std::path::PathBuf::as_path).collect();
        let scene = Scene::new(&self.report, styling, Path::new("/repo"), paths);
        let mut out = Vec::new();
        format.renderer().render(&scene, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("every format is UTF-8")
    }
}

fn diagnostic(primary: Span, message: &str) -> Diagnostic {
    Diagnostic {
        rule: &RULE,
        level: Level::Warning,
        confidence: Confidence::High,
        message: message.to_owned(),
        primary,
        label: String::new(),
        thread: None,
        evidence: Vec::new(),
        notes: Vec::new(),
        help: None,
        fix: None,
    }
}

const SERVICE: &str = "\
import threading
from app import store

def serve():
    worker = threading.Thread(target=store.refresh)
    worker.start()
    store.count += 1
";

const STORE: &str = "\
count = 0

def refresh():
    global count
    count += 1
";

/// A race across two files, with everything a finding may carry.
fn race() -> Stage {
    let stage = Stage::default().with("app/service.py", SERVICE).with("app/store.py", STORE);
    let mut found =
        diagnostic(stage.span(0, "store.count += 1"), "`store.count` is written by two threads without a lock");
    found.label = "read, added to and written back here".to_owned();
    found.thread = Some("main thread".to_owned());
    let evidence = |role, span, text: &str, thread: &str| Evidence::new(role, span, text).on_thread(thread);
    let starts = stage.span(0, "threading.Thread(target=store.refresh)");
    let writes = Stage::range(1, STORE.len() - 11, STORE.len() - 1);
    found.evidence = vec![
        evidence(EvidenceRole::RootStarts, starts, "the thread starts here", "thread `refresh`"),
        evidence(EvidenceRole::OtherAccess, writes, "the other write", "thread `refresh`"),
        Evidence::new(EvidenceRole::Definition, stage.span(1, "count = 0"), "defined here: list[int](global)"),
    ];
    found.notes =
        vec!["`+=` is three steps; another thread can run between them".to_owned(), "on all builds".to_owned()];
    found.help = Some("guard both with one lock".to_owned());
    found.fix = Some(Fix {
        title: "take the lock".to_owned(),
        edits: vec![Edit { range: stage.span(0, "store.count").range, text: "with lock: store.count".to_owned() }],
        applicability: Applicability::Unsafe,
    });
    let mut vague = diagnostic(stage.span(1, "refresh"), "100% sure, a: b, c\nsecond line <&\"'> \u{1b}[31m");
    vague.level = Level::Info;
    vague.confidence = Confidence::Low;
    let mut grave = diagnostic(stage.span(1, "global"), "short");
    grave.level = Level::Error;
    stage.finds(found).finds(vague).finds(grave)
}

#[test]
fn full() {
    assert_snapshot!(race().render(OutputFormat::Full));
}

#[test]
fn full_in_colour() {
    assert_snapshot!(race().render_styled(OutputFormat::Full, Styling::Colored).replace('\u{1b}', "ESC"));
}

#[test]
fn concise() {
    assert_snapshot!(race().render(OutputFormat::Concise));
}

#[test]
fn concise_in_colour() {
    assert_snapshot!(race().render_styled(OutputFormat::Concise, Styling::Colored).replace('\u{1b}', "ESC"));
}

#[test]
fn grouped() {
    assert_snapshot!(race().render(OutputFormat::Grouped));
}

#[test]
fn github() {
    assert_snapshot!(race().render(OutputFormat::Github));
}

#[test]
fn junit() {
    assert_snapshot!(race().render(OutputFormat::Junit));
}

#[test]
fn gitlab() {
    assert_snapshot!(race().render(OutputFormat::Gitlab));
}

#[test]
fn json() {
    assert_snapshot!(race().render(OutputFormat::Json));
}

#[test]
fn json_lines_hold_the_same_objects_as_json() {
    let lines = race().render(OutputFormat::JsonLines);
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect();
    let array: Vec<serde_json::Value> = serde_json::from_str(&race().render(OutputFormat::Json)).expect("one array");
    assert_eq!(lines, array);
}

#[test]
fn an_empty_report_is_a_valid_document_in_every_format() {
    let empty = Stage::default();
    for format in [OutputFormat::Full, OutputFormat::Concise, OutputFormat::Grouped] {
        assert_eq!(empty.render(format), "");
    }
    assert_eq!(empty.render(OutputFormat::Json), "[]\n");
    assert_eq!(empty.render(OutputFormat::JsonLines), "");
    assert_eq!(empty.render(OutputFormat::Github), "");
    assert_eq!(empty.render(OutputFormat::Gitlab), "[]\n");
    assert_snapshot!(empty.render(OutputFormat::Junit));
}
