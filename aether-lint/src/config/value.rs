//! Typed access to a TOML document that remembers where every value stands.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigError, Mistake};

/// One configuration text.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The file as the user knows it, or `--config`.
    pub(crate) origin: String,
    /// What relative paths and globs are relative to.
    pub(crate) root: PathBuf,
    /// The text.
    pub(crate) text: Arc<str>,
}

impl Document {
    /// The document as TOML.
    pub(crate) fn parse(&self) -> Result<DeTable<'_>, ConfigError> {
        DeTable::parse(&self.text).map(Spanned::into_inner).map_err(|error| {
            let span = error.span().unwrap_or_default();
            self.mistake(span, format!("not valid TOML: {}", error.message()))
        })
    }

    /// A mistake at `span`.
    pub(crate) fn mistake(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        self.helpful_mistake(span, message, None)
    }

    /// A mistake at `span`, and what to do about it.
    pub(crate) fn helpful_mistake(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) -> ConfigError {
        ConfigError::Invalid(Box::new(Mistake {
            origin: self.origin.clone(),
            text: Arc::clone(&self.text),
            span,
            message: message.into(),
            label: String::new(),
            help: help.into(),
        }))
    }
}

/// One value of a document, with the key it stands under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) document: &'a Document,
    pub(crate) key: &'a Spanned<DeString<'a>>,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
}

/// A text and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) span: Range<usize>,
}

impl<'a> Entry<'a> {
    /// The entries of the table `self` holds.
    pub(crate) fn table(self) -> Result<Vec<Entry<'a>>, ConfigError> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(self.expected("a table"));
        };
        Ok(entries(self.document, table))
    }

    /// The text `self` holds.
    pub(crate) fn word(self) -> Result<Word<'a>, ConfigError> {
        word(self.value).ok_or_else(|| self.expected("a string"))
    }

    /// The texts `self` holds.
    pub(crate) fn words(self) -> Result<Vec<Word<'a>>, ConfigError> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return Err(self.expected("an array of strings"));
        };
        let one = |value: &'a Spanned<DeValue<'a>>| {
            word(value).ok_or_else(|| {
                let message = format!("`{}` holds {} where a string belongs", self.name(), kind(value.get_ref()));
                self.document.mistake(value.span(), message)
            })
        };
        array.iter().map(one).collect()
    }

    /// The truth value `self` holds.
    pub(crate) fn truth(self) -> Result<bool, ConfigError> {
        self.value.get_ref().as_bool().ok_or_else(|| self.expected("`true` or `false`"))
    }

    /// The key as written.
    pub(crate) fn name(self) -> &'a str {
        self.key.get_ref().as_ref()
    }

    /// The complaint that something else was expected here.
    pub(crate) fn expected(self, what: &str) -> ConfigError {
        let message = format!("`{}` expects {what}, found {}", self.name(), kind(self.value.get_ref()));
        self.document.mistake(self.value.span(), message)
    }

    /// The complaint that the value is of the right type but not allowed.
    pub(crate) fn refused(self, message: impl Into<String>, help: impl Into<Option<String>>) -> ConfigError {
        self.document.helpful_mistake(self.value.span(), message, help)
    }
}

/// The entries of `table`, in the order they are written.
pub(crate) fn entries<'a>(document: &'a Document, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| Entry { document, key, value }).collect();
    entries.sort_by_key(|entry| entry.key.span().start);
    entries
}

fn word<'a>(value: &'a Spanned<DeValue<'a>>) -> Option<Word<'a>> {
    let text = value.get_ref().as_str()?;
    Some(Word { text, span: value.span() })
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The word among `known` that `name` most resembles, if it resembles one.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|word| (strsim::jaro_winkler(name, word), word))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, word)| word)
}
