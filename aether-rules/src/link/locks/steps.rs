//! What calls do to locks: `acquire`, `release`, `enter_context`, and helpers that make such calls.
//!
//! *Invariant:* a lock counts as taken only where the call that takes it is known to have succeeded.

use rustc_hash::FxHashMap;

use super::{LockId, LockSet, Step};
use crate::facts::{
    ArgumentName, Arm, CallIx, Const, CtxIx, CtxKind, EventIx, EventKind, FuncIx, ModuleFacts, Sym, Term, TermId, Usage,
};
use crate::link::calls::Callee;
use crate::link::kind::{FuncId, Kind, ModuleId};
use crate::link::program::Program;
use crate::model::LockKind;
use crate::sym;

/// What `acquire` and `release` calls, and `ExitStack.enter_context`, leave held at each event.
pub(super) fn acquired(program: &Program, module: ModuleId) -> FxHashMap<EventIx, LockSet> {
    let facts = &program.modules[module.index()].facts;
    let mut result = FxHashMap::default();
    for index in 0..facts.functions.len() {
        let function = FuncIx::at(index);
        let first = facts.functions[index].events.start;
        let mut steps: Vec<(usize, Step)> = Vec::new();
        let events = facts.events_of(function);
        for (position, event) in events.iter().enumerate() {
            if let EventKind::Call(call) = event.kind {
                steps.extend(program.steps(module, function, call).into_iter().map(|step| (position, step)));
            }
        }
        if steps.is_empty() {
            continue;
        }
        for (position, event) in events.iter().enumerate() {
            let mut held = LockSet::default();
            for &(at, step) in &steps {
                let Step::Acquire(lock, scope) = step else { continue };
                if at < position
                    && facts.ctx_within(event.ctx, scope)
                    && !given_back(facts, &steps, lock, at, position, event.ctx)
                {
                    held.add(lock);
                }
            }
            if !held.is_empty() {
                result.insert(EventIx(first + position as u32), held);
            }
        }
    }
    result
}

/// By event: the locks that the function gives back later without having taken them. Somebody handed them over held:
/// the sibling method that acquired one, or the thread that waits for it.
pub(super) fn handed_over(program: &Program, module: ModuleId) -> FxHashMap<EventIx, LockSet> {
    let facts = &program.modules[module.index()].facts;
    let mut result: FxHashMap<EventIx, LockSet> = FxHashMap::default();
    for index in 0..facts.functions.len() {
        let function = FuncIx::at(index);
        if !program.locks.steps_itself[program.func_id(module, function).index()] {
            continue;
        }
        let first = facts.functions[index].events.start;
        let mut taken: Vec<LockId> = Vec::new();
        for (position, event) in facts.events_of(function).iter().enumerate() {
            let EventKind::Call(call) = event.kind else { continue };
            match program.step(module, function, call) {
                Some(Step::Acquire(lock, _)) => taken.push(lock),
                // A semaphore lets several in, and counts what others have taken.
                Some(Step::Release(lock, ctx))
                    if !taken.contains(&lock)
                        && is_certain(facts, ctx)
                        && program.lock(lock).kind != LockKind::Semaphore =>
                {
                    for at in first..first + position as u32 {
                        result.entry(EventIx(at)).or_default().add(lock);
                    }
                }
                _ => {}
            }
        }
    }
    result
}

/// Whether a step is taken whenever the function gets to its end.
fn is_certain(facts: &ModuleFacts, ctx: CtxIx) -> bool {
    let mut chain = facts.ctx_chain(ctx);
    chain.all(|(_, ctx)| matches!(ctx.kind, CtxKind::Body(_) | CtxKind::Try | CtxKind::Finally))
}

/// Whether a release between two events covers the later one: it stands on the way, not in a branch of its own.
pub(super) fn given_back(
    facts: &ModuleFacts,
    steps: &[(usize, Step)],
    lock: LockId,
    from: usize,
    to: usize,
    ctx: CtxIx,
) -> bool {
    steps.iter().any(|&(at, step)| match step {
        Step::Release(released, scope) if released == lock && at > from && at < to => {
            let scope = match facts.ctxs[scope.index()].kind {
                CtxKind::Finally | CtxKind::Try => facts.ctxs[scope.index()].parent,
                _ => scope,
            };
            facts.ctx_within(ctx, scope)
        }
        _ => false,
    })
}

impl Program {
    /// The locks that `with term` holds inside its block.
    pub(in crate::link) fn locks_entered(
        &self,
        module: ModuleId,
        function: FuncIx,
        term: TermId,
        depth: usize,
    ) -> Vec<LockId> {
        const MAX_DEPTH: usize = 3;
        if let Some(lock) = self.lock_of(module, function, term) {
            return vec![lock];
        }
        if depth > MAX_DEPTH {
            return Vec::new();
        }
        let facts = &self.modules[module.index()].facts;
        if let Term::Call(call) = facts.terms.get(term)
            && let Callee::Function(callee, _) = self.callee(module, call)
            && self.function(callee).flags.is_generator
        {
            // `@contextmanager`: what is held where it yields.
            return self.held_at(callee, depth, |kind| matches!(kind, EventKind::Yield(_)));
        }
        if let Kind::Instance(class) = self.kind(module, term)
            && let Kind::Method(enter) = self.member(Kind::Instance(class), sym!("__enter__"))
        {
            return self.left_held(enter, depth);
        }
        Vec::new()
    }

    /// The locks held at the first event of a kind in another function.
    fn held_at(&self, function: FuncId, depth: usize, wanted: impl Fn(EventKind) -> bool) -> Vec<LockId> {
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let events = facts.events_of(local);
        let Some(at) = events.iter().position(|event| wanted(event.kind)) else { return Vec::new() };
        let mut found = Vec::new();
        for (_, ctx) in facts.ctx_chain(events[at].ctx) {
            if let CtxKind::With(term, _) = ctx.kind {
                found.extend(self.locks_entered(module, local, term, depth + 1));
            }
        }
        let steps = events[..at].iter().filter_map(|event| match event.kind {
            EventKind::Call(call) => self.step(module, local, call),
            _ => None,
        });
        for step in steps {
            match step {
                Step::Acquire(lock, _) => found.push(lock),
                Step::Release(lock, _) => found.retain(|&held| held != lock),
            }
        }
        found
    }

    /// The locks a function has taken and not given back when it ends.
    pub(in crate::link) fn left_held(&self, function: FuncId, depth: usize) -> Vec<LockId> {
        const MAX_DEPTH: usize = 3;
        if depth > MAX_DEPTH || !self.locks.steps_itself[function.index()] {
            return Vec::new();
        }
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let mut found = Vec::new();
        for event in facts.events_of(local) {
            let EventKind::Call(call) = event.kind else { continue };
            match self.step(module, local, call) {
                Some(Step::Acquire(lock, _)) => found.push(lock),
                Some(Step::Release(lock, _)) => found.retain(|&held| held != lock),
                None => {
                    // `self._lock.__enter__()` spelt out, or a helper that acquires.
                    if let Callee::Function(callee, _) = self.callee(module, call)
                        && callee != function
                    {
                        found.extend(self.left_held(callee, depth + 1));
                    }
                }
            }
        }
        found
    }

    /// The locks a function has given back without having taken them.
    pub fn given_up(&self, function: FuncId) -> Vec<LockId> {
        if !self.locks.steps_itself[function.index()] {
            return Vec::new();
        }
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let mut taken = Vec::new();
        let mut given = Vec::new();
        for event in facts.events_of(local) {
            let EventKind::Call(call) = event.kind else { continue };
            match self.step(module, local, call) {
                Some(Step::Acquire(lock, _)) => taken.push(lock),
                Some(Step::Release(lock, _)) if !taken.contains(&lock) => given.push(lock),
                _ => {}
            }
        }
        given
    }

    /// What one call does to locks, through helpers too.
    fn steps(&self, module: ModuleId, function: FuncIx, call: CallIx) -> Vec<Step> {
        match self.step(module, function, call) {
            // Its result may be tested more than once.
            Some(Step::Acquire(lock, scope)) => {
                let scopes = self.scopes_of_acquire(module, call, scope);
                return scopes.into_iter().map(|scope| Step::Acquire(lock, scope)).collect();
            }
            Some(step) => return vec![step],
            None => {}
        }
        let Callee::Function(callee, _) = self.callee(module, call) else { return Vec::new() };
        let ctx = self.modules[module.index()].facts.calls[call.index()].ctx;
        let taken = self.left_held(callee, 1).into_iter().map(|lock| Step::Acquire(lock, ctx));
        let given = self.given_up(callee).into_iter().map(|lock| Step::Release(lock, ctx));
        taken.chain(given).collect()
    }

    fn step(&self, module: ModuleId, function: FuncIx, call: CallIx) -> Option<Step> {
        const ACQUIRE: Sym = sym!("acquire");
        const ENTER: Sym = sym!("__enter__");
        const RELEASE: Sym = sym!("release");
        const EXIT: Sym = sym!("__exit__");
        const ENTER_CONTEXT: Sym = sym!("enter_context");
        let facts = &self.modules[module.index()].facts;
        let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
        let ctx = facts.calls[call.index()].ctx;
        match name {
            ACQUIRE | ENTER => {
                let lock = self.lock_of(module, function, base)?;
                let scope = self.scopes_of_acquire(module, call, ctx).first().copied()?;
                Some(Step::Acquire(lock, scope))
            }
            RELEASE | EXIT => Some(Step::Release(self.lock_of(module, function, base)?, ctx)),
            ENTER_CONTEXT => {
                let lock = self.lock_of(module, function, facts.positional(call, 0)?.value)?;
                // Held until the stack unwinds: the block of the `with` that entered it, if it is one.
                Some(Step::Acquire(lock, ctx))
            }
            _ => None,
        }
    }

    /// Where the lock is held after an `acquire`: from there on, or only where its result was tested.
    fn scopes_of_acquire(&self, module: ModuleId, call: CallIx, ctx: CtxIx) -> Vec<CtxIx> {
        let facts = &self.modules[module.index()].facts;
        let is_call = facts.callee_name(call).is_some_and(|name| name == sym!("acquire") || name == sym!("__enter__"));
        if !is_call || facts.calls[call.index()].usage == Usage::Discarded || !self.may_fail(module, call) {
            return vec![ctx];
        }
        let from = facts.calls[call.index()].ctx;
        let contexts = facts.ctxs.iter().enumerate().skip(from.index());
        let arms = contexts.filter(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => self.proves_acquired(module, test, arm, call),
            _ => false,
        });
        arms.map(|(at, _)| CtxIx::at(at)).collect()
    }

    /// Whether a test that went this way proves that an `acquire` succeeded.
    pub fn proves_acquired(&self, module: ModuleId, test: TermId, arm: Arm, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        match (facts.terms.get(test), arm) {
            (Term::Call(tested), Arm::Then) => tested == call,
            (Term::Name(_), Arm::Then) => self.holds_result(module, test, call),
            (Term::Not(inner), Arm::Then) => self.proves_acquired(module, inner, Arm::Else, call),
            (Term::Not(inner), Arm::Else) => self.proves_acquired(module, inner, Arm::Then, call),
            (Term::And(a, b), Arm::Then) | (Term::Or(a, b), Arm::Else) => {
                self.proves_acquired(module, a, arm, call) || self.proves_acquired(module, b, arm, call)
            }
            _ => false,
        }
    }

    fn holds_result(&self, module: ModuleId, name: TermId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Some(var) = facts.var_of(name) else { return false };
        facts.vars[var.index()].values.iter().any(|&value| facts.terms.get(value) == Term::Call(call))
    }

    /// Whether an `acquire` may return without the lock: non-blocking, or with a timeout.
    pub fn may_fail(&self, module: ModuleId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        facts.args_of(call).iter().enumerate().any(|(position, arg)| match (arg.name, facts.terms.get(arg.value)) {
            (ArgumentName::Starred | ArgumentName::DoubleStarred, _) => true,
            // No limit: `None` for a semaphore, -1 for a lock.
            (_, Term::Const(Const::True | Const::None)) => false,
            (_, Term::Operation(one, TermId::OPAQUE)) if facts.terms.get(one) == Term::Const(Const::Int(1)) => false,
            (ArgumentName::Positional, Term::Const(Const::Int(flag))) if position == 0 => flag == 0,
            _ => true,
        })
    }
}
