//! A set of locks that are held.
//!
//! *Invariant:* a [`LockSet`] is a *must* set, sorted: empty means "none proven", not "none held".

use smallvec::SmallVec;

/// A lock, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockId(pub(crate) u32);

/// The locks *proven* held on every path to a point.
///
/// The order is inverted: joining two paths keeps only what both hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockSet(SmallVec<[LockId; 2]>);

impl LockSet {
    /// Whether no lock is proven held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `lock` is proven held.
    pub fn holds(&self, lock: LockId) -> bool {
        self.0.binary_search(&lock).is_ok()
    }

    /// The locks, in order.
    pub fn iter(&self) -> impl Iterator<Item = LockId> + '_ {
        self.0.iter().copied()
    }

    /// Whether some lock is in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.iter().any(|lock| other.holds(lock))
    }

    pub(super) fn add(&mut self, lock: LockId) {
        if let Err(at) = self.0.binary_search(&lock) {
            self.0.insert(at, lock);
        }
    }

    pub(in crate::link) fn add_all(&mut self, other: &Self) {
        for lock in other.iter() {
            self.add(lock);
        }
    }

    pub(super) fn keep(&mut self, other: &Self) {
        self.0.retain(|lock| other.holds(*lock));
    }
}
