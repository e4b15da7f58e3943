//! `AET004`: an event loop driven from a thread that is not its own.

use std::cell::LazyCell;
use std::sync::LazyLock;

use rustc_hash::FxHashSet;

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, EventIx, EventKind, FuncIx, Qual, Sym, Term};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, ModuleId, Place, Program, RootId, ThreadOf};
use crate::model::{Role, RunsOn};
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a call of a loop method that is not thread-safe (`call_soon`, `call_later`, `create_task`, `stop`,
    /// `add_reader` …), or of a method of an `asyncio` queue, event, lock, condition, semaphore, future or task, from
    /// another thread than the loop's.
    ///
    /// ## Why is this bad?
    /// The loop is not woken: the callback runs whenever something else happens, or never. The loop's own tables are
    /// changed while it reads them; on free-threaded builds that is memory-unsafe (3.13t). Debug mode raises.
    ///
    /// ## Example
    /// ```python bad
    /// import asyncio
    /// import threading
    ///
    /// async def main():
    ///     loop = asyncio.get_running_loop()
    ///     done = asyncio.Event()
    ///
    ///     def work():
    ///         done.set()
    ///
    ///     threading.Thread(target=work).start()
    ///     await done.wait()
    ///
    /// asyncio.run(main())
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import asyncio
    /// import threading
    ///
    /// async def main():
    ///     loop = asyncio.get_running_loop()
    ///     done = asyncio.Event()
    ///
    ///     def work():
    ///         loop.call_soon_threadsafe(done.set)
    ///
    ///     threading.Thread(target=work).start()
    ///     await done.wait()
    ///
    /// asyncio.run(main())
    /// ```
    ///
    /// ## Limits
    /// A thread that runs a loop of its own is taken to be that loop's thread, also where only the name says that it is a
    /// loop (`self.io_loop.start()`). `loop.stop()` from the thread that
    /// started the loop's thread is reported where the loop is known to run there.
    ///
    /// ## References
    /// - [asyncio: concurrency and multithreading](https://docs.python.org/3/library/asyncio-dev.html#concurrency-and-multithreading)
    pub(crate) static ASYNC_THREADING_MIX = {
        code: "AET004", name: "async-threading-mix", summary: "event loop or asyncio object used from another thread",
        family: FreeThreading, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const LOOP: Qual = Qual::of("asyncio.AbstractEventLoop");

/// Loop methods that only the loop's own thread may call.
const LOOP_METHODS: &[&str] = &[
    "call_soon",
    "call_later",
    "call_at",
    "create_task",
    "stop",
    "add_reader",
    "add_writer",
    "remove_reader",
    "remove_writer",
    "create_future",
];

/// Methods of asyncio objects that wake tasks or change their state.
const PRIMITIVES: &[(&str, &[&str])] = &[
    ("asyncio.Queue", &["put_nowait", "get_nowait", "task_done"]),
    // `clear` stores a flag, and touches nobody who waits.
    ("asyncio.Event", &["set"]),
    ("asyncio.Lock", &["release"]),
    ("asyncio.Condition", &["notify", "notify_all", "release"]),
    ("asyncio.Semaphore", &["release"]),
    ("asyncio.Future", &["set_result", "set_exception", "cancel", "add_done_callback"]),
];

static UNSAFE: LazyLock<FxHashSet<Qual>> = LazyLock::new(|| {
    let of_loop = LOOP_METHODS.iter().map(|method| LOOP.child(Sym::new(method)));
    let of_primitives = PRIMITIVES
        .iter()
        .flat_map(|(class, methods)| methods.iter().map(|method| Qual::of(class).child(Sym::new(method))));
    of_loop.chain(of_primitives).collect()
});

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let driven = LazyCell::new(|| driven_loops(cx.program));
    for (function, id) in cx.functions() {
        if cx.facts().functions[function.index()].flags.is_async || cx.program.is_setup(id) {
            continue;
        }
        for (at, event) in cx.events(function) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(name) = cx.program.library_callee(cx.module, call) else { continue };
            if !UNSAFE.contains(&name) {
                continue;
            }
            let span = cx.span(event.range);
            if let Some(root) = foreign_thread(cx, id) {
                findings.report(from_thread(cx, id, call, span, root));
            } else if let Some((place, root)) = runs_elsewhere(cx, function, id, (at, call), &driven) {
                findings.report(from_outside(cx, call, span, place, root));
            }
        }
    }
}

/// A thread that reaches the function and runs no loop of its own.
fn foreign_thread(cx: &RuleContext<'_>, id: FuncId) -> Option<RootId> {
    let on_loop = cx.program.visits(id).iter().any(|visit| cx.program.root(visit.root).runs_on == RunsOn::Loop);
    let mut threads = cx.program.thread_visits(id).map(|visit| visit.root);
    threads.find(|&root| !on_loop && !runs_a_loop(cx.program, root) && !starts_a_loop(cx.program, root))
}

/// Whether a root's own function starts something that is a loop by its name: `self.io_loop.start()`.
fn starts_a_loop(program: &Program, root: RootId) -> bool {
    let (module, function) = program.func_local(program.root(root).function);
    let facts = &program.module(module).facts;
    let starters = [sym!("start"), sym!("run_forever"), sym!("run_sync"), sym!("run_until_complete")];
    facts.events_of(function).iter().any(|event| {
        let EventKind::Call(call) = event.kind else { return false };
        let Some(method) = facts.callee_name(call).filter(|name| starters.contains(name)) else { return false };
        let object = facts.receiver_of(call);
        let name = match facts.terms.get(object) {
            Term::Attr(_, name) => facts.name(name),
            Term::Name(_) => facts.var_of(object).map_or("", |var| facts.name(facts.vars[var.index()].name)),
            _ => "",
        };
        let is_unknown = !program.kind(module, object).is_known();
        (is_unknown && method != sym!("start")) || name.trim_matches('_').ends_with("loop")
    })
}

/// Whether the thread of a root runs an event loop.
fn runs_a_loop(program: &Program, root: RootId) -> bool {
    loop_runners(program)
        .iter()
        .any(|(function, _, _)| program.visits(*function).iter().any(|visit| visit.root == root))
}

/// Every call that runs a loop: the function, the call's module, the call.
fn loop_runners(program: &Program) -> Vec<(FuncId, ModuleId, CallIx)> {
    let runners = [
        qual!("asyncio.run"),
        qual!("asyncio.AbstractEventLoop.run_forever"),
        qual!("asyncio.AbstractEventLoop.run_until_complete"),
        qual!("asyncio.set_event_loop"),
        qual!("asyncio.Runner.run"),
    ];
    let calls = runners.into_iter().flat_map(|name| program.calls_of(name)).copied();
    let with_function = calls.map(|(module, call)| {
        let facts = &program.module(module).facts;
        (program.func_id(module, facts.function_of_ctx(facts.calls[call.index()].ctx)), module, call)
    });
    with_function.collect()
}

/// The loops that a thread root runs, by the place they are kept in.
fn driven_loops(program: &Program) -> Vec<(Place, RootId)> {
    let mut driven = Vec::new();
    for (function, module, call) in loop_runners(program) {
        let facts = &program.module(module).facts;
        let Term::Attr(event_loop, method) = facts.terms.get(facts.calls[call.index()].callee) else { continue };
        if method != sym!("run_forever") && method != sym!("run_until_complete") {
            continue;
        }
        let (_, local) = program.func_local(function);
        let Some((place, _)) = program.place(module, local, event_loop) else { continue };
        driven.extend(program.thread_visits(function).map(|visit| (place, visit.root)));
    }
    driven
}

/// The loop a call is made on, if another thread runs it.
fn runs_elsewhere(
    cx: &RuleContext<'_>,
    function: FuncIx,
    id: FuncId,
    (at, call): (EventIx, CallIx),
    driven: &[(Place, RootId)],
) -> Option<(Place, RootId)> {
    let facts = cx.facts();
    let Term::Attr(object, _) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
    if cx.program.kind(cx.module, object).role() != Some(Role::Loop) || !cx.program.on_main(id) {
        return None;
    }
    let (place, _) = cx.program.place(cx.module, function, object)?;
    let &(place, root) = driven.iter().find(|(loop_place, _)| *loop_place == place)?;
    let reached = cx.program.visits(id).iter().any(|visit| visit.root == root);
    // Before the thread starts the loop is nobody's yet.
    let before = cx.program.lifetime(root).is_some_and(|lifetime| lifetime.by == id && at <= lifetime.from);
    (!reached && !before).then_some((place, root))
}

fn from_thread(cx: &RuleContext<'_>, function: FuncId, call: CallIx, span: Span, root: RootId) -> Finding {
    let (object, method) = named(cx, call);
    let thread = cx.program.root_name(root);
    let message = format!("`{object}{method}` belongs to the event loop but is called from another thread");
    let finding = Finding::new(span, Confidence::High, message)
        .label("the loop is not woken, its state is not guarded")
        .on_thread(thread);
    let finding = evidence::on_thread(cx.program, finding, function, ThreadOf::Root(root));
    advise(finding, &object, &method)
}

fn from_outside(cx: &RuleContext<'_>, call: CallIx, span: Span, place: Place, root: RootId) -> Finding {
    let (object, method) = named(cx, call);
    let name = cx.program.place_name(place);
    let message = format!("`{object}{method}` is called on a loop that runs in another thread");
    let start = Evidence::new(
        EvidenceRole::RootStarts,
        cx.program.root(root).span,
        format!("`{name}` runs on the thread started here"),
    );
    let finding = Finding::new(span, Confidence::High, message)
        .label("the loop is not woken, its state is not guarded")
        .on_thread("main thread")
        .evidence(start.on_thread(cx.program.root_name(root)));
    advise(finding, &object, &method)
}

fn advise(finding: Finding, object: &str, method: &str) -> Finding {
    let help = match method {
        "create_task" => "submit the coroutine with `asyncio.run_coroutine_threadsafe(coro, loop)`".to_owned(),
        "create_future" => "make the future on the loop's thread, or use a `concurrent.futures.Future`".to_owned(),
        "call_soon" => "use `call_soon_threadsafe` instead".to_owned(),
        "call_later" | "call_at" => {
            format!("schedule it from the loop's thread: `loop.call_soon_threadsafe({object}{method}, …)`")
        }
        _ => format!("hand it to the loop: `loop.call_soon_threadsafe({object}{method}, …)`"),
    };
    finding.note("all builds; on 3.13t it corrupts the loop's memory").help(help)
}

/// `object.` and `method` of a call, as a reader would write them.
fn named(cx: &RuleContext<'_>, call: CallIx) -> (String, String) {
    let facts = cx.facts();
    let Term::Attr(object, method) = facts.terms.get(facts.calls[call.index()].callee) else {
        return (String::new(), "call".to_owned());
    };
    let object = match facts.terms.get(object) {
        Term::Name(_) | Term::Attr(..) => Some(crate::naming::readable(facts, object)),
        _ => None,
    };
    (object.map(|name| format!("{name}.")).unwrap_or_default(), facts.name(method).to_owned())
}
