//! `AETX04`: a suppression comment names no known rule. Reported by the engine itself.

use crate::declare_rule;

declare_rule! {
    /// ## What it does
    /// Reports a suppression comment that names a rule Aether does not know.
    ///
    /// ## Why is this bad?
    /// A misspelt code suppresses nothing. Codes of other tools in a `noqa` comment are left alone.
    pub(crate) static UNKNOWN_RULE_IN_SUPPRESSION = {
        code: "AETX04", name: "unknown-rule-in-suppression", summary: "a suppression comment names no known rule",
        family: Run, level: Warning, since: "0.1.0", versions: "all",
    }
}
