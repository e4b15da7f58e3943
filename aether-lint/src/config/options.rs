//! The option tables of rules: `[rules.<name>]`, checked key by key against the rule's own declaration.

use aether_rules::rule::{OptionsSpec, Rule, normalize_name};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::error::ConfigError;
use super::value::{Entry, nearest};

/// The options of one rule, as far as they were given, under the names their declaration uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptionTable(toml::Table);

impl OptionTable {
    /// Lays `above` over `self`, option by option.
    pub(crate) fn overlay(&mut self, above: Self) {
        self.0.extend(above.0);
    }

    /// The options as one value.
    pub(crate) fn value(&self) -> toml::Value {
        toml::Value::Table(self.0.clone())
    }
}

/// Reads the option table of `rule`.
pub(crate) fn read(rule: &'static Rule, table: Entry<'_>) -> Result<OptionTable, ConfigError> {
    let entries = table.table()?;
    let Some(spec) = rule.options else {
        let message = format!("the rule `{}` has no options", rule.name);
        return Err(table.document.mistake(table.key.span(), message));
    };
    let known = option_names(spec);
    let mut read = toml::Table::new();
    for entry in entries {
        let wanted = normalize_name(entry.name());
        let Some(name) = known.iter().find(|name| normalize_name(name) == wanted) else {
            let help = match nearest(&wanted, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its options are {}", known.join(", ")),
            };
            let message = format!("the rule `{}` has no option `{}`", rule.name, entry.name());
            return Err(entry.document.helpful_mistake(entry.key.span(), message, help));
        };
        let value = owned(entry.value)
            .map_err(|error| entry.refused(format!("`{}` cannot be read: {}", entry.name(), error.message()), None))?;
        // Alone with the defaults, a wrong value can only be this one's fault.
        let alone = toml::Table::from_iter([(name.clone(), value.clone())]);
        (spec.parse)(toml::Value::Table(alone))
            .map_err(|error| entry.refused(format!("`{}`: {}", entry.name(), error.message()), None))?;
        read.insert(name.clone(), value);
    }
    Ok(OptionTable(read))
}

/// The names of the options, as declared.
fn option_names(spec: OptionsSpec) -> Vec<String> {
    let schema = (spec.schema)();
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

fn owned(value: &Spanned<DeValue<'_>>) -> Result<toml::Value, toml::de::Error> {
    toml::Value::deserialize(ValueDeserializer::from(value.clone()))
}
