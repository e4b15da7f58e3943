//! `AET202`: `if cls._instance is None: cls._instance = cls()`

use crate::check_then_act::{self, Hazard, Lazy};
use crate::declare_rule;
use crate::link::{Access, AccessKind, Answer, Asked, Check, Place, PlaceRoot, Sharing, Touch};
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports a class that keeps its only instance in a class attribute and makes it when a test finds it missing: in
    /// `__new__`, in a metaclass's `__call__`, in `instance()`, in a `singleton` decorator. Instances kept by key count
    /// where instances are made (`__new__`, `__call__`); any other keyed cache is `AET104`'s.
    ///
    /// ## Why is this bad?
    /// Two threads find it missing and make two: 45 of 3 000 in a stress test, with the GIL. Whoever got the first one
    /// goes on with an object nobody else has.
    ///
    /// ## Example
    /// ```python bad
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// class Config:
    ///     _instance = None
    ///
    ///     @classmethod
    ///     def instance(cls):
    ///         if cls._instance is None:
    ///             cls._instance = cls()
    ///         return cls._instance
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     for _ in range(4):
    ///         pool.submit(Config.instance)
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
    /// Two equal instances often do no harm: without threads and without a promise of thread safety it is shown under
    /// `--all` only, except where documentation promises that it is made "only once", and where `C(…)` itself looks up instances by key or hands out one that is not complete and that
    /// changes later. So is
    /// an instance that module level makes at import, one of a class whose methods are coroutines for the most part, and one
    /// for each thread or event loop.
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
    if matches!(touch, Touch::Element(key) if check_then_act::is_own_key(cx, act, key)) {
        return Some(hazard.at_most(Confidence::Low));
    }
    let is_elsewhere = || is_promised_by_its_shape(cx, act, check) && !is_of_loop(cx, act);
    if matches!(hazard.sharing, Sharing::Possible) && (is_elsewhere() || check_then_act::is_promised_once(cx, act)) {
        hazard.confidence = Confidence::Medium;
    }
    Some(if check_then_act::is_made_at_import(cx, act) { hazard.at_most(Confidence::Low) } else { hazard })
}

/// Whether two threads are worse off than with two equal instances: `C(…)` itself hands out instances by key, or one
/// that is not complete yet.
fn is_promised_by_its_shape(cx: &RuleContext<'_>, act: &Access, check: Check) -> bool {
    let AccessKind::Write(touch, value) = act.kind else { return false };
    let is_early =
        || check_then_act::built_afterwards(cx, act, &Lazy { value, check }).is_some() && changes_later(cx, act);
    check_then_act::is_where_instances_are_made(cx, act) && (matches!(touch, Touch::Element(_)) || is_early())
}

/// Whether most of what the instances do is done by coroutines: they live on the thread of their loop.
fn is_of_loop(cx: &RuleContext<'_>, act: &Access) -> bool {
    let PlaceRoot::ClassAttr(class, _) = act.place.root else { return false };
    let methods = cx.program.class(class).mro.iter().flat_map(|ancestor| cx.program.class(*ancestor).methods.values());
    let (all, coroutines) = methods.fold((0_usize, 0_usize), |(all, coroutines), &method| {
        (all + 1, coroutines + usize::from(cx.program.function(method).flags.is_async))
    });
    coroutines * 2 > all
}

/// Whether a method of the class changes anything once the instance is made.
fn changes_later(cx: &RuleContext<'_>, act: &Access) -> bool {
    match act.place.root {
        PlaceRoot::ClassAttr(class, _) => check_then_act::changes_once_made(cx, class, act.function),
        _ => true,
    }
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
