//! `AET002`: `catch_warnings` on a thread.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, CtxKind, EventKind, FuncIx, Qual, Term};
use crate::link::{FuncId, ThreadOf, Visit};
use crate::settings::{PythonVersion, TargetBuilds};
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, usage};

declare_rule! {
    /// ## What it does
    /// Reports `warnings.catch_warnings()` (and `pytest.warns`, `pytest.deprecated_call`, `assertWarns`, which use it)
    /// in code that runs on several threads, or around an `await`.
    ///
    /// ## Why is this bad?
    /// The context manager saves the process-wide filters on entry and puts them back on exit. When two threads
    /// overlap, the one that leaves last restores what the other one had installed: filters stay wrong for the rest of
    /// the process, and warnings land in somebody else's list. A coroutine that awaits inside has the same problem with
    /// other tasks.
    ///
    /// ## Example
    /// ```python bad
    /// import warnings
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def convert(value):
    ///     with warnings.catch_warnings():
    ///         warnings.simplefilter("ignore")
    ///         return float(value)
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(convert, ["1", "2"])
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import warnings
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def convert(value):
    ///     return float(value)
    ///
    /// with warnings.catch_warnings():
    ///     warnings.simplefilter("ignore")
    ///     with ThreadPoolExecutor() as pool:
    ///         pool.map(convert, ["1", "2"])
    /// ```
    ///
    /// ## Limits
    /// Without a thread that reaches it the finding has low confidence (`--all`). On free-threaded builds of 3.14 and
    /// later the filters are context-local by default, and the rule is silent when only those are the target. An `await`
    /// inside has low confidence in the coroutines of a command line (`cli`, `commands`, `__main__`).
    ///
    /// ## References
    /// - [warnings: concurrent safety of context managers](https://docs.python.org/3/library/warnings.html#concurrent-safety-of-context-managers)
    pub(crate) static WARNING_CATCH_CONTEXT = {
        code: "AET002", name: "warning-catch-context", summary: "warning filters are saved and restored on a thread",
        family: FreeThreading, level: Warning, since: "0.1.0",
        versions: "up to 3.13 on all builds; 3.14 and later with the GIL, unless -X context_aware_warnings=1",
        check: Some(check),
    }
}

/// Why a use is a problem.
enum Hazard {
    Thread(Visit),
    Await(Span),
    Unproven,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let context_aware = cx.settings().target_version >= PythonVersion::three(14);
    if context_aware && cx.settings().target_builds == TargetBuilds::FreeThreaded {
        return;
    }
    for (function, id) in cx.functions() {
        for (at, event) in cx.events(function) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(what) = catches_warnings(cx, call) else { continue };
            if !cx.program.held(cx.module, id, at).is_empty() {
                continue;
            }
            let hazard = hazard(cx, function, id, call);
            let confidence = match hazard {
                // Whoever typed the command waits for it, and the filters go with the process.
                Hazard::Await(_) if usage::is_command_line(cx.program, cx.module) => Confidence::Low,
                Hazard::Thread(_) | Hazard::Await(_) => Confidence::High,
                Hazard::Unproven => Confidence::Low,
            };
            if findings.wants(confidence) {
                findings.report(describe(cx, id, (cx.span(event.range), confidence), what, &hazard));
            }
        }
    }
}

/// The name of what is called, if it saves and restores the filters.
fn catches_warnings(cx: &RuleContext<'_>, call: CallIx) -> Option<&'static str> {
    const NAMES: &[(Qual, &str)] = &[
        (Qual::of("warnings.catch_warnings"), "warnings.catch_warnings"),
        (Qual::of("pytest.warns"), "pytest.warns"),
        (Qual::of("pytest.deprecated_call"), "pytest.deprecated_call"),
        (Qual::of("unittest.TestCase.assertWarns"), "assertWarns"),
        (Qual::of("unittest.TestCase.assertWarnsRegex"), "assertWarnsRegex"),
        (Qual::of("unittest.case.TestCase.assertWarns"), "assertWarns"),
    ];
    let name = cx.program.library_callee(cx.module, call)?;
    let found = NAMES.iter().find(|(known, _)| *known == name)?;
    // `pytest.warns(Warning, func)` included: it enters the context itself.
    Some(found.1)
}

fn hazard(cx: &RuleContext<'_>, function: FuncIx, id: FuncId, call: CallIx) -> Hazard {
    if let Some(visit) = cx.program.thread_visits(id).find(|visit| !is_alone(cx, visit)) {
        return Hazard::Thread(*visit);
    }
    if cx.facts().functions[function.index()].flags.is_async
        && let Some(span) = await_inside(cx, function, call)
    {
        return Hazard::Await(span);
    }
    Hazard::Unproven
}

/// Whether the thread is waited for at once, so that nothing else runs meanwhile.
fn is_alone(cx: &RuleContext<'_>, visit: &Visit) -> bool {
    let root = cx.program.root(visit.root);
    let waited = cx
        .program
        .lifetime(visit.root)
        .is_some_and(|lifetime| lifetime.until.is_some_and(|until| until.index() <= lifetime.from.index() + 1));
    waited && !root.self_parallel
}

/// An `await` between entry and exit of the context.
fn await_inside(cx: &RuleContext<'_>, function: FuncIx, call: CallIx) -> Option<Span> {
    let facts = cx.facts();
    let events = facts.events_of(function).iter().filter(|event| event.kind == EventKind::Await);
    let mut inside = events.filter(|event| {
        facts.ctx_chain(event.ctx).any(|(_, ctx)| match ctx.kind {
            CtxKind::With(term, _) => facts.terms.get(term) == Term::Call(call),
            _ => false,
        })
    });
    inside.next().map(|event| cx.span(event.range))
}

fn describe(
    cx: &RuleContext<'_>,
    function: FuncId,
    (span, confidence): (Span, Confidence),
    what: &str,
    hazard: &Hazard,
) -> Finding {
    let finding = match hazard {
        Hazard::Thread(visit) => {
            let thread = cx.program.root_name(visit.root);
            let finding = Finding::new(span, confidence, format!("`{what}` changes process-wide filters on a thread"))
                .label("saved and restored for every thread of the process")
                .on_thread(thread.clone());
            evidence::on_thread(cx.program, finding, function, ThreadOf::Root(visit.root))
                .note(format!("the {thread} runs this while others do too"))
        }
        Hazard::Await(at) => Finding::new(span, confidence, format!("`{what}` spans an `await`"))
            .label("other tasks run with these filters, and may restore theirs in between")
            .evidence(crate::finding::Evidence::new(
                crate::finding::EvidenceRole::CallPath,
                *at,
                "other tasks run here",
            )),
        Hazard::Unproven => Finding::new(span, confidence, format!("`{what}` is not thread-safe"))
            .label("saves and restores process-wide filters")
            .note("no thread that reaches this is started in the analysed code; it is real once two threads do"),
    };
    finding
        .note("up to 3.13: all builds; 3.14 and later: builds with the GIL (free-threaded ones keep the filters per context)")
        .help("set the filters once before threads start, or run 3.14+ with `-X context_aware_warnings=1 -X thread_inherit_context=1`")
}
