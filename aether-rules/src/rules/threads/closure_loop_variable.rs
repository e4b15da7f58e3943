//! `AET404`: a thread's function sees a variable that the loop that started it has moved on.

use crate::declare_rule;
use crate::facts::{CallIx, CtxIx, CtxKind, Event, EventIx, EventKind, FuncIx, ModuleFacts, Qual, Term, TermId, Usage, VarIx};
use crate::finding::{Applicability, Edit, Evidence, EvidenceRole, Fix};
use crate::link::{FuncId, RootId};
use crate::model::Role;
use crate::{Confidence, Finding, Findings, RuleContext, naming, qual, spawning, sym};
use ruff_text_size::TextRange;

declare_rule! {
    /// ## What it does
    /// Reports a lambda or nested function, handed to a thread, timer or pool in a loop, that reads a variable which the
    /// loop assigns anew in every round.
    ///
    /// ## Why is this bad?
    /// A closure keeps the variable, not its value. By the time the thread reads it the loop has gone on: threads see a
    /// later value, most of them the last one. Which one depends on timing.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// for number in range(3):
    ///     threading.Thread(target=lambda: print(number)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// for number in range(3):
    ///     threading.Thread(target=print, args=(number,)).start()
    /// ```
    ///
    /// ## Limits
    /// A loop that waits for the thread in the same round, and one that returns after the first start, are accepted; one
    /// that ends with `break` is not recognised. Callables kept in containers are not followed.
    ///
    /// ## References
    /// - [Programming FAQ: lambdas in a loop](https://docs.python.org/3/faq/programming.html#why-do-lambdas-defined-in-a-loop-with-different-values-all-return-the-same-result)
    pub(crate) static CLOSURE_LOOP_VARIABLE = {
        code: "AET404", name: "closure-loop-variable", summary: "thread's closure reads a variable that the loop changes",
        family: Threads, level: Error, since: "0.1.0", versions: "all", fix: Unsafe, check: Some(check),
    }
}

/// Calls that only return when the callable has run for the last time.
const WAITS_ITSELF: &[Qual] = &[
    Qual::of("multiprocessing.pool.ThreadPool.apply"),
    Qual::of("multiprocessing.pool.ThreadPool.map"),
    Qual::of("multiprocessing.pool.ThreadPool.starmap"),
];

/// A closure started in a loop.
struct Started {
    at: EventIx,
    event: Event,
    call: CallIx,
    closure: FuncIx,
}

/// A read of a variable that a loop assigns.
struct LateRead {
    var: VarIx,
    range: TextRange,
    around: CtxIx,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let mut reported: Vec<FuncIx> = Vec::new();
    for (function, _) in cx.functions() {
        for started in closures_started(cx, function) {
            let reads = late_reads(cx, function, &started);
            if reads.is_empty() || reported.contains(&started.closure) {
                continue;
            }
            reported.push(started.closure);
            findings.report(describe(cx, &started, &reads));
        }
    }
}

/// The closures of a function that it hands to threads inside a loop, and does not wait for itself.
fn closures_started(cx: &RuleContext<'_>, function: FuncIx) -> Vec<Started> {
    let facts = cx.facts();
    let mut found = Vec::new();
    for (at, event) in cx.events(function) {
        let EventKind::Call(call) = event.kind else { continue };
        if loops_around(facts, event.ctx).next().is_none() {
            continue;
        }
        let Some(target) = spawning::callable_argument(cx, call) else { continue };
        if waits_itself(cx, call) {
            continue;
        }
        for closure in cx.program.callbacks(cx.module, target.value) {
            let (module, closure) = cx.program.func_local(closure);
            if module == cx.module && facts.functions[closure.index()].parent == Some(function) {
                found.push(Started { at, event, call, closure });
            }
        }
    }
    found
}

fn waits_itself(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let name = cx.program.library_callee(cx.module, call);
    // The results of `map` are asked for where it is called, unless they are thrown away.
    let is_map = name == Some(qual!("concurrent.futures.Executor.map")) && cx.facts().calls[call.index()].usage != Usage::Discarded;
    let in_process = name == Some(qual!("multiprocessing.Process"));
    is_map || in_process || name.is_some_and(|name| WAITS_ITSELF.contains(&name))
}

/// The loops around a context, innermost first.
fn loops_around(facts: &ModuleFacts, ctx: CtxIx) -> impl Iterator<Item = CtxIx> {
    let loops = facts.ctx_chain(ctx).filter(|(_, ctx)| matches!(ctx.kind, CtxKind::For(_) | CtxKind::While));
    loops.map(|(at, _)| at)
}

/// The reads of variables that a loop around the start changes while the closure may still run.
fn late_reads(cx: &RuleContext<'_>, function: FuncIx, started: &Started) -> Vec<LateRead> {
    let facts = cx.facts();
    let mut found: Vec<LateRead> = Vec::new();
    for event in facts.events_of(started.closure) {
        let EventKind::Load(term) = event.kind else { continue };
        let Some(var) = captured(facts, term, started.closure) else { continue };
        if found.iter().any(|read| read.var == var) {
            continue;
        }
        let around = loops_around(facts, started.event.ctx).find(|&around| is_rebound(cx, function, var, around));
        if let Some(around) = around
            && !ends_in_round(cx, function, started, around)
        {
            found.push(LateRead { var, range: event.range, around });
        }
    }
    found
}

/// The variable a term means, if it belongs to another function than the closure.
fn captured(facts: &ModuleFacts, term: TermId, closure: FuncIx) -> Option<VarIx> {
    let var = facts.var_of(term)?;
    (facts.vars[var.index()].scope != facts.functions[closure.index()].scope).then_some(var)
}

/// Whether a loop assigns the variable in its rounds.
fn is_rebound(cx: &RuleContext<'_>, function: FuncIx, var: VarIx, around: CtxIx) -> bool {
    let facts = cx.facts();
    facts.events_of(function).iter().any(|event| match event.kind {
        EventKind::Store(target, value) => {
            facts.var_of(target) == Some(var) && facts.ctx_within(event.ctx, around) && !is_function(facts, value)
        }
        EventKind::Augment(target, _) => facts.var_of(target) == Some(var) && facts.ctx_within(event.ctx, around),
        _ => false,
    })
}

/// A `def` in the loop makes the same function every time, as far as it matters here.
fn is_function(facts: &ModuleFacts, value: TermId) -> bool {
    matches!(facts.terms.get(value), Term::Function(_))
}

/// Whether the closure has run when the loop goes on, or the loop does not go on.
fn ends_in_round(cx: &RuleContext<'_>, function: FuncIx, started: &Started, around: CtxIx) -> bool {
    let facts = cx.facts();
    let in_loop = |ctx: CtxIx| facts.ctx_within(ctx, around);
    let later = cx.events(function).filter(|&(at, event)| at > started.at && in_loop(event.ctx));
    let call = facts.calls[started.call.index()].range;
    let awaited_or_left = later.into_iter().any(|(_, event)| match event.kind {
        EventKind::Await => event.range.contains_range(call),
        EventKind::Return(_) => facts.ctx_within(started.event.ctx, event.ctx),
        EventKind::Call(wait) => waits_for(facts, wait, started.call),
        _ => false,
    });
    // `with ThreadPoolExecutor() as pool:` inside the loop waits at the end of its block.
    let mut inside = facts.ctx_chain(started.event.ctx).take_while(|&(at, _)| at != around);
    let waits_at_exit = inside.any(|(_, ctx)| match ctx.kind {
        CtxKind::With(term, _) => matches!(cx.program.kind(cx.module, term).role(), Some(Role::Executor(_))),
        _ => false,
    });
    awaited_or_left || waits_at_exit || is_joined(cx, started, around)
}

/// `pool.submit(…).result()`, or `future.result()` of a future kept under a name.
fn waits_for(facts: &ModuleFacts, wait: CallIx, call: CallIx) -> bool {
    let waits = [sym!("result"), sym!("exception"), sym!("join"), sym!("get"), sym!("wait")];
    let is_wait = facts.callee_name(wait).is_some_and(|name| waits.contains(&name));
    let on = facts.receiver_of(wait);
    let is_made = |term: TermId| facts.terms.get(term) == Term::Call(call);
    let holds_it = || facts.var_of(on).is_some_and(|var| facts.vars[var.index()].values.iter().any(|&value| is_made(value)));
    is_wait && (is_made(on) || holds_it())
}

/// Whether the round that starts the thread waits for it.
fn is_joined(cx: &RuleContext<'_>, started: &Started, around: CtxIx) -> bool {
    let closure = cx.program.func_id(cx.module, started.closure);
    let Some(root) = root_of(cx, started.call, closure) else { return false };
    let until = cx.program.lifetime(root).and_then(|lifetime| lifetime.until);
    until.and_then(|until| cx.facts().events.get(until.index())).is_some_and(|event| cx.facts().ctx_within(event.ctx, around))
}

fn root_of(cx: &RuleContext<'_>, call: CallIx, closure: FuncId) -> Option<RootId> {
    let mut visits = cx.program.visits(closure).iter().map(|visit| visit.root);
    visits.find(|&root| {
        let root = cx.program.root(root);
        root.function == closure && root.started.is_some_and(|started| started.call == call)
    })
}

fn describe(cx: &RuleContext<'_>, started: &Started, reads: &[LateRead]) -> Finding {
    let facts = cx.facts();
    let name = |read: &LateRead| facts.name(facts.vars[read.var.index()].name).to_owned();
    let names: Vec<String> = reads.iter().map(name).collect();
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let spawner = naming::callee(facts, started.call);
    let message = format!("closure handed to `{spawner}` reads {listed}, which the loop assigns anew");
    let loop_range = facts.ctxs[reads[0].around.index()].range;
    let finding = Finding::new(cx.span(reads[0].range), Confidence::High, message)
        .label("read when the thread gets here: by then the loop may have gone on")
        .evidence(Evidence::new(EvidenceRole::OtherAccess, cx.span(loop_range), format!("{listed} changes with every round")))
        .evidence(Evidence::new(EvidenceRole::RootStarts, cx.span(facts.calls[started.call.index()].range), "handed to another thread here"))
        .note("all builds: a closure keeps the variable, not its value");
    let bound = names.iter().map(|name| format!("{name}={name}")).collect::<Vec<_>>().join(", ");
    let finding = finding.help(format!("bind the value: a default argument (`{bound}`), `args=`, or `functools.partial`"));
    let closure = &facts.functions[started.closure.index()];
    if closure.flags.is_lambda && closure.params.is_empty() {
        let edit = Edit { range: TextRange::empty(closure.name_range.end()), text: format!(" {bound}") };
        let title = "bind the loop variable".to_owned();
        return finding.fix(Fix { title, edits: vec![edit], applicability: Applicability::Unsafe });
    }
    finding
}

