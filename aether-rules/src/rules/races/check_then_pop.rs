//! `AET106`: `if items: items.pop()`

use crate::check_then_act::{self, Hazard};
use crate::declare_rule;
use crate::facts::{Const, EventKind, Qual, Term, TermId};
use crate::link::{Access, AccessKind, Answer, Asked, Certainty, Place, Touch};
use crate::model::{ContainerKind, Role};
use crate::{Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports an element taken from a container (`pop()`, `popleft()`, `popitem()`, `[0]`, `[-1]`) because the
    /// container was found not to be empty, when another thread may take the last one in between.
    ///
    /// ## Why is this bad?
    /// The thread that comes second raises `IndexError` or `KeyError`, with the GIL and without.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// tasks = [1, 2, 3]
    ///
    /// def work():
    ///     while tasks:
    ///         print(tasks.pop())
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=work).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// tasks = [1, 2, 3]
    ///
    /// def work():
    ///     while True:
    ///         try:
    ///             task = tasks.pop()
    ///         except IndexError:
    ///             return
    ///         print(task)
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=work).start()
    /// ```
    ///
    /// ## Limits
    /// A single consumer is not reported: what was there stays there when others only add. A test behind another
    /// function's return value is not followed, and what a comparison with another number than zero proves is not known.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static CHECK_THEN_POP = {
        code: "AET106", name: "check-then-pop", summary: "a container is found not empty and taken from in separate steps",
        family: Races, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// What taking from an empty container raises.
const ERRORS: &[Qual] = &[
    qual!("builtins.IndexError"),
    qual!("builtins.KeyError"),
    qual!("builtins.LookupError"),
    qual!("builtins.AttributeError"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let acts = cx.program.accesses(place).iter();
        let hazards = acts.filter_map(|act| hazard(cx, act));
        check_then_act::report(cx, findings, hazards, |hazard| describe(cx, place, hazard));
    }
}

fn hazard<'a>(cx: &RuleContext<'a>, act: &'a Access) -> Option<Hazard<'a>> {
    if !takes(cx, act) {
        return None;
    }
    let asks = |asked: Asked| matches!(asked, Asked::Truth | Asked::Size);
    let check = cx.program.stale_check(act, |check| {
        check.answer == Answer::Present && check.certainty == Certainty::Alone && asks(check.asked)
    })?;
    if cx.program.tolerates(act.module, act.ctx, ERRORS) {
        return None;
    }
    let sharing = cx.program.stale_sharing(act, check_then_act::removes)?;
    Some(Hazard::new(cx, act, check, sharing))
}

/// Whether an access needs the container not to be empty.
fn takes(cx: &RuleContext<'_>, act: &Access) -> bool {
    let container = match cx.program.kind_at(act).role() {
        Some(Role::Container(container)) => Some(container),
        Some(_) => return false,
        None if cx.program.kind_at(act).is_known() => return false,
        None => None,
    };
    match act.kind {
        AccessKind::Touch(Touch::Element(key)) => {
            matches!(container, Some(ContainerKind::List | ContainerKind::Deque)) && is_end(cx, act, key)
        }
        AccessKind::Method(method, _) if method == sym!("pop") => {
            container.is_some() && arguments(cx, act).is_some_and(|args| args.iter().all(|&key| is_end(cx, act, key)))
        }
        AccessKind::Method(method, _) => {
            method == sym!("popleft") || (container.is_some() && method == sym!("popitem"))
        }
        _ => false,
    }
}

fn arguments(cx: &RuleContext<'_>, act: &Access) -> Option<Vec<TermId>> {
    let facts = &cx.program.module(act.module).facts;
    let EventKind::Call(call) = facts.events[act.event.index()].kind else { return None };
    Some(facts.args_of(call).iter().map(|arg| arg.value).collect())
}

/// Whether an index is `0` or `-1`.
fn is_end(cx: &RuleContext<'_>, act: &Access, key: TermId) -> bool {
    let facts = &cx.program.module(act.module).facts;
    match facts.terms.get(key) {
        Term::Const(Const::Int(index)) => index == 0,
        Term::Operation(one, rest) => rest.is_opaque() && facts.terms.get(one) == Term::Const(Const::Int(1)),
        _ => false,
    }
}

fn describe(cx: &RuleContext<'_>, place: Place, hazard: &Hazard<'_>) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("another thread may empty `{name}` between the test and the access");
    hazard
        .finding(
            cx,
            message,
            "whether anything is left may be out of date when it is taken",
            "taken here: raises if it is empty",
        )
        .note("all builds: the GIL may be handed over between the test and the access")
        .help(check_then_act::lock_advice(
            cx,
            place,
            "take first and handle the IndexError, or use a `queue.SimpleQueue`",
        ))
}
