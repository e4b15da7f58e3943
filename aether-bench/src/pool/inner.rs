//! The pool's threads: workers that take from the gate, and what they share.
//!
//! *Invariant:* a thread the gate counts on exists or is reported to it as not started; every thread is joined by
//! [`Inner::shut_down`], except one that calls it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::PoolConfig;
use super::controller::Controller;
use super::gate::{Close, Gate, Next, Seat, Start};
use super::law::Snapshot;
use super::metrics::Logged;
use super::stats::{Depth, Totals, WorkerStats};
use super::task::Runnable;
use crate::os::probe_current;

/// Decisions that are remembered.
const LOG: usize = 256;
/// Workers whose waits are sampled at one tick: a read of 0.7 µs each.
const SAMPLED: usize = 4;

thread_local! {
    /// The pool this thread works for, by address; 0 for none.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// A queued task.
pub(super) struct Job {
    pub(super) task: Arc<dyn Runnable>,
    submitted_ns: u64,
}

/// What the pool's handles and threads share.
pub(crate) struct Inner {
    pub(super) gate: Gate<Job>,
    pub(super) config: PoolConfig,
    epoch: Instant,
    workers: Mutex<Vec<Arc<WorkerStats>>>,
    /// What workers counted that are gone.
    retired: Mutex<Totals>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next_id: AtomicU64,
    pub(super) controller: Controller,
    log: Mutex<VecDeque<Logged>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(super) fn new(config: PoolConfig) -> io::Result<Arc<Self>> {
        let controller = Controller::new(&config);
        let target = controller.target();
        let inner = Arc::new(Self {
            gate: Gate::new(target, config.min_workers),
            config,
            epoch: Instant::now(),
            workers: Mutex::default(),
            retired: Mutex::default(),
            threads: Mutex::default(),
            next_id: AtomicU64::new(1),
            controller,
            log: Mutex::default(),
        });
        let started = (0..target).try_for_each(|_| inner.spawn()).and_then(|()| {
            if inner.config.min_workers == inner.config.max_workers {
                return Ok(()); // Nothing to control.
            }
            let copy = Arc::clone(&inner);
            inner.spawn_named("controller", move || copy.controller.run(&copy))
        });
        if let Err(error) = started {
            // Those that did start must not wait for work that will never come.
            inner.shut_down(Close::Abandon);
            return Err(error);
        }
        Ok(inner)
    }

    /// Nanoseconds on the pool's clock; never 0.
    pub(super) fn now_ns(&self) -> u64 {
        crate::num::duration_ns(self.epoch.elapsed()) + 1
    }

    /// Whether the calling thread is one of the workers.
    pub(crate) fn is_current(&self) -> bool {
        CURRENT.get() == std::ptr::from_ref(self).addr()
    }

    /// Queues a task; false if the pool takes no more.
    pub(super) fn submit(self: &Arc<Self>, task: Arc<dyn Runnable>) -> bool {
        let job = Job { task, submitted_ns: self.now_ns() };
        let Ok(start) = self.gate.push(job) else {
            return false;
        };
        self.start(&start);
        self.controller.wake();
        true
    }

    /// Runs `function`, with another worker in this one's place meanwhile if this thread is a worker.
    pub(crate) fn blocking<T>(self: &Arc<Self>, function: impl FnOnce() -> T) -> T {
        struct Unblock<'a>(&'a Inner);
        impl Drop for Unblock<'_> {
            fn drop(&mut self) {
                self.0.gate.end_blocking();
            }
        }
        if !self.is_current() {
            return function();
        }
        let start = self.gate.begin_blocking();
        let _unblock = Unblock(self);
        self.start(&start);
        function()
    }

    /// Starts the threads that the gate has counted.
    pub(super) fn start(self: &Arc<Self>, start: &Start) {
        let Start::Threads(count) = *start else {
            return;
        };
        for _ in 0..count {
            if self.spawn().is_err() {
                // The system has no more threads: those that live do the work.
                self.gate.not_started();
            }
        }
    }

    fn spawn(self: &Arc<Self>) -> io::Result<()> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let inner = Arc::clone(self);
        self.spawn_named("worker", move || inner.work(id))
    }

    fn spawn_named(&self, role: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let name = format!("{}-{role}", self.config.name);
        let thread = std::thread::Builder::new().name(name).spawn(body)?;
        let mut threads = locked(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn work(&self, id: u64) {
        CURRENT.set(std::ptr::from_ref(self).addr());
        let stats = Arc::new(WorkerStats::new(id));
        stats.attach(probe_current());
        self.enlist(Arc::clone(&stats));
        let seat = Arc::new(Seat::default());
        while let Next::Run(job) = self.gate.next(&seat, self.config.idle_timeout) {
            stats.begin(self.now_ns());
            if job.task.run() {
                stats.end(self.now_ns(), job.submitted_ns);
            } else {
                stats.skip();
            }
        }
        stats.add_to(&mut locked(&self.retired));
        locked(&self.workers).retain(|other| other.id != id);
    }

    fn enlist(&self, stats: Arc<WorkerStats>) {
        let mut workers = locked(&self.workers);
        // By id: windows match a worker's two readings by binary search.
        let at = workers.partition_point(|other| other.id < stats.id);
        workers.insert(at, stats);
    }

    /// The workers' counters, and as much of the system's as is asked for.
    pub(super) fn snapshot(&self, usage: bool, tick: u64) -> Snapshot {
        let occupancy = self.gate.occupancy();
        let workers = locked(&self.workers);
        let first = (tick as usize).wrapping_mul(SAMPLED) % workers.len().max(1);
        let sampled = |index: usize| (index + workers.len() - first) % workers.len() < SAMPLED;
        let readings = workers
            .iter()
            .enumerate()
            .map(|(index, worker)| worker.reading(Depth { usage, doing: sampled(index) }))
            .collect();
        Snapshot {
            at_ns: self.now_ns(),
            queued: occupancy.queued,
            // Declared blockers have been made up for: they are not at work.
            active: occupancy.active.saturating_sub(occupancy.blocked),
            foreign_cores: 0.0,
            readings,
        }
    }

    /// Everything counted since the pool began.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = locked(&self.retired).clone();
        for worker in locked(&self.workers).iter() {
            worker.add_to(&mut totals);
        }
        totals
    }

    pub(super) fn note(&self, entry: Logged) {
        let mut log = locked(&self.log);
        if log.len() == LOG {
            log.pop_front();
        }
        log.push_back(entry);
    }

    pub(super) fn logged(&self) -> Vec<Logged> {
        locked(&self.log).iter().copied().collect()
    }

    /// Takes no more tasks, ends the threads and waits for them. Safe to call twice, and from a task.
    pub(super) fn shut_down(&self, how: Close) {
        for job in self.gate.close(how) {
            job.task.cancel();
        }
        self.controller.stop();
        loop {
            // Not joined under the lock: a worker that is just starting another takes it too.
            let Some(thread) = locked(&self.threads).pop() else {
                return;
            };
            if thread.thread().id() != std::thread::current().id() {
                // Workers catch what tasks throw: a panic here is ours, and was printed.
                thread.join().unwrap_or_default();
            }
        }
    }
}
