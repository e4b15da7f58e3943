//! Locks that say by their name what they guard.
//!
//! *Invariant:* a name alone is no guard: somebody has to hold the lock at the place.

use super::deliberate::{is_deliberate, is_probably_meant};
use super::{describe, guarded_examples, is_changed_in_place, is_teardown};
use crate::check_then_act;
use crate::evidence;
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, LockId, Place};
use crate::{Confidence, Finding, RuleContext};

/// A lock is named after the place, and held where the place is used: whoever gave it that name meant it for the rest, too.
/// What is only read bare may be meant; what is changed or walked through is not.
pub(super) fn named(cx: &RuleContext<'_>, place: Place) -> Option<Finding> {
    let lock = cx.program.named_lock(place)?;
    let locked = |other: &Access| cx.program.held_at_access(other).holds(lock);
    if !cx.program.accesses(place).iter().any(locked) {
        return None;
    }
    // One that is only ever replaced is copy-on-write; where no change is seen, it is handed to those who make them.
    let is_replaced = cx.program.accesses(place).iter().any(|access| access.kind.writes() && access.kind.is_whole());
    let is_walked = !is_replaced || is_changed_in_place(cx, place);
    let breaks = |access: &Access| match access.kind {
        AccessKind::Iterate => is_walked,
        kind => kind.writes() && !kind.is_whole(),
    };
    let mut bare = cx.program.accesses(place).iter().filter(|access| breaks(access));
    let access = bare.find(|access| !is_excused(cx, access, lock))?;
    let name = cx.program.lock_name(lock);
    let mut finding = describe(cx, access, &name, Confidence::Medium);
    for other in guarded_examples(cx, place, lock) {
        let text = format!("{} with `{name}` held", other.kind.verb());
        finding =
            finding.evidence(Evidence::new(EvidenceRole::OtherAccess, evidence::span_of(cx.program, other), text));
    }
    Some(finding.note(format!("`{name}` is named after what it guards")))
}

/// Whether an access has a lock, or does without for a reason.
fn is_excused(cx: &RuleContext<'_>, access: &Access, lock: LockId) -> bool {
    !cx.program.held_at_access(access).is_empty()
        || evidence::assumes_lock(cx.program, access.function)
        || cx.program.runs_at_import(access.function)
        || is_teardown(cx, access)
        || is_deliberate(cx, access, lock)
        || is_probably_meant(cx, access, lock)
        || check_then_act::sets_up(cx, access)
        || check_then_act::is_on_way_out(cx, access)
}
