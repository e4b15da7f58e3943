//! Check-then-act: which test decided that an access happens, and whether test and access are one step.
//!
//! A test counts whatever its shape: `if` in both arms, the early return, `while`, `and`/`or`, a conditional expression,
//! a local name that keeps the answer, `try` with a handler for what is missing.
//!
//! *Invariant:* a [`Check`] was evaluated before the access it decides, in the same function, and asks about the very
//! place the access acts on.

mod search;

use ruff_text_size::{TextRange, TextSize};

use self::search::{Probe, Search};
use super::access::Access;
use super::handlers::{LOOKUP_ERRORS, attempt_of};
use super::kind::{FuncId, ModuleId};
use super::locks::LockSet;
use super::places::PlaceRoot;
use super::program::Program;
use super::sharing::{Conflict, Sharing, ThreadOf};
use crate::facts::{Arm, CtxIx, CtxKind, EventIx, EventKind, Term, TermId};

/// A test that decided that an access happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was asked.
    pub asked: Asked,
    /// What the answer was, where the access stands.
    pub answer: Answer,
    /// The step that read the place.
    pub event: EventIx,
    /// Where it was read.
    pub range: TextRange,
    /// The condition it decides: the access stands in it.
    pub branch: CtxIx,
    /// Whether the test alone decided, or was one of several that may have.
    pub certainty: Certainty,
}

/// Whether a test alone decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The access only happens if it answered so.
    Alone,
    /// `if a and b: … else: <here>`: perhaps it was the other.
    OneOfSeveral,
}

/// What a test asks about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Whether there is an element under this key.
    Key(TermId),
    /// Whether there is a value: `is None`, `is MISSING`, `hasattr`, a handler for `AttributeError`.
    Value,
    /// Whether it is true: there is a value, or the container is not empty.
    Truth,
    /// How many elements there are.
    Size,
    /// `empty()`, `full()` or `qsize()` of a queue.
    State,
}

/// What a test answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Present,
    /// It is not.
    Absent,
}

impl Answer {
    fn when(arm: Arm) -> Self {
        match arm {
            Arm::Then => Self::Present,
            Arm::Else => Self::Absent,
        }
    }
}

impl Program {
    /// The tests that decided that an access happens, innermost first.
    pub fn checks(&self, act: &Access) -> Vec<Check> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let mut search = Search {
            program: self,
            facts,
            module: act.module,
            function,
            act,
            branch: act.ctx,
            certainty: Certainty::Alone,
            found: Vec::new(),
        };
        for (at, ctx) in facts.ctx_chain(act.ctx) {
            search.branch = at;
            match ctx.kind {
                CtxKind::Branch(term, arm) => search.test(Probe { term, arm, within: ctx.range, depth: 0 }),
                CtxKind::Handler(types) if self.catches(act.module, types, LOOKUP_ERRORS) => {
                    if let Some(attempt) = attempt_of(facts, at) {
                        search.handled(attempt);
                    }
                }
                _ => {}
            }
        }
        for attempt in self.left_attempts(act) {
            search.branch = facts.ctxs[attempt.index()].parent;
            search.handled(attempt);
        }
        search.own_value();
        search.found
    }

    /// The test an access relies on although it may be out of date; `None` when there is none, or one of them cannot
    /// be out of date because a lock is held from it to the access.
    pub fn stale_check(&self, act: &Access, relevant: impl Fn(&Check) -> bool) -> Option<Check> {
        let checks: Vec<Check> = self.checks(act).into_iter().filter(relevant).collect();
        if checks.iter().any(|check| self.is_one_step(act, check)) {
            return None;
        }
        checks.last().copied()
    }

    /// Whether a lock is held from a test to the access it decides, without a gap.
    pub fn is_one_step(&self, act: &Access, check: &Check) -> bool {
        self.are_one_step(act.module, act.function, check.event, act.event)
    }

    /// Whether a lock is held from one step of a function to a later one, without a gap.
    pub fn are_one_step(&self, module: ModuleId, function: FuncId, first: EventIx, last: EventIx) -> bool {
        !self.held_across(module, function, first, last).is_empty()
            || self.in_guarded_block(module, first, last)
            || self.is_synchronized(function)
    }

    /// How the stretch between a stale test and its access is shared; `None` when it is known not to be.
    pub fn stale_sharing<'a>(&'a self, act: &'a Access, matters: impl Fn(&Access) -> bool) -> Option<Sharing<'a>> {
        let conflict = self.conflict_holding(act, &LockSet::default(), &matters);
        self.credible_sharing(act, conflict, matters)
    }

    /// The same for the use of a value that was found: whoever takes it away on the way out matters, too.
    pub fn stale_use<'a>(&'a self, act: &'a Access, takes: impl Fn(&Access) -> bool) -> Option<Sharing<'a>> {
        let conflict = self.conflict_with(act, &LockSet::default(), &takes);
        self.credible_sharing(act, conflict, takes)
    }

    fn credible_sharing<'a>(
        &'a self,
        act: &'a Access,
        conflict: Option<Conflict<'a>>,
        matters: impl Fn(&Access) -> bool,
    ) -> Option<Sharing<'a>> {
        if let Some(conflict) = conflict {
            let is_credible = self.is_credible(conflict.thread, act.function)
                && self.is_credible(conflict.other_thread, conflict.other.function);
            return is_credible.then_some(Sharing::Proven(conflict));
        }
        match self.sharing(act, &matters) {
            Some(Sharing::Proven(_)) | None => None,
            other => other,
        }
    }

    /// Another access that matters and may happen on another thread at the same time, whether or not either writes.
    pub fn overlap<'a>(&'a self, act: &'a Access, matters: impl Fn(&Access) -> bool) -> Option<Conflict<'a>> {
        let threads = self.threads_of(act);
        let others = self.accesses(act.place).iter().filter(|other| matters(other));
        for other in others {
            for &other_thread in &self.threads_of(other) {
                for &thread in &threads {
                    if !self.ordered((act, thread), (other, other_thread)) {
                        return Some(Conflict { access: act, thread, other, other_thread });
                    }
                }
            }
        }
        None
    }

    /// Whether a thread plausibly runs a function: the main thread does not run a step of a thread class's own
    /// loop just because its name has no underscore.
    pub fn is_credible(&self, thread: ThreadOf, function: FuncId) -> bool {
        let sites = self.callers(function);
        let is_own_loop = self.class_of(function).is_some_and(|class| self.is_thread_class(class));
        thread != ThreadOf::Main
            || !is_own_loop
            || sites.is_empty()
            || sites.iter().any(|site| self.on_main(site.caller))
    }

    /// Whether a condition is the test of a `while`.
    pub fn is_loop_test(&self, module: ModuleId, branch: CtxIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let ctx = facts.ctxs[branch.index()];
        let parent = facts.ctxs[ctx.parent.index()];
        parent.kind == CtxKind::While && parent.range == ctx.range
    }

    /// Whether a coroutine goes from a test to its access without suspending: no other task of its loop comes between.
    pub fn is_one_turn(&self, act: &Access, check: &Check) -> bool {
        let facts = &self.modules[act.module.index()].facts;
        let suspends = |at: u32| matches!(facts.events[at as usize].kind, EventKind::Await | EventKind::Yield(_));
        self.function(act.function).flags.is_async && !(check.event.0..act.event.0).any(suspends)
    }

    /// Whether a term denotes what an access acts on: the same place of the same object.
    pub fn same_target(&self, act: &Access, term: TermId) -> bool {
        let (_, function) = self.func_local(act.function);
        if term.same(act.term) || self.unaliased(act.module, term).same(self.unaliased(act.module, act.term)) {
            return true;
        }
        if matches!(act.place.root, PlaceRoot::Attr(..)) {
            return false;
        }
        self.place(act.module, function, term).is_some_and(|(place, _)| place == act.place)
    }

    /// What a local name for one attribute stands for.
    pub fn unaliased(&self, module: ModuleId, term: TermId) -> TermId {
        let facts = &self.modules[module.index()].facts;
        let Some(var) = facts.var_of(term) else { return term };
        match facts.vars[var.index()].values[..] {
            [value] if matches!(facts.terms.get(value), Term::Attr(..)) => value,
            _ => term,
        }
    }

    /// The n-th positional argument of the call that an access is.
    pub fn call_argument(&self, access: &Access, position: usize) -> Option<TermId> {
        let facts = &self.modules[access.module.index()].facts;
        match facts.events[access.event.index()].kind {
            EventKind::Call(call) => facts.positional(call, position).map(|arg| arg.value),
            _ => None,
        }
    }

    /// The last step before an access, in a stretch of its function, that is wanted.
    pub(super) fn last_event(
        &self,
        act: &Access,
        within: TextRange,
        wanted: impl Fn(EventKind) -> bool,
    ) -> Option<EventIx> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let first = facts.functions[function.index()].events.start;
        let is_it = |at: &u32| {
            let event = facts.events[*at as usize];
            within.contains_range(event.range) && wanted(event.kind)
        };
        (first..act.event.0).rev().find(is_it).map(EventIx)
    }

    /// The last step before an access that reads a term.
    pub(super) fn last_read_before(&self, act: &Access, term: TermId) -> Option<EventIx> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let first = facts.functions[function.index()].events.start;
        let reads = |at: &u32| matches!(facts.events[*at as usize].kind, EventKind::Load(read) if read.same(term));
        (first..act.event.0).rev().find(reads).map(EventIx)
    }

    /// The step that made the value a local name was given, before `limit`.
    pub(super) fn last_read_of_value(&self, act: &Access, value: TermId, limit: TextSize) -> Option<EventIx> {
        let facts = &self.modules[act.module.index()].facts;
        let within = TextRange::up_to(limit);
        self.last_event(act, within, |kind| match (kind, facts.terms.get(value)) {
            (EventKind::Call(call), Term::Call(made)) => call == made,
            (EventKind::Load(read), Term::Compare(_, left, right)) => read.same(left) || read.same(right),
            (EventKind::Load(read), Term::Not(inner)) => read.same(inner),
            (EventKind::Load(read), _) => read.same(value),
            _ => false,
        })
    }

    /// Whether two steps stand in one block of something that is a lock by its name.
    fn in_guarded_block(&self, module: ModuleId, first: EventIx, last: EventIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let (from, to) = (facts.events[first.index()].ctx, facts.events[last.index()].ctx);
        facts.ctx_chain(to).any(|(at, ctx)| match ctx.kind {
            CtxKind::With(term, _) => facts.ctx_within(from, at) && self.sounds_like_a_lock(module, term),
            _ => false,
        })
    }

    pub(super) fn sounds_like_a_lock(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        let name = match facts.terms.get(term) {
            Term::Call(call) => return self.sounds_like_a_lock(module, facts.calls[call.index()].callee),
            Term::Attr(_, name) => facts.name(name),
            Term::Name(_) => match facts.var_of(term) {
                Some(var) => facts.name(facts.vars[var.index()].name),
                None => return false,
            },
            _ => return false,
        };
        let name = name.to_ascii_lowercase();
        ["lock", "mutex", "synchron", "critical", "exclusive"].iter().any(|hint| name.contains(hint))
    }

    /// Whether a decorator says that calls exclude each other.
    pub(crate) fn is_synchronized(&self, function: FuncId) -> bool {
        let (module, local) = self.func_local(function);
        let decorators = &self.modules[module.index()].facts.functions[local.index()].decorators;
        decorators.iter().any(|&decorator| self.sounds_like_a_lock(module, decorator))
    }
}
