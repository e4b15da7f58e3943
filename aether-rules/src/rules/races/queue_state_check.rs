//! `AET108`: `while not q.empty(): q.get()`

use crate::check_then_act::{self, Hazard};
use crate::declare_rule;
use crate::facts::{CallIx, EventKind, Qual, Sym, Term};
use crate::link::{Access, AccessKind, Asked, Place, Sharing, Touch};
use crate::model::Role;
use crate::{Confidence, Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports `get` or `put` on a shared queue that is only called because `empty()`, `full()` or `qsize()` said so,
    /// when another thread may get or put in between.
    ///
    /// ## Why is this bad?
    /// What a queue says about itself is old when it is read. The `get` after it blocks for ever, or raises
    /// `queue.Empty`, in the thread that comes second.
    ///
    /// ## Example
    /// ```python bad
    /// import queue
    /// import threading
    ///
    /// jobs = queue.Queue()
    ///
    /// def work():
    ///     while not jobs.empty():
    ///         print(jobs.get())
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=work).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import queue
    /// import threading
    ///
    /// jobs = queue.Queue()
    ///
    /// def work():
    ///     while True:
    ///         try:
    ///             job = jobs.get_nowait()
    ///         except queue.Empty:
    ///             return
    ///         print(job)
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=work).start()
    /// ```
    ///
    /// ## Limits
    /// A single consumer (or producer, for `full`) is not reported. A queue of unknown type is not recognised.
    ///
    /// ## References
    /// - [`queue.Queue.empty`](https://docs.python.org/3/library/queue.html#queue.Queue.empty)
    pub(crate) static QUEUE_STATE_CHECK = {
        code: "AET108", name: "queue-state-check", summary: "get or put relies on what the queue said about itself before",
        family: Races, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// What getting from an empty or putting into a full queue raises.
const ERRORS: &[Qual] =
    &[qual!("queue.Empty"), qual!("queue.Full"), qual!("_queue.Empty"), qual!("Queue.Empty"), qual!("Queue.Full")];

/// Which end of the queue a call works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Take,
    Add,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        if cx.program.place_kind(place).role() != Some(Role::Queue) {
            continue;
        }
        let acts = cx.program.accesses(place).iter();
        let hazards = acts.filter_map(|act| hazard(cx, act));
        check_then_act::report(cx, findings, hazards, |hazard| describe(cx, place, hazard));
    }
}

fn hazard<'a>(cx: &RuleContext<'a>, act: &'a Access) -> Option<Hazard<'a>> {
    let (_, end) = operation(cx, act)?;
    let check = cx.program.stale_check(act, |check| check.asked == Asked::State)?;
    if cx.program.tolerates(act.module, act.ctx, ERRORS) {
        return None;
    }
    let rival = |other: &Access| operation(cx, other).is_some_and(|(_, other)| other == end);
    let conflict = cx.program.overlap(act, rival).filter(|conflict| {
        cx.program.is_credible(conflict.thread, act.function)
            && cx.program.is_credible(conflict.other_thread, conflict.other.function)
    });
    let sharing = match conflict {
        Some(conflict) => Sharing::Proven(conflict),
        None => match cx.program.sharing(act, |_| false)? {
            Sharing::Proven(_) => return None,
            other => other,
        },
    };
    let hazard = Hazard::new(cx, act, check, sharing);
    // Without known threads, draining a queue is as likely one consumer's.
    Some(if matches!(hazard.sharing, Sharing::Proven(_)) { hazard } else { hazard.at_most(Confidence::Low) })
}

/// The call that takes from or adds to the queue an access reads.
fn operation(cx: &RuleContext<'_>, access: &Access) -> Option<(CallIx, End)> {
    const TAKE: &[Sym] = &[sym!("get"), sym!("get_nowait")];
    const ADD: &[Sym] = &[sym!("put"), sym!("put_nowait")];
    if access.kind != AccessKind::Touch(Touch::Whole) {
        return None;
    }
    let facts = &cx.program.module(access.module).facts;
    let end = facts.functions[cx.program.func_local(access.function).1.index()].events.end;
    let calls = (access.event.0..end).filter_map(|at| match facts.events[at as usize].kind {
        EventKind::Call(call) => Some(call),
        _ => None,
    });
    let call = calls.into_iter().find(|call| facts.calls[call.index()].range.contains_range(access.range))?;
    let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
    if !base.same(access.term) {
        return None;
    }
    let end = if TAKE.contains(&method) {
        End::Take
    } else if ADD.contains(&method) {
        End::Add
    } else {
        return None;
    };
    Some((call, end))
}

fn describe(cx: &RuleContext<'_>, place: Place, hazard: &Hazard<'_>) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("what `{name}` says about itself may be out of date when it is used");
    hazard
        .finding(
            cx,
            message,
            "another thread may change the answer at once",
            "relies on the answer: may block for ever, or raise",
        )
        .note("all builds; documented: `empty()` does not guarantee that a following `get()` will not block")
        .help("call `get_nowait()` or `put_nowait()` and handle `queue.Empty` or `queue.Full`")
}
