//! What the check-then-act rules have in common: one finding per place, the test as its primary span, the act beside it.
//!
//! *Invariant:* a [`Hazard`] pairs an access with a test that no lock keeps up to date.

use crate::evidence;
use crate::facts::{Const, EventKind, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Answer, Asked, Check, Place, Sharing, Touch, Worth};
use crate::model::{Effect, Role};
use crate::rule::Confidence;
use crate::sym;
use crate::{Finding, Findings, RuleContext};

mod alike;
mod error;
mod harm;
mod own_key;
mod singleton;

pub(crate) use alike::worth_of_new;
pub(crate) use error::is_error;
pub(crate) use harm::{
    callers_exclude, callers_lock, changes_once_made, does_harm, does_work, is_called_at_import, is_told, tells,
};
pub(crate) use own_key::is_own_key;
pub(crate) use singleton::{is_made_at_import, is_singleton, is_where_instances_are_made};

/// How many further sites of the same hazard are shown.
const MAX_SITES: usize = 3;

/// An access that relies on a test that may be out of date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hazard<'a> {
    /// The access.
    pub(crate) act: &'a Access,
    /// The test.
    pub(crate) check: Check,
    /// How the place is shared.
    pub(crate) sharing: Sharing<'a>,
    /// How sure that makes it.
    pub(crate) confidence: Confidence,
}

impl<'a> Hazard<'a> {
    /// A hazard as sure as its sharing; what only a promise suggests needs more to be believed.
    pub(crate) fn new(cx: &RuleContext<'a>, act: &'a Access, check: Check, sharing: Sharing<'a>) -> Self {
        let promised = matches!(sharing, Sharing::Promised(_));
        let excused = promised
            && (evidence::assumes_lock(cx.program, act.function)
                || is_lifecycle(cx, act)
                || callers_exclude(cx, act)
                || harm::may_hold_lock(cx, act)
                || !is_covered(cx, act)
                || cx.program.is_one_turn(act, &check));
        let confidence = if excused { Confidence::Low } else { sharing.confidence() };
        Self { act, check, sharing, confidence }
    }

    /// The same, but never surer than `most`.
    #[must_use]
    pub(crate) fn at_most(mut self, most: Confidence) -> Self {
        self.confidence = self.confidence.min(most);
        self
    }

    /// A finding at the test, with the act as evidence.
    pub(crate) fn finding(&self, cx: &RuleContext<'a>, message: String, label: &str, acted: &str) -> Finding {
        let span = cx.program.span(self.act.module, self.check.range);
        let finding = Finding::new(span, self.confidence, message).label(label);
        let act = evidence::span_of(cx.program, self.act);
        let finding =
            if act == span { finding } else { finding.evidence(Evidence::new(EvidenceRole::OtherAccess, act, acted)) };
        evidence::explain(cx.program, finding, self.act, &self.sharing)
    }
}

/// Methods that open or close an object: whoever promises thread safety seldom means them.
pub(crate) fn is_lifecycle(cx: &RuleContext<'_>, act: &Access) -> bool {
    const NAMES: &[&str] = &[
        "start",
        "stop",
        "open",
        "close",
        "shutdown",
        "connect",
        "disconnect",
        "join",
        "setup",
        "teardown",
        "begin",
        "enter",
        "exit",
        "aenter",
        "aexit",
        "del",
        "terminate",
        "reset",
        "finish",
        "configure",
        "attach",
        "detach",
        "install",
        "uninstall",
        "init",
        "initialize",
        "initialise",
    ];
    NAMES.contains(&verb(cx, act))
}

/// Whether an access stands in a method that ends an object's life: what it takes away, nobody needs any more.
pub(crate) fn is_ending(cx: &RuleContext<'_>, act: &Access) -> bool {
    const NAMES: &[&str] = &[
        "stop",
        "close",
        "shutdown",
        "disconnect",
        "join",
        "teardown",
        "exit",
        "aexit",
        "del",
        "terminate",
        "finish",
        "destroy",
        "dispose",
    ];
    NAMES.contains(&verb(cx, act))
}

/// The same, with the word anywhere in the name: `handle_close`, `_do_shutdown`.
pub(crate) fn is_on_way_out(cx: &RuleContext<'_>, act: &Access) -> bool {
    const WORDS: &[&str] = &["stop", "close", "shutdown", "disconnect", "teardown", "terminate", "finish"];
    name_of(cx, act).split('_').any(|word| WORDS.contains(&word))
}

/// Whether an access gives an attribute its first value, in a method that makes the object ready.
pub(crate) fn is_setting_up(cx: &RuleContext<'_>, act: &Access) -> bool {
    matches!(act.kind, AccessKind::Write(Touch::Whole, _)) && sets_up(cx, act)
}

/// Whether an access puts elements into a container, in a method that makes the object ready.
pub(crate) fn fills_at_setup(cx: &RuleContext<'_>, act: &Access) -> bool {
    matches!(act.kind, AccessKind::Write(Touch::Element(_), _)) && sets_up(cx, act)
}

/// `connect`, `_setup_tables`, `on_thread_start`: a method that makes the object ready, by its name.
pub(crate) fn sets_up(cx: &RuleContext<'_>, act: &Access) -> bool {
    const NAMES: &[&str] = &[
        "start",
        "open",
        "connect",
        "setup",
        "begin",
        "enter",
        "configure",
        "attach",
        "populate",
        "init",
        "initialize",
        "initialise",
    ];
    let name = name_of(cx, act).trim_matches('_');
    let is_hook = name.starts_with("on_") && NAMES.contains(&name.rsplit('_').next().unwrap_or_default());
    is_hook || NAMES.contains(&verb(cx, act))
}

/// Whether documentation promises that what an access does is done only once: two threads break that promise, whoever
/// starts them. What sets a program up is called before there are any.
pub(crate) fn is_promised_once(cx: &RuleContext<'_>, act: &Access) -> bool {
    cx.program.promises_once(act.function)
        && !is_lifecycle(cx, act)
        && !sets_up(cx, act)
        && !cx.program.runs_at_import(act.function)
}

/// The first word of the name of the function an access stands in: `close` in `_close_all`.
fn verb<'a>(cx: &RuleContext<'a>, act: &Access) -> &'a str {
    name_of(cx, act).trim_matches('_').split('_').next().unwrap_or_default()
}

/// The name of the function an access stands in.
pub(crate) fn name_of<'a>(cx: &RuleContext<'a>, act: &Access) -> &'a str {
    let (module, _) = cx.program.func_local(act.function);
    cx.program.module(module).facts.name(cx.program.function(act.function).name)
}

/// Whether a place looks like a registry that is filled while a program is set up: all that changes it are bare `add…`,
/// `register…` and their like, which only put something in.
pub(crate) fn is_filled_at_setup(cx: &RuleContext<'_>, place: Place) -> bool {
    const NAMES: &[&str] =
        &["add", "register", "install", "mount", "include", "declare", "define", "route", "use", "append", "extend"];
    let mut writers = cx.program.accesses(place).iter().filter(|other| other.kind.writes()).peekable();
    writers.peek().is_some()
        && writers.all(|other| {
            let puts_in = !removes(other) && !matches!(other.kind, AccessKind::Augment(Touch::Whole, _));
            puts_in && NAMES.contains(&verb(cx, other)) && cx.program.held_at_access(other).is_empty()
        })
}

/// Whether a promise of thread safety covers a place: it is guarded by a lock somewhere, or a user's thread comes here.
pub(crate) fn is_covered(cx: &RuleContext<'_>, act: &Access) -> bool {
    let guarded = cx.program.accesses(act.place).iter().any(|other| !cx.program.held_at_access(other).is_empty());
    guarded || cx.program.on_main(act.function) || cx.program.callers(act.function).is_empty()
}

/// Reports the hazards of one place as one finding: the surest, then the first; the others are shown beside it.
pub(crate) fn report<'a>(
    cx: &RuleContext<'a>,
    findings: &mut Findings<'_>,
    hazards: impl Iterator<Item = Hazard<'a>>,
    describe: impl Fn(&Hazard<'a>) -> Finding,
) {
    let mut hazards: Vec<Hazard<'_>> = hazards.collect();
    hazards.sort_by_key(|hazard| {
        (
            std::cmp::Reverse(hazard.confidence),
            hazard.act.module != cx.module,
            hazard.act.module,
            hazard.check.range.start(),
        )
    });
    let Some(first) = hazards.first() else { return };
    if !findings.wants(first.confidence) {
        return;
    }
    let mut finding = describe(first);
    let others = hazards.iter().skip(1).filter(|other| other.act.function != first.act.function);
    for other in others.take(MAX_SITES) {
        let span = cx.program.span(other.act.module, other.check.range);
        if finding.primary != span && finding.evidence.iter().all(|known| known.span != span) {
            let text = format!("`{}` does the same here", cx.program.function_name(other.act.function));
            finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, span, text));
        }
    }
    findings.report(finding);
}

/// What to do, naming the lock that guards the place elsewhere if there is one.
pub(crate) fn lock_advice(cx: &RuleContext<'_>, place: Place, otherwise: &str) -> String {
    match evidence::lock_of_place(cx.program, place) {
        Some(lock) => format!("hold `{lock}` from the test to the act, as one critical section"),
        None => otherwise.to_owned(),
    }
}

/// Whether an access stores an empty container.
pub(crate) fn empties(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let AccessKind::Write(Touch::Whole, value) = access.kind else { return false };
    match facts.terms.get(value) {
        Term::Display(_, list) => facts.terms.list(list).is_empty(),
        Term::Call(call) => {
            let made = cx.program.kind(access.module, value).role();
            matches!(made, Some(Role::Container(_))) && facts.args_of(call).is_empty()
        }
        _ => false,
    }
}

/// Whether an access may take something away.
pub(crate) fn removes(other: &Access) -> bool {
    match other.kind {
        AccessKind::Delete(_) | AccessKind::Write(Touch::Whole, _) => true,
        AccessKind::Method(method, Effect::Resize) => [
            sym!("pop"),
            sym!("popitem"),
            sym!("popleft"),
            sym!("remove"),
            sym!("discard"),
            sym!("clear"),
            sym!("difference_update"),
            sym!("intersection_update"),
        ]
        .contains(&method),
        _ => false,
    }
}

/// A value made on first use: the test that found it missing, and the value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lazy {
    /// What is stored.
    pub(crate) value: TermId,
    /// The outermost test.
    pub(crate) check: Check,
}

/// Whether an access stores what an earlier test found missing, out of one step with every such test.
pub(crate) fn lazy(cx: &RuleContext<'_>, act: &Access) -> Option<Lazy> {
    let AccessKind::Write(Touch::Whole, value) = act.kind else { return None };
    if cx.program.worth(act.module, value) == Worth::Nothing {
        return None;
    }
    let check = cx.program.stale_check(act, asks_for_value)?;
    Some(Lazy { value, check })
}

/// Whether a test found that there is no value yet.
pub(crate) fn asks_for_value(check: &Check) -> bool {
    check.answer == Answer::Absent && matches!(check.asked, Asked::Value | Asked::Truth)
}

/// Whether another access stores a value of its own, too.
pub(crate) fn stores_value(cx: &RuleContext<'_>, other: &Access) -> bool {
    match other.kind {
        AccessKind::Write(Touch::Whole, value) => cx.program.worth(other.module, value) != Worth::Nothing,
        AccessKind::Augment(Touch::Whole, _) => true,
        _ => false,
    }
}

/// Further steps under the condition of a check, after an access, that go on building what it stored: where one stands.
pub(crate) fn built_afterwards(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy) -> Option<crate::source::Span> {
    let facts = &cx.program.module(act.module).facts;
    let (_, function) = cx.program.func_local(act.function);
    let events = facts.functions[function.index()].events.clone();
    let is_flag = facts.terms.get(lazy.value) == Term::Const(Const::True);
    let is_it = |term: TermId| {
        term.same(act.term)
            || (term.same(lazy.value) && matches!(facts.terms.get(term), Term::Name(_)))
            || facts.var_of(term).is_some_and(|var| {
                let made_here = matches!(facts.terms.get(lazy.value), Term::Call(_));
                made_here && facts.vars[var.index()].values.contains(&lazy.value)
            })
    };
    let mut later = (act.event.0 + 1..events.end).map(|index| facts.events[index as usize]);
    let built = later.find(|event| {
        if !facts.ctx_within(event.ctx, act.ctx) {
            return false;
        }
        match event.kind {
            EventKind::Store(target, _) | EventKind::Augment(target, _) => match facts.terms.get(target) {
                Term::Item(base, _) | Term::Attr(base, _) => is_flag || is_it(base),
                _ => is_flag,
            },
            EventKind::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
                Term::Attr(base, method) => {
                    (is_flag && !harm::is_word(cx, act, call)) || (is_it(base) && is_building(facts.name(method)))
                }
                _ => is_flag,
            },
            _ => false,
        }
    });
    built.map(|event| cx.program.span(act.module, event.range))
}

/// Methods that complete an object rather than use it.
fn is_building(method: &str) -> bool {
    const STARTS: &[&str] = &[
        "connect",
        "start",
        "setup",
        "set_",
        "init",
        "load",
        "open",
        "bind",
        "listen",
        "config",
        "register",
        "update",
        "append",
        "extend",
        "add",
        "insert",
        "fill",
        "populate",
        "prepare",
        "build",
        "read",
        "setdefault",
        "subscribe",
    ];
    STARTS.iter().any(|start| method.trim_start_matches('_').starts_with(start))
}

/// Adds where something already visible to others is completed.
pub(crate) fn published_early(finding: Finding, later: crate::source::Span) -> Finding {
    finding
        .evidence(Evidence::new(EvidenceRole::OtherAccess, later, "completed only here, after others can see it"))
        .note("it is published before it is complete: a thread that looks in between takes it for ready")
}
