//! `AETX03`: a suppression comment suppresses nothing. Reported by the engine itself.

use crate::declare_rule;

declare_rule! {
    /// ## What it does
    /// Reports an `aether: ignore[…]` comment, or the Aether code in a `noqa` comment, that suppresses no finding.
    ///
    /// ## Why is this bad?
    /// The hazard it once excused is gone, or the comment stands on the wrong line: either way it will hide the next one.
    ///
    /// ## Limits
    /// A comment that names a rule which does not run (not selected, or below the confidence shown) is not reported.
    pub(crate) static UNUSED_SUPPRESSION = {
        code: "AETX03", name: "unused-suppression", summary: "a suppression comment suppresses nothing",
        family: Run, level: Warning, since: "0.1.0", versions: "all",
    }
}
