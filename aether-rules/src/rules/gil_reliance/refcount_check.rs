//! `AET903`: a decision taken by a reference count.

use rustc_hash::FxHashSet;

use crate::declare_rule;
use crate::facts::{CallIx, Ctx, CtxKind, EventKind, Qual, Term, TermId};
use crate::library;
use crate::messages::is_message;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports `sys.getrefcount(x)` whose result is compared, at once, through a local name, or in a `unittest` assertion.
    ///
    /// ## Why is this bad?
    /// The number is not the number of users. Immortal objects report 2³²−1 (3.12 and later); free-threaded builds count
    /// for each thread apart, defer some counts, and make more objects immortal; and between the comparison and what it
    /// decides another thread may take a reference.
    ///
    /// ## Example
    /// ```python bad
    /// import sys
    ///
    /// def reusable(buffer):
    ///     return sys.getrefcount(buffer) == 2
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// class Buffer:
    ///     def __init__(self):
    ///         self.users = 0
    ///
    /// def reusable(buffer: Buffer):
    ///     return buffer.users == 0
    /// ```
    ///
    /// ## Limits
    /// A count that comes back from another function of the program, or is compared by `min`, is not seen. In test modules
    /// (`tests/`, `test_*.py`) the confidence is low (`--all`): extensions are tested that way on purpose. It is low too
    /// where the number only decides whether to warn or to log: a wrong one costs a message.
    ///
    /// ## References
    /// - [sys.getrefcount](https://docs.python.org/3/library/sys.html#sys.getrefcount)
    /// - [PEP 683: immortal objects](https://peps.python.org/pep-0683/)
    pub(crate) static REFCOUNT_CHECK = {
        code: "AET903", name: "refcount-check", summary: "a reference count decides",
        mentions: &[Sym::new("getrefcount")],
        family: GilReliance, level: Warning, since: "0.1.0",
        versions: "free-threaded builds of 3.13 and later; immortal objects on all builds of 3.12 and later",
        check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let counts: Vec<_> = cx
        .facts()
        .events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Call(call) if is_count(cx, call) => Some((call, event.range)),
            _ => None,
        })
        .collect();
    if counts.is_empty() {
        return;
    }
    let compared = compared_calls(cx);
    // Tests of an extension count references on purpose, build by build.
    let confidence = if library::is_library(cx.program, cx.module) { Confidence::High } else { Confidence::Low };
    for (call, range) in counts.into_iter().filter(|(call, _)| compared.contains(call)) {
        let confidence = if only_decides_on_a_message(cx, call) { Confidence::Low } else { confidence };
        findings.report(
            Finding::new(cx.span(range), confidence, "a reference count is compared")
                .label("immortal objects report 2**32 - 1, and free-threaded builds count per thread")
                .note("free-threaded builds of 3.13 and later; for immortal objects (None, small integers, interned strings) all builds of 3.12 and later")
                .help("count users explicitly, or ask a `weakref.ref` whether the object is alive"),
        );
    }
}

/// Whether the number is part of a test under which nothing happens but a warning or a line of a log.
fn only_decides_on_a_message(cx: &RuleContext<'_>, count: CallIx) -> bool {
    let facts = cx.facts();
    let tests = facts.ctxs.iter().filter_map(|ctx| match ctx.kind {
        CtxKind::Branch(test, _) => Some(test),
        _ => None,
    });
    let holds_count = |term| matches!(facts.terms.get(term), Term::Call(call) if call == count);
    let tests: Vec<TermId> = tests.filter(|&test| has_part(cx, test, &holds_count)).collect();
    // `b` of `a and b` is evaluated where `a` holds: part of the test, not of what it decides.
    let is_whole =
        |test: TermId| !tests.iter().any(|&other| other != test && has_part(cx, other, &|part| part == test));
    let is_decided =
        |ctx: &Ctx| matches!(ctx.kind, CtxKind::Branch(test, _) if tests.contains(&test) && is_whole(test));
    let mut inside = facts.events.iter().filter(|event| facts.ctx_chain(event.ctx).any(|(_, ctx)| is_decided(ctx)));
    let mut messages = 0;
    inside.all(|event| match event.kind {
        EventKind::Call(call) if is_message(cx, call) => {
            messages += 1;
            true
        }
        EventKind::Load(_) => true,
        _ => false,
    }) && messages > 0
}

/// Whether a test is such a term, or asks for one among other things.
fn has_part(cx: &RuleContext<'_>, test: TermId, wanted: &dyn Fn(TermId) -> bool) -> bool {
    wanted(test)
        || match cx.facts().terms.get(test) {
            Term::Not(inner) => has_part(cx, inner, wanted),
            Term::And(a, b) | Term::Or(a, b) | Term::Compare(_, a, b) | Term::Operation(a, b) => {
                has_part(cx, a, wanted) || has_part(cx, b, wanted)
            }
            _ => false,
        }
}

fn is_count(cx: &RuleContext<'_>, call: CallIx) -> bool {
    cx.program.library_callee(cx.module, call) == Some(Qual::of("sys.getrefcount"))
}

/// The calls whose results are compared somewhere in the module.
fn compared_calls(cx: &RuleContext<'_>) -> FxHashSet<CallIx> {
    let facts = cx.facts();
    let mut pending: Vec<TermId> = Vec::new();
    for index in 0..facts.terms.len() {
        if let Term::Compare(_, a, b) = facts.terms.get(TermId(index as u32)) {
            pending.extend([a, b]);
        }
    }
    for call in (0..facts.calls.len()).map(CallIx::at).filter(|&call| is_assertion(cx, call)) {
        pending.extend(facts.args_of(call).iter().map(|arg| arg.value));
    }
    let mut seen = FxHashSet::default();
    let mut found = FxHashSet::default();
    while let Some(term) = pending.pop() {
        if !seen.insert(term) {
            continue;
        }
        match facts.terms.get(term) {
            Term::Call(call) => {
                found.insert(call);
            }
            Term::Operation(a, b) => pending.extend([a, b]),
            Term::Name(_) => {
                let var = facts.var_of(term);
                pending.extend(var.into_iter().flat_map(|var| facts.vars[var.index()].values.iter().copied()));
            }
            _ => {}
        }
    }
    found
}

/// `self.assertEqual(…)` and its kin.
fn is_assertion(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let facts = cx.facts();
    let Term::Attr(_, name) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
    let compares = [
        "assertEqual",
        "assertNotEqual",
        "assertLess",
        "assertLessEqual",
        "assertGreater",
        "assertGreaterEqual",
        "assertEquals",
        "assertIs",
    ];
    compares.contains(&facts.name(name))
}
