//! `AET119`: a live view of a container leaves the critical section that guards the container.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, CtxIx, CtxKind, EventKind, FuncIx, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, LockSet, Place};
use crate::model::Role;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports a view of a dict (`keys()`, `values()`, `items()`) that is taken under the lock that guards the dict, and
    /// is returned or used after the lock is released.
    ///
    /// ## Why is this bad?
    /// A view copies nothing: it shows the dict as it is whenever it is looked at. Under the lock nothing was read, and
    /// who iterates the view later meets the changes that the lock was to keep out: `RuntimeError: dictionary changed
    /// size during iteration`, or a length that no longer holds.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Readers:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._readers = {}
    ///
    ///     def add(self, sock, reader):
    ///         with self._lock:
    ///             self._readers[sock] = reader
    ///
    ///     def sockets(self):
    ///         with self._lock:
    ///             return self._readers.keys()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Readers:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._readers = {}
    ///
    ///     def add(self, sock, reader):
    ///         with self._lock:
    ///             self._readers[sock] = reader
    ///
    ///     def sockets(self):
    ///         with self._lock:
    ///             return list(self._readers)
    /// ```
    ///
    /// ## Limits
    /// The dict itself, returned under its lock, is not reported: some callers only look up one key. A view that is put
    /// into another object is not followed.
    ///
    /// ## References
    /// - [Dictionary view objects](https://docs.python.org/3/library/stdtypes.html#dictionary-view-objects)
    pub(crate) static GUARDED_VIEW_ESCAPES = {
        code: "AET119", name: "guarded-view-escapes", summary: "live view leaves the lock that guards its dict",
        mentions: &[Sym::new("keys"), Sym::new("values"), Sym::new("items")],
        family: Races, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        if !cx.program.may_hold(function) || cx.program.is_setup(function) {
            continue;
        }
        for (at, event) in cx.events(local) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(place) = viewed(cx, local, call) else { continue };
            let held = cx.program.held_locally(cx.module, at, event.ctx);
            let Some(escape) = escape(cx, local, call, event.ctx, &held) else { continue };
            let Some(writer) = writer(cx, place, &held) else { continue };
            if findings.wants(Confidence::Medium) {
                findings.report(describe(cx, place, cx.span(event.range), escape, writer));
            }
        }
    }
}

/// The dict whose view a call takes, if it is one that others see too.
fn viewed(cx: &RuleContext<'_>, function: FuncIx, call: CallIx) -> Option<Place> {
    let facts = cx.facts();
    let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
    let is_view = [sym!("keys"), sym!("values"), sym!("items")].contains(&name);
    if !is_view || !facts.args_of(call).is_empty() {
        return None;
    }
    let is_dict = matches!(cx.program.kind(cx.module, base).role(), Some(Role::Container(_)));
    let (place, _) = cx.program.place(cx.module, function, base).filter(|_| is_dict)?;
    Some(place)
}

/// Where the view is used with a lock given back that was held when it was taken.
fn escape(cx: &RuleContext<'_>, function: FuncIx, call: CallIx, ctx: CtxIx, held: &LockSet) -> Option<Span> {
    if held.is_empty() {
        return None;
    }
    let facts = cx.facts();
    let with = facts.ctx_chain(ctx).find(|(_, ctx)| matches!(ctx.kind, CtxKind::With(..))).map(|(at, _)| at)?;
    let is_view = |term: TermId| facts.terms.get(term) == Term::Call(call) || names_view(cx, term, call);
    cx.events(function).find_map(|(_, event)| {
        let used = match event.kind {
            // What is returned is used when the block has ended.
            EventKind::Return(value) => is_view(value),
            EventKind::Iterate(value) => is_view(value) && !facts.ctx_within(event.ctx, with),
            EventKind::Call(used) => {
                !facts.ctx_within(event.ctx, with) && facts.args_of(used).iter().any(|arg| is_view(arg.value))
            }
            _ => false,
        };
        used.then(|| cx.span(event.range))
    })
}

/// Whether a name holds the view, and nothing but empty containers besides.
fn names_view(cx: &RuleContext<'_>, term: TermId, call: CallIx) -> bool {
    let facts = cx.facts();
    let Some(var) = facts.var_of(term) else { return false };
    let values = &facts.vars[var.index()].values;
    let others = values.iter().filter(|&&value| facts.terms.get(value) != Term::Call(call));
    let is_empty = |value: TermId| match facts.terms.get(value) {
        Term::Display(_, list) => facts.terms.list(list).is_empty(),
        Term::Const(_) => true,
        _ => false,
    };
    let other_count = others.clone().count();
    other_count < values.len() && others.copied().all(is_empty)
}

/// A change of the dict's size, elsewhere, under a lock that the view was taken under.
fn writer<'a>(cx: &RuleContext<'a>, place: Place, held: &LockSet) -> Option<&'a Access> {
    let accesses = cx.program.accesses(place).iter();
    let mut changes = accesses.filter(|access| access.kind.resizes() && !cx.program.is_setup(access.function));
    changes.find(|access| cx.program.held_at_access(access).meets(held))
}

fn describe(cx: &RuleContext<'_>, place: Place, span: Span, escape: Span, writer: &Access) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("a live view of `{name}` is used after its lock is released");
    Finding::new(span, Confidence::Medium, message)
        .label("copies nothing: it changes when the dict does")
        .evidence(Evidence::new(EvidenceRole::OtherAccess, escape, "used without the lock"))
        .evidence(Evidence::new(
            EvidenceRole::OtherAccess,
            evidence::span_of(cx.program, writer),
            "changed here, under the same lock",
        ))
        .note("all builds: iterating the view raises RuntimeError when the dict's size changes in between")
        .help("copy under the lock: `list(…)`")
}
