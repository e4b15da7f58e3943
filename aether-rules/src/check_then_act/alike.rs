//! What a value is worth where it may be one of several: what was found, or what was made.
//!
//! *Invariant:* only what is made anew counts; what was found under the key is nobody's loss.

use crate::RuleContext;
use crate::facts::{Term, TermId};
use crate::link::{Access, Callee, Worth};

/// How much it matters that the value an access stores was made twice, where a name first held what was looked up:
/// `value = cache.get(key)`, `if value is None: value = …`.
pub(crate) fn worth_of_new(cx: &RuleContext<'_>, act: &Access, value: TermId) -> Worth {
    let facts = &cx.program.module(act.module).facts;
    let known = cx.program.worth(act.module, value);
    let Some(var) = facts.var_of(value).filter(|_| known == Worth::Unknown) else { return known };
    let values = &facts.vars[var.index()].values;
    let made = values.iter().copied().filter(|&value| !is_found(cx, act, value));
    // One that was there under another key is the same object for everybody.
    let default = if values.is_empty() { known } else { Worth::Same };
    made.map(|value| cx.program.worth(act.module, value)).max().unwrap_or(default)
}

/// Whether a term reads an element of the container that an access stores into, itself or by the very function it is in.
fn is_found(cx: &RuleContext<'_>, act: &Access, term: TermId) -> bool {
    let facts = &cx.program.module(act.module).facts;
    match facts.terms.get(term) {
        Term::Item(base, _) => base.same(act.term),
        Term::Call(call) => {
            let is_recursion =
                || matches!(cx.program.callee(act.module, call), Callee::Function(callee, _) if callee == act.function);
            facts.receiver_of(call).same(act.term) || is_recursion()
        }
        _ => false,
    }
}
