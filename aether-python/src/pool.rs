//! The pool's queue, counters and controller for threads that Python makes.
//!
//! *Invariant:* a wait is detached; what can be answered at once is answered without letting go of the interpreter, which
//! would hand it to another thread after every task.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aether_bench::pool::{HostedPool, HostedWorker, Lookout, PoolConfig, PoolError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A pool of Python threads; `aether.pool` makes them.
#[pyclass(frozen, module = "aether._native")]
pub(crate) struct Pool {
    hosted: HostedPool<Py<PyAny>>,
    lookout: Mutex<Lookout>,
}

/// A worker's place in its pool.
#[pyclass(frozen, module = "aether._native")]
pub(crate) struct Worker(HostedWorker);

#[pymethods]
impl Pool {
    #[new]
    #[pyo3(signature = (*, max_workers, min_workers, blocking_threshold, tick, idle_timeout))]
    fn new(
        max_workers: usize,
        min_workers: usize,
        blocking_threshold: f64,
        tick: f64,
        idle_timeout: f64,
    ) -> PyResult<Self> {
        let config = PoolConfig {
            max_workers,
            min_workers,
            blocking_threshold,
            monitor_interval: seconds("tick", tick)?,
            idle_timeout: seconds("idle_timeout", idle_timeout)?,
            ..PoolConfig::default()
        };
        let hosted = HostedPool::new(config).map_err(|error: PoolError| PyValueError::new_err(error.to_string()))?;
        Ok(Self { hosted, lookout: Mutex::default() })
    }

    /// Queues a job: how many workers to start, or `None` if the pool takes no more.
    fn submit(&self, job: Py<PyAny>) -> Option<usize> {
        self.hosted.submit(job).ok()
    }

    /// The calling thread is a worker from now on.
    fn enlist(&self) -> Worker {
        Worker(self.hosted.enlist())
    }

    /// Ends the worker's job and waits for its next one; `None`: leave.
    fn next(&self, py: Python<'_>, worker: &Worker) -> Option<Py<PyAny>> {
        match self.hosted.try_next(&worker.0) {
            Some(job) => job,
            None => py.detach(|| self.hosted.wait(&worker.0)),
        }
    }

    /// The worker's job had been cancelled.
    fn skip(&self, worker: &Worker) {
        self.hosted.skip(&worker.0);
    }

    /// The worker's thread ends, as it was told.
    fn retire(&self, worker: &Worker) {
        self.hosted.retire(&worker.0);
    }

    /// The worker's thread ends although nobody told it to.
    fn desert(&self, worker: &Worker) {
        self.hosted.desert(&worker.0);
    }

    /// A thread that was asked for could not be started.
    fn not_started(&self) {
        self.hosted.not_started();
    }

    /// Controls the pool until workers are needed: how many to start, or `None` when the pool is over.
    fn control(&self, py: Python<'_>) -> Option<usize> {
        py.detach(|| {
            let mut lookout = self.lookout.lock().unwrap_or_else(PoisonError::into_inner);
            self.hosted.control(&mut lookout)
        })
    }

    /// A worker only waits from now on: how many workers to start.
    fn begin_blocking(&self) -> usize {
        self.hosted.begin_blocking()
    }

    /// The declared wait is over.
    fn end_blocking(&self) {
        self.hosted.end_blocking();
    }

    /// Takes no more jobs; those queued are still run.
    fn drain(&self) {
        self.hosted.drain();
    }

    /// Takes no more jobs and returns those that nobody has begun.
    fn abandon(&self) -> Vec<Py<PyAny>> {
        self.hosted.abandon()
    }

    /// The pool as it is now, by name; times in milliseconds.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let metrics = py.detach(|| self.hosted.metrics());
        let milliseconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
        let values = PyDict::new(py);
        values.set_item("blocking_ratio", metrics.blocking_ratio)?;
        values.set_item("active_threads", metrics.active)?;
        values.set_item("live_threads", metrics.live)?;
        values.set_item("target_threads", metrics.target)?;
        values.set_item("queued_tasks", metrics.queued)?;
        values.set_item("completed_tasks", metrics.completed)?;
        values.set_item("throughput", metrics.throughput)?;
        values.set_item("avg_latency_ms", milliseconds(metrics.latency_avg))?;
        values.set_item("p99_latency_ms", milliseconds(metrics.latency_p99))?;
        values.set_item("cpu_percent", metrics.cpu_percent)?;
        let mut decisions = Vec::with_capacity(metrics.decisions.len());
        for logged in &metrics.decisions {
            let why = serde_json::to_value(logged.decision.why).unwrap_or_default();
            let seconds = Duration::from_nanos(logged.at_ns).as_secs_f64();
            decisions.push((seconds, logged.decision.target, why.as_str().unwrap_or_default().to_owned()));
        }
        values.set_item("decisions", decisions)?;
        Ok(values)
    }
}

/// A duration given in seconds.
pub(crate) fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|error| PyValueError::new_err(format!("{name} is a number of seconds, not {value}: {error}")))
}
