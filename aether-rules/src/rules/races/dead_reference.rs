//! `AET121`: `if ref() is not None: ref().x`

use crate::declare_rule;
use crate::facts::{Arm, CallIx, Comparison, Const, CtxKind, Event, EventKind, FuncIx, Qual, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Kind, Place};
use crate::model::RunsOn;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports what a weak reference returns being used at once, where the code itself expects it to die: the reference was
    /// called a first time for a test, or it comes out of a container from which its callback takes it when it dies.
    ///
    /// ## Why is this bad?
    /// Between the test and the second call another thread may drop the last strong reference, or the garbage collector
    /// may find a cycle: the second call returns `None`, and the use raises `AttributeError`. A test holds nobody alive;
    /// only a name for what the reference returned does.
    ///
    /// ## Example
    /// ```python bad
    /// import weakref
    ///
    /// class Child:
    ///     def __init__(self, parent):
    ///         self._parent = weakref.ref(parent)
    ///
    ///     def path(self):
    ///         if self._parent() is not None:
    ///             return self._parent().path()
    ///         return "/"
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import weakref
    ///
    /// class Child:
    ///     def __init__(self, parent):
    ///         self._parent = weakref.ref(parent)
    ///
    ///     def path(self):
    ///         parent = self._parent()
    ///         if parent is not None:
    ///             return parent.path()
    ///         return "/"
    /// ```
    ///
    /// ## Limits
    /// A reference that is never tested and has no such container is taken to point to something that outlives it. A use is
    /// an attribute or a method; an object that is passed on is not followed. Where a handler expects `AttributeError` or
    /// `TypeError`, and where the function has a name for what the reference returned, nothing is reported.
    ///
    /// ## References
    /// - [weakref.ref](https://docs.python.org/3/library/weakref.html#weakref.ref)
    pub(crate) static DEAD_REFERENCE = {
        code: "AET121", name: "dead-reference", summary: "a weak reference is called again after a test",
        mentions: &[Sym::new("weakref"), Sym::new("ref"), Sym::new("WeakMethod")],
        family: Races, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// What using `None` raises.
const ERRORS: &[Qual] = &[qual!("builtins.AttributeError"), qual!("builtins.TypeError")];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    // What lives on the one thread of a user interface is seldom dropped by another.
    let confidence = if cx.program.is_graphical(cx.module) { Confidence::Low } else { Confidence::Medium };
    if !findings.wants(confidence) {
        return;
    }
    for (local, _) in cx.functions() {
        let mut reported = Vec::new();
        for (_, event) in cx.events(local) {
            let Some((call, reference)) = used_at_once(cx, &event) else { continue };
            if cx.program.tolerates(cx.module, event.ctx, ERRORS) || is_held(cx, local, reference) {
                continue;
            }
            let why = tested(cx, &event, reference).or_else(|| removed(cx, local, reference));
            if let Some(why) = why.filter(|_| !reported.contains(&reference)) {
                reported.push(reference);
                findings.report(describe(confidence, cx.span(cx.facts().calls[call.index()].range), why));
            }
        }
    }
}

/// The call of a weak reference of which an attribute is looked up at once, and the reference.
fn used_at_once(cx: &RuleContext<'_>, event: &Event) -> Option<(CallIx, TermId)> {
    let facts = cx.facts();
    let used = match event.kind {
        EventKind::Load(term) | EventKind::Store(term, _) => term,
        EventKind::Call(call) => facts.calls[call.index()].callee,
        _ => return None,
    };
    let Term::Attr(base, _) = facts.terms.get(used) else { return None };
    let Term::Call(call) = facts.terms.get(base) else { return None };
    let reference = facts.calls[call.index()].callee;
    let is_weak = matches!(cx.program.kind(cx.module, reference), Kind::Object(class)
        if class == qual!("weakref.ref") || class == qual!("weakref.ReferenceType") || class == qual!("weakref.WeakMethod"));
    (is_weak && facts.args_of(call).is_empty()).then_some((call, reference))
}

/// Whether a function gives what a reference returns a name, which keeps it alive.
fn is_held(cx: &RuleContext<'_>, local: FuncIx, reference: TermId) -> bool {
    cx.events(local).any(|(_, event)| match event.kind {
        EventKind::Store(_, value) => is_call_of(cx, value, reference),
        _ => false,
    })
}

fn is_call_of(cx: &RuleContext<'_>, term: TermId, reference: TermId) -> bool {
    let facts = cx.facts();
    matches!(facts.terms.get(term), Term::Call(call) if facts.calls[call.index()].callee.same(reference))
}

/// Why a reference may be dead: what is said, and where it is seen.
type Why = (Span, String, &'static str);

/// A test that called the reference before.
fn tested(cx: &RuleContext<'_>, event: &Event, reference: TermId) -> Option<Why> {
    cx.facts().ctx_chain(event.ctx).find_map(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, arm) if finds(cx, test, arm, reference) => Some((
            cx.span(ctx.range),
            "alive when it was tested here".to_owned(),
            "a weak reference is called again after it was found alive",
        )),
        _ => None,
    })
}

/// Whether a test that went one way found a reference alive by calling it.
fn finds(cx: &RuleContext<'_>, test: TermId, arm: Arm, reference: TermId) -> bool {
    let facts = cx.facts();
    let is_none = |term: TermId| facts.terms.get(term) == Term::Const(Const::None);
    match (facts.terms.get(test), arm) {
        (Term::Call(_), Arm::Then) => is_call_of(cx, test, reference),
        (Term::Not(inner), Arm::Then) => finds(cx, inner, Arm::Else, reference),
        (Term::Not(inner), Arm::Else) => finds(cx, inner, Arm::Then, reference),
        (Term::Compare(Comparison::IsNot | Comparison::NotEq, a, b), Arm::Then)
        | (Term::Compare(Comparison::Is | Comparison::Eq, a, b), Arm::Else) => {
            is_none(b) && is_call_of(cx, a, reference)
        }
        (Term::And(a, b), Arm::Then) | (Term::Or(a, b), Arm::Else) => {
            finds(cx, a, arm, reference) || finds(cx, b, arm, reference)
        }
        _ => false,
    }
}

/// A finalizer that takes the reference out of the container it was found in.
fn removed(cx: &RuleContext<'_>, local: FuncIx, reference: TermId) -> Option<Why> {
    let facts = cx.facts();
    let var = facts.var_of(reference)?;
    let [value] = facts.vars[var.index()].values[..] else { return None };
    let Term::Element(iterable) = facts.terms.get(value) else { return None };
    let place = container(cx, local, iterable)?;
    let mut changes = cx.program.accesses(place).iter().filter(|access| takes_out(access));
    let change = changes.find(|access| {
        let mut visits = cx.program.visits(access.function).iter();
        visits.any(|visit| cx.program.root(visit.root).runs_on == RunsOn::Finalizer)
    })?;
    Some((
        cx.program.span(change.module, change.range),
        format!("taken out of `{}` here when it dies", cx.program.place_name(place)),
        "a weak reference that may be dead is called and used at once",
    ))
}

/// Whether an access takes one element out.
fn takes_out(access: &Access) -> bool {
    match access.kind {
        AccessKind::Delete(_) => true,
        AccessKind::Method(method, _) => {
            [sym!("remove"), sym!("discard"), sym!("pop"), sym!("difference_update")].contains(&method)
        }
        _ => false,
    }
}

/// The place whose elements, or copies of them, are iterated.
fn container(cx: &RuleContext<'_>, local: FuncIx, iterable: TermId) -> Option<Place> {
    let facts = cx.facts();
    let of = match facts.terms.get(iterable) {
        Term::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(base, _) => base,
            _ => facts.positional(call, 0)?.value,
        },
        _ => iterable,
    };
    cx.program.place(cx.module, local, of).map(|(place, _)| place)
}

fn describe(confidence: Confidence, span: Span, (seen, text, message): Why) -> Finding {
    Finding::new(span, confidence, message)
        .label("`None` if the object has died meanwhile: the use raises AttributeError")
        .evidence(Evidence::new(EvidenceRole::OtherAccess, seen, text))
        .note("all builds: another thread may drop the object, and the collector may run between any two bytecodes")
        .help("call the reference once, keep what it returns under a name, and test and use that")
}
