//! Where a function holds a lock, and *whose* lock it is.
//!
//! A [`LockId`] names an attribute of a class; whether two functions mean the same object's lock is said by the
//! [`Owner`], relative to the function that takes it.
//!
//! *Invariant:* an owner is named only where it is known; from two [`Owner::Unknown`] nothing follows.

use super::acquisitions::Acquisition;
use super::calls::{CallSite, Callee, Receiver};
use super::kind::{FuncId, Kind, ModuleId};
use super::locks::LockId;
use super::places::{Place, PlaceRoot};
use super::program::Program;
use crate::facts::{Const, CtxIx, CtxKind, EventIx, EventKind, FuncIx, Qual, ScopeKind, Term, TermId, WithKind};
use crate::model::Role;
use crate::source::Span;
use crate::{qual, sym};

/// Whose lock it is, as seen from the function that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The function's own `self`.
    Own,
    /// An object reached through `self` or a global.
    Part,
    /// There is only one: a global or a class attribute.
    Everybody,
    /// A variable of the function or one around it.
    Closure,
    /// Nobody knows whose.
    Unknown,
}

/// A lock held at some step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub lock: LockId,
    /// Whose.
    pub owner: Owner,
    /// The expression that denotes the lock; opaque if a helper took it.
    pub term: TermId,
    /// Where it was taken.
    pub span: Span,
}

impl Owner {
    /// Whose lock it is for the caller, if it takes part in anything there: a new object's lock is free.
    pub(super) fn seen_by_caller(self, receiver: Receiver) -> Option<Self> {
        match (self, receiver) {
            (Self::Own | Self::Part, Receiver::Fresh) => None,
            (Self::Own, Receiver::Own) => Some(Self::Own),
            (Self::Own | Self::Part, Receiver::Own | Receiver::OfOwn | Receiver::Global) => Some(Self::Part),
            (Self::Own | Self::Part, Receiver::Unknown) => Some(Self::Unknown),
            (Self::Everybody | Self::Closure | Self::Unknown, _) => Some(self),
        }
    }
}

impl Program {
    /// The lock a term denotes, looked up through a local name for it, and whose it is.
    pub fn lock_and_owner(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<(LockId, Owner)> {
        self.lock_and_owner_within(module, function, term, 0)
    }

    fn lock_and_owner_within(
        &self,
        module: ModuleId,
        function: FuncIx,
        term: TermId,
        depth: usize,
    ) -> Option<(LockId, Owner)> {
        const MAX_DEPTH: usize = 3;
        let lock = self.lock_of(module, function, term)?;
        let place = self.lock(lock).place;
        let facts = &self.module(module).facts;
        if let PlaceRoot::Cell(cell_module, var) = place.root {
            let cell_facts = &self.module(cell_module).facts;
            let values = &cell_facts.vars[var.index()].values[..];
            if depth < MAX_DEPTH
                && let ScopeKind::Function(of) = cell_facts.var_scope(var)
                && let [value] = values
                && matches!(cell_facts.terms.get(*value), Term::Name(_) | Term::Attr(..))
                && let Some(found) = self.lock_and_owner_within(cell_module, of, *value, depth + 1)
            {
                return Some(found);
            }
            let one = values.iter().all(|&value| {
                matches!(cell_facts.terms.get(value), Term::Call(_) | Term::Param(..) | Term::Const(Const::None))
            });
            let named = matches!(facts.terms.get(term), Term::Name(_));
            return Some((lock, if one && named { Owner::Closure } else { Owner::Unknown }));
        }
        if !self.is_lock_itself(place) {
            return Some((lock, Owner::Unknown));
        }
        Some((lock, self.owner_of(module, function, term, place)))
    }

    /// Whether a place holds one lock, not a table of them or an object with one inside.
    fn is_lock_itself(&self, place: Place) -> bool {
        place.path == Qual::ROOT && matches!(self.place_kind(place).role(), Some(Role::Lock(_)))
    }

    fn owner_of(&self, module: ModuleId, function: FuncIx, term: TermId, place: Place) -> Owner {
        let facts = &self.module(module).facts;
        match place.root {
            PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..) => Owner::Everybody,
            PlaceRoot::Cell(..) => Owner::Closure,
            PlaceRoot::Attr(..) => {
                let receiver = match facts.terms.get(term) {
                    // `with self._lock_of(…):` a method that returns it.
                    Term::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
                        Term::Attr(base, _) => self.receiver(module, function, base),
                        _ => Receiver::Unknown,
                    },
                    _ => self.place(module, function, term).map_or(Receiver::Unknown, |(_, receiver)| receiver),
                };
                match receiver {
                    Receiver::Own => Owner::Own,
                    Receiver::OfOwn | Receiver::Global => Owner::Part,
                    Receiver::Fresh | Receiver::Unknown => Owner::Unknown,
                }
            }
        }
    }

    /// The locks a function itself holds when it comes to an acquisition, outermost first.
    pub(super) fn held_before(&self, acquisition: &Acquisition) -> Vec<Held> {
        if !acquisition.is_decorators() {
            return self.holding(acquisition.function, acquisition.event, acquisition.ctx);
        }
        // A decorator's wrapper runs before the body, inside of the wrappers that stand above it.
        let all = self.held_by_decorators(acquisition.function);
        all.take_while(|held| held.lock != acquisition.lock).collect()
    }

    /// The locks that the wrappers of a function's decorators hold around it, outermost first.
    fn held_by_decorators(&self, function: FuncId) -> impl Iterator<Item = Held> {
        let span = self.function_span(function);
        let locks = self.locks_of_decorators(function).into_iter();
        locks.map(move |lock| Held { lock, owner: self.owner_in_decorator(lock), term: TermId::OPAQUE, span })
    }

    /// The locks a function itself holds at a step, outermost first.
    pub fn holding(&self, function: FuncId, event: Option<EventIx>, ctx: CtxIx) -> Vec<Held> {
        let (module, local) = self.func_local(function);
        let facts = &self.module(module).facts;
        let mut held = Vec::new();
        for (at, with) in facts.ctx_chain(ctx) {
            let CtxKind::With(term, WithKind::Plain) = with.kind else { continue };
            let span = self.span(module, with.range);
            if let Some((lock, owner)) = self.lock_and_owner(module, local, term) {
                if !self.given_away(module, local, lock, at, event) {
                    held.push(Held { lock, owner, term, span });
                }
                continue;
            }
            let receiver = match facts.terms.get(term) {
                Term::Call(call) => match self.callee(module, call) {
                    Callee::Function(_, receiver) => receiver,
                    _ => Receiver::Unknown,
                },
                _ => Receiver::Unknown,
            };
            for lock in self.locks_entered(module, local, term, 0) {
                let owner = match self.lock(lock).place.root {
                    PlaceRoot::Attr(..) => Owner::Own.seen_by_caller(receiver).unwrap_or(Owner::Unknown),
                    PlaceRoot::Cell(..) => Owner::Unknown,
                    PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..) => Owner::Everybody,
                };
                held.push(Held { lock, owner, term: TermId::OPAQUE, span });
            }
        }
        held.reverse();
        let mut held: Vec<Held> = self.held_by_decorators(function).chain(held).collect();
        if let Some(event) = event {
            held.extend(self.held_by_steps(module, local, event));
        }
        held
    }

    /// Whose lock a decorator takes, for the function it decorates.
    pub(super) fn owner_in_decorator(&self, lock: LockId) -> Owner {
        match self.lock(lock).place.root {
            PlaceRoot::Attr(..) => Owner::Own,
            PlaceRoot::Cell(..) => Owner::Closure,
            PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..) => Owner::Everybody,
        }
    }

    /// What `acquire` calls of the function have taken before a step. A lock that the function never releases itself is
    /// somebody else's to release: a signal, not a critical section.
    fn held_by_steps(&self, module: ModuleId, function: FuncIx, event: EventIx) -> Vec<Held> {
        let facts = &self.module(module).facts;
        let taken = self.held_locally(module, event, facts.functions[function.index()].body);
        let first = facts.functions[function.index()].events.start;
        let before = &facts.events[first as usize..event.index()];
        taken
            .iter()
            .filter(|&lock| self.lets_go(module, function, lock))
            .map(|lock| {
                let calls = before.iter().rev().filter_map(|event| match event.kind {
                    EventKind::Call(call) => Some((call, event.range)),
                    _ => None,
                });
                let direct = calls.clone().find_map(|(call, range)| {
                    let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
                    let term = if name == sym!("enter_context") { facts.positional(call, 0)?.value } else { base };
                    let takes = [sym!("acquire"), sym!("__enter__"), sym!("enter_context")].contains(&name);
                    let found = if takes { self.lock_of(module, function, term) } else { None };
                    (found == Some(lock)).then_some((term, range))
                });
                if let Some((term, range)) = direct {
                    let (lock, owner) = self.lock_and_owner(module, function, term).unwrap_or((lock, Owner::Unknown));
                    return Held { lock, owner, term, span: self.span(module, range) };
                }
                let range =
                    calls.map(|(_, range)| range).next().unwrap_or(facts.functions[function.index()].name_range);
                Held { lock, owner: Owner::Unknown, term: TermId::OPAQUE, span: self.span(module, range) }
            })
            .collect()
    }

    /// Whether a function that takes a lock by hand is the one to release it.
    fn lets_go(&self, module: ModuleId, function: FuncIx, lock: LockId) -> bool {
        let facts = &self.module(module).facts;
        let mut by_hand = false;
        for event in facts.events_of(function) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(name) = facts.callee_name(call) else { continue };
            let is_this = || self.lock_of(module, function, facts.receiver_of(call)) == Some(lock);
            if name == sym!("release") && is_this() {
                return true;
            }
            by_hand |= name == sym!("acquire") && is_this();
        }
        !by_hand
    }

    /// Whether a lock that a `with` took is released by hand inside the block before a step.
    fn given_away(
        &self,
        module: ModuleId,
        function: FuncIx,
        lock: LockId,
        with: CtxIx,
        event: Option<EventIx>,
    ) -> bool {
        let Some(event) = event else { return false };
        let facts = &self.module(module).facts;
        let first = facts.functions[function.index()].events.start;
        facts.events[first as usize..event.index()].iter().any(|step| {
            let EventKind::Call(call) = step.kind else { return false };
            let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
            name == sym!("release")
                && facts.ctx_within(step.ctx, with)
                && self.lock_and_owner(module, function, base).is_some_and(|(released, _)| released == lock)
        })
    }

    /// Whether a call site runs the body of a function then and there.
    pub(super) fn runs_body(&self, function: FuncId, site: &CallSite) -> bool {
        let flags = self.function(function).flags;
        if !flags.is_generator && !flags.is_async {
            return true;
        }
        let (module, _) = self.func_local(site.caller);
        let facts = &self.module(module).facts;
        let EventKind::Call(call) = facts.events[site.event.index()].kind else { return false };
        let usage = facts.calls[call.index()].usage;
        if flags.is_generator {
            return usage == crate::facts::Usage::Entered;
        }
        usage == crate::facts::Usage::Awaited
    }

    /// Whether a lock is certainly a plain, not reentrant one: every assignment to it says so.
    pub fn is_surely_plain(&self, lock: LockId) -> bool {
        let place = self.lock(lock).place;
        let values = self.stored_values(place);
        let plain = |module: ModuleId, value: TermId| match self.kind(module, value) {
            Kind::Object(class) if class == qual!("threading.Lock") || class == qual!("multiprocessing.Lock") => true,
            Kind::Object(class)
                if class == qual!("threading.Semaphore") || class == qual!("threading.BoundedSemaphore") =>
            {
                self.is_single(module, value)
            }
            Kind::None => true,
            _ => false,
        };
        let certain = |module: ModuleId, value: TermId| {
            matches!(self.module(module).facts.terms.get(value), Term::Call(_) | Term::Const(_)) && plain(module, value)
        };
        !values.is_empty() && values.iter().all(|&(module, value, _)| certain(module, value))
    }

    /// A semaphore of one.
    fn is_single(&self, module: ModuleId, value: TermId) -> bool {
        let facts = &self.module(module).facts;
        let Term::Call(call) = facts.terms.get(value) else { return false };
        facts.arg(call, 0, sym!("value")).is_none_or(|arg| facts.terms.get(arg.value) == Term::Const(Const::Int(1)))
    }
}
