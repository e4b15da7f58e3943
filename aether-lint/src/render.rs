//! From a report to bytes: one file per format, all behind [`Format`].
//!
//! Positions are made here and nowhere else: lines and columns count from 1, columns in characters (SARIF: in UTF-16
//! units, as its consumers do), and a notebook's lines count within their cell.
//!
//! *Invariant:* a format is a pure function of the scene; it reads no file, no clock and no environment.

use std::io::{self, Write};

use clap::ValueEnum;

mod concise;
mod fingerprint;
mod full;
mod github;
mod gitlab;
mod grouped;
mod json;
mod junit;
mod record;
mod sarif;
mod scene;
#[cfg(test)]
mod tests;
mod uri;

pub(crate) use scene::Scene;

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// As rustc does: code, labels, evidence, notes, help
    #[default]
    Full,
    /// One line per finding
    Concise,
    /// One line per finding, under the name of its file
    Grouped,
    /// One array of objects
    Json,
    /// One object per line
    #[value(alias = "json_lines")]
    JsonLines,
    /// SARIF 2.1.0, for GitHub code scanning and other platforms
    Sarif,
    /// GitHub Actions annotations
    Github,
    /// GitLab code quality report
    Gitlab,
    /// Test report in XML, as most CI servers read it
    Junit,
}

/// Turns a scene into bytes.
pub(crate) trait Format {
    /// Writes the whole scene.
    fn render(&self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()>;
}

impl OutputFormat {
    /// The format as people call it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Every name.
    pub(crate) fn names() -> Vec<String> {
        Self::value_variants().iter().map(|format| format.name()).collect()
    }

    /// The format called `word`.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::from_str(&word.replace('_', "-"), true).ok()
    }

    /// Whether it is made for people, who also want a summary.
    pub(crate) fn is_for_people(self) -> bool {
        matches!(self, Self::Full | Self::Concise | Self::Grouped)
    }

    /// The code behind the name.
    pub(crate) fn renderer(self) -> &'static dyn Format {
        match self {
            Self::Full => &full::Full,
            Self::Concise => &concise::Concise,
            Self::Grouped => &grouped::Grouped,
            Self::Json => &json::Json,
            Self::JsonLines => &json::JsonLines,
            Self::Sarif => &sarif::Sarif,
            Self::Github => &github::Github,
            Self::Gitlab => &gitlab::Gitlab,
            Self::Junit => &junit::Junit,
        }
    }
}
