//! Documents derived from the rules: pages, lists, the schema of the configuration.
//!
//! *Invariant:* `docs/` holds exactly what these functions return (a test compares; `UPDATE=1` rewrites).

use std::fmt::Write as _;

use aether_rules::rule::{FixAvailability, Rule};
use serde_json::{Value, json};

use crate::config::{keys::KEYS, schema};

#[cfg(test)]
mod tests;

/// The page of one rule, as in `docs/rules/<name>.md`.
pub(crate) fn rule_page(rule: &Rule) -> String {
    let mut page = format!("# {} {}\n\n{}.\n\n", rule.code, rule.name, capitalized(rule.summary));
    let mut level = rule.level.to_string();
    if let Some(other) = rule.free_threaded_level {
        let _ = write!(level, "; {other} when the target is free-threaded only");
    }
    let rows = [
        ("Family", rule.family.to_string()),
        ("Level", level),
        ("Builds", rule.builds.to_string()),
        ("Python", rule.versions.to_owned()),
        ("Fix", fix(rule.fix).to_owned()),
        ("Since", rule.since.to_owned()),
    ];
    page.push_str("| | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page.push('\n');
    page.push_str(rule.markdown().trim());
    page.push('\n');
    page.push_str(&options(rule));
    page
}

/// One line per rule, for a terminal.
pub(crate) fn rules_text(rules: &[&Rule]) -> String {
    let width = rules.iter().map(|rule| rule.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for rule in rules {
        let level = rule.level.to_string();
        let _ = writeln!(text, "{:7} {:width$}  {level:7}  {}", rule.code, rule.name, rule.summary);
    }
    text
}

/// A table of rules with links to their pages, as in `docs/rules.md`.
pub(crate) fn rules_table(rules: &[&Rule]) -> String {
    let mut text = String::from("| Code | Name | Level | Builds | What it reports |\n|---|---|---|---|---|\n");
    for rule in rules {
        let summary = capitalized(rule.summary).replace('|', "\\|");
        let link = format!("[{0}](rules/{0}.md)", rule.name);
        let _ = writeln!(text, "| {} | {link} | {} | {} | {summary} |", rule.code, rule.level, rule.builds);
    }
    text
}

/// The rules as objects, documentation included.
pub(crate) fn rules_json(rules: &[&Rule]) -> String {
    let rules: Vec<Value> = rules.iter().map(|rule| rule_object(rule)).collect();
    pretty(&Value::Array(rules))
}

/// The JSON Schema of `aether.toml`, as in `docs/aether.schema.json`.
pub(crate) fn config_schema() -> String {
    pretty(&schema::schema())
}

/// Every key of `aether.toml`, as in `docs/configuration.md`.
pub(crate) fn config_reference() -> String {
    let mut text = String::from(REFERENCE_HEAD);
    for key in KEYS {
        let _ = write!(text, "\n## `{}`\n\n{}\n", key.name, key.docs);
        if !key.default.is_empty() {
            let _ = write!(text, "\nDefault: `{}`\n", key.default);
        }
    }
    text
}

const REFERENCE_HEAD: &str = "\
# Configuration

The keys of `aether.toml`, `.aether.toml` or `[tool.aether]` in `pyproject.toml`. A file is governed by the nearest
configuration above it, alone; a configuration inherits only where it says `extend`. Snake case is accepted wherever a
name is. An unknown key or rule is an error. The same list: `aether-lint config reference`; as a JSON Schema:
`aether-lint config schema`.
";

fn rule_object(rule: &Rule) -> Value {
    json!({
        "code": rule.code,
        "name": rule.name,
        "summary": rule.summary,
        "family": rule.family,
        "level": rule.level,
        "free_threaded_level": rule.free_threaded_level,
        "builds": rule.builds,
        "versions": rule.versions,
        "fix": rule.fix,
        "since": rule.since,
        "documentation": rule.markdown(),
        "options": rule.options.map(|spec| (spec.schema)()),
    })
}

fn options(rule: &Rule) -> String {
    let Some(spec) = rule.options else { return String::new() };
    let schema = (spec.schema)();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return String::new() };
    let mut text = format!("\n## Options\n\n```toml\n[rules.{}]\n", rule.name);
    for (name, property) in properties {
        if let Some(description) = property.get("description").and_then(Value::as_str) {
            for line in description.lines() {
                let _ = writeln!(text, "# {}", line.trim());
            }
        }
        let default = property.get("default").map_or_else(|| "…".to_owned(), ToString::to_string);
        let _ = writeln!(text, "{name} = {default}");
    }
    text.push_str("```\n");
    text
}

fn fix(availability: FixAvailability) -> &'static str {
    match availability {
        FixAvailability::Manual => "by hand",
        FixAvailability::Unsafe => "sometimes, may change behaviour",
        FixAvailability::Safe => "sometimes, keeps behaviour",
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
