//! Coroutines that a function only makes: somebody else's loop runs them, later.
//!
//! *Invariant:* a coroutine that goes straight to what runs a loop for it counts as run then and there.

use super::calls::CallSite;
use super::kind::FuncId;
use super::program::Program;
use crate::facts::{EventKind, Qual, Term};
use crate::model::RunsOn;
use crate::qual;

/// Calls that run a coroutine to its end before they return.
const RUNNERS: &[Qual] = &[
    qual!("asyncio.run"),
    qual!("asyncio.Runner.run"),
    qual!("asyncio.AbstractEventLoop.run_until_complete"),
    qual!("anyio.run"),
    qual!("trio.run"),
    qual!("tornado.ioloop.IOLoop.run_sync"),
];

/// Calls that hand a coroutine to the loop of another thread.
const THREADSAFE: &[Qual] = &[qual!("asyncio.run_coroutine_threadsafe")];

impl Program {
    /// Whether the coroutine that a call makes goes straight to what runs a loop for it.
    pub(crate) fn is_run_to_end(&self, site: &CallSite) -> bool {
        self.goes_to(site, RUNNERS)
    }

    /// Whether what a call makes is the first argument of one of some library calls, at once or under a local name that
    /// holds nothing else there.
    fn goes_to(&self, site: &CallSite, takers: &[Qual]) -> bool {
        let (module, local) = self.func_local(site.caller);
        let facts = &self.module(module).facts;
        let EventKind::Call(made) = facts.events[site.event.index()].kind else { return false };
        facts.events_of(local).iter().any(|event| match event.kind {
            EventKind::Call(run) => {
                let takes = |value| {
                    let is_made = |value| facts.terms.get(value) == Term::Call(made);
                    // A name that is used again and again holds such coroutines each time.
                    let holds = || {
                        facts
                            .var_of(value)
                            .is_some_and(|var| facts.vars[var.index()].values.iter().any(|&value| is_made(value)))
                    };
                    is_made(value) || holds()
                };
                facts.positional(run, 0).is_some_and(|arg| takes(arg.value))
                    && self.library_callee(module, run).is_some_and(|name| takers.contains(&name))
            }
            _ => false,
        })
    }

    /// Whether the coroutine that an ordinary function makes is run by some loop, not by the thread that makes it: a
    /// thread gives it away with `run_coroutine_threadsafe`; a handler or finalizer is over before any loop goes on.
    pub(super) fn is_left_to_a_loop(&self, callee: FuncId, site: &CallSite, runs_on: RunsOn) -> bool {
        if !self.function(callee).flags.is_async || self.function(site.caller).flags.is_async {
            return false;
        }
        match runs_on {
            RunsOn::Signal | RunsOn::Finalizer => !self.is_run_to_end(site),
            _ => self.goes_to(site, THREADSAFE),
        }
    }
}
