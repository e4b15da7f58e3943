//! Functions that only run while modules are imported: decorators of what stands at the top of a module, and what
//! module bodies alone are seen to call.
//!
//! *Invariant:* others might call a public function, too: what is said here only ever makes a finding less sure.

use rustc_hash::FxHashSet;

use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{EventKind, FuncIx, Term, TermId};

impl Program {
    /// Whether all that is seen to run a function is a module's body, by a call or as a decorator.
    pub fn runs_at_import(&self, function: FuncId) -> bool {
        let is_called = !self.callers(function).is_empty();
        (is_called || self.decorates(function)) && self.only_bodies_call(function)
    }

    /// The same of what is applied as a decorator: a call might as well be the program's own, once its threads run.
    pub(super) fn only_decorates(&self, function: FuncId) -> bool {
        self.decorates(function) && self.only_bodies_call(function)
    }

    fn decorates(&self, function: FuncId) -> bool {
        self.decorators.get_or_init(|| decorators(self)).contains(&function)
    }

    fn only_bodies_call(&self, function: FuncId) -> bool {
        self.callers(function).iter().all(|site| self.func_local(site.caller).1 == FuncIx(0))
    }
}

/// The functions that are applied to definitions at the top of modules, and to no others.
fn decorators(program: &Program) -> FxHashSet<FuncId> {
    let (mut top, mut inner) = (FxHashSet::default(), FxHashSet::default());
    for (module, at) in program.modules() {
        let functions =
            at.facts.functions.iter().map(|function| (function.parent == Some(FuncIx(0)), &function.decorators));
        let classes = at.facts.classes.iter().map(|class| (class.owner == FuncIx(0), &class.decorators));
        for (is_top, decorators) in functions.chain(classes) {
            let found = if is_top { &mut top } else { &mut inner };
            found.extend(decorators.iter().filter_map(|&decorator| applied(program, module, decorator)));
        }
    }
    top.retain(|function| !inner.contains(function));
    top
}

/// The function that a decorator expression applies: `@register`, or what `@register("name")` gives back.
fn applied(program: &Program, module: ModuleId, decorator: TermId) -> Option<FuncId> {
    let facts = &program.module(module).facts;
    match program.kind(module, decorator) {
        Kind::Function(function) | Kind::Method(function) => return Some(function),
        Kind::Unknown | Kind::Mixed => {}
        _ => return None,
    }
    let Term::Call(call) = facts.terms.get(decorator) else { return None };
    let Kind::Function(factory) = program.kind(module, facts.calls[call.index()].callee) else { return None };
    let (home, local) = program.func_local(factory);
    program.module(home).facts.events_of(local).iter().find_map(|event| match event.kind {
        EventKind::Return(value) => match program.kind(home, value) {
            Kind::Function(function) => Some(function),
            _ => None,
        },
        _ => None,
    })
}
