//! What GitHub shows about a rule.

use aether_rules::rule::{Family, Rule};
use aether_rules::{Builds, Level};
use serde_json::{Value, json};

use super::sentence;

/// GitHub cuts descriptions here, in characters.
const MAX_DESCRIPTION: usize = 1024;

/// The `reportingDescriptor` of `rule`.
pub(super) fn descriptor(rule: &Rule) -> Value {
    let markdown = rule.markdown();
    let mut descriptor = json!({
        "id": rule.code,
        "name": pascal_case(rule.name),
        "shortDescription": { "text": sentence(rule.summary) },
        "fullDescription": { "text": full_description(rule, &markdown) },
        "help": { "text": markdown.trim(), "markdown": markdown.trim() },
        "defaultConfiguration": { "level": level(rule.level), "enabled": rule.level != Level::Off },
        "properties": {
            "tags": tags(rule),
            "precision": precision(rule),
            "problem.severity": severity(rule.level),
        },
    });
    // Our own rules have a page; a third party's documentation is the help text itself.
    if rule.code.starts_with("AET") {
        let page = format!("{}/blob/main/docs/rules/{}.md", env!("CARGO_PKG_REPOSITORY"), rule.name);
        descriptor["helpUri"] = json!(page);
    }
    descriptor
}

/// The SARIF level of a finding.
pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
        Level::Off => "none",
    }
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info | Level::Off => "recommendation",
    }
}

/// What the engine says of the run itself is certain; everything else is as sure as its findings are shown to be.
fn precision(rule: &Rule) -> &'static str {
    if rule.family == Family::Run { "very-high" } else { "high" }
}

fn tags(rule: &Rule) -> Vec<&'static str> {
    let mut tags = vec!["concurrency", "python", rule.family.name()];
    match rule.builds {
        Builds::FreeThreaded => tags.push("free-threaded-builds"),
        Builds::Gil => tags.push("gil-builds"),
        Builds::All => {}
    }
    tags.dedup();
    tags
}

/// The first paragraph of the documentation, cut at a word.
fn full_description(rule: &Rule, markdown: &str) -> String {
    let mut lines = markdown.lines().skip_while(|line| line.trim().is_empty() || line.starts_with('#'));
    let paragraph: Vec<&str> = lines.by_ref().take_while(|line| !line.trim().is_empty()).collect();
    let text = if paragraph.is_empty() { sentence(rule.summary) } else { sentence(&paragraph.join(" ")) };
    if text.chars().count() <= MAX_DESCRIPTION {
        return text;
    }
    let cut: String = text.chars().take(MAX_DESCRIPTION - 1).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{}…", &cut[..end])
}

fn pascal_case(name: &str) -> String {
    let capital = |word: &str| {
        let mut characters = word.chars();
        characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect::<String>()
    };
    name.split('-').map(capital).collect()
}
