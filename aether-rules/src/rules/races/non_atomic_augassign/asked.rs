//! Counters that are only asked whether anything was counted: a lost step changes no answer.
//!
//! *Invariant:* every read of the place in the program is looked at; one that is not understood uses the number.

use crate::RuleContext;
use crate::check_then_act;
use crate::facts::{Comparison, Const, CtxKind, EventKind, ModuleFacts, Term, TermId};
use crate::link::{Access, AccessKind, Touch};

/// How deep a test may be built.
const MAX_DEPTH: usize = 6;

/// Whether a private counter only ever counts up from zero, and all who read it ask whether it is zero, or put it into
/// a message. Two lost steps of a first count still leave one.
pub(super) fn is_only_asked(cx: &RuleContext<'_>, access: &Access) -> bool {
    let accesses = cx.program.accesses(access.place);
    let name = cx.program.place_name(access.place);
    let is_private = name.rsplit('.').next().is_some_and(|own| own.starts_with('_'));
    let mut reads = accesses.iter().filter(|other| matches!(other.kind, AccessKind::Touch(_))).peekable();
    is_private
        && reads.peek().is_some()
        && accesses.iter().all(|other| counts_up(cx, other))
        && reads.all(|read| check_then_act::is_told(cx, read) || is_asked(cx, read))
}

/// Whether an access reads, adds a positive number, or starts from zero again.
fn counts_up(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    match access.kind {
        AccessKind::Touch(Touch::Whole) => true,
        AccessKind::Augment(Touch::Whole, by) => {
            matches!(facts.terms.get(by), Term::Const(Const::Int(step)) if step > 0)
        }
        AccessKind::Write(Touch::Whole, value) => facts.terms.get(value) == Term::Const(Const::Int(0)),
        _ => false,
    }
}

/// Whether the function of a read has the place only in tests that ask whether it is zero.
fn is_asked(cx: &RuleContext<'_>, read: &Access) -> bool {
    let facts = &cx.program.module(read.module).facts;
    let (_, function) = cx.program.func_local(read.function);
    let is_in_value = |value: TermId| value.same(read.term) || uses_number(facts, value, read.term, 0);
    let used = facts.events_of(function).iter().any(|event| match event.kind {
        EventKind::Store(_, value) | EventKind::Return(value) | EventKind::Yield(value) | EventKind::Raise(value) => {
            is_in_value(value)
        }
        EventKind::Augment(target, value) => !target.same(read.term) && is_in_value(value),
        EventKind::Call(call) => facts.args_of(call).iter().any(|arg| is_in_value(arg.value)),
        EventKind::Iterate(term) => is_in_value(term),
        _ => false,
    });
    let tested = facts.ctxs.iter().any(|ctx| match ctx.kind {
        CtxKind::Branch(test, _) => {
            ctx.function == function && ctx.range.contains_range(read.range) && !uses_number(facts, test, read.term, 0)
        }
        _ => false,
    });
    tested && !used
}

/// Whether a value depends on how much a place holds, rather than on whether it holds anything.
fn uses_number(facts: &ModuleFacts, value: TermId, place: TermId, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    let zero = |term: TermId| facts.terms.get(term) == Term::Const(Const::Int(0));
    let inner = |term| uses_number(facts, term, place, depth + 1);
    match facts.terms.get(value) {
        Term::Compare(Comparison::Order | Comparison::Eq | Comparison::NotEq, a, b) => {
            let is_question = (a.same(place) && zero(b)) || (b.same(place) && zero(a));
            !is_question && (holds(facts, a, place) || holds(facts, b, place))
        }
        Term::And(a, b) | Term::Or(a, b) => {
            let asked = |term: TermId| !term.same(place) && inner(term);
            asked(a) || asked(b)
        }
        Term::Not(inside) => !inside.same(place) && inner(inside),
        _ if value.same(place) => depth > 0,
        _ => holds(facts, value, place),
    }
}

/// Whether a term has a place as one of its parts.
fn holds(facts: &ModuleFacts, term: TermId, place: TermId) -> bool {
    term.same(place) || facts.terms.children(term).any(|part| holds(facts, part, place))
}
