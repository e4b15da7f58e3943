//! Work that a coroutine hands to a thread and waits for at once: `await loop.run_in_executor(None, self.work)`.
//!
//! The coroutine stands still meanwhile, so what it hands over is nobody else's: what happens to `self` happens one
//! after the other. Globals and class attributes stay shared, and so does an object that several tasks work on.
//!
//! *Invariant:* "waited for" is only said of a call whose result is awaited in the same expression.

use super::calls::Receiver;
use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use super::roots::{Root, Started};
use crate::facts::{CallIx, Const, EventKind, Qual, Term, TermId, Usage};
use crate::model::RunsOn;
use crate::{qual, sym};

/// Who waits for what a root does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handed {
    /// Nobody at once: it runs beside whoever started it.
    #[default]
    Over,
    /// The coroutine that started it: its own objects are lent, not shared.
    Lent,
}

/// Calls that run a function on a thread and give back something to await.
const OFFLOADS: &[Qual] = &[
    qual!("asyncio.to_thread"),
    qual!("asyncio.AbstractEventLoop.run_in_executor"),
    qual!("tornado.ioloop.IOLoop.run_in_executor"),
    qual!("anyio.to_thread.run_sync"),
    qual!("trio.to_thread.run_sync"),
    qual!("starlette.concurrency.run_in_threadpool"),
    qual!("fastapi.concurrency.run_in_threadpool"),
    qual!("asgiref.sync.sync_to_async"),
    qual!("concurrent.futures.Executor.submit"),
];

/// Calls that await what they are given.
const WAITERS: &[Qual] = &[qual!("asyncio.wait_for"), qual!("asyncio.shield"), qual!("asyncio.wrap_future")];

/// Says of a root that was found whether it is lent, and whether its runs overlap.
pub(super) fn settle(program: &Program, module: ModuleId, started: Started, callback: TermId, root: Root) -> Root {
    let Some(name) = program.library_callee(module, started.call) else { return root };
    if root.runs_on != RunsOn::Pool || !OFFLOADS.contains(&name) {
        return root;
    }
    // One thread runs all of them, unless the call says otherwise.
    let facts = &program.modules[module.index()].facts;
    let one_thread = name == qual!("asgiref.sync.sync_to_async")
        && facts
            .keyword(started.call, sym!("thread_sensitive"))
            .is_none_or(|arg| facts.terms.get(arg.value) == Term::Const(Const::True));
    let root = Root { self_parallel: root.self_parallel && !one_thread, ..root };
    let is_alone = if is_awaited(program, module, started) {
        !runs_in_several_tasks(program, started.by, 0)
    } else {
        is_awaited_by_callers(program, module, started, callback, root.function)
    };
    if !is_alone || is_everybodys(program, module, started, callback) {
        return root;
    }
    Root { shares_self: false, handed: Handed::Lent, ..root }
}

/// Whether the result of a call is awaited in the expression it stands in.
fn is_awaited(program: &Program, module: ModuleId, started: Started) -> bool {
    let facts = &program.modules[module.index()].facts;
    let mut wanted = started.call;
    if facts.calls[wanted.index()].usage == Usage::Awaited {
        return true;
    }
    let (_, by) = program.func_local(started.by);
    let first = facts.functions[by.index()].events.start;
    let later = facts.events_of(by).iter().skip((started.event.0 - first) as usize + 1);
    for event in later.take(8) {
        let EventKind::Call(call) = event.kind else { continue };
        // `sync_to_async(f)(x)`, `wait_for(loop.run_in_executor(…), 1)`.
        let is_result = |term: TermId| facts.terms.get(term) == Term::Call(wanted);
        let passes_on = |call: CallIx| {
            let waits = program.library_callee(module, call).is_some_and(|name| WAITERS.contains(&name));
            waits && facts.positional(call, 0).is_some_and(|arg| is_result(arg.value))
        };
        if is_result(facts.calls[call.index()].callee) || passes_on(call) {
            if facts.calls[call.index()].usage == Usage::Awaited {
                return true;
            }
            wanted = call;
        }
    }
    false
}

/// Whether the starter only passes on what it is given, and whoever gives it this function awaits what comes back:
/// `def offload(self, f): …submit(f)…`, called as `await self.offload(work)`.
fn is_awaited_by_callers(
    program: &Program,
    module: ModuleId,
    started: Started,
    callback: TermId,
    function: FuncId,
) -> bool {
    let (_, by) = program.func_local(started.by);
    let facts = &program.modules[module.index()].facts;
    let declaration = &facts.functions[by.index()];
    let Some(position) = facts.var_of(callback).and_then(|var| {
        facts.vars[var.index()].values.iter().find_map(|&value| match facts.terms.get(value) {
            Term::Param(of, position) if of == by => Some(usize::from(position)),
            _ => None,
        })
    }) else {
        return false;
    };
    let returns = facts.events_of(by).iter().any(|event| matches!(event.kind, EventKind::Return(_)));
    let bound = usize::from(declaration.class.is_some() && !declaration.flags.is_static);
    let (Some(at), Some(param)) = (position.checked_sub(bound), declaration.params.get(position)) else { return false };
    if declaration.flags.is_async || !returns {
        return false;
    }
    let mut gives = program.callers(started.by).iter().filter_map(|site| {
        let (module, _) = program.func_local(site.caller);
        let facts = &program.modules[module.index()].facts;
        let EventKind::Call(call) = facts.events[site.event.index()].kind else { return None };
        let given = facts.arg(call, at, param.name)?;
        let is_it = program.callbacks(module, given.value).contains(&function);
        is_it.then(|| {
            facts.calls[call.index()].usage == Usage::Awaited && !runs_in_several_tasks(program, site.caller, 0)
        })
    });
    gives.next().is_some_and(|first| first && gives.all(|awaited| awaited))
}

/// Whether several tasks run a coroutine on one object: `gather(self.f(1), self.f(2))`, `create_task(self.f())` in a
/// loop. A call that is not awaited starts a task, or is handed to something that does.
fn runs_in_several_tasks(program: &Program, coroutine: FuncId, depth: usize) -> bool {
    const MAX_DEPTH: usize = 3;
    if depth >= MAX_DEPTH {
        return false;
    }
    let mut starters: Vec<FuncId> = Vec::new();
    for site in program.callers(coroutine) {
        let (module, _) = program.func_local(site.caller);
        let facts = &program.modules[module.index()].facts;
        let EventKind::Call(call) = facts.events[site.event.index()].kind else { continue };
        let same_object = matches!(site.receiver, Receiver::Own | Receiver::OfOwn | Receiver::Global);
        if !same_object || site.caller == coroutine {
            continue;
        }
        if facts.calls[call.index()].usage == Usage::Awaited {
            if runs_in_several_tasks(program, site.caller, depth + 1) {
                return true;
            }
        } else if program.in_loop(module, site.ctx) || starters.contains(&site.caller) {
            return true;
        } else {
            starters.push(site.caller);
        }
    }
    false
}

/// Whether the object whose method runs is a global one, which every task finds.
fn is_everybodys(program: &Program, module: ModuleId, started: Started, callback: TermId) -> bool {
    let facts = &program.modules[module.index()].facts;
    let (_, by) = program.func_local(started.by);
    match facts.terms.get(callback) {
        Term::Attr(base, _) => {
            let is_object = matches!(program.kind(module, base), Kind::Instance(_));
            is_object && program.receiver(module, by, base) == Receiver::Global
        }
        _ => false,
    }
}
