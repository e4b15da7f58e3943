//! Keys that belong to the thread that uses them: nobody else looks under them.
//!
//! *Invariant:* a key is a thread's own only if it is seen to come from who runs, or from what only that one has.

use crate::facts::{Qual, Term, TermId};
use crate::link::{Access, Kind, ModuleId, Program};
use crate::model::Role;
use crate::{RuleContext, qual};

/// How many names, attributes and calls may lie between the thread and the key.
const MAX_HOPS: usize = 6;

/// What says who runs.
const WHO_RUNS: [Qual; 8] = [
    qual!("threading.get_ident"),
    qual!("threading.current_thread"),
    qual!("_thread.get_ident"),
    qual!("threading.get_native_id"),
    qual!("asyncio.current_task"),
    // A loop runs on one thread.
    qual!("asyncio.get_running_loop"),
    qual!("asyncio.get_event_loop"),
    qual!("tornado.ioloop.IOLoop.current"),
];

/// Whether the key is the thread itself, or was found in what only the thread has: nobody else uses it.
pub(crate) fn is_own_key(cx: &RuleContext<'_>, act: &Access, key: TermId) -> bool {
    is_own(cx.program, act.module, key, 0)
}

fn is_own(program: &Program, module: ModuleId, term: TermId, hops: usize) -> bool {
    if hops > MAX_HOPS {
        return false;
    }
    let facts = &program.module(module).facts;
    let inner = |term| is_own(program, module, term, hops + 1);
    match facts.terms.get(term) {
        Term::Call(call) => {
            program.library_callee(module, call).is_some_and(|name| WHO_RUNS.contains(&name))
                || is_threads(program, program.kind(module, facts.receiver_of(call)))
                || inner(facts.receiver_of(call))
        }
        Term::Attr(base, _) | Term::Item(base, _) => is_threads(program, program.kind(module, base)) || inner(base),
        Term::Either(a, b) | Term::Or(a, b) => inner(a) || inner(b),
        Term::Name(_) => facts.var_of(term).is_some_and(|var| {
            let variable = &facts.vars[var.index()];
            variable.scope.0 != 0 && variable.values.iter().any(|&value| inner(value))
        }),
        _ => false,
    }
}

/// Whether an object answers every thread, or every context, with something of its own.
fn is_threads(program: &Program, kind: Kind) -> bool {
    match program.role(kind) {
        Some(Role::ThreadLocal | Role::ContextVar) => true,
        _ => {
            matches!(kind, Kind::Instance(class) if program.asks_thread_local(class) || keeps_thread_local(program, class))
        }
    }
}

/// Whether a class wraps a thread-local: all that its objects hold besides is a name, or how to make a first value.
fn keeps_thread_local(program: &Program, class: crate::link::ClassId) -> bool {
    let mro = &program.class(class).mro;
    let attrs = || mro.iter().flat_map(|ancestor| program.class(*ancestor).attrs.values());
    let is_named = program.class_name(class).to_ascii_lowercase().replace('_', "").contains("threadlocal");
    is_named && attrs().any(|attr| program.role(attr.kind) == Some(Role::ThreadLocal))
}
