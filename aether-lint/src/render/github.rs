//! `github`: workflow commands, which GitHub Actions turns into annotations on the diff.

use std::io::{self, Write};

use aether_rules::Level;

use super::concise::one_line;
use super::{Format, Scene};

/// `::warning file=…,line=…::message`
#[derive(Debug)]
pub(super) struct Github;

impl Format for Github {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        for diagnostic in &scene.report.diagnostics {
            let command = match diagnostic.level {
                Level::Error => "error",
                Level::Warning => "warning",
                Level::Info | Level::Off => "notice",
            };
            let place = scene.place(diagnostic.primary);
            let file = scene.repository_path(diagnostic.primary.file);
            let code = diagnostic.rule.code;
            write!(out, "::{command} title={},file={}", property(&format!("Aether ({code})")), property(&file))?;
            let position = if let Some(cell) = place.cell {
                // The line of a cell is not the line of the notebook's JSON.
                format!("{file}:cell {cell}:{}:{}", place.start.line, place.start.column)
            } else {
                write!(out, ",line={},col={}", place.start.line, place.start.column)?;
                write!(out, ",endLine={},endColumn={}", place.end.line, place.end.column)?;
                format!("{file}:{}:{}", place.start.line, place.start.column)
            };
            let help = diagnostic.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
            let message = format!("{position}: {code} {}{help}", one_line(diagnostic));
            writeln!(out, "::{}", data(&message))?;
        }
        Ok(())
    }
}

/// A text behind the `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A text between commas.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
