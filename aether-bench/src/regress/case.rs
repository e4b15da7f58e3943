//! What is compared: a command that does a fixed amount of work at a given size.
//!
//! *Invariant:* one run of the process is one observation; nothing inside it is counted as independent.

use serde::{Deserialize, Serialize};

use crate::stats::sample::median;

/// What the sizes mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Threads: scaling over them.
    #[default]
    Threads,
    /// Size of the input: scaling over it.
    Size,
}

/// A command template. `{n}` in its words stands for the size, `{bin}` for the side under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What to call it.
    pub name: String,
    /// The words of the command.
    pub command: Vec<String>,
    /// What the sizes mean.
    pub axis: Axis,
    /// The sizes to run, by growing size.
    pub sizes: Vec<usize>,
}

impl Case {
    /// The words to run at this size, for this side.
    pub fn words(&self, n: usize, bin: &str) -> Vec<String> {
        let fill = |word: &String| word.replace("{n}", &n.to_string()).replace("{bin}", bin);
        self.command.iter().map(fill).collect()
    }

    /// Threads at work at size `n`, for sharing out run-queue delay.
    pub fn threads(&self, n: usize) -> usize {
        match self.axis {
            Axis::Threads => n.max(1),
            Axis::Size => 1,
        }
    }
}

/// One run of a process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRun {
    /// Work done; 1 unless the process says otherwise.
    pub ops: f64,
    /// Time it took, in seconds.
    pub wall_s: f64,
    /// CPU time of all its threads, in seconds; `None` where the system does not tell.
    pub cpu_s: Option<f64>,
    /// Time its threads were runnable without a core, summed, in seconds.
    pub run_delay_s: Option<f64>,
}

/// What is compared about a run. CPU seconds are blind to blocking, wall time follows the neighbours: both are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Work per second of wall time, run-queue delay taken off: what neighbours took is not the program's.
    Elapsed,
    /// Work per second of its own CPU time.
    Cpu,
}

impl Metric {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Elapsed, Self::Cpu];
}

impl ProcessRun {
    /// Work per second; `None` if the metric was not measured.
    pub fn rate(&self, metric: Metric, threads: usize) -> Option<f64> {
        let seconds = match metric {
            Metric::Elapsed => {
                // Threads wait for cores side by side: each held the run up by its own share only.
                let delay = self.run_delay_s.unwrap_or(0.0) / threads.max(1) as f64;
                (self.wall_s - delay).max(self.wall_s * 0.05)
            }
            Metric::Cpu => self.cpu_s?,
        };
        (seconds > 0.0).then(|| self.ops / seconds)
    }
}

/// All runs at one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeRuns {
    /// The size.
    pub n: usize,
    /// Its runs, in order of time.
    pub runs: Vec<ProcessRun>,
}

impl SizeRuns {
    /// The rate of each run.
    pub fn rates(&self, metric: Metric, threads: usize) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.rate(metric, threads)).collect()
    }
}

/// The size with the highest median rate.
pub fn peak(sizes: &[SizeRuns], case: &Case) -> Option<usize> {
    let rate = |size: &SizeRuns| median(&size.rates(Metric::Elapsed, case.threads(size.n)));
    let best = sizes.iter().max_by(|left, right| rate(left).total_cmp(&rate(right)))?;
    Some(best.n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let case = Case {
            name: "x".to_owned(),
            command: ["{bin}", "--threads={n}"].map(str::to_owned).to_vec(),
            axis: Axis::Threads,
            sizes: vec![1, 2],
        };
        assert_eq!(case.words(4, "/bin/new"), ["/bin/new", "--threads=4"]);
    }

    #[test]
    fn what_neighbours_took_is_not_the_programs() {
        let run = ProcessRun { ops: 10.0, wall_s: 2.0, cpu_s: Some(1.0), run_delay_s: Some(2.0) };
        assert_eq!(run.rate(Metric::Elapsed, 2), Some(10.0));
        assert_eq!(run.rate(Metric::Cpu, 2), Some(10.0));
        let blind = ProcessRun { cpu_s: None, ..run };
        assert_eq!(blind.rate(Metric::Cpu, 2), None);
    }
}
