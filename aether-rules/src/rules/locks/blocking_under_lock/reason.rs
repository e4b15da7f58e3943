//! Why a wait under a lock is wrong: who it waits for needs the lock, or holds it whenever the wait could end.
//!
//! *Invariant:* what only takes time is said with low confidence.

use crate::facts::{CtxKind, EventIx, ModuleFacts, Qual, Term, TermId};
use crate::link::{FuncId, Held, RootId, Taken, Wait};
use crate::model::Awaits;
use crate::source::Span;
use crate::{Confidence, RuleContext};

/// Why a wait under a lock is wrong.
pub(super) enum Reason {
    /// The thread waited for takes the lock.
    Needs { root: RootId, taken: Taken, exact: bool },
    /// Whoever could end the wait holds the lock when doing so.
    Starves { who: Span },
    /// It just takes time.
    Slow,
}

/// The gravest first.
pub(super) fn rank(reason: &Reason) -> u8 {
    match reason {
        Reason::Needs { exact: true, .. } => 0,
        Reason::Needs { .. } => 1,
        Reason::Starves { .. } => 2,
        Reason::Slow => 3,
    }
}

/// How sure a reason makes it.
pub(super) fn confidence(reason: &Reason) -> Confidence {
    match reason {
        Reason::Needs { exact: true, .. } => Confidence::High,
        Reason::Needs { .. } | Reason::Starves { .. } => Confidence::Medium,
        Reason::Slow => Confidence::Low,
    }
}

/// Why a wait under a held lock is wrong, if it is.
pub(super) fn reason(cx: &RuleContext<'_>, held: &Held, wait: &Wait) -> Option<Reason> {
    const PUTS: &[Qual] =
        &[Qual::of("queue.Queue.put"), Qual::of("queue.Queue.put_nowait"), Qual::of("queue.SimpleQueue.put")];
    const GETS: &[Qual] = &[Qual::of("queue.Queue.get"), Qual::of("queue.Queue.get_nowait")];
    const SETS: &[Qual] = &[Qual::of("threading.Event.set")];
    const NOTIFIES: &[Qual] = &[
        Qual::of("threading.Condition.notify"),
        Qual::of("threading.Condition.notify_all"),
        Qual::of("threading.Condition.notifyAll"),
    ];
    let enders = match wait.awaits {
        Awaits::Thread | Awaits::Future | Awaits::Executor => {
            let awaited = cx.program.awaited(wait);
            return match needs(cx, held, &awaited.roots) {
                // The thread said under the lock that it is on its way out, and does not come back for it.
                Some((root, _)) if announces(cx, wait, root) => Some(Reason::Slow),
                Some((root, taken)) => Some(Reason::Needs { root, taken, exact: awaited.exact }),
                // A known thread that never takes the lock ends without it.
                None if awaited.exact && !awaited.roots.is_empty() => None,
                None => Some(Reason::Slow),
            };
        }
        Awaits::Item => PUTS,
        Awaits::Room => GETS,
        Awaits::Event => SETS,
        Awaits::Notification => NOTIFIES,
        Awaits::Barrier | Awaits::Time | Awaits::Process | Awaits::Outside => return Some(Reason::Slow),
    };
    let reason = if asks_first(cx, wait) { None } else { starves(cx, held, wait, enders) };
    Some(reason.unwrap_or(Reason::Slow))
}

/// The tests around a wait, in its own function.
fn tests<'a>(cx: &RuleContext<'a>, wait: &Wait) -> impl Iterator<Item = TermId> + use<'a> {
    let (module, _) = cx.program.func_local(wait.function);
    let facts = &cx.program.module(module).facts;
    let chain: Vec<CtxKind> = facts.ctx_chain(wait.ctx).map(|(_, ctx)| ctx.kind).collect();
    chain.into_iter().filter_map(|kind| match kind {
        CtxKind::Branch(test, _) => Some(test),
        _ => None,
    })
}

/// The expressions a test is made of.
fn parts(facts: &ModuleFacts, test: TermId) -> Vec<TermId> {
    const MAX_PARTS: usize = 24;
    let mut found = vec![test];
    let mut next = 0;
    while next < found.len() && found.len() < MAX_PARTS {
        let term = found[next];
        next += 1;
        found.extend(facts.terms.children(term));
        if let Term::Call(call) = facts.terms.get(term) {
            found.push(facts.receiver_of(call));
        }
    }
    found.retain(|part| !part.is_opaque());
    found
}

/// `while not queue.empty(): queue.get()`: what is waited on was asked first, under the lock.
fn asks_first(cx: &RuleContext<'_>, wait: &Wait) -> bool {
    let (module, _) = cx.program.func_local(wait.function);
    let facts = &cx.program.module(module).facts;
    tests(cx, wait).any(|test| parts(facts, test).iter().any(|part| part.same(wait.on)))
}

/// Whether the wait depends on a flag that the thread itself sets.
fn announces(cx: &RuleContext<'_>, wait: &Wait, root: RootId) -> bool {
    let (module, function) = cx.program.func_local(wait.function);
    let facts = &cx.program.module(module).facts;
    let in_root = |function: FuncId| cx.program.visits(function).iter().any(|visit| visit.root == root);
    tests(cx, wait).flat_map(|test| parts(facts, test)).any(|part| {
        let place = cx.program.place(module, function, part);
        place.is_some_and(|(place, _)| {
            cx.program.accesses(place).iter().any(|access| access.kind.writes() && in_root(access.function))
        })
    })
}

/// A thread among those waited for that takes the held lock.
pub(super) fn needs(cx: &RuleContext<'_>, held: &Held, roots: &[RootId]) -> Option<(RootId, Taken)> {
    roots.iter().find_map(|&root| {
        let taken = cx.program.taken_by(cx.program.root(root).function).iter();
        let mut same = taken.filter(|taken| taken.lock == held.lock && !taken.conditional);
        same.next().map(|taken| (root, *taken))
    })
}

/// Whether all who could end the wait do so with the lock held.
fn starves(cx: &RuleContext<'_>, held: &Held, wait: &Wait, enders: &[Qual]) -> Option<Reason> {
    let (module, function) = cx.program.func_local(wait.function);
    let (place, _) = cx.program.place(module, function, wait.on)?;
    let calls = cx.program.method_calls(place, enders);
    let locked = |&(function, event): &(FuncId, EventIx)| {
        let (module, _) = cx.program.func_local(function);
        cx.program.held(module, function, event).holds(held.lock)
    };
    let &(first, event) = calls.first()?;
    if !calls.iter().all(locked) {
        return None;
    }
    let (module, _) = cx.program.func_local(first);
    let range = cx.program.module(module).facts.events[event.index()].range;
    Some(Reason::Starves { who: cx.program.span(module, range) })
}
