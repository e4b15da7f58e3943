//! Which locks are held where.
//!
//! A lock is known by the place of its object; a condition by the lock it wraps. What holds at an event is what
//! the enclosing `with` blocks take, what `acquire` took and `release` did not give back, and what every caller of a
//! private helper holds when it calls.
//!
//! *Invariant:* a [`LockSet`] is a *must* set: empty means "none proven", not "none held".

mod atomic;
mod decorators;
mod helpers;
mod lookup;
mod near;
mod probable;
mod set;
mod steps;
mod table;

use rustc_hash::FxHashMap;

use super::kind::{FuncId, ModuleId};
use super::places::Place;
use super::program::Program;
use crate::facts::{CtxIx, CtxKind, EventIx};
use crate::model::LockKind;

pub use set::{LockId, LockSet};

/// A lock of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The place of the lock object.
    pub place: Place,
    /// Which lock.
    pub kind: LockKind,
}

/// What is known of the program's locks.
#[derive(Debug, Default)]
pub(super) struct Locks {
    all: Vec<Lock>,
    ids: FxHashMap<Place, LockId>,
    /// By module, then context: what the enclosing `with` blocks hold, where that is anything.
    contexts: Vec<FxHashMap<CtxIx, LockSet>>,
    /// By module, then event: what `acquire` calls hold; only functions that make such calls are in it.
    acquired: Vec<FxHashMap<EventIx, LockSet>>,
    /// By module, then event: the locks given back later by a function that did not take them.
    handed: Vec<FxHashMap<EventIx, LockSet>>,
    /// By function: what every caller holds, or a decorator takes.
    entry: Vec<LockSet>,
    /// By function: what all known callers hold, whether or not others may call it too.
    probable: Vec<LockSet>,
    /// By function: whether any lock may be held in it.
    holding: Vec<bool>,
    /// By function: whether it calls `acquire` or `release` itself.
    steps_itself: Vec<bool>,
    /// The functions that are used as values.
    escaping: rustc_hash::FxHashSet<FuncId>,
}

/// What a call does to locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Acquire(LockId, CtxIx),
    Release(LockId, CtxIx),
}

/// Finds all locks and what is held where.
pub(super) fn compute(program: &mut Program) {
    table::enumerate(program);
    let snapshot: &Program = program;
    let computed: Vec<_> = snapshot.each_module(|module| {
        (contexts(snapshot, module), (steps::acquired(snapshot, module), steps::handed_over(snapshot, module)))
    });
    let (contexts, by_event): (Vec<_>, Vec<_>) = computed.into_iter().unzip();
    program.locks.contexts = contexts;
    (program.locks.acquired, program.locks.handed) = by_event.into_iter().unzip();
    program.locks.entry = vec![LockSet::default(); program.function_modules.len()];
    decorators::decorated(program);
    program.locks.escaping = helpers::escaping(program);
    program.locks.holding = holding(program);
    helpers::enter(program);
    program.locks.holding = holding(program);
    program.locks.probable = probable::entered(program);
}

/// By function: whether any lock may be held in it.
fn holding(program: &Program) -> Vec<bool> {
    let mut holding: Vec<bool> = program.locks.entry.iter().map(|entry| !entry.is_empty()).collect();
    for (id, module) in program.modules() {
        let inside = program.locks.contexts[id.index()].keys().copied();
        let after = program.locks.acquired[id.index()].keys().map(|event| module.facts.events[event.index()].ctx);
        for ctx in inside.chain(after) {
            holding[program.func_id(id, module.facts.function_of_ctx(ctx)).index()] = true;
        }
    }
    holding
}

/// What the `with` blocks around each context hold. A context comes after its parent, so one pass does.
fn contexts(program: &Program, module: ModuleId) -> FxHashMap<CtxIx, LockSet> {
    let facts = &program.modules[module.index()].facts;
    let mut held: FxHashMap<CtxIx, LockSet> = FxHashMap::default();
    for (index, ctx) in facts.ctxs.iter().enumerate() {
        let mut own = match ctx.kind {
            CtxKind::Body(_) => LockSet::default(),
            _ => held.get(&ctx.parent).cloned().unwrap_or_default(),
        };
        if let CtxKind::With(term, _) = ctx.kind {
            let function = facts.function_of_ctx(CtxIx::at(index));
            for lock in program.locks_entered(module, function, term, 0) {
                own.add(lock);
            }
        }
        if !own.is_empty() {
            held.insert(CtxIx::at(index), own);
        }
    }
    held
}

impl Program {
    /// A lock.
    pub fn lock(&self, id: LockId) -> Lock {
        self.locks.all[id.0 as usize]
    }

    /// Every lock, in the order of their places.
    pub(super) fn lock_ids(&self) -> impl Iterator<Item = LockId> + use<> {
        (0..self.locks.all.len()).map(|index| LockId(index as u32))
    }

    /// How a reader would name a lock.
    pub fn lock_name(&self, id: LockId) -> String {
        self.place_name(self.lock(id).place)
    }

    /// The lock a place is, if it is one that something takes.
    pub fn lock_at(&self, place: Place) -> Option<LockId> {
        self.locks.ids.get(&place).copied()
    }

    /// The locks proven held when an event happens.
    pub fn held(&self, module: ModuleId, function: FuncId, event: EventIx) -> LockSet {
        let ctx = self.modules[module.index()].facts.events[event.index()].ctx;
        let mut held = self.held_locally(module, event, ctx);
        held.add_all(&self.locks.entry[function.index()]);
        held
    }

    /// The same, with what another function took and this one gives back.
    pub(super) fn held_or_handed(&self, module: ModuleId, function: FuncId, event: EventIx) -> LockSet {
        let mut held = self.held(module, function, event);
        if let Some(handed) = self.locks.handed[module.index()].get(&event) {
            held.add_all(handed);
        }
        held
    }

    /// What the `with` blocks around a context hold.
    fn held_by_context(&self, module: ModuleId, ctx: CtxIx) -> LockSet {
        self.locks.contexts[module.index()].get(&ctx).cloned().unwrap_or_default()
    }

    /// Whether any lock may be held in a function: a quick answer before a thorough one.
    pub fn may_hold(&self, function: FuncId) -> bool {
        self.locks.holding[function.index()]
    }

    /// The locks every caller of a function holds.
    pub fn held_on_entry(&self, function: FuncId) -> &LockSet {
        &self.locks.entry[function.index()]
    }

    /// The locks taken by the function itself around an event.
    pub fn held_locally(&self, module: ModuleId, event: EventIx, ctx: CtxIx) -> LockSet {
        let mut held = self.held_by_context(module, ctx);
        if let Some(acquired) = self.locks.acquired[module.index()].get(&event) {
            held.add_all(acquired);
        }
        held
    }

    /// The locks held without interruption from one event to a later one of the same function.
    pub fn held_across(&self, module: ModuleId, function: FuncId, first: EventIx, last: EventIx) -> LockSet {
        let facts = &self.modules[module.index()].facts;
        let (from, to) = (facts.events[first.index()].ctx, facts.events[last.index()].ctx);
        let common = facts.ctx_chain(to).find(|(ctx, _)| facts.ctx_within(from, *ctx));
        let mut held = common.map(|(ctx, _)| self.held_by_context(module, ctx)).unwrap_or_default();
        let acquired = &self.locks.acquired[module.index()];
        if let Some(at_start) = acquired.get(&first) {
            let mut throughout = at_start.clone();
            for event in first.0..=last.0 {
                throughout.keep(acquired.get(&EventIx(event)).unwrap_or(&LockSet::default()));
            }
            held.add_all(&throughout);
        }
        held.add_all(&self.locks.entry[function.index()]);
        held
    }

    /// Where the `with` that holds a lock around an event stands.
    pub fn lock_taken_at(&self, module: ModuleId, ctx: CtxIx, lock: LockId) -> Option<crate::source::Span> {
        let facts = &self.modules[module.index()].facts;
        let mut taken = facts.ctx_chain(ctx).filter(|(at, ctx)| {
            self.held_by_context(module, *at).holds(lock) && !self.held_by_context(module, ctx.parent).holds(lock)
        });
        taken.next().map(|(_, ctx)| self.span(module, ctx.range))
    }
}
