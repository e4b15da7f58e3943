//! Saturating load: tasks that put themselves back in the queue, on any pool.
//!
//! *Invariant:* `outstanding` tasks exist at any moment, so no feeder thread takes part in the measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use aether_bench::pool::{AdaptivePool, PoolConfig};
use aether_bench::workloads::Body;
use crossbeam_channel::Sender;

use crate::AnyError;

type Job = Box<dyn FnOnce() + Send>;

/// What a load needs of a pool.
pub(super) trait Submit: Send + Sync {
    fn submit(&self, job: Job);
}

impl Submit for AdaptivePool {
    fn submit(&self, job: Job) {
        // Shut down: the load ends with the pool.
        drop(AdaptivePool::submit(self, job));
    }
}

/// The plain fixed pool everything is compared with: threads on a channel.
pub(super) struct ChannelPool {
    jobs: Sender<Job>,
}

impl ChannelPool {
    /// The threads end when the pool and all its jobs are gone.
    pub(super) fn new(workers: usize) -> Result<Self, AnyError> {
        let (jobs, queue) = crossbeam_channel::unbounded::<Job>();
        for _ in 0..workers {
            let queue = queue.clone();
            std::thread::Builder::new().spawn(move || queue.into_iter().for_each(|job| job()))?;
        }
        Ok(Self { jobs })
    }
}

impl Submit for ChannelPool {
    fn submit(&self, job: Job) {
        self.jobs.send(job).unwrap_or_default();
    }
}

/// An adaptive pool as the targets describe it.
pub(super) fn adaptive(max_workers: usize) -> Result<AdaptivePool, AnyError> {
    Ok(AdaptivePool::new(PoolConfig { max_workers, ..PoolConfig::default() })?)
}

/// A load that runs.
pub(super) struct Load {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Arc<dyn Submit>,
    body: Body,
    count: AtomicU64,
    stop: AtomicBool,
    alive: AtomicUsize,
}

impl Load {
    pub(super) fn start(pool: Arc<dyn Submit>, body: Body, outstanding: usize) -> Self {
        let shared = Arc::new(Shared {
            pool,
            body,
            count: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            alive: AtomicUsize::new(outstanding),
        });
        for _ in 0..outstanding {
            again(&shared);
        }
        Self { shared }
    }

    /// Tasks per second over the next `time`.
    pub(super) fn rate(&self, time: Duration) -> f64 {
        let (before, start) = (self.shared.count.load(Relaxed), Instant::now());
        std::thread::sleep(time);
        (self.shared.count.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64()
    }

    /// Lets the tasks end.
    pub(super) fn stop(self) {
        self.shared.stop.store(true, Relaxed);
        while self.shared.alive.load(Relaxed) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn again(shared: &Arc<Shared>) {
    let copy = Arc::clone(shared);
    shared.pool.submit(Box::new(move || {
        if copy.stop.load(Relaxed) {
            copy.alive.fetch_sub(1, Relaxed);
            return;
        }
        (copy.body)();
        copy.count.fetch_add(1, Relaxed);
        again(&copy);
    }));
}

/// Throughput of a plain pool of this size, after a short warm-up.
pub(super) fn fixed_rate(workers: usize, body: &Body, outstanding: usize, time: Duration) -> Result<f64, AnyError> {
    let load = Load::start(Arc::new(ChannelPool::new(workers)?), Arc::clone(body), outstanding);
    std::thread::sleep(time / 5);
    let rate = load.rate(time);
    load.stop();
    Ok(rate)
}

/// The best of these sizes, by the sum of two rounds in opposite order.
pub(super) fn best_fixed(sizes: &[usize], body: &Body, outstanding: usize, time: Duration) -> Result<usize, AnyError> {
    let mut rates = vec![0.0; sizes.len()];
    let forth: Vec<usize> = (0..sizes.len()).collect();
    let back = forth.iter().rev().copied();
    for index in forth.iter().copied().chain(back) {
        rates[index] += fixed_rate(sizes[index], body, outstanding, time)?;
    }
    let best = rates.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1));
    Ok(best.map_or(1, |(index, _)| sizes[index]))
}
