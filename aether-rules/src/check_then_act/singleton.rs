//! Singletons: what a class keeps of itself, who makes it, and when.
//!
//! *Invariant:* a value counts as an instance only when a constructor call is seen.

use crate::facts::{CtxKind, Term, TermId};
use crate::link::{Access, AccessKind, Kind, PlaceRoot, Touch};
use crate::{RuleContext, sym};

/// Whether a value is one instance of the class that keeps it: a singleton, or one per key where instances are made.
pub(crate) fn is_singleton(cx: &RuleContext<'_>, act: &Access) -> bool {
    let AccessKind::Write(touch, value) = act.kind else { return false };
    if matches!(touch, Touch::Element(_)) && !is_where_instances_are_made(cx, act) {
        return false;
    }
    match act.place.root {
        PlaceRoot::Cell(..) => makes_instance(cx, act, value, 0),
        _ => cx.program.is_class_level(act.place) && makes_instance(cx, act, value, 0),
    }
}

fn makes_instance(cx: &RuleContext<'_>, act: &Access, value: TermId, depth: usize) -> bool {
    const MAX_HOPS: usize = 2;
    let facts = &cx.program.module(act.module).facts;
    match facts.terms.get(value) {
        Term::Call(call) => {
            let callee = facts.calls[call.index()].callee;
            match facts.terms.get(callee) {
                Term::Attr(_, name) if [sym!("__new__"), sym!("__call__")].contains(&name) => true,
                Term::Name(_) if matches!(act.place.root, PlaceRoot::Cell(..)) => is_class_parameter(cx, act, callee),
                _ => match (cx.program.kind(act.module, callee), act.place.root) {
                    (Kind::Class(made), PlaceRoot::ClassAttr(owner, _)) => cx.program.class(made).mro.contains(&owner),
                    _ => false,
                },
            }
        }
        Term::Name(_) if depth < MAX_HOPS => {
            let Some(var) = facts.var_of(value) else { return false };
            facts.vars[var.index()].values.iter().any(|&value| makes_instance(cx, act, value, depth + 1))
        }
        _ => false,
    }
}

/// Whether an access stands in `__new__`, in `__call__`, or in what a decorator puts in the place of a class: whoever
/// writes `C(…)` expects the one object.
pub(crate) fn is_where_instances_are_made(cx: &RuleContext<'_>, act: &Access) -> bool {
    let name = cx.program.function(act.function).name;
    [sym!("__new__"), sym!("__call__")].contains(&name) || matches!(act.place.root, PlaceRoot::Cell(..))
}

/// Whether its own module calls the function of an access, at module level and outside any condition: what it makes is
/// made at import.
pub(crate) fn is_made_at_import(cx: &RuleContext<'_>, act: &Access) -> bool {
    let is_conditional = |kind| matches!(kind, CtxKind::Branch(..) | CtxKind::Handler(_) | CtxKind::Maybe);
    act.kind.is_whole()
        && cx.program.callers(act.function).iter().any(|site| {
            let (module, local) = cx.program.func_local(site.caller);
            let facts = &cx.program.module(module).facts;
            local.0 == 0 && module == act.module && !facts.ctx_chain(site.ctx).any(|(_, ctx)| is_conditional(ctx.kind))
        })
}

/// Whether a name is the class that a decorator was given.
fn is_class_parameter(cx: &RuleContext<'_>, act: &Access, callee: TermId) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let Some(var) = facts.var_of(callee) else { return false };
    let variable = &facts.vars[var.index()];
    let is_parameter = variable.values.iter().all(|&value| matches!(facts.terms.get(value), Term::Param(..)));
    is_parameter && ["cls", "klass", "class_"].contains(&facts.name(variable.name))
}
