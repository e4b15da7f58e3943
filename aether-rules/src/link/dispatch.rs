//! Calls through a table of functions: `self._handlers[kind](message)`.
//!
//! Whichever entry is meant, it runs on the thread of the one who looks it up.
//!
//! *Invariant:* only a table written down as a literal counts; what is registered elsewhere stays opaque.

use super::calls::Receiver;
use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{CallIx, FuncIx, Term, TermId};

/// The functions a call through a table may run, and on whose behalf.
pub(super) fn targets(program: &Program, module: ModuleId, function: FuncIx, call: CallIx) -> Vec<(FuncId, Receiver)> {
    let facts = &program.module(module).facts;
    let callee = facts.calls[call.index()].callee;
    let Some(table) = table_of(program, module, callee) else { return Vec::new() };
    let owner = match facts.terms.get(table) {
        Term::Attr(base, _) => program.receiver(module, function, base),
        _ => Receiver::Own,
    };
    let given =
        || facts.positional(call, 0).map_or(Receiver::Unknown, |arg| program.receiver(module, function, arg.value));
    let mut found = Vec::new();
    for (at, literal) in literals(program, module, table) {
        let facts = &program.module(at).facts;
        let Term::Display(_, list) = facts.terms.get(literal) else { continue };
        for &entry in facts.terms.list(list) {
            match program.kind(at, entry) {
                Kind::Method(target) => found.push((target, owner)),
                Kind::Function(target) => {
                    let declaration = program.function(target);
                    let is_method = declaration.class.is_some() && !declaration.flags.is_static;
                    found.push((target, if is_method { given() } else { Receiver::Own }));
                }
                _ => {}
            }
        }
    }
    found.sort_unstable();
    found.dedup_by_key(|(target, _)| *target);
    found
}

/// The table in `table[key](…)`, or in `handler = table[key]` a line before.
fn table_of(program: &Program, module: ModuleId, callee: TermId) -> Option<TermId> {
    let facts = &program.module(module).facts;
    match facts.terms.get(callee) {
        Term::Item(table, _) => Some(table),
        Term::Name(_) => {
            let var = facts.var_of(callee)?;
            match facts.vars[var.index()].values[..] {
                [value] => match facts.terms.get(value) {
                    Term::Item(table, _) => Some(table),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

/// The literals assigned to the table, by a method or in the body of the class.
fn literals(program: &Program, module: ModuleId, table: TermId) -> Vec<(ModuleId, TermId)> {
    let mut found = program.values_of(module, table);
    if let Term::Attr(base, name) = program.module(module).facts.terms.get(table)
        && let Kind::Instance(class) | Kind::Class(class) = program.kind(module, base)
    {
        for &ancestor in &program.class(class).mro {
            let Some(var) = program.class(ancestor).attrs.get(&name).and_then(|attr| attr.class_var) else { continue };
            let (owner, _) = program.class_local(ancestor);
            let values = program.module(owner).facts.vars[var.index()].values.iter();
            found.extend(values.map(|&value| (owner, value)));
        }
    }
    found
}
