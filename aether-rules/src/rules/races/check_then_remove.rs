//! `AET105`: `if k in d: del d[k]`

use crate::check_then_act::{self, Hazard};
use crate::declare_rule;
use crate::facts::{EventKind, Qual, TermId};
use crate::link::{Access, AccessKind, Answer, Asked, Certainty, Place, Touch};
use crate::{Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports an element that is removed because it was found to be there (`if k in d: del d[k]`,
    /// `if x in s: s.remove(x)`), when another thread may remove it in between.
    ///
    /// ## Why is this bad?
    /// The thread that comes second raises `KeyError` or `ValueError`, with the GIL and without.
    ///
    /// ## Example
    /// ```python bad
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// sessions = {}
    ///
    /// def close(name):
    ///     if name in sessions:
    ///         del sessions[name]
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(close, ["a", "a"])
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// sessions = {}
    ///
    /// def close(name):
    ///     sessions.pop(name, None)
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(close, ["a", "a"])
    /// ```
    ///
    /// ## Limits
    /// Keys are the same when they are spelled the same. A removal inside `try` with a handler for the error, or under
    /// `contextlib.suppress`, expects the race and is not reported. Nor is one under a key that only the thread has: its
    /// identity, or what it took out of a thread-local or context variable.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static CHECK_THEN_REMOVE = {
        code: "AET105", name: "check-then-remove", summary: "an element is found and removed in separate steps",
        family: Races, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// What removing something that is gone raises.
const ERRORS: &[Qual] = &[
    qual!("builtins.KeyError"),
    qual!("builtins.ValueError"),
    qual!("builtins.LookupError"),
    qual!("builtins.IndexError"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let acts = cx.program.accesses(place).iter();
        let hazards = acts.filter_map(|act| hazard(cx, act));
        check_then_act::report(cx, findings, hazards, |hazard| describe(cx, place, hazard));
    }
}

fn hazard<'a>(cx: &RuleContext<'a>, act: &'a Access) -> Option<Hazard<'a>> {
    let key = removed(cx, act)?;
    let is_about = |asked: Asked| matches!(asked, Asked::Key(tested) if tested.same(key));
    let check = cx.program.stale_check(act, |check| {
        check.answer == Answer::Present && check.certainty == Certainty::Alone && is_about(check.asked)
    })?;
    if cx.program.tolerates(act.module, act.ctx, ERRORS) || check_then_act::is_own_key(cx, act, key) {
        return None;
    }
    let sharing = cx.program.stale_sharing(act, check_then_act::removes)?;
    Some(Hazard::new(cx, act, check, sharing))
}

/// The key or element that an access removes, and that must be there.
fn removed(cx: &RuleContext<'_>, act: &Access) -> Option<TermId> {
    match act.kind {
        AccessKind::Delete(Touch::Element(key)) => Some(key),
        AccessKind::Method(method, _) if method == sym!("remove") => cx.program.call_argument(act, 0),
        AccessKind::Method(method, _) if method == sym!("pop") => {
            let facts = &cx.program.module(act.module).facts;
            let EventKind::Call(call) = facts.events[act.event.index()].kind else { return None };
            match facts.args_of(call) {
                [only] => Some(only.value),
                _ => None,
            }
        }
        _ => None,
    }
}

fn describe(cx: &RuleContext<'_>, place: Place, hazard: &Hazard<'_>) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("another thread may remove the element of `{name}` between the test and the removal");
    hazard
        .finding(
            cx,
            message,
            "whether it is there may be out of date when it is removed",
            "removed here: raises if it is gone",
        )
        .note("all builds: the GIL may be handed over between the test and the removal")
        .help(check_then_act::lock_advice(
            cx,
            place,
            "remove in one step: `d.pop(key, None)`, `s.discard(x)`, or `try`/`except`",
        ))
}
