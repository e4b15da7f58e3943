//! Calls a mixin makes on its own object, of methods that only the classes it is mixed into have.
//!
//! *Invariant:* a target is a method that some class of the program, derived from the mixin, has under that name.

use rustc_hash::FxHashMap;

use super::calls::{CallSite, Callee, Receiver};
use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{EventIx, EventKind, FuncIx, Sym};

/// How many methods one call may mean.
const MAX_TARGETS: usize = 4;

/// The unresolved calls on `self`, by the methods they may mean.
pub(super) fn calls(program: &Program) -> FxHashMap<FuncId, Vec<CallSite>> {
    let mut found: FxHashMap<FuncId, Vec<CallSite>> = FxHashMap::default();
    for (module, contents) in program.modules() {
        let facts = &contents.facts;
        for index in 0..facts.functions.len() {
            let function = FuncIx::at(index);
            let Some(class) = facts.functions[index].class.map(|class| program.class_id(module, class)) else {
                continue;
            };
            if program.class(class).subclasses.is_empty() {
                continue;
            }
            let first = facts.functions[index].events.start;
            for (position, event) in facts.events_of(function).iter().enumerate() {
                let EventKind::Call(call) = event.kind else { continue };
                let Some(name) = facts.callee_name(call) else { continue };
                if !is_unresolved(program, module, function, (class, call, name)) {
                    continue;
                }
                let site = CallSite {
                    caller: program.func_id(module, function),
                    receiver: Receiver::Own,
                    range: event.range,
                    ctx: event.ctx,
                    event: EventIx(first + position as u32),
                };
                for target in mixed_in(program, class, name) {
                    found.entry(target).or_default().push(site);
                }
            }
        }
    }
    found
}

fn is_unresolved(
    program: &Program,
    module: ModuleId,
    function: FuncIx,
    (class, call, name): (ClassId, crate::facts::CallIx, Sym),
) -> bool {
    let base = program.module(module).facts.receiver_of(call);
    let is_own = program.kind(module, base) == Kind::Instance(class)
        && program.receiver(module, function, base) == Receiver::Own;
    let is_opaque = matches!(program.callee(module, call), Callee::Opaque | Callee::Lib(_));
    is_own && is_opaque && !program.is_method(class, name) && !program.class(class).attrs.contains_key(&name)
}

/// The methods of that name in the classes derived from a mixin.
fn mixed_in(program: &Program, class: ClassId, name: Sym) -> Vec<FuncId> {
    let mut found = Vec::new();
    let mut pending = program.class(class).subclasses.clone();
    let mut seen = Vec::new();
    while let Some(subclass) = pending.pop() {
        if seen.contains(&subclass) || seen.len() > 64 {
            continue;
        }
        seen.push(subclass);
        let mut mro = program.class(subclass).mro.iter();
        found.extend(mro.find_map(|&ancestor| program.class(ancestor).methods.get(&name)));
        pending.extend(&program.class(subclass).subclasses);
    }
    found.sort_unstable();
    found.dedup();
    if found.len() > MAX_TARGETS { Vec::new() } else { found }
}
