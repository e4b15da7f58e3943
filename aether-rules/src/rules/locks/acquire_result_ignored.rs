//! `AET304`: an `acquire` that may fail, whose result nobody looks at.

use crate::declare_rule;
use crate::evidence::locks as show;
use crate::facts::{CallIx, Event, EventIx, EventKind, FuncIx, Qual, ScopeKind, Term, TermId, Usage, VarIx};
use crate::finding::EvidenceRole;
use crate::link::LockId;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports `acquire()` with a timeout or `blocking=False` whose result is thrown away, or stored in a name that is
    /// never read.
    ///
    /// ## Why is this bad?
    /// When the attempt fails the code goes on without the lock: the section is unprotected exactly when there is
    /// contention. The `release()` that follows gives away the lock of the thread that does hold it, or raises
    /// `RuntimeError`.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// lock = threading.Lock()
    ///
    /// def update(table, key):
    ///     lock.acquire(timeout=1)
    ///     try:
    ///         table[key] = key
    ///     finally:
    ///         lock.release()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// lock = threading.Lock()
    ///
    /// def update(table, key):
    ///     if not lock.acquire(timeout=1):
    ///         raise TimeoutError("the table is busy")
    ///     try:
    ///         table[key] = key
    ///     finally:
    ///         lock.release()
    /// ```
    ///
    /// ## Limits
    /// Whether a computed timeout can run out is unknown, and so it counts as one. Without a `release()` in the same
    /// function the attempt may be a way to wait for a moment: low confidence.
    ///
    /// ## References
    /// - [threading.Lock.acquire](https://docs.python.org/3/library/threading.html#threading.Lock.acquire)
    pub(crate) static ACQUIRE_RESULT_IGNORED = {
        code: "AET304", name: "acquire-result-ignored", summary: "`acquire()` may fail, and its result is not looked at",
        family: Locks, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const ACQUIRES: &[Qual] = &[
    Qual::of("threading.Lock.acquire"),
    Qual::of("threading.Condition.acquire"),
    Qual::of("threading.Semaphore.acquire"),
    Qual::of("multiprocessing.Lock.acquire"),
    Qual::of("multiprocessing.RLock.acquire"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, _) in cx.functions() {
        for (at, event) in cx.events(local) {
            let EventKind::Call(call) = event.kind else { continue };
            let is_acquire = cx.program.library_callee(cx.module, call).is_some_and(|name| ACQUIRES.contains(&name));
            if !is_acquire || !cx.program.may_fail(cx.module, call) || !is_ignored(cx, local, call) {
                continue;
            }
            let Term::Attr(base, _) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else { continue };
            let Some((lock, _)) = cx.program.lock_and_owner(cx.module, local, base) else { continue };
            let release = cx.events(local).find(|(later, event)| *later > at && is_release(cx, local, *event, lock));
            if release.is_some_and(|(later, _)| frees_at_once(cx, at, later)) {
                continue;
            }
            let confidence = if release.is_some() { Confidence::High } else { Confidence::Low };
            if findings.wants(confidence) {
                findings.report(describe(cx, event, lock, release.map(|(_, event)| event), confidence));
            }
        }
    }
}

/// Whether nobody looks at the result of a call.
fn is_ignored(cx: &RuleContext<'_>, function: FuncIx, call: CallIx) -> bool {
    let facts = cx.facts();
    if facts.calls[call.index()].usage == Usage::Discarded {
        return true;
    }
    let mut holders = facts
        .vars
        .iter()
        .enumerate()
        .filter(|(_, var)| var.values.iter().any(|&value| facts.terms.get(value) == Term::Call(call)));
    let (Some((index, variable)), None) = (holders.next(), holders.next()) else { return false };
    let var = VarIx::at(index);
    let is_local =
        facts.var_scope(var) == ScopeKind::Function(function) && !variable.captured && variable.values.len() == 1;
    let stored_elsewhere = facts.events.iter().any(|event| match event.kind {
        EventKind::Store(target, value) => {
            facts.terms.get(value) == Term::Call(call) && facts.var_of(target) != Some(var)
        }
        _ => false,
    });
    let mut names = (1..facts.terms.len()).map(TermId::at).filter(|&term| facts.var_of(term) == Some(var));
    is_local && !stored_elsewhere && !names.any(|name| is_read(cx, name))
}

/// Whether a name is used in any expression.
fn is_read(cx: &RuleContext<'_>, name: TermId) -> bool {
    let facts = cx.facts();
    let in_terms = (1..facts.terms.len()).any(|index| facts.terms.children(TermId::at(index)).any(|part| part == name));
    let in_args = facts.args.iter().any(|arg| arg.value == name);
    let in_tests = facts.ctxs.iter().any(|ctx| match ctx.kind {
        crate::facts::CtxKind::Branch(test, _) => test == name,
        crate::facts::CtxKind::With(term, _) | crate::facts::CtxKind::For(term) => term == name,
        _ => false,
    });
    let in_events = facts.events.iter().any(|event| match event.kind {
        EventKind::Store(_, value) | EventKind::Augment(_, value) => value == name,
        EventKind::Return(value) | EventKind::Yield(value) | EventKind::Raise(value) | EventKind::Load(value) => {
            value == name
        }
        _ => false,
    });
    let in_values = facts.vars.iter().any(|var| var.values.contains(&name));
    in_terms || in_args || in_tests || in_events || in_values
}

fn is_release(cx: &RuleContext<'_>, function: FuncIx, event: Event, lock: LockId) -> bool {
    let EventKind::Call(call) = event.kind else { return false };
    let Term::Attr(base, name) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else { return false };
    name == sym!("release")
        && cx.program.lock_and_owner(cx.module, function, base).is_some_and(|(released, _)| released == lock)
}

/// `lock.acquire(False); lock.release()`: whatever it was, it is free now.
fn frees_at_once(cx: &RuleContext<'_>, acquire: EventIx, release: EventIx) -> bool {
    let between = &cx.facts().events[acquire.index() + 1..release.index()];
    between.iter().all(|event| matches!(event.kind, EventKind::Load(_)))
}

fn describe(
    cx: &RuleContext<'_>,
    event: Event,
    lock: LockId,
    release: Option<Event>,
    confidence: Confidence,
) -> Finding {
    let name = cx.program.lock_name(lock);
    let message = format!("`{name}` may not be held after this: the result of `acquire()` is ignored");
    let mut finding = Finding::new(cx.span(event.range), confidence, message).label("returns False when it gives up");
    if let Some(release) = release {
        let text = "releases it all the same: somebody else's lock, or RuntimeError";
        finding = show::add(finding, EvidenceRole::OtherAccess, cx.span(release.range), text);
    }
    finding
        .note("all builds: a failed `acquire` raises nothing")
        .help("test the result, or wait without limit (`with`)")
}
