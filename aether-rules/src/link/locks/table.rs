//! Every lock of the program, numbered.
//!
//! *Invariant:* a lock has one number, whichever way it is reached; numbers follow the order of first mention.

use super::{Lock, LockId};
use crate::facts::{ArgumentName, CtxIx, CtxKind, FuncIx, Qual, Term};
use crate::link::kind::{ClassId, Kind, ModuleId};
use crate::link::places::{Place, PlaceRoot};
use crate::link::program::Program;
use crate::model::Role;
use crate::sym;

/// Numbers every place that holds a lock, in order of first mention.
pub(super) fn enumerate(program: &mut Program) {
    let snapshot: &Program = program;
    let found: Vec<Vec<Lock>> = snapshot.each_module(|module| mentioned_locks(snapshot, module));
    let mut declared = declared_locks(program);
    declared.extend(super::atomic::locks(program));
    declared.sort_by_key(|lock| lock.place);
    for lock in found.into_iter().flatten().chain(declared) {
        let next = LockId(program.locks.all.len() as u32);
        if let std::collections::hash_map::Entry::Vacant(entry) = program.locks.ids.entry(lock.place) {
            entry.insert(next);
            program.locks.all.push(lock);
        }
    }
    mark_steps(program);
}

/// Notes which functions call `acquire` or `release` themselves.
fn mark_steps(program: &mut Program) {
    program.locks.steps_itself = vec![false; program.function_modules.len()];
    for index in 0..program.modules.len() {
        let module = ModuleId::at(index);
        let facts = &program.modules[index].facts;
        let steps = facts.calls.iter().filter(|call| match facts.terms.get(call.callee) {
            Term::Attr(_, name) => {
                [sym!("acquire"), sym!("release"), sym!("__enter__"), sym!("__exit__")].contains(&name)
            }
            _ => false,
        });
        let functions: Vec<FuncIx> = steps.map(|call| facts.function_of_ctx(call.ctx)).collect();
        for function in functions {
            let function = program.func_id(module, function);
            program.locks.steps_itself[function.index()] = true;
        }
    }
}

/// Every expression of a module that is used as a lock.
fn mentioned_locks(program: &Program, module: ModuleId) -> Vec<Lock> {
    let facts = &program.modules[module.index()].facts;
    let mut found = Vec::new();
    for (at, ctx) in facts.ctxs.iter().enumerate() {
        if let CtxKind::With(term, _) = ctx.kind {
            let function = facts.function_of_ctx(CtxIx::at(at));
            found.extend(program.find_lock(module, function, term));
        }
    }
    for call in &facts.calls {
        if let Term::Attr(base, name) = facts.terms.get(call.callee)
            && (name == sym!("acquire") || name == sym!("release") || name == sym!("enter_context"))
        {
            let function = facts.function_of_ctx(call.ctx);
            found.extend(program.find_lock(module, function, base));
        }
    }
    for at in 0..facts.args.len() {
        let arg = &facts.args[at];
        if arg.name == ArgumentName::Positional && matches!(facts.terms.get(arg.value), Term::Attr(..)) {
            let is_lock = matches!(program.kind(module, arg.value).role(), Some(Role::Lock(_)));
            if is_lock {
                found.extend(program.find_lock(module, FuncIx(0), arg.value));
            }
        }
    }
    found
}

/// Every attribute and global that holds a lock, whether or not anybody here takes it.
#[expect(clippy::iter_over_hash_type, reason = "sorted by the caller")]
pub(super) fn declared_locks(program: &Program) -> Vec<Lock> {
    let mut found = Vec::new();
    let mut add = |root, kind: Kind| {
        if let Some(Role::Lock(kind)) = kind.role() {
            let place = program.wrapped_lock(Place { root, path: Qual::ROOT });
            found.push(Lock { place, kind });
        }
    };
    for index in 0..program.classes.len() {
        let class = ClassId::at(index);
        for (&name, attr) in &program.classes[index].attrs {
            let owner = program.attr_owner(class, name);
            add(PlaceRoot::Attr(owner, name), attr.kind);
        }
    }
    for (module, _) in program.modules() {
        for (&name, &var) in &program.globals[module.index()] {
            add(PlaceRoot::Global(module, name), program.var_kinds[module.index()][var.index()]);
        }
    }
    found
}
