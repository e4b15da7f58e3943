//! `AETX02`: the file could not be read. Reported by the engine itself.

use crate::declare_rule;

declare_rule! {
    /// ## What it does
    /// Reports a file that could not be read or decoded: missing permissions, bytes that do not match the declared
    /// encoding, a directory or device with the name of a module, a file too large, or one that vanished.
    ///
    /// ## Why is this bad?
    /// A skipped file that goes unreported reads as a clean one.
    pub(crate) static UNREADABLE_FILE = {
        code: "AETX02", name: "unreadable-file", summary: "the file could not be read",
        family: Run, level: Error, since: "0.1.0", versions: "all",
    }
}
