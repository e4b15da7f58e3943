//! Objects that only their maker knows yet.
//!
//! *Invariant:* an object counts as unpublished only as long as its name was neither stored, passed on, returned nor
//! captured; what cannot be followed is published.

use super::calls::{CallSite, Receiver};
use super::kind::{Kind, ModuleId};
use super::program::Program;
use crate::facts::{EventIx, EventKind, FuncIx, ScopeKind, Term, TermId};

impl Program {
    /// Whether everything a call works on was made by the caller, and nobody else knows it yet.
    pub(super) fn works_on_fresh(&self, site: &CallSite) -> bool {
        let (module, function) = self.func_local(site.caller);
        let facts = &self.modules[module.index()].facts;
        let EventKind::Call(call) = facts.events[site.event.index()].kind else { return false };
        let is_fresh = |term: TermId| {
            self.receiver(module, function, term) == Receiver::Fresh
                && self.is_unpublished(module, function, term, site.event)
        };
        if let Term::Attr(base, _) = facts.terms.get(facts.calls[call.index()].callee)
            && matches!(self.kind(module, base), Kind::Instance(_))
        {
            return is_fresh(base);
        }
        let is_object = |term: TermId| matches!(self.kind(module, term), Kind::Instance(_));
        let mut objects = facts.args_of(call).iter().map(|arg| arg.value).filter(|&term| is_object(term)).peekable();
        objects.peek().is_some() && objects.all(is_fresh)
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
        if !is_local || !matches!(variable.values[..], [value] if matches!(facts.terms.get(value), Term::Call(_))) {
            return false;
        }
        let denotes = |term: TermId| facts.var_of(term) == Some(var);
        let shows = |value: TermId| match facts.terms.get(value) {
            Term::Display(_, list) => facts.terms.list(list).iter().any(|&part| denotes(part)),
            _ => denotes(value),
        };
        let first = facts.functions[function.index()].events.start;
        !facts.events[first as usize..until.index()].iter().any(|event| match event.kind {
            EventKind::Store(_, value) | EventKind::Return(value) | EventKind::Yield(value) => shows(value),
            EventKind::Call(call) => facts.args_of(call).iter().any(|arg| shows(arg.value)),
            _ => false,
        })
    }
}
