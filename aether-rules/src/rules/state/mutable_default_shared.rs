//! `AET208`: a mutable default argument that threads change.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{EventIx, EventKind, FuncIx, Param, Term, TermId, VarIx};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, ThreadOf};
use crate::model::{Role, methods};
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a list, dict or set as the default of a parameter that is changed in the function (or on `self`, where
    /// `__init__` keeps it), when several threads call the function without that argument.
    ///
    /// ## Why is this bad?
    /// The default is made once, when the function is defined. All calls that leave the argument out share it, on all
    /// threads: results leak from one to the other.
    ///
    /// ## Example
    /// ```python bad
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def collect(count, results=[]):
    ///     for number in range(count):
    ///         results.append(number)
    ///     return results
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     for _ in range(4):
    ///         pool.submit(collect, 10)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def collect(count, results=None):
    ///     if results is None:
    ///         results = []
    ///     for number in range(count):
    ///         results.append(number)
    ///     return results
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     for _ in range(4):
    ///         pool.submit(collect, 10)
    /// ```
    ///
    /// ## Limits
    /// What another function does with the argument is not followed, and only built-in containers are known to be
    /// mutable. A default that is reported may still be idempotent.
    ///
    /// ## References
    /// - [Python FAQ: why are default values shared?](https://docs.python.org/3/faq/programming.html#why-are-default-values-shared-between-objects)
    pub(crate) static MUTABLE_DEFAULT_SHARED = {
        code: "AET208", name: "mutable-default-shared", summary: "a mutable default argument is changed by threads",
        family: State, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// A change of a default: where, in which function, on which thread.
struct Change {
    span: Span,
    function: FuncId,
    thread: ThreadOf,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        let params = &cx.facts().functions[local.index()].params;
        for (position, param) in params.iter().enumerate() {
            if !is_mutable_default(cx, param) || !uses_default(cx, (local, function), position, param) {
                continue;
            }
            let change =
                change_inside(cx, (local, function), param.var).or_else(|| change_on_self(cx, local, param.var));
            if let Some(change) = change
                && findings.wants(Confidence::High)
            {
                findings.report(describe(cx, param, &change));
            }
        }
    }
}

/// Whether a parameter's default is a container, and nothing else is ever assigned to the parameter.
fn is_mutable_default(cx: &RuleContext<'_>, param: &Param) -> bool {
    if param.default.is_opaque() {
        return false;
    }
    let is_container = matches!(cx.program.kind(cx.module, param.default).role(), Some(Role::Container(_)));
    let is_kept = cx.facts().vars[param.var.index()]
        .values
        .iter()
        .all(|&value| value == param.default || matches!(cx.facts().terms.get(value), Term::Param(..)));
    is_container && is_kept
}

/// Whether a thread's starter or a caller leaves the argument out.
fn uses_default(cx: &RuleContext<'_>, (local, function): (FuncIx, FuncId), position: usize, param: &Param) -> bool {
    let declaration = &cx.facts().functions[local.index()];
    let bound = usize::from(declaration.class.is_some() && !declaration.flags.is_static);
    let is_root = cx.program.roots().any(|(_, root)| {
        let maps = root.started.is_some_and(|started| {
            let (module, _) = cx.program.func_local(started.by);
            let name = cx.program.library_callee(module, started.call);
            name == Some(qual!("concurrent.futures.Executor.map")) && position == bound
        });
        root.function == function && !maps
    });
    if is_root && cx.program.started_with(cx.module, local, position as u16).is_none() {
        return true;
    }
    cx.program.callers(function).iter().any(|site| {
        let (module, _) = cx.program.func_local(site.caller);
        let facts = &cx.program.module(module).facts;
        let EventKind::Call(call) = facts.events[site.event.index()].kind else { return false };
        facts.arg(call, position.saturating_sub(bound), param.name).is_none()
    })
}

/// A change of the parameter in the function's own body, with no lock held.
fn change_inside(cx: &RuleContext<'_>, (local, function): (FuncIx, FuncId), var: VarIx) -> Option<Change> {
    let thread = cx.program.parallel_thread(function)?;
    let is_param = |term: TermId| cx.facts().var_of(term) == Some(var);
    let changes = |kind: EventKind| match kind {
        EventKind::Store(target, _) | EventKind::Augment(target, _) | EventKind::Delete(target) => {
            matches!(cx.facts().terms.get(target), Term::Item(base, _) if is_param(base))
        }
        EventKind::Call(call) => match cx.facts().terms.get(cx.facts().calls[call.index()].callee) {
            Term::Attr(base, method) if is_param(base) => changes_container(cx, base, method),
            // An element of it: one object for everybody just the same.
            Term::Attr(base, method) => match cx.facts().terms.get(base) {
                Term::Item(outer, _) => is_param(outer) && methods::effect_by_name(method).is_some(),
                _ => false,
            },
            _ => false,
        },
        _ => false,
    };
    let is_bare = |at: EventIx| cx.program.held(cx.module, function, at).is_empty();
    let change = cx.events(local).find(|&(at, event)| changes(event.kind) && is_bare(at));
    change.map(|(_, event)| Change { span: cx.span(event.range), function, thread })
}

fn changes_container(cx: &RuleContext<'_>, base: TermId, method: crate::facts::Sym) -> bool {
    match cx.program.kind(cx.module, base).role() {
        Some(Role::Container(container)) => methods::effect_of(container, method).is_some_and(methods::Effect::writes),
        _ => false,
    }
}

/// A change of the attribute in which `__init__` keeps the parameter.
fn change_on_self(cx: &RuleContext<'_>, local: FuncIx, var: VarIx) -> Option<Change> {
    if cx.facts().functions[local.index()].name != sym!("__init__") {
        return None;
    }
    let kept = cx.events(local).find_map(|(_, event)| match event.kind {
        EventKind::Store(target, value) if cx.facts().var_of(value) == Some(var) => {
            cx.program.place(cx.module, local, target)
        }
        _ => None,
    });
    let (place, _) = kept?;
    cx.program.accesses(place).iter().find_map(|access| {
        let is_change = access.kind.writes() && !access.kind.is_whole() && cx.program.held_at_access(access).is_empty();
        let thread = cx.program.parallel_thread(access.function)?;
        let span = evidence::span_of(cx.program, access);
        is_change.then_some(Change { span, function: access.function, thread })
    })
}

fn describe(cx: &RuleContext<'_>, param: &Param, change: &Change) -> Finding {
    let name = cx.facts().name(param.name);
    let span = cx.span(cx.facts().vars[param.var.index()].range);
    let thread = cx.program.thread_name(change.thread);
    let changed = Evidence::new(EvidenceRole::OtherAccess, change.span, "changed here").on_thread(thread.clone());
    let finding = Finding::new(
        span,
        Confidence::High,
        format!("the default of `{name}` is one object that several threads change"),
    )
    .label("made once, when the function is defined")
    .evidence(changed)
    .on_thread(thread);
    evidence::on_thread(cx.program, finding, change.function, change.thread)
        .note("all builds: every call that leaves the argument out shares the default")
        .help(format!("use `{name}=None` and make the container in the function"))
}
