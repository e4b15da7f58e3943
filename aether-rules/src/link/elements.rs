//! What containers hold, as far as it is seen what is put into them.
//!
//! *Invariant:* containers are followed a fixed number of levels deep, so a container that holds itself ends too.

use super::kind::{ClassId, Kind, ModuleId};
use super::kinds::{MAX_VALUES, Within};
use super::program::Program;
use crate::facts::{Sym, Term, TermId};
use crate::sym;

impl Program {
    /// What iterating over a term gives.
    pub fn element_kind(&self, module: ModuleId, iterable: TermId, depth: usize) -> Kind {
        const MAX_DEPTH: usize = 3;
        let facts = &self.modules[module.index()].facts;
        if depth > MAX_DEPTH {
            return Kind::Unknown;
        }
        let join = |terms: &[TermId]| {
            terms.iter().take(MAX_VALUES).fold(Kind::Unknown, |kind, &term| {
                kind.join(self.kind_within(module, term, Within::containers(depth + 1)))
            })
        };
        match facts.terms.get(iterable) {
            Term::Display(_, list) => join(facts.terms.list(list)),
            Term::Comp(_, element) => self.kind_within(module, element, Within::containers(depth + 1)),
            Term::Name(_) => {
                let Some(var) = facts.var_of(iterable) else { return Kind::Unknown };
                let values = facts.vars[var.index()].values.iter().take(MAX_VALUES);
                let from_values =
                    values.fold(Kind::Unknown, |kind, &value| kind.join(self.element_kind(module, value, depth + 1)));
                let added = self.elements[module.index()].get(&var);
                from_values.join(added.map_or(Kind::Unknown, |terms| join(terms)))
            }
            Term::Attr(base, name) => match self.kind_within(module, base, Within::containers(depth + 1)) {
                Kind::Instance(class) | Kind::Class(class) => self.attr_elements(class, name, depth),
                _ => Kind::Unknown,
            },
            Term::Call(call) => {
                // `list(x)`, `sorted(x)`, `x.values()`, `x.copy()`: the elements of x.
                match facts.terms.get(facts.calls[call.index()].callee) {
                    Term::Attr(base, name) if name == sym!("values") || name == sym!("copy") => {
                        self.element_kind(module, base, depth + 1)
                    }
                    Term::Name(_) => facts
                        .positional(call, 0)
                        .map_or(Kind::Unknown, |arg| self.element_kind(module, arg.value, depth + 1)),
                    _ => Kind::Unknown,
                }
            }
            _ => Kind::Unknown,
        }
    }

    fn attr_elements(&self, class: ClassId, name: Sym, depth: usize) -> Kind {
        let mut kind = Kind::Unknown;
        for &ancestor in &self.classes[class.index()].mro {
            let (module, _) = self.class_local(ancestor);
            let Some(attr) = self.classes[ancestor.index()].attrs.get(&name) else { continue };
            for &(_, value) in &attr.stores {
                kind = kind.join(self.element_kind(module, value, depth + 1));
            }
            for &element in attr.elements.iter().take(MAX_VALUES) {
                kind = kind.join(self.kind_within(module, element, Within::containers(depth + 1)));
            }
        }
        kind
    }
}
