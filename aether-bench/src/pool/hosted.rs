//! A pool on threads that somebody else makes: an interpreter's, whose threads must be its own.
//!
//! The host does what needs its own lock (starting threads, running jobs); the gate, the counters and the controller are
//! those of the native pool and never need it. Three kinds of host threads call in: submitters, workers, and one that
//! calls [`HostedPool::control`] over and over and starts the workers it asks for.
//!
//! *Invariant:* a thread that was asked for comes ([`HostedPool::enlist`]) or is reported missing
//! ([`HostedPool::not_started`]); the controller stays until the last worker has left, so that tasks which wait for
//! queued ones do not stand still while the pool drains.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::controller::Watch;
use super::crew::{Crew, Member, Queued};
use super::gate::{Close, Gate, Next, Start};
use super::{PoolConfig, PoolError, PoolMetrics, checked};

/// See the module. Jobs are whatever the host runs.
pub struct HostedPool<J> {
    crew: Crew<J>,
    first_ns: AtomicU64,
}

/// A worker's place in the pool, made on its own thread and used from there only.
pub struct HostedWorker {
    member: Member,
    at_job: AtomicBool,
    submitted_ns: AtomicU64,
}

/// What the controller remembers from one call of [`HostedPool::control`] to the next.
pub struct Lookout(Watch);

impl Default for Lookout {
    fn default() -> Self {
        Self(Watch::new())
    }
}

impl<J> HostedPool<J> {
    /// A pool without threads: they are asked for as jobs come.
    ///
    /// # Errors
    /// Bounds or a threshold that make no sense.
    pub fn new(config: PoolConfig) -> Result<Self, PoolError> {
        Ok(Self { crew: Crew::new(checked(config)?, Gate::empty), first_ns: AtomicU64::new(0) })
    }

    /// Queues a job. The caller starts as many workers as the answer says; a pool that is closed returns the job.
    pub fn submit(&self, job: J) -> Result<usize, J> {
        if self.first_ns.load(Relaxed) == 0 {
            self.first_ns.store(self.crew.now_ns(), Relaxed);
        }
        self.crew.push(job).map(|start| start.threads())
    }

    /// A thread that was asked for could not be started.
    pub fn not_started(&self) {
        self.crew.gate.not_started();
        self.end_if_over();
    }

    /// The calling thread is a worker from now on, until [`HostedPool::retire`].
    pub fn enlist(&self) -> HostedWorker {
        HostedWorker { member: self.crew.enlist(), at_job: AtomicBool::new(false), submitted_ns: AtomicU64::new(0) }
    }

    /// Ends the worker's job and returns its next one, if that can be said without waiting; `Some(None)`: leave.
    ///
    /// After `None` the worker is parked and must [`HostedPool::wait`], whatever the host does in between.
    pub fn try_next(&self, worker: &HostedWorker) -> Option<Option<J>> {
        if worker.at_job.swap(false, Relaxed) {
            self.crew.end(&worker.member, worker.submitted_ns.load(Relaxed));
        }
        self.crew.try_next(&worker.member).map(|next| self.begin(worker, next))
    }

    /// The parked worker's next job; waits while there is none. `None`: leave.
    pub fn wait(&self, worker: &HostedWorker) -> Option<J> {
        let next = self.crew.wait(&worker.member);
        self.begin(worker, next)
    }

    fn begin(&self, worker: &HostedWorker, next: Next<Queued<J>>) -> Option<J> {
        let Next::Run(queued) = next else { return None };
        worker.submitted_ns.store(queued.submitted_ns, Relaxed);
        worker.at_job.store(true, Relaxed);
        self.crew.begin(&worker.member);
        Some(queued.job)
    }

    /// The worker's job had been cancelled and is not counted.
    pub fn skip(&self, worker: &HostedWorker) {
        worker.at_job.store(false, Relaxed);
        worker.member.skip();
    }

    /// The worker's thread ends; it was told to leave.
    pub fn retire(&self, worker: &HostedWorker) {
        self.crew.retire(&worker.member);
        self.end_if_over();
    }

    /// The worker's thread ends although nobody told it to leave.
    pub fn desert(&self, worker: &HostedWorker) {
        self.crew.gate.desert();
        self.retire(worker);
    }

    /// A worker only waits from now on. The caller starts as many workers as the answer says.
    pub fn begin_blocking(&self) -> usize {
        self.crew.gate.begin_blocking().threads()
    }

    /// The declared wait is over.
    pub fn end_blocking(&self) {
        self.crew.gate.end_blocking();
    }

    /// Controls the pool until workers are needed, and returns how many to start; `None` when the pool is over.
    pub fn control(&self, lookout: &mut Lookout) -> Option<usize> {
        self.crew.controller.next(&self.crew, &mut lookout.0).as_ref().map(Start::threads)
    }

    /// Takes no more jobs and lets the workers leave once the queue is empty.
    pub fn drain(&self) {
        // Nothing is handed back when draining.
        drop(self.crew.gate.close(Close::Drain));
        self.end_if_over();
    }

    /// Takes no more jobs and hands back those that nobody has begun.
    pub fn abandon(&self) -> Vec<J> {
        let jobs = self.crew.gate.close(Close::Abandon);
        self.end_if_over();
        jobs.into_iter().map(|queued| queued.job).collect()
    }

    fn end_if_over(&self) {
        if self.crew.gate.is_over() {
            self.crew.controller.stop();
        }
    }

    /// The pool as it is now. Until half a second of work was seen, throughput is the mean since the first job; where
    /// there is no blocking ratio of the last half second, it is that of all jobs so far.
    pub fn metrics(&self) -> PoolMetrics {
        let mut metrics = self.crew.metrics();
        let first_ns = self.first_ns.load(Relaxed);
        if !self.crew.controller.rates().is_measured() && first_ns != 0 {
            let elapsed = self.crew.now_ns().saturating_sub(first_ns).max(1);
            metrics.throughput = metrics.completed as f64 / crate::num::ns_to_seconds(elapsed);
        }
        if metrics.blocking_ratio.is_none() {
            metrics.blocking_ratio = self.crew.totals().blocking_ratio();
        }
        metrics
    }
}

impl<J> std::fmt::Debug for HostedPool<J> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "HostedPool({:?})", self.crew.gate.occupancy())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Mutex};
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use super::*;

    type Job = Box<dyn FnOnce() + Send>;

    /// A host with threads of its own, as an interpreter would be.
    struct Host {
        pool: HostedPool<Job>,
        threads: Mutex<Vec<JoinHandle<()>>>,
    }

    impl Host {
        fn new(min_workers: usize, max_workers: usize) -> Arc<Self> {
            let config = PoolConfig { max_workers, min_workers, ..PoolConfig::default() };
            let pool = HostedPool::new(config).expect("sound bounds");
            let host = Arc::new(Self { pool, threads: Mutex::default() });
            let copy = Arc::clone(&host);
            let controller = thread::spawn(move || {
                let mut lookout = Lookout::default();
                while let Some(count) = copy.pool.control(&mut lookout) {
                    copy.start(count);
                }
            });
            host.threads.lock().expect("not poisoned").push(controller);
            host
        }

        fn start(self: &Arc<Self>, count: usize) {
            for _ in 0..count {
                let host = Arc::clone(self);
                let thread = thread::spawn(move || host.work());
                self.threads.lock().expect("not poisoned").push(thread);
            }
        }

        fn work(&self) {
            let worker = self.pool.enlist();
            while let Some(job) = self.pool.try_next(&worker).unwrap_or_else(|| self.pool.wait(&worker)) {
                job();
            }
            self.pool.retire(&worker);
        }

        fn submit(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
            let count = self.pool.submit(Box::new(job)).unwrap_or_else(|_| panic!("the pool is open"));
            self.start(count);
        }

        fn join(&self) {
            loop {
                let Some(thread) = self.threads.lock().expect("not poisoned").pop() else { return };
                thread.join().expect("no thread panics");
            }
        }
    }

    #[test]
    fn threads_come_with_the_jobs_and_every_job_runs_before_the_pool_is_over() {
        let host = Host::new(1, 4);
        assert_eq!(host.pool.metrics().live, 0);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..500 {
            let ran = Arc::clone(&ran);
            host.submit(move || {
                ran.fetch_add(1, Relaxed);
            });
        }
        host.pool.drain();
        host.join();
        let metrics = host.pool.metrics();
        assert_eq!((ran.load(Relaxed), metrics.completed, metrics.live), (500, 500, 0));
        assert!(metrics.throughput > 0.0 && metrics.latency_avg.is_some());
        assert!(host.pool.submit(Box::new(|| ())).is_err());
    }

    /// Eight tasks that wait for each other, on two cores, in a pool that is already draining.
    #[test]
    fn tasks_that_wait_for_queued_ones_get_company_even_while_draining() {
        let host = Host::new(1, 8);
        let barrier = Arc::new(std::sync::Barrier::new(8));
        for _ in 0..8 {
            let barrier = Arc::clone(&barrier);
            host.submit(move || {
                barrier.wait();
            });
        }
        host.pool.drain();
        host.join();
        assert_eq!(host.pool.metrics().completed, 8);
    }

    #[test]
    fn abandoned_jobs_come_back_and_a_pool_without_threads_is_over_at_once() {
        let host = Host::new(1, 1);
        let (release, gate) = std::sync::mpsc::channel::<()>();
        host.submit(move || gate.recv().unwrap_or_default());
        while host.pool.metrics().queued > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        host.submit(|| unreachable!("abandoned"));
        assert_eq!(host.pool.abandon().len(), 1);
        drop(release);
        host.join();
        let empty: HostedPool<Job> = HostedPool::new(PoolConfig::default()).expect("sound bounds");
        empty.drain();
        assert_eq!(empty.control(&mut Lookout::default()), None);
    }
}
