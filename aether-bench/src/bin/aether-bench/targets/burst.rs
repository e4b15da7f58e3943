//! Rows 7 and 8: loads that change.
//!
//! *Invariant:* the fixed pool sees the same bursts and phases, at the same times.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aether_bench::stats::sample::mean;
use aether_bench::workloads::{Body, Kind};

use super::load::{ChannelPool, Load, Submit, adaptive, best_fixed, fixed_rate};
use super::{Line, Times};
use crate::AnyError;
use crate::output;

const BURST: usize = 60;
const EVERY: Duration = Duration::from_millis(400);
const OUTSTANDING: usize = 256;

/// Mean sojourn of each burst, in seconds.
fn burst_means(pool: &dyn Submit, bursts: usize) -> Vec<f64> {
    let means: Vec<Arc<(AtomicU64, AtomicU64)>> = (0..bursts).map(|_| Arc::default()).collect();
    for cell in &means {
        let due = Instant::now();
        for _ in 0..BURST {
            let cell = Arc::clone(cell);
            pool.submit(Box::new(move || {
                std::thread::sleep(Duration::from_millis(10));
                let sojourn = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                cell.0.fetch_add(sojourn, Relaxed);
                cell.1.fetch_add(1, Relaxed);
            }));
        }
        std::thread::sleep(EVERY.saturating_sub(due.elapsed()));
    }
    // The last burst is over once all its tasks are: they take 10 ms each, the slowest pool one after the other.
    while means.iter().any(|cell| cell.1.load(Relaxed) < BURST as u64) {
        std::thread::sleep(Duration::from_millis(1));
    }
    means.iter().map(|cell| cell.0.load(Relaxed) as f64 / 1e9 / BURST as f64).collect()
}

pub(super) fn bursts(times: Times) -> Result<Vec<Line>, AnyError> {
    output::progress("bursts");
    let count = times.count(50).max(8);
    let mut best = (f64::INFINITY, 0);
    for size in [16, 32, 64] {
        let got = mean(&burst_means(&ChannelPool::new(size)?, count.min(10)));
        best = if got < best.0 { (got, size) } else { best };
    }
    let fixed = mean(&burst_means(&ChannelPool::new(best.1)?, count));
    let pool = adaptive(64)?;
    let ours = burst_means(&pool, count);
    let ends_at = pool.metrics().target;
    let early = mean(&ours[..count.min(25)]);
    let late = mean(&ours[3..]);
    let detail = format!("  {:.1} ms, ends at {ends_at}; fixed {}: {:.1} ms", 1e3 * late, best.1, 1e3 * fixed);
    Ok(vec![
        Line::at_most("bursts: mean sojourn after the third over best", late / fixed, 1.10, &detail),
        Line::at_most("bursts: mean sojourn in the first 10 s over best", early / fixed, 1.5, ""),
    ])
}

/// A body that does what the current phase says.
fn phased(kinds: &[Body]) -> (Body, Arc<Mutex<Body>>) {
    let current = Arc::new(Mutex::new(Arc::clone(&kinds[0])));
    let shared = Arc::clone(&current);
    let body: Body = Arc::new(move || {
        let now = Arc::clone(&shared.lock().unwrap_or_else(PoisonError::into_inner));
        now();
    });
    (body, current)
}

pub(super) fn phases(times: Times) -> Result<Vec<Line>, AnyError> {
    output::progress("phases");
    let kinds = [Kind::Sleep.body(), Kind::Cpu.body()];
    let sizes = [1, 2, 3, 4, 16, 64];
    let short = times.of(Duration::from_secs(1));
    let mut fixed = Vec::new();
    for kind in &kinds {
        let best = best_fixed(&sizes, kind, OUTSTANDING, short)?;
        fixed.push((best, fixed_rate(best, kind, OUTSTANDING, short * 3)?));
    }
    let (body, current) = phased(&kinds);
    let load = Load::start(Arc::new(adaptive(64)?), body, OUTSTANDING);
    let mut worst = [f64::INFINITY; 2];
    for cycle in 0..6 {
        for (kind, (_, best)) in kinds.iter().zip(&fixed) {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(kind);
            let ratio = load.rate(times.of(Duration::from_secs(4))) / best;
            let late = usize::from(cycle >= 2);
            worst[late] = worst[late].min(ratio);
        }
    }
    load.stop();
    let detail = format!("  fixed {} and {}", fixed[0].0, fixed[1].0);
    Ok(vec![
        Line::at_least("phases of 4 s: worst of the first two cycles", worst[0], 0.90, &detail),
        Line::at_least("phases of 4 s: worst from the third cycle on", worst[1], 0.97, ""),
    ])
}
