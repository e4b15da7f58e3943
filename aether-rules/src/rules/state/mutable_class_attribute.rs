//! `AET207`: a list, dict or set in the class body, changed through `self` or `cls`.

use crate::declare_rule;
use crate::evidence;
use crate::facts::Term;
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Kind, Place, PlaceRoot, Sharing, Touch};
use crate::model::Role;
use crate::sym;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports a container made in a class body that threads change through `self` or `cls` without a lock.
    ///
    /// ## Why is this bad?
    /// There is one such container for all instances and all threads: what one request, job or worker puts into it
    /// shows up in every other.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Worker(threading.Thread):
    ///     results = []
    ///
    ///     def run(self):
    ///         self.results.append(1)
    ///
    /// for _ in range(4):
    ///     Worker().start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Worker(threading.Thread):
    ///     def __init__(self):
    ///         super().__init__()
    ///         self.results = []
    ///
    ///     def run(self):
    ///         self.results.append(1)
    ///
    /// for _ in range(4):
    ///     Worker().start()
    /// ```
    ///
    /// ## Limits
    /// Shown under `--all` only: a container that is somewhere reached through the class itself, or by `setdefault`;
    /// whoever writes that knows that there is one for all. Reported only where known threads meet; a subclass that gives each instance its own container is not considered.
    ///
    /// ## References
    /// - [Class and instance variables](https://docs.python.org/3/tutorial/classes.html#class-and-instance-variables)
    pub(crate) static MUTABLE_CLASS_ATTRIBUTE = {
        code: "AET207", name: "mutable-class-attribute", summary: "a container in a class body is changed by threads",
        family: State, level: Warning, since: "0.1.0", versions: "all",
        yields_to: &["AET101", "AET102", "AET104", "AET105", "AET106", "AET107", "AET202", "AET206"], check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let is_container = matches!(cx.program.place_kind(place).role(), Some(Role::Container(_)));
        if !matches!(place.root, PlaceRoot::ClassAttr(..)) || !is_container || !is_made_in_body(cx, place) {
            continue;
        }
        let changes = cx.program.accesses(place).iter().filter(|access| changes(access));
        let unlocked = changes.filter(|access| cx.program.held_at_access(access).is_empty());
        let shared = unlocked.filter_map(|access| match cx.program.sharing(access, |_| true) {
            Some(sharing @ Sharing::Proven(_)) => Some((access, sharing)),
            _ => None,
        });
        let first = shared.min_by_key(|(access, _)| (access.module, access.range.start()));
        let Some((access, sharing)) = first else { continue };
        let confidence = if is_deliberate(cx, place) { Confidence::Low } else { Confidence::Medium };
        if findings.wants(confidence) {
            findings.report(describe(cx, place, access, (&sharing, confidence)));
        }
    }
}

/// Whether some access says that the container is meant to be one for all: it is reached through the class, or by
/// `setdefault`, which has one winner.
fn is_deliberate(cx: &RuleContext<'_>, place: Place) -> bool {
    cx.program.accesses(place).iter().any(|access| {
        let facts = &cx.program.module(access.module).facts;
        let through_class = match facts.terms.get(access.term) {
            Term::Attr(base, _) => matches!(cx.program.kind(access.module, base), Kind::Class(_)),
            _ => false,
        };
        through_class || matches!(access.kind, AccessKind::Method(method, _) if method == sym!("setdefault"))
    })
}

/// Whether the class body makes the container, rather than declare a field.
fn is_made_in_body(cx: &RuleContext<'_>, place: Place) -> bool {
    let values = cx.program.stored_values(place);
    values.iter().any(|&(module, value, _)| matches!(cx.program.kind(module, value).role(), Some(Role::Container(_))))
}

fn changes(access: &Access) -> bool {
    match access.kind {
        AccessKind::Augment(Touch::Whole, _) => true,
        kind => kind.writes() && !kind.is_whole(),
    }
}

fn describe(
    cx: &RuleContext<'_>,
    place: Place,
    access: &Access,
    (sharing, confidence): (&Sharing<'_>, Confidence),
) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("`{name}` is one container for all instances, and threads change it");
    let mut finding = Finding::new(evidence::span_of(cx.program, access), confidence, message)
        .label("changes it for every instance and thread");
    if let Some(span) = cx.program.class_variable_span(place) {
        finding = finding.evidence(Evidence::new(EvidenceRole::Definition, span, "made once, in the class body"));
    }
    evidence::explain(cx.program, finding, access, sharing)
        .note("all builds")
        .help("make it in `__init__`, or, if it is shared on purpose, hold a class-level lock wherever it is used")
}
