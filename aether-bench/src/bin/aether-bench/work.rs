//! `aether-bench work`: a fixed amount of work that reports itself, and can be made slower on purpose.
//!
//! *Invariant:* the same arguments do the same work; only the time it takes is measured.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aether_bench::os::{ThreadUsage, probe_current};
use aether_bench::regress::run::SelfReport;
use aether_bench::workloads::Burn;

use crate::AnyError;
use crate::cli::{SlowBy, WorkArgs};
use crate::output;

const TASK: Duration = Duration::from_micros(500);

pub(crate) fn run(arguments: &WorkArgs) -> Result<ExitCode, AnyError> {
    let burn = arguments.turns.map_or_else(|| Burn::lasting(TASK), Burn::of_turns);
    let slower = arguments.slow / 100.0;
    let (burn, pause) = match arguments.slow_by {
        SlowBy::Cpu => (burn.scaled(1.0 + slower), Duration::ZERO),
        SlowBy::Blocking => (burn, TASK.mul_f64(slower.max(0.0))),
    };
    let left = AtomicUsize::new(arguments.tasks);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    let started = Instant::now();
    let usages: Vec<Option<ThreadUsage>> = std::thread::scope(|scope| {
        let worker = || {
            let probe = probe_current();
            let mut owed = Duration::ZERO;
            while take().is_ok() {
                burn.run();
                owed += pause;
                // A sleep of microseconds takes longer than asked for: they are saved up.
                if owed >= Duration::from_millis(2) {
                    let began = Instant::now();
                    std::thread::sleep(owed);
                    owed = owed.saturating_sub(began.elapsed());
                }
            }
            probe.publish();
            probe.usage()
        };
        let threads: Vec<_> = (0..arguments.threads.max(1)).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(None)).collect()
    });
    let wall = started.elapsed();
    let sum = |get: fn(&ThreadUsage) -> Option<u64>| -> Option<u64> {
        usages.iter().map(|usage| usage.as_ref().and_then(get)).sum()
    };
    let report = SelfReport {
        ops: arguments.tasks as f64,
        wall_ns: u64::try_from(wall.as_nanos())?,
        cpu_ns: sum(|usage| Some(usage.cpu_ns)),
        run_delay_ns: sum(|usage| usage.run_delay_ns),
    };
    output::result(&serde_json::to_string(&report)?, None)?;
    Ok(ExitCode::SUCCESS)
}
