//! Workloads with known limits: what the profiler and the pool are measured on.
//!
//! *Invariant:* a burn is an amount of work, not of time: on a busy machine it takes longer, as real work does.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A number of loop turns that take about as long as asked for on a core of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burn(u64);

impl Burn {
    /// Calibrates on the calling thread: the fastest of several tries, because a disturbed one is slow, never fast.
    pub fn lasting(time: Duration) -> Self {
        const TURNS: u64 = 200_000;
        let fastest = (0..20)
            .map(|_| {
                let start = Instant::now();
                Self(TURNS).run();
                start.elapsed()
            })
            .min()
            .unwrap_or(Duration::from_micros(1));
        let turns = time.as_secs_f64() / fastest.as_secs_f64().max(1e-9) * TURNS as f64;
        Self(crate::num::seconds_to_ns(turns / 1e9).max(1))
    }

    /// Exactly this many turns of the loop: the same work in every process.
    pub fn of_turns(turns: u64) -> Self {
        Self(turns.max(1))
    }

    /// Turns of the loop.
    pub fn turns(self) -> u64 {
        self.0
    }

    /// The same work, scaled.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self(crate::num::seconds_to_ns(self.0 as f64 * factor / 1e9).max(1))
    }

    /// Does the work.
    pub fn run(self) {
        let mut state = self.0;
        for _ in 0..self.0 {
            // A chain of dependent operations: no unrolling, no vector unit, the same on every try.
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// A lock that one thread holds for up to five milliseconds while it computes, as `CPython`'s interpreter does.
///
/// Waiters take turns in order of arrival; a holder that is asked to let go does so at its next slice.
#[derive(Clone, Debug, Default)]
pub struct EmulatedGil(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    next_ticket: u64,
    serving: u64,
}

impl EmulatedGil {
    /// The switch interval of `CPython`.
    pub const SLICE: Duration = Duration::from_millis(5);

    /// Computes under the lock, which is let go for others after every slice.
    pub fn compute(&self, slices: &[Burn]) {
        for slice in slices {
            self.acquire();
            slice.run();
            self.release();
        }
    }

    fn acquire(&self) {
        let mut turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = turn.next_ticket;
        turn.next_ticket += 1;
        while turn.serving != ticket {
            turn = self.0.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn release(&self) {
        let mut turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.serving += 1;
        if turn.serving != turn.next_ticket {
            self.0.changed.notify_all();
        }
    }
}

/// Splits work into slices of the GIL's switch interval.
pub fn slices(total: Duration) -> Vec<Burn> {
    let count = total.as_secs_f64() / EmulatedGil::SLICE.as_secs_f64();
    let whole = count.ceil().max(1.0);
    let burn = Burn::lasting(total.div_f64(whole));
    std::iter::repeat_n(burn, crate::num::floor_index(whole)).collect()
}

/// A task of a known kind, for any number of threads.
pub type Body = Arc<dyn Fn() + Send + Sync>;

/// The built-in workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sleeps 10 ms.
    Sleep,
    /// Computes 1 ms.
    Cpu,
    /// Computes 1 ms under one lock that stands for a GIL.
    Gil,
    /// Computes 20 ms under one lock that stands for a GIL.
    GilLong,
    /// Sleeps 5 ms, then 5 ms more while holding one lock.
    Lock,
    /// Holds one lock while it sleeps 5 ms.
    LockIo,
    /// Computes 5 ms and sleeps 5 ms.
    Blend,
    /// Sleeps 10 ms or computes 2 ms, in turn.
    Mixed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Sleep, Self::Cpu, Self::Gil, Self::GilLong, Self::Lock, Self::LockIo, Self::Blend, Self::Mixed];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Cpu => "cpu",
            Self::Gil => "gil",
            Self::GilLong => "gil-long",
            Self::Lock => "lock",
            Self::LockIo => "lock-io",
            Self::Blend => "blend",
            Self::Mixed => "mixed",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// A task that all threads share.
    pub fn body(self) -> Body {
        let ms = Duration::from_millis;
        match self {
            Self::Sleep => Arc::new(move || std::thread::sleep(ms(10))),
            Self::Cpu => {
                let burn = Burn::lasting(ms(1));
                Arc::new(move || burn.run())
            }
            Self::Gil => under_gil(ms(1)),
            Self::GilLong => under_gil(ms(20)),
            Self::Lock => behind_lock(ms(5), ms(5)),
            Self::LockIo => behind_lock(Duration::ZERO, ms(5)),
            Self::Blend => {
                let burn = Burn::lasting(ms(5));
                Arc::new(move || {
                    burn.run();
                    std::thread::sleep(ms(5));
                })
            }
            Self::Mixed => mixed(),
        }
    }
}

fn under_gil(time: Duration) -> Body {
    let (gil, slices) = (EmulatedGil::default(), slices(time));
    Arc::new(move || gil.compute(&slices))
}

fn behind_lock(before: Duration, held: Duration) -> Body {
    let lock = Mutex::new(());
    Arc::new(move || {
        if !before.is_zero() {
            std::thread::sleep(before);
        }
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::sleep(held);
    })
}

fn mixed() -> Body {
    let burn = Burn::lasting(Duration::from_millis(2));
    let turn = std::sync::atomic::AtomicUsize::new(0);
    Arc::new(move || {
        if turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(2) {
            std::thread::sleep(Duration::from_millis(10));
        } else {
            burn.run();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_ends() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
            kind.body()();
        }
        assert_eq!(Kind::named("nonsense"), None);
    }

    #[test]
    fn the_emulated_gil_lets_one_in_at_a_time_and_everybody_in_the_end() {
        let gil = EmulatedGil::default();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let gil = gil.clone();
                std::thread::spawn(move || gil.compute(&[Burn(1_000); 20]))
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        let turn = gil.0.turn.lock().expect("not poisoned");
        assert_eq!((turn.next_ticket, turn.serving), (160, 160));
    }
}
