//! Helpers that every caller enters with a lock held.
//!
//! *Invariant:* a helper nobody is known to call holds nothing on entry.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::LockSet;
use crate::facts::{EventKind, FuncIx, Term};
use crate::link::kind::{FuncId, Kind, ModuleId};
use crate::link::program::Program;
use crate::sym;

/// Pushes what every caller holds into private helpers, until nothing changes.
pub(super) fn enter(program: &mut Program) {
    const ROUNDS: usize = 6;
    let is_root: FxHashSet<FuncId> = program.roots.iter().map(|root| root.function).collect();
    let escaping = program.escaping_functions();
    let candidates: Vec<FuncId> = (0..program.function_modules.len())
        .map(FuncId::at)
        .filter(|&function| {
            let (module, _) = program.func_local(function);
            let declaration = program.function(function);
            let name = program.modules[module.index()].facts.name(declaration.name);
            let is_private = name.starts_with('_') && !name.ends_with("__");
            let is_nested = declaration.class.is_none() && declaration.parent.is_some_and(|parent| parent != FuncIx(0));
            (is_private || is_nested)
                && !program.callers[function.index()].is_empty()
                && !is_root.contains(&function)
                && !escaping.contains(&function)
        })
        .collect();
    let mut pushed: FxHashMap<FuncId, Option<LockSet>> = candidates.iter().map(|&function| (function, None)).collect();
    for _ in 0..ROUNDS {
        let mut changed = false;
        for &function in &candidates {
            let mut held: Option<LockSet> = None;
            for site in program.callers(function) {
                let caller = program.function(site.caller);
                if caller.name == sym!("__init__") || site.caller == function {
                    continue; // Not shared yet; or the recursion decides nothing.
                }
                let (module, _) = program.func_local(site.caller);
                let mut at_site = program.held_locally(module, site.event, site.ctx);
                at_site.add_all(&program.locks.entry[site.caller.index()]);
                match pushed.get(&site.caller) {
                    Some(Some(entry)) => at_site.add_all(entry),
                    // Not known yet: optimistic, corrected in the next round.
                    Some(None) => continue,
                    None => {}
                }
                match &mut held {
                    Some(held) => held.keep(&at_site),
                    None => held = Some(at_site),
                }
            }
            if held.is_some() && pushed.get(&function) != Some(&held) {
                pushed.insert(function, held);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    for function in candidates {
        if let Some(Some(held)) = pushed.get(&function) {
            program.locks.entry[function.index()].add_all(held);
        }
    }
}

impl Program {
    /// Functions used as values: somebody unknown may call them, with no lock held.
    fn escaping_functions(&self) -> FxHashSet<FuncId> {
        let escaping: Vec<Vec<FuncId>> = (0..self.modules.len())
            .into_par_iter()
            .map(|index| {
                let module = ModuleId::at(index);
                let facts = &self.modules[index].facts;
                let args = facts.args.iter().map(|arg| arg.value);
                let stored = facts.events.iter().filter_map(|event| match event.kind {
                    EventKind::Store(_, value) | EventKind::Return(value) => Some(value),
                    _ => None,
                });
                let functions = args.chain(stored).filter_map(|term| match facts.terms.get(term) {
                    Term::Name(_) | Term::Attr(..) | Term::Function(_) => match self.kind(module, term) {
                        Kind::Function(function) | Kind::Method(function) => Some(function),
                        _ => None,
                    },
                    _ => None,
                });
                functions.collect()
            })
            .collect();
        escaping.into_iter().flatten().collect()
    }
}
