//! `full`: what rustc shows. Code and level, the message, every place with its label, notes, help.
//!
//! *Invariant:* only the lines between the first and the last annotation of a file are handed to the renderer, so that
//! a finding in a long file costs no more than one in a short file.

use std::io::{self, Write};

use aether_rules::{Confidence, Diagnostic, FileId, Level as FindingLevel, Span};
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Snippet};
use ruff_text_size::TextSize;

use super::concise::path_and_cell;
use super::{Format, Scene};

/// Snippets with labels.
#[derive(Debug)]
pub(super) struct Full;

impl Format for Full {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        let renderer = scene.styling.renderer();
        for diagnostic in &scene.report.diagnostics {
            writeln!(out, "{}\n", renderer.render(&[group(scene, diagnostic)]))?;
        }
        Ok(())
    }
}

fn group<'s>(scene: &Scene<'s>, diagnostic: &'s Diagnostic) -> Group<'s> {
    let level = match diagnostic.level {
        FindingLevel::Error => Level::ERROR,
        FindingLevel::Warning => Level::WARNING,
        FindingLevel::Info | FindingLevel::Off => Level::INFO,
    };
    let mut group =
        level.primary_title(diagnostic.message.as_str()).id(diagnostic.rule.code).elements(Vec::<Element<'_>>::new());
    for window in windows(scene, diagnostic) {
        group = group.element(window.element(scene));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if diagnostic.confidence == Confidence::Low {
        group = group.element(Level::NOTE.message("low confidence: shown on request only"));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// What is marked in one text.
struct Mark<'s> {
    kind: AnnotationKind,
    span: Span,
    label: &'s str,
}

/// The marks of one file or cell, in the order a reader should follow them.
struct Window<'s> {
    file: FileId,
    cell: Option<usize>,
    marks: Vec<Mark<'s>>,
}

fn windows<'s>(scene: &Scene<'s>, diagnostic: &'s Diagnostic) -> Vec<Window<'s>> {
    let primary = Mark { kind: AnnotationKind::Primary, span: diagnostic.primary, label: &diagnostic.label };
    let evidence = diagnostic.evidence.iter().map(|evidence| Mark {
        kind: AnnotationKind::Context,
        span: evidence.span,
        label: &evidence.text,
    });
    let mut windows: Vec<Window<'s>> = Vec::new();
    for mark in std::iter::once(primary).chain(evidence) {
        let (cell, _) = scene.frame(mark.span);
        match windows.iter_mut().find(|window| window.file == mark.span.file && window.cell == cell) {
            Some(window) => window.marks.push(mark),
            None => windows.push(Window { file: mark.span.file, cell, marks: vec![mark] }),
        }
    }
    windows
}

impl<'s> Window<'s> {
    fn element(self, scene: &Scene<'s>) -> Element<'s> {
        let Some(first) = self.marks.first().map(|mark| mark.span) else {
            return Level::NOTE.message("").into();
        };
        let place = scene.place(first);
        let path = path_and_cell(&place);
        let file = scene.report.file(self.file);
        if file.text.is_empty() {
            return Origin::path(path).into();
        }
        let (_, frame) = scene.frame(first);
        let ranges: Vec<_> = self.marks.iter().map(|mark| scene.clamp(mark.span)).collect();
        let start = ranges.iter().map(|range| range.start).min().unwrap_or_default().max(frame.start);
        let end = ranges.iter().map(|range| range.end).max().unwrap_or_default().min(frame.end).max(start);
        let lines = scene.lines(self.file);
        let offset = |byte: usize| TextSize::try_from(byte).unwrap_or_default();
        let from = lines.line_start(lines.line_index(offset(start)), &file.text).to_usize();
        let to = lines.line_end(lines.line_index(offset(end)), &file.text).to_usize().min(frame.end).max(end);
        let first_line = scene.place(Span::new(self.file, ruff_text_size::TextRange::empty(offset(from)))).start.line;
        let text = visible_line_ends(&file.text[from..to]);
        let marks = self.marks.iter().zip(ranges).map(|(mark, range)| {
            let within = |byte: usize| byte.clamp(from, to) - from;
            let annotation = mark.kind.span(within(range.start)..within(range.end));
            if mark.label.is_empty() { annotation } else { annotation.label(mark.label) }
        });
        Snippet::source(text).path(path).line_start(first_line).annotations(marks).into()
    }
}

/// `text` with every lone carriage return, which ends a line in Python, replaced by what ends one everywhere. Offsets
/// do not move.
fn visible_line_ends(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let ends_line = character == '\r' && characters.peek() != Some(&'\n');
        visible.push(if ends_line { '\n' } else { character });
    }
    visible
}
