//! `AET504`: a loop is run inside a running one.

use crate::declare_rule;
use crate::facts::Qual;
use crate::link::Program;
use crate::on_loop::{self, OnLoop, Site};
use crate::{Confidence, Finding, Findings, RuleContext, naming};

declare_rule! {
    /// ## What it does
    /// Reports `asyncio.run`, `Runner.run`, `loop.run_until_complete` and `loop.run_forever` in a coroutine or a
    /// callback of the event loop, directly or through functions of the program.
    ///
    /// ## Why is this bad?
    /// A thread runs one event loop at a time: RuntimeError, every time the line is reached. A function that hides an
    /// `asyncio.run` works from a script and fails from the first coroutine that calls it.
    ///
    /// ## Example
    /// ```python bad
    /// import asyncio
    ///
    /// async def load():
    ///     return 42
    ///
    /// async def show():
    ///     print(asyncio.run(load()))
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
    /// A function that asks for a running loop first is reported only with `--all`, and so is everything in a program
    /// that applies `nest_asyncio`.
    ///
    /// ## References
    /// - [asyncio.run](https://docs.python.org/3/library/asyncio-runner.html#asyncio.run)
    pub(crate) static NESTED_RUN = {
        code: "AET504", name: "nested-run", summary: "event loop run inside a running one",
        family: Asyncio, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const RUNNERS: &[Qual] = &[
    Qual::of("asyncio.run"),
    Qual::of("asyncio.Runner.run"),
    Qual::of("asyncio.AbstractEventLoop.run_until_complete"),
    Qual::of("asyncio.AbstractEventLoop.run_forever"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let program = cx.program;
    let runs = |site: Site| program.library_callee(site.module, site.call).is_some_and(|name| RUNNERS.contains(&name));
    for found in on_loop::calls_on_loop(cx, &runs) {
        let confidence = if nests(program) { Confidence::Low } else { found.confidence() };
        if findings.wants(confidence) {
            findings.report(describe(cx, &found, confidence));
        }
    }
}

/// Whether the program makes loops reentrant.
fn nests(program: &Program) -> bool {
    let nest = Qual::of("nest_asyncio.apply");
    program.modules().any(|(id, module)| {
        let calls = (0..module.facts.calls.len()).map(crate::facts::CallIx::at);
        calls.into_iter().any(|call| program.library_callee(id, call) == Some(nest))
    })
}

fn describe(cx: &RuleContext<'_>, found: &OnLoop, confidence: Confidence) -> Finding {
    let program = cx.program;
    let called = naming::callee(&program.module(found.site.module).facts, found.site.call);
    let entry = on_loop::describe_entry(program, found.entry.function);
    let message = if found.is_direct() {
        format!("`{called}` in a {entry}: its thread runs an event loop already")
    } else {
        let through = naming::callee(cx.facts(), found.entry.call);
        format!("`{through}` calls `{called}`, but the thread of this {entry} runs an event loop already")
    };
    let finding = Finding::new(cx.span(on_loop::range_of(program, found.entry)), confidence, message)
        .label("raises RuntimeError");
    let finding = found.explain(program, finding, &format!("`{called}` runs a loop")).note("all builds");
    if found.is_direct() {
        finding.help("`await` the coroutine, or run it in another thread with `asyncio.to_thread`")
    } else {
        finding.help("make the function a coroutine and `await` it, or hand it to `asyncio.to_thread`")
    }
}
