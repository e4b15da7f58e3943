//! What workers recorded, and the rates that can be read off it.
//!
//! A worker notes its counters at the first completion past the end of each window, until it has a mark past the end of
//! the run. A rate is the work done between two instants at which *all* were at work, a task under way counted in part:
//! 64 workers that sleep in lockstep would otherwise gain or lose a whole batch at a window's edge (± 25 % in a window
//! of four batches). Spans that differ by worker will not do: cut at each worker's own last completion they leave out
//! the long waits (16 threads on two cores looked 4 % faster than the cores are), and a lock that is handed out unfairly
//! is counted several times over.
//!
//! *Invariant:* pure; the same traces give the same rates, whether a Rust closure or a Python driver wrote them.

use serde::{Deserialize, Serialize};

use super::signals::Signals;

/// One worker's counters at one of its completions. Times are nanoseconds since the run's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When the task completed.
    pub at_ns: u64,
    /// Tasks completed by then.
    pub count: u64,
    /// The thread's CPU time by then.
    pub cpu_ns: Option<u64>,
    /// The thread's time runnable without a core by then.
    pub run_delay_ns: Option<u64>,
}

/// What one worker did in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTrace {
    /// Counters, in order of time; the first is taken on arrival, before any task.
    pub marks: Vec<Mark>,
}

impl WorkerTrace {
    /// When the worker began.
    fn arrived_ns(&self) -> u64 {
        self.marks.first().map_or(u64::MAX, |mark| mark.at_ns)
    }

    fn last_ns(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.at_ns)
    }

    /// The first completion that was noted, if there are others after it.
    ///
    /// The arrival is none: workers that begin together behind one lock end their first task one after the other, and
    /// counting from the common beginning made 16 of them look 5 % faster than the lock allows.
    fn begun_ns(&self) -> u64 {
        if self.marks.len() >= 3 { self.marks[1].at_ns } else { 0 }
    }

    /// The counters at any time, a task under way counted in part.
    fn counters(&self, at_ns: u64) -> Counters {
        let after = self.marks.partition_point(|mark| mark.at_ns <= at_ns);
        let Some(before) = after.checked_sub(1) else { return Counters::default() };
        let low = self.marks[before];
        let high = self.marks.get(after).copied().unwrap_or(low);
        let share = (at_ns - low.at_ns).min(high.at_ns - low.at_ns) as f64 / (high.at_ns - low.at_ns).max(1) as f64;
        let between = |low: u64, high: u64| low as f64 + share * high.saturating_sub(low) as f64;
        Counters {
            done: between(low.count, high.count),
            cpu_ns: low.cpu_ns.zip(high.cpu_ns).map(|(low, high)| between(low, high)),
            run_delay_ns: low.run_delay_ns.zip(high.run_delay_ns).map(|(low, high)| between(low, high)),
        }
    }
}

/// A worker's counters between two of its marks.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    done: f64,
    cpu_ns: Option<f64>,
    run_delay_ns: Option<f64>,
}

/// A rate and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tasks per second, all workers together.
    pub ops_s: f64,
    /// Completions in the span that was used.
    pub completions: u64,
    /// CPU and run-queue shares over the same span.
    pub signals: Signals,
    /// Whether the windows had settled before the span began.
    pub settled: bool,
}

/// The span in which all workers were at work: from the last arrival to the earliest last completion.
fn common_span(traces: &[WorkerTrace]) -> Option<(u64, u64)> {
    let from = traces.iter().map(WorkerTrace::arrived_ns).max()?;
    let to = traces.iter().map(WorkerTrace::last_ns).min()?;
    (to > from).then_some((from, to))
}

/// Throughput of each whole window in which all workers were at work.
pub fn windows(traces: &[WorkerTrace], window_ns: u64) -> Vec<f64> {
    let Some((from, to)) = common_span(traces) else {
        return Vec::new();
    };
    let done = |at: u64| traces.iter().map(|trace| trace.counters(at).done).sum::<f64>();
    let count = (to - from) / window_ns.max(1);
    (0..count)
        .map(|index| {
            let start = from + index * window_ns;
            (done(start + window_ns) - done(start)) / crate::num::ns_to_seconds(window_ns)
        })
        .collect()
}

/// The first window from which on three in a row agree within 5 %: what came before was warm-up.
pub fn settled_at(windows: &[f64]) -> Option<usize> {
    windows.windows(3).position(|three| {
        let low = three.iter().copied().fold(f64::INFINITY, f64::min);
        let high = three.iter().copied().fold(0.0, f64::max);
        low > 0.0 && high / low <= 1.05
    })
}

/// The rate after warm-up; `None` if a worker completed nothing that could be timed.
///
/// Warm-up ends where the windows settle, at the latest after `warm_ns`: a workload that never settles is measured all
/// the same, and says so. Windows hold at least two task times: shorter ones differ by whole tasks and never settle.
pub fn rate(traces: &[WorkerTrace], window_ns: u64, warm_ns: u64) -> Option<Rate> {
    let (from, to) = common_span(traces)?;
    let done: f64 = traces.iter().map(|trace| trace.counters(to).done - trace.counters(from).done).sum();
    let task_s = crate::num::ns_to_seconds(to - from) * traces.len() as f64 / done.max(1.0);
    let window_ns = window_ns.max(crate::num::seconds_to_ns(2.0 * task_s));
    let windows = windows(traces, window_ns);
    let settled = settled_at(&windows).map(|index| index as u64 * window_ns);
    let warm_end = warm_ns.min((to - from) / 2);
    let cut = settled.map_or(warm_end, |at| at.min(warm_end));
    // Fewer than three windows cannot disagree: that there were few is said elsewhere.
    let is_settled = windows.len() < 3 || settled.is_some_and(|at| at <= warm_end);
    let begun = traces.iter().map(WorkerTrace::begun_ns).max()?;
    let from = Some((from + cut).max(begun)).filter(|from| *from < to).unwrap_or(from + cut);
    Some(between(traces, (from, to), is_settled))
}

/// What all workers did from one instant to another.
fn between(traces: &[WorkerTrace], (from, to): (u64, u64), settled: bool) -> Rate {
    let spent = |counter: fn(&Counters) -> Option<f64>| {
        let used = |trace: &WorkerTrace| Some(counter(&trace.counters(to))? - counter(&trace.counters(from))?);
        traces.iter().map(used).sum::<Option<f64>>()
    };
    let span_ns = (to - from) as f64;
    let share = |spent: f64| spent / (span_ns * traces.len() as f64);
    let done = spent(|counters| Some(counters.done)).unwrap_or_default();
    let cpu = spent(|counters| counters.cpu_ns);
    let signals = Signals {
        cpu: cpu.map(share),
        run_queue: spent(|counters| counters.run_delay_ns).map(share),
        own_cores: cpu.map(|cpu| cpu / span_ns),
        ..Signals::default()
    };
    let completions = crate::num::floor_index(done) as u64;
    Rate { ops_s: done / crate::num::ns_to_seconds(to - from), completions, signals, settled }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A worker that arrives at `start` and completes a task every `period`, marked each `window`.
    fn steady(start: u64, period: u64, tasks: u64, window: u64) -> WorkerTrace {
        let mark = |at_ns, count, cpu_ns| Mark { at_ns, count, cpu_ns: Some(cpu_ns), run_delay_ns: Some(0) };
        let mut marks = vec![mark(start, 0, 0)];
        let mut next = window;
        for count in 1..=tasks {
            let at_ns = start + count * period;
            if at_ns >= next || count == tasks {
                marks.push(mark(at_ns, count, count * period / 2));
                next = (at_ns / window + 1) * window;
            }
        }
        WorkerTrace { marks }
    }

    #[test]
    fn lockstep_sleepers_give_the_exact_rate() {
        let traces: Vec<_> = (0..64).map(|_| steady(0, 10 * MS, 25, 40 * MS)).collect();
        let rate = rate(&traces, 40 * MS, 80 * MS).expect("all workers completed tasks");
        assert!((rate.ops_s - 6_400.0).abs() < 1e-6, "{}", rate.ops_s);
        assert!((rate.signals.cpu.expect("recorded") - 0.5).abs() < 1e-6);
        assert!((rate.signals.own_cores.expect("recorded") - 32.0).abs() < 1e-6);
        assert!(rate.settled);
    }

    /// Sixteen workers take turns at a lock that is held for 5 ms: 200 a second, whatever the beginning looks like.
    #[test]
    fn a_common_beginning_does_not_flatter_a_lock() {
        let traces: Vec<_> = (0..16_u64)
            .map(|worker| {
                let first = 5 * MS * (worker + 1);
                let at = |turn: u64| Mark { at_ns: first + turn * 80 * MS, count: turn + 1, ..Mark::default() };
                let arrival = Mark::default();
                WorkerTrace { marks: std::iter::once(arrival).chain((0..6).map(at)).collect() }
            })
            .collect();
        for warm in [0, 200 * MS] {
            let rate = rate(&traces, 40 * MS, warm).expect("all worked");
            assert!((rate.ops_s - 200.0).abs() < 1e-6, "{}", rate.ops_s);
        }
    }

    #[test]
    fn late_arrivals_do_not_count_as_idle_time() {
        let early = steady(0, MS, 500, 50 * MS);
        let late = steady(90 * MS, MS, 410, 50 * MS);
        let rate = rate(&[early, late], 50 * MS, 0).expect("both worked");
        assert!((rate.ops_s - 2_000.0).abs() < 1e-6, "{}", rate.ops_s);
    }

    #[test]
    fn a_slow_start_is_cut_off_and_an_endless_one_is_flagged() {
        assert_eq!(settled_at(&[10.0, 50.0, 98.0, 100.0, 99.0, 100.0]), Some(2));
        assert_eq!(settled_at(&[10.0, 20.0, 30.0, 40.0, 50.0]), None);
        assert_eq!(settled_at(&[0.0, 0.0, 0.0]), None, "nothing done is not settled");
    }

    #[test]
    fn a_worker_without_two_marks_gives_no_rate() {
        let lonely = WorkerTrace { marks: vec![Mark::default()] };
        assert_eq!(rate(&[lonely], 1_000, 0), None);
        assert_eq!(rate(&[], 1_000, 0), None);
    }
}
