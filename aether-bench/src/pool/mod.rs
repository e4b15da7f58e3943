//! A thread pool that finds its own size.
//!
//! The [`gate`] decides who may work and loses nothing; the [`law`] decides how many; a controller thread carries
//! readings from one to the other. Tasks are closures; what one panics with is handed to whoever waits for it.
//!
//! *Invariant:* a task that was accepted runs exactly once or is reported as cancelled; dropping the pool runs what is
//! queued and waits for it.

mod controller;
mod crew;
pub(crate) mod gate;
mod hosted;
mod inner;
pub mod law;
mod map;
mod metrics;
mod scope;
mod stats;
mod sync;
mod task;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use gate::Close;
use inner::Inner;
use task::{Runnable, Task};

pub use hosted::{HostedPool, HostedWorker, Lookout};
pub use map::Map;
pub use metrics::{Logged, PoolMetrics};
pub use scope::Scope;
pub use task::{TaskError, TaskHandle};

/// How a pool may behave.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// Never more workers at work (declared blockers are made up for beyond it).
    pub max_workers: usize,
    /// Never fewer.
    pub min_workers: usize,
    /// β′ below which the pool does not grow once every core has a worker (0 to 1).
    pub blocking_threshold: f64,
    /// How often the controller looks.
    pub monitor_interval: Duration,
    /// A parked thread beyond those that are needed ends after this long.
    pub idle_timeout: Duration,
    /// What the threads are called.
    pub name: String,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_workers: (32 * crate::os::host::cores()).min(512),
            min_workers: 1,
            blocking_threshold: 0.3,
            monitor_interval: Duration::from_millis(10),
            idle_timeout: Duration::from_secs(10),
            name: "aether".to_owned(),
        }
    }
}

/// Why there is no pool.
#[derive(Debug, Error)]
pub enum PoolError {
    /// The bounds make no sense.
    #[error("workers: at least {min} and at most {max} cannot both hold (the least is 1)")]
    Bounds {
        /// The minimum asked for.
        min: usize,
        /// The maximum asked for.
        max: usize,
    },
    /// The threshold is not a share.
    #[error("the blocking threshold must lie between 0 and 1, not at {0}")]
    Threshold(f64),
    /// A thread could not be started.
    #[error("cannot start the pool's threads")]
    Threads(#[source] io::Error),
}

/// The pool takes no more tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the pool was shut down")]
pub struct Closed;

/// A pool whose number of workers follows from measured throughput.
pub struct AdaptivePool {
    inner: Arc<Inner>,
}

impl AdaptivePool {
    /// Starts as many workers as there are cores, within the bounds.
    pub fn new(config: PoolConfig) -> Result<Self, PoolError> {
        let config = checked(config)?;
        Ok(Self { inner: Inner::new(config).map_err(PoolError::Threads)? })
    }

    /// A pool of `workers` that never changes its size.
    pub fn fixed(workers: usize) -> Result<Self, PoolError> {
        let config = PoolConfig { max_workers: workers, min_workers: workers, ..PoolConfig::default() };
        Self::new(config)
    }

    /// Queues a task.
    pub fn submit<T: Send + 'static>(
        &self,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Result<TaskHandle<T>, Closed> {
        let task = Task::new(Box::new(function));
        if !self.inner.submit(Arc::clone(&task) as Arc<dyn Runnable>) {
            return Err(Closed);
        }
        Ok(TaskHandle { task, pool: Arc::clone(&self.inner) })
    }

    /// Applies `function` to every item: results in order, items taken as they are needed, a bounded number ahead.
    pub fn map<I, F, T>(&self, items: I, function: F) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map {
            pool: Arc::clone(&self.inner),
            items: items.into_iter(),
            function: Arc::new(function),
            pending: VecDeque::new(),
            // Twice the workers: one task each, and one for whoever is done before its result is taken.
            look_ahead: (2 * self.inner.crew.config.max_workers).max(16),
        }
    }

    /// Runs tasks that may borrow from the caller, and waits for all of them. A panic in one is passed on.
    pub fn scope<'scope, T>(&self, body: impl FnOnce(&Scope<'scope>) -> T) -> T {
        scope::run(&self.inner, body)
    }

    /// Declares that `function` only waits: on a worker, another takes its place at once. Elsewhere it is just called.
    pub fn blocking<T>(&self, function: impl FnOnce() -> T) -> T {
        self.inner.blocking(function)
    }

    /// Changes the bounds while the pool runs. A pool made with equal bounds has no controller: it stays at the minimum.
    pub fn set_bounds(&self, min_workers: usize, max_workers: usize) -> Result<(), PoolError> {
        check_bounds(min_workers, max_workers)?;
        let crew = &self.inner.crew;
        self.inner.start(&crew.controller.set_bounds(crew, min_workers, max_workers));
        Ok(())
    }

    /// The pool as it is now.
    pub fn metrics(&self) -> PoolMetrics {
        self.inner.crew.metrics()
    }

    /// Takes no more tasks, runs those that are queued, and waits for them.
    pub fn shutdown(&self) {
        self.inner.shut_down(Close::Drain);
    }

    /// Takes no more tasks, cancels those that are queued, and waits for those that run.
    pub fn shutdown_now(&self) {
        self.inner.shut_down(Close::Abandon);
    }
}

impl Drop for AdaptivePool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl std::fmt::Debug for AdaptivePool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let occupancy = self.inner.crew.gate.occupancy();
        write!(out, "AdaptivePool({occupancy:?})")
    }
}

/// The configuration with a pace the controller can keep.
fn checked(config: PoolConfig) -> Result<PoolConfig, PoolError> {
    check_bounds(config.min_workers, config.max_workers)?;
    if !(0.0..=1.0).contains(&config.blocking_threshold) {
        return Err(PoolError::Threshold(config.blocking_threshold));
    }
    let monitor_interval = config.monitor_interval.clamp(Duration::from_millis(1), Duration::from_secs(1));
    Ok(PoolConfig { monitor_interval, ..config })
}

fn check_bounds(min: usize, max: usize) -> Result<(), PoolError> {
    if min == 0 || min > max { Err(PoolError::Bounds { min, max }) } else { Ok(()) }
}
