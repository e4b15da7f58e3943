//! `AET501`: a coroutine, or what it calls, keeps the loop's thread waiting.

use crate::declare_rule;
use crate::facts::{CallIx, Const, CtxIx, CtxKind, EventKind, ModuleFacts, Qual, Sym, Term, TermId};
use crate::link::{Callee, Kind, ModuleId, Program, Receiver};
use crate::model::{Blocking, Role};
use crate::on_loop::{self, OnLoop, Site};
use crate::{Confidence, Finding, Findings, RuleContext, naming, qual, sym, usage};

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
    /// neither are files. Joining a thread that the coroutine has awaited something with since it started it is shown
    /// with `--all`, and so is a coroutine for which a thread of its own runs a loop, and which starts no task.
    /// So are a call after which the process ends (`sys.exit`), a process that is only asked for its `--version`, a checkout that is asked for its branch, and the
    /// coroutines of a command line (`cli`, `commands`, `__main__`), whose user waits for nothing else; and a call in the
    /// other arm of a test whose first arm awaits (`if self.is_async: await … else: …`), or under a comment that means the wait
    /// ("blocking is fine on this thread"). `with lock:` around a few statements is accepted. Through functions a call is reported once
    /// per module, and only with `--all` if a parameter or a mode on the way decides whether it is made. A branch that a
    /// constant of the module rules out (`_IS_SYNC = False`, bound once) does not count.
    ///
    /// ## References
    /// - [asyncio: running blocking code](https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code)
    pub(crate) static BLOCKING_CALL_IN_ASYNC = {
        code: "AET501", name: "blocking-call-in-async", summary: "blocking call on the event loop's thread",
        family: Asyncio, level: Warning, since: "0.1.0", versions: "all",
        yields_to: &["AET503", "AET502"], check: Some(check),
    }
}

/// Methods that tell whether there is anything to wait for.
const QUESTIONS: &[Sym] =
    &[Sym::new("done"), Sym::new("empty"), Sym::new("full"), Sym::new("qsize"), Sym::new("poll"), Sym::new("locked")];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let program = cx.program;
    for found in on_loop::calls_on_loop(cx, &|site| waits(program, site).is_some()) {
        let is_harmless = overlaps_an_await(program, found.site)
            || is_quick(program, found.site)
            || is_last(program, found.site)
            || usage::is_command_line(program, cx.module)
            || on_loop::has_loop_to_itself(program, found.entry.function);
        let confidence = if is_harmless { Confidence::Low } else { found.confidence() };
        if findings.wants(confidence)
            && let Some(blocking) = waits(program, found.site)
            && !was_asked_before(program, &found)
        {
            findings.report(describe(cx, &found, blocking, confidence));
        }
    }
}

/// Whether the process ends right after the call: `time.sleep(1)`, `sys.exit(2)`. Nothing waits for the loop any more.
fn is_last(program: &Program, site: Site) -> bool {
    const EXITS: [Qual; 4] = [qual!("sys.exit"), qual!("os._exit"), qual!("builtins.exit"), qual!("builtins.quit")];
    let (_, function) = program.func_local(site.function);
    let facts = &program.module(site.module).facts;
    let ctx = facts.calls[site.call.index()].ctx;
    let after = facts.events_of(function).iter().skip_while(|event| event.kind != EventKind::Call(site.call)).skip(1);
    after.take_while(|event| event.kind != EventKind::Await).any(|event| match event.kind {
        EventKind::Call(call) => {
            facts.ctx_within(ctx, event.ctx)
                && program.library_callee(site.module, call).is_some_and(|name| EXITS.contains(&name))
        }
        _ => false,
    })
}

/// Whether a process is only asked for its version, or a checkout for its name: it is done in milliseconds, or not there.
fn is_quick(program: &Program, site: Site) -> bool {
    const FLAGS: &[Sym] = &[Sym::new("--version"), Sym::new("-V")];
    const LOCAL: &[Sym] = &[Sym::new("config"), Sym::new("rev-parse"), Sym::new("symbolic-ref")];
    let facts = &program.module(site.module).facts;
    facts.positional(site.call, 0).is_some_and(|command| match facts.terms.get(command.value) {
        Term::Display(..) => {
            let words = || facts.terms.children(command.value).map(|word| facts.terms.get(word));
            let says = |known: &[Sym]| {
                words().any(|word| matches!(word, Term::Const(Const::Str(text)) if known.contains(&text)))
            };
            says(FLAGS) || (says(&[sym!("git")]) && says(LOCAL))
        }
        _ => false,
    })
}

/// How a call waits, unless what it waits for is known to be there.
fn waits(program: &Program, site: Site) -> Option<&'static Blocking> {
    let blocking = program.waits_for(site.module, site.call)?;
    let facts = &program.module(site.module).facts;
    let receiver = facts.receiver_of(site.call);
    // In an ordinary function `acquire()` is a `with lock:` spelt out: a short wait, as a rule.
    let is_critical_section =
        facts.callee_name(site.call) == Some(sym!("acquire")) && !on_loop::runs_on_loop(program, site.function);
    let known_done =
        is_tested(program, site, receiver) || waited_before(program, site, receiver) || is_made_here(program, site);
    (!known_done && !is_critical_section).then_some(blocking)
}

/// Whether a lock is taken in the step after the one that makes it: nobody else has it yet.
fn is_made_here(program: &Program, site: Site) -> bool {
    let facts = &program.module(site.module).facts;
    let (_, function) = program.func_local(site.function);
    let Some(var) = facts.var_of(facts.receiver_of(site.call)) else { return false };
    let [made] = facts.vars[var.index()].values[..] else { return false };
    let calls = facts.events_of(function).iter().filter_map(|event| match event.kind {
        EventKind::Call(call) => Some(call),
        _ => None,
    });
    let before = calls.take_while(|call| *call != site.call).last();
    facts.callee_name(site.call) == Some(sym!("acquire"))
        && before.is_some_and(|call| facts.terms.get(made) == Term::Call(call))
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
    let facts = &program.module(module).facts;
    if let Term::Call(call) = facts.terms.get(test) {
        let question = facts.callee_name(call);
        return facts.receiver_of(call).same(receiver) && question.is_some_and(|name| QUESTIONS.contains(&name));
    }
    facts.terms.children(test).any(|part| asks(program, module, part, receiver))
}

/// Whether a function on the way asks an object of the same name first: `while jobs.empty(): await …`.
fn was_asked_before(program: &Program, found: &OnLoop) -> bool {
    let name_of = |site: Site| {
        let facts = &program.module(site.module).facts;
        naming::dotted(facts, facts.receiver_of(site.call))
    };
    let Some(waiting) = name_of(found.site) else { return false };
    found.functions().any(|function| {
        let (module, local) = program.func_local(function);
        let facts = &program.module(module).facts;
        facts.events_of(local).iter().any(|event| match event.kind {
            EventKind::Call(call) => {
                let site = Site { module, function, call };
                answers_through(program, site, &waiting)
                    || is_answer(program, found.site, site, event.ctx)
                        && name_of(site).is_some_and(|asked| {
                            asked == waiting || polls_owner(facts, call, event.ctx, &asked, &waiting)
                        })
            }
            _ => false,
        })
    })
}

/// Whether a call asks through a method of its own: `if not self.sending(): return`, which asks `self.queue.empty()`.
fn answers_through(program: &Program, asked: Site, waiting: &str) -> bool {
    let Callee::Function(helper, Receiver::Own) = program.callee(asked.module, asked.call) else { return false };
    let (module, local) = program.func_local(helper);
    let facts = &program.module(module).facts;
    facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Call(call) => {
            facts.callee_name(call).is_some_and(|name| QUESTIONS.contains(&name))
                && naming::dotted(facts, facts.receiver_of(call)).is_some_and(|name| name == waiting)
        }
        _ => false,
    })
}

/// Whether a loop has polled what owns the object until there was an answer: `while await self.poll() is None: …` before
/// `self.process.wait()`.
fn polls_owner(facts: &ModuleFacts, asked: CallIx, ctx: CtxIx, owner: &str, waiting: &str) -> bool {
    let is_part = waiting.strip_prefix(owner).is_some_and(|rest| rest.starts_with('.'));
    is_part && facts.callee_name(asked) == Some(sym!("poll")) && facts.ctxs[ctx.index()].kind == CtxKind::While
}

/// Whether a call tells that the wait is over by the time it begins. `while thread.is_alive(): thread.join(1)` does not.
fn is_answer(program: &Program, wait: Site, asked: Site, ctx: CtxIx) -> bool {
    let facts = &program.module(asked.module).facts;
    let Some(question) = facts.callee_name(asked.call) else { return false };
    let outlasts = || wait.function != asked.function || !facts.ctx_within(facts.calls[wait.call.index()].ctx, ctx);
    let is_loop = facts.ctxs[ctx.index()].kind == CtxKind::While;
    let is_end = question == sym!("is_alive") || question == sym!("is_set");
    QUESTIONS.contains(&question) || (is_end && is_loop && outlasts())
}

/// Whether a thread is joined that was started here, with an `await` in between: the two have worked together, and the
/// thread is as good as done.
fn overlaps_an_await(program: &Program, wait: Site) -> bool {
    let (_, function) = program.func_local(wait.function);
    let facts = &program.module(wait.module).facts;
    let receiver = facts.receiver_of(wait.call);
    let is_thread = matches!(program.kind(wait.module, receiver).role(), Some(Role::Thread | Role::Process));
    let before = facts.events_of(function).iter().take_while(|event| event.kind != EventKind::Call(wait.call));
    let since_start = before.skip_while(|event| match event.kind {
        EventKind::Call(call) => {
            facts.callee_name(call) != Some(sym!("start")) || !facts.receiver_of(call).same(receiver)
        }
        _ => true,
    });
    is_thread && since_start.into_iter().any(|event| event.kind == EventKind::Await)
}

/// Whether the same object was waited for before in the same function, by asyncio or by the thread: it is done by now.
fn waited_before(program: &Program, site: Site, receiver: TermId) -> bool {
    let (_, function) = program.func_local(site.function);
    let facts = &program.module(site.module).facts;
    let before = facts.events_of(function).iter().take_while(|event| event.kind != EventKind::Call(site.call));
    let mut calls = before.filter_map(|event| match event.kind {
        EventKind::Call(call) => Some(call),
        _ => None,
    });
    let wraps = |call: CallIx| program.library_callee(site.module, call) == Some(qual!("asyncio.wrap_future"));
    let ends = [sym!("join"), sym!("result"), sym!("exception"), sym!("wait"), sym!("communicate")];
    let is_last =
        |call: CallIx| facts.callee_name(call).is_some_and(|name| ends.contains(&name)) && is_end(program, site);
    calls.any(|call| {
        let of_same = facts.receiver_of(call).same(receiver);
        (of_same && is_last(call)) || (wraps(call) && facts.args_of(call).iter().any(|arg| arg.value.same(receiver)))
    })
}

/// Whether what is waited for happens once, as a thread ends once; an event or a queue may be waited for again.
fn is_end(program: &Program, site: Site) -> bool {
    let facts = &program.module(site.module).facts;
    let kind = program.kind(site.module, facts.receiver_of(site.call));
    let is_process = kind == Kind::Object(qual!("subprocess.Popen"));
    is_process || matches!(kind.role(), Some(Role::Thread | Role::Process | Role::Future))
}

fn describe(cx: &RuleContext<'_>, found: &OnLoop, blocking: &Blocking, confidence: Confidence) -> Finding {
    let program = cx.program;
    let called = naming::callee(&program.module(found.site.module).facts, found.site.call);
    let range = on_loop::range_of(program, found.entry);
    let entry = on_loop::describe_entry(program, found.entry.function);
    let finding = if found.is_direct() {
        let message = format!("`{called}` blocks the event loop: it waits for {}", blocking.waits_for);
        Finding::new(cx.span(range), confidence, message)
    } else {
        let through = naming::callee(cx.facts(), found.entry.call);
        let message = format!("`{through}` blocks the event loop: it calls `{called}`");
        Finding::new(cx.span(range), confidence, message)
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
