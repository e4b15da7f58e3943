//! Happens-before, as far as one function shows it: what precedes `start()`, what follows `join()`.
//!
//! *Invariant:* "ordered" is claimed only for a root and the function that starts it, or for roots whose threads have
//! all ended when their starter returns.

use super::access::Access;
use super::calls::Receiver;
use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::program::Program;
use super::roots::{Root, RootId};
use super::sharing::ThreadOf;
use crate::facts::{Arm, CallIx, Const, CtxKind, EventIx, EventKind, FuncIx, Term, TermId, Usage};
use crate::model::{Role, RunsOn};
use crate::{qual, sym};

/// When a thread runs, by events of the function that starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The function that starts it.
    pub by: FuncId,
    /// The first event it may overlap.
    pub from: EventIx,
    /// The event that waits for it, if the starter does wait.
    pub until: Option<EventIx>,
}

impl Program {
    /// When the thread of a root may run, if the starter is known.
    pub fn lifetime(&self, root: RootId) -> Option<Lifetime> {
        let root = self.root(root);
        let started = root.started?;
        let (module, by) = self.func_local(started.by);
        let facts = &self.modules[module.index()].facts;
        let events = facts.events_of(by);
        let first = facts.functions[by.index()].events.start;
        let after_creation = (started.event.0 - first) as usize;
        let start = match root.runs_on {
            RunsOn::Thread | RunsOn::Timer if !self.is_discarded(module, started.call) => {
                let starts = events.iter().enumerate().skip(after_creation);
                let mut starts = starts.filter(|(_, event)| self.calls_method(module, event.kind, sym!("start")));
                starts.next().map_or(after_creation, |(at, _)| at)
            }
            _ => after_creation,
        };
        let until = self.waits(module, by, root, start).map(|at| EventIx(first + at as u32));
        Some(Lifetime { by: started.by, from: EventIx(first + start as u32), until })
    }

    /// The first events of a function that may overlap each of the threads it starts.
    pub(super) fn starts_of(&self, function: FuncId) -> impl Iterator<Item = EventIx> {
        let roots = self.roots();
        let own =
            roots.filter(move |(_, root)| root.runs_on.is_thread() && root.started.is_some_and(|at| at.by == function));
        own.filter_map(|(id, _)| self.lifetime(id)).map(|lifetime| lifetime.from)
    }

    fn calls_method(&self, module: ModuleId, event: EventKind, wanted: crate::facts::Sym) -> bool {
        let facts = &self.modules[module.index()].facts;
        let EventKind::Call(call) = event else { return false };
        matches!(facts.terms.get(facts.calls[call.index()].callee), Term::Attr(_, name) if name == wanted)
    }

    /// The event at which the starter has waited for the root's thread.
    fn waits(&self, module: ModuleId, by: FuncIx, root: &Root, start: usize) -> Option<usize> {
        let facts = &self.modules[module.index()].facts;
        let events = facts.events_of(by);
        let started = root.started?;
        // `with ThreadPoolExecutor() as pool:` waits where the block ends.
        for (scope, ctx) in facts.ctx_chain(started.ctx) {
            if let CtxKind::With(term, _) = ctx.kind
                && self.is_waiting_executor(module, term)
            {
                let past = events.iter().enumerate().skip(start);
                let mut past = past.filter(|(_, event)| !facts.ctx_within(event.ctx, scope));
                return Some(past.next().map_or(events.len(), |(at, _)| at));
            }
        }
        let later = events.iter().enumerate().skip(start + 1);
        let mut later = later.filter(|(_, event)| match event.kind {
            EventKind::Call(call) => self.is_wait(module, call),
            _ => false,
        });
        later.next().map(|(at, _)| at)
    }

    fn is_waiting_executor(&self, module: ModuleId, term: TermId) -> bool {
        match self.kind(module, term) {
            Kind::Object(class) => matches!(crate::model::role_of(class), Some(Role::Executor(_))),
            _ => false,
        }
    }

    /// Whether a call waits for a thread to end: `join()`, `result()`, `shutdown()`, `wait(futures)`.
    fn is_wait(&self, module: ModuleId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let waits = [qual!("concurrent.futures.wait"), qual!("concurrent.futures.as_completed")];
        if self.library_callee(module, call).is_some_and(|name| waits.contains(&name)) {
            return true;
        }
        let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        let no_strings = self.kind(module, base) != Kind::Immutable && !matches!(self.kind(module, base), Kind::Lib(_));
        let names = [sym!("join"), sym!("result"), sym!("shutdown"), sym!("get")];
        let is_queue = self.kind(module, base).role() == Some(Role::Queue);
        let waits_for_all = name == sym!("join") && facts.positional(call, 1).is_none();
        let is_future = name == sym!("result") || (name == sym!("get") && self.is_async_result(module, base));
        no_strings
            && names.contains(&name)
            && !(is_queue && name == sym!("get"))
            && (waits_for_all || is_future || name == sym!("shutdown"))
    }

    fn is_async_result(&self, module: ModuleId, base: TermId) -> bool {
        matches!(self.kind(module, base), Kind::Object(class)
            if class == qual!("multiprocessing.pool.ThreadPool.apply_async")
            || class == qual!("multiprocessing.pool.ThreadPool.map_async"))
    }

    /// Whether the root's own runs can overlap each other.
    pub fn overlaps_itself(&self, id: RootId) -> bool {
        let root = self.root(id);
        if !root.self_parallel {
            return false;
        }
        let (Some(started), Some(lifetime)) = (root.started, self.lifetime(id)) else { return true };
        let Some(until) = lifetime.until else { return true };
        let (module, _) = self.func_local(started.by);
        let facts = &self.modules[module.index()].facts;
        if root.runs_on == RunsOn::Pool {
            // `pool.submit(f).result()`: one at a time, as far as this caller goes.
            return facts.calls[started.call.index()].usage != Usage::Awaited;
        }
        // Started and joined in the same round of the loop.
        let loops = |ctx| {
            facts.ctx_chain(ctx).find(|(_, ctx)| matches!(ctx.kind, CtxKind::For(_) | CtxKind::While)).map(|(at, _)| at)
        };
        let waits_in = facts.events.get(until.index()).and_then(|event| loops(event.ctx));
        let starts_in = loops(started.ctx);
        starts_in.is_none() || waits_in != starts_in
    }

    /// Whether two accesses on two threads are known to happen one after the other.
    pub fn ordered(&self, a: (&Access, ThreadOf), b: (&Access, ThreadOf)) -> bool {
        match (a.1, b.1) {
            (ThreadOf::Main, ThreadOf::Main) => true,
            (ThreadOf::Main, ThreadOf::Root(root)) => {
                self.main_ordered(a.0, root) || self.is_before_handshake(b.0, root, a.0)
            }
            (ThreadOf::Root(root), ThreadOf::Main) => {
                self.main_ordered(b.0, root) || self.is_before_handshake(a.0, root, b.0)
            }
            (ThreadOf::Root(x), ThreadOf::Root(y)) if x == y => !self.overlaps_itself(x),
            (ThreadOf::Root(x), ThreadOf::Root(y)) => self.roots_ordered(x, y),
        }
    }

    /// Whether an object has already waited for the one thread it starts: `self.worker.join()`, then the access.
    pub(super) fn is_after_join(&self, access: &Access) -> bool {
        access.receiver == Receiver::Own
            && (self.follows_join(access.function, access.event) || self.is_called_after_join(access.function, 0))
    }

    /// Whether all who are seen to call a method on the object itself have waited for its thread before.
    fn is_called_after_join(&self, function: FuncId, depth: usize) -> bool {
        const MAX_DEPTH: usize = 3;
        let sites = self.callers(function);
        depth < MAX_DEPTH
            && !sites.is_empty()
            && !self.escapes(function)
            && sites.iter().all(|site| {
                site.receiver == Receiver::Own
                    && (self.follows_join(site.caller, site.event) || self.is_called_after_join(site.caller, depth + 1))
            })
    }

    /// Whether a step of a method follows `self.worker.join()`, of the one thread that the object starts.
    fn follows_join(&self, function: FuncId, event: EventIx) -> bool {
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let first = facts.functions[local.index()].events.start as usize;
        let joins = |event: &crate::facts::Event| {
            let EventKind::Call(call) = event.kind else { return false };
            let Term::Attr(thread, name) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
            // The object may be the thread itself: `self.join()`.
            let is_own = match facts.terms.get(thread) {
                Term::Attr(..) => true,
                Term::Name(_) => super::classes::self_class(self, module, thread).is_some(),
                _ => false,
            };
            name == sym!("join") && is_own && self.role(self.kind(module, thread)) == Some(Role::Thread)
        };
        let Some(class) = self.class_of(function) else { return false };
        facts.events[first..event.index()].iter().any(joins) && self.threads_started_by(class) <= 1
    }

    /// How many threads the methods of a class start.
    fn threads_started_by(&self, class: ClassId) -> usize {
        let started = self.roots().filter_map(|(_, root)| root.started.filter(|_| root.runs_on.is_thread()));
        started.filter(|started| self.class_of(started.by) == Some(class)).count()
    }

    fn main_ordered(&self, access: &Access, root: RootId) -> bool {
        let Some(lifetime) = self.lifetime(root) else { return false };
        if access.function == lifetime.by {
            let before = access.event <= lifetime.from;
            return before || lifetime.until.is_some_and(|until| access.event >= until);
        }
        if self.runs_before(access.function, lifetime, 0) {
            return true;
        }
        if self.starter_stays(lifetime) && !self.runs_during(access.function, lifetime, &mut Vec::new()) {
            return true;
        }
        // Started and waited for before its starter returns: nobody else's code is in between, but what it calls.
        lifetime.until.is_some() && !self.called_between(access.function, lifetime)
    }

    /// Whether the starter loops for ever once it has started the thread: its own thread does nothing else.
    fn starter_stays(&self, lifetime: Lifetime) -> bool {
        let (module, by) = self.func_local(lifetime.by);
        let facts = &self.modules[module.index()].facts;
        let end = facts.functions[by.index()].events.end;
        let after = &facts.events[lifetime.from.index()..end as usize];
        let endless = |test: TermId| matches!(facts.terms.get(test), Term::Const(Const::True | Const::Int(1)));
        let loops = |ctx| {
            facts.ctx_chain(ctx).find_map(|(at, ctx)| match ctx.kind {
                CtxKind::Branch(test, Arm::Then) if endless(test) => {
                    (facts.ctxs[ctx.parent.index()].kind == CtxKind::While).then_some(at)
                }
                _ => None,
            })
        };
        let started_in = facts.events.get(lifetime.from.index()).and_then(|event| loops(event.ctx));
        started_in.is_none() && after.last().is_some_and(|last| loops(last.ctx).is_some())
    }

    /// Whether the starter calls `function`, directly or not, after it has started the thread.
    fn runs_during(&self, function: FuncId, lifetime: Lifetime, seen: &mut Vec<FuncId>) -> bool {
        const MAX_SEEN: usize = 64;
        if seen.contains(&function) {
            return false;
        }
        seen.push(function);
        // What is too far away to tell counts as called.
        seen.len() > MAX_SEEN
            || self.callers(function).iter().any(|site| {
                if site.caller == lifetime.by {
                    return site.event > lifetime.from;
                }
                self.runs_during(site.caller, lifetime, seen)
            })
    }

    /// Whether a helper only runs on behalf of the starter, and before it starts the thread.
    fn runs_before(&self, function: FuncId, lifetime: Lifetime, depth: usize) -> bool {
        const MAX_DEPTH: usize = 3;
        let sites = self.callers(function);
        let is_helper = depth < MAX_DEPTH && self.is_private(function) && !sites.is_empty();
        is_helper
            && !self.escapes(function)
            && self.thread_visits(function).next().is_none()
            && sites.iter().all(|site| {
                if site.caller == lifetime.by {
                    return site.event <= lifetime.from;
                }
                self.is_setup(site.caller) || self.runs_before(site.caller, lifetime, depth + 1)
            })
    }

    /// Whether `function` is called (directly) by the starter while the thread runs.
    fn called_between(&self, function: FuncId, lifetime: Lifetime) -> bool {
        self.callers(function).iter().any(|site| {
            site.caller == lifetime.by
                && site.event > lifetime.from
                && lifetime.until.is_none_or(|until| site.event < until)
        })
    }

    fn roots_ordered(&self, x: RootId, y: RootId) -> bool {
        let (Some(a), Some(b)) = (self.lifetime(x), self.lifetime(y)) else { return false };
        if a.by == b.by {
            let ends_before = |first: Lifetime, second: Lifetime| first.until.is_some_and(|until| until <= second.from);
            return ends_before(a, b) || ends_before(b, a);
        }
        a.until.is_some() && b.until.is_some()
    }
}
