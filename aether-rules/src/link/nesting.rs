//! Which locks a thread takes while it holds others, through calls and across files.
//!
//! *Invariant:* every entry has a witness: a chain of calls of one thread that ends at an [`Acquisition`].

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::acquisitions::{Acquisition, acquisitions};
use super::calls::CallSite;
use super::holding::{Held, Owner};
use super::kind::{FuncId, ModuleId};
use super::locks::{LockId, LockSet};
use super::places::PlaceRoot;
use super::program::Program;
use crate::facts::{Arm, CallIx, CtxIx, CtxKind, EventIx, EventKind, TermId};
use crate::source::Span;
use crate::sym;

/// How many calls may lie between a held lock and the next acquisition.
const MAX_CALLS: u8 = 8;

/// A lock that a function may take before it returns.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Which.
    pub lock: LockId,
    /// Whose, for the function.
    pub owner: Owner,
    /// Whether a parameter of some function on the way decides.
    pub conditional: bool,
    /// How.
    pub via: Via,
    /// How many calls away.
    pub calls: u8,
}

/// How a function takes a lock.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// Itself.
    Here(Acquisition),
    /// By a call; the index is into what the callee takes.
    Call(CallSite, FuncId, u32),
}

impl Via {
    fn ctx(self) -> CtxIx {
        match self {
            Self::Here(acquisition) => acquisition.ctx,
            Self::Call(site, ..) => site.ctx,
        }
    }
}

/// A lock taken while another is held.
#[derive(Clone, Debug)]
pub struct Nested {
    /// The function that holds the outer lock.
    pub function: FuncId,
    /// The outer lock.
    pub held: Held,
    /// The inner lock, and whose it is for the function.
    pub taken: Taken,
    /// The acquisition, or the call that leads to it.
    pub span: Span,
    /// All locks proven held there, by callers too.
    pub all_held: LockSet,
}

/// The nesting of all locks of a program.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    acquisitions: Vec<Acquisition>,
    taken: FxHashMap<FuncId, Vec<Taken>>,
    nested: Vec<Vec<Nested>>,
    cycles: Vec<super::cycles::LockCycle>,
}

/// Follows every acquisition up the call graph, and looks at what is held on the way.
fn compute(program: &Program) -> Nesting {
    let found: Vec<Vec<Acquisition>> = program.each_module(|module| acquisitions(program, module));
    let all: Vec<Acquisition> = found.into_iter().flatten().collect();
    let mut nesting = Nesting {
        acquisitions: Vec::new(),
        taken: FxHashMap::default(),
        nested: vec![Vec::new(); program.modules.len()],
        cycles: Vec::new(),
    };
    let mut pending = VecDeque::new();
    for acquisition in &all {
        let conditional = program.depends_on_parameter(acquisition.function, acquisition.ctx);
        let taken = Taken {
            lock: acquisition.lock,
            owner: acquisition.owner,
            conditional,
            via: Via::Here(*acquisition),
            calls: 0,
        };
        nesting.add(acquisition.function, taken, &mut pending);
        let held = program.held_before(acquisition);
        let (module, _) = program.func_local(acquisition.function);
        nesting.note(
            program,
            acquisition.function,
            (held, acquisition.event, acquisition.ctx),
            taken,
            program.span(module, acquisition.span.range),
        );
    }
    nesting.follow(program, pending);
    for nested in &mut nesting.nested {
        nested.sort_by_key(|one| (one.span.order(), one.held.lock, one.taken.lock, one.taken.owner));
    }
    nesting.acquisitions = all;
    nesting.cycles = super::cycles::find(program, &nesting.nested);
    nesting
}

/// What a caller takes by one call of a function that takes a lock.
fn at_call_site(program: &Program, function: FuncId, taken: Taken, index: u32, site: &CallSite) -> Option<Taken> {
    if taken.calls >= MAX_CALLS
        || !program.runs_body(function, site)
        || !program.can_reach(function, taken.via.ctx(), site)
        || is_known_free(program, taken.lock, site)
    {
        return None;
    }
    if let PlaceRoot::Cell(module, var) = program.lock(taken.lock).place.root {
        // A variable is the same one only inside the function that has it.
        let crate::facts::ScopeKind::Function(owner) = program.module(module).facts.var_scope(var) else { return None };
        let owner = program.func_id(module, owner);
        let mut at = Some(site.caller);
        while at != Some(owner) {
            let inner = at?;
            let (module, _) = program.func_local(inner);
            at = program.function(inner).parent.map(|parent| program.func_id(module, parent));
        }
    }
    let owner = taken.owner.seen_by_caller(site.receiver)?;
    let conditional = taken.conditional || program.depends_on_parameter(site.caller, site.ctx);
    Some(Taken { lock: taken.lock, owner, conditional, via: Via::Call(*site, function, index), calls: taken.calls + 1 })
}

/// Whether a call is only made where an attempt to take a lock has succeeded: this thread did not hold it before.
fn is_known_free(program: &Program, lock: LockId, site: &CallSite) -> bool {
    let (module, function) = program.func_local(site.caller);
    let facts = &program.module(module).facts;
    let branches = facts.ctx_chain(site.ctx).filter_map(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, arm) => Some((test, arm)),
        _ => None,
    });
    let branches: Vec<(TermId, Arm)> = branches.collect();
    let is_attempt = |call: CallIx| {
        facts.callee_name(call) == Some(sym!("acquire"))
            && program.may_fail(module, call)
            && program.lock_of(module, function, facts.receiver_of(call)) == Some(lock)
    };
    !branches.is_empty()
        && facts.events_of(function).iter().any(|event| match event.kind {
            EventKind::Call(call) => {
                is_attempt(call) && branches.iter().any(|&(test, arm)| program.proves_acquired(module, test, arm, call))
            }
            _ => false,
        })
}

impl Nesting {
    /// Follows what is taken up the call graph, as far as there are callers.
    fn follow(&mut self, program: &Program, mut pending: VecDeque<(FuncId, u32)>) {
        let through_mixins = super::mixins::calls(program);
        let mut held_at: FxHashMap<(FuncId, EventIx, CtxIx), Vec<Held>> = FxHashMap::default();
        while let Some((function, index)) = pending.pop_front() {
            let taken = self.taken[&function][index as usize];
            let mixed = through_mixins.get(&function).map_or(&[][..], Vec::as_slice);
            for site in program.callers(function).iter().chain(mixed) {
                let Some(seen) = at_call_site(program, function, taken, index, site) else { continue };
                self.add(site.caller, seen, &mut pending);
                let key = (site.caller, site.event, site.ctx);
                let held = held_at
                    .entry(key)
                    .or_insert_with(|| program.holding(site.caller, Some(site.event), site.ctx))
                    .clone();
                let (module, _) = program.func_local(site.caller);
                self.note(
                    program,
                    site.caller,
                    (held, Some(site.event), site.ctx),
                    seen,
                    program.span(module, site.range),
                );
            }
        }
    }

    fn add(&mut self, function: FuncId, taken: Taken, pending: &mut VecDeque<(FuncId, u32)>) {
        let known = self.taken.entry(function).or_default();
        let seen = known.iter().any(|seen| {
            seen.lock == taken.lock && seen.owner == taken.owner && (!seen.conditional || taken.conditional)
        });
        if !seen {
            pending.push_back((function, known.len() as u32));
            known.push(taken);
        }
    }

    fn note(
        &mut self,
        program: &Program,
        function: FuncId,
        at: (Vec<Held>, Option<EventIx>, CtxIx),
        taken: Taken,
        span: Span,
    ) {
        let (held, event, ctx) = at;
        let (module, _) = program.func_local(function);
        if held.is_empty() || program.asks_for_holder(module, ctx) {
            return;
        }
        let all_held = match event {
            Some(event) => {
                let mut all = program.held_locally(module, event, ctx);
                all.add_all(program.held_on_entry(function));
                all
            }
            None => LockSet::default(),
        };
        for held in held {
            let known = self.nested[module.index()].iter().any(|one| {
                one.span == span
                    && one.held.lock == held.lock
                    && one.taken.lock == taken.lock
                    && one.taken.owner == taken.owner
            });
            if !known {
                self.nested[module.index()].push(Nested { function, held, taken, span, all_held: all_held.clone() });
            }
        }
    }
}

impl Program {
    /// The nesting of the program's locks, computed by the first rule that asks.
    fn nesting(&self) -> &Nesting {
        self.nesting.get_or_init(|| compute(self))
    }

    /// The acquisitions under another lock whose outer part is in a module, in reading order.
    pub fn nested_locks(&self, module: ModuleId) -> &[Nested] {
        &self.nesting().nested[module.index()]
    }

    /// Every place where a lock is taken, in reading order.
    pub fn acquisitions(&self) -> impl Iterator<Item = &Acquisition> {
        self.nesting().acquisitions.iter()
    }

    /// The cycles in which locks are taken, in reading order.
    pub fn lock_cycles(&self) -> &[super::cycles::LockCycle] {
        &self.nesting().cycles
    }

    /// The locks a function may take, itself or by calls.
    pub fn taken_by(&self, function: FuncId) -> &[Taken] {
        self.nesting().taken.get(&function).map_or(&[], Vec::as_slice)
    }

    /// The way from a function to the acquisition: each call, then the acquisition itself.
    pub fn way_to(&self, taken: &Taken) -> (Vec<(Span, FuncId)>, Acquisition) {
        let mut calls = Vec::new();
        let mut at = *taken;
        loop {
            match at.via {
                Via::Here(acquisition) => return (calls, acquisition),
                Via::Call(site, callee, index) => {
                    let (module, _) = self.func_local(site.caller);
                    calls.push((self.span(module, site.range), callee));
                    at = self.taken_by(callee)[index as usize];
                }
            }
        }
    }
}
