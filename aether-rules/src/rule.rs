//! What a rule says about itself: one static value carries everything that help, documentation, SARIF metadata,
//! the configuration schema and `explain` derive from.
//!
//! *Invariant:* a [`Rule`] is immutable data plus one function pointer; it never holds state between runs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::RuleContext;
use crate::facts::Sym;
use crate::finding::Findings;

/// One check, as declared by [`declare_rule!`](crate::declare_rule).
#[derive(Debug)]
pub struct Rule {
    /// The stable code, `AET101`; its meaning never changes once released.
    pub code: &'static str,
    /// The kebab-case name; reads naturally after "allow".
    pub name: &'static str,
    /// One line, lower case, no full stop: what is wrong.
    pub summary: &'static str,
    /// Which family the rule belongs to; also the folder it lives in.
    pub family: Family,
    /// The level a finding gets unless the configuration says otherwise.
    pub level: Level,
    /// The level when the target is a free-threaded build only, if it differs from [`Rule::level`].
    pub free_threaded_level: Option<Level>,
    /// The builds on which the hazard is real.
    pub builds: Builds,
    /// The Python versions concerned, as a reader wants to see them (`"≤ 3.13, and 3.14+ with the GIL"`).
    pub versions: &'static str,
    /// Whether the rule can repair what it reports.
    pub fix: FixAvailability,
    /// Codes of rules that say the same thing better where both report.
    pub yields_to: &'static [&'static str],
    /// Identifiers of which a module has to mention one, in an import at least, before the rule finds anything in it;
    /// empty: the rule looks at every module.
    pub mentions: &'static [Sym],
    /// The release of Aether that first shipped the rule.
    pub since: &'static str,
    /// Markdown, from the declaration's doc comment.
    pub docs: &'static str,
    /// The rule's typed options, if it has any.
    pub options: Option<OptionsSpec>,
    /// Looks at one module of the linked program. `None` for what the engine itself reports (`AETX…`).
    pub check: Option<CheckFn>,
}

/// A rule's check: called once per module and run, in parallel, in no order anybody may rely on.
pub type CheckFn = fn(&RuleContext<'_>, &mut Findings<'_>);

impl Rule {
    /// The values a declaration may leave out. `code`, `name`, `summary` and `docs` are demanded by [`Rule::validated`].
    pub const DEFAULTS: Self = Self {
        code: "",
        name: "",
        summary: "",
        family: Family::Run,
        level: Level::Warning,
        free_threaded_level: None,
        builds: Builds::All,
        versions: "all",
        fix: FixAvailability::Manual,
        yields_to: &[],
        mentions: &[],
        since: "0.1.0",
        docs: "",
        options: None,
        check: None,
    };

    /// Refuses, at compile time, a declaration that lacks what every rule must have.
    ///
    /// # Panics
    /// When code, name, summary or documentation is empty.
    #[must_use]
    pub const fn validated(self) -> Self {
        assert!(!self.code.is_empty(), "a rule needs a `code`");
        assert!(!self.name.is_empty(), "a rule needs a `name`");
        assert!(!self.summary.is_empty(), "a rule needs a `summary`");
        assert!(!self.docs.is_empty(), "a rule needs a doc comment");
        self
    }

    /// The documentation as Markdown, without the space that `///` leaves at the start of each line.
    pub fn markdown(&self) -> String {
        let mut text = String::with_capacity(self.docs.len());
        for line in self.docs.lines() {
            text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
            text.push('\n');
        }
        text
    }

    /// The examples of the documentation marked `python bad` or `python ok`, in order.
    pub fn examples(&self, kind: ExampleKind) -> Vec<String> {
        let fence = match kind {
            ExampleKind::Bad => "```python bad",
            ExampleKind::Ok => "```python ok",
        };
        let mut examples = Vec::new();
        let mut open: Option<String> = None;
        for line in self.markdown().lines() {
            match open.as_mut() {
                Some(text) if line == "```" => {
                    examples.push(std::mem::take(text));
                    open = None;
                }
                Some(text) => {
                    text.push_str(line);
                    text.push('\n');
                }
                None if line == fence => open = Some(String::new()),
                None => {}
            }
        }
        examples
    }

    /// Whether `text` names this rule: by code or name, case-insensitively, snake case welcome.
    pub fn is_called(&self, text: &str) -> bool {
        text.eq_ignore_ascii_case(self.code) || normalize_name(text) == self.name
    }
}

/// Lower-cases a name and turns snake case into kebab case, so that both spellings are accepted wherever a name is.
pub fn normalize_name(text: &str) -> String {
    text.trim().to_ascii_lowercase().replace('_', "-")
}

/// Which documentation example is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExampleKind {
    /// The rule reports it.
    Bad,
    /// The rule is silent about it.
    Ok,
}

/// The families of the catalogue: a family is a code prefix, a folder and a name users can select.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// `AET0`: hazards of free-threaded builds, the six named threats first.
    FreeThreading,
    /// `AET1`: races and atomicity.
    Races,
    /// `AET2`: lazy state, caches, class and module state.
    State,
    /// `AET3`: locks.
    Locks,
    /// `AET4`: threads and executors.
    Threads,
    /// `AET5`: asyncio.
    Asyncio,
    /// `AET6`: process-global state.
    Globals,
    /// `AET7`: signals and finalizers.
    Signals,
    /// `AET8`: extensions, packaging, third-party objects.
    Ecosystem,
    /// `AET9`: relying on the GIL.
    GilReliance,
    /// `AETX`: about the run itself.
    Run,
}

impl Family {
    /// Every family, in code order.
    pub const ALL: [Self; 11] = [
        Self::FreeThreading,
        Self::Races,
        Self::State,
        Self::Locks,
        Self::Threads,
        Self::Asyncio,
        Self::Globals,
        Self::Signals,
        Self::Ecosystem,
        Self::GilReliance,
        Self::Run,
    ];

    /// The selectable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FreeThreading => "free-threading",
            Self::Races => "races",
            Self::State => "state",
            Self::Locks => "locks",
            Self::Threads => "threads",
            Self::Asyncio => "asyncio",
            Self::Globals => "globals",
            Self::Signals => "signals",
            Self::Ecosystem => "ecosystem",
            Self::GilReliance => "gil-reliance",
            Self::Run => "run",
        }
    }

    /// The prefix shared by the codes of the family.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::FreeThreading => "AET0",
            Self::Races => "AET1",
            Self::State => "AET2",
            Self::Locks => "AET3",
            Self::Threads => "AET4",
            Self::Asyncio => "AET5",
            Self::Globals => "AET6",
            Self::Signals => "AET7",
            Self::Ecosystem => "AET8",
            Self::GilReliance => "AET9",
            Self::Run => "AETX",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How grave the user wants a finding to be. A setting, unlike [`Confidence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The rule does not run.
    Off,
    /// Good to know.
    Info,
    /// Likely to bite.
    Warning,
    /// Will lose data, deadlock or crash.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// How sure the analysis is. A property of the finding, unlike [`Level`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Shared in principle; no sign of threads. Shown only on request.
    Low,
    /// An inferred guard, or a module that plainly serves threads.
    Medium,
    /// Both sides in known concurrency roots, or a declared guard broken.
    High,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// The builds on which a hazard is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Builds {
    /// With and without the GIL.
    All,
    /// Free-threaded builds only.
    FreeThreaded,
    /// GIL builds only.
    Gil,
}

impl fmt::Display for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all builds",
            Self::FreeThreaded => "free-threaded builds",
            Self::Gil => "GIL builds",
        })
    }
}

/// Whether a rule can repair what it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FixAvailability {
    /// Advice only.
    Manual,
    /// Some findings carry an edit that may change behaviour.
    Unsafe,
    /// Some findings carry an edit that keeps behaviour.
    Safe,
}

/// How a rule's typed options enter and leave the configuration.
#[derive(Clone, Copy, Debug)]
pub struct OptionsSpec {
    /// The JSON Schema of the options table.
    pub schema: fn() -> schemars::Schema,
    /// Reads the options from their table.
    pub parse: fn(toml::Value) -> Result<Arc<dyn Any + Send + Sync>, toml::de::Error>,
    /// The options of a rule that was not configured.
    pub default: fn() -> Arc<dyn Any + Send + Sync>,
}

impl OptionsSpec {
    /// The specification of `T`: any `serde` + `schemars` type with defaults.
    pub const fn of<T>() -> Self
    where
        T: schemars::JsonSchema + serde::de::DeserializeOwned + Default + Send + Sync + 'static,
    {
        Self {
            schema: || schemars::SchemaGenerator::default().into_root_schema_for::<T>(),
            parse: |value| {
                let options: T = value.try_into()?;
                Ok(Arc::new(options))
            },
            default: || Arc::new(T::default()),
        }
    }
}

/// What a declaration's field values may name without a path.
pub mod prelude {
    pub use super::Builds::{All, FreeThreaded, Gil};
    pub use super::Family::{
        Asyncio, Ecosystem, FreeThreading, GilReliance, Globals, Locks, Races, Run, Signals, State, Threads,
    };
    pub use super::FixAvailability::{Manual, Safe, Unsafe};
    pub use super::Level::{Error, Info, Off, Warning};
    pub use super::OptionsSpec;
    pub use crate::facts::Sym;
}
