//! Hash tables that are used again for the next file.
//!
//! *Invariant:* room is memory only; it never changes what a table holds, since it is made while the table is empty.

use rustc_hash::{FxBuildHasher, FxHashMap};

/// Makes room for about `expected` entries in an empty table that has too little of it, or far too much.
pub(super) fn fit<K, V>(table: &mut FxHashMap<K, V>, expected: usize) {
    const MUCH: usize = 4;
    if !(expected..=MUCH * expected + MUCH).contains(&table.capacity()) {
        *table = FxHashMap::with_capacity_and_hasher(expected, FxBuildHasher);
    }
}
