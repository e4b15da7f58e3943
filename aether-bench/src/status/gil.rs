//! Whether the GIL is in force, and who decided it.
//!
//! *Invariant:* pure.

use serde::{Deserialize, Serialize};

use super::facts::Facts;

/// Whether the GIL is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GilStatus {
    /// It is; this build knows no other mode.
    Enabled,
    /// It is, although this build can do without.
    Forced,
    /// It is not: threads run in parallel.
    Disabled,
}

/// Who decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum GilReason {
    /// The build: nothing else was said.
    Build,
    /// The option `-X gil=…`.
    Option {
        /// Its value.
        value: String,
    },
    /// The variable `PYTHON_GIL`.
    Variable {
        /// Its value.
        value: String,
    },
    /// An extension module that does not declare support for free threading.
    Import {
        /// The extension modules in memory, from which the culprit is one.
        loaded: Vec<String>,
    },
}

/// Reads both off the facts.
pub(super) fn read(facts: &Facts) -> (GilStatus, GilReason) {
    let status = match (facts.interpreter.free_threaded_build, facts.gil_enabled) {
        (false, _) => GilStatus::Enabled,
        (true, true) => GilStatus::Forced,
        (true, false) => GilStatus::Disabled,
    };
    (status, reason(facts, status))
}

fn reason(facts: &Facts, status: GilStatus) -> GilReason {
    if status == GilStatus::Enabled {
        return GilReason::Build; // Such builds accept `-X gil=1`, which changes nothing.
    }
    // The option wins over the variable; either holds whatever is imported later.
    match (&facts.gil_option, &facts.gil_variable) {
        (Some(value), _) => GilReason::Option { value: value.clone() },
        (None, Some(value)) if value == "0" || value == "1" => GilReason::Variable { value: value.clone() },
        _ if status == GilStatus::Forced => GilReason::Import { loaded: facts.loaded_extensions.clone() },
        _ => GilReason::Build,
    }
}

impl GilReason {
    /// Why the GIL is or is not in force, and what would change it.
    pub fn explanation(&self, status: GilStatus) -> String {
        match (self, status) {
            (Self::Build, GilStatus::Disabled) => "a free-threaded build, and nothing has enabled the GIL".to_owned(),
            (Self::Build, _) => "this build has no other mode: free threading needs a free-threaded build, \
                                 such as python3.14t"
                .to_owned(),
            (Self::Option { value }, _) => format!("by `-X gil={value}`"),
            (Self::Variable { value }, _) => format!("by the environment: PYTHON_GIL={value}"),
            (Self::Import { loaded }, _) if loaded.is_empty() => {
                "by an extension module imported at start-up that does not declare support for free threading"
                    .to_owned()
            }
            (Self::Import { loaded }, _) => {
                let modules: Vec<String> = loaded.iter().map(|module| format!("`{module}`")).collect();
                format!(
                    "by an extension module that does not declare support for free threading, one of {}",
                    modules.join(", ")
                )
            }
        }
    }
}
