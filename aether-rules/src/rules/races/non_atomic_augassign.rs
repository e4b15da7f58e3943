//! `AET101`: `x += 1` on a place that another thread writes too.

use crate::check_then_act;
use crate::declare_rule;
use crate::evidence;
use crate::facts::{Term, TermId};
use crate::link::{Access, AccessKind, Kind, Sharing, Touch};
use crate::model::Role;
use crate::{Finding, Findings, RuleContext};

mod asked;

declare_rule! {
    /// ## What it does
    /// Reports an augmented assignment (`x += 1`, `self.hits += 1`, `counts[key] += 1`) to a place that another thread
    /// writes as well, when no lock is held in common.
    ///
    /// ## Why is this bad?
    /// The statement reads, computes and writes. A thread that is switched out between read and write overwrites what
    /// the others wrote meanwhile: updates are lost. The GIL does not prevent it: CPython 3.9 loses updates on every
    /// form, later versions on all but the simplest, and free-threaded builds on all of them (300 000 of 800 000
    /// increments in a stress test).
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// hits = 0
    ///
    /// def handle():
    ///     global hits
    ///     hits += 1
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=handle).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// hits = 0
    /// hits_lock = threading.Lock()
    ///
    /// def handle():
    ///     global hits
    ///     with hits_lock:
    ///         hits += 1
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=handle).start()
    /// ```
    ///
    /// ## Limits
    /// What a comment directly above or beside accepts ("lost increments do not matter") is shown under `--all` only.
    /// In-place extension of a list, set, deque or dict (`items += [x]`) mutates one object and loses nothing; it is
    /// not reported. Objects reached only through untyped parameters are not followed. An element whose index counts the
    /// threads (`results[i] += 1`, where `i` comes from `range` or `enumerate`) is each thread's own. What a coroutine
    /// hands to a thread and awaits at once is shown under `--all` only, unless several tasks work on the object. So is
    /// a step of one thread that no door leads to: a user's thread is one of two only where a public method that the
    /// thread does not run itself, or its starter once the thread runs, gets to the step. No door is a second loop over
    /// what the thread loops over, a callback the object hands out, or a part that only its holder calls; and a reset to
    /// a constant in `close`, `stop`, `connect` or `reset`, or one that the counting thread does as well, is no second step.
    /// Also shown under `--all` only: a private counter that only counts up from zero and is only asked whether it is zero,
    /// or put into a message; where no thread is known, a step whose every known caller holds some lock; a step documented as
    /// taken with the lock held; what a package for tests (`testing`) does, and what only that calls. Two threads that each
    /// have an object made by their own class (`self._screen = Screen()`) do not meet in it. A lock that is only ever tried
    /// (`if not lock.acquire(False): return`) promises nothing for what is not done under it.
    ///
    /// ## References
    /// - [Python FAQ: what kinds of global value mutation are thread-safe?](https://docs.python.org/3/faq/library.html#what-kinds-of-global-value-mutation-are-thread-safe)
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static NON_ATOMIC_AUGASSIGN = {
        code: "AET101", name: "non-atomic-augassign", summary: "augmented assignment to shared state is not atomic",
        family: Races, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let accesses = cx.program.accesses(place);
        let candidates = accesses.iter().filter(|access| is_lossy(cx, access));
        let sharings = candidates.filter_map(|access| sharing(cx, access).map(|sharing| (access, sharing)));
        // One finding per place: the best proof, then the first in the source.
        let best = sharings.min_by_key(|(access, sharing)| {
            (std::cmp::Reverse(sharing.confidence()), access.module, access.range.start())
        });
        let Some((access, sharing)) = best else { continue };
        if findings.wants(sharing.confidence()) {
            findings.report(describe(cx, access, &sharing));
        }
    }
}

/// Whether the assignment replaces a value it read: containers are changed in place instead.
fn is_lossy(cx: &RuleContext<'_>, access: &Access) -> bool {
    let AccessKind::Augment(touch, value) = access.kind else { return false };
    if extends_container(cx, access, value) {
        return false;
    }
    match touch {
        Touch::Element(_) => true,
        Touch::Whole => match cx.program.place_kind(access.place) {
            Kind::Object(_) | Kind::Instance(_) => false,
            kind => !matches!(kind.role(), Some(Role::Container(_))),
        },
    }
}

fn extends_container(cx: &RuleContext<'_>, access: &Access, value: TermId) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let is_display = matches!(facts.terms.get(value), Term::Display(..) | Term::Comp(..));
    let is_tuple = matches!(facts.terms.get(value), Term::Display(crate::facts::Container::Tuple, _));
    let is_container = matches!(cx.program.kind(access.module, value).role(), Some(Role::Container(_)));
    (is_display || is_container) && !is_tuple
}

/// How the place is shared. A lock is an answer unless the other side provably holds another one.
fn sharing<'a>(cx: &RuleContext<'a>, access: &'a Access) -> Option<Sharing<'a>> {
    let sharing = cx.program.sharing(access, |other| other.kind.writes())?;
    let unlocked = cx.program.held_at_access(access).is_empty();
    let sharing = if asked::is_only_asked(cx, access) { Sharing::Possible } else { sharing };
    match sharing {
        // Every update holds the lock; the bare access on the other side is what `AET103` reports.
        Sharing::Proven(_) if !unlocked && cx.program.updates_share_a_lock(access.place) => None,
        // Documented as called with the lock held: a contract, if no proof.
        Sharing::Proven(_) if cx.program.function(access.function).flags.is_under_lock => {
            unlocked.then_some(Sharing::Possible)
        }
        Sharing::Proven(_) => Some(sharing),
        Sharing::Promised(_) if evidence::assumes_lock(cx.program, access.function) => None,
        // What is counted on the way out, nobody reads any more.
        Sharing::Promised(_) if check_then_act::is_ending(cx, access) || check_then_act::callers_lock(cx, access) => {
            unlocked.then_some(Sharing::Possible)
        }
        Sharing::Promised(_) | Sharing::Possible => unlocked.then_some(sharing),
    }
}

fn describe(cx: &RuleContext<'_>, access: &Access, sharing: &Sharing<'_>) -> Finding {
    let name = cx.program.place_name(access.place);
    let element = if access.kind.is_whole() { "" } else { "an element of " };
    let message = format!("augmented assignment to {element}shared `{name}` is not atomic");
    let finding = Finding::new(evidence::span_of(cx.program, access), sharing.confidence(), message)
        .label("read, computed and written in three steps: updates can be lost");
    let finding = evidence::explain(cx.program, finding, access, sharing);
    let finding = finding.note("all builds: the GIL does not make it atomic, free-threaded builds lose far more");
    let help = match evidence::lock_of_place(cx.program, access.place) {
        Some(lock) => format!("hold `{lock}` around the assignment, as elsewhere"),
        None => format!("hold one lock wherever `{name}` is read or written together with this update"),
    };
    finding.help(help)
}
