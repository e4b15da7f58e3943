//! `AET901`: a comment that trusts the GIL.

use crate::declare_rule;
use crate::facts::CommentKind;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports comments that say the GIL protects something, makes it atomic or thread-safe, or makes a lock unnecessary.
    ///
    /// ## Why is this bad?
    /// The GIL protects the interpreter, not your data: it may be handed over between any two bytecodes, and always
    /// could. On free-threaded builds it is not there at all. The comment marks code whose author knew of the race.
    ///
    /// ## Example
    /// ```python bad
    /// hits = {}
    ///
    /// def count(key):
    ///     hits[key] = hits.get(key, 0) + 1  # no lock needed because of the GIL
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// hits = {}
    /// lock = threading.Lock()
    ///
    /// def count(key):
    ///     with lock:
    ///         hits[key] = hits.get(key, 0) + 1
    /// ```
    ///
    /// ## Limits
    /// English phrases only, one sentence at a time. Remarks about releasing or holding the GIL are fine, and so are those
    /// that say it does not protect. A claim quoted to be refuted in the next sentence is reported; a claim that
    /// does not name the GIL is not. A claim about one step that is atomic without the GIL, too (a reference read, an
    /// `append`, a `copy()`), and one that calls the loss acceptable, are shown under `--all` only. Docstrings are not read.
    ///
    /// ## References
    /// - [What is the global interpreter lock?](https://docs.python.org/3/glossary.html#term-global-interpreter-lock)
    /// - [PEP 703](https://peps.python.org/pep-0703/)
    pub(crate) static GIL_COMMENT = {
        code: "AET901", name: "gil-comment", summary: "a comment trusts the GIL",
        family: GilReliance, level: Info, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// Words that make a remark about the GIL a claim that it protects.
const CLAIMS: &[&str] = &[
    "atomic",
    "thread-safe",
    "thread safe",
    "threadsafe",
    "thread safety",
    "thread-safety",
    "safe",
    "no lock",
    "need a lock",
    "need to lock",
    "need for a lock",
    "need lock",
    "lock-free",
    "lock needed",
    "locking needed",
    "without lock",
    "without a lock",
    "no locking",
    "protect",
    "guarantee",
    "ensure",
    "guarded by",
    "thanks to",
    "rely on",
    "relies on",
    "relying on",
    "no race",
    "race condition",
];

/// Words that take the claim back, or are about something else.
const DENIALS: &[&str] = &[
    "release",
    "releasing",
    "drop",
    "without the gil",
    "without gil",
    "without a gil",
    "no gil",
    "no-gil",
    "nogil",
    "gil-free",
    "free-thread",
    "free thread",
    "freethread",
    "not atomic",
    "n't atomic",
    "no atomic",
    "not protect",
    "n't protect",
    "not guarantee",
    "n't guarantee",
    "not ensure",
    "n't ensure",
    "is not thread",
    "are not thread",
    "n't thread",
    "not safe",
    "n't safe",
    "unsafe",
    "not rely",
    "n't rely",
    "even with the gil",
    "regardless",
    "even without",
    "with or without",
    "hold the gil",
    "holds the gil",
    "holding the gil",
    "acquire the gil",
    "acquires the gil",
    "acquiring the gil",
    "gil held",
    "gil is held",
    "held the gil",
    "disable",
    "gilstate",
    "gil_",
    "not enough",
    "n't enough",
    "whether",
    "contention",
    "if the gil",
    "removed",
    "gil removal",
    "enabled",
    "todo",
    "once the gil",
    "until the gil",
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let mut last = "";
    for comment in &cx.facts().comments {
        let CommentKind::Gil { sentence } = &comment.kind else { continue };
        if is_claim(sentence) && sentence != last {
            let confidence = if asks_little(sentence) { Confidence::Low } else { Confidence::High };
            findings.report(
                Finding::new(cx.span(comment.range), confidence, "this comment trusts the GIL to protect data")
                    .label("the GIL changes hands between any two bytecodes, and free-threaded builds have none")
                    .note("all builds: the GIL never made several steps atomic; free-threaded builds: single steps on containers are atomic, but nothing else is")
                    .help("take a lock around the steps that belong together, or use an operation that is documented as atomic, and say so"),
            );
        }
        last = sentence;
    }
}

/// What one step is called that free-threaded builds take in one go as well.
const SINGLE_STEPS: &[&str] = &[
    "reference read",
    "reference is read",
    "reading a reference",
    "reading the reference",
    "attribute read",
    "attribute is read",
    "set once",
    "only set at",
    "assigning a reference",
    "reference assignment",
    "attribute assignment",
    "list.append",
    "appending",
    "deque.append",
    "deque.popleft",
    "dict.get",
    "dict.copy",
    ".copy()",
];

/// Words of an author who knows what may be lost, and does not mind.
const ACCEPTED: &[&str] = &["acceptable", "good enough", "harmless", "best effort", "best-effort"];

/// What makes several steps of it.
const SEVERAL_STEPS: &[&str] = &["then", "check", "test", "increment", "+=", "iterat", "loop", "update"];

/// Whether a sentence names the one step it means, which needs no GIL, or says that losing something is fine.
fn asks_little(sentence: &str) -> bool {
    let has = |words: &&str| sentence.contains(*words);
    ACCEPTED.iter().any(has) || SINGLE_STEPS.iter().any(has) && !SEVERAL_STEPS.iter().any(has)
}

/// Whether a sentence says that the GIL protects.
fn is_claim(sentence: &str) -> bool {
    let has = |words: &&str| sentence.contains(*words);
    CLAIMS.iter().any(has) && !DENIALS.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::is_claim;

    #[test]
    fn claims_are_told_from_remarks() {
        assert!(is_claim("# this is atomic thanks to the gil"));
        assert!(is_claim("# the gil protects the table"));
        assert!(!is_claim("# releases the gil while it works"));
        assert!(!is_claim("# the gil does not protect this"));
        assert!(!is_claim("# called with the gil"));
        assert!(!is_claim("# thanks to the gil this is safe even without the lock, which saves double work"));
        assert!(is_claim("# not strictly thread-safe, but atomic thanks to the gil"));
        assert!(!is_claim("# needs a lock, as there is no atomic check and add with the gil"));
    }
}
