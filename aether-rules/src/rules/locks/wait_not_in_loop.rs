//! `AET307`: `Condition.wait()` whose condition is not tested again.

use crate::declare_rule;
use crate::evidence::locks as show;
use crate::facts::{Arm, CallIx, CtxIx, CtxKind, EventKind, Qual, Usage};
use crate::finding::EvidenceRole;
use crate::link::FuncId;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports `Condition.wait()` that is not inside a `while` loop, neither here nor in every caller.
    ///
    /// ## Why is this bad?
    /// Between the notification and the return of `wait()` another thread may take the lock and what was waited for.
    /// `notify_all()` wakes several for one item, and a wait with a timeout also returns when nothing happened. Without
    /// a second test the code goes on as if the condition held: `IndexError`, or worse.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// items = []
    /// changed = threading.Condition()
    ///
    /// def take():
    ///     with changed:
    ///         if not items:
    ///             changed.wait()
    ///         return items.pop()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// items = []
    /// changed = threading.Condition()
    ///
    /// def take():
    ///     with changed:
    ///         while not items:
    ///             changed.wait()
    ///         return items.pop()
    /// ```
    ///
    /// ## Limits
    /// Whether the loop tests the right thing is not examined. A wait with a timeout and no test at all is an
    /// interruptible sleep, and a function that returns the result of `wait()` leaves the test to its caller: both are
    /// of low confidence.
    ///
    /// ## References
    /// - [threading: condition objects](https://docs.python.org/3/library/threading.html#condition-objects)
    pub(crate) static WAIT_NOT_IN_LOOP = {
        code: "AET307", name: "wait-not-in-loop", summary: "`Condition.wait()` outside a loop",
        family: Locks, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    const WAIT: Qual = qual!("threading.Condition.wait");
    for (local, function) in cx.functions() {
        for (_, event) in cx.events(local) {
            let EventKind::Call(call) = event.kind else { continue };
            if cx.program.library_callee(cx.module, call) != Some(WAIT) || in_while(cx, cx.module, event.ctx) {
                continue;
            }
            if let Some(confidence) = confidence(cx, function, call, event.ctx)
                && findings.wants(confidence)
            {
                findings.report(describe(cx, call, cx.span(event.range), event.ctx, confidence));
            }
        }
    }
}

fn in_while(cx: &RuleContext<'_>, module: crate::link::ModuleId, ctx: CtxIx) -> bool {
    cx.program.module(module).facts.ctx_chain(ctx).any(|(_, ctx)| ctx.kind == CtxKind::While)
}

/// How sure we are that nobody tests again; nothing if every caller does.
fn confidence(cx: &RuleContext<'_>, function: FuncId, call: CallIx, ctx: CtxIx) -> Option<Confidence> {
    let sites = cx.program.callers(function);
    let looping = sites.iter().filter(|site| in_while(cx, cx.program.func_local(site.caller).0, site.ctx)).count();
    if looping > 0 {
        return (looping < sites.len()).then_some(Confidence::Low);
    }
    let test = test_around(cx, ctx);
    let in_for = cx.facts().ctx_chain(ctx).any(|(_, ctx)| matches!(ctx.kind, CtxKind::For(_)));
    if in_for && !matches!(test, Some((Arm::Then, _))) {
        return None; // `for _ in range(tries): if ready: break; cond.wait(1)` tests again.
    }
    let has_limit = !cx.facts().args_of(call).is_empty();
    Some(match test {
        _ if cx.facts().calls[call.index()].usage != Usage::Discarded || is_wrapper(cx, function) => Confidence::Low,
        _ if leaves_at_once(cx, function, call) => Confidence::Low,
        Some((Arm::Then, _)) if has_limit => Confidence::Medium,
        Some((Arm::Then, _)) => Confidence::High,
        _ if has_limit => Confidence::Low,
        _ => Confidence::Medium,
    })
}

/// The innermost test inside the block that holds the lock.
fn test_around(cx: &RuleContext<'_>, ctx: CtxIx) -> Option<(Arm, Span)> {
    let chain = cx.facts().ctx_chain(ctx).take_while(|(_, ctx)| !matches!(ctx.kind, CtxKind::With(..)));
    let mut tests = chain.filter_map(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(_, arm) => Some((arm, cx.span(ctx.range))),
        _ => None,
    });
    tests.next()
}

/// `cond.wait(); return`: whatever woke it, nothing here relies on it.
fn leaves_at_once(cx: &RuleContext<'_>, function: FuncId, call: CallIx) -> bool {
    let (_, local) = cx.program.func_local(function);
    let mut events = cx.events(local).map(|(_, event)| event);
    let Some(wait) = events.find(|event| event.kind == EventKind::Call(call)) else { return false };
    events
        .next()
        .is_some_and(|next| matches!(next.kind, EventKind::Return(value) if value.is_opaque()) && next.ctx == wait.ctx)
}

/// A method that is itself a `wait` for others to call.
fn is_wrapper(cx: &RuleContext<'_>, function: FuncId) -> bool {
    let name = cx.program.function(function).name;
    [sym!("wait"), sym!("wait_for"), sym!("_wait"), sym!("sleep"), sym!("_sleep")].contains(&name)
}

fn describe(cx: &RuleContext<'_>, call: CallIx, span: Span, ctx: CtxIx, confidence: Confidence) -> Finding {
    let mut finding =
        Finding::new(span, confidence, "`Condition.wait()` is not in a loop that tests the condition again");
    finding = match test_around(cx, ctx) {
        Some((_, test)) => {
            let finding = finding.label("when it returns, the condition may not hold (any more)");
            show::add(finding, EvidenceRole::OtherAccess, test, "tested once, before the wait")
        }
        None => finding.label("waits for a notification that may already have come, or be meant for another"),
    };
    let note = if cx.facts().args_of(call).is_empty() {
        "all builds: another thread may take the lock between the notification and the return of `wait()`"
    } else {
        "all builds: it also returns when the time is over"
    };
    finding.note(note).help("use `while not …: cond.wait()`, or `cond.wait_for(lambda: …)`")
}
