//! `junit`: one suite per file, one failed case per finding.

use std::io::{self, Write};

use aether_rules::{Diagnostic, Level};

use super::concise::one_line;
use super::{Format, Scene};

/// `JUnit` XML, as most CI servers read it.
#[derive(Debug)]
pub(super) struct Junit;

impl Format for Junit {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        let diagnostics = &scene.report.diagnostics;
        let failures = failures(diagnostics);
        let tests = diagnostics.len().max(1);
        writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(out, r#"<testsuites name="aether" tests="{tests}" failures="{failures}" errors="0">"#)?;
        for group in diagnostics.chunk_by(|a, b| a.primary.file == b.primary.file) {
            suite(scene, group, out)?;
        }
        if diagnostics.is_empty() {
            // Some readers take a report without cases for a broken one.
            writeln!(out, r#"    <testsuite name="aether" tests="1" failures="0" errors="0" skipped="0">"#)?;
            writeln!(out, r#"        <testcase name="no findings" classname="aether" time="0"/>"#)?;
            writeln!(out, "    </testsuite>")?;
        }
        writeln!(out, "</testsuites>")
    }
}

/// Findings of level `info` do not fail the run, so they fail no case.
fn failures(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.level >= Level::Warning).count()
}

fn suite(scene: &Scene<'_>, group: &[Diagnostic], out: &mut dyn Write) -> io::Result<()> {
    let path = group.first().map_or("", |diagnostic| &*scene.report.file(diagnostic.primary.file).path);
    let name = escaped(path);
    let (tests, failures) = (group.len(), failures(group));
    writeln!(out, r#"    <testsuite name="{name}" tests="{tests}" failures="{failures}" errors="0" skipped="0">"#)?;
    for diagnostic in group {
        let place = scene.place(diagnostic.primary);
        let (line, column) = (place.start.line, place.start.column);
        let cell = place.cell.map(|cell| format!("cell {cell}, ")).unwrap_or_default();
        let code = escaped(diagnostic.rule.code);
        writeln!(out, r#"        <testcase name="{code}" classname="{name}" line="{line}" time="0">"#)?;
        let message = escaped(&one_line(diagnostic));
        let text = escaped(&details(diagnostic, &format!("{cell}line {line}, column {column}")));
        if diagnostic.level >= Level::Warning {
            let level = diagnostic.level;
            writeln!(out, r#"            <failure message="{message}" type="{level}">{text}</failure>"#)?;
        } else {
            writeln!(out, "            <system-out>{text}</system-out>")?;
        }
        writeln!(out, "        </testcase>")?;
    }
    writeln!(out, "    </testsuite>")
}

fn details(diagnostic: &Diagnostic, position: &str) -> String {
    let mut text = format!("{position}: {}", one_line(diagnostic));
    for note in &diagnostic.notes {
        text.push_str("\nnote: ");
        text.push_str(note);
    }
    if let Some(help) = &diagnostic.help {
        text.push_str("\nhelp: ");
        text.push_str(help);
    }
    text
}

/// `text` for element content and attributes; characters XML cannot hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\t' => escaped.push(character),
            other if other.is_control() || matches!(other, '\u{FFFE}' | '\u{FFFF}') => escaped.push('\u{FFFD}'),
            other => escaped.push(other),
        }
    }
    escaped
}
