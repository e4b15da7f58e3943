//! The thread that feeds the law and carries out what it decides.
//!
//! It ticks only while there is work, reads the workers' CPU times only when the law asks, and takes no lock that a
//! task's code could hold: under Python it never needs the GIL.
//!
//! *Invariant:* asleep while the pool is idle; a submission wakes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::PoolConfig;
use super::inner::Inner;
use super::law::{Law, Limits, Snapshot};
use super::metrics::{Logged, Rates};
use crate::os::host::{self, ForeignMeter, own_cpu_ns};

/// After so many ticks without work the controller sleeps until there is some.
const IDLE_TICKS: u32 = 20;
/// After a rest the first ticks come this fast: a burst of short tasks is over before a usual one.
const FRESH_TICK: Duration = Duration::from_millis(1);
const FRESH_TICKS: u32 = 8;
/// Rates for the metrics, and the load of others, are taken over this long.
const RATES_EVERY: u64 = 500_000_000;

pub(crate) struct Controller {
    law: Mutex<Law>,
    rates: Mutex<Rates>,
    signal: Mutex<Signal>,
    bell: Condvar,
    asleep: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    None,
    Work,
    Stop,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Controller {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let limits = Limits {
            min: config.min_workers,
            max: config.max_workers,
            veto: config.blocking_threshold,
            cores: host::cores(),
        };
        Self {
            law: Mutex::new(Law::new(limits)),
            rates: Mutex::default(),
            signal: Mutex::new(Signal::None),
            bell: Condvar::new(),
            asleep: AtomicBool::new(false),
        }
    }

    pub(super) fn target(&self) -> usize {
        locked(&self.law).target()
    }

    pub(super) fn rates(&self) -> Rates {
        locked(&self.rates).clone()
    }

    /// There is work. Cheap unless the controller sleeps.
    pub(super) fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.ring(Signal::Work);
        }
    }

    pub(super) fn stop(&self) {
        self.ring(Signal::Stop);
    }

    fn ring(&self, signal: Signal) {
        let mut current = locked(&self.signal);
        if *current != Signal::Stop {
            *current = signal;
        }
        self.bell.notify_one();
    }

    /// Changes the bounds of a pool that runs.
    pub(super) fn set_bounds(&self, inner: &Arc<Inner>, min: usize, max: usize) {
        let target = locked(&self.law).set_bounds(min, max);
        inner.start(&inner.gate.set_target(target));
    }

    pub(super) fn run(&self, inner: &Arc<Inner>) {
        let mut watch = Watch::new();
        let mut idle = 0;
        let mut fresh = 0;
        loop {
            let tick = inner.config.monitor_interval;
            let tick = if fresh > 0 { tick.min(FRESH_TICK) } else { tick };
            let pause = (idle < IDLE_TICKS).then_some(tick);
            fresh = if pause.is_none() { FRESH_TICKS } else { fresh.saturating_sub(1) };
            if pause.is_none() {
                locked(&self.rates).rest();
            }
            if self.pause(inner, pause) == Signal::Stop {
                return;
            }
            let busy = self.tick(inner, &mut watch);
            idle = if busy { 0 } else { idle + 1 };
        }
    }

    /// Waits for the next tick, or, without one, for work.
    fn pause(&self, inner: &Inner, tick: Option<Duration>) -> Signal {
        if tick.is_none() {
            self.asleep.store(true, Ordering::SeqCst);
            // A submission before this look is seen here; one after it sees the flag. Either way nobody sleeps on work.
            if inner.gate.occupancy().queued > 0 {
                self.asleep.store(false, Ordering::SeqCst);
                return Signal::Work;
            }
        }
        let mut signal = locked(&self.signal);
        if *signal == Signal::None {
            signal = match tick {
                Some(tick) => self.bell.wait_timeout(signal, tick).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(signal).unwrap_or_else(PoisonError::into_inner),
            };
        }
        self.asleep.store(false, Ordering::SeqCst);
        let got = *signal;
        if got == Signal::Work {
            *signal = Signal::None;
        }
        got
    }

    /// One look at the pool; whether there was anything to do.
    fn tick(&self, inner: &Arc<Inner>, watch: &mut Watch) -> bool {
        let occupancy = inner.gate.occupancy();
        let now_ns = inner.now_ns();
        let rates_due = now_ns >= watch.rates_due_ns;
        let mut law = locked(&self.law);
        let usage = rates_due || law.wants_usage(now_ns, occupancy.queued);
        watch.ticks += 1;
        let mut snapshot = inner.snapshot(usage, watch.ticks);
        if rates_due {
            watch.rates_due_ns = now_ns + RATES_EVERY;
            watch.foreign();
            locked(&self.rates).update(&snapshot);
        }
        snapshot.foreign_cores = watch.foreign_cores;
        let decision = law.step(&snapshot);
        drop(law);
        if let Some(decision) = decision {
            inner.start(&inner.gate.set_target(decision.target));
            inner.note(Logged { at_ns: snapshot.at_ns, decision });
        }
        busy(&snapshot)
    }
}

fn busy(snapshot: &Snapshot) -> bool {
    snapshot.queued > 0 || snapshot.readings.iter().any(|reading| reading.busy_since_ns != 0)
}

/// What the controller remembers between ticks.
struct Watch {
    ticks: u64,
    rates_due_ns: u64,
    meter: ForeignMeter,
    foreign_cores: f64,
}

impl Watch {
    fn new() -> Self {
        Self { ticks: 0, rates_due_ns: 0, meter: ForeignMeter::start(own_cpu_ns()), foreign_cores: 0.0 }
    }

    /// The load of others, smoothed: the system counts it in steps of 10 ms.
    fn foreign(&mut self) {
        let own = own_cpu_ns();
        if let Some(foreign) = self.meter.stop(own) {
            self.foreign_cores = f64::midpoint(self.foreign_cores, foreign.cores);
        }
        self.meter = ForeignMeter::start(own);
    }
}
