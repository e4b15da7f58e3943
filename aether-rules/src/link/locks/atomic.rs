//! The locks behind `aether`'s own decorators, which no program sees: `@atomic`, and `@synchronized` without a lock.
//!
//! *Invariant:* mirrors the Python package: one reentrant lock per object for methods and properties, one per function
//! otherwise.

use crate::facts::{Qual, Sym, TermId};
use crate::link::kind::{FuncId, Kind, ModuleId};
use crate::link::locks::Lock;
use crate::link::places::{Place, PlaceRoot};
use crate::link::program::Program;
use crate::model::LockKind;
use crate::{qual, sym};

/// Every such lock of the program.
pub(super) fn locks(program: &Program) -> Vec<Lock> {
    let functions = (0..program.function_modules.len()).map(FuncId::at);
    functions
        .filter_map(|function| taken(program, function).map(|place| Lock { place, kind: LockKind::RLock }))
        .collect()
}

/// Where the lock is that a function's decorators take unseen.
pub(super) fn taken(program: &Program, function: FuncId) -> Option<Place> {
    let (module, _) = program.func_local(function);
    let decorators = &program.function(function).decorators;
    if !decorators.iter().any(|&decorator| is_atomic(program, module, decorator)) {
        return None;
    }
    let name = sym!("atomic");
    let root = match program.class_of(function) {
        Some(class) => PlaceRoot::Attr(program.attr_owner(class, name), name),
        None => PlaceRoot::Global(module, own_name(program, function)),
    };
    Some(Place { root, path: Qual::ROOT })
}

fn own_name(program: &Program, function: FuncId) -> Sym {
    program.function(function).name
}

fn is_atomic(program: &Program, module: ModuleId, decorator: TermId) -> bool {
    let facts = &program.modules[module.index()].facts;
    let callee = match facts.terms.get(decorator) {
        crate::facts::Term::Call(call) => facts.calls[call.index()].callee,
        _ => decorator,
    };
    let Kind::Lib(name) = program.kind(module, callee) else { return false };
    name == qual!("aether.atomic") || name == qual!("aether.synchronized") && callee == decorator
}
