//! Row 11: the profiler on workloads whose knee is known.
//!
//! *Invariant:* the truth is built into the workload, not measured.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use aether_bench::profile::threads::InProcess;
use aether_bench::profile::{CancelToken, OpenLoop, SaturationCliffProfiler, Task, plan};
use aether_bench::workloads::{Body, Kind};

use super::{Line, Times};
use crate::AnyError;
use crate::output;

const MAX: usize = 16;

/// Sleeps 5 ms, at most `permits` threads at a time: the knee is at `permits`.
fn limited(permits: usize) -> Body {
    let free = Mutex::new(permits);
    let freed = Condvar::new();
    Arc::new(move || {
        let mut left = free.lock().unwrap_or_else(PoisonError::into_inner);
        while *left == 0 {
            left = freed.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= 1;
        drop(left);
        std::thread::sleep(Duration::from_millis(5));
        *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        freed.notify_one();
    })
}

pub(super) fn repeated(times: Times) -> Result<Vec<Line>, AnyError> {
    let cores = aether_bench::os::host::cores();
    let workloads: [(&str, Body, usize); 4] = [
        ("six at a time", limited(6), 6),
        ("three at a time", limited(3), 3),
        ("half under a lock", Kind::Lock.body(), 2),
        ("computing", Kind::Cpu.body(), cores),
    ];
    let runs = times.count(20).max(workloads.len());
    let profiler = SaturationCliffProfiler {
        max_threads: MAX,
        duration_per_run: Duration::from_millis(150),
        warm_up: Duration::from_millis(100),
        budget: Duration::from_secs(30),
        open_loop: OpenLoop::Skip,
        ..SaturationCliffProfiler::default()
    };
    let (mut right, mut early_cliffs) = (0_usize, 0_usize);
    let mut wrong: Vec<String> = Vec::new();
    for index in 0..runs {
        let (name, body, truth) = &workloads[index % workloads.len()];
        output::progress(&format!("profile {} of {runs}: {name}", index + 1));
        let body = Arc::clone(body);
        let mut subject = InProcess::new(Arc::new(Task::new(*name, move |_| body())));
        let analysis = profiler.profile_subject(&mut subject, &CancelToken::default(), &mut |_| {})?;
        let got = analysis.optimal_threads();
        if within_one_step(got, *truth) {
            right += 1;
        } else {
            wrong.push(format!("  {name}: {got} for {truth}"));
        }
        early_cliffs += usize::from(analysis.cliff_threads().is_some_and(|n| n <= *truth));
    }
    let share = right as f64 / runs as f64;
    Ok(vec![
        Line::at_least(format!("profiler: {runs} runs within one step"), share, 0.95, &wrong.concat()),
        Line::at_most("profiler: cliffs at or below the true knee", early_cliffs as f64, 0.0, ""),
    ])
}

/// Whether two sizes are the same or neighbours on the ladder that was measured.
fn within_one_step(got: usize, truth: usize) -> bool {
    let ladder = plan::ladder(MAX);
    let below = ladder.iter().rev().find(|size| **size < truth).copied().unwrap_or(truth);
    let above = ladder.iter().find(|size| **size > truth).copied().unwrap_or(truth);
    (below..=above).contains(&got)
}
