//! Locks that nobody waits for: whoever gets one does the work, whoever does not goes on.
//!
//! *Invariant:* a lock that is waited for anywhere in its module is none of these.

use crate::facts::{CallIx, Const, CtxKind, ModuleFacts, Sym, Term, TermId};
use crate::sym;

/// Whether all who take a lock by this name only try to: `if not self._mutex.acquire(False): return`.
pub(super) fn is_only_tried(facts: &ModuleFacts, name: Sym) -> bool {
    let is_it = |term: TermId| matches!(facts.terms.get(term), Term::Attr(_, attr) if attr == name);
    let takes = |call: &CallIx| facts.callee_name(*call) == Some(sym!("acquire")) && is_it(facts.receiver_of(*call));
    let is_false = |term: TermId| matches!(facts.terms.get(term), Term::Const(Const::False | Const::Int(0)));
    let tries = |call: CallIx| {
        let blocking = facts.positional(call, 0).or_else(|| facts.keyword(call, sym!("blocking")));
        blocking.is_some_and(|arg| is_false(arg.value))
    };
    let mut taken = (0..facts.calls.len()).map(CallIx::at).filter(takes).peekable();
    let is_entered = || facts.ctxs.iter().any(|ctx| matches!(ctx.kind, CtxKind::With(lock, _) if is_it(lock)));
    taken.peek().is_some() && taken.all(tries) && !is_entered()
}
