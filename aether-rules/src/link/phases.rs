//! Phases in the life of an object: stopped, running, closed.
//!
//! A method that refuses to run while the object runs has it for itself; once a flag is set under the lock that all
//! who add something test it under, nothing is added any more.
//!
//! *Invariant:* a phase is read off a flag of the object that some method sets and this one tests.

use super::access::{Access, AccessKind, Touch};
use super::calls::CallSite;
use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::locks::LockSet;
use super::program::Program;
use crate::facts::{Arm, Comparison, Const, CtxIx, CtxKind, EventKind, FuncIx, Sym, Term, TermId};
use crate::model::Role;

/// How many calls are followed upwards.
const MAX_DEPTH: usize = 3;

impl Program {
    /// Whether an access only happens while the object it belongs to is stopped: `if self.running: raise …`.
    pub fn is_while_stopped(&self, access: &Access) -> bool {
        self.stopped_at(access.function, access.ctx, 0)
    }

    fn stopped_at(&self, function: FuncId, ctx: CtxIx, depth: usize) -> bool {
        self.refuses_while_running(function, ctx)
            || self.all_callers(function, depth, &|site| self.stopped_at(site.caller, site.ctx, depth + 1))
    }

    /// Whether a helper is only called where something holds; what happens before anything is shared does not count.
    fn all_callers(&self, function: FuncId, depth: usize, holds: &dyn Fn(&CallSite) -> bool) -> bool {
        if depth >= MAX_DEPTH || !self.is_private(function) || self.escapes(function) {
            return false;
        }
        let sites = self.callers(function).iter().filter(|site| !self.is_setup(site.caller));
        let mut sites = sites.peekable();
        sites.peek().is_some() && sites.all(holds)
    }

    fn refuses_while_running(&self, function: FuncId, ctx: CtxIx) -> bool {
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let Some(class) = self.class_of(function) else { return false };
        facts.ctx_chain(ctx).any(|(_, ctx)| {
            let CtxKind::Branch(test, arm) = ctx.kind else { return false };
            let Some(flag) = self.flag_of(module, test) else { return false };
            // `if not self.running: raise …` is the other way round.
            let started = self.set_by_start(class, flag);
            started.is_some_and(|running| self.says(module, (test, arm == Arm::Then), flag) != Some(running))
                && self.raises(module, local, test, arm)
        })
    }

    /// The attribute of `self` that a test asks about.
    fn flag_of(&self, module: ModuleId, test: TermId) -> Option<Sym> {
        let facts = &self.modules[module.index()].facts;
        match facts.terms.get(test) {
            Term::Attr(base, flag) => matches!(self.kind(module, base), Kind::Instance(_)).then_some(flag),
            Term::Not(inner) => self.flag_of(module, inner),
            Term::Compare(Comparison::Eq | Comparison::NotEq | Comparison::Is | Comparison::IsNot, left, _) => {
                self.flag_of(module, left)
            }
            _ => None,
        }
    }

    /// Whether a method that starts the object sets a flag to something true, or to something false.
    fn set_by_start(&self, class: ClassId, flag: Sym) -> Option<bool> {
        let owner = self.attr_owner(class, flag);
        let attr = self.class(owner).attrs.get(&flag)?;
        let value = attr.stores.iter().find_map(|&(function, value)| {
            let (module, _) = self.func_local(function);
            let facts = &self.modules[module.index()].facts;
            let name = facts.name(self.function(function).name).trim_start_matches('_');
            let starts = ["start", "run", "serve", "resume"].iter().any(|verb| name.starts_with(verb));
            starts.then(|| facts.terms.get(value))
        })?;
        Some(!matches!(value, Term::Const(Const::False | Const::None | Const::Int(0))))
    }

    /// Whether a function raises where a test went the other way.
    fn raises(&self, module: ModuleId, function: FuncIx, test: TermId, arm: Arm) -> bool {
        let facts = &self.modules[module.index()].facts;
        let opposite = |ctx: CtxIx| match facts.ctxs[ctx.index()].kind {
            CtxKind::Branch(other, other_arm) => other.same(test) && other_arm != arm,
            _ => false,
        };
        let mut events = facts.events_of(function).iter();
        events.any(|event| matches!(event.kind, EventKind::Raise(_)) && opposite(event.ctx))
    }

    /// Whether a change elsewhere can no longer happen when this access does: it follows `self.closed = True`, set
    /// under the lock under which the other side has found the flag unset.
    pub(super) fn is_after_closing(&self, access: &Access, change: &Access) -> bool {
        if access.function == change.function {
            return false;
        }
        let (_, local) = self.func_local(access.function);
        let facts = &self.modules[access.module.index()].facts;
        let first = facts.functions[local.index()].events.start;
        let mut before = facts.events[first as usize..access.event.index()].iter().enumerate();
        before.any(|(at, event)| {
            let EventKind::Store(target, value) = event.kind else { return false };
            let Term::Attr(base, flag) = facts.terms.get(target) else { return false };
            let is_set = match facts.terms.get(value) {
                Term::Const(Const::True) => true,
                Term::Const(Const::False) => false,
                _ => return false,
            };
            if !matches!(self.kind(access.module, base), Kind::Instance(_)) {
                return false;
            }
            let held = self.held(access.module, access.function, crate::facts::EventIx(first + at as u32));
            held.meets(&self.held_at_access(change))
                && self.follows_test(change.function, change.ctx, (flag, !is_set), 0)
        })
    }

    /// Whether a step is only reached where a flag was found to be set, or unset.
    fn follows_test(&self, function: FuncId, ctx: CtxIx, (flag, wanted): (Sym, bool), depth: usize) -> bool {
        let (module, _) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let tested = facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => self.says(module, (test, arm == Arm::Then), flag) == Some(wanted),
            _ => false,
        });
        let above = |site: &CallSite| self.follows_test(site.caller, site.ctx, (flag, wanted), depth + 1);
        tested || self.all_callers(function, depth, &above)
    }

    /// What the outcome of a test says of a flag, if it does.
    fn says(&self, module: ModuleId, (test, holds): (TermId, bool), flag: Sym) -> Option<bool> {
        let facts = &self.modules[module.index()].facts;
        let either = |a, b| self.says(module, (a, holds), flag).or_else(|| self.says(module, (b, holds), flag));
        match facts.terms.get(test) {
            Term::Attr(_, name) => (name == flag).then_some(holds),
            Term::Not(inner) => self.says(module, (inner, !holds), flag),
            Term::Compare(Comparison::Is, a, b) if facts.terms.get(b) == Term::Const(Const::None) => {
                self.says(module, (a, !holds), flag)
            }
            Term::Compare(Comparison::IsNot, a, b) if facts.terms.get(b) == Term::Const(Const::None) => {
                self.says(module, (a, holds), flag)
            }
            Term::And(a, b) if holds => either(a, b),
            Term::Or(a, b) if !holds => either(a, b),
            _ => None,
        }
    }

    /// Whether a store elsewhere only starts afresh what somebody steps here: what the object does on its way out, or
    /// what the stepping side does itself in another place. Late by one step, it says the same.
    pub(super) fn is_restart(&self, step: &Access, store: &Access) -> bool {
        if step.function == store.function {
            return false;
        }
        let Some(value) = self.blank(store) else { return false };
        let (module, _) = self.func_local(store.function);
        let name = self.modules[module.index()].facts.name(self.function(store.function).name);
        let verb = name.trim_matches('_').split('_').next().unwrap_or_default();
        let shares_thread = |other: &Access| {
            let mut visits = self.thread_visits(other.function);
            visits.any(|visit| self.thread_visits(step.function).any(|own| own.root == visit.root))
        };
        ["reset", "close", "stop", "shutdown", "disconnect", "terminate", "connect", "reconnect"].contains(&verb)
            || self.accesses(store.place).iter().any(|other| {
                other.function != store.function && self.blank(other) == Some(value) && shares_thread(other)
            })
    }

    /// The literal an access stores; a new empty container counts as `None`.
    fn blank(&self, access: &Access) -> Option<Const> {
        let AccessKind::Write(Touch::Whole, value) = access.kind else { return None };
        let facts = &self.modules[access.module.index()].facts;
        match facts.terms.get(value) {
            Term::Const(value) => Some(value),
            Term::Display(_, list) if facts.terms.list(list).is_empty() => Some(Const::None),
            Term::Call(call) if facts.args_of(call).is_empty() => {
                let makes_container = matches!(self.kind(access.module, value).role(), Some(Role::Container(_)));
                makes_container.then_some(Const::None)
            }
            _ => None,
        }
    }

    /// Whether no other access that matters can happen at the same time, by the phases of the object: either this one
    /// or all the others are confined to one.
    pub(super) fn is_in_quiet_phase(&self, access: &Access, held: &LockSet, matters: &dyn Fn(&Access) -> bool) -> bool {
        if self.is_while_stopped(access) || self.is_after_join(access) {
            return true;
        }
        let others = self.accesses(access.place).iter().filter(|other| {
            !std::ptr::eq(*other, access)
                && (other.kind.writes() || access.kind.writes())
                && matters(other)
                && !self.held_at_access(other).meets(held)
        });
        // Who reads meanwhile sees the old value or the new one.
        let replaces = matches!(access.kind, AccessKind::Write(Touch::Whole, _));
        let changes = others.clone().filter(|other| !replaces || other.kind.writes());
        let mut changes = changes.filter(|other| other.function != access.function).peekable();
        let is_closed = changes.peek().is_some() && changes.all(|other| self.is_after_closing(access, other));
        let mut others = others.peekable();
        let is_quiet = |other: &&Access| self.is_while_stopped(other) || self.is_after_closing(access, other);
        is_closed || (others.peek().is_some() && others.all(|other| is_quiet(&other)))
    }
}
