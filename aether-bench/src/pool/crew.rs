//! What every kind of pool has: a gate, workers that count, a controller that looks at both.
//!
//! *Invariant:* knows neither what a job is nor who makes the threads; nothing that can panic, block or call back runs
//! under a lock of this module.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::PoolConfig;
use super::controller::Controller;
use super::gate::{Gate, Next, Seat, Start};
use super::law::Snapshot;
use super::metrics::{Logged, PoolMetrics};
use super::stats::{Depth, Totals, WorkerStats};
use crate::os::probe_current;

/// Decisions that are remembered.
const LOG: usize = 256;
/// Workers whose waits are sampled at one tick: a read of 0.7 µs each.
const SAMPLED: usize = 4;

/// A queued job and when it came.
#[derive(Debug)]
pub(super) struct Queued<J> {
    pub(super) job: J,
    pub(super) submitted_ns: u64,
}

/// See the module.
pub(super) struct Crew<J> {
    pub(super) gate: Gate<Queued<J>>,
    pub(super) config: PoolConfig,
    pub(super) controller: Controller,
    epoch: Instant,
    workers: Mutex<Vec<Arc<WorkerStats>>>,
    /// What workers counted that are gone.
    retired: Mutex<Totals>,
    next_id: AtomicU64,
    log: Mutex<VecDeque<Logged>>,
}

/// One worker: what it counts, and where it sleeps.
pub(super) struct Member {
    stats: Arc<WorkerStats>,
    seat: Arc<Seat>,
}

impl Member {
    /// The worker's job was not worth running.
    pub(super) fn skip(&self) {
        self.stats.skip();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J> Crew<J> {
    /// A crew behind `gate`, which is made for the size the controller starts with.
    pub(super) fn new(config: PoolConfig, gate: impl FnOnce(usize, usize) -> Gate<Queued<J>>) -> Self {
        let controller = Controller::new(&config);
        Self {
            gate: gate(controller.target(), config.min_workers),
            config,
            controller,
            epoch: Instant::now(),
            workers: Mutex::default(),
            retired: Mutex::default(),
            next_id: AtomicU64::new(1),
            log: Mutex::default(),
        }
    }

    /// Nanoseconds on the pool's clock; never 0.
    pub(super) fn now_ns(&self) -> u64 {
        crate::num::duration_ns(self.epoch.elapsed()) + 1
    }

    /// Queues a job and wakes the controller; hands the job back if the pool takes no more.
    pub(super) fn push(&self, job: J) -> Result<Start, J> {
        let queued = Queued { job, submitted_ns: self.now_ns() };
        let start = self.gate.push(queued).map_err(|refused| refused.job)?;
        self.controller.wake();
        Ok(start)
    }

    /// The calling thread is a worker from now on, until [`Crew::retire`].
    pub(super) fn enlist(&self) -> Member {
        let stats = Arc::new(WorkerStats::new(self.next_id.fetch_add(1, Relaxed)));
        stats.attach(probe_current());
        let mut workers = locked(&self.workers);
        // By id: windows match a worker's two readings by binary search.
        let at = workers.partition_point(|other| other.id < stats.id);
        workers.insert(at, Arc::clone(&stats));
        Member { stats, seat: Arc::new(Seat::default()) }
    }

    /// What the worker is to do next; parks it while there is nothing.
    pub(super) fn next(&self, member: &Member) -> Next<Queued<J>> {
        self.gate.next(&member.seat, self.config.idle_timeout)
    }

    /// What the worker is to do next, if that can be said without waiting; else it is parked, and has to [`Crew::wait`].
    pub(super) fn try_next(&self, member: &Member) -> Option<Next<Queued<J>>> {
        self.gate.try_next(&member.seat)
    }

    /// What the parked worker is to do next.
    pub(super) fn wait(&self, member: &Member) -> Next<Queued<J>> {
        self.gate.wait(&member.seat, self.config.idle_timeout)
    }

    /// The worker begins a job.
    pub(super) fn begin(&self, member: &Member) {
        member.stats.begin(self.now_ns());
    }

    /// The worker has ended a job that was submitted then.
    pub(super) fn end(&self, member: &Member, submitted_ns: u64) {
        member.stats.end(self.now_ns(), submitted_ns);
    }

    /// The worker's thread ends: its counts are kept.
    pub(super) fn retire(&self, member: &Member) {
        // Both locks, in the order of `totals`: a count is never seen twice or not at all.
        let mut retired = locked(&self.retired);
        let mut workers = locked(&self.workers);
        member.stats.add_to(&mut retired);
        workers.retain(|other| other.id != member.stats.id);
    }

    /// The workers' counters, and as much of the system's as is asked for.
    pub(super) fn snapshot(&self, usage: bool, tick: u64) -> Snapshot {
        let occupancy = self.gate.occupancy();
        let workers = locked(&self.workers);
        let first = (tick as usize).wrapping_mul(SAMPLED) % workers.len().max(1);
        let sampled = |index: usize| (index + workers.len() - first) % workers.len() < SAMPLED;
        let reading =
            |(index, worker): (usize, &Arc<WorkerStats>)| worker.reading(Depth { usage, doing: sampled(index) });
        Snapshot {
            at_ns: self.now_ns(),
            queued: occupancy.queued,
            // Declared blockers have been made up for: they are not at work.
            active: occupancy.active.saturating_sub(occupancy.blocked),
            foreign_cores: 0.0,
            readings: workers.iter().enumerate().map(reading).collect(),
        }
    }

    /// Everything counted since the pool began.
    pub(super) fn totals(&self) -> Totals {
        let retired = locked(&self.retired);
        let workers = locked(&self.workers);
        let mut totals = retired.clone();
        for worker in workers.iter() {
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

    /// The pool as it is now.
    pub(super) fn metrics(&self) -> PoolMetrics {
        let occupancy = self.gate.occupancy();
        let totals = self.totals();
        let rates = self.controller.rates();
        let average = totals.sojourn_ns.checked_div(totals.count);
        PoolMetrics {
            blocking_ratio: rates.blocking_ratio,
            active: occupancy.active,
            live: occupancy.live,
            target: occupancy.target,
            queued: occupancy.queued,
            completed: totals.count,
            throughput: rates.throughput,
            latency_avg: average.map(Duration::from_nanos),
            latency_p99: totals.quantile(0.99).map(Duration::from_nanos),
            cpu_percent: rates.cpu_percent,
            decisions: locked(&self.log).iter().copied().collect(),
        }
    }
}
