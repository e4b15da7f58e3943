//! What a callback expression may mean, looked for through names, attributes and parameters.
//!
//! *Invariant:* an expression nothing is known of means no function.

use super::calls::{Callee, Receiver};
use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{EventKind, FuncIx, Term, TermId};
use crate::sym;

impl Program {
    /// The functions a callback expression may mean.
    pub fn callbacks(&self, module: ModuleId, term: TermId) -> Vec<FuncId> {
        let mut found = Vec::new();
        self.callbacks_within(module, term, 0, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn callbacks_within(&self, module: ModuleId, term: TermId, depth: usize, found: &mut Vec<FuncId>) {
        const MAX_DEPTH: usize = 3;
        let facts = &self.modules[module.index()].facts;
        match self.kind(module, term) {
            Kind::Function(function) | Kind::Method(function) => {
                found.extend(
                    self.expand(Callee::Function(function, Receiver::Own)).into_iter().map(|(target, _)| target),
                );
                return;
            }
            Kind::Instance(class) => {
                if let Kind::Method(call) = self.member(Kind::Instance(class), sym!("__call__")) {
                    found.push(call);
                }
                return;
            }
            Kind::Class(class) => {
                found.extend(self.constructors(class).map(|(maker, _)| maker));
                return;
            }
            _ => {}
        }
        if depth >= MAX_DEPTH {
            return;
        }
        match facts.terms.get(term) {
            Term::Either(a, b) | Term::Or(a, b) => {
                self.callbacks_within(module, a, depth + 1, found);
                self.callbacks_within(module, b, depth + 1, found);
            }
            Term::Name(_) => {
                let Some(var) = facts.var_of(term) else { return };
                for &value in facts.vars[var.index()].values.iter().take(8) {
                    match facts.terms.get(value) {
                        Term::Param(function, position) => self.passed_to(module, function, position, depth, found),
                        _ => self.callbacks_within(module, value, depth + 1, found),
                    }
                }
            }
            Term::Element(iterable) => {
                if let Term::Display(_, list) = facts.terms.get(iterable) {
                    for &element in facts.terms.list(list) {
                        self.callbacks_within(module, element, depth + 1, found);
                    }
                }
            }
            _ => {}
        }
    }

    /// The functions that callers pass as the n-th parameter of a function.
    fn passed_to(&self, module: ModuleId, function: FuncIx, position: u16, depth: usize, found: &mut Vec<FuncId>) {
        let declaration = &self.modules[module.index()].facts.functions[function.index()];
        let Some(param) = declaration.params.get(usize::from(position)) else { return };
        let skip = usize::from(declaration.class.is_some() && !declaration.flags.is_static);
        for site in self.callers(self.func_id(module, function)).iter().take(32) {
            let (caller_module, _) = self.func_local(site.caller);
            let caller = &self.modules[caller_module.index()].facts;
            let EventKind::Call(call) = caller.events[site.event.index()].kind else { continue };
            if let Some(position) = usize::from(position).checked_sub(skip)
                && let Some(arg) = caller.arg(call, position, param.name)
            {
                self.callbacks_within(caller_module, arg.value, depth + 1, found);
            }
        }
    }

    /// What is assigned to a variable or attribute, as terms of the modules that assign it.
    pub fn values_of(&self, module: ModuleId, term: TermId) -> Vec<(ModuleId, TermId)> {
        let facts = &self.modules[module.index()].facts;
        match facts.terms.get(term) {
            Term::Name(_) => {
                let Some(var) = facts.var_of(term) else { return Vec::new() };
                let values = facts.vars[var.index()].values.iter();
                values
                    .flat_map(|&value| match facts.terms.get(value) {
                        Term::Entered(inner) => vec![(module, inner)],
                        _ => vec![(module, value)],
                    })
                    .collect()
            }
            Term::Attr(base, name) => match self.kind(module, base) {
                Kind::Instance(class) | Kind::Class(class) => {
                    let mut values = Vec::new();
                    for &ancestor in &self.class(class).mro {
                        let Some(attr) = self.class(ancestor).attrs.get(&name) else { continue };
                        let (owner, _) = self.class_local(ancestor);
                        values.extend(attr.stores.iter().map(|&(_, value)| (owner, value)));
                    }
                    values
                }
                _ => Vec::new(),
            },
            Term::Call(_) => vec![(module, term)],
            _ => Vec::new(),
        }
    }
}
