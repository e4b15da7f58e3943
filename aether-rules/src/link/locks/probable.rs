//! Locks that a function is probably entered with: all its callers in the program hold them.
//!
//! Any function counts, a public one too: who calls `inner.put()` under the lock of the object that owns `inner` means
//! that lock. It is no proof, as somebody else may call without; what rests on it is said with low confidence.
//!
//! *Invariant:* a function that starts a thread, is used as a value or has no caller is entered with nothing.

use rustc_hash::FxHashSet;

use super::{LockId, LockSet, near};
use crate::link::access::Access;
use crate::link::calls::{CallSite, Receiver};
use crate::link::kind::FuncId;
use crate::link::program::Program;
use crate::model::{LockKind, Role};

/// How many levels of callers are looked at.
const ROUNDS: usize = 5;

/// By function: what is held in common by all who are known to call it.
pub(super) fn entered(program: &Program) -> Vec<LockSet> {
    let mut known = vec![Some(LockSet::default()); program.function_modules.len()];
    let mut open: Vec<(FuncId, Vec<&CallSite>)> = candidates(program);
    let offered = open.iter().filter(|(function, sites)| is_offered(program, *function, sites));
    let offered: Vec<FuncId> = offered.map(|&(function, _)| function).collect();
    for (function, _) in &open {
        known[function.index()] = None;
    }
    for _ in 0..ROUNDS {
        let met: Vec<Option<LockSet>> = open.iter().map(|(_, sites)| held_by_all(program, sites, &known)).collect();
        for ((function, _), held) in open.iter().zip(met) {
            known[function.index()] = held;
        }
        // What nobody holds stays so: callers only ever turn out to hold less.
        open.retain(|(function, _)| known[function.index()].as_ref().is_none_or(|held| !held.is_empty()));
    }
    // What such a function calls is still part of what its class does under the lock.
    for function in offered {
        known[function.index()] = None;
    }
    known.into_iter().map(Option::unwrap_or_default).collect()
}

/// The functions that may be entered with a lock, and the calls that say with which.
fn candidates(program: &Program) -> Vec<(FuncId, Vec<&CallSite>)> {
    let roots: FxHashSet<FuncId> = program.roots.iter().map(|root| root.function).collect();
    let near = near::functions(program, &[], ROUNDS);
    let functions = (0..near.len())
        .map(FuncId::at)
        .filter(|&function| near[function.index()] && !roots.contains(&function) && !program.escapes(function));
    let with_sites = functions.map(|function| {
        let sites = program.callers(function).iter().filter(|site| counts(program, function, site));
        (function, sites.collect::<Vec<_>>())
    });
    with_sites.filter(|(_, sites)| !sites.is_empty()).collect()
}

/// Whether a public method is only called by the object itself, with locks that it might take again: how its own class goes
/// about such a lock says nothing of how users call the method.
fn is_offered(program: &Program, function: FuncId, sites: &[&CallSite]) -> bool {
    let is_rlock =
        |lock: LockId| program.role(program.place_kind(program.lock(lock).place)) == Some(Role::Lock(LockKind::RLock));
    let may_take_again = |site: &&CallSite| {
        let (module, _) = program.func_local(site.caller);
        let held = program.held(module, site.caller, site.event);
        site.receiver == Receiver::Own && held.iter().all(is_rlock)
    };
    program.class_of(function).is_some()
        && !program.is_private(function)
        && !program.function(function).flags.is_property
        && sites.iter().all(may_take_again)
}

/// What is held at every one of some calls, by what is known of the callers so far; `None` where nothing is known yet.
fn held_by_all(program: &Program, sites: &[&CallSite], known: &[Option<LockSet>]) -> Option<LockSet> {
    let mut common: Option<LockSet> = None;
    for site in sites {
        // Not known yet: optimistic, corrected in the next round.
        let Some(above) = &known[site.caller.index()] else { continue };
        let (module, _) = program.func_local(site.caller);
        let mut held = program.held(module, site.caller, site.event);
        held.add_all(above);
        match &mut common {
            Some(common) => common.keep(&held),
            None => common = Some(held),
        }
        if common.as_ref().is_some_and(LockSet::is_empty) {
            break;
        }
    }
    common
}

/// Whether a call says under which locks a function is meant to run: not while the object is made, nor by itself.
fn counts(program: &Program, function: FuncId, site: &CallSite) -> bool {
    site.caller != function && !program.is_setup(site.caller) && !program.works_on_fresh(site)
}

impl Program {
    /// The locks that all known callers of a function hold, beside those proven.
    pub fn probably_held_on_entry(&self, function: FuncId) -> &LockSet {
        &self.locks.probable[function.index()]
    }

    /// Whether two accesses, the first with `held`, are probably kept apart by a lock that callers take.
    pub(in crate::link) fn are_probably_apart(&self, (access, held): (&Access, &LockSet), other: &Access) -> bool {
        let (own, others) = (self.probably_held_on_entry(access.function), self.probably_held_on_entry(other.function));
        if own.is_empty() && others.is_empty() {
            return false;
        }
        own.meets(others) || own.meets(&self.held_at_access(other)) || others.meets(held)
    }

    /// Whether all accesses that matter are probably kept apart from one by a lock that callers take.
    pub(in crate::link) fn is_probably_guarded(
        &self,
        access: &Access,
        held: &LockSet,
        matters: &dyn Fn(&Access) -> bool,
    ) -> bool {
        let others = self.accesses(access.place).iter().filter(|other| {
            (other.kind.writes() || access.kind.writes()) && matters(other) && !self.held_at_access(other).meets(held)
        });
        let mut others = others.peekable();
        others.peek().is_some() && others.all(|other| self.are_probably_apart((access, held), other))
    }
}
