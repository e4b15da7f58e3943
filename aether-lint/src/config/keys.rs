//! The keys of `aether.toml`: one value each carries name, documentation, schema and reader.
//!
//! *Invariant:* there is no other list of keys. An unknown one is an error that names the nearest known one.

use std::path::PathBuf;

use aether_rules::registry::{self, Selector};
use aether_rules::rule::normalize_name;
use aether_rules::{Level, Rule, TargetBuilds};
use serde_json::{Value, json};

use super::error::ConfigError;
use super::globs::GlobPattern;
use super::layer::{Exclusions, Gitignore, Layer};
use super::models;
use super::options;
use super::schema;
use super::value::{Document, Entry, Word, entries, nearest};
use super::{Target, confidence_named, level_named};
use crate::render::OutputFormat;

/// One key.
pub(crate) struct Key {
    /// As it is written, in kebab case; snake case is accepted.
    pub(crate) name: &'static str,
    /// What it decides.
    pub(crate) docs: &'static str,
    /// Its value if nobody sets it, as TOML; empty if there is none.
    pub(crate) default: &'static str,
    /// The JSON Schema of its values.
    pub(crate) schema: fn() -> Value,
    read: fn(Entry<'_>, &mut Reading) -> Result<(), ConfigError>,
}

/// What is being read: the decisions so far, and the configuration to inherit from.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) layer: Layer,
    pub(crate) extend: Option<PathBuf>,
}

/// Every key, in the order of the reference.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "extend",
        docs: "A configuration to inherit from, relative to this file. What is set here replaces what is set there; `extend-select`, `ignore`, `levels`, `per-file-ignores`, `extend-exclude` and rule options add to it.",
        default: "",
        schema: || json!({ "type": "string" }),
        read: |entry, to| {
            to.extend = Some(entry.document.root.join(entry.word()?.text));
            Ok(())
        },
    },
    Key {
        name: "select",
        docs: "The rules that run: codes, code prefixes, names or families. Without it, every rule that is on by default.",
        default: "",
        schema: schema::selectors,
        read: |entry, to| selectors(entry).map(|read| to.layer.selection.select = Some(read)),
    },
    Key {
        name: "extend-select",
        docs: "Rules that run besides those of `select`.",
        default: "[]",
        schema: schema::selectors,
        read: |entry, to| selectors(entry).map(|read| to.layer.selection.extend = read),
    },
    Key {
        name: "ignore",
        docs: "Rules that do not run. The narrower word wins: `select = [\"AET101\"]` with `ignore = [\"AET1\"]` runs AET101.",
        default: "[]",
        schema: schema::selectors,
        read: |entry, to| selectors(entry).map(|read| to.layer.selection.ignore = read),
    },
    Key {
        name: "levels",
        docs: "How grave a rule's findings are: a table from rules to `off`, `info`, `warning` or `error`. The narrower word wins. Findings of level `info` are shown and do not fail the run.",
        default: "{}",
        schema: schema::levels,
        read: levels,
    },
    Key {
        name: "per-file-ignores",
        docs: "A table from glob patterns to the rules that do not run on files that match.",
        default: "{}",
        schema: || json!({ "type": "object", "additionalProperties": schema::selectors() }),
        read: per_file_ignores,
    },
    Key {
        name: "test-files",
        docs: "The files that are test code, in place of the default list: a name of a file or of a folder around it, below this file or the path on the command line; a pattern with a slash is relative to this file. A file named on the command line is none, unless `force-exclude` is set.",
        default: "[\"test\", \"tests\", \"test_*.py\", \"*_test.py\", \"conftest.py\"]",
        schema: schema::strings,
        read: |entry, to| globs(entry).map(|read| to.layer.test_files = Some(read)),
    },
    Key {
        name: "test-level",
        docs: "The gravest level of findings in test code, which races, forks and holds locks on purpose: `off`, `info`, `warning` or `error`. Where findings of low confidence are shown, as with `--all`, the default is `info`. While it is off, test files are read for the threads they start: functions that neither name threads nor are named by one that does are left out, files that name no thread are skipped, and the summary counts those.",
        default: "\"off\"",
        schema: schema::level,
        read: |entry, to| level(entry).map(|read| to.layer.test_level = Some(read)),
    },
    Key {
        name: "include",
        docs: "The files to check below a directory. A file named on the command line is checked whatever its name.",
        default: "[\"*.py\", \"*.pyi\", \"*.pyw\", \"*.ipynb\"]",
        schema: schema::strings,
        read: |entry, to| globs(entry).map(|read| to.layer.include = Some(read)),
    },
    Key {
        name: "exclude",
        docs: "Files and directories to leave out, in place of the default list. A name matches at any depth; a pattern with a slash is relative to this file.",
        default: "[\".git\", \".venv\", \"__pycache__\", \"node_modules\", …]",
        schema: schema::strings,
        read: |entry, to| globs(entry).map(|read| to.layer.exclude = Some(read)),
    },
    Key {
        name: "extend-exclude",
        docs: "Files and directories to leave out besides those of `exclude`.",
        default: "[]",
        schema: schema::strings,
        read: |entry, to| globs(entry).map(|read| to.layer.extend_exclude = read),
    },
    Key {
        name: "force-exclude",
        docs: "Apply exclusions even to files named on the command line, as pre-commit does.",
        default: "false",
        schema: schema::boolean,
        read: |entry, to| {
            let exclusions = if entry.truth()? { Exclusions::Always } else { Exclusions::Discovered };
            to.layer.force_exclude = Some(exclusions);
            Ok(())
        },
    },
    Key {
        name: "respect-gitignore",
        docs: "Leave out what `.gitignore`, `.ignore` and git's own excludes leave out.",
        default: "true",
        schema: schema::boolean,
        read: |entry, to| {
            let gitignore = if entry.truth()? { Gitignore::Respected } else { Gitignore::Disregarded };
            to.layer.gitignore = Some(gitignore);
            Ok(())
        },
    },
    Key {
        name: "target-version",
        docs: "The oldest Python the code must run on, like `\"3.13\"`; `\"3.14t\"` is its free-threaded build. Without it, the lower bound of `requires-python` in the nearest `pyproject.toml`.",
        default: "\"3.13\"",
        schema: || json!({ "type": "string", "pattern": r"^(3\.|py3)\d{1,2}t?$" }),
        read: |entry, to| {
            let target: Target = entry.word()?.text.parse().map_err(|error| {
                let error: aether_rules::settings::BadVersion = error;
                entry.refused(error.to_string(), None)
            })?;
            to.layer.target = Some(target);
            Ok(())
        },
    },
    Key {
        name: "free-threaded",
        docs: "Whether the code runs on free-threaded builds only (`true`) or on builds with the GIL only (`false`). Without it, both are meant.",
        default: "",
        schema: schema::boolean,
        read: |entry, to| {
            let builds = if entry.truth()? { TargetBuilds::FreeThreaded } else { TargetBuilds::Gil };
            to.layer.builds = Some(builds);
            Ok(())
        },
    },
    Key {
        name: "min-confidence",
        docs: "The least confidence a finding must have to be shown: `low`, `medium` or `high`.",
        default: "\"medium\"",
        schema: || json!({ "enum": ["low", "medium", "high"] }),
        read: |entry, to| {
            let word = entry.word()?;
            let confidence = confidence_named(word.text).ok_or_else(|| {
                entry.refused(format!("`{}` is no confidence; expected low, medium or high", word.text), None)
            })?;
            to.layer.min_confidence = Some(confidence);
            Ok(())
        },
    },
    Key {
        name: "output-format",
        docs: "How findings are printed. Only the configuration that governs the working directory decides it.",
        default: "\"full\"",
        schema: || json!({ "enum": OutputFormat::names() }),
        read: |entry, to| {
            let word = entry.word()?;
            let format = OutputFormat::named(word.text).ok_or_else(|| {
                let expected = OutputFormat::names().join(", ");
                entry.refused(format!("`{}` is no output format; expected one of {expected}", word.text), None)
            })?;
            to.layer.output_format = Some(format);
            Ok(())
        },
    },
    Key {
        name: "model",
        docs: "What a library or a helper of your own does, as tables `[[model]]`: a dotted `name`, and either the known name it is `like`, or where something `runs-on` (`thread`, `pool`, `server`, `timer`, `finalizer`, `signal`, `loop`): the argument `callback` (a parameter's name or position) of a call, the `methods` of a base class, or the functions under a decorator. The models of all files hold for the whole run.",
        default: "[]",
        schema: models::schema,
        read: |entry, to| models::read(entry).map(|read| to.layer.models.extend(read)),
    },
    Key {
        name: "rules",
        docs: "The options of rules: one table per rule, `[rules.<name>]`.",
        default: "{}",
        schema: schema::rule_options,
        read: rule_options,
    },
];

/// Reads the keys of a whole table.
pub(crate) fn read(document: &Document, table: &toml::de::DeTable<'_>) -> Result<Reading, ConfigError> {
    let mut reading = Reading::default();
    for entry in entries(document, table) {
        let name = normalize_name(entry.name());
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let near = nearest(&name, KEYS.iter().map(|key| key.name));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            let message = format!("unknown key `{}`", entry.name());
            return Err(document.helpful_mistake(entry.key.span(), message, help));
        };
        (key.read)(entry, &mut reading)?;
    }
    Ok(reading)
}

fn selectors(entry: Entry<'_>) -> Result<Vec<Selector>, ConfigError> {
    entry.words()?.into_iter().map(|word| selector(entry.document, &word)).collect()
}

fn selector(document: &Document, word: &Word<'_>) -> Result<Selector, ConfigError> {
    Selector::parse(word.text).map_err(|unknown| {
        let help = match &unknown.suggestion {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`aether-lint rules` lists codes, names and families".to_owned(),
        };
        document.helpful_mistake(word.span.clone(), unknown.to_string(), help)
    })
}

/// The key of `entry` as a word.
fn key_word(entry: Entry<'_>) -> Word<'_> {
    Word { text: entry.name(), span: entry.key.span() }
}

fn levels(entry: Entry<'_>, to: &mut Reading) -> Result<(), ConfigError> {
    for one in entry.table()? {
        let selector = selector(one.document, &key_word(one))?;
        to.layer.levels.push((selector, level(one)?));
    }
    Ok(())
}

fn level(entry: Entry<'_>) -> Result<Level, ConfigError> {
    let word = entry.word()?;
    level_named(word.text).ok_or_else(|| {
        entry.refused(format!("`{}` is no level; expected off, info, warning or error", word.text), None)
    })
}

fn per_file_ignores(entry: Entry<'_>, to: &mut Reading) -> Result<(), ConfigError> {
    for one in entry.table()? {
        let pattern = glob(one.document, &key_word(one))?;
        to.layer.per_file_ignores.push((pattern, selectors(one)?));
    }
    Ok(())
}

fn globs(entry: Entry<'_>) -> Result<Vec<GlobPattern>, ConfigError> {
    entry.words()?.into_iter().map(|word| glob(entry.document, &word)).collect()
}

fn glob(document: &Document, word: &Word<'_>) -> Result<GlobPattern, ConfigError> {
    GlobPattern::new(&document.root, word.text).map_err(|reason| {
        document.mistake(word.span.clone(), format!("`{}` is not a glob pattern: {reason}", word.text))
    })
}

fn rule_options(entry: Entry<'_>, to: &mut Reading) -> Result<(), ConfigError> {
    for one in entry.table()? {
        let rule = rule_named(one)?;
        let table = options::read(rule, one)?;
        to.layer.options.entry(rule.code).or_default().overlay(table);
    }
    Ok(())
}

fn rule_named(entry: Entry<'_>) -> Result<&'static Rule, ConfigError> {
    registry::find(entry.name()).ok_or_else(|| {
        let near = registry::suggest(entry.name());
        let help = near.map(|near| format!("did you mean `{near}`?"));
        let message = format!("unknown rule `{}`", entry.name());
        entry.document.helpful_mistake(entry.key.span(), message, help)
    })
}
