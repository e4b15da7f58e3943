//! A report and everything a format may ask about it: positions, names, addresses.
//!
//! *Invariant:* any span has a position, even an empty one at the end of a file or one past it.

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use aether_rules::{AnalyzedFile, Cell, Diagnostic, FileId, Level, Report, SourceKind, Span};
use anstyle::{AnsiColor, Style};
use ruff_source_file::{LineIndex, OneIndexed, PositionEncoding};
use ruff_text_size::TextSize;
use serde::Serialize;

use super::uri;
use crate::discover::printable;
use crate::terminal::Styling;

/// What is rendered.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) report: &'a Report,
    pub(crate) styling: Styling,
    /// The root of the repository: what addresses are relative to.
    root: &'a Path,
    /// The absolute path of every file.
    paths: Vec<&'a Path>,
    lines: Vec<OnceLock<LineIndex>>,
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Where a span lies, as a reader finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a str,
    /// The cell, in a notebook.
    pub(crate) cell: Option<usize>,
    pub(crate) start: Position,
    /// Behind the last character.
    pub(crate) end: Position,
}

impl<'a> Scene<'a> {
    /// The scene of a report whose files lie at `paths`.
    pub(crate) fn new(report: &'a Report, styling: Styling, root: &'a Path, paths: Vec<&'a Path>) -> Self {
        let lines = report.files.iter().map(|_| OnceLock::new()).collect();
        Self { report, styling, root, paths, lines }
    }

    /// Where `span` lies, columns in characters.
    pub(crate) fn place(&self, span: Span) -> Place<'a> {
        self.place_in(span, PositionEncoding::Utf32)
    }

    /// Where `span` lies, columns in UTF-16 units.
    pub(crate) fn place_utf16(&self, span: Span) -> Place<'a> {
        self.place_in(span, PositionEncoding::Utf16)
    }

    /// The line `span` starts on, counted from 1 in the whole text also in a notebook.
    pub(crate) fn line_in_text(&self, span: Span) -> usize {
        let start = TextSize::try_from(self.clamp(span).start).unwrap_or_default();
        self.lines(span.file).line_index(start).get()
    }

    /// The root of the repository.
    pub(crate) fn root(&self) -> &'a Path {
        self.root
    }

    /// The address of a file: relative to the root of the repository if it lies below it, absolute otherwise.
    pub(crate) fn address(&self, file: FileId) -> uri::Address {
        match self.paths.get(file.index()) {
            Some(path) => uri::address(path, self.root),
            None => uri::address(Path::new(&*self.report.file(file).path), self.root),
        }
    }

    /// The path of a file as its repository knows it, `/`-separated; the display path if it lies elsewhere.
    pub(crate) fn repository_path(&self, file: FileId) -> String {
        let below = self.paths.get(file.index()).and_then(|path| path.strip_prefix(self.root).ok());
        below.map_or_else(|| self.report.file(file).path.to_string(), printable)
    }

    /// The part of the file's text that `span`'s cell is, or the whole text; as bytes.
    pub(crate) fn frame(&self, span: Span) -> (Option<usize>, Range<usize>) {
        let file = self.report.file(span.file);
        match cell_at(file, span.range.start()) {
            Some(cell) => (Some(cell.number), cell.range.into()),
            None => (None, 0..file.text.len()),
        }
    }

    /// The range of `span`, moved to character boundaries inside the text.
    pub(crate) fn clamp(&self, span: Span) -> Range<usize> {
        let text = &self.report.file(span.file).text;
        let start = floor(text, span.range.start().to_usize());
        start..floor(text, span.range.end().to_usize()).max(start)
    }

    /// The lines of a file.
    pub(crate) fn lines(&self, file: FileId) -> &LineIndex {
        let text = &self.report.file(file).text;
        self.lines[file.index()].get_or_init(|| LineIndex::from_source_text(text))
    }

    /// Level and code, like `warning[AET101]`.
    pub(crate) fn heading(&self, diagnostic: &Diagnostic) -> String {
        let heading = format!("{}[{}]", diagnostic.level, diagnostic.rule.code);
        self.styling.paint(level_style(diagnostic.level), heading)
    }

    /// `text` as the name of something.
    pub(crate) fn emphasize(&self, text: &str) -> String {
        self.styling.paint(Style::new().bold(), text)
    }

    fn place_in(&self, span: Span, encoding: PositionEncoding) -> Place<'a> {
        let file = self.report.file(span.file);
        let range = self.clamp(span);
        let cell = cell_at(file, span.range.start());
        let first_line = cell.map_or(1, |cell| self.lines(span.file).line_index(cell.range.start()).get());
        let position = |offset: usize| {
            let offset = TextSize::try_from(offset).unwrap_or_default();
            let location = self.lines(span.file).source_location(offset, &file.text, encoding);
            let line = (location.line.get() + 1).saturating_sub(first_line).max(1);
            Position { line, column: OneIndexed::get(location.character_offset) }
        };
        Place {
            path: &file.path,
            cell: cell.map(|cell| cell.number),
            start: position(range.start),
            end: position(range.end),
        }
    }
}

/// The cell of a notebook that holds `offset`; at the very end of the text, the last one.
fn cell_at(file: &AnalyzedFile, offset: TextSize) -> Option<Cell> {
    let SourceKind::Notebook(cells) = &file.kind else { return None };
    let holds = |cell: &&Cell| cell.range.contains_inclusive(offset);
    cells.iter().find(holds).or_else(|| cells.last().filter(|cell| cell.range.end() <= offset)).copied()
}

fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset)
}

fn level_style(level: Level) -> Style {
    let color = match level {
        Level::Error => AnsiColor::BrightRed,
        Level::Warning => AnsiColor::Yellow,
        Level::Info | Level::Off => AnsiColor::BrightBlue,
    };
    color.on_default().bold()
}
