//! `AET120`: `if self.sock: self.sock.send()`

use crate::check_then_act::{self, Hazard};
use crate::declare_rule;
use crate::facts::{EventKind, Qual, Term, TermId};
use crate::link::{Access, AccessKind, Answer, Asked, Certainty, Place, Sharing, Touch, Worth};
use crate::{Confidence, Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports an attribute or global that is tested for a value (`if x.sock`, `is None`, `hasattr`) and read once more
    /// for its use, when another thread may set it to `None` or delete it in between.
    ///
    /// ## Why is this bad?
    /// The second read finds `None`: the use raises `AttributeError` or `TypeError`, with the GIL and without. What one
    /// thread closes, another one is about to use.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Client:
    ///     def __init__(self, socket):
    ///         self._socket = socket
    ///         threading.Thread(target=self._ping).start()
    ///
    ///     def _ping(self):
    ///         while self._socket is not None:
    ///             self._socket.send(b"ping")
    ///
    ///     def close(self):
    ///         self._socket.close()
    ///         self._socket = None
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Client:
    ///     def __init__(self, socket):
    ///         self._socket = socket
    ///         threading.Thread(target=self._ping).start()
    ///
    ///     def _ping(self):
    ///         while (socket := self._socket) is not None:
    ///             socket.send(b"ping")
    ///
    ///     def close(self):
    ///         socket, self._socket = self._socket, None
    ///         socket.close()
    /// ```
    ///
    /// ## Limits
    /// A use is an attribute, a method or an element of the value. What is called or passed on as it is
    /// (`self.callback()`) is not seen, nor is a test behind another function's return value. Where no thread is known,
    /// only a value that is taken away under a lock, and not by `close` and its like, is believed to be meant for several
    /// threads; the rest is shown under `--all`, and so is what only `shutdown`, `reset`, `reinitialise` or a constructor
    /// that is called again take away, and a use in `__repr__` or `__str__`. A parameter that may be `None`, or `given or
    /// made`, takes nothing away.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static CHECK_THEN_USE = {
        code: "AET120", name: "check-then-use", summary: "a value is found and used in separate steps",
        family: Races, level: Warning, since: "0.1.0", versions: "all",
        yields_to: &["AET201", "AET106"], check: Some(check),
    }
}

/// What using `None` raises.
const ERRORS: &[Qual] = &[qual!("builtins.AttributeError"), qual!("builtins.TypeError")];

/// How many steps may lie between a value and what is looked up in it: the arguments of a call.
const MAX_STEPS: usize = 64;

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let accesses = cx.program.accesses(place);
        if !accesses.iter().any(|access| takes_away(cx, access)) {
            continue;
        }
        let hazards = accesses.iter().filter_map(|act| hazard(cx, act));
        check_then_act::report(cx, findings, hazards, |hazard| describe(cx, place, hazard));
    }
}

fn hazard<'a>(cx: &RuleContext<'a>, act: &'a Access) -> Option<Hazard<'a>> {
    if !needs_value(cx, act) {
        return None;
    }
    let check = cx.program.stale_check(act, |check| {
        let asks = matches!(check.asked, Asked::Value | Asked::Truth);
        asks && check.answer == Answer::Present && check.certainty == Certainty::Alone
    })?;
    if check.event == act.event || cx.program.tolerates(act.module, act.ctx, ERRORS) {
        return None;
    }
    let in_use = cx.program.stale_use(act, |other| takes_away(cx, other) && !is_for_good(cx, other));
    let is_believed = match in_use {
        Some(Sharing::Proven(_)) => true,
        Some(Sharing::Promised(_)) => is_taken_under_lock(cx, act.place),
        _ => false,
    };
    let sharing = match in_use {
        Some(sharing) if is_believed => sharing,
        _ => cx.program.stale_use(act, |other| takes_away(cx, other))?,
    };
    let hazard = Hazard::new(cx, act, check, sharing);
    let is_shown = is_believed && !describes(cx, act);
    Some(if is_shown { hazard } else { hazard.at_most(Confidence::Low) })
}

/// Whether an access stands in what describes the object for a person: `__repr__`, `__str__`.
fn describes(cx: &RuleContext<'_>, act: &Access) -> bool {
    [sym!("__repr__"), sym!("__str__")].contains(&cx.program.function(act.function).name)
}

/// Whether an access needs the place to hold a value: an attribute, a method or an element of it is looked up at once.
fn needs_value(cx: &RuleContext<'_>, act: &Access) -> bool {
    let facts = &cx.program.module(act.module).facts;
    match act.kind {
        AccessKind::Touch(Touch::Element(_)) => true,
        AccessKind::Touch(Touch::Whole) => {
            let (_, function) = cx.program.func_local(act.function);
            let end = facts.functions[function.index()].events.end as usize;
            let is_of_it = |term| match facts.terms.get(term) {
                Term::Attr(base, _) | Term::Item(base, _) => base.same(act.term),
                _ => false,
            };
            // The lookup begins where the value does, and ends behind it; arguments may be evaluated in between.
            let mut later = facts.events[act.event.index() + 1..end].iter().take(MAX_STEPS);
            let lookup = later.find(|event| {
                event.range.start() == act.range.start()
                    && event.range != act.range
                    && event.range.contains_range(act.range)
            });
            lookup.is_some_and(|event| match event.kind {
                EventKind::Load(term) | EventKind::Store(term, _) | EventKind::Augment(term, _) => is_of_it(term),
                EventKind::Call(call) => is_of_it(facts.calls[call.index()].callee),
                _ => false,
            })
        }
        _ => false,
    }
}

/// Whether an access leaves a place without a value.
fn takes_away(cx: &RuleContext<'_>, other: &Access) -> bool {
    match other.kind {
        AccessKind::Write(Touch::Whole, value) => {
            cx.program.worth(other.module, value) == Worth::Nothing && is_nothing(cx, other, value)
        }
        AccessKind::Delete(Touch::Whole) => true,
        _ => false,
    }
}

/// Whether a value is seen to be nothing: what a parameter or `given or made` brings is nothing by default at most.
fn is_nothing(cx: &RuleContext<'_>, other: &Access, value: TermId) -> bool {
    let facts = &cx.program.module(other.module).facts;
    let is_given = |value: TermId| matches!(facts.terms.get(value), Term::Param(..) | Term::Or(..));
    let is_named = || {
        let named = facts.var_of(value).map(|var| &facts.vars[var.index()].values[..]);
        named.is_some_and(|values| values.iter().any(|&value| is_given(value)))
    };
    !is_given(value) && !is_named()
}

/// Whether a value is taken away by what nobody calls while the object is in use: `shutdown`, `reset`, `reinitialise`.
fn is_for_good(cx: &RuleContext<'_>, taker: &Access) -> bool {
    let name = check_then_act::name_of(cx, taker);
    ["shutdown", "reset", "reinit", "init__", "del__", "teardown"]
        .iter()
        .any(|word| name.trim_start_matches('_').starts_with(word))
}

/// Whether a value is taken away under a lock, and not only where its object's life ends: who takes the lock means that
/// others may use the value then.
fn is_taken_under_lock(cx: &RuleContext<'_>, place: Place) -> bool {
    cx.program.accesses(place).iter().filter(|access| takes_away(cx, access)).any(|access| {
        let at_end = check_then_act::is_ending(cx, access) || check_then_act::is_on_way_out(cx, access);
        !at_end && !cx.program.held_at_access(access).is_empty()
    })
}

fn describe(cx: &RuleContext<'_>, place: Place, hazard: &Hazard<'_>) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("another thread may take `{name}` away between the test and the use");
    hazard
        .finding(
            cx,
            message,
            "whether there is a value may be out of date when it is used",
            "read again here: raises if it is `None` by then",
        )
        .note("all builds: the GIL may be handed over between the test and the use")
        .help(check_then_act::lock_advice(cx, place, "read it once into a local variable, and test and use that"))
}
