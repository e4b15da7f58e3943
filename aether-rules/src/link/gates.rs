//! Calls that are made once: `if _client is None: connect()`, where `connect` stores `_client`.
//!
//! A second thread gets through such a gate only if it asks at the same moment as the first. That is a race of the
//! gate, and reported there; what lies behind it is set up by whoever came first.
//!
//! *Invariant:* judged by the place that is tested and stored, never by names; a way around the gate counts.

use rustc_hash::FxHashSet;

use super::access::{Access, AccessKind, Touch};
use super::calls::CallSite;
use super::kind::{FuncId, ModuleId};
use super::places::{Place, PlaceRoot};
use super::program::Program;
use super::worth::Worth;
use crate::facts::{Arm, Comparison, Const, CtxKind, FuncIx, Term, TermId};

/// How many functions are looked at, at most, on the way up; what is further away counts as reached otherwise.
const MAX_SEEN: usize = 256;

impl Program {
    /// Whether every way from a thread to the function of an access leads through a gate, other than that of its own place.
    pub fn is_behind_gate(&self, access: &Access) -> bool {
        let mut pending = vec![access.function];
        let mut seen: FxHashSet<FuncId> = pending.iter().copied().collect();
        let mut has_gate = false;
        while let Some(function) = pending.pop() {
            if seen.len() > MAX_SEEN
                || self.roots().any(|(_, root)| root.function == function && root.runs_on.is_thread())
            {
                return false;
            }
            for site in self.callers(function) {
                if self.gates(site, function).any(|place| place != access.place) {
                    has_gate = true;
                } else if seen.insert(site.caller) {
                    pending.push(site.caller);
                }
            }
        }
        has_gate
    }

    /// Places of the whole process that a call is only made without, and that the function called stores.
    fn gates(&self, site: &CallSite, callee: FuncId) -> impl Iterator<Item = Place> {
        let (module, function) = self.func_local(site.caller);
        let facts = &self.module(module).facts;
        let tests = facts.ctx_chain(site.ctx).filter_map(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => Some((test, arm)),
            _ => None,
        });
        tests
            .filter_map(move |(test, arm)| self.missing(module, function, test, arm))
            .filter(move |&place| self.is_stored_by(place, callee))
    }

    /// What is not there yet if a test comes out this way, and is there for the whole process.
    fn missing(&self, module: ModuleId, function: FuncIx, test: TermId, arm: Arm) -> Option<Place> {
        let terms = &self.module(module).facts.terms;
        let asked = match (terms.get(test), arm) {
            (Term::Not(inner), Arm::Then) => return self.missing(module, function, inner, Arm::Else),
            (Term::And(a, b), Arm::Then) | (Term::Or(a, b), Arm::Else) => {
                return self.missing(module, function, a, arm).or_else(|| self.missing(module, function, b, arm));
            }
            (Term::Compare(Comparison::Is, asked, none), Arm::Then)
            | (Term::Compare(Comparison::IsNot, asked, none), Arm::Else)
                if terms.get(none) == Term::Const(Const::None) =>
            {
                asked
            }
            (Term::Name(_) | Term::Attr(..), Arm::Else) => test,
            _ => return None,
        };
        let (place, _) = self.place(module, function, asked)?;
        matches!(place.root, PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..)).then_some(place)
    }

    fn is_stored_by(&self, place: Place, function: FuncId) -> bool {
        self.accesses(place).iter().any(|access| match access.kind {
            AccessKind::Write(Touch::Whole, value) => {
                access.function == function && self.worth(access.module, value) != Worth::Nothing
            }
            _ => false,
        })
    }
}
