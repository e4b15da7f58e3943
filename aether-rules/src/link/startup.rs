//! Steps that a thread only gets to by another way than the one that is asked about: what starts the whole program up,
//! called once more where there is nothing yet, and what runs in a forked child.
//!
//! *Invariant:* read off the calls that lead from a thread to a step; what is said here only ever makes a finding less
//! sure.

use rustc_hash::FxHashSet;

use super::calls::CallSite;
use super::kind::{FuncId, ModuleId};
use super::places::{Place, PlaceRoot};
use super::program::Program;
use super::roots::RootId;
use super::sharing::{Step, ThreadOf};
use crate::facts::{Arm, Comparison, Const, CtxIx, CtxKind, FuncIx, Term, TermId};

/// How many functions are looked at, at most, on the way up; what is further away counts as another way.
const MAX_SEEN: usize = 256;

impl Program {
    /// Whether a thread gets to a step only through a call that is made where something of the whole process is not
    /// there yet (`if not cls.main_task: cls.init()`), or in a forked child. Who starts the program has long made the
    /// one; if two threads do find it missing, that is a finding of its own, there. The child has a memory of its own.
    pub(super) fn comes_by_start_up(&self, (access, thread): Step<'_>) -> bool {
        let ThreadOf::Root(root) = thread else { return false };
        let path = self.path_from_root(access.function, root);
        let on_way = |function: FuncId| path.iter().any(|(_, site)| site.caller == function);
        let makes = |place: Place| {
            let mut stores = self.accesses(place).iter().filter(|other| other.kind.is_whole() && other.kind.writes());
            place.root != access.place.root && stores.any(|store| on_way(store.function))
        };
        let is_start_up = |site: &CallSite| {
            let (module, function) = self.func_local(site.caller);
            self.is_in_child(module, site.ctx) || self.missing_at(module, function, site.ctx).any(makes)
        };
        path.iter().any(|(_, site)| is_start_up(site)) && !self.has_way_around(access.function, root, &is_start_up)
    }

    /// Whether a root gets to a function without any of these calls.
    fn has_way_around(&self, function: FuncId, root: RootId, is_left_out: &dyn Fn(&CallSite) -> bool) -> bool {
        let start = self.root(root).function;
        let mut pending = vec![function];
        let mut seen: FxHashSet<FuncId> = pending.iter().copied().collect();
        while let Some(function) = pending.pop() {
            if function == start || seen.len() > MAX_SEEN {
                return true;
            }
            let ways = self.callers(function).iter().filter(|site| !is_left_out(site));
            pending.extend(ways.map(|site| site.caller).filter(|&caller| seen.insert(caller)));
        }
        false
    }

    /// Globals and class attributes without which alone a step is taken: `if _client is None: <here>`.
    pub fn missing_at(&self, module: ModuleId, function: FuncIx, ctx: CtxIx) -> impl Iterator<Item = Place> {
        let asked = self.module(module).facts.ctx_chain(ctx).filter_map(move |(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => self.found_missing(module, test, arm == Arm::Then),
            _ => None,
        });
        let places = asked.filter_map(move |term| self.place(module, function, term));
        places
            .map(|(place, _)| place)
            .filter(|place| matches!(place.root, PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..)))
    }

    /// What the outcome of a test says is not there.
    fn found_missing(&self, module: ModuleId, test: TermId, holds: bool) -> Option<TermId> {
        let facts = &self.module(module).facts;
        let is_none = |term: TermId| facts.terms.get(term) == Term::Const(Const::None);
        match facts.terms.get(test) {
            Term::Name(_) | Term::Attr(..) => (!holds).then_some(test),
            Term::Not(inner) => self.found_missing(module, inner, !holds),
            Term::Compare(Comparison::Is, value, none) if is_none(none) => holds.then_some(value),
            Term::Compare(Comparison::IsNot, value, none) if is_none(none) => (!holds).then_some(value),
            Term::And(a, b) if holds => {
                self.found_missing(module, a, holds).or_else(|| self.found_missing(module, b, holds))
            }
            _ => None,
        }
    }
}
