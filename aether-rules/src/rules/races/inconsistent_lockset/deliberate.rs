//! Bare accesses that look as if they were meant, or that do no harm.
//!
//! *Invariant:* what is said here only ever makes a finding less sure; it reports nothing.

use crate::RuleContext;
use crate::check_then_act;
use crate::facts::{Const, EventKind, Sym, Term, TermId};
use crate::link::{Access, AccessKind, LockId, Place, Touch};
use crate::sym;

use super::{is_tolerant, takes};

/// Whether a bare access looks as if it was meant, or harmless: one store that others see before or after, never halfway.
pub(super) fn is_deliberate(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let stores_of = |wanted: fn(Term) -> bool| match access.kind {
        AccessKind::Write(Touch::Whole, value) => wanted(facts.terms.get(value)),
        _ => false,
    };
    let takes_away = || {
        let clears = matches!(access.kind, AccessKind::Method(method, _) if method == sym!("clear"));
        let counts = matches!(access.kind, AccessKind::Augment(Touch::Whole, _));
        clears || check_then_act::empties(cx, access) || counts || stores_of(|value| value == Term::Const(Const::None))
    };
    let keeps_error =
        || matches!(access.kind, AccessKind::Write(Touch::Whole, value) if check_then_act::is_error(cx, access, value));
    is_plain_setter(cx, access)
        || keeps_error()
        || (stores_of(is_flag) && is_only_flagged(cx, access.place))
        || (check_then_act::is_ending(cx, access) && takes_away())
        || makes_lock(cx, access, lock)
        || check_then_act::is_filled_at_setup(cx, access.place)
        || feeds_a_drain(cx, access)
}

/// Whether a bare access does no harm as far as can be told where no second thread is known to come there.
pub(super) fn is_probably_meant(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    is_lone_store(cx, access)
        || (is_plain_store(cx, access) && takes_over(cx, access))
        || (is_plain_store(cx, access) && prepares(cx, access, lock))
        || goes_on_from_lock(cx, access, lock)
        || is_tolerant_step(cx, access)
        || check_then_act::fills_at_setup(cx, access)
        || callers_hold(cx, access, lock)
        || cx.program.is_uncalled_helper(access.function)
        || cx.program.is_private_callback(access.function)
}

/// Whether everybody who is seen to call the function holds the lock, though others might.
fn callers_hold(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    let sites = cx.program.callers(access.function).iter();
    let mut sites = sites.filter(|site| site.caller != access.function && !cx.program.is_setup(site.caller)).peekable();
    sites.peek().is_some()
        && sites.all(|site| {
            let (module, _) = cx.program.func_local(site.caller);
            cx.program.held(module, site.caller, site.event).holds(lock)
        })
}

/// Whether a function stores several things, and takes the lock afterwards for the work they are for.
fn prepares(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    const SEVERAL: usize = 2;
    let mut taken = cx.program.acquisitions().filter(|taken| taken.function == access.function && taken.lock == lock);
    let (_, local) = cx.program.func_local(access.function);
    let first = cx.program.module(access.module).facts.functions[local.index()].events.start;
    let before = &cx.program.module(access.module).facts.events[first as usize..=access.event.index()];
    let stores = before.iter().filter(|event| matches!(event.kind, EventKind::Store(..))).count();
    stores >= SEVERAL
        && taken.all(|taken| taken.event.is_some_and(|at| at > access.event))
        && takes(cx, access.function, lock)
}

/// Whether an access takes something out in one step, is content to find it gone, and is all that the function does with
/// the place.
fn is_tolerant_step(cx: &RuleContext<'_>, access: &Access) -> bool {
    let AccessKind::Method(method, _) = access.kind else { return false };
    let has_default = || cx.program.call_argument(access, 1).is_some();
    let tolerates = match method {
        method if method == sym!("discard") => true,
        method if method == sym!("pop") => has_default() || is_tolerant(cx, access),
        method if method == sym!("popleft") => is_tolerant(cx, access),
        _ => false,
    };
    let mut others = cx.program.accesses(access.place).iter().filter(|other| other.function == access.function);
    // To look the container up is part of the step.
    let is_part = |other: &Access| other.event == access.event || access.range.contains_range(other.range);
    tolerates && cx.program.checks(access).is_empty() && others.all(is_part)
}

/// Whether an access stores a value that does not depend on what was there.
fn is_plain_store(cx: &RuleContext<'_>, access: &Access) -> bool {
    let stores = matches!(access.kind, AccessKind::Write(Touch::Whole, _));
    stores && !cx.program.writes_back(access) && cx.program.checks(access).is_empty()
}

/// Whether every change of the place is a plain store: the last one wins, with a lock or without. An update in steps
/// under the lock, or a change of what is stored, would be lost.
fn is_lone_store(cx: &RuleContext<'_>, access: &Access) -> bool {
    let replaces =
        |other: &Access| matches!(other.kind, AccessKind::Write(Touch::Whole, _)) && !cx.program.writes_back(other);
    is_plain_store(cx, access)
        && cx.program.accesses(access.place).iter().all(|other| !other.kind.writes() || replaces(other))
}

/// Whether a function stores several of its parameters in the object: it makes the object ready anew.
fn takes_over(cx: &RuleContext<'_>, access: &Access) -> bool {
    const SEVERAL: usize = 2;
    let (module, local) = cx.program.func_local(access.function);
    let facts = &cx.program.module(module).facts;
    let stores = facts.events_of(local).iter().filter(|event| match event.kind {
        EventKind::Store(target, value) => {
            matches!(facts.terms.get(target), Term::Attr(..)) && is_parameter(cx, access, value)
        }
        _ => false,
    });
    stores.count() >= SEVERAL
}

/// Whether the function also changes the place under the lock: whoever wrote it knew of the lock, and left this outside.
fn goes_on_from_lock(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    cx.program.accesses(access.place).iter().any(|other| {
        other.function == access.function && other.kind.writes() && cx.program.held_at_access(other).holds(lock)
    })
}

/// Whether a value is a parameter that the function has not replaced.
fn is_parameter(cx: &RuleContext<'_>, access: &Access, value: TermId) -> bool {
    let facts = &cx.program.module(access.module).facts;
    facts.var_of(value).is_some_and(|var| {
        facts.vars[var.index()].values.iter().all(|&value| matches!(facts.terms.get(value), Term::Param(..)))
    })
}

/// Whether an access only puts something in, in one step, and those who hold the lock only take out: the lock is
/// between them.
fn feeds_a_drain(cx: &RuleContext<'_>, access: &Access) -> bool {
    let puts = |method: Sym| [sym!("add"), sym!("append"), sym!("appendleft"), sym!("extend")].contains(&method);
    if !matches!(access.kind, AccessKind::Method(method, _) if puts(method)) {
        return false;
    }
    let mut locked =
        cx.program.accesses(access.place).iter().filter(|other| !cx.program.held_at_access(other).is_empty());
    locked.all(|other| match other.kind {
        AccessKind::Method(..) => check_then_act::removes(other) || !other.kind.writes(),
        AccessKind::Touch(_) => true,
        _ => false,
    })
}

fn is_flag(value: Term) -> bool {
    matches!(value, Term::Const(Const::True | Const::False | Const::Int(0 | 1)))
}

/// Whether a place never holds anything but `True` and `False`, or 1 and 0: a mark, which each store leaves whole.
fn is_only_flagged(cx: &RuleContext<'_>, place: Place) -> bool {
    cx.program.accesses(place).iter().filter(|other| other.kind.writes()).all(|other| match other.kind {
        AccessKind::Write(Touch::Whole, value) => is_flag(cx.program.module(other.module).facts.terms.get(value)),
        _ => false,
    })
}

/// `def name(self, value): self._name = value`, and nothing else: the last one wins, with a lock or without.
fn is_plain_setter(cx: &RuleContext<'_>, access: &Access) -> bool {
    let AccessKind::Write(Touch::Whole, value) = access.kind else { return false };
    let (module, local) = cx.program.func_local(access.function);
    let facts = &cx.program.module(module).facts;
    let mut others = facts.events_of(local).iter().filter(|event| event.range != access.range);
    is_parameter(cx, access, value) && others.all(|event| matches!(event.kind, EventKind::Load(_)))
}

/// Whether a function also makes the guarding lock: it sets the object up anew, and nobody can hold that lock yet.
fn makes_lock(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    let place = cx.program.lock(lock).place;
    let (module, local) = cx.program.func_local(access.function);
    let facts = &cx.program.module(module).facts;
    facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Store(target, _) => {
            cx.program.place(module, local, target).is_some_and(|(stored, _)| stored == place)
        }
        _ => false,
    })
}
