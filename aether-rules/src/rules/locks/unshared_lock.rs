//! `AET301`: a lock that is made anew for each call.

use crate::declare_rule;
use crate::facts::{CallIx, CtxKind, EventKind, FuncIx, ScopeKind, Term, TermId, VarIx};
use crate::model::Role;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports `with threading.Lock():`, and a lock in a local variable that only its own call can ever take.
    ///
    /// ## Why is this bad?
    /// Every call has a lock of its own, which is always free. It excludes nobody; the code looks protected and is not.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// totals = {}
    ///
    /// def add(key, number):
    ///     with threading.Lock():
    ///         totals[key] = totals.get(key, 0) + number
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// totals = {}
    /// totals_lock = threading.Lock()
    ///
    /// def add(key, number):
    ///     with totals_lock:
    ///         totals[key] = totals.get(key, 0) + number
    /// ```
    ///
    /// ## Limits
    /// Module level, which runs once, is left out. A lock that is passed on, returned, stored or used by a nested function counts as shared. A property that makes
    /// a new lock each time is not seen. A condition that is waited for with a limit is a way to sleep, and accepted.
    ///
    /// ## References
    /// - [threading: lock objects](https://docs.python.org/3/library/threading.html#lock-objects)
    pub(crate) static UNSHARED_LOCK = {
        code: "AET301", name: "unshared-lock", summary: "lock that no other thread can have",
        family: Locks, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let facts = cx.facts();
    for ctx in &facts.ctxs {
        // Module level runs once: a held lock is meant, not an excluded thread.
        if let CtxKind::With(term, _) = ctx.kind
            && ctx.function != FuncIx(0)
            && let Some(call) = constructor(cx, term)
        {
            report(cx, call, "a new lock for each `with` excludes nobody", findings);
        }
    }
    for (index, call) in facts.calls.iter().enumerate() {
        if let Term::Attr(_, name) = facts.terms.get(call.callee)
            && name == sym!("enter_context")
            && let Some(arg) = facts.positional(CallIx::at(index), 0)
            && let Some(made) = constructor(cx, arg.value)
        {
            report(cx, made, "a new lock for each `with` excludes nobody", findings);
        }
    }
    for index in 0..facts.vars.len() {
        let var = VarIx::at(index);
        if let Some(call) = private_lock(cx, var) {
            let name = facts.name(facts.vars[index].name);
            report(
                cx,
                call,
                &format!("`{name}` is a new lock in each call, and no other thread can have it"),
                findings,
            );
        }
    }
}

/// The call that makes a lock, if a term is one.
fn constructor(cx: &RuleContext<'_>, term: TermId) -> Option<CallIx> {
    let Term::Call(call) = cx.facts().terms.get(term) else { return None };
    let is_lock = matches!(cx.program.kind(cx.module, term).role(), Some(Role::Lock(_)));
    // `getattr(self, "_lock", …)` gives a lock, too, and makes none.
    let makes = cx.program.library_callee(cx.module, call).and_then(crate::model::role_of);
    (is_lock && matches!(makes, Some(Role::Lock(_)))).then_some(call)
}

/// The lock in a local variable that is taken there and never leaves the function.
fn private_lock(cx: &RuleContext<'_>, var: VarIx) -> Option<CallIx> {
    let facts = cx.facts();
    let variable = &facts.vars[var.index()];
    let ScopeKind::Function(function) = facts.var_scope(var) else { return None };
    let [value] = variable.values[..] else { return None };
    let call = constructor(cx, value)?;
    if variable.captured {
        return None;
    }
    let names: Vec<TermId> =
        (1..facts.terms.len()).map(TermId::at).filter(|&term| facts.var_of(term) == Some(var)).collect();
    let taken = names.iter().any(|&name| is_taken(cx, function, name));
    let is_timer = names.iter().any(|&name| is_waited_on(cx, function, name));
    (taken && !is_timer && !names.iter().any(|&name| leaves(cx, name))).then_some(call)
}

/// Whether it is a condition that is waited for with a limit: a way to sleep, which excludes nobody and is not meant to.
fn is_waited_on(cx: &RuleContext<'_>, function: FuncIx, name: TermId) -> bool {
    let facts = cx.facts();
    cx.events(function).any(|(_, event)| match event.kind {
        EventKind::Call(call) => {
            let waits = facts.callee_name(call) == Some(sym!("wait")) && facts.receiver_of(call) == name;
            waits && facts.arg(call, 0, sym!("timeout")).is_some()
        }
        _ => false,
    })
}

fn is_taken(cx: &RuleContext<'_>, function: FuncIx, name: TermId) -> bool {
    let facts = cx.facts();
    let entered = facts.ctxs.iter().any(|ctx| matches!(ctx.kind, CtxKind::With(term, _) if term == name));
    let acquired = cx.events(function).any(|(_, event)| match event.kind {
        EventKind::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(base, method) => base == name && method == sym!("acquire"),
            _ => false,
        },
        _ => false,
    });
    entered || acquired
}

/// Whether somebody else may get hold of what a name denotes.
fn leaves(cx: &RuleContext<'_>, name: TermId) -> bool {
    let facts = cx.facts();
    let is_part = (1..facts.terms.len()).map(TermId::at).any(|term| {
        !matches!(facts.terms.get(term), Term::Attr(..) | Term::Entered(_))
            && facts.terms.children(term).any(|part| part == name)
    });
    let is_passed = facts.args.iter().any(|arg| arg.value == name);
    let is_stored = facts.events.iter().any(|event| match event.kind {
        EventKind::Store(_, value) | EventKind::Return(value) | EventKind::Yield(value) => value == name,
        _ => false,
    });
    let is_renamed = facts.vars.iter().any(|var| var.values.contains(&name));
    // `stack.callback(lock.release)`: a bound method carries the lock along.
    let is_bound =
        facts.args.iter().any(|arg| matches!(facts.terms.get(arg.value), Term::Attr(base, _) if base == name));
    is_part || is_passed || is_stored || is_renamed || is_bound
}

fn report(cx: &RuleContext<'_>, call: CallIx, message: &str, findings: &mut Findings<'_>) {
    let span = cx.span(cx.facts().calls[call.index()].range);
    findings.report(
        Finding::new(span, Confidence::High, message)
            .label("made here, for this call alone")
            .note("all builds: each call has a lock of its own, which is always free")
            .help("make the lock once, at module level or in `__init__`, and take that one"),
    );
}
