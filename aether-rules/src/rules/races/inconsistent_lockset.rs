//! `AET103`: a place that is guarded by a lock at most sites and bare at others.

use crate::declare_rule;
use crate::evidence;
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Guard, InferredGuard, LockId, Place, Touch};
use crate::model::{Effect, Role};
use crate::sym;
use crate::{Confidence, Finding, Findings, RuleContext};

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
    /// A bare read of a reference or flag is atomic and often deliberate (the fast path of a double check): it is
    /// reported only where the guard is declared. Helpers named `…_locked` are trusted to be called with the lock held.
    /// What runs in a forked child (`os.register_at_fork`, `…_after_fork`) has no second thread, and what refuses to run
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
            None => cx.program.inferred_guard(place).and_then(|guard| inferred(cx, place, guard)),
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
        Some(Role::Lock(_) | Role::Signal | Role::Queue | Role::Thread | Role::Executor(_) | Role::ThreadLocal | Role::Future)
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
    let access = bare.min_by_key(|access| (!access.kind.writes(), access.module, access.range.start()))?;
    let locked = |other: &Access| cx.program.held_at_access(other).holds(guard.lock);
    let conflict = cx.program.conflict(access, locked);
    let confidence = match conflict {
        Some(_) => Confidence::High,
        None if cx.program.promise_at(access, locked).is_some() => Confidence::Medium,
        None => Confidence::Low,
    };
    let lock_id = guard.lock;
    let lock = cx.program.lock_name(guard.lock);
    let mut finding = describe(cx, access, &lock, confidence);
    if let Some(conflict) = conflict {
        finding = evidence::explain(cx.program, finding, access, &crate::link::Sharing::Proven(conflict));
    }
    for other in guarded_examples(cx, place, guard.lock) {
        let verb = other.kind.verb();
        let access = (EvidenceRole::OtherAccess, evidence::span_of(cx.program, other), format!("{verb} with `{lock}` held"));
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
    if !held.is_empty() {
        // Another lock: two disjoint locks protect nothing, but only writes prove that it was meant to.
        return access.kind.writes() && guard.bare_writes == 1;
    }
    let (locked, bare) = guard.weights();
    match access.kind {
        AccessKind::Write(..) | AccessKind::Augment(..) | AccessKind::Delete(_) => true,
        AccessKind::Method(_, Effect::Resize | Effect::Modify | Effect::Consume) => true,
        AccessKind::Iterate => is_changed_in_place(cx, access.place),
        AccessKind::Touch(Touch::Whole) if is_torn_pair(cx, access, guard.lock) => true,
        AccessKind::Touch(Touch::Element(_)) => locked >= 4 * bare && !is_tolerant(cx, access),
        AccessKind::Touch(Touch::Whole) | AccessKind::Method(..) => false,
    }
}

/// Whether somebody changes the container itself; one that is only ever replaced is copy-on-write.
fn is_changed_in_place(cx: &RuleContext<'_>, place: Place) -> bool {
    cx.program.accesses(place).iter().any(|access| access.kind.writes() && !access.kind.is_whole())
}

/// Whether a function reads two places bare that another one writes together under the lock.
fn is_torn_pair(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    let program = cx.program;
    let writers = |place: Place| {
        let locked = program.accesses(place).iter().filter(|other| other.kind.writes() && program.held_at_access(other).holds(lock));
        locked.map(|other| other.function).collect::<Vec<_>>()
    };
    let own = writers(access.place);
    program.places_of(cx.module).filter(|place| place.root != access.place.root).any(|place| {
        let read_here = program.accesses(place).iter().any(|other| {
            other.function == access.function && other.kind == AccessKind::Touch(Touch::Whole) && program.held_at_access(other).is_empty()
        });
        read_here && writers(place).iter().any(|writer| own.contains(writer))
    })
}

/// Code that runs when nobody else does any more, or prints for a person.
fn is_teardown(cx: &RuleContext<'_>, access: &Access) -> bool {
    let name = cx.program.function(access.function).name;
    let names = [sym!("__del__"), sym!("__repr__"), sym!("__str__"), sym!("__getstate__"), sym!("__setstate__"), sym!("__reduce__"), sym!("__copy__"), sym!("__deepcopy__")];
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
    Finding::new(evidence::span_of(cx.program, access), confidence, format!("`{name}` is {verb} without `{lock}`, which guards it elsewhere"))
        .label(format!("{verb} without the lock"))
        .note("all builds: with the GIL too, a thread holding the lock may be switched out halfway")
        .help(format!("take `{lock}` here as well"))
}
