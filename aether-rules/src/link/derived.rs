//! Whether a write depends on what was read from the same place before.
//!
//! *Invariant:* "derived" is claimed only when the old value can be seen in the new one: in the expression, or through
//! local names of the same function.

use super::access::{Access, AccessKind, Touch};
use super::locks::LockSet;
use super::program::Program;
use crate::facts::{CallIx, EventIx, ScopeKind, Term, TermId};
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
            other.module == access.module && other.function == access.function && other.event < access.event && !other.kind.writes()
        });
        earlier.max_by_key(|other| other.event)
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
            Term::Name(_) if hops < MAX_HOPS => self.local_value(value).is_some_and(|value| self.computes(value, hops + 1)),
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
            Term::Name(_) if hops < MAX_HOPS => self.local_value(term).is_some_and(|value| self.mentions(value, hops + 1)),
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
