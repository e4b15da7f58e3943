//! `AET505`: a thread asks for an event loop that it does not have.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, CtxIx, CtxKind, EventKind, FuncIx, Qual, TermId};
use crate::link::{FuncId, Kind, Program, RootId};
use crate::model::RunsOn;
use crate::{Confidence, Finding, Findings, RuleContext, naming, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports `asyncio.get_event_loop`, `get_running_loop`, `create_task` and `ensure_future` in a function that runs
    /// on a thread of its own, where no loop is set and none runs.
    ///
    /// ## Why is this bad?
    /// Only the main thread is given a loop by default. In every other thread these calls raise RuntimeError ("There is
    /// no current event loop in thread", "no running event loop").
    ///
    /// ## Example
    /// ```python bad
    /// import asyncio
    /// import threading
    ///
    /// async def load():
    ///     return 42
    ///
    /// def work():
    ///     loop = asyncio.get_event_loop()
    ///     print(loop.run_until_complete(load()))
    ///
    /// threading.Thread(target=work).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import asyncio
    /// import threading
    ///
    /// async def load():
    ///     return 42
    ///
    /// def work():
    ///     print(asyncio.run(load()))
    ///
    /// threading.Thread(target=work).start()
    /// ```
    ///
    /// ## Limits
    /// A thread that calls `set_event_loop` anywhere, and a call whose RuntimeError is caught, are accepted. A loop set by
    /// the initializer of a pool is not seen.
    ///
    /// ## References
    /// - [asyncio.get_event_loop](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_event_loop)
    pub(crate) static EVENT_LOOP_IN_THREAD = {
        code: "AET505", name: "event-loop-in-thread", summary: "thread asks for an event loop it does not have",
        family: Asyncio, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const NEEDS_LOOP: &[Qual] = &[
    Qual::of("asyncio.get_event_loop"),
    Qual::of("asyncio.get_running_loop"),
    Qual::of("asyncio.create_task"),
    Qual::of("asyncio.ensure_future"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (function, id) in cx.functions() {
        if cx.facts().functions[function.index()].flags.is_async || cx.program.thread_visits(id).next().is_none() {
            continue;
        }
        for (_, event) in cx.events(function) {
            let EventKind::Call(call) = event.kind else { continue };
            let needs = cx.program.library_callee(cx.module, call).is_some_and(|name| NEEDS_LOOP.contains(&name));
            if !needs || is_given_a_loop(cx, call) || is_caught(cx, function, event.ctx) {
                continue;
            }
            if let Some(root) = loopless_thread(cx.program, id) {
                findings.report(describe(cx, id, call, root));
            }
        }
    }
}

/// `ensure_future(coro, loop=loop)`.
fn is_given_a_loop(cx: &RuleContext<'_>, call: CallIx) -> bool {
    cx.facts().keyword(call, sym!("loop")).is_some()
}

/// Whether the RuntimeError is caught in the same function.
fn is_caught(cx: &RuleContext<'_>, function: FuncIx, ctx: CtxIx) -> bool {
    let facts = cx.facts();
    let tries = facts.ctx_chain(ctx).filter(|(_, ctx)| ctx.kind == CtxKind::Try).map(|(_, ctx)| ctx.parent);
    let tries: Vec<CtxIx> = tries.collect();
    let handlers = facts.ctxs.iter().enumerate().filter_map(|(index, ctx)| match ctx.kind {
        CtxKind::Handler(types) if tries.contains(&ctx.parent) => Some((CtxIx::at(index), types)),
        _ => None,
    });
    handlers.filter(|&(at, _)| facts.function_of_ctx(at) == function).any(|(_, types)| may_catch(cx, types))
}

/// Whether a handler may catch a RuntimeError: unless it names something else.
fn may_catch(cx: &RuleContext<'_>, types: TermId) -> bool {
    let other = [qual!("builtins.ImportError"), qual!("builtins.AttributeError"), qual!("builtins.KeyError")];
    !matches!(cx.program.kind(cx.module, types), Kind::Lib(name) if other.contains(&name))
}

/// A thread that reaches the function without passing a coroutine, and on which no loop is ever set.
fn loopless_thread(program: &Program, id: FuncId) -> Option<RootId> {
    let on_loop = |visit: &crate::link::Visit| program.root(visit.root).runs_on == RunsOn::Loop;
    if program.visits(id).iter().any(on_loop) {
        return None;
    }
    let mut roots = program.thread_visits(id).map(|visit| visit.root);
    roots.find(|&root| {
        let through_coroutine = program.path_from_root(id, root).iter().any(|(_, site)| program.function(site.caller).flags.is_async);
        !through_coroutine && !program.function(program.root(root).function).flags.is_async && !sets_a_loop(program, root)
    })
}

/// Whether some function that runs on the thread of a root sets a loop.
fn sets_a_loop(program: &Program, root: RootId) -> bool {
    let set = qual!("asyncio.set_event_loop");
    program.modules().any(|(id, module)| {
        module.facts.calls.iter().enumerate().any(|(index, call)| {
            program.library_callee(id, CallIx::at(index)) == Some(set) && {
                let by = program.func_id(id, module.facts.function_of_ctx(call.ctx));
                program.visits(by).iter().any(|visit| visit.root == root)
            }
        })
    })
}

fn describe(cx: &RuleContext<'_>, function: FuncId, call: CallIx, root: RootId) -> Finding {
    let called = naming::callee(cx.facts(), call);
    let thread = cx.program.root_name(root);
    let confidence = match cx.program.root(root).runs_on {
        RunsOn::Server => Confidence::Medium,
        _ => Confidence::High,
    };
    let message = format!("`{called}` in the {thread}, which has no event loop");
    let finding = Finding::new(cx.span(cx.facts().calls[call.index()].range), confidence, message)
        .label("raises RuntimeError: no event loop in this thread")
        .on_thread(thread);
    let finding = evidence::with_root(cx.program, finding, function, root).note("all builds");
    let name = cx.program.library_callee(cx.module, call);
    if name == Some(qual!("asyncio.get_event_loop")) {
        finding.help("run the coroutine with `asyncio.run(…)`, or hand the loop over and use `asyncio.run_coroutine_threadsafe`")
    } else {
        finding.help("hand the loop to the thread and use `asyncio.run_coroutine_threadsafe(coro, loop)`")
    }
}
