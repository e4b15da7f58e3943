//! Whether a bare access comes between the steps of somebody who holds the lock, or of its own function.
//!
//! One store, one `append`, one look-up is whole with a lock or without. What the lock is for are steps: a change that
//! depends on what was there, a test and what follows from it, a walk over all elements.
//!
//! *Invariant:* says only whether there are such steps; who runs at the same time is decided elsewhere.

use crate::RuleContext;
use crate::check_then_act;
use crate::link::{Access, AccessKind, FuncId, LockId, Place, PlaceRoot, Touch};
use crate::model::{ContainerKind, Effect, Role};

/// Whether a bare access breaks into steps, its own or those of code that holds the lock.
pub(super) fn breaks_in(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    if access.kind.writes() && depends(cx, access) {
        return true;
    }
    let program = cx.program;
    match access.kind {
        AccessKind::Touch(_) => true,
        AccessKind::Iterate | AccessKind::Method(_, Effect::Iterate | Effect::View) => {
            has_fixed_walk(cx, access) || misses_what_moves(cx, access, lock)
        }
        _ => {
            let mut others = program.accesses(access.place).iter();
            others.any(|other| program.held_at_access(other).holds(lock) && breaks(cx, access, other))
        }
    }
}

/// Whether all that known threads do under the lock beside a bare access are single steps, and so is the access.
pub(super) fn meets_single_steps(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    let locked = |other: &Access| cx.program.held_at_access(other).holds(lock);
    access.kind.writes()
        && !depends(cx, access)
        && cx.program.conflict(access, locked).is_some()
        && cx.program.conflict(access, |other| locked(other) && breaks(cx, access, other)).is_none()
}

/// Whether a bare change comes between the steps of which another access is one.
fn breaks(cx: &RuleContext<'_>, access: &Access, other: &Access) -> bool {
    let disturbs_walk = walks(other) && access.kind.resizes() && has_fixed_walk(cx, access);
    if check_then_act::removes(access) {
        return depends(cx, other) || check_then_act::removes(other) || disturbs_walk;
    }
    // Put in: one more element disturbs those who walk, and those who asked whether it is there.
    let inserts = other.kind.resizes() && !cx.program.checks(other).is_empty();
    let replaces = matches!(access.kind, AccessKind::Write(Touch::Element(_), _));
    disturbs_walk || (replaces && inserts)
}

/// Whether a function walks over two containers in turn, bare, while others move elements from one to the other under the
/// lock: what moves between the walks is in neither.
fn misses_what_moves(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    let program = cx.program;
    let PlaceRoot::Attr(class, _) = access.place.root else { return false };
    let locked = |other: &&Access| program.held_at_access(other).holds(lock);
    let takes = |place: Place, function: FuncId| {
        let mut others = program.accesses(place).iter().filter(|other| other.function == function).filter(locked);
        others.any(|other| check_then_act::removes(other) && !matches!(other.kind, AccessKind::Write(..)))
    };
    let moves = |from: Place, to: Place| {
        let mut puts = program.accesses(to).iter().filter(locked).filter(|other| other.kind.resizes());
        puts.any(|put| !check_then_act::removes(put) && takes(from, put.function))
    };
    let is_walked = |place: Place| {
        let mut others = program.accesses(place).iter().filter(|other| other.function == access.function);
        others.any(|other| other.kind == AccessKind::Iterate && program.held_at_access(other).is_empty())
    };
    let is_neighbour = |place: Place| matches!(place.root, PlaceRoot::Attr(owner, _) if owner == class);
    access.kind == AccessKind::Iterate
        && program
            .places_of(cx.module)
            .filter(|&place| place != access.place && is_neighbour(place))
            .any(|place| is_walked(place) && (moves(access.place, place) || moves(place, access.place)))
}

fn walks(access: &Access) -> bool {
    matches!(access.kind, AccessKind::Iterate | AccessKind::Method(_, Effect::Iterate))
}

/// Whether a change depends on what was there.
fn depends(cx: &RuleContext<'_>, access: &Access) -> bool {
    let in_steps = matches!(access.kind, AccessKind::Augment(..)) || cx.program.writes_back(access);
    in_steps || (access.kind.writes() && !cx.program.checks(access).is_empty())
}

/// Whether a walk over the container fails when the size changes. A list's goes on.
fn has_fixed_walk(cx: &RuleContext<'_>, access: &Access) -> bool {
    !matches!(
        cx.program.place_kind(access.place).role(),
        Some(Role::Container(ContainerKind::List | ContainerKind::ByteArray))
    )
}

/// Whether a place is only ever added to: each value it had is as good as the next one.
pub(super) fn is_only_counted(cx: &RuleContext<'_>, place: Place) -> bool {
    let mut writes = cx.program.accesses(place).iter().filter(|other| other.kind.writes());
    writes.all(|other| matches!(other.kind, AccessKind::Augment(Touch::Whole, _)))
}

/// Whether an access stands in a function that tells how things are, by its name: `stats`, `to_dict`.
pub(super) fn is_report(cx: &RuleContext<'_>, access: &Access) -> bool {
    const NAMES: &[&str] =
        &["stats", "statistics", "status", "summary", "describe", "report", "diagnostics", "metrics", "dict", "info"];
    let (module, _) = cx.program.func_local(access.function);
    let name = cx.program.module(module).facts.name(cx.program.function(access.function).name);
    NAMES.contains(&name.rsplit('_').next().unwrap_or_default())
}
