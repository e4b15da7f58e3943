//! `AET502`: a thread lock held while a coroutine is suspended.

use crate::declare_rule;
use crate::facts::{CtxIx, CtxKind, EventIx, EventKind, FuncIx, ScopeKind, Term, WithKind};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{LockId, PlaceRoot};
use crate::model::LockKind;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports a lock, condition or semaphore of `threading` or `multiprocessing` that a coroutine holds across an
    /// `await`, `async for` or `async with`.
    ///
    /// ## Why is this bad?
    /// While the coroutine is suspended, other tasks run on the same thread. The next one that wants the lock blocks
    /// the whole loop, so the holder is never resumed and never gives it back: deadlock. An `RLock` belongs to the
    /// thread, not to the task: it lets every other task of the loop in and excludes nothing.
    ///
    /// ## Example
    /// ```python bad
    /// import asyncio
    /// import threading
    ///
    /// lock = threading.Lock()
    ///
    /// async def update(store, key, value):
    ///     with lock:
    ///         await store.put(key, value)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import asyncio
    ///
    /// lock = asyncio.Lock()
    ///
    /// async def update(store, key, value):
    ///     async with lock:
    ///         await store.put(key, value)
    /// ```
    ///
    /// ## Limits
    /// That a second task wants the lock is not proven. Locks kept in containers are not followed. A lock taken without
    /// blocking (`acquire(blocking=False)`, a timeout) cannot deadlock the loop and is accepted, and so is one that
    /// only this call of the coroutine knows. Coroutines of a command line (`cli`, `commands`, `__main__`) have low confidence.
    ///
    /// ## References
    /// - [asyncio: synchronization primitives](https://docs.python.org/3/library/asyncio-sync.html)
    pub(crate) static THREAD_LOCK_ACROSS_AWAIT = {
        code: "AET502", name: "thread-lock-across-await", summary: "thread lock held across an `await`",
        family: Asyncio, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (function, _) in cx.functions() {
        if !cx.facts().functions[function.index()].flags.is_async {
            continue;
        }
        let mut reported: Vec<Span> = Vec::new();
        for (at, event) in cx.events(function) {
            if event.kind != EventKind::Await {
                continue;
            }
            let held = cx.program.held_locally(cx.module, at, event.ctx);
            for lock in held.iter().filter(|&lock| belongs_to_threads(cx, function, lock)) {
                let Some(taken) = taken_at(cx, function, at, event.ctx, lock) else { continue };
                if !reported.contains(&taken) {
                    reported.push(taken);
                    findings.report(describe(cx, lock, taken, cx.span(event.range)));
                }
            }
        }
    }
}

/// Whether a lock is a thread's for certain, and known to more than this call of the coroutine.
fn belongs_to_threads(cx: &RuleContext<'_>, function: FuncIx, lock: LockId) -> bool {
    let lock = cx.program.lock(lock);
    let is_own = match lock.place.root {
        PlaceRoot::Cell(module, var) if module == cx.module => {
            let facts = cx.facts();
            facts.var_scope(var) == ScopeKind::Function(function)
                && made_here(cx, var)
                && !facts.vars[var.index()].captured
        }
        _ => false,
    };
    lock.kind != LockKind::Unknown && !is_own
}

/// Whether a variable holds nothing but the result of calls in its own function.
fn made_here(cx: &RuleContext<'_>, var: crate::facts::VarIx) -> bool {
    let facts = cx.facts();
    facts.vars[var.index()].values.iter().all(|&value| matches!(facts.terms.get(value), Term::Call(_)))
}

/// The `with` or the call that took a lock which is held at an event, if it waited for it.
fn taken_at(cx: &RuleContext<'_>, function: FuncIx, at: EventIx, ctx: CtxIx, lock: LockId) -> Option<Span> {
    let facts = cx.facts();
    if let Some(span) = cx.program.lock_taken_at(cx.module, ctx, lock) {
        let mut around = facts.ctx_chain(ctx).filter(|(_, ctx)| ctx.range == span.range);
        let plain = around.any(|(_, ctx)| matches!(ctx.kind, CtxKind::With(_, WithKind::Plain)));
        return plain.then_some(span);
    }
    let before = cx.events(function).take_while(|&(event, _)| event < at);
    let unheld = before.filter(|&(event, step)| !cx.program.held_locally(cx.module, event, step.ctx).holds(lock));
    let (_, step) = unheld.last()?;
    let EventKind::Call(call) = step.kind else { return None };
    let acquires = facts.callee_name(call) == Some(sym!("acquire"));
    (!acquires || !cx.program.may_fail(cx.module, call)).then(|| cx.span(step.range))
}

fn describe(cx: &RuleContext<'_>, lock: LockId, taken: Span, suspends: Span) -> Finding {
    let name = cx.program.lock_name(lock);
    let message = format!("thread lock `{name}` is held while the coroutine is suspended");
    let label = match cx.program.lock(lock).kind {
        LockKind::RLock => "an `RLock` lets every other task of this thread in: nothing is excluded",
        _ if cx.program.is_reentrant(lock) => "reentrant for the whole thread: other tasks get in, nothing is excluded",
        _ => "the next task that wants it blocks the loop, and this one is never resumed",
    };
    // On a command line's loop there is no next task.
    let is_alone = crate::usage::is_command_line(cx.program, cx.module);
    Finding::new(taken, if is_alone { Confidence::Low } else { Confidence::High }, message)
        .label(label)
        .evidence(Evidence::new(EvidenceRole::OtherAccess, suspends, format!("suspended here, with `{name}` held")))
        .note("all builds")
        .help("give the lock back before the `await`, or use an `asyncio` lock with `async with`")
}
