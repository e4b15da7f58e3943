//! `concise`: one line per finding.

use std::io::{self, Write};

use aether_rules::Diagnostic;

use super::scene::Place;
use super::{Format, Scene};

/// `path:line:column: level[CODE] message`
#[derive(Debug)]
pub(super) struct Concise;

impl Format for Concise {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        for diagnostic in &scene.report.diagnostics {
            let place = scene.place(diagnostic.primary);
            let path = scene.emphasize(&path_and_cell(&place));
            writeln!(
                out,
                "{path}:{}:{}: {} {}",
                place.start.line,
                place.start.column,
                scene.heading(diagnostic),
                one_line(diagnostic),
            )?;
        }
        Ok(())
    }
}

/// The message without line breaks and without what a terminal would obey.
pub(super) fn one_line(diagnostic: &Diagnostic) -> String {
    let words: Vec<_> = diagnostic.message.split_whitespace().collect();
    let visible = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    words.join(" ").chars().map(visible).collect()
}

/// The path, in a notebook with the cell: `nb.ipynb:cell 3`.
pub(super) fn path_and_cell(place: &Place<'_>) -> String {
    match place.cell {
        Some(cell) => format!("{}:cell {cell}", place.path),
        None => place.path.to_owned(),
    }
}
