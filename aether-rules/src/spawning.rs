//! The calls that make threads, as a rule about their arguments sees them.
//!
//! *Invariant:* what is returned is an argument that another thread, or another process, is going to call.

use crate::facts::{Argument, CallIx};
use crate::link::{Callee, Kind};
use crate::{RuleContext, qual, sym};

/// The argument of a call that another thread is going to call.
pub(crate) fn callable_argument<'a>(cx: &RuleContext<'a>, spawn: CallIx) -> Option<&'a Argument> {
    let facts = cx.facts();
    match cx.program.callee(cx.module, spawn) {
        Callee::Lib(name) if name == qual!("multiprocessing.Process") => facts.keyword(spawn, sym!("target")),
        Callee::Lib(name) => {
            let model = cx.program.models.spawn_of(name).filter(|model| model.runs_on.is_thread())?;
            facts.arg(spawn, model.position, model.keyword)
        }
        Callee::Class(class) if cx.program.is_thread_class(class) => {
            // Only a class that leaves `__init__` alone takes a target as `Thread` does.
            let own = cx.program.member(Kind::Instance(class), sym!("__init__"));
            facts.keyword(spawn, sym!("target")).filter(|_| !matches!(own, Kind::Method(_)))
        }
        _ => None,
    }
}
