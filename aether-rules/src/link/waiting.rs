//! Calls that wait without limit, and the threads that would end the wait.
//!
//! *Invariant:* a [`Wait`] has no limit: what gives up after a while is none.

use super::kind::{FuncId, Kind, ModuleId};
use super::places::Place;
use super::program::Program;
use super::roots::RootId;
use crate::facts::{CallIx, Const, CtxIx, EventIx, EventKind, Term, TermId};
use crate::model::{Awaits, Role, waiting};
use crate::source::Span;
use crate::{qual, sym};

/// A call that waits for somebody, without limit.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Who waits.
    pub function: FuncId,
    /// For what.
    pub awaits: Awaits,
    /// The call.
    pub call: CallIx,
    /// Its event.
    pub event: EventIx,
    /// Under which conditions.
    pub ctx: CtxIx,
    /// Where.
    pub span: Span,
    /// The object waited on; opaque for a plain function.
    pub on: TermId,
}

/// The threads a wait waits for.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    /// Their roots.
    pub roots: Vec<RootId>,
    /// Whether the very call that starts them is known, or only their class or module.
    pub exact: bool,
}

impl Program {
    /// The waits without limit in a function itself.
    pub fn endless_waits(&self, function: FuncId) -> Vec<Wait> {
        let (module, local) = self.func_local(function);
        let facts = &self.module(module).facts;
        let first = facts.functions[local.index()].events.start;
        let mut found = Vec::new();
        for (position, event) in facts.events_of(local).iter().enumerate() {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(waiting) = self.library_callee(module, call).and_then(waiting) else { continue };
            if self.is_limited(module, call, waiting.awaits, waiting.limit) {
                continue;
            }
            let on = facts.receiver_of(call);
            if waiting.awaits == Awaits::Room && !self.is_bounded_queue(module, on) {
                continue;
            }
            let event_ix = EventIx(first + position as u32);
            let span = self.span(module, event.range);
            found.push(Wait { function, awaits: waiting.awaits, call, event: event_ix, ctx: event.ctx, span, on });
        }
        found
    }

    /// Whether a wait gives up: a timeout, `block=False`, `wait=False`.
    fn is_limited(&self, module: ModuleId, call: CallIx, awaits: Awaits, limit: Option<usize>) -> bool {
        let facts = &self.module(module).facts;
        let constant = |term: TermId| match facts.terms.get(term) {
            Term::Const(constant) => Some(constant),
            _ => None,
        };
        if awaits == Awaits::Executor {
            let wait = facts.arg(call, 0, sym!("wait")).map(|arg| constant(arg.value));
            return !matches!(wait, None | Some(Some(Const::True)));
        }
        let at = limit.unwrap_or(usize::MAX);
        let timeout = facts.keyword(call, sym!("timeout")).or_else(|| facts.positional(call, at));
        if timeout.is_some_and(|arg| constant(arg.value) != Some(Const::None)) {
            return true;
        }
        if matches!(awaits, Awaits::Item | Awaits::Room) {
            let block = facts.keyword(call, sym!("block")).or_else(|| facts.positional(call, at - 1));
            return block.is_some_and(|arg| constant(arg.value) != Some(Const::True));
        }
        false
    }

    fn is_bounded_queue(&self, module: ModuleId, queue: TermId) -> bool {
        self.values_of(module, queue).into_iter().any(|(owner, value)| {
            let facts = &self.module(owner).facts;
            let Term::Call(made) = facts.terms.get(value) else { return false };
            facts.arg(made, 0, sym!("maxsize")).is_some_and(|arg| match facts.terms.get(arg.value) {
                Term::Const(Const::Int(size)) => size > 0,
                Term::Operation(..) => false,
                _ => true,
            })
        })
    }

    /// The threads a wait waits for.
    pub fn awaited(&self, wait: &Wait) -> Awaited {
        let (module, _) = self.func_local(wait.function);
        match wait.awaits {
            Awaits::Thread | Awaits::Future => {
                let mut calls = Vec::new();
                self.makers(module, wait.on, 0, &mut calls);
                let started = self.roots().filter(|(_, root)| {
                    calls.iter().any(|&(owner, call)| {
                        let made = self.span(owner, self.module(owner).facts.calls[call.index()].range);
                        root.span == made && root.runs_on.is_thread()
                    })
                });
                let exact: Vec<RootId> = started.map(|(id, _)| id).collect();
                if exact.is_empty() { self.plausible(module, wait) } else { Awaited { roots: exact, exact: true } }
            }
            Awaits::Executor => self.tasks_of(module, wait),
            _ => Awaited::default(),
        }
    }

    /// The calls that may have made the object a term denotes.
    fn makers(&self, module: ModuleId, term: TermId, depth: usize, found: &mut Vec<(ModuleId, CallIx)>) {
        const MAX_DEPTH: usize = 5;
        if depth > MAX_DEPTH {
            return;
        }
        let facts = &self.module(module).facts;
        match facts.terms.get(term) {
            Term::Call(call) => {
                found.push((module, call));
                // `list(threads)`, `self._threads.pop()`, `self._threads.values()`.
                match facts.terms.get(facts.calls[call.index()].callee) {
                    Term::Attr(base, name)
                        if [sym!("pop"), sym!("values"), sym!("copy"), sym!("popleft")].contains(&name) =>
                    {
                        self.element_makers(module, base, depth + 1, found);
                    }
                    Term::Name(_) => {
                        if let Some(arg) = facts.positional(call, 0) {
                            self.element_makers(module, arg.value, depth + 1, found);
                        }
                    }
                    _ => {}
                }
            }
            Term::Name(_) | Term::Attr(..) => {
                for (owner, value) in self.values_of(module, term).into_iter().take(8) {
                    if value != term {
                        self.makers(owner, value, depth + 1, found);
                    }
                }
            }
            Term::Element(iterable) => self.element_makers(module, iterable, depth + 1, found),
            Term::Either(a, b) | Term::Or(a, b) | Term::And(a, b) => {
                self.makers(module, a, depth + 1, found);
                self.makers(module, b, depth + 1, found);
            }
            _ => {}
        }
    }

    /// The calls that may have made the elements of a container.
    fn element_makers(&self, module: ModuleId, container: TermId, depth: usize, found: &mut Vec<(ModuleId, CallIx)>) {
        const MAX_DEPTH: usize = 5;
        if depth > MAX_DEPTH {
            return;
        }
        let facts = &self.module(module).facts;
        match facts.terms.get(container) {
            Term::Comp(_, element) => self.makers(module, element, depth + 1, found),
            Term::Display(_, list) => {
                for &element in facts.terms.list(list) {
                    self.makers(module, element, depth + 1, found);
                }
            }
            Term::Call(_) => self.makers(module, container, depth + 1, found),
            Term::Name(_) | Term::Attr(..) => {
                for (owner, element) in self.put_into(module, container) {
                    self.makers(owner, element, depth + 1, found);
                }
                for (owner, value) in self.values_of(module, container).into_iter().take(8) {
                    if value != container {
                        self.element_makers(owner, value, depth + 1, found);
                    }
                }
            }
            _ => {}
        }
    }

    /// What is added to the container a name or attribute holds.
    fn put_into(&self, module: ModuleId, container: TermId) -> Vec<(ModuleId, TermId)> {
        let facts = &self.module(module).facts;
        match facts.terms.get(container) {
            Term::Name(_) => {
                let added = facts.var_of(container).and_then(|var| self.elements[module.index()].get(&var));
                added.into_iter().flatten().map(|&term| (module, term)).collect()
            }
            Term::Attr(base, name) => {
                let (Kind::Instance(class) | Kind::Class(class)) = self.kind(module, base) else { return Vec::new() };
                let owners = self.class(class).mro.iter();
                let added =
                    owners.filter_map(|&owner| Some((self.class_local(owner).0, self.class(owner).attrs.get(&name)?)));
                added.flat_map(|(owner, attr)| attr.elements.iter().map(move |&term| (owner, term))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The threads that a thread or future of unknown origin may be: those the same class or module starts.
    fn plausible(&self, module: ModuleId, wait: &Wait) -> Awaited {
        let class = self.class_of(wait.function);
        let of_class = match self.kind(module, wait.on) {
            Kind::Instance(class) => Some(class),
            _ => None,
        };
        let is_future = wait.awaits == Awaits::Future;
        let roots = self.roots().filter(|(_, root)| {
            let Some(started) = root.started else {
                return of_class.is_some() && self.class_of(root.function) == of_class;
            };
            let (by_module, _) = self.func_local(started.by);
            let same_owner = by_module == module && (class.is_none() || self.class_of(started.by) == class);
            let fits = of_class.is_none_or(|class| self.class_of(root.function) == Some(class));
            let is_pool = root.runs_on == crate::model::RunsOn::Pool;
            root.runs_on.is_thread() && fits && is_pool == is_future && (same_owner || of_class.is_some())
        });
        Awaited { roots: roots.map(|(id, _)| id).collect(), exact: false }
    }

    /// The tasks given to the executor that is waited for.
    fn tasks_of(&self, module: ModuleId, wait: &Wait) -> Awaited {
        let (_, local) = self.func_local(wait.function);
        let Some((executor, _)) = self.place(module, local, wait.on) else { return Awaited::default() };
        let roots = self.roots().filter(|(_, root)| {
            root.started.is_some_and(|started| {
                let (by_module, by) = self.func_local(started.by);
                let facts = &self.module(by_module).facts;
                let Term::Attr(base, _) = facts.terms.get(facts.calls[started.call.index()].callee) else {
                    return false;
                };
                self.place(by_module, by, base).is_some_and(|(place, _)| place == executor)
            })
        });
        Awaited { roots: roots.map(|(id, _)| id).collect(), exact: true }
    }

    /// The calls of methods on the object at a place: who calls, at which step.
    pub fn method_calls(&self, place: Place, methods: &[crate::facts::Qual]) -> Vec<(FuncId, EventIx)> {
        let calls = methods.iter().flat_map(|&method| self.calls_of(method));
        calls
            .filter_map(|&(module, call)| {
                let facts = &self.module(module).facts;
                let function = facts.function_of_ctx(facts.calls[call.index()].ctx);
                let (other, _) = self.place(module, function, facts.receiver_of(call))?;
                let first = facts.functions[function.index()].events.start;
                let at = facts.events_of(function).iter().position(|event| event.kind == EventKind::Call(call))?;
                (other == place).then(|| (self.func_id(module, function), EventIx(first + at as u32)))
            })
            .collect()
    }

    /// Whether an executor is made for a `with` block, whose end waits for its tasks.
    pub fn is_thread_pool(&self, module: ModuleId, term: TermId) -> bool {
        let kind = self.kind(module, term);
        matches!(kind.role(), Some(Role::Executor(crate::model::ExecutorKind::Thread)))
            && kind != Kind::Object(qual!("multiprocessing.pool.ThreadPool"))
    }
}
