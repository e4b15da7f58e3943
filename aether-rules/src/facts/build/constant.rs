//! Branches that no run takes, because a constant of the module decides them: `_IS_SYNC = True`.
//!
//! Twin modules are generated from one source and tell themselves apart by such a constant.
//!
//! *Invariant:* only a global named in capitals, bound once and to a literal, decides a branch.

use super::Builder;
use crate::facts::{Arm, Const, CtxKind, NameTarget, ScopeIx, ScopeKind, Term, TermId, Variable};

/// How deep a test may be built.
const MAX_DEPTH: usize = 4;

impl Builder {
    /// Forgets what stands in branches that are never taken: their events do not happen, their calls call nothing.
    pub(super) fn drop_dead_branches(
        &mut self,
        targets: &[NameTarget],
        vars: &[Variable],
        scope_kind: impl Fn(ScopeIx) -> ScopeKind,
    ) {
        let constant = |term: TermId| -> Option<bool> {
            let Term::Name(name) = self.terms.get(term) else { return None };
            let NameTarget::Var(var) = targets[name.index()] else { return None };
            let var = &vars[var.index()];
            let [value] = var.values[..] else { return None };
            let is_constant = scope_kind(var.scope) == ScopeKind::Module
                && self.names.get(var.name).is_some_and(|name| !name.chars().any(char::is_lowercase));
            match self.terms.get(value) {
                Term::Const(Const::True) if is_constant => Some(true),
                Term::Const(Const::False | Const::None) if is_constant => Some(false),
                _ => None,
            }
        };
        let mut dead = vec![false; self.ctxs.len()];
        for (index, ctx) in self.ctxs.iter().enumerate() {
            // A context comes after its parent.
            dead[index] = dead[ctx.parent.index()]
                || match ctx.kind {
                    CtxKind::Branch(test, arm) => {
                        self.decided(test, &constant, 0).is_some_and(|holds| holds != (arm == Arm::Then))
                    }
                    _ => false,
                };
        }
        if !dead.contains(&true) {
            return;
        }
        for call in self.calls.iter_mut().filter(|call| dead[call.ctx.index()]) {
            call.callee = TermId::OPAQUE;
        }
        let mut kept = Vec::with_capacity(self.events.len());
        let mut by_start: Vec<usize> = (0..self.functions.len()).collect();
        by_start.sort_by_key(|&index| self.functions[index].events.start);
        for index in by_start {
            let range = self.functions[index].events.clone();
            let start = kept.len() as u32;
            let events = self.events[range.start as usize..range.end as usize].iter();
            kept.extend(events.filter(|event| !dead[event.ctx.index()]).copied());
            self.functions[index].events = start..kept.len() as u32;
        }
        self.events = kept;
    }

    /// How a test goes, if constants decide it.
    fn decided(&self, test: TermId, constant: &impl Fn(TermId) -> Option<bool>, depth: usize) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        let inner = |term| self.decided(term, constant, depth + 1);
        match self.terms.get(test) {
            Term::Name(_) => constant(test),
            Term::Not(term) => inner(term).map(|holds| !holds),
            Term::And(a, b) => match (inner(a), inner(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Term::Or(a, b) => match (inner(a), inner(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}
