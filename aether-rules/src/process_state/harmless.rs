//! Changes of process state that harm nobody else, though others run meanwhile.
//!
//! *Invariant:* judged by what the function itself does; what is not understood is not harmless.

use crate::RuleContext;
use crate::facts::{CtxKind, Event, EventKind, FuncIx, Sym, Term, TermId};
use crate::link::{FuncId, Kind};
use crate::{qual, sym};

/// Whether an entry is put on the search path and taken off again in one function, come what may: as many copies leave
/// as were put there, whoever does the same meanwhile.
pub(super) fn is_balanced(cx: &RuleContext<'_>, function: FuncIx, put: &Event) -> bool {
    let facts = cx.facts();
    let given = |event: &Event, methods: &[Sym], at: usize| {
        let EventKind::Call(call) = event.kind else { return None };
        let is_it = facts.callee_name(call).is_some_and(|name| methods.contains(&name));
        facts.positional(call, at).filter(|_| is_it).map(|arg| (facts.receiver_of(call), arg.value))
    };
    let inserted = given(put, &[sym!("insert")], 1).or_else(|| given(put, &[sym!("append")], 0));
    let Some((list, entry)) = inserted else { return false };
    // `if folder not in sys.path:` leaves it to whoever was first, and takes it from under the others.
    let asks = |event: &Event| facts.ctx_chain(event.ctx).any(|(_, ctx)| matches!(ctx.kind, CtxKind::Branch(..)));
    let is_taken_off = |event: &Event| {
        let taken = given(event, &[sym!("remove")], 0);
        let in_finally = facts.ctx_chain(event.ctx).any(|(_, ctx)| ctx.kind == CtxKind::Finally);
        in_finally && !asks(event) && taken.is_some_and(|(from, what)| from.same(list) && what.same(entry))
    };
    matches!(facts.terms.get(entry), Term::Name(_))
        && cx.program.kind(cx.module, list) == Kind::Lib(qual!("sys.path"))
        && !asks(put)
        && facts.events_of(function).iter().any(is_taken_off)
}

/// Whether a change that lasts is made of what was there before: a stream wrapped in another, a variable copied to its
/// new name. Made twice, it is the same, or does the same.
pub(super) fn is_made_of_the_old(cx: &RuleContext<'_>, change: &Event) -> bool {
    let facts = cx.facts();
    let EventKind::Store(target, value) = change.kind else { return false };
    match facts.terms.get(target) {
        Term::Attr(..) => reads(cx, value, target, 0),
        Term::Item(base, _) => reads(cx, value, base, 0),
        _ => false,
    }
}

fn reads(cx: &RuleContext<'_>, value: TermId, wanted: TermId, depth: usize) -> bool {
    const MAX_DEPTH: usize = 3;
    let facts = cx.facts();
    if value.same(wanted) || depth >= MAX_DEPTH {
        return value.same(wanted);
    }
    match facts.terms.get(value) {
        Term::Call(call) => facts.args_of(call).iter().any(|arg| reads(cx, arg.value, wanted, depth + 1)),
        _ => facts.terms.children(value).any(|part| reads(cx, part, wanted, depth + 1)),
    }
}

/// Whether a thread makes the change as it ends, before it tells the loop of the program to stop: nobody works any more.
pub(super) fn is_last_act(cx: &RuleContext<'_>, thread: FuncId, change: &Event) -> bool {
    let facts = cx.facts();
    let (_, local) = cx.program.func_local(thread);
    let mut after = facts.events_of(local).iter().skip_while(|event| event.range != change.range).skip(1).peekable();
    let stops = |event: &Event| match event.kind {
        EventKind::Call(call) => {
            let is_told = facts.callee_name(call) == Some(sym!("call_soon_threadsafe"));
            let what = facts.positional(call, 0).map(|arg| facts.terms.get(arg.value));
            is_told && matches!(what, Some(Term::Attr(_, name)) if name == sym!("stop"))
        }
        EventKind::Load(_) => true,
        _ => false,
    };
    let at_end = facts.ctx_chain(change.ctx).any(|(_, ctx)| ctx.kind == CtxKind::Finally);
    at_end && after.peek().is_some() && after.all(stops)
}

/// Whether what is entered is a new module with nothing in it: one is as good as another.
pub(super) fn is_blank_module(cx: &RuleContext<'_>, change: &Event) -> bool {
    let facts = cx.facts();
    let EventKind::Store(_, value) = change.kind else { return false };
    let makes = |value: TermId| match facts.terms.get(value) {
        Term::Call(call) => cx.program.library_callee(cx.module, call) == Some(qual!("types.ModuleType")),
        _ => false,
    };
    match facts.var_of(value) {
        Some(var) => {
            !facts.vars[var.index()].values.is_empty()
                && facts.vars[var.index()].values.iter().all(|&value| makes(value))
        }
        None => makes(value),
    }
}
