//! What was learned about each kind of load, to jump back to when it returns.
//!
//! A load is recognised by its signature: the share of the cores it used and what its sleepers slept on. The signature
//! depends on the number of workers too, so two are kept: as the load showed itself when it came, and once settled.
//!
//! *Invariant:* remembers at most [`MOST`] loads and forgets the one not met for longest.

use super::window::Measured;

const MOST: usize = 8;

/// What a load looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Signature {
    own_share: f64,
    futex: f64,
    /// Logarithm of the time a task takes, in seconds: loads of one kind may still need different sizes.
    task: f64,
}

impl Signature {
    /// Of a window measured at `n` workers on `cores`.
    pub(super) fn of(measured: &Measured, n: usize, cores: f64) -> Self {
        Self {
            own_share: measured.own_cores / cores.max(1.0),
            futex: measured.futex,
            task: (n as f64 / measured.ops_s.max(1e-9)).ln(),
        }
    }

    fn resembles(&self, other: &Self) -> bool {
        (self.own_share - other.own_share).abs() < 0.2
            && (self.futex - other.futex).abs() < 0.3
            && (self.task - other.task).abs() < 0.4
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    came_as: Signature,
    settled_as: Signature,
    n: usize,
    elasticity: Option<f64>,
}

/// The loads met so far, the current one last.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Vec<Entry>);

impl Memory {
    /// A load has come. If it was met before: the size and elasticity learned then.
    pub(super) fn enter(&mut self, signature: Signature, n: usize) -> Option<(usize, Option<f64>)> {
        let known = self
            .0
            .iter()
            .rposition(|entry| entry.came_as.resembles(&signature) || entry.settled_as.resembles(&signature));
        if let Some(index) = known {
            let entry = self.0.remove(index);
            self.0.push(Entry { came_as: signature, ..entry });
            return Some((entry.n, entry.elasticity));
        }
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(Entry { came_as: signature, settled_as: signature, n, elasticity: None });
        None
    }

    /// The current load has settled at `n`.
    pub(super) fn settle(&mut self, signature: Signature, n: usize, elasticity: Option<f64>) {
        match self.0.last_mut() {
            Some(entry) => {
                entry.settled_as = signature;
                entry.n = n;
                entry.elasticity = elasticity;
            }
            None => {
                self.0.push(Entry { came_as: signature, settled_as: signature, n, elasticity });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(own: f64, ops_s: f64) -> Signature {
        let measured = Measured { own_cores: own, ops_s, ..Measured::default() };
        Signature::of(&measured, 4, 2.0)
    }

    #[test]
    fn a_load_that_returns_is_recognised_by_either_signature() {
        let mut memory = Memory::default();
        assert_eq!(memory.enter(signature(0.0, 400.0), 2), None);
        memory.settle(signature(0.0, 6_400.0), 64, Some(1.0));
        assert_eq!(memory.enter(signature(2.0, 100.0), 64), None);
        memory.settle(signature(2.0, 100.0), 2, Some(0.0));
        assert_eq!(memory.enter(signature(0.05, 420.0), 2), Some((64, Some(1.0))));
        assert_eq!(memory.enter(signature(1.9, 110.0), 64), Some((2, Some(0.0))));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut memory = Memory::default();
        for step in 0..=MOST {
            assert_eq!(memory.enter(signature(0.0, 10_f64.powf(step as f64)), 1), None);
        }
        assert_eq!(memory.0.len(), MOST);
        assert_eq!(memory.enter(signature(0.0, 1.0), 1), None, "the first one is gone");
    }
}
