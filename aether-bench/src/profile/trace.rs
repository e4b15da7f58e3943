//! What workers recorded, and the rates that can be read off it.
//!
//! A worker notes its counters at the first completion past the end of each window. A rate is then the sum over the
//! workers of completions per time *between two completions of that worker*: 64 workers that sleep in lockstep would
//! otherwise gain or lose a whole batch at a window's edge (± 25 % in a window of four batches).
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

    /// The first mark at or after `from`, and the last one.
    ///
    /// The arrival is no completion: workers that begin together behind one lock end their first task one after the
    /// other, and counting from the common beginning made 16 of them look 5 % faster than the lock allows.
    fn span(&self, from_ns: u64) -> Option<(Mark, Mark)> {
        let completions = if self.marks.len() >= 3 { &self.marks[1..] } else { &self.marks[..] };
        let last = completions.last()?;
        let late = completions.iter().find(|mark| mark.at_ns >= from_ns && mark.at_ns < last.at_ns);
        let first = late.or(completions.first())?;
        (last.at_ns > first.at_ns).then_some((*first, *last))
    }

    /// Tasks completed by `at`, a task under way counted in part.
    fn completed_by(&self, at_ns: u64) -> f64 {
        let after = self.marks.partition_point(|mark| mark.at_ns <= at_ns);
        let (Some(before), next) = (after.checked_sub(1), self.marks.get(after)) else {
            return 0.0;
        };
        let low = self.marks[before];
        let Some(high) = next else {
            return low.count as f64;
        };
        let share = (at_ns - low.at_ns) as f64 / (high.at_ns - low.at_ns).max(1) as f64;
        low.count as f64 + share * (high.count - low.count) as f64
    }
}

/// A rate and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tasks per second, all workers together.
    pub ops_s: f64,
    /// Completions between the first and the last that were used.
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
    let done = |at: u64| traces.iter().map(|trace| trace.completed_by(at)).sum::<f64>();
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
    let done: f64 = traces.iter().map(|trace| trace.completed_by(to) - trace.completed_by(from)).sum();
    let task_s = crate::num::ns_to_seconds(to - from) * traces.len() as f64 / done.max(1.0);
    let window_ns = window_ns.max(crate::num::seconds_to_ns(2.0 * task_s));
    let windows = windows(traces, window_ns);
    let settled = settled_at(&windows).map(|index| index as u64 * window_ns);
    let warm_end = warm_ns.min((to - from) / 2);
    let cut = settled.map_or(warm_end, |at| at.min(warm_end));
    let mut sum = Sum::default();
    for trace in traces {
        sum.add(trace.span(from + cut)?);
    }
    // Fewer than three windows cannot disagree: that there were few is said elsewhere.
    Some(sum.rate(windows.len() < 3 || settled.is_some_and(|at| at <= warm_end)))
}

#[derive(Default)]
struct Sum {
    ops_s: f64,
    completions: u64,
    time_ns: u64,
    cpu_ns: u64,
    run_delay_ns: u64,
    own_cores: f64,
    cpu_unknown: bool,
    delay_unknown: bool,
}

impl Sum {
    fn add(&mut self, (first, last): (Mark, Mark)) {
        let elapsed = last.at_ns - first.at_ns;
        let used = |end: Option<u64>, start: Option<u64>| Some(end?.saturating_sub(start?));
        let cpu = used(last.cpu_ns, first.cpu_ns);
        let delay = used(last.run_delay_ns, first.run_delay_ns);
        self.cpu_unknown |= cpu.is_none();
        self.delay_unknown |= delay.is_none();
        self.cpu_ns += cpu.unwrap_or(0);
        self.run_delay_ns += delay.unwrap_or(0);
        self.own_cores += cpu.unwrap_or(0) as f64 / elapsed as f64;
        self.ops_s += (last.count - first.count) as f64 / crate::num::ns_to_seconds(elapsed);
        self.time_ns += elapsed;
        self.completions += last.count - first.count;
    }

    fn rate(&self, settled: bool) -> Rate {
        let share = |part: u64| part as f64 / self.time_ns.max(1) as f64;
        let signals = Signals {
            cpu: (!self.cpu_unknown).then(|| share(self.cpu_ns)),
            run_queue: (!self.delay_unknown).then(|| share(self.run_delay_ns)),
            own_cores: (!self.cpu_unknown).then_some(self.own_cores),
            ..Signals::default()
        };
        Rate { ops_s: self.ops_s, completions: self.completions, signals, settled }
    }
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
