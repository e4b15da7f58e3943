//! `AET202`: `if cls._instance is None: cls._instance = cls()`

use crate::check_then_act::{self, Hazard};
use crate::declare_rule;
use crate::link::{Access, AccessKind, Answer, Asked, Place, Sharing, Touch};
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports a class that keeps its only instance (or one per key) in a class attribute and makes it when a test
    /// finds it missing: in `__new__`, in a metaclass's `__call__`, in `instance()`, in a `singleton` decorator.
    ///
    /// ## Why is this bad?
    /// Two threads find it missing and make two: 45 of 3 000 in a stress test, with the GIL. Whoever got the first one
    /// goes on with an object nobody else has.
    ///
    /// ## Example
    /// ```python bad
    /// class Config:
    ///     _instance = None
    ///
    ///     @classmethod
    ///     def instance(cls):
    ///         if cls._instance is None:
    ///             cls._instance = cls()
    ///         return cls._instance
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Config:
    ///     _instance = None
    ///     _lock = threading.Lock()
    ///
    ///     @classmethod
    ///     def instance(cls):
    ///         with cls._lock:
    ///             if cls._instance is None:
    ///                 cls._instance = cls()
    ///             return cls._instance
    /// ```
    ///
    /// ## Limits
    /// A class that promises a single instance promises it to every thread: medium confidence without any other sign
    /// of threads. Whether two equal instances would do no harm is not known.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static UNLOCKED_SINGLETON = {
        code: "AET202", name: "unlocked-singleton", summary: "a class makes its only instance without a lock",
        family: State, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let acts = cx.program.accesses(place).iter();
        let hazards = acts.filter_map(|act| hazard(cx, act));
        check_then_act::report(cx, findings, hazards, |hazard| describe(cx, place, hazard));
    }
}

fn hazard<'a>(cx: &RuleContext<'a>, act: &'a Access) -> Option<Hazard<'a>> {
    let AccessKind::Write(touch, _) = act.kind else { return None };
    if !check_then_act::is_singleton(cx, act) || (touch == Touch::Whole && !cx.program.held_at_access(act).is_empty()) {
        return None;
    }
    let check = cx.program.stale_check(act, |check| match (touch, check.asked) {
        (Touch::Whole, _) => check_then_act::asks_for_value(check),
        (Touch::Element(key), Asked::Key(tested)) => check.answer == Answer::Absent && tested.same(key),
        (Touch::Element(_), _) => false,
    })?;
    let sharing = cx.program.stale_sharing(act, |other| matches!(other.kind, AccessKind::Write(..)))?;
    let mut hazard = Hazard::new(cx, act, check, sharing);
    if matches!(hazard.sharing, Sharing::Possible) {
        hazard.confidence = Confidence::Medium;
    }
    Some(hazard)
}

fn describe(cx: &RuleContext<'_>, place: Place, hazard: &Hazard<'_>) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("two threads may both find `{name}` missing and make two instances");
    hazard
        .finding(cx, message, "whether there is an instance may be out of date when one is made", "stored here")
        .note("all builds: an instance is promised to every thread, and the GIL may be handed over after the test")
        .help(check_then_act::lock_advice(
            cx,
            place,
            "make the instance at import, or hold one class-level lock around test and creation",
        ))
}
