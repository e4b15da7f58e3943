//! `AETX05`: the file nests too deeply to be analysed. Reported by the engine itself.

use crate::declare_rule;

declare_rule! {
    /// ## What it does
    /// Reports a file that nests brackets, blocks or operators deeper than Aether can follow. The limits are those of
    /// CPython where it has one: 200 open brackets, 100 open blocks; and 3 000 chained operators in one expression.
    ///
    /// ## Why is this bad?
    /// The file was not analysed. It is almost always generated, and can be excluded.
    pub(crate) static TOO_COMPLEX = {
        code: "AETX05", name: "too-complex", summary: "the file nests too deeply to be analysed",
        family: Run, level: Error, since: "0.1.0", versions: "all",
    }
}
