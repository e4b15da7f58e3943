//! `AET005`: a signal handler that does more than set a flag.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, CtxIx, CtxKind, EventKind, Qual, Term};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, FuncId, LockId, Program, RootId, Touch};
use crate::model::{Effect, RunsOn};
use crate::messages::is_logging;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, qual};

declare_rule! {
    /// ## What it does
    /// Reports a function installed with `signal.signal` that changes state which is also changed elsewhere, takes a
    /// lock that other code takes, uses a `queue.Queue`, logs, or prints.
    ///
    /// ## Why is this bad?
    /// The handler runs on the main thread between any two bytecodes of whatever runs there. An update it interrupts
    /// loses one of the two (388 of 3 780 in a stress test, with the GIL). A lock that the interrupted code holds is
    /// never released: deadlock. Buffered streams and logging hold locks of their own and fail or block when re-entered.
    ///
    /// ## Example
    /// ```python bad
    /// import signal
    /// import threading
    ///
    /// lock = threading.Lock()
    /// state = {}
    ///
    /// def handler(signum, frame):
    ///     with lock:
    ///         state.clear()
    ///
    /// signal.signal(signal.SIGHUP, handler)
    ///
    /// def update(key, value):
    ///     with lock:
    ///         state[key] = value
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import signal
    /// import threading
    ///
    /// lock = threading.Lock()
    /// state = {}
    /// reload_requested = False
    ///
    /// def handler(signum, frame):
    ///     global reload_requested
    ///     reload_requested = True
    ///
    /// signal.signal(signal.SIGHUP, handler)
    ///
    /// def update(key, value):
    ///     with lock:
    ///         if reload_requested:
    ///             state.clear()
    ///         state[key] = value
    /// ```
    ///
    /// ## Limits
    /// Setting a flag, `os.write`, `SimpleQueue.put`, `call_soon_threadsafe` and an `RLock` are accepted, and so is
    /// `Event.set()`, although it takes a lock for a moment. A handler that ends the process may print on its way out.
    /// Where a handler logs or prints, what the functions it calls log or print is not said again.
    ///
    /// ## References
    /// - [signal: execution of Python signal handlers](https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers)
    pub(crate) static SIGNAL_HANDLER_RACE = {
        code: "AET005", name: "signal-handler-race", summary: "signal handler does more than set a flag",
        family: FreeThreading, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// What a handler must not do.
struct Misdeed {
    span: Span,
    confidence: Confidence,
    message: String,
    label: &'static str,
    other: Option<(Span, String)>,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (_, id) in cx.functions() {
        let handler = cx.program.visits(id).iter().find(|visit| cx.program.root(visit.root).runs_on == RunsOn::Signal);
        let Some(visit) = handler else { continue };
        let root = visit.root;
        for misdeed in misdeeds(cx, id, root) {
            findings.report(describe(cx, id, root, misdeed));
        }
    }
}

fn misdeeds(cx: &RuleContext<'_>, id: FuncId, root: RootId) -> Vec<Misdeed> {
    let mut found = Vec::new();
    found.extend(locks(cx, id, root));
    found.extend(updates(cx, id, root));
    found.extend(calls(cx, id, root));
    found
}

fn in_handler(cx: &RuleContext<'_>, function: FuncId, root: RootId) -> bool {
    cx.program.visits(function).iter().any(|visit| visit.root == root)
}

/// Locks the handler takes that other code takes too.
fn locks(cx: &RuleContext<'_>, id: FuncId, root: RootId) -> Vec<Misdeed> {
    let (_, function) = cx.program.func_local(id);
    let facts = cx.facts();
    let mut found = Vec::new();
    let withs = facts.ctxs.iter().enumerate().filter_map(|(index, ctx)| match ctx.kind {
        CtxKind::With(term, _) if facts.function_of_ctx(CtxIx::at(index)) == function => Some((term, ctx.range)),
        _ => None,
    });
    let acquires = cx.events(function).filter_map(|(_, event)| match event.kind {
        EventKind::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(base, method)
                if method == crate::sym!("acquire") && !cx.program.may_fail(cx.module, call) =>
            {
                Some((base, event.range))
            }
            _ => None,
        },
        _ => None,
    });
    for (term, range) in withs.chain(acquires) {
        let Some(lock) = cx.program.lock_of(cx.module, function, term) else { continue };
        if !cx.program.is_reentrant(lock) && let Some(other) = taken_elsewhere(cx, lock, root) {
            let name = cx.program.lock_name(lock);
            found.push(Misdeed {
                span: cx.span(range),
                confidence: Confidence::High,
                message: format!("signal handler takes `{name}`, which the code it interrupts may hold"),
                label: "deadlock: the holder cannot run until the handler returns",
                other: Some((other, format!("`{name}` is taken here, and may be held when the signal arrives"))),
            });
        }
    }
    found
}

/// Where code outside the handler takes a lock.
fn taken_elsewhere(cx: &RuleContext<'_>, lock: LockId, root: RootId) -> Option<Span> {
    for (id, module) in cx.program.modules() {
        for (index, ctx) in module.facts.ctxs.iter().enumerate() {
            let CtxKind::With(term, _) = ctx.kind else { continue };
            let function = module.facts.function_of_ctx(CtxIx::at(index));
            if cx.program.lock_of(id, function, term) == Some(lock) && !in_handler(cx, cx.program.func_id(id, function), root) {
                return Some(cx.program.span(id, ctx.range));
            }
        }
        for call in &module.facts.calls {
            let Term::Attr(base, method) = module.facts.terms.get(call.callee) else { continue };
            let function = module.facts.function_of_ctx(call.ctx);
            if method == crate::sym!("acquire")
                && cx.program.lock_of(id, function, base) == Some(lock)
                && !in_handler(cx, cx.program.func_id(id, function), root)
            {
                return Some(cx.program.span(id, call.range));
            }
        }
    }
    None
}

/// State the handler changes in several steps, or in place, that other code changes too.
fn updates(cx: &RuleContext<'_>, id: FuncId, root: RootId) -> Vec<Misdeed> {
    let mut found = Vec::new();
    for place in cx.program.all_places() {
        let accesses = cx.program.accesses(place);
        let own = accesses.iter().filter(|access| access.function == id && (changes(access) || cx.program.writes_back(access)));
        let Some(access) = own.min_by_key(|access| access.range.start()) else { continue };
        let disturbed = |other: &&Access| {
            let clash = other.kind.writes() || (other.kind == AccessKind::Iterate && access.kind.resizes());
            clash && !in_handler(cx, other.function, root)
        };
        let Some(other) = accesses.iter().find(disturbed) else { continue };
        let name = cx.program.place_name(place);
        found.push(Misdeed {
            span: evidence::span_of(cx.program, access),
            confidence: Confidence::High,
            message: format!("signal handler changes `{name}`, which the code it interrupts changes too"),
            label: "runs between any two bytecodes of the main thread: one of the two updates is lost",
            other: Some((evidence::span_of(cx.program, other), format!("`{name}` is {} here, and may be interrupted halfway", other.kind.verb()))),
        });
    }
    found
}

/// Whether an access is more than setting a flag.
fn changes(access: &Access) -> bool {
    match access.kind {
        AccessKind::Augment(..) | AccessKind::Delete(_) => true,
        AccessKind::Write(Touch::Element(_), _) => true,
        AccessKind::Method(_, effect) => matches!(effect, Effect::Resize | Effect::Modify),
        _ => false,
    }
}

/// Calls that take locks inside.
fn calls(cx: &RuleContext<'_>, id: FuncId, root: RootId) -> Vec<Misdeed> {
    let ends = ends_process(cx, id);
    let mut found: Vec<Misdeed> = Vec::new();
    for (span, misuse) in misuses(cx.program, id) {
        let telling = misuse != Misuse::Queue;
        if telling && (ends || is_misused_above(cx, id, root, misuse)) {
            continue;
        }
        let (message, label) = misuse.words();
        // One finding for each kind of misdeed: a handler that prints twice is wrong once.
        if found.iter().all(|known| known.message != message) {
            let message = message.to_owned();
            found.push(Misdeed { span, confidence: Confidence::High, message, label, other: None });
        }
    }
    found
}

/// What a handler uses that takes locks or writes to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misuse {
    Queue,
    Logging,
    Printing,
}

impl Misuse {
    fn of(name: Qual) -> Option<Self> {
        const QUEUE: &[Qual] =
            &[qual!("queue.Queue.put"), qual!("queue.Queue.put_nowait"), qual!("queue.Queue.get"), qual!("queue.Queue.get_nowait")];
        const PRINT: &[Qual] = &[
            qual!("builtins.print"),
            qual!("sys.stdout.write"),
            qual!("sys.stderr.write"),
            qual!("sys.stdout.flush"),
            qual!("sys.stderr.flush"),
            qual!("io.TextIOWrapper.write"),
        ];
        if QUEUE.contains(&name) {
            Some(Self::Queue)
        } else if is_logging(name) {
            Some(Self::Logging)
        } else {
            PRINT.contains(&name).then_some(Self::Printing)
        }
    }

    /// Message and label.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Queue => (
                "signal handler uses a `queue.Queue`, whose lock the interrupted code may hold",
                "deadlock; `queue.SimpleQueue.put` is safe here",
            ),
            Self::Logging => (
                "signal handler logs",
                "logging takes locks and writes to buffered streams: it may block or fail when re-entered",
            ),
            Self::Printing => (
                "signal handler writes to a buffered stream",
                "RuntimeError: reentrant call, when it interrupts another write",
            ),
        }
    }
}

fn misuses(program: &Program, function: FuncId) -> impl Iterator<Item = (Span, Misuse)> {
    let (module, local) = program.func_local(function);
    program.module(module).facts.events_of(local).iter().filter_map(move |event| {
        let EventKind::Call(call) = event.kind else { return None };
        let misuse = Misuse::of(program.library_callee(module, call)?)?;
        Some((program.span(module, event.range), misuse))
    })
}

/// Whether a function on the way from the handler does the same: one cure for both.
fn is_misused_above(cx: &RuleContext<'_>, id: FuncId, root: RootId, misuse: Misuse) -> bool {
    let way = cx.program.path_from_root(id, root);
    way.iter().any(|(_, site)| misuses(cx.program, site.caller).any(|(_, other)| other == misuse))
}

/// Whether the handler leaves for good: what it interrupts never goes on.
fn ends_process(cx: &RuleContext<'_>, id: FuncId) -> bool {
    let (_, function) = cx.program.func_local(id);
    cx.events(function).any(|(_, event)| match event.kind {
        EventKind::Call(call) => is_exit(cx, call),
        EventKind::Raise(_) => true,
        _ => false,
    })
}

fn is_exit(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let exits = [qual!("sys.exit"), qual!("os._exit"), qual!("builtins.exit"), qual!("builtins.quit"), qual!("os.abort")];
    cx.program.library_callee(cx.module, call).is_some_and(|name| exits.contains(&name))
}

fn describe(cx: &RuleContext<'_>, function: FuncId, root: RootId, misdeed: Misdeed) -> Finding {
    let finding = Finding::new(misdeed.span, misdeed.confidence, misdeed.message).label(misdeed.label);
    let mut finding = evidence::with_root(cx.program, finding, function, root).on_thread(cx.program.root_name(root));
    if let Some((span, text)) = misdeed.other {
        finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, span, text).on_thread("main thread"));
    }
    finding
        .note("all builds: Python runs the handler on the main thread, between two bytecodes of whatever runs there")
        .help("only set a flag (or call `SimpleQueue.put`, `os.write`, `loop.call_soon_threadsafe`), and act on it in the main loop")
}
