//! `AET104`: `if k not in d: d[k] = …`

use crate::check_then_act::{self, Hazard};
use crate::declare_rule;
use crate::facts::{Const, Term, TermId};
use crate::link::{Access, AccessKind, Answer, Asked, Callee, Certainty, Place, Sharing, Touch, Worth};
use crate::model::{Effect, Role};
use crate::{Confidence, Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a value stored under a key because the key was found missing (`in`, `get`, `try`/`except KeyError`),
    /// when another thread may store one in between. Also when test and store each hold the lock, but not without a
    /// gap.
    ///
    /// ## Why is this bad?
    /// Both threads find the key missing, both make a value, and the second replaces the first: work is done twice,
    /// what was put into the first value is lost, and two threads hold two different locks, connections or buffers for
    /// one key. The GIL is handed over between any two bytecodes and does not help.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Pools:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._pools = {}
    ///
    ///     def pool(self, host):
    ///         if host not in self._pools:
    ///             self._pools[host] = []
    ///         return self._pools[host]
    ///
    ///     def clear(self):
    ///         with self._lock:
    ///             self._pools.clear()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Pools:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._pools = {}
    ///
    ///     def pool(self, host):
    ///         with self._lock:
    ///             if host not in self._pools:
    ///                 self._pools[host] = []
    ///             return self._pools[host]
    ///
    ///     def clear(self):
    ///         with self._lock:
    ///             self._pools.clear()
    /// ```
    ///
    /// ## Limits
    /// What documentation promises to happen "only once" is reported without any sign of threads.
    /// Keys are the same when they are spelled the same. A check behind another function's return value is not
    /// followed. Storing an immutable value twice does no harm and is shown under `--all` only; so is, where no thread is
    /// known, a value that may be computed twice alike, an object made of the key alone that is never changed, and a container that is made, filled and stored under a lock.
    /// So are a value that is stored for other reasons than that it is missing, too (`if overwrite or …`), one made of immutable parts where a name first held what was looked up, an object stored under its own
    /// `id`, and, with threads known too, an object of the program made of the key alone that is never changed. What a
    /// constructor hands to a pool once is one run for each object: it does not meet itself there. An object whose class
    /// derives from a thread-local, or looks up in one what it does not have, is every thread's own. What is stored under a
    /// second key was found under a first one, or is a class that `type` makes: shown under `--all` only.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static CHECK_THEN_INSERT = {
        code: "AET104", name: "check-then-insert", summary: "a key is found missing and stored in separate steps",
        family: Races, level: Warning, since: "0.1.0", versions: "all", yields_to: &["AET202", "AET302"],
        check: Some(check),
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
    let (key, value) = inserted(cx, act)?;
    let is_about = |asked: Asked| matches!(asked, Asked::Key(tested) if tested.same(key));
    let check = cx.program.stale_check(act, |check| check.answer == Answer::Absent && is_about(check.asked))?;
    if check_then_act::is_own_key(cx, act, key) {
        return None;
    }
    let sharing = cx.program.stale_sharing(act, |other| inserts(cx, other) && may_be_same_key(cx, act, other))?;
    let mut hazard = Hazard::new(cx, act, check, sharing);
    if matches!(hazard.sharing, Sharing::Possible) && check_then_act::is_promised_once(cx, act) {
        hazard.confidence = Confidence::Medium;
    }
    let harmless = match check_then_act::worth_of_new(cx, act, value) {
        Worth::Nothing | Worth::Same => true,
        // Two threads that are known to meet compute it twice; where none is known, it may well come out alike.
        Worth::Unknown => !matches!(hazard.sharing, Sharing::Proven(_)) && !check_then_act::is_promised_once(cx, act),
        Worth::Container => {
            let is_cache = matches!(hazard.sharing, Sharing::Promised(_)) || is_made_under_lock(cx, act, value);
            is_cache && !is_empty_container(cx, act, value)
        }
        Worth::Object => is_made_of_key(cx, act, key, value, &hazard.sharing),
    };
    // What is stored for other reasons, too, may replace what is there: it is not the only one.
    let is_replacement = check.certainty == Certainty::OneOfSeveral;
    let harmless = harmless || is_replacement || is_identity(cx, act, key, value);
    Some(if harmless { hazard.at_most(Confidence::Low) } else { hazard })
}

/// Whether the object is made of the key alone and never changed: the second is equal to the first.
fn is_made_of_key(cx: &RuleContext<'_>, act: &Access, key: TermId, value: TermId, sharing: &Sharing<'_>) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let made = match facts.var_of(value).map(|var| &facts.vars[var.index()].values[..]) {
        Some(&[made]) => made,
        _ => value,
    };
    let Term::Call(call) = facts.terms.get(made) else { return false };
    let of_key = !facts.args_of(call).is_empty() && facts.args_of(call).iter().all(|arg| arg.value.same(key));
    // Where two threads are known to meet, nothing in it may change that the class did not make.
    let is_equal = |class| match sharing {
        Sharing::Promised(_) => cx.program.is_value_class(class),
        _ => cx.program.is_plain_value_class(class),
    };
    of_key && matches!(cx.program.callee(act.module, call), Callee::Class(class) if is_equal(class))
}

/// Whether the key is the identity of the value, `seen[id(x)] = x`: there is one object to store.
fn is_identity(cx: &RuleContext<'_>, act: &Access, key: TermId, value: TermId) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let is_id = |term: TermId| match facts.terms.get(term) {
        Term::Call(call) => {
            cx.program.library_callee(act.module, call) == Some(qual!("builtins.id"))
                && facts.positional(call, 0).is_some_and(|arg| arg.value.same(value))
        }
        _ => false,
    };
    let names = facts.var_of(key).map(|var| &facts.vars[var.index()].values);
    is_id(key) || names.is_some_and(|values| !values.is_empty() && values.iter().all(|&made| is_id(made)))
}

/// Whether a container is made, filled and stored under one lock: the second to come stores what is right by then.
fn is_made_under_lock(cx: &RuleContext<'_>, act: &Access, value: TermId) -> bool {
    let facts = &cx.program.module(act.module).facts;
    !cx.program.held_at_access(act).is_empty() && matches!(facts.terms.get(value), Term::Name(_))
}

/// `[]`, `{}`, `set()`: made to be filled.
fn is_empty_container(cx: &RuleContext<'_>, act: &Access, value: TermId) -> bool {
    let facts = &cx.program.module(act.module).facts;
    match facts.terms.get(value) {
        Term::Display(_, list) => facts.terms.list(list).is_empty(),
        Term::Call(call) => !facts
            .args_of(call)
            .iter()
            .any(|arg| matches!(cx.program.kind(act.module, arg.value).role(), Some(Role::Container(_)))),
        _ => false,
    }
}

/// The key and the value of an insertion: into a dict, or of a value into a list.
fn inserted(cx: &RuleContext<'_>, act: &Access) -> Option<(TermId, TermId)> {
    match act.kind {
        AccessKind::Write(Touch::Element(key), value) => {
            let is_list =
                matches!(cx.program.kind_at(act).role(), Some(Role::Container(crate::model::ContainerKind::List)));
            (!is_list).then_some((key, value))
        }
        AccessKind::Method(method, _) if method == sym!("append") => {
            let value = cx.program.call_argument(act, 0)?;
            Some((value, value))
        }
        _ => None,
    }
}

/// Whether an access may put something under a key.
fn inserts(cx: &RuleContext<'_>, other: &Access) -> bool {
    match other.kind {
        AccessKind::Write(..) => inserted(cx, other).is_some(),
        AccessKind::Augment(Touch::Element(_), _) => true,
        AccessKind::Method(method, Effect::Resize) => {
            [sym!("setdefault"), sym!("update"), sym!("append"), sym!("extend"), sym!("insert"), sym!("__setitem__")]
                .contains(&method)
        }
        _ => false,
    }
}

/// Two different constants are two different keys.
fn may_be_same_key(cx: &RuleContext<'_>, act: &Access, other: &Access) -> bool {
    let constant = |access: &Access| match access.kind {
        AccessKind::Write(Touch::Element(key), _) => match cx.program.module(access.module).facts.terms.get(key) {
            Term::Const(constant) if constant != Const::Other => Some(constant),
            _ => None,
        },
        _ => None,
    };
    match (constant(act), constant(other)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn describe(cx: &RuleContext<'_>, place: Place, hazard: &Hazard<'_>) -> Finding {
    let name = cx.program.place_name(place);
    let is_append = matches!(hazard.act.kind, AccessKind::Method(..));
    let (message, what, help) = if is_append {
        let message = format!("two threads may both find the element missing in `{name}` and both append it");
        (message, ("appended", "the append"), "use a set, or hold one lock from the test to the append")
    } else {
        let message = format!("two threads may both find the key missing in `{name}` and both store a value");
        let help = "use `setdefault`, which has one winner, or hold one lock from the test to the store";
        (message, ("stored", "the store"), help)
    };
    let (done, step) = what;
    let label = format!("whether it is there may be out of date when it is {done}");
    let finding = hazard.finding(cx, message, &label, &format!("{done} here"));
    let split = !cx.program.held_at_access(hazard.act).is_empty();
    let finding = if split {
        finding.note(format!("the lock is not held from the test to {step}: what was tested may have changed"))
    } else {
        finding
    };
    finding
        .note(format!("all builds: the GIL may be handed over between the test and {step}"))
        .help(check_then_act::lock_advice(cx, place, help))
}
