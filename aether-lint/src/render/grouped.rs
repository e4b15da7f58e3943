//! `grouped`: one line per finding, under the name of its file.

use std::io::{self, Write};

use super::concise::one_line;
use super::{Format, Scene};

/// The path once, then `line:column  level[CODE]  message`.
#[derive(Debug)]
pub(super) struct Grouped;

impl Format for Grouped {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut separator = "";
        for group in scene.report.diagnostics.chunk_by(|a, b| a.primary.file == b.primary.file) {
            let places: Vec<_> = group.iter().map(|diagnostic| scene.place(diagnostic.primary)).collect();
            let positions: Vec<String> = places
                .iter()
                .map(|place| match place.cell {
                    Some(cell) => format!("cell {cell}:{}:{}", place.start.line, place.start.column),
                    None => format!("{}:{}", place.start.line, place.start.column),
                })
                .collect();
            let width = positions.iter().map(String::len).max().unwrap_or_default();
            writeln!(out, "{separator}{}:", scene.emphasize(places.first().map_or("", |place| place.path)))?;
            for (diagnostic, position) in group.iter().zip(&positions) {
                writeln!(out, "  {position:width$}  {}  {}", scene.heading(diagnostic), one_line(diagnostic))?;
            }
            separator = "\n";
        }
        Ok(())
    }
}
