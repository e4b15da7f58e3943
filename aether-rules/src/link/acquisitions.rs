//! Where a function takes a lock and waits for it.
//!
//! *Invariant:* an [`Acquisition`] waits for as long as it takes; attempts and timeouts are none.

use ruff_text_size::TextRange;
use rustc_hash::FxHashMap;

use super::holding::Owner;
use super::kind::{FuncId, ModuleId};
use super::locks::LockId;
use super::program::Program;
use crate::facts::{CallIx, CtxIx, CtxKind, EventIx, EventKind, FuncIx, ModuleFacts, Term, TermId, WithKind};
use crate::source::Span;
use crate::sym;

/// A place where a function takes a lock and waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquisition {
    /// Who takes it.
    pub function: FuncId,
    /// What is taken.
    pub lock: LockId,
    /// Whose it is.
    pub owner: Owner,
    /// The expression that denotes the lock; opaque for a decorator.
    pub term: TermId,
    /// Under which conditions.
    pub ctx: CtxIx,
    /// A step at which what was held before is still held.
    pub event: Option<EventIx>,
    /// Where.
    pub span: Span,
}

impl Acquisition {
    /// Whether a decorator takes the lock around the function, rather than the function itself.
    pub(super) fn is_decorators(&self) -> bool {
        self.term == TermId::OPAQUE && self.event.is_none()
    }
}

/// Every acquisition of one module, in reading order.
pub(super) fn acquisitions(program: &Program, module: ModuleId) -> Vec<Acquisition> {
    let mut found = by_with(program, module);
    let functions = &program.module(module).facts.functions;
    for (index, declaration) in functions.iter().enumerate() {
        let function = FuncIx::at(index);
        by_calls(program, module, function, &mut found);
        if !declaration.decorators.is_empty() {
            by_decorators(program, module, function, &mut found);
        }
    }
    found.sort_by_key(|acquisition| acquisition.span.order());
    found
}

fn by_with(program: &Program, module: ModuleId) -> Vec<Acquisition> {
    let facts = &program.module(module).facts;
    let mut found = Vec::new();
    let mut first_events = None;
    for (index, ctx) in facts.ctxs.iter().enumerate() {
        let CtxKind::With(term, WithKind::Plain) = ctx.kind else { continue };
        let at = CtxIx::at(index);
        let function = facts.function_of_ctx(at);
        let Some(taken) = at_term(program, module, function, (term, ctx.parent, ctx.range)) else { continue };
        let event = first_events.get_or_insert_with(|| first_events_in(facts)).get(&at).copied();
        found.push(Acquisition { event, ..taken });
    }
    found
}

fn by_calls(program: &Program, module: ModuleId, function: FuncIx, found: &mut Vec<Acquisition>) {
    let facts = &program.module(module).facts;
    let first = facts.functions[function.index()].events.start;
    for (position, event) in facts.events_of(function).iter().enumerate() {
        let EventKind::Call(call) = event.kind else { continue };
        let Some(term) = program.acquired_by(module, call) else { continue };
        let Some(taken) = at_term(program, module, function, (term, event.ctx, event.range)) else { continue };
        found.push(Acquisition { event: Some(EventIx(first + position as u32)), ..taken });
    }
}

/// A lock taken by its term, under these conditions and in this place; which step that is, is for the caller to say.
fn at_term(
    program: &Program,
    module: ModuleId,
    function: FuncIx,
    (term, ctx, range): (TermId, CtxIx, TextRange),
) -> Option<Acquisition> {
    let (lock, owner) = program.lock_and_owner(module, function, term)?;
    let (function, span) = (program.func_id(module, function), program.span(module, range));
    Some(Acquisition { function, lock, owner, term, ctx, event: None, span })
}

fn by_decorators(program: &Program, module: ModuleId, function: FuncIx, found: &mut Vec<Acquisition>) {
    let id = program.func_id(module, function);
    found.extend(program.locks_of_decorators(id).into_iter().map(|lock| Acquisition {
        function: id,
        lock,
        owner: program.owner_in_decorator(lock),
        term: TermId::OPAQUE,
        ctx: program.function(id).body,
        event: None,
        span: program.function_span(id),
    }));
}

/// The first step inside each `with`.
fn first_events_in(facts: &ModuleFacts) -> FxHashMap<CtxIx, EventIx> {
    let mut first = FxHashMap::default();
    for (index, event) in facts.events.iter().enumerate() {
        for (at, ctx) in facts.ctx_chain(event.ctx) {
            if matches!(ctx.kind, CtxKind::With(..)) {
                if first.contains_key(&at) {
                    break;
                }
                first.insert(at, EventIx::at(index));
            }
        }
    }
    first
}

impl Program {
    /// The lock that a call takes and waits for: `lock.acquire()`, `stack.enter_context(lock)`.
    fn acquired_by(&self, module: ModuleId, call: CallIx) -> Option<TermId> {
        let facts = &self.module(module).facts;
        let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
        if name == sym!("acquire") || name == sym!("__enter__") {
            return (!self.may_fail(module, call)).then_some(base);
        }
        (name == sym!("enter_context")).then(|| facts.positional(call, 0).map(|arg| arg.value)).flatten()
    }
}
