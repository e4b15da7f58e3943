//! The queue, and who may take from it: the part of the pool that must never lose a task or a wake-up.
//!
//! One lock guards everything, because every decision needs all of it: how many workers may be at work (`target` and
//! one more for each that declared itself blocked), how many are, who is parked. A worker that finds nothing to do, or
//! that is one too many, parks on a bell of its own; the last to park is the first to be woken, so that the others stay
//! cold and can be let go. Whoever wakes a worker counts it as active *before* it runs: two submissions never wake the
//! same worker, and no submission relies on one that is just about to park.
//!
//! *Invariants:* a task that was accepted is handed out exactly once, or returned by [`Gate::close`]. While tasks are
//! queued and the gate is not closed, at least one worker is active.
//!
//! The primitives come from `super::sync`, so that a test can put controlled ones in their place.

use std::collections::VecDeque;
use std::time::Duration;

use super::sync::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

/// Declared blockers are made up for by at most this many more workers.
const MOST_COMPENSATION: usize = 256;

/// A worker's place: where it sleeps.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    bell: Condvar,
    /// Set by whoever took the seat off the stack; read and written under the gate's lock.
    woken: AtomicBool,
}

/// What the caller has to do after the lock was released.
#[must_use = "a thread that the gate counts on must be started"]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing.
    Nothing,
    /// Start this many threads; the gate counts them already.
    Threads(usize),
}

/// What a worker is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<J> {
    /// Run this.
    Run(J),
    /// End.
    Leave,
}

/// How the gate takes leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// What is queued is still run.
    Drain,
    /// What is queued is handed back.
    Abandon,
}

/// Numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) queued: usize,
    pub(crate) active: usize,
    pub(crate) live: usize,
    pub(crate) target: usize,
    pub(crate) blocked: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    Draining,
    Closed,
}

struct State<J> {
    queue: VecDeque<J>,
    parked: Vec<Arc<Seat>>,
    mode: Mode,
    /// Workers that may be at work at once.
    target: usize,
    /// Workers that declared that they only wait.
    blocked: usize,
    /// Workers that are not parked (some may be on their way).
    active: usize,
    /// Threads that exist or were ordered.
    live: usize,
}

/// See the module.
pub(crate) struct Gate<J> {
    state: Mutex<State<J>>,
    /// Parked workers beyond this many may leave.
    keep: usize,
}

impl Start {
    /// How many threads to start.
    pub(crate) fn threads(&self) -> usize {
        match *self {
            Self::Nothing => 0,
            Self::Threads(count) => count,
        }
    }
}

impl<J> Gate<J> {
    /// An open gate for `target` workers of which none exists: they are ordered as jobs come.
    pub(crate) fn empty(target: usize, keep: usize) -> Self {
        let gate = Self::new(target, keep);
        let mut state = gate.lock();
        (state.active, state.live) = (0, 0);
        drop(state);
        gate
    }

    /// An open gate with `target` workers, which the caller starts; parked ones beyond `keep` leave after a while.
    pub(crate) fn new(target: usize, keep: usize) -> Self {
        let state = State {
            queue: VecDeque::new(),
            parked: Vec::new(),
            mode: Mode::Open,
            target,
            blocked: 0,
            active: target,
            live: target,
        };
        Self { state: Mutex::new(state), keep }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // No code that can panic runs under the lock: a poisoned one is as good as any.
        self.state.lock().unwrap_or_else(super::sync::PoisonError::into_inner)
    }

    /// Queues a job; returns it if the gate no longer takes any.
    pub(crate) fn push(&self, job: J) -> Result<Start, J> {
        let mut state = self.lock();
        if state.mode != Mode::Open {
            return Err(job);
        }
        state.queue.push_back(job);
        Ok(state.admit(1))
    }

    /// The next thing to do for the worker of this seat, which parks here while there is none.
    ///
    /// A worker parked for `patience` leaves if more are parked than are worth keeping.
    pub(crate) fn next(&self, seat: &Arc<Seat>, patience: Duration) -> Next<J> {
        self.try_next(seat).unwrap_or_else(|| self.wait(seat, patience))
    }

    /// The first half of [`Gate::next`], which never waits: `None` if the worker is parked now and must [`Gate::wait`].
    ///
    /// Whoever comes in between finds it among the parked: it is woken rather than another worker started.
    pub(crate) fn try_next(&self, seat: &Arc<Seat>) -> Option<Next<J>> {
        let mut state = self.lock();
        let next = state.take();
        if next.is_none() {
            state.park(seat);
        }
        next
    }

    /// The second half: sleeps until somebody wakes this seat.
    pub(crate) fn wait(&self, seat: &Arc<Seat>, patience: Duration) -> Next<J> {
        let mut state = self.lock();
        loop {
            if seat.woken.load(Ordering::Relaxed) {
                if let Some(next) = state.take() {
                    return next;
                }
                state.park(seat);
            }
            let (guard, timeout) =
                seat.bell.wait_timeout(state, patience).unwrap_or_else(super::sync::PoisonError::into_inner);
            state = guard;
            let woken = seat.woken.load(Ordering::Relaxed);
            if !woken && timeout.timed_out() && state.live > self.keep.max(state.target) {
                state.parked.retain(|other| !Arc::ptr_eq(other, seat));
                state.live -= 1;
                return Next::Leave;
            }
        }
    }

    /// Sets how many workers may be at work. Fewer take effect as workers finish what they are at.
    pub(crate) fn set_target(&self, target: usize) -> Start {
        let mut state = self.lock();
        state.target = target.max(1);
        let queued = state.queue.len();
        state.admit(queued)
    }

    /// A worker declares that it only waits from now on: another may work in its place.
    pub(crate) fn begin_blocking(&self) -> Start {
        let mut state = self.lock();
        state.blocked += 1;
        let queued = state.queue.len();
        state.admit(queued)
    }

    /// The declared wait is over. Whoever finishes first after this parks.
    pub(crate) fn end_blocking(&self) {
        self.lock().blocked -= 1;
    }

    /// A worker that was not told to leave is gone all the same.
    pub(crate) fn desert(&self) {
        self.not_started();
    }

    /// Whether the gate is closed and the last worker has left.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.lock();
        state.mode != Mode::Open && state.live == 0
    }

    /// A thread that was ordered could not be started.
    pub(crate) fn not_started(&self) {
        let mut state = self.lock();
        state.live -= 1;
        state.active -= 1;
    }

    /// Takes no more jobs, and wakes everybody. Returns what will not be run.
    pub(crate) fn close(&self, how: Close) -> Vec<J> {
        let mut state = self.lock();
        let abandoned = match how {
            Close::Drain => Vec::new(),
            Close::Abandon => state.queue.drain(..).collect(),
        };
        if state.mode != Mode::Closed {
            state.mode = if how == Close::Drain { Mode::Draining } else { Mode::Closed };
        }
        for seat in std::mem::take(&mut state.parked) {
            state.active += 1;
            ring(&seat);
        }
        abandoned
    }

    /// Numbers now.
    pub(crate) fn occupancy(&self) -> Occupancy {
        let state = self.lock();
        Occupancy {
            queued: state.queue.len(),
            active: state.active,
            live: state.live,
            target: state.target,
            blocked: state.blocked,
        }
    }
}

impl<J> State<J> {
    /// The next thing to do for an active worker; `None` if it has to park.
    fn take(&mut self) -> Option<Next<J>> {
        if self.active <= self.limit()
            && let Some(job) = self.queue.pop_front()
        {
            return Some(Next::Run(job));
        }
        if self.mode == Mode::Open {
            return None;
        }
        // Either the queue is empty, or others enough are at work on it: see `limit`, which is never 0.
        self.active -= 1;
        self.live -= 1;
        Some(Next::Leave)
    }

    /// An active worker is active no more, until somebody takes its seat off the stack.
    fn park(&mut self, seat: &Arc<Seat>) {
        self.active -= 1;
        seat.woken.store(false, Ordering::Relaxed);
        self.parked.push(Arc::clone(seat));
    }

    /// How many may be at work. Never 0: a queue always drains.
    fn limit(&self) -> usize {
        (self.target + self.blocked.min(MOST_COMPENSATION)).max(1)
    }

    /// Lets up to `wanted` more workers in: parked ones first, then new threads.
    fn admit(&mut self, wanted: usize) -> Start {
        let mut room = self.limit().saturating_sub(self.active).min(wanted);
        while room > 0
            && let Some(seat) = self.parked.pop()
        {
            self.active += 1;
            room -= 1;
            ring(&seat);
        }
        self.active += room;
        self.live += room;
        if room == 0 { Start::Nothing } else { Start::Threads(room) }
    }
}

fn ring(seat: &Seat) {
    seat.woken.store(true, Ordering::Relaxed);
    seat.bell.notify_one();
}
