//! Words of the command line that mean something: each reader says what it would have accepted.

use aether_rules::Confidence;
use aether_rules::registry::Selector;
use clap::ValueEnum;

use crate::config::Target;

/// How a rule is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocFormat {
    /// For reading in a terminal
    Text,
    /// As in docs/rules/
    Markdown,
    /// For programs
    Json,
}

/// How rules are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// One line per rule
    Text,
    /// A table, as in docs/rules.md
    Markdown,
    /// For programs
    Json,
}

/// One word of `--select` or `--ignore`.
pub(super) fn selector(word: &str) -> Result<Selector, String> {
    Selector::parse(word).map_err(|unknown| match &unknown.suggestion {
        Some(near) => format!("{unknown}; did you mean `{near}`?"),
        None => format!("{unknown}; `aether-lint rules` lists them"),
    })
}

/// A confidence by name.
pub(super) fn confidence(word: &str) -> Result<Confidence, String> {
    crate::config::confidence_named(word).ok_or_else(|| "expected low, medium or high".to_owned())
}

/// A Python version, perhaps its free-threaded build.
pub(super) fn target(word: &str) -> Result<Target, String> {
    word.parse().map_err(|error: aether_rules::settings::BadVersion| error.to_string())
}
