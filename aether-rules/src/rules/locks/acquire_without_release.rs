//! `AET303`: an `acquire()` with a way out that lacks the `release()`.

use crate::declare_rule;
use crate::evidence::locks as show;
use crate::facts::{CtxIx, CtxKind, Event, EventIx, EventKind, FuncIx, ScopeKind, Term, TermId};
use crate::finding::EvidenceRole;
use crate::link::{Callee, FuncId, Kind, LockId, PlaceRoot};
use crate::model::{LockKind, Role};
use crate::{Confidence, Finding, Findings, RuleContext, sym};

use leak::Leak;
use release::{HARMLESS, is_half, is_release, releases_itself, tested_ctx};

mod leak;
mod release;

declare_rule! {
    /// ## What it does
    /// Reports `acquire()` of a lock that is not released on every way out of the function: an exception between the two
    /// calls, an early `return`, or no `release()` anywhere.
    ///
    /// ## Why is this bad?
    /// A lock that was left behind is never released. The next thread that needs it waits for ever, far from the cause.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// lock = threading.Lock()
    /// table = {}
    ///
    /// def update(key, text):
    ///     lock.acquire()
    ///     table[key] = int(text)
    ///     lock.release()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// lock = threading.Lock()
    /// table = {}
    ///
    /// def update(key, text):
    ///     with lock:
    ///         table[key] = int(text)
    /// ```
    ///
    /// ## Limits
    /// A release in another function counts as the other half of a hand-off, and so do two releases in a row: somebody
    /// else took the lock meanwhile. A lock that is a variable of the function itself is shown under `--all` only: it is a
    /// gate for the threads the function starts. So is a lock that the function itself gives back only on errors, where it
    /// hands out a closure or method that does, or where the lock is a semaphore, whose slots others give back. Assignments and reads are taken not to raise, calls and subscripts to
    /// raise. A helper that can release is trusted to.
    ///
    /// ## References
    /// - [Using locks in the with statement](https://docs.python.org/3/library/threading.html#using-locks-conditions-and-semaphores-in-the-with-statement)
    pub(crate) static ACQUIRE_WITHOUT_RELEASE = {
        code: "AET303", name: "acquire-without-release", summary: "`acquire()` is not released on every way out",
        mentions: &[Sym::new("acquire")],
        family: Locks, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// One acquisition and what the function does with the lock.
struct Acquire<'a> {
    cx: &'a RuleContext<'a>,
    local: FuncIx,
    at: EventIx,
    ctx: CtxIx,
    lock: LockId,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        if is_half(cx, function) {
            continue;
        }
        for (at, event) in cx.events(local) {
            let Some(acquire) = Acquire::at(cx, local, at, event) else { continue };
            let Some(leak) = acquire.leak() else { continue };
            let on_thread = cx.program.thread_visits(function).next().is_some();
            let confidence = match leak {
                _ if acquire.is_gate(function) => Confidence::Low,
                Leak::OnlyOnError(_) if acquire.is_passed_on() || acquire.is_slot() => Confidence::Low,
                Leak::Never => Confidence::Medium,
                _ if on_thread => Confidence::High,
                _ => Confidence::Medium,
            };
            if findings.wants(confidence) {
                findings.report(acquire.describe(event, &leak, confidence));
            }
        }
    }
}

impl<'a> Acquire<'a> {
    /// The acquisition a step is, if it waits or its result decides what follows.
    fn at(cx: &'a RuleContext<'a>, local: FuncIx, at: EventIx, event: Event) -> Option<Self> {
        let facts = cx.facts();
        let EventKind::Call(call) = event.kind else { return None };
        let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
        if name != sym!("acquire") {
            return None;
        }
        let (lock, _) = cx.program.lock_and_owner(cx.module, local, base)?;
        let kind = cx.program.place_kind(cx.program.lock(lock).place).role();
        if !matches!(
            kind,
            Some(Role::Lock(LockKind::Lock | LockKind::RLock | LockKind::Condition | LockKind::Semaphore))
        ) {
            return None;
        }
        let is_tested = facts.calls[call.index()].usage != crate::facts::Usage::Discarded;
        let ctx = if is_tested { tested_ctx(cx, local, call)? } else { event.ctx };
        (is_tested || !cx.program.may_fail(cx.module, call)).then_some(Self { cx, local, at, ctx, lock })
    }

    fn leak(&self) -> Option<Leak> {
        let releases: Vec<(EventIx, Event)> = self.releases().collect();
        if releases.is_empty() {
            return (!self.is_handed_over()).then_some(Leak::Never);
        }
        if self.is_baton(&releases) {
            return None;
        }
        let first = releases.iter().map(|(at, _)| *at).find(|at| *at > self.at)?;
        if releases.iter().any(|(at, _)| *at < self.at && self.is_reacquired(*at)) {
            return None;
        }
        let later = || releases.iter().filter(|(at, _)| *at > self.at);
        let facts = self.cx.facts();
        let inside = |event: &Event, kind: fn(CtxKind) -> bool| {
            facts
                .ctx_chain(event.ctx)
                .take_while(|(at, _)| *at != self.ctx)
                .find(|(_, ctx)| kind(ctx.kind))
                .map(|(at, _)| at)
        };
        let finals: Vec<CtxIx> =
            later().filter_map(|(_, event)| inside(event, |kind| kind == CtxKind::Finally)).collect();
        if !finals.is_empty() {
            return self.before_try(&finals);
        }
        let handlers =
            later().filter(|(_, event)| inside(event, |kind| matches!(kind, CtxKind::Handler(_))).is_some()).count();
        if handlers == later().count() {
            return Some(Leak::OnlyOnError(first));
        }
        // Released in a handler and on the way through: both ways are covered.
        if handlers > 0 { None } else { self.on_the_way(first) }
    }

    /// What may go wrong between the acquisition and the `try` whose `finally` releases.
    fn before_try(&self, finals: &[CtxIx]) -> Option<Leak> {
        let facts = self.cx.facts();
        let is_covered = |ctx: CtxIx| {
            facts.ctx_chain(ctx).any(|(_, ctx)| {
                finals.iter().any(|last| {
                    let last = &facts.ctxs[last.index()];
                    last.range == ctx.range && matches!(ctx.kind, CtxKind::Try | CtxKind::Finally | CtxKind::Handler(_))
                })
            })
        };
        if is_covered(facts.events[self.at.index()].ctx) {
            return None;
        }
        let events =
            self.cx.events(self.local).filter(|(at, event)| *at > self.at && facts.ctx_within(event.ctx, self.ctx));
        let before = events.take_while(|(_, event)| !is_covered(event.ctx));
        let mut leaks = before
            .filter(|&(at, event)| !self.is_given_back(at, event))
            .filter_map(|(at, event)| self.leaves(at, event));
        leaks.next().or_else(|| self.skips(finals))
    }

    /// A test after the acquisition whose one way leads past the `try`.
    fn skips(&self, finals: &[CtxIx]) -> Option<Leak> {
        let facts = self.cx.facts();
        let &last = finals.first()?;
        let outer = facts.ctx_chain(last).skip(1).take_while(|(at, _)| *at != self.ctx);
        let leads_past = |kind| !self.is_own_test(kind) && !self.is_released_otherwise(kind);
        let mut tests = outer.filter(|(_, ctx)| matches!(ctx.kind, CtxKind::Branch(..)) && leads_past(ctx.kind));
        let (test, _) = tests.next()?;
        let mut inside =
            self.cx.events(self.local).filter(|(at, event)| *at > self.at && facts.ctx_within(event.ctx, test));
        inside.next().map(|(at, _)| Leak::Skip(at))
    }

    /// Whether the other way out of a test releases the lock, too: `if done: lock.release(); return`.
    fn is_released_otherwise(&self, kind: CtxKind) -> bool {
        let facts = self.cx.facts();
        let CtxKind::Branch(test, way) = kind else { return false };
        let is_other = |kind| matches!(kind, CtxKind::Branch(other, arm) if other.same(test) && arm != way);
        let is_there = |event: Event| facts.ctx_chain(event.ctx).any(|(_, ctx)| is_other(ctx.kind));
        self.releases().any(|(at, event)| at > self.at && is_there(event))
    }

    /// Whether a test asks for the result of the acquisition itself.
    fn is_own_test(&self, kind: CtxKind) -> bool {
        let facts = self.cx.facts();
        let CtxKind::Branch(test, _) = kind else { return false };
        let EventKind::Call(call) = facts.events[self.at.index()].kind else { return false };
        // Another attempt at the same lock, in another branch, leaves its answer in the same name.
        let is_attempt = |term: TermId| match facts.terms.get(term) {
            Term::Call(other) => other == call || self.acquires(other),
            _ => false,
        };
        let is_result = |term: TermId| {
            let kept = facts
                .var_of(term)
                .is_some_and(|var| facts.vars[var.index()].values.iter().any(|&value| is_attempt(value)));
            is_attempt(term) || kept
        };
        is_result(test) || facts.terms.children(test).any(is_result)
    }

    /// Whether a call acquires the same lock.
    fn acquires(&self, call: crate::facts::CallIx) -> bool {
        let facts = self.cx.facts();
        let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        let lock = || self.cx.program.lock_and_owner(self.cx.module, self.local, base);
        name == sym!("acquire") && lock().is_some_and(|(lock, _)| lock == self.lock)
    }

    /// Whether the lock is a variable of the very function: a gate for the threads it starts, which nobody else waits for.
    fn is_gate(&self, function: FuncId) -> bool {
        let PlaceRoot::Cell(module, var) = self.cx.program.lock(self.lock).place.root else { return false };
        let facts = &self.cx.program.module(module).facts;
        matches!(facts.var_scope(var), ScopeKind::Function(owner) if self.cx.program.func_id(module, owner) == function)
    }

    /// Whether it counts places that are taken here and given back elsewhere, when the work is done.
    fn is_slot(&self) -> bool {
        let place = self.cx.program.lock(self.lock).place;
        self.cx.program.place_kind(place).role() == Some(Role::Lock(LockKind::Semaphore))
    }

    /// Whether what the function hands out after the acquisition, a closure or a method, gives the lock back.
    fn is_passed_on(&self) -> bool {
        let (cx, facts) = (self.cx, self.cx.facts());
        let args = self.cx.events(self.local).filter(|(at, _)| *at > self.at).flat_map(|(_, event)| match event.kind {
            EventKind::Call(call) => facts.args_of(call),
            _ => &[],
        });
        args.flat_map(|arg| cx.program.callbacks(cx.module, arg.value))
            .any(|given| releases_itself(cx, given, self.lock))
    }

    /// Whether the lock is given back on the way to a step, and not taken again.
    fn is_given_back(&self, at: EventIx, event: Event) -> bool {
        let facts = self.cx.facts();
        let passed = |(release, given): (EventIx, Event)| {
            release > self.at && release < at && facts.ctx_within(event.ctx, given.ctx)
        };
        self.releases().any(passed)
    }

    /// Whether the lock is released twice in a row: a baton, which somebody else took meanwhile.
    fn is_baton(&self, releases: &[(EventIx, Event)]) -> bool {
        let facts = self.cx.facts();
        let retaken = |from: EventIx, to: EventIx| {
            self.cx.events(self.local).any(|(at, event)| {
                at > from && at < to && matches!(event.kind, EventKind::Call(call) if self.acquires(call))
            })
        };
        releases.iter().any(|(first, given)| {
            releases.iter().any(|(second, again)| {
                second > first
                    && again.ctx != given.ctx
                    && facts.ctx_within(again.ctx, given.ctx)
                    && !retaken(*first, *second)
            })
        })
    }

    /// What may go wrong between the acquisition and a release that stands on the way.
    fn on_the_way(&self, release: EventIx) -> Option<Leak> {
        let facts = self.cx.facts();
        let events = self.cx.events(self.local);
        let mut between =
            events.filter(|(at, event)| *at > self.at && *at < release && facts.ctx_within(event.ctx, self.ctx));
        between.find_map(|(at, event)| self.leaves(at, event))
    }

    /// Whether a step may leave the function.
    fn leaves(&self, at: EventIx, event: Event) -> Option<Leak> {
        match event.kind {
            EventKind::Return(_) | EventKind::Raise(_) => Some(Leak::Return(at)),
            EventKind::Call(call) => {
                let callee = self.cx.facts().calls[call.index()].callee;
                let harmless = match self.cx.facts().terms.get(callee) {
                    Term::Attr(_, name) => [
                        sym!("release"),
                        sym!("append"),
                        sym!("add"),
                        sym!("discard"),
                        sym!("clear"),
                        sym!("set"),
                        sym!("notify_all"),
                        sym!("notify"),
                    ]
                    .contains(&name),
                    _ => false,
                };
                let is_clock =
                    matches!(self.cx.program.kind(self.cx.module, callee), Kind::Lib(name) if HARMLESS.contains(&name));
                (!harmless && !is_clock).then_some(Leak::Raise(at))
            }
            EventKind::Await | EventKind::Yield(_) => Some(Leak::Raise(at)),
            _ => None,
        }
    }

    /// The releases of the lock in the function, through helpers too.
    fn releases(&self) -> impl Iterator<Item = (EventIx, Event)> + '_ {
        self.cx.events(self.local).filter(|(_, event)| match event.kind {
            EventKind::Call(call) => {
                is_release(self.cx, self.cx.module, self.local, call, self.lock)
                    || match self.cx.program.callee(self.cx.module, call) {
                        Callee::Function(callee, _) => releases_itself(self.cx, callee, self.lock),
                        _ => false,
                    }
            }
            // `stack.callback(lock.release)`, `atexit.register(lock.release)`.
            EventKind::Load(term) => match self.cx.facts().terms.get(term) {
                Term::Attr(base, name) if name == sym!("release") => self
                    .cx
                    .program
                    .lock_and_owner(self.cx.module, self.local, base)
                    .is_some_and(|(lock, _)| lock == self.lock),
                _ => false,
            },
            _ => false,
        })
    }

    /// Whether the function gave the lock up before and takes it back here.
    fn is_reacquired(&self, release: EventIx) -> bool {
        let mut earlier = self.cx.events(self.local).filter(|(at, event)| {
            *at < release && Self::at(self.cx, self.local, *at, *event).is_some_and(|other| other.lock == self.lock)
        });
        earlier.next().is_none()
    }

    /// Whether somebody else releases the lock, or may: it is passed on, or released in another function.
    fn is_handed_over(&self) -> bool {
        let program = self.cx.program;
        let releasing = program
            .modules()
            .filter(|(_, module)| module.facts.mentions(sym!("release")) || module.facts.mentions(sym!("__exit__")));
        let elsewhere = releasing
            .flat_map(|(id, module)| (0..module.facts.calls.len()).map(move |index| (id, module, index)))
            .any(|(id, module, index)| {
                let function = module.facts.function_of_ctx(module.facts.calls[index].ctx);
                is_release(self.cx, id, function, crate::facts::CallIx(index as u32), self.lock)
            });
        let facts = self.cx.facts();
        let is_lock = |term: TermId| {
            program.lock_and_owner(self.cx.module, self.local, term).is_some_and(|(lock, _)| lock == self.lock)
        };
        let passed = facts.args.iter().any(|arg| match facts.terms.get(arg.value) {
            Term::Name(_) => is_lock(arg.value),
            Term::Attr(base, name) => is_lock(arg.value) || (name == sym!("release") && is_lock(base)),
            _ => false,
        });
        elsewhere || passed || self.is_slot()
    }

    fn describe(&self, event: Event, leak: &Leak, confidence: Confidence) -> Finding {
        let name = self.cx.program.lock_name(self.lock);
        let span = |at: &EventIx| self.cx.span(self.cx.facts().events[at.index()].range);
        let (message, label) = leak.words(&name);
        let finding = Finding::new(self.cx.span(event.range), confidence, message).label(label);
        let finding = match leak {
            Leak::Never => finding,
            Leak::Return(at) => show::add(finding, EvidenceRole::OtherAccess, span(at), "leaves without releasing it"),
            Leak::Skip(at) => show::add(
                finding,
                EvidenceRole::OtherAccess,
                span(at),
                "the lock is only released on the way through here",
            ),
            Leak::Raise(at) => show::add(finding, EvidenceRole::OtherAccess, span(at), "may raise, with the lock held"),
            Leak::OnlyOnError(at) => show::add(finding, EvidenceRole::OtherAccess, span(at), "the only release"),
        };
        finding
            .note("all builds: no exception and no `return` releases a lock")
            .help("use `with`, or put `try:` right after `acquire()` and `release()` in its `finally:`")
    }
}
