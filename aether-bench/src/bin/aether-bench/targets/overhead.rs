//! Row 10: what the adaptive pool costs.
//!
//! *Invariant:* both pools run the same empty tasks on the same number of threads, in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use aether_bench::stats::sample::median;
use aether_bench::workloads::Kind;

use super::load::{ChannelPool, Load, Submit, adaptive};
use super::{Line, Times};
use crate::AnyError;
use crate::output;

/// Nanoseconds from the first submission to the last completion, a task.
fn per_task(pool: &dyn Submit, tasks: usize) -> f64 {
    let left = Arc::new(AtomicUsize::new(tasks));
    let start = Instant::now();
    for _ in 0..tasks {
        let left = Arc::clone(&left);
        pool.submit(Box::new(move || {
            left.fetch_sub(1, Relaxed);
        }));
    }
    while left.load(Relaxed) > 0 {
        std::thread::yield_now();
    }
    start.elapsed().as_nanos() as f64 / tasks as f64
}

pub(super) fn overhead(times: Times) -> Result<Vec<Line>, AnyError> {
    output::progress("overhead");
    let cores = aether_bench::os::host::cores();
    let tasks = times.count(200_000);
    let (ours, plain) = (adaptive(cores)?, ChannelPool::new(cores)?);
    let mut rounds = (Vec::new(), Vec::new());
    for _ in 0..11 {
        rounds.0.push(per_task(&ours, tasks));
        rounds.1.push(per_task(&plain, tasks));
    }
    let (ours, plain) = (median(&rounds.0), median(&rounds.1));
    let detail = format!(" µs  ({:.2} µs; plain channel {:.2} µs)", ours / 1e3, plain / 1e3);
    Ok(vec![
        Line::at_most("overhead a task over a plain channel pool", (ours - plain) / 1e3, 1.0, &detail),
        controller(times)?,
    ])
}

/// The controller's CPU time while 64 workers are saturated.
fn controller(times: Times) -> Result<Line, AnyError> {
    let what = "controller: per cent of a core";
    let load = Load::start(Arc::new(adaptive(64)?), Kind::Sleep.body(), 256);
    let Some(before) = controller_cpu_ns() else {
        load.stop();
        return Ok(Line::not_run(what, "only Linux shows the CPU time of a thread by name"));
    };
    let time = times.of(Duration::from_secs(20));
    let start = Instant::now();
    load.rate(time);
    let after = controller_cpu_ns().unwrap_or(before);
    let percent = 100.0 * after.saturating_sub(before) as f64 / start.elapsed().as_nanos() as f64;
    load.stop();
    Ok(Line::at_most(what, percent, 0.5, " %"))
}

/// Of all controllers of this process: the one under load is the only one awake.
fn controller_cpu_ns() -> Option<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok);
    let read =
        |task: &std::fs::DirEntry, name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
    let times: Vec<u64> = tasks
        // The kernel keeps fifteen characters of a thread's name.
        .filter(|task| read(task, "comm").starts_with("aether-controll"))
        .filter_map(|task| read(&task, "schedstat").split_ascii_whitespace().next()?.parse().ok())
        .collect();
    (!times.is_empty()).then(|| times.iter().sum())
}
