//! `AET701`: a signal handler installed off the main thread.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CtxIx, CtxKind, Event, EventKind, Qual, Term, TermId};
use crate::link::{FuncId, Kind, ModuleId, ThreadOf, Visit};
use crate::{Confidence, Finding, Findings, RuleContext, qual};

declare_rule! {
    /// ## What it does
    /// Reports `signal.signal`, `signal.set_wakeup_fd` and `loop.add_signal_handler` in functions that run on a thread.
    ///
    /// ## Why is this bad?
    /// Only the main thread of the main interpreter may install signal handlers; anywhere else the call raises
    /// `ValueError`, and the thread ends there.
    ///
    /// ## Example
    /// ```python bad
    /// import signal
    /// import threading
    ///
    /// def serve():
    ///     signal.signal(signal.SIGTERM, print)
    ///
    /// threading.Thread(target=serve).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import signal
    /// import threading
    ///
    /// stop = threading.Event()
    ///
    /// def serve():
    ///     stop.wait()
    ///
    /// def on_signal(signum, frame):
    ///     stop.set()
    ///
    /// signal.signal(signal.SIGTERM, on_signal)
    /// threading.Thread(target=serve).start()
    /// ```
    ///
    /// ## Limits
    /// Silent after a test that mentions `threading.main_thread()`, whatever it compares, and where `ValueError` (or
    /// `RuntimeError`, for loops) is caught, also around an earlier installation in the same function: what that puts back was
    /// accepted before. A library that installs a handler inside is not seen.
    ///
    /// ## References
    /// - [signal: signals and threads](https://docs.python.org/3/library/signal.html#signals-and-threads)
    pub(crate) static SIGNAL_OFF_MAIN = {
        code: "AET701", name: "signal-off-main", summary: "a signal handler is installed off the main thread",
        family: Signals, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const CALLS: &[(Qual, &str)] = &[
    (Qual::of("signal.signal"), "signal.signal"),
    (Qual::of("signal.set_wakeup_fd"), "signal.set_wakeup_fd"),
    (Qual::of("asyncio.AbstractEventLoop.add_signal_handler"), "loop.add_signal_handler"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (function, id) in cx.functions().skip(1) {
        for (_, event) in cx.events(function) {
            let Some((_, name)) = crate::process_state::called(cx, &event, CALLS) else { continue };
            let mut visits = cx.program.thread_visits(id);
            if let Some(visit) = visits.find(|visit| !is_guarded(cx, id, &event, visit)) {
                findings.report(describe(cx, id, &event, name, visit));
            }
        }
    }
}

/// Whether the way from the thread to the call is tested for the main thread, or expects to fail.
fn is_guarded(cx: &RuleContext<'_>, id: FuncId, event: &Event, visit: &Visit) -> bool {
    if puts_back(cx, id, event) {
        return true;
    }
    let path = cx.program.path_from_root(id, visit.root);
    let mut sites = path.into_iter().map(|(module, site)| (module, site.ctx)).chain([(cx.module, event.ctx)]);
    sites.any(|(module, ctx)| is_tested(cx, module, ctx) || expects_failure(cx, module, ctx))
}

/// Whether a function installed a handler before, and was ready for a refusal: what it puts back was accepted.
fn puts_back(cx: &RuleContext<'_>, id: FuncId, event: &Event) -> bool {
    let (module, function) = cx.program.func_local(id);
    let mut earlier = cx.events(function).filter(|(_, other)| other.range.start() < event.range.start());
    earlier.any(|(_, other)| {
        crate::process_state::called(cx, &other, CALLS).is_some() && expects_failure(cx, module, other.ctx)
    })
}

fn is_tested(cx: &RuleContext<'_>, module: ModuleId, ctx: CtxIx) -> bool {
    let facts = &cx.program.module(module).facts;
    facts
        .ctx_chain(ctx)
        .any(|(_, ctx)| matches!(ctx.kind, CtxKind::Branch(test, _) if mentions_main(cx, module, test, 0)))
}

/// Whether a test asks for the main thread.
fn mentions_main(cx: &RuleContext<'_>, module: ModuleId, term: TermId, depth: usize) -> bool {
    const MAX_DEPTH: usize = 8;
    let facts = &cx.program.module(module).facts;
    if depth > MAX_DEPTH {
        return false;
    }
    let inner = |term| mentions_main(cx, module, term, depth + 1);
    match facts.terms.get(term) {
        Term::Call(call) => {
            let asks =
                [qual!("threading.main_thread"), qual!("threading.current_thread"), qual!("threading.currentThread")];
            cx.program.library_callee(module, call).is_some_and(|name| asks.contains(&name))
                || inner(facts.calls[call.index()].callee)
                || facts.args_of(call).iter().any(|arg| inner(arg.value))
        }
        Term::Name(_) => {
            let Some(var) = facts.var_of(term) else { return false };
            facts.vars[var.index()].values.iter().take(2).any(|&value| value != term && inner(value))
        }
        _ => facts.terms.children(term).any(inner),
    }
}

/// Whether a `try` around the call catches what it raises.
fn expects_failure(cx: &RuleContext<'_>, module: ModuleId, ctx: CtxIx) -> bool {
    let facts = &cx.program.module(module).facts;
    let mut tries = facts.ctx_chain(ctx).filter(|(_, ctx)| ctx.kind == CtxKind::Try);
    tries.any(|(at, block)| {
        // The handlers of a `try` are the next ones beside it.
        let later = facts.ctxs.iter().skip(at.index() + 1).filter(|ctx| ctx.parent == block.parent);
        let mut handlers = later.take_while(|ctx| ctx.kind != CtxKind::Try && ctx.kind != CtxKind::Finally);
        handlers.any(|ctx| matches!(ctx.kind, CtxKind::Handler(types) if catches(cx, module, types)))
    })
}

fn catches(cx: &RuleContext<'_>, module: ModuleId, types: TermId) -> bool {
    let names = [
        qual!("builtins.ValueError"),
        qual!("builtins.RuntimeError"),
        qual!("builtins.Exception"),
        qual!("builtins.BaseException"),
    ];
    let facts = &cx.program.module(module).facts;
    match facts.terms.get(types) {
        Term::Opaque => true,
        Term::Display(_, list) => facts.terms.list(list).iter().any(|&one| catches(cx, module, one)),
        _ => matches!(cx.program.kind(module, types), Kind::Lib(name) if names.contains(&name)),
    }
}

fn describe(cx: &RuleContext<'_>, id: FuncId, event: &Event, name: &str, visit: &Visit) -> Finding {
    debug_assert!(matches!(event.kind, EventKind::Call(_)), "only calls install handlers");
    let thread = cx.program.root_name(visit.root);
    let finding = Finding::new(
        cx.span(event.range),
        Confidence::High,
        format!("`{name}` raises `ValueError` off the main thread"),
    )
    .label("only the main thread may install signal handlers")
    .on_thread(thread.clone());
    evidence::on_thread(cx.program, finding, id, ThreadOf::Root(visit.root))
        .note(format!("the {thread} runs this"))
        .note("all builds and versions")
        .help("install the handler in the main thread before threads start, and let it set an `Event` that the thread waits for")
}
