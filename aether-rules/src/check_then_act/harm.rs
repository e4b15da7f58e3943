//! Whether it matters that something is done twice, and whether it can be: the work under a test, and who calls it.
//!
//! *Invariant:* what is said here only ever makes a finding less sure.

use crate::facts::{CallIx, CtxKind, Event, EventIx, EventKind, Sym, Term, TermId, Usage};
use crate::link::{Access, Check, ClassId, FuncId, Kind, LockSet};
use crate::model::Role;
use crate::{RuleContext, qual, sym};

/// Whether a call only tells somebody: a log, or the threads that wait for an event.
pub(super) fn is_word(cx: &RuleContext<'_>, act: &Access, call: CallIx) -> bool {
    let facts = &cx.program.module(act.module).facts;
    match facts.terms.get(facts.calls[call.index()].callee) {
        Term::Attr(_, method) if facts.args_of(call).is_empty() => {
            ["set", "is_set", "notify", "notify_all"].contains(&facts.name(method))
        }
        Term::Attr(_, method) => {
            ["debug", "info", "warning", "warn", "error", "exception", "log"].contains(&facts.name(method))
        }
        _ => false,
    }
}

/// The steps taken under the condition of a check, other than the access itself.
fn steps<'a>(cx: &RuleContext<'a>, act: &Access, check: &Check) -> impl Iterator<Item = &'a Event> {
    let facts = &cx.program.module(act.module).facts;
    let (_, function) = cx.program.func_local(act.function);
    let (own, first, branch) = (act.event, check.event, check.branch);
    let inside = facts.functions[function.index()].events.clone().map(EventIx);
    let inside = inside.filter(move |&at| at != own && at > first).map(|at| &facts.events[at.index()]);
    inside.filter(move |event| facts.ctx_within(event.ctx, branch))
}

/// Whether anything happens besides the store under the condition of a check.
pub(crate) fn does_work(cx: &RuleContext<'_>, act: &Access, check: &Check) -> bool {
    steps(cx, act, check).any(|event| match event.kind {
        EventKind::Call(call) => !is_word(cx, act, call),
        EventKind::Store(..) | EventKind::Augment(..) | EventKind::Delete(_) => true,
        _ => false,
    })
}

/// Whether what happens on the way to a store, or after it, is worse when two threads do it: more than a message, a
/// question, or a store of the same constant.
pub(crate) fn does_harm(cx: &RuleContext<'_>, act: &Access, check: &Check) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let is_local = |term: TermId| match facts.terms.get(term) {
        Term::Name(_) => facts.var_of(term).is_some_and(|var| facts.vars[var.index()].scope.0 != 0),
        _ => false,
    };
    let is_constant = |term: TermId| matches!(facts.terms.get(term), Term::Const(_));
    // What stands in another arm is done instead of the store, not with it.
    let goes_together = |event: &&Event| facts.ctx_within(event.ctx, act.ctx) || facts.ctx_within(act.ctx, event.ctx);
    steps(cx, act, check).filter(goes_together).any(|event| match event.kind {
        EventKind::Call(call) => facts.calls[call.index()].usage != Usage::Used && !tells(cx, act, call),
        EventKind::Store(target, value) => !is_local(target) && !is_constant(value),
        EventKind::Augment(target, _) | EventKind::Delete(target) => !is_local(target),
        EventKind::Return(value) => matches!(facts.terms.get(value), Term::Call(_)),
        EventKind::Await | EventKind::Yield(_) => true,
        _ => false,
    })
}

/// Whether a call tells a person something, or says where such messages go: `print`, `warnings.warn`, `log.to_file`.
pub(crate) fn tells(cx: &RuleContext<'_>, act: &Access, call: CallIx) -> bool {
    const SPEAKERS: &[&str] = &["log", "logger", "logging", "warnings", "click"];
    const VERBS: &[&str] = &["print", "warn", "echo", "log", "deprecate", "deprecated"];
    let facts = &cx.program.module(act.module).facts;
    // What is registered twice for the exit of the process finds the second time that nothing is left to do.
    if cx.program.library_callee(act.module, call) == Some(qual!("atexit.register")) {
        return true;
    }
    let own_name = |term: TermId| match facts.terms.get(term) {
        Term::Attr(_, name) => facts.name(name),
        Term::Name(_) => facts.var_of(term).map_or("", |var| facts.name(facts.vars[var.index()].name)),
        _ => "",
    };
    let callee = facts.calls[call.index()].callee;
    let speaks = match facts.terms.get(callee) {
        Term::Attr(base, _) => SPEAKERS.contains(&own_name(base).trim_matches('_').to_ascii_lowercase().as_str()),
        _ => false,
    };
    let name = own_name(callee).trim_matches('_').to_ascii_lowercase();
    let is_print = || cx.program.library_callee(act.module, call) == Some(qual!("builtins.print"));
    is_word(cx, act, call) || speaks || VERBS.contains(&name.split('_').next().unwrap_or_default()) || is_print()
}

/// Whether an access only feeds a message: it stands among the arguments of a call that tells a person something.
pub(crate) fn is_told(cx: &RuleContext<'_>, act: &Access) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let (_, function) = cx.program.func_local(act.function);
    facts.events_of(function).iter().any(|event| match event.kind {
        EventKind::Call(call) => {
            event.range.contains_range(act.range) && event.range != act.range && tells(cx, act, call)
        }
        _ => false,
    })
}

/// Whether an access stands in `with lock if wanted else nothing:`: who says no has the lock, or is alone.
pub(super) fn may_hold_lock(cx: &RuleContext<'_>, act: &Access) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let is_lock = |term: TermId| matches!(cx.program.role(cx.program.kind(act.module, term)), Some(Role::Lock(_)));
    facts.ctx_chain(act.ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::With(term, _) => {
            matches!(facts.terms.get(term), Term::Either(a, b) if is_lock(a) != is_lock(b))
        }
        _ => false,
    })
}

/// Whether all who are seen to call the function of an access hold some lock of their choice meanwhile: a `threading` one
/// where threads use the object, one of `asyncio` where tasks do.
pub(crate) fn callers_lock(cx: &RuleContext<'_>, act: &Access) -> bool {
    let sites = cx.program.callers(act.function).iter();
    let mut sites = sites.filter(|site| site.caller != act.function && !cx.program.is_setup(site.caller)).peekable();
    sites.peek().is_some()
        && !is_kept(cx, act)
        && sites.all(|site| {
            let (module, _) = cx.program.func_local(site.caller);
            let facts = &cx.program.module(module).facts;
            facts.ctx_chain(site.ctx).any(|(_, ctx)| match ctx.kind {
                CtxKind::With(lock, _) => match cx.program.kind(module, lock) {
                    Kind::Object(class) if class == qual!("asyncio.Lock") => true,
                    kind => matches!(cx.program.role(kind), Some(Role::Lock(_))),
                },
                _ => false,
            })
        })
}

/// Whether all who are seen to call the function of an access exclude each other, with a lock or a decorator that is one
/// by its name. Others might call it, too: that is no proof.
pub(crate) fn callers_exclude(cx: &RuleContext<'_>, act: &Access) -> bool {
    let sites = cx.program.callers(act.function).iter();
    let sites: Vec<_> = sites.filter(|site| site.caller != act.function && !cx.program.is_setup(site.caller)).collect();
    let held: Vec<LockSet> = sites
        .iter()
        .map(|site| cx.program.held(cx.program.func_local(site.caller).0, site.caller, site.event))
        .collect();
    let common = held.iter().find(|held| !held.is_empty());
    !sites.is_empty()
        && !is_kept(cx, act)
        && sites.iter().zip(&held).all(|(site, held)| {
            common.is_some_and(|common| held.meets(common)) || cx.program.is_synchronized(site.caller)
        })
}

/// Whether a name or an argument holds the function of an access: who calls it then is not seen.
fn is_kept(cx: &RuleContext<'_>, act: &Access) -> bool {
    let declaration = cx.program.function(act.function);
    let facts = &cx.program.module(act.module).facts;
    let is_named = |value: TermId| matches!(facts.terms.get(value), Term::Attr(_, name) if name == declaration.name);
    let is_it = |value: TermId| match facts.terms.get(value) {
        Term::Either(one, other) | Term::Or(one, other) => is_named(one) || is_named(other),
        _ => is_named(value),
    };
    let in_name = || facts.vars.iter().any(|var| var.values.iter().any(|&value| is_it(value)));
    !declaration.flags.is_property && (in_name() || facts.args.iter().any(|arg| is_it(arg.value)))
}

/// Whether a method changes the objects of a class once they are made: two that never change are as good as one.
pub(crate) fn changes_once_made(cx: &RuleContext<'_>, class: ClassId, maker: FuncId) -> bool {
    cx.program.class(class).mro.iter().any(|&ancestor| {
        let (module, local) = cx.program.class_local(ancestor);
        let methods = cx.program.module(module).facts.classes[local.index()].methods.iter();
        methods.map(|&method| cx.program.func_id(module, method)).any(|method| {
            method != maker && !cx.program.is_setup(method) && !calls_by_name(cx, maker, method) && changes(cx, method)
        })
    })
}

/// Whether a function calls something of the name of another one.
fn calls_by_name(cx: &RuleContext<'_>, caller: FuncId, callee: FuncId) -> bool {
    let (module, local) = cx.program.func_local(caller);
    let facts = &cx.program.module(module).facts;
    let name = cx.program.function(callee).name;
    facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Call(call) => facts.callee_name(call) == Some(name),
        _ => false,
    })
}

/// Whether a function stores in an object or a container, or calls a method that changes one.
fn changes(cx: &RuleContext<'_>, function: FuncId) -> bool {
    const METHODS: [Sym; 8] = [
        sym!("append"),
        sym!("add"),
        sym!("update"),
        sym!("setdefault"),
        sym!("pop"),
        sym!("remove"),
        sym!("clear"),
        sym!("extend"),
    ];
    let (module, local) = cx.program.func_local(function);
    let facts = &cx.program.module(module).facts;
    facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Store(target, _) | EventKind::Augment(target, _) | EventKind::Delete(target) => {
            matches!(facts.terms.get(target), Term::Attr(..) | Term::Item(..))
        }
        EventKind::Call(call) => facts.callee_name(call).is_some_and(|name| METHODS.contains(&name)),
        _ => false,
    })
}

/// Whether only module level is seen to call the function of an access.
pub(crate) fn is_called_at_import(cx: &RuleContext<'_>, act: &Access) -> bool {
    let sites = cx.program.callers(act.function);
    !sites.is_empty() && sites.iter().all(|site| cx.program.func_local(site.caller).1.0 == 0)
}
