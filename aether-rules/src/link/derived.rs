//! Whether a write depends on what was read from the same place before.
//!
//! *Invariant:* "derived" is claimed only when the old value can be seen in the new one: in the expression, or through
//! local names of the same function.

use super::access::{Access, AccessKind, Touch};
use super::locks::LockSet;
use super::places::Place;
use super::program::Program;
use crate::facts::{CallIx, EventIx, EventKind, ScopeKind, Term, TermId, VarIx};
use crate::sym;

/// How deep the old value may hide behind local names.
const MAX_HOPS: usize = 2;

/// The question whether a term reads a place.
struct Search<'a> {
    program: &'a Program,
    access: &'a Access,
    touch: Touch,
}

impl Program {
    /// Whether an assignment writes a value computed from the place itself: `x = x + 1`, `d[k] = f(d[k])`.
    pub fn writes_back(&self, access: &Access) -> bool {
        let AccessKind::Write(touch, value) = access.kind else { return false };
        Search { program: self, access, touch }.computes(value, 0)
    }

    /// The read that a write-back started with: the last access to the place before it in the same function.
    pub fn read_before(&self, access: &Access) -> Option<&Access> {
        let earlier = self.accesses(access.place).iter().filter(|other| {
            other.module == access.module
                && other.function == access.function
                && other.event < access.event
                && !other.kind.writes()
        });
        earlier.max_by_key(|other| other.event)
    }

    /// Whether what two accesses of one function read goes into one value: an operation, a display, the arguments of a
    /// call.
    pub fn are_combined(&self, a: &Access, b: &Access) -> bool {
        let facts = &self.module(a.module).facts;
        let (_, function) = self.func_local(a.function);
        let parts = |values: &[TermId]| {
            let has = |wanted: TermId| values.iter().any(|&value| self.is_made_of(a, value, wanted, 0));
            has(a.term) && has(b.term)
        };
        facts.events_of(function).iter().any(|event| match event.kind {
            EventKind::Store(_, value)
            | EventKind::Augment(_, value)
            | EventKind::Return(value)
            | EventKind::Yield(value) => parts(&[value]),
            EventKind::Call(call) => parts(&facts.args_of(call).iter().map(|arg| arg.value).collect::<Vec<_>>()),
            _ => false,
        })
    }

    /// Whether a value is `wanted`, or an operation, display or call over it.
    fn is_made_of(&self, at: &Access, value: TermId, wanted: TermId, hops: usize) -> bool {
        const MAX_DEPTH: usize = 6;
        if value.same(wanted) {
            return true;
        }
        if hops > MAX_DEPTH {
            return false;
        }
        let facts = &self.module(at.module).facts;
        let is_part = |part: TermId| self.is_made_of(at, part, wanted, hops + 1);
        match facts.terms.get(value) {
            Term::Operation(a, b) | Term::Either(a, b) => is_part(a) || is_part(b),
            Term::Display(_, list) => facts.terms.list(list).iter().any(|&part| is_part(part)),
            Term::Call(call) => facts.args_of(call).iter().any(|arg| is_part(arg.value)),
            Term::Name(_) => {
                let (_, function) = self.func_local(at.function);
                let own = |var: VarIx| facts.var_scope(var) == ScopeKind::Function(function);
                let var = facts.var_of(value).filter(|&var| own(var));
                var.is_some_and(|var| facts.vars[var.index()].values.iter().any(|&value| is_part(value)))
            }
            _ => false,
        }
    }

    /// Whether every read-modify-write of a place holds one and the same lock: what is bare elsewhere is the mistake.
    pub fn updates_share_a_lock(&self, place: Place) -> bool {
        let updates = self.accesses(place).iter().filter_map(|access| match access.kind {
            AccessKind::Augment(..) => Some(self.held_at_access(access)),
            _ => self.writes_back(access).then(|| self.held_through(access)),
        });
        let held: Vec<LockSet> = updates.collect();
        held.first().is_some_and(|first| first.iter().any(|lock| held.iter().all(|other| other.holds(lock))))
    }

    /// The locks held from the read to the write of a write-back, without a gap.
    pub fn held_through(&self, access: &Access) -> LockSet {
        let first: EventIx = self.read_before(access).map_or(access.event, |read| read.event);
        self.held_across(access.module, access.function, first, access.event)
    }
}

impl Search<'_> {
    /// Whether a value is an operation, call or display over what the place held.
    fn computes(&self, value: TermId, hops: usize) -> bool {
        let facts = &self.program.module(self.access.module).facts;
        match facts.terms.get(value) {
            Term::Operation(a, b) => self.mentions(a, hops) || self.mentions(b, hops),
            Term::Not(inner) => self.mentions(inner, hops),
            Term::Display(_, list) => facts.terms.list(list).iter().any(|&part| match facts.terms.get(part) {
                Term::Element(unpacked) => self.mentions(unpacked, hops),
                _ => false,
            }),
            // A method of the old value may well be `copy`, which is copy-on-write; an argument is not.
            Term::Call(call) => facts.args_of(call).iter().any(|arg| self.mentions(arg.value, hops)),
            Term::Name(_) if hops < MAX_HOPS => {
                self.local_value(value).is_some_and(|value| self.computes(value, hops + 1))
            }
            _ => false,
        }
    }

    /// Whether a term is, or is an operation over, the old value.
    fn mentions(&self, term: TermId, hops: usize) -> bool {
        if self.is_place(term) {
            return true;
        }
        let facts = &self.program.module(self.access.module).facts;
        match facts.terms.get(term) {
            Term::Operation(a, b) => self.mentions(a, hops) || self.mentions(b, hops),
            Term::Call(call) => self.reads_element(call),
            Term::Name(_) if hops < MAX_HOPS => {
                self.local_value(term).is_some_and(|value| self.mentions(value, hops + 1))
            }
            _ => false,
        }
    }

    /// Whether a term denotes the written place, or the written element of it.
    fn is_place(&self, term: TermId) -> bool {
        let facts = &self.program.module(self.access.module).facts;
        let (container, key) = match facts.terms.get(term) {
            Term::Item(base, key) => (base, Some(key)),
            Term::Name(_) | Term::Attr(..) => (term, None),
            _ => return false,
        };
        let same_part = match (self.touch, key) {
            (Touch::Whole, None) => true,
            (Touch::Element(written), Some(read)) => written.same(read),
            _ => false,
        };
        same_part && (container.same(self.access.term) || self.denotes(container))
    }

    fn denotes(&self, term: TermId) -> bool {
        let (_, function) = self.program.func_local(self.access.function);
        let place = self.program.place(self.access.module, function, term);
        place.is_some_and(|(place, _)| place == self.access.place)
    }

    /// `counts.get(key, 0)`, of the key that is written.
    fn reads_element(&self, call: CallIx) -> bool {
        let facts = &self.program.module(self.access.module).facts;
        let Touch::Element(key) = self.touch else { return false };
        let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        let reads = [sym!("get"), sym!("setdefault"), sym!("pop")].contains(&method);
        let same_key = facts.positional(call, 0).is_some_and(|arg| arg.value.same(key));
        reads && same_key && (base.same(self.access.term) || self.denotes(base))
    }

    /// The first value of a local name of the same function that no other function sees.
    fn local_value(&self, term: TermId) -> Option<TermId> {
        let facts = &self.program.module(self.access.module).facts;
        let var = facts.var_of(term)?;
        let (_, function) = self.program.func_local(self.access.function);
        let variable = &facts.vars[var.index()];
        let is_own = facts.var_scope(var) == ScopeKind::Function(function) && !variable.captured;
        if is_own { variable.values.first().copied() } else { None }
    }
}
