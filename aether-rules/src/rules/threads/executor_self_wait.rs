//! `AET405`: a task of a pool waits for another task of the same pool.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, Const, EventKind, FuncIx, Qual, ScopeKind, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, ModuleId, Place, Program, RootId};
use crate::model::RunsOn;
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a function that runs in an executor and waits, with `result()`, `map`, `wait` or `as_completed`, for what
    /// it has submitted to the same executor.
    ///
    /// ## Why is this bad?
    /// The waiting task occupies a worker. When all workers wait, nobody is left to run what they wait for: deadlock. It
    /// takes as many such tasks at once as there are workers, so it shows under load.
    ///
    /// ## Example
    /// ```python bad
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// pool = ThreadPoolExecutor(2)
    ///
    /// def load(name):
    ///     return name
    ///
    /// def load_with_parent(name):
    ///     return pool.submit(load, name).result()
    ///
    /// for name in "ab":
    ///     pool.submit(load_with_parent, name)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// pool = ThreadPoolExecutor(2)
    ///
    /// def load(name):
    ///     return name
    ///
    /// def load_with_parent(name):
    ///     return load(name)
    ///
    /// for name in "ab":
    ///     pool.submit(load_with_parent, name)
    /// ```
    ///
    /// ## Limits
    /// The number of workers is not compared with the number of waiting tasks. A pool that the function makes itself is
    /// another one in each call. A wait with a timeout is shown with `--all` only. Futures handed over as arguments and
    /// cycles over several pools are not followed.
    ///
    /// ## References
    /// - [ThreadPoolExecutor: deadlocks](https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor)
    pub(crate) static EXECUTOR_SELF_WAIT = {
        code: "AET405", name: "executor-self-wait", summary: "pool task waits for a task of the same pool",
        family: Threads, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const SUBMIT: Qual = Qual::of("concurrent.futures.Executor.submit");
const MAP: Qual = Qual::of("concurrent.futures.Executor.map");

/// How far a future is followed through names.
const MAX_HOPS: usize = 4;

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (function, id) in cx.functions() {
        let pools = pools_that_run(cx.program, id);
        if pools.is_empty() {
            continue;
        }
        let mut reported: Vec<CallIx> = Vec::new();
        for (_, event) in cx.events(function) {
            for (wait, submit) in waited_for(cx, event.kind) {
                let Some(place) = pool_of(cx.program, cx.module, function, submit) else { continue };
                let Some(&(_, root)) = pools.iter().find(|(pool, _)| *pool == place) else { continue };
                if is_own_variable(cx, function, submit) {
                    continue;
                }
                if !reported.contains(&wait) {
                    reported.push(wait);
                    findings.report(describe(cx, id, (wait, submit), place, root));
                }
            }
        }
    }
}

/// The executors whose workers run a function.
fn pools_that_run(program: &Program, function: FuncId) -> Vec<(Place, RootId)> {
    let mut pools = Vec::new();
    for visit in program.thread_visits(function) {
        let root = program.root(visit.root);
        let Some(started) = root.started.filter(|_| root.runs_on == RunsOn::Pool) else { continue };
        let (module, by) = program.func_local(started.by);
        pools.extend(pool_of(program, module, by, started.call).map(|place| (place, visit.root)));
    }
    pools
}

/// Whether the pool is a variable of the function itself: every call of it, a recursive one too, makes another.
fn is_own_variable(cx: &RuleContext<'_>, function: FuncIx, submit: CallIx) -> bool {
    let facts = cx.facts();
    facts.var_of(facts.receiver_of(submit)).is_some_and(|var| {
        let is_made = |value: &TermId| matches!(facts.terms.get(*value), Term::Entered(_) | Term::Call(_));
        facts.var_scope(var) == ScopeKind::Function(function) && facts.vars[var.index()].values.iter().all(is_made)
    })
}

/// Whether a wait gives up some time: then there is no deadlock, and the caller learns that no worker was free.
fn gives_up(cx: &RuleContext<'_>, wait: CallIx) -> bool {
    let timeout = cx.facts().arg(wait, 0, sym!("timeout"));
    cx.facts().callee_name(wait).is_some_and(|name| [sym!("result"), sym!("exception")].contains(&name))
        && timeout.is_some_and(|arg| cx.facts().terms.get(arg.value) != Term::Const(Const::None))
}

/// The place of the executor that a `submit` or `map` is called on.
fn pool_of(program: &Program, module: ModuleId, function: FuncIx, call: CallIx) -> Option<Place> {
    let name = program.library_callee(module, call)?;
    if name != SUBMIT && name != MAP {
        return None;
    }
    let receiver = program.module(module).facts.receiver_of(call);
    program.place(module, function, receiver).map(|(place, _)| place)
}

/// The submitted calls that a step waits for, each with the call to point at.
fn waited_for(cx: &RuleContext<'_>, event: EventKind) -> Vec<(CallIx, CallIx)> {
    let facts = cx.facts();
    match event {
        EventKind::Iterate(term) => consumed_map(cx, term).map(|map| (map, map)).into_iter().collect(),
        EventKind::Call(call) => {
            let name = cx.program.library_callee(cx.module, call);
            if name == Some(qual!("concurrent.futures.Future.result"))
                || name == Some(qual!("concurrent.futures.Future.exception"))
            {
                let futures = made_by(cx, facts.receiver_of(call), 0);
                return futures.into_iter().map(|submit| (call, submit)).collect();
            }
            if name == Some(qual!("concurrent.futures.wait")) || name == Some(qual!("concurrent.futures.as_completed"))
            {
                let Some(given) = facts.arg(call, 0, sym!("fs")) else { return Vec::new() };
                return elements_made_by(cx, given.value, 0).into_iter().map(|submit| (call, submit)).collect();
            }
            let maps = facts.args_of(call).iter().filter_map(|arg| consumed_map(cx, arg.value));
            maps.map(|map| (map, map)).collect()
        }
        _ => Vec::new(),
    }
}

/// A `map` of an executor whose results are taken.
fn consumed_map(cx: &RuleContext<'_>, term: TermId) -> Option<CallIx> {
    let Term::Call(call) = cx.facts().terms.get(term) else { return None };
    (cx.program.library_callee(cx.module, call) == Some(MAP)).then_some(call)
}

/// The calls whose result a term may be.
fn made_by(cx: &RuleContext<'_>, term: TermId, hops: usize) -> Vec<CallIx> {
    let facts = cx.facts();
    if hops > MAX_HOPS {
        return Vec::new();
    }
    match facts.terms.get(term) {
        Term::Call(call) => vec![call],
        Term::Name(_) => values(cx, term).into_iter().flat_map(|value| made_by(cx, value, hops + 1)).collect(),
        Term::Element(iterable) => elements_made_by(cx, iterable, hops + 1),
        _ => Vec::new(),
    }
}

/// The calls whose results the elements of a term may be.
fn elements_made_by(cx: &RuleContext<'_>, term: TermId, hops: usize) -> Vec<CallIx> {
    let facts = cx.facts();
    if hops > MAX_HOPS {
        return Vec::new();
    }
    match facts.terms.get(term) {
        Term::Comp(_, element) => made_by(cx, element, hops + 1),
        Term::Display(_, list) => facts.terms.list(list).iter().flat_map(|&part| made_by(cx, part, hops + 1)).collect(),
        Term::Name(_) => values(cx, term).into_iter().flat_map(|value| elements_made_by(cx, value, hops + 1)).collect(),
        Term::Call(call)
            if cx.program.library_callee(cx.module, call) == Some(qual!("concurrent.futures.as_completed")) =>
        {
            facts.positional(call, 0).map(|arg| elements_made_by(cx, arg.value, hops + 1)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn values(cx: &RuleContext<'_>, name: TermId) -> Vec<TermId> {
    let facts = cx.facts();
    facts.var_of(name).map(|var| facts.vars[var.index()].values.to_vec()).unwrap_or_default()
}

fn describe(
    cx: &RuleContext<'_>,
    function: FuncId,
    (wait, submit): (CallIx, CallIx),
    place: Place,
    root: RootId,
) -> Finding {
    let pool = cx.program.place_name(place);
    let thread = cx.program.root_name(root);
    let message = format!("a task of `{pool}` waits for another task of `{pool}`");
    let confidence = if gives_up(cx, wait) { Confidence::Low } else { Confidence::High };
    let mut finding = Finding::new(cx.span(cx.facts().calls[wait.index()].range), confidence, message)
        .label("occupies a worker; when all do, nobody runs what they wait for")
        .on_thread(thread);
    if wait != submit {
        let span = cx.span(cx.facts().calls[submit.index()].range);
        if !finding.primary.range.contains_range(span.range) {
            finding =
                finding.evidence(Evidence::new(EvidenceRole::OtherAccess, span, format!("submitted to `{pool}` here")));
        }
    }
    evidence::with_root(cx.program, finding, function, root)
        .note("all builds: deadlock once as many such tasks run as the pool has workers")
        .help("call the function directly, give the inner tasks a pool of their own, or chain with `add_done_callback`")
}
