//! Who calls a method by its name, where the object is not known: a name that one class alone uses says enough.
//!
//! *Invariant:* no proof, as an object from elsewhere may have a method of that name: it only ever makes a finding less sure.

use rustc_hash::FxHashMap;

use super::calls::Callee;
use super::kind::{FuncId, ModuleId};
use super::program::Program;
use super::roots::RootId;
use crate::facts::{CallIx, Sym};

/// How long a name must be not to be a word that anybody's objects use.
const MIN_LENGTH: usize = 12;

/// The functions with a call of an unknown object's method, by the name of the method, and who has such a method.
#[derive(Debug, Default)]
pub(super) struct ByName {
    callers: FxHashMap<Sym, Vec<FuncId>>,
    owners: FxHashMap<Sym, u32>,
}

impl Program {
    /// Whether a public method that nobody is seen to call is called, by its name, on one thread only.
    pub(super) fn is_named_by_one_thread(&self, function: FuncId) -> bool {
        let (module, _) = self.func_local(function);
        let name = self.function(function).name;
        if self.class_of(function).is_none()
            || !self.callers(function).is_empty()
            || self.module(module).facts.name(name).len() < MIN_LENGTH
        {
            return false;
        }
        let known = self.by_name.get_or_init(|| collect(self));
        let Some(callers) = known.callers.get(&name).filter(|_| known.owners.get(&name) == Some(&1)) else {
            return false;
        };
        let only = |function: &FuncId| self.only_thread_of(*function);
        let first = callers.first().and_then(only);
        first.is_some() && callers.iter().all(|caller| only(caller) == first)
    }

    /// The one thread that runs a function, if the main thread does not, and its runs do not overlap.
    fn only_thread_of(&self, function: FuncId) -> Option<RootId> {
        let mut visits = self.thread_visits(function);
        let root = visits.next()?.root;
        let is_only = visits.all(|visit| visit.root == root) && !self.on_main(function) && !self.overlaps_itself(root);
        is_only.then_some(root)
    }
}

fn collect(program: &Program) -> ByName {
    let mut found = ByName::default();
    for (module, at) in program.modules() {
        for index in 0..at.facts.calls.len() {
            let call = CallIx::at(index);
            if let Some(name) = at.facts.callee_name(call)
                && matches!(program.callee(module, call), Callee::Opaque | Callee::Lib(_))
            {
                found.callers.entry(name).or_default().push(caller_of(program, module, call));
            }
        }
        for function in at.facts.functions.iter().filter(|function| function.class.is_some()) {
            *found.owners.entry(function.name).or_default() += 1;
        }
    }
    found
}

fn caller_of(program: &Program, module: ModuleId, call: CallIx) -> FuncId {
    let facts = &program.module(module).facts;
    program.func_id(module, facts.function_of_ctx(facts.calls[call.index()].ctx))
}
