//! Expressions in a reader's words: as the source spells them, where facts still know.
//!
//! *Invariant:* [`dotted`] is exact (its length is that of the source, if the source has no spaces), [`readable`] is
//! for messages only.

use ruff_text_size::{TextRange, TextSize};

use crate::facts::{CallIx, ModuleFacts, NameTarget, Term, TermId};

/// The dotted name a term is, such as `self._pool.submit`.
pub(crate) fn dotted(facts: &ModuleFacts, term: TermId) -> Option<String> {
    match facts.terms.get(term) {
        Term::Name(name) => Some(match facts.name_targets[name.index()] {
            NameTarget::Var(var) => facts.name(facts.vars[var.index()].name).to_owned(),
            NameTarget::Free(name) => facts.name(name).to_owned(),
        }),
        Term::Attr(base, name) => Some(format!("{}.{}", dotted(facts, base)?, facts.name(name))),
        _ => None,
    }
}

/// The same, with `…` for the parts that are no names.
pub(crate) fn readable(facts: &ModuleFacts, term: TermId) -> String {
    match facts.terms.get(term) {
        Term::Attr(base, name) => format!("{}.{}", readable(facts, base), facts.name(name)),
        Term::Call(call) => format!("{}(…)", readable(facts, facts.calls[call.index()].callee)),
        _ => dotted(facts, term).unwrap_or_else(|| "…".to_owned()),
    }
}

/// What a call calls, in a reader's words.
pub(crate) fn callee(facts: &ModuleFacts, call: CallIx) -> String {
    readable(facts, facts.calls[call.index()].callee)
}

/// Where the callee of a call without arguments ends: known only if the call is written without spaces, as `a.b()`.
pub(crate) fn end_of_bare_callee(facts: &ModuleFacts, call: CallIx) -> Option<TextSize> {
    let range: TextRange = facts.calls[call.index()].range;
    let name = dotted(facts, facts.calls[call.index()].callee)?;
    let bare = TextSize::of(name.as_str()) + TextSize::of("()");
    (facts.args_of(call).is_empty() && range.len() == bare).then(|| range.end() - TextSize::of("()"))
}
