//! `AETX01`: the file is not valid Python. Reported by the engine itself.

use crate::declare_rule;

declare_rule! {
    /// ## What it does
    /// Reports the first syntax error of a file.
    ///
    /// ## Why is this bad?
    /// Python will not run the file, and Aether sees only what the parser could recover. The other files of the run
    /// are analysed all the same.
    ///
    /// ## Limits
    /// The grammar of the newest Python is accepted whatever the target version; Python 2 is not.
    pub(crate) static SYNTAX_ERROR = {
        code: "AETX01", name: "syntax-error", summary: "the file is not valid Python",
        family: Run, level: Error, since: "0.1.0", versions: "all",
    }
}
