//! `AET416`: `self._stopped = False; if not self._thread.is_alive(): …start()`

use crate::declare_rule;
use crate::facts::{CallIx, Const, CtxKind, Event, EventKind, FuncIx, Sym, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, Place, Root};
use crate::model::{Role, RunsOn};
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports a function that takes back a stop flag and starts a new thread only if the old one is not alive any more,
    /// without waiting for the old one to end.
    ///
    /// ## Why is this bad?
    /// A thread that has seen the flag is on its way out, but alive until it is gone. Who asks meanwhile finds it alive,
    /// starts no other one, and is left without any: the flag that was taken back is not looked at again.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Heartbeat:
    ///     def __init__(self):
    ///         self._stopped = True
    ///         self._thread = None
    ///
    ///     def start(self):
    ///         self._stopped = False
    ///         if self._thread is None or not self._thread.is_alive():
    ///             self._thread = threading.Thread(target=self._beat)
    ///             self._thread.start()
    ///
    ///     def stop(self):
    ///         self._stopped = True
    ///
    ///     def _beat(self):
    ///         while not self._stopped:
    ///             print("alive")
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Heartbeat:
    ///     def __init__(self):
    ///         self._stopped = True
    ///         self._thread = None
    ///
    ///     def start(self):
    ///         self.stop()
    ///         self._stopped = False
    ///         self._thread = threading.Thread(target=self._beat)
    ///         self._thread.start()
    ///
    ///     def stop(self):
    ///         self._stopped = True
    ///         if self._thread is not None:
    ///             self._thread.join()
    ///
    ///     def _beat(self):
    ///         while not self._stopped:
    ///             print("alive")
    /// ```
    ///
    /// ## Limits
    /// The flag is an attribute or global that is `True` or `False`, or an event; the thread's own function tests it in its
    /// loop. A function that joins any thread, and a flag that is only ever raised by functions that do, are trusted; so is
    /// a thread whose loop takes a lock for the test.
    ///
    /// ## References
    /// - [threading.Thread.is_alive](https://docs.python.org/3/library/threading.html#threading.Thread.is_alive)
    pub(crate) static RESTART_WHILE_STOPPING = {
        code: "AET416", name: "restart-while-stopping", summary: "a thread that is about to end is taken for alive",
        mentions: &[Sym::new("is_alive"), Sym::new("isAlive")],
        family: Threads, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    if !findings.wants(Confidence::Medium) {
        return;
    }
    for (local, function) in cx.functions() {
        let asked =
            cx.events(local).find(|(_, event)| calls(cx, event, &[sym!("is_alive"), sym!("isAlive")]).is_some());
        let Some((_, asked)) = asked else { continue };
        if joins(cx, local) {
            continue;
        }
        let mut roots = cx.program.roots().map(|(_, root)| root).filter(|root| {
            root.runs_on == RunsOn::Thread && root.started.is_some_and(|started| started.by == function)
        });
        if let Some(finding) = roots.find_map(|root| stale(cx, local, &asked, root)) {
            findings.report(finding);
        }
    }
}

/// What a flag is set to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Raised,
    Lowered,
}

/// A flag that a function takes back, that its thread ends by, and that somebody raises without waiting for the thread.
fn stale(cx: &RuleContext<'_>, local: FuncIx, asked: &Event, root: &Root) -> Option<Finding> {
    let (module, worker) = cx.program.func_local(root.function);
    if module != cx.module || worker == local {
        return None;
    }
    let lowered = cx.events(local).filter_map(|(_, event)| match set(cx, local, &event)? {
        (place, Flag::Lowered) => Some((place, event)),
        _ => None,
    });
    lowered.into_iter().find_map(|(place, lowered)| {
        let test = ends_by(cx, (worker, root.function), place)?;
        let mut raisers = cx
            .functions()
            .filter(|&(other, id)| other != local && other != worker && !cx.program.is_setup(id) && !joins(cx, other));
        let raised = raisers.find_map(|(other, _)| {
            cx.events(other).map(|(_, event)| event).find(|event| set(cx, other, event) == Some((place, Flag::Raised)))
        })?;
        Some(describe(cx, asked, place, [&lowered, &test, &raised]))
    })
}

/// The flag that a step sets, and to what: `self.stopped = True`, `self.stopping.clear()`.
fn set(cx: &RuleContext<'_>, local: FuncIx, event: &Event) -> Option<(Place, Flag)> {
    let facts = cx.facts();
    let (target, flag) = match event.kind {
        EventKind::Store(target, value) => match facts.terms.get(value) {
            Term::Const(Const::True) => (target, Flag::Raised),
            Term::Const(Const::False) => (target, Flag::Lowered),
            _ => return None,
        },
        EventKind::Call(call) => {
            let target = signal(cx, call)?;
            match facts.callee_name(call)? {
                name if name == sym!("set") => (target, Flag::Raised),
                name if name == sym!("clear") => (target, Flag::Lowered),
                _ => return None,
            }
        }
        _ => return None,
    };
    cx.program.place(cx.module, local, target).map(|(place, _)| (place, flag))
}

/// The event object of which a method is called.
fn signal(cx: &RuleContext<'_>, call: CallIx) -> Option<TermId> {
    let Term::Attr(base, _) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else { return None };
    (cx.program.kind(cx.module, base).role() == Some(Role::Signal)).then_some(base)
}

/// The step at which a thread's function asks, in its loop and without a lock, whether it shall end.
fn ends_by(cx: &RuleContext<'_>, (worker, function): (FuncIx, FuncId), place: Place) -> Option<Event> {
    let facts = cx.facts();
    let is_at = |term| cx.program.place(cx.module, worker, term).is_some_and(|(here, _)| here == place);
    let found = cx.events(worker).find(|(at, event)| {
        let reads = match event.kind {
            EventKind::Load(term) => is_at(term),
            EventKind::Call(call) => signal(cx, call).is_some_and(is_at),
            _ => false,
        };
        reads && cx.program.held(cx.module, function, *at).is_empty()
    });
    let (_, event) = found?;
    let has_loop =
        cx.events(worker).any(|(_, event)| facts.ctx_chain(event.ctx).any(|(_, ctx)| ctx.kind == CtxKind::While));
    has_loop.then_some(event)
}

/// Whether a function waits for a thread to end.
fn joins(cx: &RuleContext<'_>, local: FuncIx) -> bool {
    cx.events(local).any(|(_, event)| {
        let call = calls(cx, &event, &[sym!("join")]);
        call.is_some_and(|call| match cx.program.kind(cx.module, cx.facts().receiver_of(call)).role() {
            Some(role) => role == Role::Thread,
            // `", ".join(parts)` takes what it joins.
            None => cx
                .facts()
                .args_of(call)
                .iter()
                .all(|arg| !matches!(cx.facts().terms.get(arg.value), Term::Display(..) | Term::Comp(..))),
        })
    })
}

/// The call of a method of one of these names.
fn calls(cx: &RuleContext<'_>, event: &Event, names: &[Sym]) -> Option<CallIx> {
    let EventKind::Call(call) = event.kind else { return None };
    let Term::Attr(_, name) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else { return None };
    names.contains(&name).then_some(call)
}

fn describe(cx: &RuleContext<'_>, asked: &Event, place: Place, [lowered, test, raised]: [&Event; 3]) -> Finding {
    let name = cx.program.place_name(place);
    let seen = |event: &Event, text: String| Evidence::new(EvidenceRole::OtherAccess, cx.span(event.range), text);
    Finding::new(cx.span(asked.range), Confidence::Medium, "a thread that is about to end is taken for alive")
        .label(format!("still alive, although it has seen `{name}`"))
        .evidence(seen(lowered, format!("`{name}` is taken back here")))
        .evidence(seen(test, "the thread may have looked at it before, and never looks again".to_owned()))
        .evidence(seen(raised, "told to end here, and not waited for".to_owned()))
        .note("all builds: between the thread's last look and its end, nothing tells it from one that goes on")
        .help(
            "`join()` the old thread before the flag is taken back, or let it mark its end under a lock that both take",
        )
}
