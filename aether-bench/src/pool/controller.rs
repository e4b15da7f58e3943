//! Feeds the law and carries out what it decides, on a thread of the pool's.
//!
//! It ticks only while there is work, reads the workers' CPU times only when the law asks, and takes no lock that a
//! task's code could hold: under Python it never needs the GIL.
//!
//! *Invariant:* asleep while the pool is idle; a submission wakes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::PoolConfig;
use super::crew::Crew;
use super::gate::Start;
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

    /// Changes the bounds of a pool that runs; the caller starts the threads.
    pub(super) fn set_bounds<J>(&self, crew: &Crew<J>, min: usize, max: usize) -> Start {
        let target = locked(&self.law).set_bounds(min, max);
        crew.gate.set_target(target)
    }

    /// Goes on until threads have to be started, which the caller does; `None` once the pool has stopped.
    pub(super) fn next<J>(&self, crew: &Crew<J>, watch: &mut Watch) -> Option<Start> {
        loop {
            let usual = crate::num::duration_ns(crew.config.monitor_interval);
            let tick = Duration::from_nanos(locked(&self.law).pause_ns(usual));
            let tick = if watch.fresh > 0 { tick.min(FRESH_TICK) } else { tick };
            let pause = (watch.idle < IDLE_TICKS).then_some(tick);
            watch.fresh = if pause.is_none() { FRESH_TICKS } else { watch.fresh.saturating_sub(1) };
            if pause.is_none() {
                locked(&self.rates).rest();
            }
            if self.pause(crew, pause) == Signal::Stop {
                return None;
            }
            let Tick { busy, start } = self.tick(crew, watch);
            watch.idle = if busy { 0 } else { watch.idle + 1 };
            if start.threads() > 0 {
                return Some(start);
            }
        }
    }

    /// Waits for the next tick, or, without one, for work.
    fn pause<J>(&self, crew: &Crew<J>, tick: Option<Duration>) -> Signal {
        if tick.is_none() {
            self.asleep.store(true, Ordering::SeqCst);
            // A submission before this look is seen here; one after it sees the flag. Either way nobody sleeps on work.
            if crew.gate.occupancy().queued > 0 {
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

    /// One look at the pool.
    fn tick<J>(&self, crew: &Crew<J>, watch: &mut Watch) -> Tick {
        let occupancy = crew.gate.occupancy();
        let now_ns = crew.now_ns();
        let mut law = locked(&self.law);
        // The rates can wait for a moment when the law pays for the clocks anyway.
        let overdue = now_ns >= watch.rates_due_ns + RATES_EVERY;
        let usage = overdue || law.wants_usage(now_ns, occupancy.queued);
        let rates_due = usage && now_ns >= watch.rates_due_ns;
        watch.ticks += 1;
        let mut snapshot = crew.snapshot(usage, watch.ticks);
        if rates_due {
            watch.rates_due_ns = now_ns + RATES_EVERY;
            watch.foreign();
            locked(&self.rates).update(&snapshot);
        }
        snapshot.foreign_cores = watch.foreign_cores;
        let decision = law.step(&snapshot);
        drop(law);
        let start = decision.map_or(Start::Nothing, |decision| {
            crew.note(Logged { at_ns: snapshot.at_ns, decision });
            crew.gate.set_target(decision.target)
        });
        Tick { busy: busy(&snapshot), start }
    }
}

/// What one look brought.
struct Tick {
    /// Whether there was anything to do.
    busy: bool,
    /// The threads to start.
    start: Start,
}

fn busy(snapshot: &Snapshot) -> bool {
    snapshot.queued > 0 || snapshot.readings.iter().any(|reading| reading.busy_since_ns != 0)
}

/// What the controller remembers between ticks.
pub(super) struct Watch {
    ticks: u64,
    /// Ticks in a row without work.
    idle: u32,
    /// Ticks that still come fast after a rest.
    fresh: u32,
    rates_due_ns: u64,
    meter: ForeignMeter,
    foreign_cores: f64,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            ticks: 0,
            idle: 0,
            fresh: 0,
            rates_due_ns: 0,
            meter: ForeignMeter::start(own_cpu_ns()),
            foreign_cores: 0.0,
        }
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
