//! Thread-locals by other names: a base that is one under an alias, and a class that hands its attributes on to one.
//!
//! *Invariant:* an attribute that a class assigns through its own `self` stays the object's, whatever it hands on.

use super::kind::{ClassId, Kind, ModuleId};
use super::program::{ImportTarget, Program};
use crate::facts::{EventKind, Qual, Sym, Term, TermId};
use crate::model::{Role, role_of};
use crate::{qual, sym};

/// How many imports and assignments lie, at most, between a name and what it is one of.
const MAX_HOPS: usize = 4;

impl Program {
    /// The thread-local that a base class may be where its name has several meanings:
    /// `if …: Base = object`, `else: from threading import local as Base`.
    pub(super) fn thread_local_base(&self, module: ModuleId, base: TermId) -> Option<Qual> {
        self.thread_local_within(module, base, 0)
    }

    fn thread_local_within(&self, module: ModuleId, term: TermId, depth: usize) -> Option<Qual> {
        if depth > MAX_HOPS {
            return None;
        }
        if let Kind::Lib(name) = self.kind(module, term) {
            return (role_of(name) == Some(Role::ThreadLocal)).then_some(name);
        }
        let facts = &self.module(module).facts;
        match facts.terms.get(term) {
            Term::Name(_) => {
                let values = &facts.vars[facts.var_of(term)?.index()].values;
                values.iter().find_map(|&value| self.thread_local_within(module, value, depth + 1))
            }
            Term::Import(import) => match self.imports[module.index()][import.index()] {
                ImportTarget::Member(target, name) => self.thread_local_global(target, name, depth + 1),
                _ => None,
            },
            _ => None,
        }
    }

    fn thread_local_global(&self, module: ModuleId, name: Sym, depth: usize) -> Option<Qual> {
        if depth > MAX_HOPS {
            return None;
        }
        if let Some(var) = self.globals[module.index()].get(&name) {
            let values = &self.module(module).facts.vars[var.index()].values;
            return values.iter().find_map(|&value| self.thread_local_within(module, value, depth + 1));
        }
        let stars = &self.star_imports[module.index()];
        stars.iter().find_map(|&star| self.thread_local_global(star, name, depth + 1))
    }

    /// Whether what is read of an object by a name is the reading thread's own: its class derives from a thread-local,
    /// or its `__getattr__` asks one.
    pub fn is_threads_own(&self, class: ClassId, name: Sym) -> bool {
        if self.lib_bases(class).iter().any(|&base| role_of(base) == Some(Role::ThreadLocal)) {
            return true;
        }
        let mro = &self.class(class).mro;
        !mro.iter().any(|ancestor| self.class(*ancestor).attrs.contains_key(&name)) && self.asks_thread_local(class)
    }

    /// Whether a class looks up in a thread-local what its objects do not have.
    pub fn asks_thread_local(&self, class: ClassId) -> bool {
        let mro = self.class(class).mro.iter();
        let mut lookups = mro.filter_map(|ancestor| {
            let methods = &self.class(*ancestor).methods;
            methods.get(&sym!("__getattr__")).or_else(|| methods.get(&sym!("__getattribute__")))
        });
        let Some(&lookup) = lookups.next() else { return false };
        let (module, local) = self.func_local(lookup);
        let facts = &self.module(module).facts;
        facts.events_of(local).iter().any(|event| {
            let EventKind::Call(call) = event.kind else { return false };
            let asked = facts.positional(call, 0).map(|arg| self.kind(module, arg.value).role());
            asked == Some(Some(Role::ThreadLocal))
                && self.kind(module, facts.calls[call.index()].callee) == Kind::Lib(qual!("builtins.getattr"))
        })
    }
}
