//! Work done once per item on all threads, with results in the items' order.
//!
//! Invariant: an idle thread can take over any item that has not begun. Files differ by orders of magnitude, so a share
//! of them by count, which is what rayon hands out by itself, leaves threads idle while one works through its own.

use rayon::prelude::*;

/// Classes, functions and places are small and alike: this many of them are one piece of work.
const GRAIN: usize = 64;

/// `work` of every index below `count`, each a piece of its own: for files and modules.
pub(crate) fn of_each<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    (0..count).into_par_iter().with_max_len(1).map(&work).collect()
}

/// `work` of every index below `count`, many at a time: for what lives in modules.
pub(crate) fn of_small<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    (0..count).into_par_iter().with_max_len(GRAIN).map(&work).collect()
}
