//! `sarif`: SARIF 2.1.0 as GitHub code scanning reads it.
//!
//! *Invariant:* valid against the 2.1.0 schema, and within GitHub's limits: at most [`MAX_RESULTS`] results, of which
//! the gravest are kept.

use std::cmp::Reverse;
use std::io::{self, Write};

use aether_rules::{Diagnostic, Report, registry};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::fingerprint::line_hashes;
use super::{Format, Scene, uri};

mod results;
mod rules;

/// What GitHub takes of one run.
pub(super) const MAX_RESULTS: usize = 5_000;

/// A log with one run.
#[derive(Debug)]
pub(super) struct Sarif;

impl Format for Sarif {
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &log(scene))?;
        writeln!(out)
    }
}

fn log(scene: &Scene<'_>) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver() },
            "automationDetails": { "id": "aether-lint/" },
            "originalUriBaseIds": { "%SRCROOT%": {
                "uri": uri::directory(scene.root()),
                "description": { "text": "The root of the repository." },
            } },
            "columnKind": "utf16CodeUnits",
            "invocations": [{ "executionSuccessful": true }],
            "results": results(scene),
        }],
    })
}

fn driver() -> Value {
    let rules: Vec<Value> = registry::rules().iter().map(|rule| rules::descriptor(rule)).collect();
    json!({
        "name": "Aether",
        "fullName": concat!("Aether ", env!("CARGO_PKG_VERSION")),
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": rules,
    })
}

fn results(scene: &Scene<'_>) -> Vec<Value> {
    let mut hashes: FxHashMap<_, Vec<String>> = FxHashMap::default();
    let mut results = Vec::new();
    for diagnostic in gravest(scene.report, MAX_RESULTS) {
        let file = diagnostic.primary.file;
        let hashes = hashes.entry(file).or_insert_with(|| line_hashes(&scene.report.file(file).text));
        let line = scene.line_in_text(diagnostic.primary);
        let hash = hashes.get(line - 1).map_or("", String::as_str);
        results.push(results::result(scene, diagnostic, hash));
    }
    results
}

/// At most `limit` diagnostics, by level and confidence; in reading order.
fn gravest(report: &Report, limit: usize) -> Vec<&Diagnostic> {
    let mut ranked: Vec<(usize, &Diagnostic)> = report.diagnostics.iter().enumerate().collect();
    if ranked.len() > limit {
        ranked.sort_by_key(|(index, diagnostic)| (Reverse((diagnostic.level, diagnostic.confidence)), *index));
        ranked.truncate(limit);
        ranked.sort_by_key(|(index, _)| *index);
    }
    ranked.into_iter().map(|(_, diagnostic)| diagnostic).collect()
}

/// A text as a sentence: SARIF viewers show messages as prose.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    format!("{first}{}{stop}", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_sentences() {
        assert_eq!(sentence("the file is empty"), "The file is empty.");
        assert_eq!(sentence("`x` races. "), "`x` races.");
        assert_eq!(sentence(""), ".");
    }
}
