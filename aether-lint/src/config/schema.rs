//! The JSON Schema of `aether.toml`, derived from the keys and from the options rules declare.

use aether_rules::registry;
use aether_rules::rule::Family;
use serde_json::{Map, Value, json};

use super::keys::KEYS;

/// The schema of a whole configuration.
pub(crate) fn schema() -> Value {
    let mut properties = Map::new();
    for key in KEYS {
        let mut schema = (key.schema)();
        if let Value::Object(object) = &mut schema {
            object.insert("description".to_owned(), json!(key.docs));
        }
        properties.insert(key.name.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Aether",
        "description": "The configuration of aether-lint: aether.toml, .aether.toml, or [tool.aether] in pyproject.toml.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": { "selector": { "anyOf": [
            { "enum": words() },
            { "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]*$" },
        ] } },
    })
}

/// Every word that selects rules: `ALL`, families, codes, names.
fn words() -> Vec<&'static str> {
    let families = Family::ALL.into_iter().flat_map(|family| [family.name(), family.prefix()]);
    let rules = registry::rules().iter().flat_map(|rule| [rule.code, rule.name]);
    std::iter::once("ALL").chain(families).chain(rules).collect()
}

/// An array of words that select rules.
pub(super) fn selectors() -> Value {
    json!({ "type": "array", "items": { "$ref": "#/$defs/selector" } })
}

/// A table from words that select rules to levels.
pub(super) fn levels() -> Value {
    json!({ "type": "object", "additionalProperties": level() })
}

/// A level.
pub(super) fn level() -> Value {
    json!({ "enum": ["off", "info", "warning", "error"] })
}

/// An array of strings.
pub(super) fn strings() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

/// `true` or `false`.
pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

/// A table from rules to the tables of their options.
pub(super) fn rule_options() -> Value {
    let mut properties = Map::new();
    for rule in registry::rules() {
        let Some(spec) = rule.options else { continue };
        let mut schema = (spec.schema)();
        schema.remove("$schema");
        schema.insert("additionalProperties".to_owned(), json!(false));
        properties.insert(rule.name.to_owned(), schema.to_value());
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
