//! The lock a place is meant to be guarded by, read off the places where it is taken.
//!
//! *Invariant:* a guard is inferred from accesses after construction only, and only when most of them agree.

use super::access::{Access, AccessKind};
use super::locks::LockId;
use super::places::Place;
use super::program::Program;

/// A lock that most accesses to a place hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InferredGuard {
    /// The lock.
    pub lock: LockId,
    /// How many accesses hold it.
    pub locked: usize,
    /// How many of those change the place.
    pub locked_writes: usize,
    /// How many accesses hold no lock at all.
    pub bare: usize,
    /// How many of those change the place.
    pub bare_writes: usize,
}

impl InferredGuard {
    /// How strongly the accesses agree: writes count twice, they are what the lock is for.
    pub fn weights(&self) -> (usize, usize) {
        (self.locked + self.locked_writes, self.bare + self.bare_writes)
    }
}

impl Program {
    /// The lock that guards a place, by how it is used: held by some write, and by most accesses.
    pub fn inferred_guard(&self, place: Place) -> Option<InferredGuard> {
        let accesses: Vec<&Access> =
            self.accesses(place).iter().filter(|access| self.counts_for_guard(access)).collect();
        let held: Vec<_> = accesses.iter().map(|access| self.held_at_access(access)).collect();
        let mut locks: Vec<LockId> = held.iter().flat_map(|held| held.iter().collect::<Vec<_>>()).collect();
        locks.sort_unstable();
        locks.dedup();
        let guards = locks.into_iter().map(|lock| {
            let mut guard = InferredGuard { lock, locked: 0, locked_writes: 0, bare: 0, bare_writes: 0 };
            for (access, held) in accesses.iter().zip(&held) {
                let writes = usize::from(access.kind.writes());
                if held.holds(lock) {
                    guard.locked += 1;
                    guard.locked_writes += writes;
                } else {
                    guard.bare += 1;
                    guard.bare_writes += writes;
                }
            }
            guard
        });
        let agreed = guards.filter(|guard| {
            let (locked, bare) = guard.weights();
            guard.locked_writes > 0 && locked >= bare && guard.locked >= 2
        });
        agreed.max_by_key(|guard| (guard.weights().0, std::cmp::Reverse(guard.lock)))
    }

    /// One access per step: the read of `d` in `d[k] = v` is part of the write.
    fn counts_for_guard(&self, access: &Access) -> bool {
        let is_read = matches!(access.kind, AccessKind::Touch(super::access::Touch::Whole));
        if !is_read {
            return true;
        }
        let siblings = self.accesses(access.place).iter();
        !siblings.filter(|other| other.function == access.function && other.event > access.event).any(|other| {
            other.event.0 - access.event.0 <= 3
                && !matches!(other.kind, AccessKind::Touch(super::access::Touch::Whole))
                && other.range.contains_range(access.range)
        })
    }
}
