//! Aether's engine: what runs together, what is shared, what is held, and the rules that ask.
//!
//! Data flows one way: [`Sources`] → parse → facts → link → rules → [`Report`]. The crate does no I/O, prints
//! nothing and reads no clock (kept by `clippy.toml`); the same texts and settings give the same bytes on one
//! thread or many.

pub mod registry;
pub mod rule;
pub mod settings;
pub mod source;

mod accepted;
mod analyze;
mod check_then_act;
mod confined;
mod context;
mod diagnostic;
mod evidence;
mod excerpt;
pub mod facts;
mod finding;
mod global_change;
mod library;
pub mod link;
mod messages;
pub mod model;
mod naming;
mod on_loop;
mod parallel;
mod parse;
mod process_state;
mod rules;
mod spawning;
mod staged;
mod suppression;
mod usage;

pub use analyze::{Linked, analyze, analyze_on};
pub use context::RuleContext;
pub use diagnostic::{AnalyzedFile, Diagnostic, Report, Statistics};
pub use finding::{Applicability, Edit, Evidence, EvidenceRole, Finding, Findings, Fix};
pub use rule::{Builds, Confidence, Family, Level, Rule};
pub use settings::{PythonVersion, Settings, TargetBuilds};
pub use source::{Cell, FileId, MemorySources, SourceError, SourceKind, SourceText, Sources, Span};

#[doc(hidden)]
pub use inventory;
