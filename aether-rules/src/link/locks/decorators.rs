//! Decorators that take a lock around the function they decorate.
//!
//! *Invariant:* a wrapper's lock counts only where the wrapper calls the function it was given.

use super::atomic;
use crate::facts::{CtxKind, EventKind, FuncIx, Qual, Term, TermId};
use crate::link::kind::{FuncId, Kind, ModuleId};
use crate::link::locks::LockId;
use crate::link::places::{Place, PlaceRoot};
use crate::link::program::Program;

/// Decorators that take a lock around the function.
pub(super) fn decorated(program: &mut Program) {
    for index in 0..program.function_modules.len() {
        let function = FuncId::at(index);
        if program.function(function).decorators.is_empty() {
            continue;
        }
        let unseen = atomic::taken(program, function).and_then(|place| program.lock_at(place));
        for lock in program.locks_of_decorators(function).into_iter().chain(unseen) {
            program.locks.entry[index].add(lock);
        }
    }
}

impl Program {
    /// The locks that a function's decorators take around it.
    pub(in crate::link) fn locks_of_decorators(&self, function: FuncId) -> Vec<LockId> {
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let mut found = Vec::new();
        for &decorator in &facts.functions[local.index()].decorators {
            let callee = match facts.terms.get(decorator) {
                Term::Call(call) => facts.calls[call.index()].callee,
                _ => decorator,
            };
            if let Term::Call(call) = facts.terms.get(decorator) {
                for arg in facts.args_of(call) {
                    found.extend(self.lock_of(module, local, arg.value));
                }
            }
            if let Kind::Function(decorator) = self.kind(module, callee) {
                found.extend(self.locks_around_call(decorator, function));
            }
        }
        found
    }

    /// The locks a decorator's wrapper holds around the call of the function it wraps.
    fn locks_around_call(&self, decorator: FuncId, decorated: FuncId) -> Vec<LockId> {
        let (module, local) = self.func_local(decorator);
        let facts = &self.modules[module.index()].facts;
        let mut found = Vec::new();
        for (index, wrapper) in facts.functions.iter().enumerate() {
            if wrapper.parent != Some(local) {
                continue;
            }
            let wrapper_ix = FuncIx::at(index);
            let calls = facts.events_of(wrapper_ix).iter().filter_map(|event| match event.kind {
                EventKind::Call(call) => Some((call, event.ctx)),
                _ => None,
            });
            for (call, ctx) in calls {
                if !self.is_parameter_of(module, facts.calls[call.index()].callee, local) {
                    continue;
                }
                for (_, ctx) in facts.ctx_chain(ctx) {
                    let CtxKind::With(term, _) = ctx.kind else { continue };
                    found.extend(
                        self.lock_of(module, wrapper_ix, term)
                            .filter(|&lock| !matches!(self.lock(lock).place.root, PlaceRoot::Cell(..))),
                    );
                    if let Term::Attr(_, name) = facts.terms.get(term)
                        && let Some(class) = self.class_of(decorated)
                    {
                        let owner = self.attr_owner(class, name);
                        let place = Place { root: PlaceRoot::Attr(owner, name), path: Qual::ROOT };
                        found.extend(self.lock_at(self.wrapped_lock(place)));
                    }
                }
            }
        }
        found
    }

    fn is_parameter_of(&self, module: ModuleId, callee: TermId, function: FuncIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Some(var) = facts.var_of(callee) else { return false };
        let mut values = facts.vars[var.index()].values.iter();
        values.any(|&value| matches!(facts.terms.get(value), Term::Param(of, _) if of == function))
    }
}
