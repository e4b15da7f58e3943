//! Values that say why something failed: which of two is kept does not matter.
//!
//! *Invariant:* an exception is known by the handler that caught it, or by its class.

use crate::facts::{Qual, Term, TermId};
use crate::link::{Access, Kind};
use crate::{RuleContext, qual};

/// How many names may lie between a value and the handler.
const MAX_DEPTH: usize = 3;

/// What exceptions are called where their class is not known better.
const ERRORS: [Qual; 3] = [qual!("builtins.exception"), qual!("builtins.Exception"), qual!("builtins.BaseException")];

/// Whether a value is an exception that was caught, or a parameter that is one by its annotation.
pub(crate) fn is_error(cx: &RuleContext<'_>, act: &Access, value: TermId) -> bool {
    is_error_within(cx, act, value, 0)
}

fn is_error_within(cx: &RuleContext<'_>, act: &Access, value: TermId, depth: usize) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let inner = |value: TermId| depth < MAX_DEPTH && is_error_within(cx, act, value, depth + 1);
    match facts.terms.get(value) {
        Term::Caught(_) => true,
        // `self.error or error`
        Term::Or(first, other) => first.same(act.term) && inner(other),
        Term::Name(_) => facts.var_of(value).is_some_and(|var| {
            let values = &facts.vars[var.index()].values;
            !values.is_empty() && values.iter().all(|&value| inner(value))
        }),
        _ => matches!(cx.program.kind(act.module, value), Kind::Object(class) if ERRORS.contains(&class)),
    }
}
