//! `AET005`: a signal handler that does more than set a flag.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, CtxIx, CtxKind, EventKind, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Callee, FuncId, Kind, LockId, ModuleId, Program, RootId, Touch};
use crate::model::{Effect, RunsOn};
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, qual};

use telling::{Misuse, interrupted, is_misused_above, misuses};

mod telling;

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
    /// `Event.set()`, although it takes a lock for a moment. A handler that ends the process may print on its way out, and so
    /// may what it calls before it raises in any case; what is raised again in an `except` is no way out.
    /// Where a handler logs or prints, what the functions it calls log or print is not said again. Only with `--all`
    /// are shown: a handler that prints where no code near it does, or that takes itself out first; and a
    /// change where all that it may interrupt is a single step, which is never found half done. A coroutine that a
    /// handler hands to a loop (`create_task`, `run_coroutine_threadsafe`) does not run inside the handler.
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
            Term::Attr(base, method) if method == crate::sym!("acquire") && !cx.program.may_fail(cx.module, call) => {
                Some((base, event.range))
            }
            _ => None,
        },
        _ => None,
    });
    for (term, range) in withs.chain(acquires) {
        let Some(lock) = cx.program.lock_of(cx.module, function, term) else { continue };
        if !cx.program.is_reentrant(lock)
            && let Some(other) = taken_elsewhere(cx, lock, root)
        {
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
            if cx.program.lock_of(id, function, term) == Some(lock)
                && !in_handler(cx, cx.program.func_id(id, function), root)
            {
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
    let handler = cx.program.root(root).function;
    let ends = leaves(cx.program, handler, 0);
    for place in cx.program.all_places() {
        let accesses = cx.program.accesses(place);
        let own = accesses
            .iter()
            .filter(|access| access.function == id && (changes(access) || cx.program.writes_back(access)));
        let Some(access) = own.min_by_key(|access| access.range.start()) else { continue };
        let disturbed = |other: &&Access| {
            let clash = other.kind.writes() || (other.kind == AccessKind::Iterate && access.kind.resizes());
            clash && !in_handler(cx, other.function, root)
        };
        let mut others = accesses.iter().filter(disturbed);
        let Some(first) = others.clone().next() else { continue };
        // What one bytecode does is never interrupted halfway.
        let halfway = others.find(|other| takes_steps(cx, access, other)).filter(|_| !ends);
        let other = halfway.unwrap_or(first);
        let name = cx.program.place_name(place);
        found.push(Misdeed {
            span: evidence::span_of(cx.program, access),
            confidence: if halfway.is_some() { Confidence::High } else { Confidence::Low },
            message: format!("signal handler changes `{name}`, which the code it interrupts changes too"),
            label: "runs between any two bytecodes of the main thread: one of the two updates is lost",
            other: Some((
                evidence::span_of(cx.program, other),
                format!("`{name}` is {} here, and may be interrupted halfway", other.kind.verb()),
            )),
        });
    }
    found
}

/// Whether an access that a handler interrupts is begun before the handler runs and ended after it.
fn takes_steps(cx: &RuleContext<'_>, handlers: &Access, other: &Access) -> bool {
    match other.kind {
        AccessKind::Augment(..) => true,
        AccessKind::Iterate => handlers.kind.resizes(),
        _ => cx.program.writes_back(other),
    }
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
    let ends = ends_process(cx.program, id) || always_raises(cx.program, cx.program.root(root).function);
    let mut found: Vec<Misdeed> = Vec::new();
    for (span, misuse) in misuses(cx.program, id) {
        let telling = misuse != Misuse::Queue;
        if telling && (ends || is_misused_above(cx, id, root, misuse)) {
            continue;
        }
        let (message, label) = misuse.words();
        // One finding for each kind of misdeed: a handler that prints twice is wrong once.
        if found.iter().any(|known| known.message == message) {
            continue;
        }
        let other = interrupted(cx, id, root, misuse).filter(|_| telling);
        let is_alone = misuse == Misuse::Printing && other.is_none();
        let clashes = !telling || !is_alone && !restores_default(cx, root);
        found.push(Misdeed {
            span,
            confidence: if clashes { Confidence::High } else { Confidence::Low },
            message: message.to_owned(),
            label,
            other: other.map(|span| (span, "may be interrupted here, in the middle of the same".to_owned())),
        });
    }
    found
}

/// Whether a handler takes itself out first: it runs once, on the way out.
fn restores_default(cx: &RuleContext<'_>, root: RootId) -> bool {
    let (module, local) = cx.program.func_local(cx.program.root(root).function);
    let facts = &cx.program.module(module).facts;
    facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Call(call) => {
            let restores = cx.program.library_callee(module, call) == Some(qual!("signal.signal"));
            restores && facts.positional(call, 1).is_some_and(|arg| is_default(cx.program, module, arg.value))
        }
        _ => false,
    })
}

fn is_default(program: &Program, module: ModuleId, handler: TermId) -> bool {
    let defaults = [qual!("signal.SIG_DFL"), qual!("signal.SIG_IGN"), qual!("signal.default_int_handler")];
    matches!(program.kind(module, handler), Kind::Lib(name) if defaults.contains(&name))
}

/// Whether a handler leaves for good: what it interrupts never goes on.
fn ends_process(program: &Program, id: FuncId) -> bool {
    let (module, function) = program.func_local(id);
    let facts = &program.module(module).facts;
    // What is raised again in an `except` is no way out, only the end of a failure.
    let is_failure = |ctx: CtxIx| facts.ctx_chain(ctx).any(|(_, ctx)| matches!(ctx.kind, CtxKind::Handler(_)));
    facts.events_of(function).iter().any(|event| match event.kind {
        EventKind::Call(call) => is_exit(program, module, call),
        EventKind::Raise(_) => !is_failure(event.ctx),
        _ => false,
    })
}

/// Whether a handler raises whatever happens: what it interrupted does not go on.
fn always_raises(program: &Program, id: FuncId) -> bool {
    let (module, function) = program.func_local(id);
    let facts = &program.module(module).facts;
    let is_sure = |ctx: CtxIx| matches!(facts.ctxs[ctx.index()].kind, CtxKind::Body(_));
    facts.events_of(function).iter().any(|event| matches!(event.kind, EventKind::Raise(_)) && is_sure(event.ctx))
}

/// Whether a handler ends the process, or calls a function on its way that does: `super().handle(signum, frame)`.
fn leaves(program: &Program, id: FuncId, depth: usize) -> bool {
    const MAX_DEPTH: usize = 2;
    let (module, function) = program.func_local(id);
    let facts = &program.module(module).facts;
    ends_process(program, id)
        || depth < MAX_DEPTH
            && facts.events_of(function).iter().any(|event| match event.kind {
                // Whatever happens on the way, this comes.
                EventKind::Call(call) if matches!(facts.ctxs[event.ctx.index()].kind, CtxKind::Body(_)) => {
                    match program.callee(module, call) {
                        Callee::Function(callee, _) => leaves(program, callee, depth + 1),
                        _ => false,
                    }
                }
                _ => false,
            })
}

fn is_exit(program: &Program, module: ModuleId, call: CallIx) -> bool {
    let exits =
        [qual!("sys.exit"), qual!("os._exit"), qual!("builtins.exit"), qual!("builtins.quit"), qual!("os.abort")];
    program.library_callee(module, call).is_some_and(|name| exits.contains(&name))
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
