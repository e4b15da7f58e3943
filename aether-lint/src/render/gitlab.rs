//! `gitlab`: a code quality report.

use std::collections::BTreeMap;
use std::io::{self, Write};

use aether_rules::{Diagnostic, Level};
use serde_json::{Value, json};

use super::concise::one_line;
use super::fingerprint::{line_hashes, stable_hash};
use super::{Format, Scene};

/// One array of issues, each with a fingerprint of its own.
#[derive(Debug)]
pub(super) struct Gitlab;

impl Format for Gitlab {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut seen = BTreeMap::new();
        let mut issues = Vec::new();
        for group in scene.report.diagnostics.chunk_by(|a, b| a.primary.file == b.primary.file) {
            let Some(first) = group.first() else { continue };
            let hashes = line_hashes(&scene.report.file(first.primary.file).text);
            for diagnostic in group {
                issues.push(issue(scene, diagnostic, &hashes, &mut seen));
            }
        }
        serde_json::to_writer_pretty(&mut *out, &issues)?;
        writeln!(out)
    }
}

fn issue(scene: &Scene<'_>, diagnostic: &Diagnostic, hashes: &[String], seen: &mut BTreeMap<u64, u32>) -> Value {
    let place = scene.place(diagnostic.primary);
    let path = scene.repository_path(diagnostic.primary.file);
    let line = scene.line_in_text(diagnostic.primary);
    let hash = hashes.get(line - 1).map_or("", String::as_str);
    let id = stable_hash(&[diagnostic.rule.code, &path, hash]);
    let times = seen.entry(id).or_default();
    *times += 1;
    // Two findings of one rule on one line are two issues.
    let fingerprint = if *times == 1 { format!("{id:016x}") } else { format!("{id:016x}-{times}") };
    let cell = place.cell.map(|cell| format!("cell {cell}, line {}: ", place.start.line)).unwrap_or_default();
    // The line of a cell is not the line of the notebook's JSON.
    let (start, end) = if place.cell.is_some() { (1, 1) } else { (place.start.line, place.end.line) };
    let column = |column: usize| if place.cell.is_some() { 1 } else { column };
    json!({
        "check_name": diagnostic.rule.code,
        "description": format!("{}: {cell}{}", diagnostic.rule.code, one_line(diagnostic)),
        "fingerprint": fingerprint,
        "severity": match diagnostic.level {
            Level::Error => "major",
            Level::Warning => "minor",
            Level::Info | Level::Off => "info",
        },
        "location": {
            "path": path,
            "positions": {
                "begin": { "line": start, "column": column(place.start.column) },
                "end": { "line": end, "column": column(place.end.column) },
            },
        },
    })
}
