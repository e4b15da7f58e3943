//! What annotations say: `Optional[Lock]`, `Annotated[dict, …]`, `"Forward"`.
//!
//! *Invariant:* an annotation that is not understood says nothing; it never says "safe".

use super::kind::{Kind, ModuleId};
use super::program::Program;
use crate::facts::{Const, Container, Term, TermId};
use crate::model::{objects, spawns};
use crate::qual;

impl Program {
    /// What an annotation says a value is.
    pub fn annotated(&self, module: ModuleId, annotation: TermId) -> Kind {
        let facts = &self.modules[module.index()].facts;
        match facts.terms.get(annotation) {
            Term::Opaque => Kind::Unknown,
            Term::Const(Const::None) => Kind::None,
            // A forward reference: a plain name in quotes.
            Term::Const(Const::Str(name)) => instance_of(self.global(module, name)),
            Term::Operation(a, b) => self.annotated(module, a).join(self.annotated(module, b)),
            Term::Item(base, inner) => {
                let generic = self.kind(module, base);
                let transparent = [
                    qual!("typing.Optional"),
                    qual!("typing.ClassVar"),
                    qual!("typing.Final"),
                    qual!("typing.Annotated"),
                    qual!("typing_extensions.Annotated"),
                    qual!("typing.Union"),
                ];
                match generic {
                    Kind::Lib(name) if transparent.contains(&name) => match facts.terms.get(inner) {
                        Term::Display(Container::Tuple, list) => {
                            let parts = facts.terms.list(list);
                            let is_union = name == qual!("typing.Union");
                            let parts = if is_union { parts } else { &parts[..parts.len().min(1)] };
                            parts.iter().fold(Kind::Unknown, |kind, &part| kind.join(self.annotated(module, part)))
                        }
                        _ => self.annotated(module, inner),
                    },
                    other => instance_of(other),
                }
            }
            _ => instance_of(self.kind(module, annotation)),
        }
    }
}

/// An object of what an annotation names.
fn instance_of(named: Kind) -> Kind {
    match named {
        Kind::Class(class) => Kind::Instance(class),
        Kind::Lib(name) => match objects::role_of(name) {
            Some(objects::Role::Immutable) => Kind::Immutable,
            Some(_) => Kind::Object(name),
            None if spawns::is_known_class(name) => Kind::Object(name),
            None => Kind::Unknown,
        },
        Kind::None => Kind::None,
        _ => Kind::Unknown,
    }
}
