//! All that one profile found, as one document: its curves, how they compare, and what a baseline says about them.
//!
//! *Invariant:* a single curve without a baseline is saved as that curve (format [`CURVE`]); everything else as a
//! document (format [`SCHEMA`]); [`Document::parse`] reads both.

use serde::{Deserialize, Serialize};

use super::{ReportError, ascii, html, json, verdict};
use crate::profile::SaturationAnalysis;
use crate::profile::analysis::SCHEMA as CURVE;
use crate::profile::migration::{self, Migration};
use crate::regress::curves::CurveComparison;

/// The format of a document as JSON.
pub const SCHEMA: &str = "aether-bench/profile/1";

/// What a profile found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The curves.
    pub curves: Vec<SaturationAnalysis>,
    /// Every curve but the first, compared with the first.
    #[serde(default)]
    pub migrations: Vec<Migration>,
    /// The curves held against saved ones.
    #[serde(default)]
    pub regression: Option<CurveComparison>,
}

impl Document {
    /// A document of these curves.
    pub fn new(curves: Vec<SaturationAnalysis>) -> Self {
        let migrations = match curves.split_first() {
            Some((reference, others)) => {
                others.iter().filter_map(|curve| migration::compare(reference, curve)).collect()
            }
            None => Vec::new(),
        };
        Self { schema: SCHEMA.to_owned(), curves, migrations, regression: None }
    }

    /// For programs, and to be held against later.
    pub fn to_json(&self) -> Result<String, ReportError> {
        match (self.curves.as_slice(), &self.regression) {
            ([only], None) => json(only),
            _ => Ok(serde_json::to_string_pretty(self)?),
        }
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        match value.get("schema").and_then(serde_json::Value::as_str).unwrap_or("(none)") {
            CURVE => Ok(Self::new(vec![serde_json::from_value(value)?])),
            SCHEMA => Ok(serde_json::from_value(value)?),
            other => Err(ReportError::Schema { found: other.to_owned() }),
        }
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut parts: Vec<String> = self.curves.iter().map(SaturationAnalysis::to_text).collect();
        parts.extend(self.migrations.iter().map(ascii::migration));
        let against = |comparison| format!("Against the baseline\n{}", verdict::curves(comparison));
        parts.extend(self.regression.as_ref().map(against));
        parts.join("\n")
    }

    /// One page without scripts.
    pub fn to_html(&self) -> String {
        html::page(&self.curves, &self.migrations, self.regression.as_ref())
    }
}
