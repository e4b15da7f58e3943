//! One slot a thread: `results[index] = …`, where every start passes another index.
//!
//! *Invariant:* the key is a parameter that is never rebound, and the loop that starts the threads counts it up.

use super::access::{Access, AccessKind, Touch};
use super::kind::ModuleId;
use super::program::Program;
use super::sharing::ThreadOf;
use crate::facts::{Qual, ScopeKind, Term, TermId};
use crate::qual;

impl Program {
    /// Whether two threads that run the same function each touch an element of their own.
    pub(super) fn in_own_slots(&self, a: (&Access, ThreadOf), b: (&Access, ThreadOf)) -> bool {
        let (ThreadOf::Root(x), ThreadOf::Root(y)) = (a.1, b.1) else { return false };
        let (first, second) = (self.root(x), self.root(y));
        let same_function =
            first.function == second.function && a.0.function == first.function && b.0.function == first.function;
        if !same_function {
            return false;
        }
        match (key(a.0.kind), key(b.0.kind)) {
            (Some(one), Some(other)) => one.same(other) && self.is_own_argument(a.0, one),
            _ => false,
        }
    }

    /// Whether a key is what the starter gave to this thread and to no other.
    fn is_own_argument(&self, access: &Access, key: TermId) -> bool {
        let (module, function) = self.func_local(access.function);
        let facts = &self.modules[module.index()].facts;
        let Some(var) = facts.var_of(key) else { return false };
        let [value] = facts.vars[var.index()].values[..] else { return false };
        let Term::Param(of, position) = facts.terms.get(value) else { return false };
        if of != function {
            return false;
        }
        let Some(arg) = self.handed_to(module, of, position) else { return false };
        let facts = &self.modules[arg.module.index()].facts;
        let Some(var) = facts.var_of(arg.term) else { return false };
        let is_local =
            matches!(facts.var_scope(var), ScopeKind::Function(_) | ScopeKind::Comprehension | ScopeKind::Module);
        is_local
            && facts.vars[var.index()].values.iter().all(|&value| match facts.terms.get(value) {
                Term::Element(numbers) => self.is_call_of(arg.module, numbers, qual!("builtins.range")),
                Term::Unpacked(element, 0) => match facts.terms.get(element) {
                    Term::Element(pairs) => self.is_call_of(arg.module, pairs, qual!("builtins.enumerate")),
                    _ => false,
                },
                _ => false,
            })
    }

    fn is_call_of(&self, module: ModuleId, term: TermId, name: Qual) -> bool {
        match self.module(module).facts.terms.get(term) {
            Term::Call(call) => self.library_callee(module, call) == Some(name),
            _ => false,
        }
    }
}

fn key(kind: AccessKind) -> Option<TermId> {
    match kind {
        AccessKind::Touch(Touch::Element(key))
        | AccessKind::Write(Touch::Element(key), _)
        | AccessKind::Augment(Touch::Element(key), _)
        | AccessKind::Delete(Touch::Element(key)) => Some(key),
        _ => None,
    }
}
