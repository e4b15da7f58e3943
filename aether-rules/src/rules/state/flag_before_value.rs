//! `AET215`: `self.ready = True` before `self.url = …`

use crate::check_then_act;
use crate::declare_rule;
use crate::evidence;
use crate::facts::{Arm, Const, Ctx, CtxKind, EventIx, EventKind, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Answer, Asked, Check, Place, Sharing, Touch, Worth};
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports a flag that is set to `True` before the value is stored that other threads read once they have seen the
    /// flag.
    ///
    /// ## Why is this bad?
    /// A thread that looks in between finds the flag set and the value missing: it works with `None`, or raises
    /// `AttributeError`. With the GIL the gap is one switch wide; without it there is always somebody in it.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Service:
    ///     def __init__(self):
    ///         self.ready = False
    ///         self.url = None
    ///         threading.Thread(target=self._boot).start()
    ///
    ///     def _boot(self):
    ///         self.ready = True
    ///         self.url = input()
    ///
    ///     def page(self):
    ///         if self.ready:
    ///             return self.url + "/index"
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Service:
    ///     def __init__(self):
    ///         self.ready = False
    ///         self.url = None
    ///         threading.Thread(target=self._boot).start()
    ///
    ///     def _boot(self):
    ///         self.url = input()
    ///         self.ready = True
    ///
    ///     def page(self):
    ///         if self.ready:
    ///             return self.url + "/index"
    /// ```
    ///
    /// ## Limits
    /// Both stores must stand in one function, and the value must have none before that. A flag that is waited for in a
    /// loop, or behind another function's return value, is not followed.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static FLAG_BEFORE_VALUE = {
        code: "AET215", name: "flag-before-value", summary: "a flag is set before the value it announces is stored",
        family: State, level: Warning, since: "0.1.0", versions: "all",
        yields_to: &["AET201", "AET203"], check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for flag in cx.program.places_of(cx.module) {
        let raised = cx.program.accesses(flag).iter().filter(|access| raises(cx, access));
        let announced = raised.filter_map(|access| announced(cx, access));
        if let Some(finding) = announced.max_by_key(|finding| finding.confidence) {
            findings.report(finding);
        }
    }
}

/// Whether an access sets a place to `True`.
fn raises(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    matches!(access.kind, AccessKind::Write(Touch::Whole, value) if facts.terms.get(value) == Term::Const(Const::True))
}

/// What a flag announces too early, if it does.
fn announced(cx: &RuleContext<'_>, raised: &Access) -> Option<Finding> {
    let facts = &cx.program.module(raised.module).facts;
    let (_, function) = cx.program.func_local(raised.function);
    let end = facts.functions[function.index()].events.end;
    let mut later = (raised.event.0 + 1..end).map(EventIx);
    later.find_map(|at| {
        let event = facts.events[at.index()];
        let EventKind::Store(target, _) = event.kind else { return None };
        let (place, _) = cx.program.place(raised.module, function, target)?;
        if place == raised.place || !are_together(cx, raised, target) || !facts.ctx_within(event.ctx, raised.ctx) {
            return None;
        }
        let stored = cx
            .program
            .accesses(place)
            .iter()
            .find(|access| access.function == raised.function && access.event == at && gives_value(cx, access))?;
        is_first_value(cx, stored).then(|| describe(cx, raised, stored)).flatten()
    })
}

/// Whether a flag and a value belong to one object, or are globals of one module.
fn are_together(cx: &RuleContext<'_>, raised: &Access, target: TermId) -> bool {
    let facts = &cx.program.module(raised.module).facts;
    match (facts.terms.get(raised.term), facts.terms.get(target)) {
        (Term::Attr(a, _), Term::Attr(b, _)) => a.same(b),
        (Term::Name(_), Term::Name(_)) => true,
        _ => false,
    }
}

fn gives_value(cx: &RuleContext<'_>, access: &Access) -> bool {
    match access.kind {
        AccessKind::Write(Touch::Whole, value) => cx.program.worth(access.module, value) != Worth::Nothing,
        _ => false,
    }
}

/// Whether nobody else gives a place a value: before this store it has none.
fn is_first_value(cx: &RuleContext<'_>, stored: &Access) -> bool {
    let AccessKind::Write(_, own) = stored.kind else { return false };
    cx.program.stored_values(stored.place).into_iter().all(|(module, value, _)| {
        let is_own = module == stored.module && value == own;
        let is_false = cx.program.module(module).facts.terms.get(value) == Term::Const(Const::False);
        is_own || is_false || cx.program.worth(module, value) == Worth::Nothing
    })
}

fn describe(cx: &RuleContext<'_>, raised: &Access, stored: &Access) -> Option<Finding> {
    let one_step = cx.program.are_one_step(raised.module, raised.function, raised.event, stored.event);
    let trusts = |other: &Access| trusts(cx, other, raised.place, one_step);
    let reader = cx.program.accesses(stored.place).iter().find(|other| trusts(other))?;
    let sharing = cx.program.stale_sharing(stored, trusts)?;
    let is_meant = !matches!(sharing, Sharing::Promised(_)) || check_then_act::is_covered(cx, raised);
    // What makes an object ready comes before its threads.
    let sure = is_meant && !check_then_act::sets_up(cx, raised);
    let confidence = if sure { sharing.confidence() } else { Confidence::Low };
    let (flag, value) = (cx.program.place_name(raised.place), cx.program.place_name(stored.place));
    let message = format!("`{flag}` is set before `{value}`, which it announces");
    let later = format!("`{value}` is stored only here");
    let finding = Finding::new(evidence::span_of(cx.program, raised), confidence, message)
        .label("seen by other threads from here on")
        .evidence(Evidence::new(EvidenceRole::OtherAccess, evidence::span_of(cx.program, stored), later))
        .evidence(Evidence::new(
            EvidenceRole::OtherAccess,
            evidence::span_of(cx.program, reader),
            format!("read here because `{flag}` is set"),
        ));
    Some(
        evidence::explain(cx.program, finding, stored, &sharing)
            .note("all builds: the GIL may be handed over between the two stores")
            .help(format!("store `{value}` first, and set `{flag}` last")),
    )
}

/// Whether an access reads a value because a flag is set, without a lock that keeps the two stores together.
fn trusts(cx: &RuleContext<'_>, access: &Access, flag: Place, one_step: bool) -> bool {
    if access.kind.writes() || (one_step && !cx.program.held_at_access(access).is_empty()) {
        return false;
    }
    let facts = &cx.program.module(access.module).facts;
    let mut around = facts.ctx_chain(access.ctx);
    let is_told = around.any(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, arm) => says(cx, access, test, arm, flag),
        _ => false,
    });
    is_told && !asks(cx, access)
}

/// Whether whoever reads a value asks whether there is one: as a test, or after one.
fn asks(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let is_tested = |ctx: &Ctx| matches!(ctx.kind, CtxKind::Branch(..)) && ctx.range.contains_range(access.range);
    let is_found =
        |check: &Check| check.answer == Answer::Present && matches!(check.asked, Asked::Value | Asked::Truth);
    facts.ctxs.iter().any(is_tested) || cx.program.checks(access).iter().any(is_found)
}

/// Whether a test that went one way says that a flag is set.
fn says(cx: &RuleContext<'_>, access: &Access, test: TermId, arm: Arm, flag: Place) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let (_, function) = cx.program.func_local(access.function);
    match (facts.terms.get(test), arm) {
        (Term::Not(inner), Arm::Then) => says(cx, access, inner, Arm::Else, flag),
        (Term::Not(inner), Arm::Else) => says(cx, access, inner, Arm::Then, flag),
        (Term::And(a, b), Arm::Then) | (Term::Or(a, b), Arm::Else) => {
            says(cx, access, a, arm, flag) || says(cx, access, b, arm, flag)
        }
        (Term::Attr(..) | Term::Name(_), Arm::Then) => {
            cx.program.place(access.module, function, test).is_some_and(|(place, _)| place == flag)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::{MemorySources, Settings, analyze};

    /// The stores of an attribute stand in several files, of which one is small and one large.
    #[test]
    fn a_value_is_looked_at_in_the_file_it_stands_in() {
        let padding = "x = [1, 2, 3]\n".repeat(500);
        let base = "class Base:\n    def __init__(self):\n        self.ready = False\n        self.url = None\n";
        let user = "import threading\nfrom base import Base\n\nclass User(Base):\n    def start(self):\n\
                    \x20       threading.Thread(target=self.run).start()\n\n    def run(self):\n        self.ready = True\n\
                    \x20       self.url = input()\n\n    def page(self):\n        if self.ready:\n\
                    \x20           return self.url + '/index'\n";
        let sources =
            MemorySources::new(Settings::default()).with("base.py", &format!("{padding}{base}")).with("user.py", user);
        let report = analyze(&sources);
        assert_eq!(report.diagnostics.iter().filter(|one| one.rule.code == "AET215").count(), 1);
    }
}
