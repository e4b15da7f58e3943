//! `AET204`: `cached_property` over something that must be made once.

use super::lru_cache_once::{is_warmed_up, made_worth, makes_value};
use crate::declare_rule;
use crate::evidence;
use crate::facts::{EventKind, FuncIx, Term, TermId, VarIx};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, Kind, PlaceRoot, ThreadOf, Worth};
use crate::{Confidence, Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a `functools.cached_property` whose getter makes an object with an identity, a container, or changes
    /// shared state, when several threads may read it first.
    ///
    /// ## Why is this bad?
    /// Since Python 3.12 `cached_property` has no lock: two threads that read it first both run the getter, and one of
    /// them keeps an object that is then replaced. (Up to 3.11 one lock for all instances of the class made it safe, and
    /// slow.)
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    /// from functools import cached_property
    ///
    /// class Resource:
    ///     @cached_property
    ///     def lock(self):
    ///         return threading.Lock()
    ///
    ///     def use(self):
    ///         with self.lock:
    ///             print("alone?")
    ///
    /// resource = Resource()
    /// for _ in range(4):
    ///     threading.Thread(target=resource.use).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Resource:
    ///     def __init__(self):
    ///         self.lock = threading.Lock()
    ///
    ///     def use(self):
    ///         with self.lock:
    ///             print("alone?")
    ///
    /// resource = Resource()
    /// for _ in range(4):
    ///     threading.Thread(target=resource.use).start()
    /// ```
    ///
    /// ## Limits
    /// Reported only where known threads read it. A descriptor of the program's own that stores in the object what its
    /// getter makes, with no lock around, is shown under `--all` only: most getters make the same twice. A value made by another function is not recognised; a pure value may be
    /// computed twice without harm, and an object that never changes once it is made is shown under `--all` only.
    ///
    /// ## References
    /// - [`functools.cached_property`](https://docs.python.org/3/library/functools.html#functools.cached_property)
    pub(crate) static CACHED_PROPERTY_RACE = {
        code: "AET204", name: "cached-property-race", summary: "a cached property may be computed once per thread",
        family: State, level: Warning, since: "0.1.0", versions: "3.12+; up to 3.11 a lock made it safe",
        check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        if let Some(finding) = descriptor(cx, local, function).filter(|finding| findings.wants(finding.confidence)) {
            findings.report(finding);
        }
        let Some(decorator) = cached_property(cx, local) else { continue };
        let confidence = match made_worth(cx, local) {
            Some(Worth::Object) if makes_value(cx, local) && !changes_shared(cx, local) => Confidence::Low,
            Some(Worth::Object | Worth::Container) => Confidence::High,
            _ if changes_shared(cx, local) => Confidence::High,
            _ => continue,
        };
        if !findings.wants(confidence) || !cx.program.held_on_entry(function).is_empty() || is_warmed_up(cx, function) {
            continue;
        }
        if let Some(thread) = cx.program.parallel_thread(function).filter(|&thread| shares_self(cx, function, thread)) {
            findings.report(describe(cx, (local, function), decorator, (thread, confidence)));
        }
    }
}

/// A descriptor of the program's own that stores what its getter makes in the object, with no lock around. Most getters
/// make the same twice.
fn descriptor(cx: &RuleContext<'_>, local: FuncIx, function: FuncId) -> Option<Finding> {
    let facts = cx.facts();
    let declaration = &facts.functions[local.index()];
    let [own, object, ..] = &declaration.params[..] else { return None };
    if declaration.name != sym!("__get__") || declaration.class.is_none() {
        return None;
    }
    let is_var = |term: TermId, var: VarIx| facts.var_of(term) == Some(var);
    let is_dict = |term: TermId| matches!(facts.terms.get(term), Term::Attr(base, name) if name == sym!("__dict__") && is_var(base, object.var));
    let is_kept = |term: TermId| {
        is_dict(term)
            || facts.var_of(term).is_some_and(|var| facts.vars[var.index()].values.iter().any(|&value| is_dict(value)))
    };
    let (_, made) = cx.events(local).find(|(_, event)| match event.kind {
        EventKind::Call(call) => {
            let of_own = matches!(facts.terms.get(facts.calls[call.index()].callee), Term::Attr(base, _) if is_var(base, own.var));
            of_own && facts.args_of(call).iter().any(|arg| is_var(arg.value, object.var))
        }
        _ => false,
    })?;
    let (at, stored) = cx.events(local).find(|(_, event)| match event.kind {
        EventKind::Store(target, _) => matches!(facts.terms.get(target), Term::Item(base, _) if is_kept(base)),
        _ => false,
    })?;
    if !cx.program.held(cx.module, function, at).is_empty() {
        return None;
    }
    let name = cx.program.function_name(function);
    Some(
        Finding::new(cx.span(stored.range), Confidence::Low, format!("`{name}` may run a getter once per thread"))
            .label("stored without a lock around the getter and this")
            .evidence(Evidence::new(EvidenceRole::OtherAccess, cx.span(made.range), "the value is made here"))
            .note("all builds: two threads that read the attribute first both run the getter")
            .help("hold a lock around a second look, the getter and the store"),
    )
}

fn cached_property(cx: &RuleContext<'_>, function: FuncIx) -> Option<TermId> {
    let decorators = &cx.facts().functions[function.index()].decorators;
    decorators
        .iter()
        .copied()
        .find(|&decorator| cx.program.kind(cx.module, decorator) == Kind::Lib(qual!("functools.cached_property")))
}

/// Whether a getter changes something besides its own object.
fn changes_shared(cx: &RuleContext<'_>, function: FuncIx) -> bool {
    cx.events(function).any(|(_, event)| match event.kind {
        EventKind::Augment(target, _) => {
            let base = match cx.facts().terms.get(target) {
                Term::Item(base, _) => base,
                _ => target,
            };
            let place = cx.program.place(cx.module, function, base);
            place.is_some_and(|(place, _)| matches!(place.root, PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..)))
        }
        _ => false,
    })
}

/// Whether the thread's object is known to others.
fn shares_self(cx: &RuleContext<'_>, function: FuncId, thread: ThreadOf) -> bool {
    cx.program.thread_visits(function).any(|visit| visit.shares_self && ThreadOf::Root(visit.root) == thread)
}

fn describe(
    cx: &RuleContext<'_>,
    (local, function): (FuncIx, FuncId),
    decorator: TermId,
    (thread, confidence): (ThreadOf, Confidence),
) -> Finding {
    let name = cx.program.function_name(function);
    let header = cx.program.function_span(function);
    let span = cx.program.read_span(cx.module, local, decorator).unwrap_or(header);
    let finding = Finding::new(span, confidence, format!("`{name}` may be computed once per thread"))
        .label("no lock is held while the getter runs (3.12 and later)")
        .evidence(Evidence::new(EvidenceRole::Definition, header, "made here"))
        .on_thread(cx.program.thread_name(thread));
    evidence::on_thread(cx.program, finding, function, thread)
        .note("3.12+, all builds; up to 3.11 one lock for all instances was held")
        .help("make it in `__init__`, or hold a lock in the getter and test again")
}
