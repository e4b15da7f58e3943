//! `AET203`: tested outside the lock, not again inside; or published before it is complete.

use crate::check_then_act::{self, Hazard, Lazy};
use crate::declare_rule;
use crate::evidence;
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Check, Place, Touch, Worth};
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports a value made under a lock because a test *outside* that lock found it missing, without testing again
    /// inside; and one that is tested twice, but stored before it is complete.
    ///
    /// ## Why is this bad?
    /// All threads that pass the first test wait for the lock and then make the value one after the other: each
    /// replaces the one before. And a value stored half-built is taken for complete by every thread that only looks at
    /// the first test.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Index:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._table = None
    ///
    ///     def table(self):
    ///         if self._table is None:
    ///             with self._lock:
    ///                 self._table = {}
    ///                 self._table["loaded"] = True
    ///         return self._table
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Index:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._table = None
    ///
    ///     def table(self):
    ///         if self._table is None:
    ///             with self._lock:
    ///                 if self._table is None:
    ///                     table = {}
    ///                     table["loaded"] = True
    ///                     self._table = table
    ///         return self._table
    /// ```
    ///
    /// ## Limits
    /// A store in a helper called under the lock is not followed, nor what a call does to the stored object. An equal,
    /// immutable value stored twice does no harm: shown under `--all` only.
    ///
    /// ## References
    /// - [Double-checked locking](https://en.wikipedia.org/wiki/Double-checked_locking)
    pub(crate) static BROKEN_DOUBLE_CHECK = {
        code: "AET203", name: "broken-double-check", summary: "a test outside the lock is not repeated inside it",
        family: State, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        for act in cx.program.accesses(place) {
            if cx.program.held_at_access(act).is_empty() {
                continue;
            }
            let finding = unrepeated(cx, place, act).or_else(|| incomplete(cx, place, act));
            if let Some(finding) = finding {
                findings.report(finding);
                break;
            }
        }
    }
}

/// The test was made outside the lock only.
fn unrepeated(cx: &RuleContext<'_>, place: Place, act: &Access) -> Option<Finding> {
    let lazy = check_then_act::lazy(cx, act)?;
    let sharing = cx.program.stale_sharing(act, |other| check_then_act::stores_value(cx, other))?;
    let hazard = Hazard::new(cx, act, lazy.check, sharing);
    let is_same = cx.program.worth(act.module, lazy.value) <= Worth::Same;
    let hazard = if is_same { hazard.at_most(Confidence::Low) } else { hazard };
    let name = cx.program.place_name(place);
    let message = format!("`{name}` was tested before the lock was taken, and is not tested again inside");
    Some(
        describe(cx, act, &hazard, (message, "every thread that passed the test stores a value of its own"))
            .help("repeat the test inside the lock, before the assignment"),
    )
}

/// Tested twice, but others see it before it is complete.
fn incomplete(cx: &RuleContext<'_>, place: Place, act: &Access) -> Option<Finding> {
    let AccessKind::Write(Touch::Whole, value) = act.kind else { return None };
    let checks: Vec<Check> = cx.program.checks(act).into_iter().filter(check_then_act::asks_for_value).collect();
    if !checks.iter().any(|check| cx.program.is_one_step(act, check)) {
        return None;
    }
    let outer = *checks.iter().find(|check| !cx.program.is_one_step(act, check))?;
    let later = check_then_act::built_afterwards(cx, act, &Lazy { value, check: outer })?;
    let sharing = cx.program.stale_sharing(act, |_| true)?;
    let hazard = Hazard::new(cx, act, outer, sharing);
    let name = cx.program.place_name(place);
    let message = format!("`{name}` is stored before it is complete: the test outside the lock lets others use it");
    let finding = describe(cx, act, &hazard, (message, "visible to other threads from here on"));
    Some(check_then_act::published_early(finding, later).help("complete it in a local name, and store it last"))
}

fn describe(cx: &RuleContext<'_>, act: &Access, hazard: &Hazard<'_>, (message, label): (String, &str)) -> Finding {
    let span = evidence::span_of(cx.program, act);
    let tested = cx.program.span(act.module, hazard.check.range);
    let finding = Finding::new(span, hazard.confidence, message).label(label).evidence(Evidence::new(
        EvidenceRole::OtherAccess,
        tested,
        "tested here, without the lock",
    ));
    evidence::explain(cx.program, finding, act, &hazard.sharing)
        .note("all builds: threads wait for the lock between the test and the assignment")
}
