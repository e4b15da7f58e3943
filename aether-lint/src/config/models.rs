//! `[[model]]`: what the user says of libraries, and of helpers of their own.
//!
//! *Invariant:* a row that is read means one thing: the same as another name, or where something runs.

use aether_rules::model::{Meaning, Model, Parameter, RunsOn, known_names};
use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::error::ConfigError;
use super::value::{Entry, Word, entries, nearest};

const RUNS_ON: &[(&str, RunsOn)] = &[
    ("thread", RunsOn::Thread),
    ("pool", RunsOn::Pool),
    ("server", RunsOn::Server),
    ("timer", RunsOn::Timer),
    ("finalizer", RunsOn::Finalizer),
    ("signal", RunsOn::Signal),
    ("loop", RunsOn::Loop),
];

const KEYS: &[&str] = &["name", "like", "runs-on", "callback", "methods"];

/// What one row says, before it is known to be complete.
#[derive(Default)]
struct Row<'a> {
    name: Option<Word<'a>>,
    like: Option<Word<'a>>,
    runs_on: Option<RunsOn>,
    callback: Option<Parameter>,
    methods: Option<Vec<String>>,
}

/// Reads the rows.
pub(super) fn read(entry: Entry<'_>) -> Result<Vec<Model>, ConfigError> {
    let DeValue::Array(rows) = entry.value.get_ref() else {
        return Err(entry.expected("an array of tables, `[[model]]`"));
    };
    rows.iter().map(|row| read_row(entry, row)).collect()
}

fn read_row<'a>(of: Entry<'a>, value: &'a Spanned<DeValue<'a>>) -> Result<Model, ConfigError> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(of.document.mistake(value.span(), "a model is a table"));
    };
    let mut row = Row::default();
    for entry in entries(of.document, table) {
        read_key(entry, &mut row)?;
    }
    let incomplete = |message: &str| of.document.mistake(value.span(), message);
    let name = row.name.ok_or_else(|| incomplete("a model needs a `name`, the dotted name of what it is about"))?;
    let meaning = match (row.like, row.runs_on, row.callback, row.methods) {
        (Some(like), None, None, None) => Meaning::Like(like.text.to_owned()),
        (None, Some(runs_on), None, None) => Meaning::Decorator(runs_on),
        (None, Some(runs_on), Some(callback), None) => Meaning::Callback(callback, runs_on),
        (None, Some(runs_on), None, Some(methods)) => Meaning::Methods(methods, runs_on),
        (Some(_), ..) => return Err(incomplete("a model that is `like` another name says nothing else")),
        (None, Some(_), ..) => return Err(incomplete("a model has a `callback` or `methods`, not both")),
        (None, None, ..) => return Err(incomplete("a model says what its name is `like`, or what it `runs-on`")),
    };
    Ok(Model { name: name.text.to_owned(), meaning })
}

fn read_key<'a>(entry: Entry<'a>, row: &mut Row<'a>) -> Result<(), ConfigError> {
    match aether_rules::rule::normalize_name(entry.name()).as_str() {
        "name" => row.name = Some(dotted(entry)?),
        "like" => row.like = Some(known(entry)?),
        "runs-on" => row.runs_on = Some(runs_on(entry)?),
        "callback" => row.callback = Some(parameter(entry)?),
        "methods" => row.methods = Some(entry.words()?.into_iter().map(|word| word.text.to_owned()).collect()),
        other => {
            let help = match nearest(other, KEYS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its keys are {}", KEYS.join(", ")),
            };
            let message = format!("a model has no key `{}`", entry.name());
            return Err(entry.document.helpful_mistake(entry.key.span(), message, help));
        }
    }
    Ok(())
}

fn dotted(entry: Entry<'_>) -> Result<Word<'_>, ConfigError> {
    let word = entry.word()?;
    let is_dotted = word.text.contains('.') && word.text.split('.').all(|part| !part.is_empty());
    if is_dotted { Ok(word) } else { Err(entry.refused(format!("`{}` is no dotted name", word.text), None)) }
}

/// A name of the built-in models, or of a method of something there.
fn known(entry: Entry<'_>) -> Result<Word<'_>, ConfigError> {
    let word = dotted(entry)?;
    let owner = word.text.rsplit_once('.').map_or("", |(owner, _)| owner);
    if known_names().any(|name| name == word.text || name == owner) {
        return Ok(word);
    }
    let help = nearest(word.text, known_names()).map(|near| format!("did you mean `{near}`?"));
    Err(entry.refused(format!("nothing is known of `{}`", word.text), help))
}

fn runs_on(entry: Entry<'_>) -> Result<RunsOn, ConfigError> {
    let word = entry.word()?;
    let found = RUNS_ON.iter().find(|(name, _)| *name == word.text).map(|(_, runs_on)| *runs_on);
    found.ok_or_else(|| {
        let expected: Vec<&str> = RUNS_ON.iter().map(|(name, _)| *name).collect();
        entry.refused(format!("nothing runs on `{}`; expected one of {}", word.text, expected.join(", ")), None)
    })
}

fn parameter(entry: Entry<'_>) -> Result<Parameter, ConfigError> {
    if let Some(name) = entry.value.get_ref().as_str() {
        return Ok(Parameter::Named(name.to_owned()));
    }
    let position = entry.value.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
    position.map(Parameter::At).ok_or_else(|| entry.expected("the name of a parameter, or its position from 0"))
}

/// The JSON Schema of the rows.
pub(super) fn schema() -> Value {
    let runs_on: Vec<&str> = RUNS_ON.iter().map(|(name, _)| *name).collect();
    json!({ "type": "array", "items": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "pattern": r"^[^.]+(\.[^.]+)+$" },
            "like": { "type": "string" },
            "runs-on": { "enum": runs_on },
            "callback": { "type": ["string", "integer"], "minimum": 0 },
            "methods": { "type": "array", "items": { "type": "string" } },
        },
    } })
}
