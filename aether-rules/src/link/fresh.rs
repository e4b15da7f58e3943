//! Objects that only their maker knows yet: made by a class, or by a function that made them and gave them away.
//!
//! *Invariant:* an object counts as unpublished only as long as its name was neither stored, passed on, returned nor
//! captured; what cannot be followed is published.

use super::calls::{CallSite, Callee, Receiver};
use super::kind::{Kind, ModuleId};
use super::program::Program;
use crate::facts::{CallIx, EventIx, EventKind, FuncIx, ScopeKind, Term, TermId};

/// How many makers may lie between an object and the function that uses it.
const MAX_DEPTH: usize = 3;

impl Program {
    /// Whether everything a call works on was made by the caller, and nobody else knows it yet.
    pub(super) fn works_on_fresh(&self, site: &CallSite) -> bool {
        let (module, function) = self.func_local(site.caller);
        let facts = &self.modules[module.index()].facts;
        let EventKind::Call(call) = facts.events[site.event.index()].kind else { return false };
        let is_fresh = |term: TermId| self.is_own_making(module, function, term, site.event, 0);
        if let Term::Attr(base, _) = facts.terms.get(facts.calls[call.index()].callee)
            && matches!(self.kind(module, base), Kind::Instance(_))
        {
            return is_fresh(base);
        }
        let is_object = |position: usize, term: TermId| {
            matches!(self.kind(module, term), Kind::Instance(_)) || self.expects_object(module, call, position)
        };
        let args = facts.args_of(call).iter().enumerate();
        let mut objects =
            args.filter(|(position, arg)| is_object(*position, arg.value)).map(|(_, arg)| arg.value).peekable();
        objects.peek().is_some() && objects.all(is_fresh)
    }

    /// Whether a plain function takes an object of the program at a position, whatever the caller's term tells.
    fn expects_object(&self, module: ModuleId, call: CallIx, position: usize) -> bool {
        let Callee::Function(callee, _) = self.callee(module, call) else { return false };
        let (of, _) = self.func_local(callee);
        let params = &self.function(callee).params;
        self.class_of(callee).is_none()
            && params
                .get(position)
                .is_some_and(|param| matches!(self.var_kinds[of.index()][param.var.index()], Kind::Instance(_)))
    }

    /// Whether a term denotes what a function made, or had made for it, and nobody else knows up to a step.
    fn is_own_making(&self, module: ModuleId, function: FuncIx, term: TermId, until: EventIx, depth: usize) -> bool {
        let facts = &self.modules[module.index()].facts;
        let value = match facts.var_of(term) {
            Some(var) => match facts.vars[var.index()].values[..] {
                [value] => value,
                _ => return false,
            },
            None => term,
        };
        let is_made = match facts.terms.get(value) {
            Term::Unpacked(made, part) => self.is_made_by(module, made, Some(usize::from(part)), depth),
            _ => {
                self.receiver(module, function, term) == Receiver::Fresh || self.is_made_by(module, value, None, depth)
            }
        };
        is_made && self.is_unpublished(module, function, term, until)
    }

    /// Whether a call returns something new that the function called has shown to nobody, or such a thing as a part of
    /// what it returns.
    fn is_made_by(&self, module: ModuleId, value: TermId, part: Option<usize>, depth: usize) -> bool {
        let Term::Call(call) = self.modules[module.index()].facts.terms.get(value) else { return false };
        let Callee::Function(maker, _) = self.callee(module, call) else { return false };
        if depth >= MAX_DEPTH || self.function(maker).flags.is_generator || !self.function(maker).decorators.is_empty()
        {
            return false;
        }
        let (at, local) = self.func_local(maker);
        let facts = &self.modules[at.index()].facts;
        let first = facts.functions[local.index()].events.start;
        let mut returned = facts.events_of(local).iter().enumerate().filter_map(|(position, event)| match event.kind {
            EventKind::Return(value) => Some((EventIx(first + position as u32), value)),
            _ => None,
        });
        let is_new = |until: EventIx, value: TermId| {
            matches!(facts.terms.get(value), Term::Const(_)) || self.is_own_making(at, local, value, until, depth + 1)
        };
        let mut some = false;
        let all = returned.all(|(until, value)| {
            some |= !matches!(facts.terms.get(value), Term::Const(_));
            match (part, facts.terms.get(value)) {
                (Some(part), Term::Display(_, list)) => {
                    facts.terms.list(list).get(part).is_some_and(|&value| is_new(until, value))
                }
                (Some(_), _) => false,
                (None, _) => is_new(until, value),
            }
        });
        some && all
    }

    /// Whether nobody but the function has seen an object it made, up to a step.
    fn is_unpublished(&self, module: ModuleId, function: FuncIx, term: TermId, until: EventIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let var = match facts.terms.get(term) {
            Term::Call(_) => return true,
            Term::Name(_) => facts.var_of(term),
            _ => None,
        };
        let Some(var) = var else { return false };
        let variable = &facts.vars[var.index()];
        let is_local = facts.var_scope(var) == ScopeKind::Function(function) && !variable.captured;
        if !is_local
            || !matches!(variable.values[..], [value] if matches!(facts.terms.get(value), Term::Call(_) | Term::Unpacked(..)))
        {
            return false;
        }
        let denotes = |term: TermId| facts.var_of(term) == Some(var);
        let shows = |value: TermId| match facts.terms.get(value) {
            Term::Display(_, list) => facts.terms.list(list).iter().any(|&part| denotes(part)),
            _ => denotes(value),
        };
        let first = facts.functions[function.index()].events.start;
        // What is returned at that very step is the caller's to show.
        !facts.events[first as usize..until.index()].iter().any(|event| match event.kind {
            EventKind::Store(_, value) | EventKind::Return(value) | EventKind::Yield(value) => shows(value),
            EventKind::Call(call) => facts.args_of(call).iter().any(|arg| shows(arg.value)),
            _ => false,
        })
    }
}
