//! Why throughput stops growing: named from the signals, never guessed.
//!
//! *Invariant:* a signal that was not measured is no evidence; without evidence the cause is [`Cause::Unknown`].

use serde::{Deserialize, Serialize};

use super::point::Point;
use super::shape::Shape;

/// What limits the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The largest size was still gaining: no limit was reached.
    NotReached,
    /// Asleep in sockets, files or timers: what is waited for has its own limit.
    Io,
    /// The cores are busy with this workload.
    Cpu,
    /// Threads wait for a core: there are more of them than cores, or others keep the cores busy.
    RunQueue,
    /// Asleep on a lock.
    Lock,
    /// Asleep on the interpreter's lock: one core's worth of Python, whatever the number of threads.
    Gil,
    /// The signals do not say.
    Unknown,
}

/// What is known about where the workload ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surroundings {
    /// Cores it could use.
    pub cores: usize,
    /// Whether a GIL was in force; `None` for native code.
    pub gil: Option<bool>,
}

/// The cause at the first size that no longer pays.
pub fn name(points: &[Point], shape: &Shape, around: Surroundings) -> Cause {
    if still_growing(points) {
        return Cause::NotReached;
    }
    let edge = shape.cliff.map(|cliff| cliff.n);
    let past = |point: &&Point| edge.map_or(point.n > shape.recommended.n, |n| point.n == n);
    let at = points.iter().position(|point| past(&point)).unwrap_or(points.len().saturating_sub(1));
    points.get(at..).map_or(Cause::Unknown, |from| classify(from, around))
}

/// Whether the last step up gained at least half of what it added in threads.
fn still_growing(points: &[Point]) -> bool {
    let [.., before, last] = points else {
        return false;
    };
    let gain = last.ops_s.est / before.ops_s.est - 1.0;
    let added = last.n as f64 / before.n as f64 - 1.0;
    gain >= 0.5 * added
}

/// Reads the signals of the first of `points`, the first that no longer pays; the others are larger.
fn classify(points: &[Point], around: Surroundings) -> Cause {
    let Some(point) = points.first() else { return Cause::Unknown };
    let signals = point.signals;
    let (Some(blocked), Some(own)) = (signals.blocked(), signals.own_cores) else {
        return Cause::Unknown;
    };
    // Just past the limit few threads queue for it; every further one does.
    let futex = points.iter().filter_map(|point| point.signals.futex).max_by(f64::total_cmp);
    let on_futex = futex.is_some_and(|share| share >= 0.5);
    let one_core = (0.7..=1.25).contains(&own);
    if around.gil == Some(true) && on_futex && one_core && blocked >= 0.2 {
        return Cause::Gil;
    }
    let crowded = signals.run_queue.is_some_and(|share| share >= 0.3);
    if own >= 0.8 * around.cores as f64 {
        // Past the number of cores every thread waits; it is the cause only where waiting made things worse.
        return if crowded && point.n > 2 * around.cores { Cause::RunQueue } else { Cause::Cpu };
    }
    if crowded {
        return Cause::RunQueue;
    }
    match futex {
        Some(_) if blocked >= 0.4 && on_futex => Cause::Lock,
        Some(_) if blocked >= 0.4 => Cause::Io,
        _ => Cause::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::synthetic::curve;
    use super::super::shape;
    use super::super::signals::Signals;
    use super::*;

    fn cause(u: f64, r: f64, f: f64, gil: Option<bool>) -> Cause {
        let mut points = curve(&[1, 2, 4, 8], 0.0, 1, |n| (100.0 * n).min(200.0));
        for point in &mut points {
            point.signals = Signals {
                cpu: Some(u),
                run_queue: Some(r),
                futex: Some(f),
                own_cores: Some(u * point.n as f64),
                ..Signals::default()
            };
        }
        let shape = shape::read(&points).expect("four points");
        name(&points, &shape, Surroundings { cores: 2, gil })
    }

    #[test]
    fn each_limit_has_its_signature_at_four_threads() {
        assert_eq!(cause(0.02, 0.0, 0.1, None), Cause::Io);
        assert_eq!(cause(0.5, 0.45, 0.0, None), Cause::Cpu);
        assert_eq!(cause(0.1, 0.6, 0.0, None), Cause::RunQueue);
        assert_eq!(cause(0.25, 0.0, 0.95, None), Cause::Lock);
        assert_eq!(cause(0.25, 0.0, 0.95, Some(true)), Cause::Gil);
        assert_eq!(cause(0.25, 0.0, 0.95, Some(false)), Cause::Lock);
    }

    /// A handler that waits 5 ms and computes 1 ms: at its knee most of the sleep is still for what it waits for.
    #[test]
    fn the_gil_is_named_although_the_queue_for_it_grows_only_past_the_knee() {
        let mut points = curve(&[1, 2, 4, 6, 8, 16, 32], 0.0, 1, |n| (166.0 * n).min(1_000.0));
        let futex = [0.0, 0.0, 0.0, 0.02, 0.3, 0.6, 0.8];
        for (point, share) in points.iter_mut().zip(futex) {
            let own = (0.16 * point.n as f64).min(1.0);
            point.signals = Signals {
                cpu: Some(own / point.n as f64),
                run_queue: Some(0.05),
                futex: Some(share),
                own_cores: Some(own),
                ..Signals::default()
            };
        }
        let shape = shape::read(&points).expect("seven points");
        let named = |gil| name(&points, &shape, Surroundings { cores: 2, gil });
        assert_eq!((named(Some(true)), named(Some(false))), (Cause::Gil, Cause::Lock));
    }

    #[test]
    fn growth_to_the_end_and_missing_signals_are_said() {
        let growing = curve(&[1, 2, 4, 8], 0.0, 1, |n| 100.0 * n);
        let shape = shape::read(&growing).expect("four points");
        let around = Surroundings { cores: 2, gil: None };
        assert_eq!(name(&growing, &shape, around), Cause::NotReached);
        let blind = curve(&[1, 2, 4, 8], 0.0, 1, |_| 100.0);
        let shape = shape::read(&blind).expect("four points");
        assert_eq!(name(&blind, &shape, around), Cause::Unknown);
    }
}
