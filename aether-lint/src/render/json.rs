//! `json` and `json-lines`: every finding as an object.

use std::io::{self, Write};

use super::record::record;
use super::{Format, Scene};

/// One array, one finding per line.
#[derive(Debug)]
pub(super) struct Json;

/// One object per line.
#[derive(Debug)]
pub(super) struct JsonLines;

impl Format for Json {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut separator = "\n";
        write!(out, "[")?;
        for diagnostic in &scene.report.diagnostics {
            write!(out, "{separator}  ")?;
            serde_json::to_writer(&mut *out, &record(scene, diagnostic))?;
            separator = ",\n";
        }
        writeln!(out, "{}]", if scene.report.diagnostics.is_empty() { "" } else { "\n" })
    }
}

impl Format for JsonLines {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        for diagnostic in &scene.report.diagnostics {
            serde_json::to_writer(&mut *out, &record(scene, diagnostic))?;
            writeln!(out)?;
        }
        Ok(())
    }
}
