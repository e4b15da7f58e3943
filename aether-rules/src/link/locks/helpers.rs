//! Helpers that every caller enters with a lock held.
//!
//! A helper is a function that outsiders are not meant to call: private, nested, or the hook of a base class that only
//! declares it (`emit`, which `handle` calls with the handler's lock held).
//!
//! *Invariant:* a helper nobody is known to call holds nothing on entry.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{LockSet, near};
use crate::facts::{CtxIx, EventIx, EventKind, FuncIx, Sym, Term};
use crate::link::calls::{Callee, Receiver};
use crate::link::kind::{FuncId, Kind};
use crate::link::program::Program;
use crate::qual;

/// A step at which a helper is called.
#[derive(Clone, Copy, Debug)]
struct Site {
    caller: FuncId,
    event: EventIx,
    ctx: CtxIx,
}

/// How many levels of helpers a lock is followed through.
const ROUNDS: usize = 6;

/// Pushes what every caller holds into helpers, until nothing changes.
pub(super) fn enter(program: &mut Program) {
    let sites = sites(program);
    let mut candidates: Vec<FuncId> = sites.keys().copied().collect();
    candidates.sort_unstable();
    let mut pushed: FxHashMap<FuncId, Option<LockSet>> = candidates.iter().map(|&function| (function, None)).collect();
    for _ in 0..ROUNDS {
        let mut changed = false;
        for &function in &candidates {
            let held = held_at_all(program, &sites[&function], &pushed);
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

/// What is held at every step of a list, by what is known so far.
fn held_at_all(program: &Program, sites: &[Site], pushed: &FxHashMap<FuncId, Option<LockSet>>) -> Option<LockSet> {
    let mut held: Option<LockSet> = None;
    for site in sites {
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
    held
}

/// By helper: the steps that call it. Left out is what happens before anything is shared, recursion, and what is kept for
/// old callers only.
fn sites(program: &Program) -> FxHashMap<FuncId, Vec<Site>> {
    let is_root: FxHashSet<FuncId> = program.roots.iter().map(|root| root.function).collect();
    let unresolved = unresolved_sites(program);
    let mut more: Vec<(FuncId, FuncId)> = unresolved
        .iter()
        .flat_map(|(&function, sites)| sites.iter().map(move |site| (function, site.caller)))
        .collect();
    more.sort_unstable();
    let near = near::functions(program, &more, ROUNDS);
    let mut found = FxHashMap::default();
    for function in (0..near.len()).map(FuncId::at).filter(|function| near[function.index()]) {
        let callers = program.callers(function);
        let unresolved = unresolved.get(&function).map_or(&[][..], Vec::as_slice);
        let is_helper = !is_root.contains(&function)
            && !program.escapes(function)
            && (program.is_private(function) || (!callers.is_empty() && is_hook(program, function)));
        if !is_helper || (callers.is_empty() && unresolved.is_empty()) {
            continue;
        }
        let is_current = |caller: FuncId| !program.function(caller).flags.is_deprecated;
        let counts = |caller: FuncId| caller != function && !program.is_setup(caller) && is_current(caller);
        let resolved = callers.iter().filter(|site| counts(site.caller) && !program.works_on_fresh(site));
        let resolved = resolved.map(|site| Site { caller: site.caller, event: site.event, ctx: site.ctx });
        let unresolved = unresolved.iter().copied().filter(|site| counts(site.caller));
        found.insert(function, resolved.chain(unresolved).collect());
    }
    found
}

/// Calls of `x._method()` on an object of unknown class, by the methods of the module they may mean.
fn unresolved_sites(program: &Program) -> FxHashMap<FuncId, Vec<Site>> {
    let found: Vec<Vec<(FuncId, Site)>> = program.each_module(|module| {
        let facts = &program.modules[module.index()].facts;
        let mut methods: FxHashMap<Sym, Vec<FuncId>> = FxHashMap::default();
        for (at, function) in facts.functions.iter().enumerate() {
            let id = program.func_id(module, FuncIx::at(at));
            if function.class.is_some() && program.is_private(id) {
                methods.entry(function.name).or_default().push(id);
            }
        }
        let mut found = Vec::new();
        for (at, event) in facts.events.iter().enumerate() {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(meant) = facts.callee_name(call).and_then(|name| methods.get(&name)) else { continue };
            if program.callee(module, call) == Callee::Opaque {
                let caller = program.func_id(module, facts.function_of_ctx(event.ctx));
                let site = Site { caller, event: EventIx::at(at), ctx: event.ctx };
                found.extend(meant.iter().map(|&method| (method, site)));
            }
        }
        found
    });
    let mut sites: FxHashMap<FuncId, Vec<Site>> = FxHashMap::default();
    for (method, site) in found.into_iter().flatten() {
        sites.entry(method).or_default().push(site);
    }
    sites
}

/// Whether a method fills in what a base class only declares, by raising `NotImplementedError`.
fn is_hook(program: &Program, function: FuncId) -> bool {
    let Some(class) = program.class_of(function) else { return false };
    let name = program.function(function).name;
    let declared = program.class(class).mro.iter().filter_map(|base| program.class(*base).methods.get(&name));
    declared.copied().any(|method| {
        let (module, local) = program.func_local(method);
        let facts = &program.modules[module.index()].facts;
        let raised = facts.events_of(local).iter().find_map(|event| match event.kind {
            EventKind::Raise(exception) if event.ctx == facts.functions[local.index()].body => Some(exception),
            _ => None,
        });
        let exception = raised.map(|exception| match facts.terms.get(exception) {
            Term::Call(call) => facts.calls[call.index()].callee,
            _ => exception,
        });
        exception.is_some_and(|exception| {
            program.kind(module, exception) == Kind::Lib(qual!("builtins.NotImplementedError"))
        })
    })
}

/// Functions used as values: somebody unknown may call them, with no lock held.
///
/// A function that is only returned is called through what its maker returned, which is resolved or nobody's.
pub(super) fn escaping(program: &Program) -> FxHashSet<FuncId> {
    let escaping: Vec<Vec<FuncId>> = program.each_module(|module| {
        let facts = &program.modules[module.index()].facts;
        let function = |term| match facts.terms.get(term) {
            Term::Name(_) | Term::Attr(..) | Term::Function(_) => match program.kind(module, term) {
                Kind::Function(function) | Kind::Method(function) => Some(function),
                _ => None,
            },
            _ => None,
        };
        let args = facts.args.iter().filter_map(|arg| function(arg.value));
        let stored = facts.events.iter().filter_map(|event| match event.kind {
            EventKind::Store(_, value) => function(value),
            EventKind::Return(value) => function(value).filter(|&returned| program.callers(returned).is_empty()),
            _ => None,
        });
        args.chain(stored).collect()
    });
    escaping.into_iter().flatten().collect()
}

impl Program {
    /// Whether a function is used as a value: somebody unknown may call it.
    pub(crate) fn escapes(&self, function: FuncId) -> bool {
        self.locks.escaping.contains(&function)
    }

    /// Whether a function is a private method that nothing in its module calls: left over, or somebody else's hook.
    pub fn is_uncalled_helper(&self, function: FuncId) -> bool {
        let (module, _) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let name = self.function(function).name;
        let is_called = || {
            let mut callees = facts.calls.iter().map(|call| facts.terms.get(call.callee));
            callees.any(|callee| matches!(callee, Term::Attr(_, called) if called == name))
        };
        self.class_of(function).is_some()
            && self.is_private(function)
            && !self.escapes(function)
            && self.callers(function).is_empty()
            && !self.function(function).flags.is_property
            && !is_called()
    }

    /// Whether a function is a private method that is only handed out, for others than its object to call as they see fit.
    pub fn is_private_callback(&self, function: FuncId) -> bool {
        let sites = self.callers(function);
        let is_handed_out = self.escapes(function) && sites.iter().all(|site| site.receiver != Receiver::Own);
        let is_wrapped = !sites.is_empty() && sites.iter().all(|site| self.is_handed_out(site.caller));
        self.class_of(function).is_some() && self.is_private(function) && (is_handed_out || is_wrapped)
    }

    /// Whether a nested function is handed out and nobody is seen to call it: under which locks it runs, its callers
    /// decide.
    pub(in crate::link) fn is_handed_out(&self, function: FuncId) -> bool {
        let declaration = self.function(function);
        let is_nested = declaration.class.is_none() && declaration.parent.is_some_and(|parent| parent != FuncIx(0));
        is_nested && self.callers(function).is_empty() && self.escapes(function)
    }

    /// Whether outsiders are not meant to call a function: by its name, or because it is nested.
    pub(in crate::link) fn is_private(&self, function: FuncId) -> bool {
        let declaration = self.function(function);
        let is_nested = declaration.class.is_none() && declaration.parent.is_some_and(|parent| parent != FuncIx(0));
        is_nested || declaration.flags.is_private
    }
}
