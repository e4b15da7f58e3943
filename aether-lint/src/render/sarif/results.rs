//! One finding as a SARIF result: where, why, and what each thread does.

use std::fmt::Write as _;

use aether_rules::{Confidence, Diagnostic, Evidence, EvidenceRole, Span, registry};
use serde_json::{Value, json};

use super::super::Scene;
use super::super::uri::Address;
use super::rules::level;
use super::sentence;

/// The result of one diagnostic; `line_hash` is that of its line.
pub(super) fn result(scene: &Scene<'_>, diagnostic: &Diagnostic, line_hash: &str) -> Value {
    let mut location = location(scene, diagnostic.primary, None);
    if !diagnostic.label.is_empty() {
        location["message"] = json!({ "text": sentence(&diagnostic.label) });
    }
    let mut result = json!({
        "ruleId": diagnostic.rule.code,
        "level": level(diagnostic.level),
        "message": { "text": message(scene, diagnostic) },
        "locations": [location],
        "partialFingerprints": { "primaryLocationLineHash": line_hash },
        "rank": rank(diagnostic.confidence),
        "properties": { "confidence": diagnostic.confidence },
    });
    if let Some(index) = registry::rules().iter().position(|rule| rule.code == diagnostic.rule.code) {
        result["ruleIndex"] = json!(index);
    }
    if !diagnostic.evidence.is_empty() {
        result["relatedLocations"] = related(scene, diagnostic);
    }
    let flows = thread_flows(scene, diagnostic);
    if !flows.is_empty() {
        result["codeFlows"] = json!([{ "threadFlows": flows }]);
    }
    result
}

/// Confidence on SARIF's scale.
fn rank(confidence: Confidence) -> f64 {
    match confidence {
        Confidence::High => 90.0,
        Confidence::Medium => 60.0,
        Confidence::Low => 30.0,
    }
}

/// Everything the finding says, as prose; evidence links to the related location of its number.
fn message(scene: &Scene<'_>, diagnostic: &Diagnostic) -> String {
    let mut text = String::new();
    let place = scene.place(diagnostic.primary);
    if let Some(cell) = place.cell {
        text = format!("In cell {cell}, line {}: ", place.start.line);
    }
    text.push_str(&sentence(&diagnostic.message));
    for (index, evidence) in diagnostic.evidence.iter().enumerate() {
        let words = evidence.text.replace('[', "\\[").replace(']', "\\]");
        let _ = write!(text, "\n- [{words}]({})", index + 1);
    }
    for note in &diagnostic.notes {
        let _ = write!(text, "\n\n{}", sentence(note));
    }
    if let Some(help) = &diagnostic.help {
        let _ = write!(text, "\n\nHelp: {}", sentence(help));
    }
    text
}

fn related(scene: &Scene<'_>, diagnostic: &Diagnostic) -> Value {
    let evidence = diagnostic.evidence.iter().enumerate();
    let related = evidence.map(|(index, evidence)| {
        let mut location = location(scene, evidence.span, Some(&evidence.text));
        location["id"] = json!(index + 1);
        location
    });
    related.collect()
}

/// What each named thread does, in order; empty if the rule names no thread.
fn thread_flows(scene: &Scene<'_>, diagnostic: &Diagnostic) -> Vec<Value> {
    let evidence = diagnostic.evidence.iter().map(|evidence| (evidence.thread.as_deref(), flow_step(scene, evidence)));
    let label = if diagnostic.label.is_empty() { &diagnostic.message } else { &diagnostic.label };
    let primary = location(scene, diagnostic.primary, Some(label));
    let primary = (diagnostic.thread.as_deref(), json!({ "location": primary, "importance": "essential" }));
    let mut threads: Vec<(&str, Vec<Value>)> = Vec::new();
    // The reported access comes last: what its thread does before leads to it.
    for (thread, step) in evidence.chain([primary]) {
        let Some(name) = thread else { continue };
        match threads.iter_mut().find(|(known, _)| *known == name) {
            Some((_, steps)) => steps.push(step),
            None => threads.push((name, vec![step])),
        }
    }
    let flow = |(name, steps)| json!({ "id": name, "message": { "text": sentence(name) }, "locations": steps });
    threads.into_iter().map(flow).collect()
}

fn flow_step(scene: &Scene<'_>, evidence: &Evidence) -> Value {
    let importance = match evidence.role {
        EvidenceRole::OtherAccess => "essential",
        EvidenceRole::RootStarts | EvidenceRole::CallPath | EvidenceRole::Lock => "important",
        EvidenceRole::Definition => "unimportant",
    };
    json!({ "location": location(scene, evidence.span, Some(&evidence.text)), "importance": importance })
}

fn location(scene: &Scene<'_>, span: Span, text: Option<&str>) -> Value {
    let place = scene.place_utf16(span);
    let artifact = match scene.address(span.file) {
        Address::Relative(uri) => json!({ "uri": uri, "uriBaseId": "%SRCROOT%" }),
        Address::Absolute(uri) => json!({ "uri": uri }),
    };
    let region = match place.cell {
        // The line of a cell is not the line of the notebook's JSON; the message says where it is.
        Some(_) => json!({ "startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1 }),
        None => json!({
            "startLine": place.start.line,
            "startColumn": place.start.column,
            "endLine": place.end.line,
            "endColumn": place.end.column,
        }),
    };
    let mut location = json!({ "physicalLocation": { "artifactLocation": artifact, "region": region } });
    if let Some(cell) = place.cell {
        let name = format!("cell {cell}");
        location["logicalLocations"] =
            json!([{ "name": name, "fullyQualifiedName": format!("{}:{name}", place.path) }]);
    }
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        location["message"] = json!({ "text": sentence(text) });
    }
    location
}
