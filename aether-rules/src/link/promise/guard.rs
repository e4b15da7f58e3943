//! Guards that the code declares: `# guarded-by: self._lock`, `Annotated[dict, GuardedBy("_lock")]`.
//!
//! *Invariant:* a declared guard is kept even where its lock is not found: its name then stands for it.

use rustc_hash::FxHashMap;

use super::Guard;
use crate::facts::{Const, Container, FuncIx, Qual, ScopeKind, Sym, Term, TermId, VarIx};
use crate::link::kind::{Kind, ModuleId};
use crate::link::locks::LockId;
use crate::link::places::{Place, PlaceRoot};
use crate::link::program::Program;
use crate::{qual, sym};

/// Guards declared by comments and annotations of one module.
pub(super) fn declared(program: &Program, module: ModuleId, guards: &mut FxHashMap<Place, Guard>) {
    let facts = &program.modules[module.index()].facts;
    for guard in &facts.guards {
        let function = FuncIx(0);
        let Some((place, _)) = program.place(module, function, guard.target) else { continue };
        let span = program.span(module, guard.range);
        guards.insert(place, Guard { lock: guarding_lock(program, module, place, guard.lock), name: guard.lock, span });
    }
    for (index, var) in facts.vars.iter().enumerate() {
        let Some(name) = annotated_guard(program, module, var.annotation) else { continue };
        let place = match facts.var_scope(VarIx::at(index)) {
            ScopeKind::Module => Place { root: PlaceRoot::Global(module, var.name), path: Qual::ROOT },
            ScopeKind::Class(class) => {
                let class = program.class_id(module, class);
                let owner = program.attr_owner(class, var.name);
                let stored = program.class(owner).attrs.get(&var.name).is_some_and(|attr| !attr.stores.is_empty());
                let root =
                    if stored { PlaceRoot::Attr(owner, var.name) } else { PlaceRoot::ClassAttr(owner, var.name) };
                Place { root, path: Qual::ROOT }
            }
            _ => continue,
        };
        let span = program.span(module, var.range);
        guards.insert(place, Guard { lock: guarding_lock(program, module, place, name), name, span });
    }
}

/// `Annotated[T, GuardedBy("_lock")]`
fn annotated_guard(program: &Program, module: ModuleId, annotation: TermId) -> Option<Sym> {
    let facts = &program.modules[module.index()].facts;
    let Term::Item(base, inner) = facts.terms.get(annotation) else { return None };
    let Kind::Lib(name) = program.kind(module, base) else { return None };
    if name != qual!("typing.Annotated") && name != qual!("typing_extensions.Annotated") {
        return None;
    }
    let Term::Display(Container::Tuple, list) = facts.terms.get(inner) else { return None };
    facts.terms.list(list).iter().find_map(|&part| {
        let Term::Call(call) = facts.terms.get(part) else { return None };
        let named = match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(_, name) => name == sym!("GuardedBy"),
            callee => {
                let is_guard =
                    program.kind(module, facts.calls[call.index()].callee) == Kind::Lib(qual!("aether.GuardedBy"));
                is_guard
                    || matches!(callee, Term::Name(_))
                        && facts
                            .var_of(facts.calls[call.index()].callee)
                            .is_some_and(|var| facts.vars[var.index()].name == sym!("GuardedBy"))
            }
        };
        let Term::Const(Const::Str(lock)) = facts.terms.get(facts.positional(call, 0)?.value) else {
            return None;
        };
        named.then_some(lock)
    })
}

/// The lock of that name beside a place.
fn guarding_lock(program: &Program, module: ModuleId, place: Place, name: Sym) -> Option<LockId> {
    let beside = |root| program.lock_at(Place { root, path: Qual::ROOT });
    match place.root {
        PlaceRoot::Attr(class, _) | PlaceRoot::ClassAttr(class, _) => {
            let owner = program.attr_owner(class, name);
            beside(PlaceRoot::Attr(owner, name))
                .or_else(|| beside(PlaceRoot::ClassAttr(owner, name)))
                .or_else(|| beside(PlaceRoot::Global(module, name)))
        }
        _ => beside(PlaceRoot::Global(module, name)),
    }
}
