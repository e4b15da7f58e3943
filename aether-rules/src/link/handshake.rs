//! Threads whose starter waits for a word: `thread.start(); ready.wait()`.
//!
//! What the thread does before it says `ready.set()` precedes whatever the starter does after the wait, and so whatever
//! its user does with the object that was started.
//!
//! *Invariant:* a handshake is one event that the starter waits for without limit and the thread's own function sets.

use super::access::Access;
use super::kind::{FuncId, ModuleId};
use super::order::Lifetime;
use super::program::Program;
use super::roots::RootId;
use crate::facts::{Arm, CtxIx, CtxKind, EventIx, EventKind, FuncIx, ModuleFacts, Term, TermId};
use crate::model::{Awaits, Role};
use crate::sym;

/// How many calls are followed upwards.
const MAX_DEPTH: usize = 4;

impl Program {
    /// Whether a thread takes a step before it says that it is ready, and the main thread another one after it has
    /// heard so.
    pub(super) fn is_before_handshake(&self, access: &Access, root: RootId, main: &Access) -> bool {
        let Some(lifetime) = self.lifetime(root) else { return false };
        let (starter, _) = self.func_local(lifetime.by);
        let (worker, _) = self.func_local(self.root(root).function);
        if !self.module(starter).facts.mentions(sym!("wait")) || !self.module(worker).facts.mentions(sym!("set")) {
            return false;
        }
        self.words(root, lifetime).into_iter().any(|(heard, said)| {
            !self.is_between(main, lifetime, heard) && self.is_said_after(access.function, access.event, root, &said, 0)
        })
    }

    /// The events that the starter waits for once the thread runs: where it does, and where the thread sets them.
    fn words(&self, root: RootId, lifetime: Lifetime) -> Vec<(EventIx, Vec<EventIx>)> {
        let (starter, by) = self.func_local(lifetime.by);
        let waits = self.endless_waits(lifetime.by).into_iter();
        let waits = waits.filter(|wait| wait.awaits == Awaits::Event && wait.event > lifetime.from);
        let words = waits.map(|wait| (wait.event, self.said(root, (starter, by, wait.on))));
        words.filter(|(_, said)| !said.is_empty()).collect()
    }

    /// Where the function of a root sets an event.
    fn said(&self, root: RootId, heard: (ModuleId, FuncIx, TermId)) -> Vec<EventIx> {
        let (module, local) = self.func_local(self.root(root).function);
        let facts = &self.module(module).facts;
        let first = facts.functions[local.index()].events.start;
        let events = facts.events_of(local).iter().enumerate();
        let said = events.filter(|(_, event)| {
            let EventKind::Call(call) = event.kind else { return false };
            let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
            name == sym!("set") && self.is_same_signal((module, local, base), heard)
        });
        said.map(|(at, _)| EventIx(first + at as u32)).collect()
    }

    /// Whether two terms denote one event: the same place, be it seen from the thread object or from its starter.
    fn is_same_signal(&self, a: (ModuleId, FuncIx, TermId), b: (ModuleId, FuncIx, TermId)) -> bool {
        let is_signal = |(module, _, term)| self.kind(module, term).role() == Some(Role::Signal);
        let place = |(module, function, term)| self.place(module, function, term).map(|(place, _)| place);
        is_signal(a) && is_signal(b) && place(a).is_some() && place(a) == place(b)
    }

    /// Whether the main thread is between the start and the wait.
    fn is_between(&self, main: &Access, lifetime: Lifetime, heard: EventIx) -> bool {
        let between = |event: EventIx| event > lifetime.from && event < heard;
        (main.function == lifetime.by && between(main.event))
            || self.callers(main.function).iter().any(|site| site.caller == lifetime.by && between(site.event))
    }

    /// Whether a root takes a step, on every way it comes there, before it has said that it is ready.
    fn is_said_after(&self, function: FuncId, event: EventIx, root: RootId, said: &[EventIx], depth: usize) -> bool {
        let worker = self.root(root).function;
        if function == worker {
            return self.precedes_all(function, event, said);
        }
        let runs = |caller: FuncId| self.visits(caller).iter().any(|visit| visit.root == root);
        let mut sites = self.callers(function).iter().filter(|site| runs(site.caller)).peekable();
        depth < MAX_DEPTH
            && sites.peek().is_some()
            && sites.all(|site| self.is_said_after(site.caller, site.event, root, said, depth + 1))
    }

    /// Whether no word is said before a step on the same way, and one is said later.
    fn precedes_all(&self, function: FuncId, event: EventIx, said: &[EventIx]) -> bool {
        let (module, _) = self.func_local(function);
        let facts = &self.module(module).facts;
        let ctx = |event: EventIx| facts.events[event.index()].ctx;
        !self.in_loop(module, ctx(event))
            && said.iter().any(|&word| word > event)
            && said.iter().all(|&word| word > event || are_exclusive(facts, ctx(word), ctx(event)))
    }
}

/// Whether two steps stand in different arms of one test; what follows an arm that leaves stands in the other.
fn are_exclusive(facts: &ModuleFacts, a: CtxIx, b: CtxIx) -> bool {
    let arms = |ctx: CtxIx| {
        facts.ctx_chain(ctx).filter_map(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => Some((test, arm)),
            _ => None,
        })
    };
    arms(a).any(|(test, arm)| {
        let other = if arm == Arm::Then { Arm::Else } else { Arm::Then };
        arms(b).any(|(found, side)| found.same(test) && side == other)
    })
}
