//! Coroutines that a function only makes: somebody else's loop runs them, later.
//!
//! *Invariant:* a coroutine that goes straight to what runs a loop for it counts as run then and there.

use super::calls::CallSite;
use super::kind::FuncId;
use super::program::Program;
use crate::facts::{EventKind, Qual, Term};
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

impl Program {
    /// Whether the coroutine that a call makes goes straight to what runs a loop for it.
    pub(crate) fn is_run_to_end(&self, site: &CallSite) -> bool {
        let (module, local) = self.func_local(site.caller);
        let facts = &self.module(module).facts;
        let EventKind::Call(made) = facts.events[site.event.index()].kind else { return false };
        facts.events_of(local).iter().any(|event| match event.kind {
            EventKind::Call(run) => {
                let takes = facts.positional(run, 0).is_some_and(|arg| facts.terms.get(arg.value) == Term::Call(made));
                takes && self.library_callee(module, run).is_some_and(|name| RUNNERS.contains(&name))
            }
            _ => false,
        })
    }

    /// Whether an ordinary function only makes a coroutine: `create_task(work())`, `run_coroutine_threadsafe(work(),
    /// loop)`, or whatever else takes it without running it.
    pub(super) fn is_only_scheduled(&self, callee: FuncId, site: &CallSite) -> bool {
        self.function(callee).flags.is_async && !self.function(site.caller).flags.is_async && !self.is_run_to_end(site)
    }
}
