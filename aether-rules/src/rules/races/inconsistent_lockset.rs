//! `AET103`: a place that is guarded by a lock at most sites and bare at others.

use crate::check_then_act;
use crate::declare_rule;
use crate::evidence;
use crate::facts::Term;
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{
    Access, AccessKind, Conflict, FuncId, Guard, InferredGuard, LockId, Place, PlaceRoot, ThreadOf, Touch,
};
use crate::model::{ContainerKind, Effect, Role};
use crate::sym;
use crate::{Confidence, Finding, Findings, RuleContext};

use deliberate::{is_deliberate, is_probably_meant};
use named::named;

mod deliberate;
mod harm;
mod named;

declare_rule! {
    /// ## What it does
    /// Reports an access to a place without the lock that guards it. The guard is declared
    /// (`# guarded-by: self._lock`, or `Annotated[dict, GuardedBy("_lock")]`), or inferred: most other accesses,
    /// writes among them, hold that lock.
    ///
    /// ## Why is this bad?
    /// A lock protects nothing unless everybody takes it. The bare access sees the state half changed, or changes it
    /// under the feet of a thread that holds the lock and relies on it.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Registry:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._items = {}
    ///
    ///     def add(self, key, item):
    ///         with self._lock:
    ///             self._items[key] = item
    ///
    ///     def remove(self, key):
    ///         with self._lock:
    ///             self._items.pop(key, None)
    ///
    ///     def reset(self):
    ///         self._items.clear()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Registry:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._items = {}
    ///
    ///     def add(self, key, item):
    ///         with self._lock:
    ///             self._items[key] = item
    ///
    ///     def remove(self, key):
    ///         with self._lock:
    ///             self._items.pop(key, None)
    ///
    ///     def reset(self):
    ///         with self._lock:
    ///             self._items.clear()
    /// ```
    ///
    /// ## Limits
    /// A walk over two lists between which elements move under the lock misses what moves. A bare read of a reference or flag is atomic and often deliberate (the fast path of a double check): it is
    /// reported only where the guard is declared, or where one value is made of two places that belong together. Shown
    /// under `--all` only: what a method stores that sets the object up (`configure`, `open`), where no thread is known to
    /// come there, a setter that does nothing else, a mark that is only ever `True` or `False`, `None` stored or
    /// a container cleared or a count taken down on the way out (`close`, `stop`), what is put in bare and only taken out
    /// under the lock, what also makes the lock anew, a registry that is only added to and never under a lock; a store that
    /// replaces the value where nobody changes it in steps, or one of an element beside another plain store of one; a store of
    /// a caught exception; what one step takes out and tolerates to find gone, or where known threads only meet it with single
    /// steps; what a function stores before it takes the lock, or leaves outside after it. Helpers named `…_locked`, or
    /// documented as called with the lock held, are trusted. What keeps others away by other means
    /// (an event, a protocol) is not seen.
    /// A lock named after a place (`_clients_lock` for `_clients`) and held at one access at least guards it, whatever the
    /// others do: there, a change in place or a loop without the lock is reported.
    /// A read that only feeds a log message is none. Shown under `--all` only: two counters that are only added to, read
    /// bare and put together, and what goes into a report (`stats`, `to_dict`); what a decorator does where it is applied to
    /// functions at the top of modules, or what module bodies alone are seen to call.
    /// What runs in a forked child (`os.register_at_fork`, `…_after_fork`, `if os.fork() == 0`) has no second thread, and what refuses to run
    /// while the object runs (`if self.running: raise …`) is shown under `--all` only.
    ///
    /// ## References
    /// - [RacerD: lock-consistency as evidence of intent](https://fbinfer.com/docs/checker-racerd/)
    pub(crate) static INCONSISTENT_LOCKSET = {
        code: "AET103", name: "inconsistent-lockset", summary: "access without the lock that guards the place elsewhere",
        family: Races, level: Warning, since: "0.1.0", versions: "all",
        yields_to: &["AET101", "AET102", "AET107"], check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        if is_synchronizer(cx, place) {
            continue;
        }
        let finding = match cx.program.declared_guard(place) {
            Some(guard) => declared(cx, place, guard),
            None => match cx.program.inferred_guard(place) {
                Some(guard) => inferred(cx, place, guard),
                None => one_sided(cx, place).or_else(|| named(cx, place)),
            },
        };
        if let Some(finding) = finding {
            findings.report(finding);
        }
    }
}

/// Locks, events, queues and threads guard themselves.
fn is_synchronizer(cx: &RuleContext<'_>, place: Place) -> bool {
    matches!(
        cx.program.place_kind(place).role(),
        Some(
            Role::Lock(_)
                | Role::Signal
                | Role::Queue
                | Role::Thread
                | Role::Executor(_)
                | Role::ThreadLocal
                | Role::Future
        )
    )
}

fn declared(cx: &RuleContext<'_>, place: Place, guard: &Guard) -> Option<Finding> {
    let holds = |access: &&Access| {
        let held = cx.program.held_at_access(access);
        match guard.lock {
            Some(lock) => held.holds(lock),
            None => held.iter().any(|lock| cx.program.lock_name(lock).ends_with(cx.facts().name(guard.name))),
        }
    };
    let bare = cx.program.accesses(place).iter().filter(|access| !holds(access));
    let access = bare.min_by_key(|access| (!access.kind.writes(), access.module, access.range.start()))?;
    let lock = cx.facts().name(guard.name).to_owned();
    let finding = describe(cx, access, &lock, Confidence::High);
    Some(finding.evidence(Evidence::new(EvidenceRole::Lock, guard.span, format!("declared to be guarded by `{lock}`"))))
}

fn inferred(cx: &RuleContext<'_>, place: Place, guard: InferredGuard) -> Option<Finding> {
    let bare = cx.program.accesses(place).iter().filter(|access| is_hazard(cx, access, guard));
    let locked = |other: &Access| cx.program.held_at_access(other).holds(guard.lock);
    let bare = bare.map(|access| {
        let sets_up = check_then_act::is_setting_up(cx, access) && cx.program.conflict(access, locked).is_none();
        let doubtful = || is_probably_meant(cx, access, guard.lock) && cx.program.conflict(access, locked).is_none();
        let is_whole = !harm::breaks_in(cx, access, guard.lock) || harm::meets_single_steps(cx, access, guard.lock);
        (sets_up || is_whole || is_deliberate(cx, access, guard.lock) || doubtful(), access)
    });
    let (deliberate, access) = bare
        .min_by_key(|(deliberate, access)| (*deliberate, !access.kind.writes(), access.module, access.range.start()))?;
    let conflict = cx.program.conflict(access, locked);
    let confidence = match conflict {
        _ if deliberate => Confidence::Low,
        Some(conflict) if !is_with_main(&conflict) => Confidence::High,
        // Who writes without the lock on the main thread mostly does so while the other thread rests.
        // Two counters that are only added to, or what goes into a report: a step apart is a moment old.
        None if is_read(access)
            && (harm::is_only_counted(cx, place)
                || harm::is_report(cx, access)
                || check_then_act::sets_up(cx, access)) =>
        {
            Confidence::Low
        }
        _ if cx.program.promise_at(access, locked).is_some() => Confidence::Medium,
        _ => Confidence::Low,
    };
    let lock_id = guard.lock;
    let lock = cx.program.lock_name(guard.lock);
    let mut finding = describe(cx, access, &lock, confidence);
    if let Some(conflict) = conflict {
        finding = evidence::explain(cx.program, finding, access, &crate::link::Sharing::Proven(conflict));
    }
    for other in guarded_examples(cx, place, guard.lock) {
        let verb = other.kind.verb();
        let access =
            (EvidenceRole::OtherAccess, evidence::span_of(cx.program, other), format!("{verb} with `{lock}` held"));
        let taken = cx.program.lock_taken_at(other.module, other.ctx, lock_id);
        let taken = taken.map(|span| (EvidenceRole::Lock, span, format!("`{lock}` is taken here")));
        for (role, span, text) in taken.into_iter().chain([access]) {
            if finding.evidence.iter().all(|evidence| evidence.span != span) {
                finding = finding.evidence(Evidence::new(role, span, text));
            }
        }
    }
    let name = cx.program.place_name(place);
    Some(finding.note(format!(
        "inferred: `{lock}` is held at {} of {} accesses to `{name}`",
        guard.locked,
        guard.locked + guard.bare
    )))
}

fn is_with_main(conflict: &Conflict<'_>) -> bool {
    conflict.thread == ThreadOf::Main || conflict.other_thread == ThreadOf::Main
}

/// Two threads that are known to write the place, of which only one takes a lock for it: too few accesses to call the
/// lock its guard, but whoever took it did not take it against themselves.
fn one_sided(cx: &RuleContext<'_>, place: Place) -> Option<Finding> {
    let is_locked_write = |other: &Access| other.kind.writes() && !cx.program.held_at_access(other).is_empty();
    // Two plain stores leave the one or the other, with a lock or without; one that depends on what was there is none.
    let is_plain = |access: &Access| {
        let is_dict = matches!(cx.program.place_kind(access.place).role(), Some(Role::Container(ContainerKind::Dict)));
        let is_store = match access.kind {
            AccessKind::Write(Touch::Whole, _) => true,
            AccessKind::Write(Touch::Element(_), _) => is_dict,
            _ => false,
        };
        let stores = is_store && !cx.program.writes_back(access);
        stores && cx.program.checks(access).is_empty()
    };
    let mut bare = cx.program.accesses(place).iter().filter(|access| {
        access.kind.writes()
            && cx.program.held_at_access(access).is_empty()
            && !is_teardown(cx, access)
            && !evidence::assumes_lock(cx.program, access.function)
    });
    bare.find_map(|access| {
        let matters = |other: &Access| is_locked_write(other) && !(is_plain(access) && is_plain(other));
        let conflict = cx.program.conflict(access, matters)?;
        let held = cx.program.held_at_access(conflict.other);
        // The elements of a table of locks are locks, but not the table's.
        let is_own = |lock: LockId| cx.program.lock(lock).place == place;
        let lock = held.iter().find(|&lock| !is_own(lock) && !is_deliberate(cx, access, lock))?;
        let name = cx.program.lock_name(lock);
        let finding = describe(cx, access, &name, Confidence::High);
        let finding = evidence::explain(cx.program, finding, access, &crate::link::Sharing::Proven(conflict));
        let taken = cx.program.lock_taken_at(conflict.other.module, conflict.other.ctx, lock);
        Some(match taken {
            Some(span) => finding.evidence(Evidence::new(
                EvidenceRole::Lock,
                span,
                format!("the other thread takes `{name}` here"),
            )),
            None => finding,
        })
    })
}

/// Two accesses that hold the lock, a write first.
fn guarded_examples<'a>(cx: &RuleContext<'a>, place: Place, lock: LockId) -> Vec<&'a Access> {
    let accesses = cx.program.accesses(place).iter();
    let mut locked: Vec<&Access> = accesses.filter(|access| cx.program.held_at_access(access).holds(lock)).collect();
    locked.sort_by_key(|access| (!access.kind.writes(), access.module, access.range.start()));
    locked.dedup_by_key(|access| (access.module, access.range));
    locked.truncate(2);
    locked
}

/// Whether a bare access breaks what the guard protects.
fn is_hazard(cx: &RuleContext<'_>, access: &Access, guard: InferredGuard) -> bool {
    let held = cx.program.held_at_access(access);
    if held.holds(guard.lock) || evidence::assumes_lock(cx.program, access.function) || is_teardown(cx, access) {
        return false;
    }
    if is_read(access) && check_then_act::is_told(cx, access) {
        return false;
    }
    if !held.is_empty() {
        // Another lock: two disjoint locks protect nothing, but only writes prove that it was meant to. A lock out of a
        // table may well be this element's own.
        let is_elements = !access.kind.is_whole() && held.iter().any(|lock| is_out_of_table(cx, lock));
        return access.kind.writes()
            && guard.bare_writes == 1
            && !is_elements
            && !takes(cx, access.function, guard.lock);
    }
    let (locked, bare) = guard.weights();
    match access.kind {
        AccessKind::Write(..) | AccessKind::Augment(..) | AccessKind::Delete(_) => true,
        AccessKind::Method(_, Effect::Resize | Effect::Modify | Effect::Consume) => true,
        AccessKind::Iterate => is_changed_in_place(cx, access.place),
        AccessKind::Touch(Touch::Whole) if is_torn_pair(cx, access, guard.lock) => true,
        AccessKind::Touch(Touch::Element(_)) => {
            locked >= 4 * bare && !is_tolerant(cx, access) && may_be_gone(cx, access.place)
        }
        AccessKind::Touch(Touch::Whole) | AccessKind::Method(..) => false,
    }
}

fn is_read(access: &Access) -> bool {
    matches!(access.kind, AccessKind::Touch(Touch::Whole))
}

/// Whether a function takes a lock somewhere: one that holds another by now hands the state on, like a baton.
fn takes(cx: &RuleContext<'_>, function: FuncId, lock: LockId) -> bool {
    cx.program.acquisitions().any(|taken| taken.function == function && taken.lock == lock)
}

/// Whether a lock is one of many: an element of a container.
fn is_out_of_table(cx: &RuleContext<'_>, lock: LockId) -> bool {
    let place = cx.program.lock(lock).place;
    match place.root {
        PlaceRoot::Cell(module, var) => {
            let facts = &cx.program.module(module).facts;
            let values = &facts.vars[var.index()].values;
            !values.is_empty() && values.iter().all(|&value| matches!(facts.terms.get(value), Term::Item(..)))
        }
        _ => matches!(cx.program.place_kind(place).role(), Some(Role::Container(_))),
    }
}

/// Whether somebody changes the container itself; one that is only ever replaced is copy-on-write.
fn is_changed_in_place(cx: &RuleContext<'_>, place: Place) -> bool {
    cx.program.accesses(place).iter().any(|access| access.kind.writes() && !access.kind.is_whole())
}

/// Whether an element may be missing that was there: somebody takes elements out, or replaces the container. One that
/// makes what is missing never misses any.
fn may_be_gone(cx: &RuleContext<'_>, place: Place) -> bool {
    if matches!(cx.program.place_kind(place).role(), Some(Role::Container(ContainerKind::DefaultDict))) {
        return false;
    }
    let mut others = cx.program.accesses(place).iter();
    others.any(|other| check_then_act::removes(other) || matches!(other.kind, AccessKind::Delete(_)))
}

/// Whether a function makes one value of two places, read bare, that another one writes together under the lock.
///
/// A read that is only tested is none: whoever acts on it looks again under the lock, or does not care.
fn is_torn_pair(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    let program = cx.program;
    let writes = |place: Place| {
        let accesses = program.accesses(place).iter();
        // What is changed in place stays the same object: two references to such things are no torn pair.
        let rebinds = |other: &Access| other.kind.writes() && other.kind.is_whole();
        accesses.filter(|other| rebinds(other) && program.held_at_access(other).holds(lock)).collect::<Vec<_>>()
    };
    // Each under a condition of its own, they are no pair.
    let are_one = |one: &Access, other: &Access| {
        let facts = &program.module(one.module).facts;
        one.function == other.function && (facts.ctx_within(one.ctx, other.ctx) || facts.ctx_within(other.ctx, one.ctx))
    };
    let own = writes(access.place);
    program.places_of(cx.module).filter(|place| place.root != access.place.root).any(|place| {
        let together = program.accesses(place).iter().any(|other| {
            other.function == access.function
                && other.kind == AccessKind::Touch(Touch::Whole)
                && program.held_at_access(other).is_empty()
                && program.are_combined(access, other)
        });
        together && writes(place).iter().any(|other| own.iter().any(|one| are_one(one, other)))
    })
}

/// Code that runs when nobody else does any more, or prints for a person.
fn is_teardown(cx: &RuleContext<'_>, access: &Access) -> bool {
    let name = cx.program.function(access.function).name;
    let names = [
        sym!("__del__"),
        sym!("__repr__"),
        sym!("__str__"),
        sym!("__getstate__"),
        sym!("__setstate__"),
        sym!("__reduce__"),
        sym!("__copy__"),
        sym!("__deepcopy__"),
    ];
    names.contains(&name)
}

/// Whether a missing element is expected: the access stands in a `try` with a handler.
fn is_tolerant(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    facts.ctx_chain(access.ctx).any(|(_, ctx)| ctx.kind == crate::facts::CtxKind::Try)
}

fn describe(cx: &RuleContext<'_>, access: &Access, lock: &str, confidence: Confidence) -> Finding {
    let name = cx.program.place_name(access.place);
    let verb = access.kind.verb();
    Finding::new(
        evidence::span_of(cx.program, access),
        confidence,
        format!("`{name}` is {verb} without `{lock}`, which guards it elsewhere"),
    )
    .label(format!("{verb} without the lock"))
    .note("all builds: with the GIL too, a thread holding the lock may be switched out halfway")
    .help(format!("take `{lock}` here as well"))
}
