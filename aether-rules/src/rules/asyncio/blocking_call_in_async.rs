//! `AET501`: a coroutine, or what it calls, keeps the loop's thread waiting.

use crate::declare_rule;
use crate::facts::{CallIx, CtxKind, EventKind, Term, TermId};
use crate::link::{ModuleId, Program};
use crate::model::Blocking;
use crate::on_loop::{self, OnLoop, Site};
use crate::{Finding, Findings, RuleContext, naming, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a call that waits (`time.sleep`, `Lock.acquire`, `Thread.join`, `Future.result`, `queue.get`,
    /// `Event.wait`, `subprocess.run`, `requests.get`, `input` …) in a coroutine or a callback of the event loop,
    /// directly or through functions of the program.
    ///
    /// ## Why is this bad?
    /// The loop has one thread. While it waits nothing else runs: no other task, no timer, no reader. If what it waits
    /// for needs the loop, it waits for ever.
    ///
    /// ## Example
    /// ```python bad
    /// import asyncio
    /// import time
    ///
    /// def poll(device):
    ///     while not device.ready:
    ///         time.sleep(0.1)
    ///
    /// async def start(device):
    ///     poll(device)
    ///
    /// async def heartbeat():
    ///     time.sleep(1)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import asyncio
    /// import time
    ///
    /// def poll(device):
    ///     while not device.ready:
    ///         time.sleep(0.1)
    ///
    /// async def start(device):
    ///     await asyncio.to_thread(poll, device)
    ///
    /// async def heartbeat():
    ///     await asyncio.sleep(1)
    /// ```
    ///
    /// ## Limits
    /// Only calls known to wait are reported: an unknown client's methods are not, long computations are not, and
    /// neither are files. `with lock:` around a few statements is accepted. Through functions a call is reported once
    /// per module, and only with `--all` if a parameter or a mode on the way decides whether it is made.
    ///
    /// ## References
    /// - [asyncio: running blocking code](https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code)
    pub(crate) static BLOCKING_CALL_IN_ASYNC = {
        code: "AET501", name: "blocking-call-in-async", summary: "blocking call on the event loop's thread",
        family: Asyncio, level: Warning, since: "0.1.0", versions: "all",
        yields_to: &["AET503", "AET502"], check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let program = cx.program;
    for found in on_loop::calls_on_loop(cx, &|site| waits(program, site).is_some()) {
        if findings.wants(found.confidence())
            && let Some(blocking) = waits(program, found.site)
        {
            findings.report(describe(cx, &found, blocking));
        }
    }
}

/// How a call waits, unless what it waits for is known to be there.
fn waits(program: &Program, site: Site) -> Option<&'static Blocking> {
    let blocking = program.waits_for(site.module, site.call)?;
    let facts = &program.module(site.module).facts;
    let receiver = facts.receiver_of(site.call);
    // In an ordinary function `acquire()` is a `with lock:` spelt out: a short wait, as a rule.
    let is_critical_section = facts.callee_name(site.call) == Some(sym!("acquire")) && !on_loop::runs_on_loop(program, site.function);
    let known_done = is_tested(program, site, receiver) || was_awaited(program, site, receiver);
    (!known_done && !is_critical_section).then_some(blocking)
}

/// Whether a test around the call asks the same object if there is anything to wait for.
fn is_tested(program: &Program, site: Site, receiver: TermId) -> bool {
    let facts = &program.module(site.module).facts;
    let ctx = facts.calls[site.call.index()].ctx;
    facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, _) => asks(program, site.module, test, receiver),
        _ => false,
    })
}

fn asks(program: &Program, module: ModuleId, test: TermId, receiver: TermId) -> bool {
    let questions = [sym!("done"), sym!("empty"), sym!("full"), sym!("qsize"), sym!("poll"), sym!("locked")];
    let facts = &program.module(module).facts;
    if let Term::Call(call) = facts.terms.get(test) {
        let question = facts.callee_name(call);
        return facts.receiver_of(call).same(receiver) && question.is_some_and(|name| questions.contains(&name));
    }
    facts.terms.children(test).any(|part| asks(program, module, part, receiver))
}

/// Whether the future a call is made on was handed to asyncio before, which waits for it without blocking.
fn was_awaited(program: &Program, site: Site, receiver: TermId) -> bool {
    let (_, function) = program.func_local(site.function);
    let facts = &program.module(site.module).facts;
    let before = facts.events_of(function).iter().take_while(|event| event.kind != EventKind::Call(site.call));
    let mut calls = before.filter_map(|event| match event.kind {
        EventKind::Call(call) => Some(call),
        _ => None,
    });
    let wraps = |call: CallIx| program.library_callee(site.module, call) == Some(qual!("asyncio.wrap_future"));
    calls.any(|call| wraps(call) && facts.args_of(call).iter().any(|arg| arg.value.same(receiver)))
}

fn describe(cx: &RuleContext<'_>, found: &OnLoop, blocking: &Blocking) -> Finding {
    let program = cx.program;
    let called = naming::callee(&program.module(found.site.module).facts, found.site.call);
    let range = on_loop::range_of(program, found.entry);
    let entry = on_loop::describe_entry(program, found.entry.function);
    let finding = if found.is_direct() {
        let message = format!("`{called}` blocks the event loop: it waits for {}", blocking.waits_for);
        Finding::new(cx.span(range), found.confidence(), message)
    } else {
        let through = naming::callee(cx.facts(), found.entry.call);
        let message = format!("`{through}` blocks the event loop: it calls `{called}`");
        Finding::new(cx.span(range), found.confidence(), message)
    };
    let finding = finding.label(format!("no other task runs while this {entry} waits"));
    let what = format!("`{called}` waits for {}", blocking.waits_for);
    let finding = found.explain(program, finding, &what).note("all builds");
    if found.is_direct() {
        finding.help(format!("use {}", blocking.instead))
    } else {
        finding.help("hand the function to a thread: `await asyncio.to_thread(…)`, or make it a coroutine")
    }
}

