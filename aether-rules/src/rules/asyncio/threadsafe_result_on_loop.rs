//! `AET503`: the loop's thread waits for a coroutine that it would have to run itself.

use crate::declare_rule;
use crate::facts::{CallIx, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{ModuleId, Program};
use crate::on_loop::{self, OnLoop, Site};
use crate::{Confidence, Finding, Findings, RuleContext, naming, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports `asyncio.run_coroutine_threadsafe(…)` whose future is waited for with `.result()` or `.exception()` in a
    /// coroutine or a callback of the event loop, directly or through functions of the program.
    ///
    /// ## Why is this bad?
    /// The function is made for other threads: it queues the coroutine on the loop and returns a future to block on. On
    /// the loop's own thread the coroutine can only start once the wait is over: deadlock, or a timeout that always
    /// expires.
    ///
    /// ## Example
    /// ```python bad
    /// import asyncio
    ///
    /// async def load():
    ///     return 42
    ///
    /// async def show():
    ///     loop = asyncio.get_running_loop()
    ///     print(asyncio.run_coroutine_threadsafe(load(), loop).result())
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import asyncio
    ///
    /// async def load():
    ///     return 42
    ///
    /// async def show():
    ///     print(await load())
    /// ```
    ///
    /// ## Limits
    /// A loop that the program makes with `new_event_loop` is taken to run in a thread of its own: waiting for it blocks
    /// this loop (AET501), but does not deadlock. Futures kept in containers are not followed.
    ///
    /// ## References
    /// - [asyncio: scheduling from other threads](https://docs.python.org/3/library/asyncio-task.html#asyncio.run_coroutine_threadsafe)
    pub(crate) static THREADSAFE_RESULT_ON_LOOP = {
        code: "AET503", name: "threadsafe-result-on-loop",
        summary: "event loop waits for a coroutine it would have to run itself",
        family: Asyncio, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// Which loop the coroutine was handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// Another one: made with `new_event_loop`.
    Other,
    /// Nothing says.
    Unknown,
    /// The one that runs here.
    Running,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let program = cx.program;
    for found in on_loop::calls_on_loop(cx, &|site| submitted(program, site).is_some()) {
        let Some((module, submit)) = submitted(program, found.site) else { continue };
        let confidence = match target_of(program, module, submit) {
            Target::Other => continue,
            Target::Unknown => found.confidence().min(Confidence::Medium),
            Target::Running => found.confidence(),
        };
        findings.report(describe(cx, &found, confidence, (module, submit)));
    }
}

/// The `run_coroutine_threadsafe` whose future a call waits for.
fn submitted(program: &Program, site: Site) -> Option<(ModuleId, CallIx)> {
    let facts = &program.module(site.module).facts;
    let name = facts.callee_name(site.call)?;
    if name != sym!("result") && name != sym!("exception") {
        return None;
    }
    let future = facts.receiver_of(site.call);
    let made = on_loop::threadsafe_calls(program, site.module, future).into_iter();
    made.filter(|&(module, call)| target_of(program, module, call) != Target::Other).next()
}

/// The loop given to `run_coroutine_threadsafe`.
fn target_of(program: &Program, module: ModuleId, submit: CallIx) -> Target {
    let facts = &program.module(module).facts;
    let Some(given) = facts.arg(submit, 1, sym!("loop")) else { return Target::Unknown };
    let values = program.values_of(module, given.value);
    let targets = values.into_iter().map(|(module, value)| loop_of(program, module, value));
    targets.reduce(|a, b| if a == b { a } else { Target::Unknown }).unwrap_or(Target::Unknown)
}

fn loop_of(program: &Program, module: ModuleId, value: TermId) -> Target {
    let facts = &program.module(module).facts;
    let Term::Call(made) = facts.terms.get(value) else { return Target::Unknown };
    match program.library_callee(module, made) {
        Some(name) if name == qual!("asyncio.get_running_loop") || name == qual!("asyncio.get_event_loop") => Target::Running,
        Some(name) if name == qual!("asyncio.new_event_loop") => Target::Other,
        _ => Target::Unknown,
    }
}

fn describe(cx: &RuleContext<'_>, found: &OnLoop, confidence: Confidence, submit: (ModuleId, CallIx)) -> Finding {
    let program = cx.program;
    let range = on_loop::range_of(program, found.entry);
    let entry = on_loop::describe_entry(program, found.entry.function);
    let message = if found.is_direct() {
        format!("this {entry} waits for a coroutine that only its own loop can run")
    } else {
        let through = naming::callee(cx.facts(), found.entry.call);
        format!("`{through}` waits for a coroutine that only the loop of this {entry} can run")
    };
    let finding = Finding::new(cx.span(range), confidence, message).label("the loop is blocked here and never gets to it");
    let submitted = program.span(submit.0, program.module(submit.0).facts.calls[submit.1.index()].range);
    let finding = found.explain(program, finding, "waits for the future");
    let finding = if finding.primary.range.contains_range(submitted.range) && finding.primary.file == submitted.file {
        finding
    } else {
        finding.evidence(Evidence::new(EvidenceRole::OtherAccess, submitted, "the coroutine is queued on the loop here"))
    };
    let finding = if confidence < Confidence::High {
        finding.note("unless the loop given is another one, which runs on another thread")
    } else {
        finding
    };
    finding.note("all builds: deadlock, or a timeout that always expires").help("`await` the coroutine itself")
}
