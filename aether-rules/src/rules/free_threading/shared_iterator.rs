//! `AET003`: one iterator consumed by several threads.

use crate::declare_rule;
use crate::evidence;
use crate::link::{Access, AccessKind, Place, Sharing};
use crate::model::{Effect, Role};
use crate::settings::PythonVersion;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports an iterator (`iter`, `zip`, `map`, `itertools.*`, a generator, a csv reader, an open text file) that two
    /// threads take elements from.
    ///
    /// ## Why is this bad?
    /// An iterator's position is a read-modify-write nobody guards. A generator raises `ValueError: generator already
    /// executing` on builds with the GIL and can crash free-threaded ones; `itertools` objects, `groupby`, `csv.reader`
    /// and others crash on 3.13t; lists, ranges, `zip` and `enumerate` hand out elements twice or not at all; lines of
    /// a text file come torn, with the GIL too.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// jobs = iter(range(100))
    ///
    /// def work():
    ///     for job in jobs:
    ///         print(job)
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
    /// jobs = queue.SimpleQueue()
    /// for job in range(100):
    ///     jobs.put(job)
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
    /// Iterable *containers* make a new iterator for each loop and are not iterators. `itertools.count()` with an
    /// integer step is safe. `executor.map(f, it)` consumes `it` in the calling thread. An iterator object of a class
    /// of the program (`__next__`) is that class's own business. A local iterator that a coroutine's worker threads consume
    /// one after the other, each awaited at once, is not shared, though a helper hands the work on.
    ///
    /// ## References
    /// - [gh-120321](https://github.com/python/cpython/issues/120321), [gh-124397](https://github.com/python/cpython/issues/124397)
    pub(crate) static SHARED_ITERATOR = {
        code: "AET003", name: "shared-iterator", summary: "one iterator is consumed by several threads",
        family: FreeThreading, level: Error, since: "0.1.0",
        versions: "all; free-threaded builds crash where others raise or repeat", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let Some(kind) = consumable(cx, place) else { continue };
        let consumers = cx.program.accesses(place).iter().filter(|access| consumes(access));
        let sharings = consumers.filter_map(|access| Some((access, cx.program.sharing(access, consumes)?)));
        let plausible = sharings.filter(|(access, sharing)| is_plausible(cx, access, sharing));
        let best = plausible.min_by_key(|(access, sharing)| {
            let on_thread = cx.program.thread_visits(access.function).next().is_none();
            (std::cmp::Reverse(sharing.confidence()), on_thread, access.module, access.range.start())
        });
        if let Some((access, sharing)) = best
            && findings.wants(sharing.confidence())
        {
            findings.report(describe(cx, access, &sharing, kind));
        }
    }
}

fn consumes(access: &Access) -> bool {
    matches!(access.kind, AccessKind::Method(_, Effect::Consume))
}

/// What kind of iterator a place holds, if going through it uses it up.
fn consumable(cx: &RuleContext<'_>, place: Place) -> Option<Role> {
    let role = cx.program.place_kind(place).role()?;
    matches!(role, Role::Iterator | Role::Generator | Role::File).then_some(role)
}

/// A promise of thread safety is about state that outlives a call; a file or iterator that one method opens and
/// walks is rebound by every call.
fn is_plausible(cx: &RuleContext<'_>, access: &Access, sharing: &Sharing<'_>) -> bool {
    let rebound = cx
        .program
        .accesses(access.place)
        .iter()
        .any(|other| other.function == access.function && matches!(other.kind, AccessKind::Write(..)));
    match sharing {
        Sharing::Proven(_) => !rebound,
        Sharing::Promised(_) | Sharing::Possible => {
            let is_global = matches!(access.receiver, crate::link::Receiver::Global);
            !rebound && is_global && cx.program.held_at_access(access).is_empty() && takes_one(cx, access)
        }
    }
}

/// `next(ids)` hands out one element per call, to whoever calls; a loop uses the iterator up by itself.
fn takes_one(cx: &RuleContext<'_>, access: &Access) -> bool {
    let event = cx.program.module(access.module).facts.events[access.event.index()];
    matches!(event.kind, crate::facts::EventKind::Call(_))
}

fn describe(cx: &RuleContext<'_>, access: &Access, sharing: &Sharing<'_>, kind: Role) -> Finding {
    let name = cx.program.place_name(access.place);
    let (what, consequence) = match kind {
        Role::Generator => {
            ("generator", "ValueError: generator already executing with the GIL; a crash on 3.13t and 3.14t")
        }
        Role::File => ("file", "lines are torn or lost, with the GIL and without"),
        _ => ("iterator", "elements are lost or handed out twice; many iterators crash on 3.13t"),
    };
    let message = format!("{what} `{name}` is consumed by several threads");
    let mut finding = Finding::new(evidence::span_of(cx.program, access), sharing.confidence(), message)
        .label("takes the next element while another thread does the same");
    finding = evidence::explain(cx.program, finding, access, sharing).note(consequence);
    let help = if cx.settings().target_version >= PythonVersion::three(15) {
        format!(
            "wrap it where it is made: `threading.serialize_iterator({name})`, or hand the elements out through a queue"
        )
    } else {
        "hand the elements out through a `queue.SimpleQueue`, or take them under one lock".to_owned()
    };
    if sharing.confidence() == Confidence::Low {
        finding = finding.note("a module-level iterator has one position for everybody who imports it");
    }
    finding.help(help)
}
