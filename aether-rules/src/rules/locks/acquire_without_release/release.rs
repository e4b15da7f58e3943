//! What ends an acquisition, and where it has succeeded.
//!
//! *Invariant:* judged by the lock that is given back, not by the name of a variable.

use crate::facts::{CallIx, CtxIx, CtxKind, EventKind, FuncIx, Qual, Term};
use crate::link::{FuncId, LockId, ModuleId};
use crate::{RuleContext, sym};

/// Library calls that neither raise nor wait, as a lock's holder uses them.
pub(super) const HARMLESS: &[Qual] = &[
    Qual::of("time.time"),
    Qual::of("time.monotonic"),
    Qual::of("time.perf_counter"),
    Qual::of("builtins.len"),
    Qual::of("builtins.id"),
    Qual::of("threading.get_ident"),
    Qual::of("threading.Condition.wait"),
    Qual::of("threading.Condition.wait_for"),
    Qual::of("threading.Event.set"),
    Qual::of("threading.Event.is_set"),
    Qual::of("threading.Event.clear"),
    Qual::of("time.sleep"),
    Qual::of("threading.current_thread"),
    Qual::of("builtins.isinstance"),
    Qual::of("builtins.list"),
    Qual::of("builtins.dict"),
];

/// The block in which a tested acquisition has succeeded.
pub(super) fn tested_ctx(cx: &RuleContext<'_>, function: FuncIx, call: CallIx) -> Option<CtxIx> {
    let facts = cx.facts();
    let from = facts.calls[call.index()].ctx;
    let arms = facts.ctxs.iter().enumerate().skip(from.index());
    let arms = arms.filter(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, arm) => cx.program.proves_acquired(cx.module, test, arm, call),
        _ => false,
    });
    // The last one with something in it: `if not lock.acquire(…): return` has an empty `else` of its own before what
    // follows, and the right side of an `and` is a block of its own.
    let mut arms: Vec<CtxIx> = arms.map(|(at, _)| CtxIx::at(at)).collect();
    arms.retain(|&arm| cx.events(function).any(|(_, event)| facts.ctx_within(event.ctx, arm)));
    arms.last().copied()
}

/// Whether a call gives a lock back.
pub(super) fn is_release(cx: &RuleContext<'_>, module: ModuleId, function: FuncIx, call: CallIx, lock: LockId) -> bool {
    let facts = &cx.program.module(module).facts;
    let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
    let frees = name == sym!("release") || name == sym!("__exit__");
    frees && cx.program.lock_and_owner(module, function, base).is_some_and(|(released, _)| released == lock)
}

/// Whether a function gives a lock back by a call of its own.
pub(super) fn releases_itself(cx: &RuleContext<'_>, function: FuncId, lock: LockId) -> bool {
    let (module, local) = cx.program.func_local(function);
    cx.program.module(module).facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Call(call) => is_release(cx, module, local, call, lock),
        _ => false,
    })
}

/// Functions that are one half of a pair.
pub(super) fn is_half(cx: &RuleContext<'_>, function: FuncId) -> bool {
    let name = cx.facts().name(cx.program.function(function).name).trim_start_matches('_');
    name.starts_with("enter__")
        || name.starts_with("acquire")
        || name.starts_with("lock")
        || name.starts_with("aenter__")
}
