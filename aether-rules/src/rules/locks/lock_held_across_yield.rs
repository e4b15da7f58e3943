//! `AET311`: a generator suspends while it holds a lock.

use crate::declare_rule;
use crate::evidence::locks as show;
use crate::facts::{EventKind, FuncIx, Qual, Term};
use crate::link::{FuncId, Held, Kind};
use crate::model::{LockKind, Role};
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports `yield` inside `with lock:` (or between `acquire()` and `release()`) in a generator.
    ///
    /// ## Why is this bad?
    /// The lock stays held until the consumer asks for the next element: while it handles this one, for ever if it
    /// stops early and keeps the generator. A consumer that needs the lock itself hangs, and a generator that is
    /// resumed or collected on another thread releases a lock that thread does not hold.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// lock = threading.Lock()
    /// table = {}
    ///
    /// def entries():
    ///     with lock:
    ///         for key in table:
    ///             yield key
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// lock = threading.Lock()
    /// table = {}
    ///
    /// def entries():
    ///     with lock:
    ///         keys = list(table)
    ///     yield from keys
    /// ```
    ///
    /// ## Limits
    /// A generator that becomes a context manager or fixture exists to hold the lock across the `yield`. Under a
    /// decorator of unknown meaning, or given to somebody as a function, it may be one: low confidence.
    ///
    /// ## References
    /// - [contextlib.contextmanager](https://docs.python.org/3/library/contextlib.html#contextlib.contextmanager)
    pub(crate) static LOCK_HELD_ACROSS_YIELD = {
        code: "AET311", name: "lock-held-across-yield", summary: "generator suspends with a lock held",
        family: Locks, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        if !cx.program.function(function).flags.is_generator {
            continue;
        }
        let Some(use_of) = purpose(cx, local, function) else { continue };
        let mut reported: Vec<Span> = Vec::new();
        for (at, event) in cx.events(local) {
            if !matches!(event.kind, EventKind::Yield(_)) {
                continue;
            }
            let held = cx.program.holding(function, Some(at), event.ctx);
            let Some(held) = held.iter().find(|held| is_lock(cx, held)) else { continue };
            // Several `yield`s under one lock are one mistake.
            if reported.contains(&held.span) {
                continue;
            }
            reported.push(held.span);
            if findings.wants(use_of) {
                findings.report(describe(cx, held, cx.span(event.range), use_of));
            }
        }
    }
}

fn is_lock(cx: &RuleContext<'_>, held: &Held) -> bool {
    let kind = cx.program.place_kind(cx.program.lock(held.lock).place).role();
    matches!(kind, Some(Role::Lock(LockKind::Lock | LockKind::RLock | LockKind::Condition)))
}

/// How sure we are that the generator is meant to be iterated; nothing if it becomes a context manager.
fn purpose(cx: &RuleContext<'_>, local: FuncIx, function: FuncId) -> Option<Confidence> {
    const MANAGERS: &[Qual] = &[
        Qual::of("contextlib.contextmanager"),
        Qual::of("contextlib.asynccontextmanager"),
        Qual::of("pytest.fixture"),
        Qual::of("pytest_asyncio.fixture"),
        Qual::of("pytest.yield_fixture"),
    ];
    const PLAIN: &[Qual] =
        &[Qual::of("builtins.staticmethod"), Qual::of("builtins.classmethod"), Qual::of("builtins.property")];
    let facts = cx.facts();
    let mut confidence =
        if cx.program.thread_visits(function).next().is_some() { Confidence::High } else { Confidence::Medium };
    for &decorator in &facts.functions[local.index()].decorators {
        let callee = match facts.terms.get(decorator) {
            Term::Call(call) => facts.calls[call.index()].callee,
            _ => decorator,
        };
        match cx.program.kind(cx.module, callee) {
            Kind::Lib(name) if MANAGERS.contains(&name) => return None,
            Kind::Lib(name) if PLAIN.contains(&name) => {}
            _ => confidence = Confidence::Low,
        }
    }
    for (index, call) in facts.calls.iter().enumerate() {
        let args = facts.args_of(crate::facts::CallIx::at(index)).iter();
        let mut given = args.filter(|arg| matches!(cx.program.kind(cx.module, arg.value), Kind::Function(of) | Kind::Method(of) if of == function));
        if given.next().is_some() {
            match cx.program.kind(cx.module, call.callee) {
                Kind::Lib(name) if MANAGERS.contains(&name) => return None,
                _ => confidence = Confidence::Low,
            }
        }
    }
    Some(confidence)
}

fn describe(cx: &RuleContext<'_>, held: &Held, span: Span, confidence: Confidence) -> Finding {
    let name = cx.program.lock_name(held.lock);
    let finding = Finding::new(span, confidence, format!("generator suspends with `{name}` held"))
        .label("held until the consumer comes back, if it ever does");
    show::held(cx.program, finding, held)
        .note("all builds: the lock is released only when the generator is resumed, closed or collected")
        .help("collect under the lock, leave the block, then yield")
}
