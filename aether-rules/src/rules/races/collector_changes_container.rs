//! `AET118`: a finalizer changes a container that is being iterated.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CtxKind, FuncIx, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, FuncId, Place, PlaceRoot, RootId};
use crate::model::{ContainerKind, Role, RunsOn};
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports a loop or comprehension over a dict, set or deque that a finalizer adds to or removes from: a callback of
    /// `weakref.ref` or `weakref.finalize`, or a `__del__` that takes its object out of a registry.
    ///
    /// ## Why is this bad?
    /// Finalizers run when the last reference to an object goes away, or when the garbage collector finds a cycle:
    /// between any two bytecodes of any thread, also of the one that is in the middle of the loop. The loop raises
    /// `RuntimeError: Set changed size during iteration`. No second thread is needed, and no lock helps: the thread that
    /// holds it is the one that runs the finalizer.
    ///
    /// ## Example
    /// ```python bad
    /// import weakref
    ///
    /// class Registry:
    ///     def __init__(self):
    ///         self._members = set()
    ///
    ///     def add(self, member):
    ///         self._members.add(weakref.ref(member, self._gone))
    ///
    ///     def _gone(self, reference):
    ///         self._members.discard(reference)
    ///
    ///     def names(self):
    ///         return [reference().name for reference in self._members]
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import weakref
    ///
    /// class Registry:
    ///     def __init__(self):
    ///         self._members = set()
    ///
    ///     def add(self, member):
    ///         self._members.add(weakref.ref(member, self._gone))
    ///
    ///     def _gone(self, reference):
    ///         self._members.discard(reference)
    ///
    ///     def names(self):
    ///         members = [reference() for reference in list(self._members)]
    ///         return [member.name for member in members if member is not None]
    /// ```
    ///
    /// ## Limits
    /// A finalizer that first asks a flag of its object (`if self._iterating:`) is trusted. Lists are left out: nothing
    /// raises, elements are skipped.
    ///
    /// ## References
    /// - [weakref.ref](https://docs.python.org/3/library/weakref.html#weakref.ref)
    /// - [object.__del__](https://docs.python.org/3/reference/datamodel.html#object.__del__)
    pub(crate) static COLLECTOR_CHANGES_CONTAINER = {
        code: "AET118", name: "collector-changes-container", summary: "finalizer changes a container that is iterated",
        mentions: &[Sym::new("weakref"), Sym::new("__del__"), Sym::new("finalize"), Sym::new("ref")],
        family: Races, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let Some(Role::Container(container)) = cx.program.place_kind(place).role() else { continue };
        // What is weak guards its own loops against the collector.
        if matches!(
            container,
            ContainerKind::List | ContainerKind::ByteArray | ContainerKind::Weak | ContainerKind::View
        ) {
            continue;
        }
        let accesses = cx.program.accesses(place);
        let mut changes = accesses.iter().filter_map(|access| Some((access, finalizer(cx, place, access)?)));
        let Some((change, root)) = changes.next() else { continue };
        let mut reported: Vec<FuncId> = Vec::new();
        for iteration in accesses.iter().filter(|access| access.kind == AccessKind::Iterate) {
            let is_new = iteration.function != change.function && !reported.contains(&iteration.function);
            if is_new && findings.wants(Confidence::Medium) {
                reported.push(iteration.function);
                findings.report(describe(cx, place, iteration, change, root));
            }
        }
    }
}

/// The finalizer that makes a change, if it makes it whatever state the container's owner is in.
fn finalizer(cx: &RuleContext<'_>, place: Place, access: &Access) -> Option<RootId> {
    if !access.kind.resizes() || asks_first(cx, access) {
        return None;
    }
    let mut visits = cx.program.visits(access.function).iter();
    let visit = visits.find(|visit| {
        let root = cx.program.root(visit.root);
        root.runs_on == RunsOn::Finalizer && !owns(cx, root.function, place)
    })?;
    Some(visit.root)
}

/// Whether a container dies with the object that `__del__` is about: then nobody is iterating it.
fn owns(cx: &RuleContext<'_>, finalizer: FuncId, place: Place) -> bool {
    cx.program.function(finalizer).name == sym!("__del__")
        && matches!(place.root, PlaceRoot::Attr(..) | PlaceRoot::Cell(..))
}

/// Whether a test decides the change: of a flag that says that a loop is running.
fn asks_first(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let (_, function) = cx.program.func_local(access.function);
    facts.ctx_chain(access.ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, _) => asks_attribute(cx, access, test, function),
        _ => false,
    })
}

fn asks_attribute(cx: &RuleContext<'_>, access: &Access, test: TermId, function: FuncIx) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let asks = |term| {
        let place = cx.program.place(access.module, function, term);
        place.is_some_and(|(place, _)| place != access.place && !matches!(place.root, PlaceRoot::Cell(..)))
    };
    asks(test) || facts.terms.children(test).any(asks)
}

fn describe(cx: &RuleContext<'_>, place: Place, iteration: &Access, change: &Access, root: RootId) -> Finding {
    let name = cx.program.place_name(place);
    let span = evidence::span_of(cx.program, iteration);
    let message = format!("`{name}` is iterated, and a finalizer changes its size");
    let finding = Finding::new(span, Confidence::Medium, message)
        .label("raises RuntimeError when an object dies during the loop")
        .evidence(Evidence::new(
            EvidenceRole::OtherAccess,
            evidence::span_of(cx.program, change),
            format!("changed here, by the {}", cx.program.root_name(root)),
        ));
    finding
        .note("all builds, with one thread too: the collector runs finalizers between any two bytecodes")
        .help("iterate a copy: `list(…)`, and expect references in it that are dead by then")
}
