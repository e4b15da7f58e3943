//! Which calls keep their thread waiting.
//!
//! *Invariant:* a call is said to wait only if nothing it is given tells it not to.

use super::kind::ModuleId;
use super::program::Program;
use crate::facts::{CallIx, Const, Term, TermId};
use crate::model::{Blocking, blocking};
use crate::{qual, sym};

impl Program {
    /// How a call waits, if it does: a library call known to wait, and not told to return at once.
    pub fn waits_for(&self, module: ModuleId, call: CallIx) -> Option<&'static Blocking> {
        let name = self.library_callee(module, call)?;
        let blocking = blocking(name)?;
        let facts = &self.module(module).facts;
        let given = |switch: crate::model::blocking::Switch| {
            let arg = facts.arg(call, switch.position, crate::facts::Sym::new(switch.name));
            arg.map(|arg| facts.terms.get(arg.value))
        };
        let declined = blocking.flag.and_then(given).is_some_and(|flag| flag != Term::Const(Const::True));
        let at_once = blocking.timeout.and_then(given) == Some(Term::Const(Const::Int(0)));
        let never_full = name == qual!("queue.Queue.put") && !self.is_bounded(module, call);
        (!declined && !at_once && !never_full).then_some(blocking)
    }

    /// Whether the queue a call is made on is known to have a maximum size.
    fn is_bounded(&self, module: ModuleId, call: CallIx) -> bool {
        let facts = &self.module(module).facts;
        let Term::Attr(queue, _) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        let limited = |(module, made): (ModuleId, TermId)| {
            let facts = &self.module(module).facts;
            let Term::Call(made) = facts.terms.get(made) else { return false };
            let size = facts.arg(made, 0, sym!("maxsize")).map(|arg| facts.terms.get(arg.value));
            size.is_some_and(|size| size != Term::Const(Const::Int(0)))
        };
        self.values_of(module, queue).into_iter().any(limited)
    }
}
