//! `AET901`: a comment that trusts the GIL.

use crate::declare_rule;
use crate::facts::{Comment, CommentKind, Const, CtxKind, Event, EventKind, FuncIx, Term, TermId};
use crate::link::{AccessKind, Touch};
use crate::model::Role;
use crate::{Confidence, Finding, Findings, RuleContext, qual};

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
    /// `append`, a `copy()`), and one that calls the loss acceptable, are shown under `--all` only. So are claims above a
    /// statement that makes or takes a lock, makes an `itertools.count`, or sets a flag that is only ever set to constants. Docstrings are not read.
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
            let is_little = asks_little(sentence) || stands_at_one_step(cx, comment);
            let confidence = if is_little { Confidence::Low } else { Confidence::High };
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

/// Whether the statement below a comment needs no GIL: it makes or takes a lock, makes an iterator that counts, or sets a
/// flag that nobody ever changes in steps.
fn stands_at_one_step(cx: &RuleContext<'_>, comment: &Comment) -> bool {
    let facts = cx.facts();
    let end = comment.range.end();
    let starts = facts.events.iter().map(|event| event.range.start()).filter(|&start| start > end);
    let Some(next) = starts.min().filter(|_| comment.own_line) else { return false };
    let takes_lock = facts.ctxs.iter().any(|ctx| {
        let is_next = ctx.range.start() > end && ctx.range.start() <= next;
        is_next && matches!(ctx.kind, CtxKind::With(term, _) if is_lock(cx, term))
    });
    let mut below: Vec<&Event> = facts
        .events
        .iter()
        .filter(|event| event.range.start() >= next && matches!(event.kind, EventKind::Store(..) | EventKind::Call(_)))
        .collect();
    below.sort_by_key(|event| event.range.start());
    // The lock often stands below what it guards.
    let makes_lock = below.iter().take(3).any(|event| match event.kind {
        EventKind::Store(_, value) => is_lock(cx, value),
        EventKind::Call(call) => {
            let made = cx.program.library_callee(cx.module, call);
            matches!(made.and_then(crate::model::role_of), Some(Role::Lock(_)))
        }
        _ => false,
    });
    let is_one_step = || match below.first().map(|event| (event.range.start() == next, event.kind, event.ctx)) {
        Some((true, EventKind::Store(target, value), ctx)) => {
            counts(cx, value) || is_flag(cx, facts.ctxs[ctx.index()].function, target, value)
        }
        _ => false,
    };
    takes_lock || makes_lock || is_one_step()
}

fn is_lock(cx: &RuleContext<'_>, term: TermId) -> bool {
    matches!(cx.program.role(cx.program.kind(cx.module, term)), Some(Role::Lock(_)))
}

/// `itertools.count()`: its `next` is one step on every build.
fn counts(cx: &RuleContext<'_>, value: TermId) -> bool {
    match cx.facts().terms.get(value) {
        Term::Call(call) => cx.program.library_callee(cx.module, call) == Some(qual!("itertools.count")),
        _ => false,
    }
}

/// Whether a place is set to constants, and nothing else is ever done to it but read it.
fn is_flag(cx: &RuleContext<'_>, function: FuncIx, target: TermId, value: TermId) -> bool {
    let is_constant = |module, value| {
        let terms = &cx.program.module(module).facts.terms;
        matches!(terms.get(value), Term::Const(Const::True | Const::False | Const::None))
    };
    let Some((place, _)) = cx.program.place(cx.module, function, target) else { return false };
    is_constant(cx.module, value)
        && cx.program.accesses(place).iter().all(|access| match access.kind {
            AccessKind::Touch(Touch::Whole) => true,
            AccessKind::Write(Touch::Whole, value) => is_constant(access.module, value),
            _ => false,
        })
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
