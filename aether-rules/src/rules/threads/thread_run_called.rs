//! `AET402`: `run()` of a thread object called by hand.

use crate::declare_rule;
use crate::facts::{CallIx, EventKind, Term};
use crate::finding::{Applicability, Edit, Evidence, EvidenceRole, Fix};
use crate::link::{Callee, FuncId, Kind, Receiver};
use crate::model::Role;
use crate::{Confidence, Finding, Findings, RuleContext, naming, qual, sym};
use ruff_text_size::{TextRange, TextSize};

declare_rule! {
    /// ## What it does
    /// Reports a call of `run()` on a `threading.Thread`, a `Timer`, or an object of a subclass.
    ///
    /// ## Why is this bad?
    /// `run` is what the thread will do. Calling it does that in the caller's thread, which waits for it; no thread is
    /// made. `start()` makes one.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// def work():
    ///     print("working")
    ///
    /// threading.Thread(target=work).run()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// def work():
    ///     print("working")
    ///
    /// threading.Thread(target=work).start()
    /// ```
    ///
    /// ## Limits
    /// `super().run()` and `Base.run(self)` are how `run` is extended and are accepted. `self.run()` in the class itself,
    /// calls in tests, and calls on a thread of their own are meant as written, as a rule: shown with `--all`.
    ///
    /// ## References
    /// - [threading.Thread.run](https://docs.python.org/3/library/threading.html#threading.Thread.run)
    pub(crate) static THREAD_RUN_CALLED = {
        code: "AET402", name: "thread-run-called", summary: "thread's `run()` called instead of `start()`",
        family: Threads, level: Error, since: "0.1.0", versions: "all", fix: Unsafe, check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (function, id) in cx.functions() {
        for (_, event) in cx.events(function) {
            let EventKind::Call(call) = event.kind else { continue };
            if cx.facts().callee_name(call) != Some(sym!("run")) || !runs_a_thread(cx, call) {
                continue;
            }
            let confidence = confidence(cx, id, call);
            if findings.wants(confidence) {
                findings.report(describe(cx, call, confidence));
            }
        }
    }
}

/// Whether the call is `run` of an object that is a thread for certain.
fn runs_a_thread(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let receiver = cx.facts().receiver_of(call);
    match cx.program.kind(cx.module, receiver) {
        kind @ Kind::Object(_) => {
            let is_run = cx.program.library_callee(cx.module, call) == Some(qual!("threading.Thread.run"));
            is_run && kind.role() == Some(Role::Thread)
        }
        Kind::Instance(class) => {
            let is_method = match cx.program.callee(cx.module, call) {
                Callee::Function(..) => true,
                Callee::Lib(name) => name == qual!("threading.Thread.run"),
                _ => false,
            };
            cx.program.is_thread_class(class) && is_method && !takes_arguments(cx, call)
        }
        _ => false,
    }
}

/// A thread's `run` takes none: a call with some means another `run`.
fn takes_arguments(cx: &RuleContext<'_>, call: CallIx) -> bool {
    !cx.facts().args_of(call).is_empty()
}

fn confidence(cx: &RuleContext<'_>, caller: FuncId, call: CallIx) -> Confidence {
    let (_, function) = cx.program.func_local(caller);
    let on_itself = cx.program.receiver(cx.module, function, cx.facts().receiver_of(call)) == Receiver::Own;
    let in_thread = cx.program.thread_visits(caller).next().is_some();
    let is_test = is_test(cx, caller);
    if on_itself || in_thread || is_test { Confidence::Low } else { Confidence::High }
}

/// Whether a function is a test: what `run` does is often tested without a thread.
fn is_test(cx: &RuleContext<'_>, function: FuncId) -> bool {
    let name = cx.facts().name(cx.program.function(function).name);
    name.starts_with("test") || cx.program.class_of(function).is_some_and(|class| cx.program.class_name(class).starts_with("Test"))
}

fn describe(cx: &RuleContext<'_>, call: CallIx, confidence: Confidence) -> Finding {
    let facts = cx.facts();
    let object = naming::readable(facts, facts.receiver_of(call));
    let range = facts.calls[call.index()].range;
    let message = format!("`{object}.run()` runs in the caller's thread: no thread is started");
    let mut finding = Finding::new(cx.span(range), confidence, message)
        .label("returns when the work is done")
        .note("all builds")
        .help(format!("start it: `{object}.start()`"));
    if let Kind::Instance(class) = cx.program.kind(cx.module, facts.receiver_of(call)) {
        let (owner, local) = cx.program.class_local(class);
        let span = cx.program.span(owner, cx.program.module(owner).facts.classes[local.index()].name_range);
        finding = finding.evidence(Evidence::new(EvidenceRole::Definition, span, "a `threading.Thread` by inheritance"));
    }
    if ends_in_run(cx, call) {
        let end = range.end() - TextSize::of("()");
        let edit = Edit { range: TextRange::new(end - TextSize::of("run"), end), text: "start".to_owned() };
        let title = "start the thread".to_owned();
        finding = finding.fix(Fix { title, edits: vec![edit], applicability: Applicability::Unsafe });
    }
    finding
}

/// Whether the call is written `….run()`, without spaces: then the edit is at a known place.
fn ends_in_run(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let facts = cx.facts();
    if naming::end_of_bare_callee(facts, call).is_some() {
        return true;
    }
    let Term::Call(made) = facts.terms.get(facts.receiver_of(call)) else { return false };
    let (inner, outer) = (facts.calls[made.index()].range, facts.calls[call.index()].range);
    outer.end() - inner.end() == TextSize::of(".run()")
}
