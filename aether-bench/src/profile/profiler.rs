//! The saturation-cliff profiler: blocks of measurements until the curve is known, or the budget is spent.
//!
//! *Invariant:* a measurement disturbed by neighbours is repeated, and if that does not help it is kept and flagged;
//! nothing is dropped for being inconvenient.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::analysis::SaturationAnalysis;
use super::collect::Collected;
use super::plan::{Limits, Plan};
use super::point::Point;
use super::shape;
use super::threads::InProcess;
use super::trace;
use super::workload::{CancelToken, Identity, Pace, ProfileError, Sample, Shot, Subject, Workload};
use crate::os::host::Machine;

/// A measurement is repeated if others use more than this share of the cores meanwhile.
const DISTURBED: f64 = 0.1;
/// How often one measurement is repeated for that reason.
const RETRIES: u32 = 2;
/// Where neighbours never rest, repeating is no help: after so many repeats in vain a session stops trying.
const VAIN_RETRIES: u32 = 6;
/// How many times a run's length a cold process may warm up.
const COLD: u32 = 5;
/// The share of the peak rate at which latency is measured: a service that runs closer to its limit only queues.
const OPEN_LOAD: f64 = 0.7;

/// Whether to measure latency on a schedule too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenLoop {
    /// One more run at the recommended size and 70 % of the peak rate.
    Measure,
    /// Throughput only.
    Skip,
}

/// How to measure a curve.
#[derive(Clone, Debug)]
pub struct SaturationCliffProfiler {
    /// The measured part of each run.
    pub duration_per_run: Duration,
    /// The largest thread count.
    pub max_threads: usize,
    /// Rounds every size gets.
    pub min_rounds: usize,
    /// Rounds no size exceeds, however wide its interval.
    pub max_rounds: usize,
    /// When to stop asking for precision. Sizes still get their [`min_rounds`](Self::min_rounds).
    pub budget: Duration,
    /// The longest warm-up of a run.
    pub warm_up: Duration,
    /// How long a worker may go without finishing a task before the workload counts as hung.
    pub hang_after: Duration,
    /// Whether to measure latency on a schedule.
    pub open_loop: OpenLoop,
}

impl Default for SaturationCliffProfiler {
    fn default() -> Self {
        Self {
            duration_per_run: Duration::from_millis(400),
            max_threads: (4 * crate::os::host::cores()).clamp(16, 64),
            min_rounds: 5,
            max_rounds: 15,
            budget: Duration::from_mins(2),
            warm_up: Duration::from_secs(2),
            hang_after: Duration::from_secs(30),
            open_loop: OpenLoop::Measure,
        }
    }
}

/// What just happened, for whoever shows progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// A measurement was taken.
    Measured {
        /// Which of the subjects.
        subject: usize,
        /// At how many threads.
        threads: usize,
        /// Tasks per second.
        ops_s: f64,
        /// Measurements so far.
        done: usize,
        /// Measurements that are sure to be taken.
        planned: usize,
    },
    /// Others kept the cores busy: the measurement is taken again.
    Repeated {
        /// At how many threads.
        threads: usize,
        /// Cores they used.
        foreign_cores: f64,
    },
    /// Latency is being measured on a schedule.
    OpenLoop {
        /// At how many threads.
        threads: usize,
        /// Tasks per second.
        rate: f64,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured { threads, ops_s, done, planned, .. } => {
                write!(out, "{done} of {planned}: {threads} threads, {ops_s:.1} tasks/s")
            }
            Self::Repeated { threads, foreign_cores } => {
                write!(out, "{threads} threads again: others used {foreign_cores:.1} cores")
            }
            Self::OpenLoop { threads, rate } => {
                write!(out, "latency: {threads} threads, {rate:.1} tasks/s on a schedule")
            }
        }
    }
}

impl SaturationCliffProfiler {
    /// Profiles a workload on threads of this process.
    pub fn profile(&self, workload: Arc<dyn Workload>) -> Result<SaturationAnalysis, ProfileError> {
        self.profile_subject(&mut InProcess::new(workload), &CancelToken::default(), &mut |_| {})
    }

    /// Profiles anything measurable, with progress and a way out.
    pub fn profile_subject(
        &self,
        subject: &mut dyn Subject,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SaturationAnalysis, ProfileError> {
        let mut curves = self.profile_several(&mut [subject], cancel, progress)?;
        curves.pop().ok_or(ProfileError::Settings("nothing to profile"))
    }

    /// Profiles several subjects block by block in turn, so that what changes on the machine changes for all of them.
    pub fn profile_several(
        &self,
        subjects: &mut [&mut dyn Subject],
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<SaturationAnalysis>, ProfileError> {
        self.validate()?;
        let mut sessions: Vec<Session<'_>> =
            subjects.iter().enumerate().map(|(index, _)| Session::new(self, index)).collect();
        let started = Instant::now();
        loop {
            let mut active = false;
            for (session, subject) in sessions.iter_mut().zip(subjects.iter_mut()) {
                let spent = started.elapsed() > self.budget;
                active |= session.block(&mut **subject, spent, cancel, progress)?;
            }
            if !active {
                break;
            }
        }
        sessions
            .into_iter()
            .zip(subjects.iter_mut())
            .map(|(session, subject)| session.conclude(&mut **subject, cancel, progress))
            .collect()
    }

    fn validate(&self) -> Result<(), ProfileError> {
        if self.max_threads == 0 {
            return Err(ProfileError::Settings("the largest thread count must be at least 1"));
        }
        if self.duration_per_run < Duration::from_millis(20) {
            return Err(ProfileError::Settings("a run must last at least 20 ms"));
        }
        if self.min_rounds == 0 || self.max_rounds < self.min_rounds {
            return Err(ProfileError::Settings("rounds: the minimum is at least 1 and at most the maximum"));
        }
        Ok(())
    }

    fn shot(&self, threads: usize, warm: Duration) -> Shot {
        Shot { threads, warm, measure: self.duration_per_run, pace: Pace::Closed, hang_after: self.hang_after }
    }
}

/// One subject's measurements so far.
struct Session<'a> {
    profiler: &'a SaturationCliffProfiler,
    index: usize,
    plan: Plan,
    collected: Vec<Collected>,
    identity: Identity,
    blocks: u32,
    done: usize,
    vain_retries: u32,
}

impl<'a> Session<'a> {
    fn new(profiler: &'a SaturationCliffProfiler, index: usize) -> Self {
        let limits = Limits { min_rounds: profiler.min_rounds, max_rounds: profiler.max_rounds };
        Self {
            profiler,
            index,
            plan: Plan::new(profiler.max_threads, limits),
            collected: Vec::new(),
            identity: Identity::default(),
            blocks: 0,
            done: 0,
            vain_retries: 0,
        }
    }

    fn points(&self) -> Vec<Point> {
        self.collected.iter().map(Collected::point).collect()
    }

    /// Measures one more block; false if there was nothing left to measure.
    fn block(
        &mut self,
        subject: &mut dyn Subject,
        spent: bool,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool, ProfileError> {
        let points = self.points();
        let shape = shape::read(&points);
        let complete = !points.is_empty() && points.iter().all(|point| point.rounds.len() >= self.profiler.min_rounds);
        if spent && complete {
            return Ok(false);
        }
        let sizes = self.plan.next_block(&points, shape.as_ref());
        if sizes.is_empty() {
            return Ok(false);
        }
        self.identity = subject.begin_block(cancel)?;
        for (position, threads) in sizes.into_iter().enumerate() {
            // Only what comes first in a fresh block is cold; the others warm up for half a run at most.
            let run = self.profiler.duration_per_run;
            let most = if position == 0 { run * COLD } else { run / 2 };
            let warm = most.min(self.profiler.warm_up);
            self.measure(subject, &self.profiler.shot(threads, warm), cancel, progress)?;
        }
        self.blocks += 1;
        Ok(true)
    }

    fn measure(
        &mut self,
        subject: &mut dyn Subject,
        shot: &Shot,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), ProfileError> {
        let mut sample = subject.measure(shot, cancel)?;
        for _ in 0..RETRIES {
            let load = foreign_cores(&sample);
            if load <= tolerable() || self.vain_retries >= VAIN_RETRIES {
                break;
            }
            progress(Progress::Repeated { threads: shot.threads, foreign_cores: load });
            let again = subject.measure(shot, cancel)?;
            if foreign_cores(&again) < load {
                sample = again;
            }
            self.vain_retries += u32::from(foreign_cores(&sample) > tolerable());
        }
        self.keep(shot, &sample, progress)
    }

    fn keep(&mut self, shot: &Shot, sample: &Sample, progress: &mut dyn FnMut(Progress)) -> Result<(), ProfileError> {
        let window_ns = crate::num::duration_ns(shot.window());
        let rate = trace::rate(&sample.traces, window_ns, crate::num::duration_ns(shot.warm))
            .ok_or(ProfileError::TooShort { threads: shot.threads, given: shot.measure })?;
        let block = self.blocks;
        let at = self.slot(shot.threads);
        self.collected[at].add(block, &rate, sample, tolerable());
        self.done += 1;
        progress(Progress::Measured {
            subject: self.index,
            threads: shot.threads,
            ops_s: rate.ops_s,
            done: self.done,
            planned: self.plan.planned_rounds().max(self.done),
        });
        Ok(())
    }

    /// Where the measurements of this size are kept, in order of size.
    fn slot(&mut self, threads: usize) -> usize {
        match self.collected.binary_search_by_key(&threads, Collected::threads) {
            Ok(at) => at,
            Err(at) => {
                self.collected.insert(at, Collected::new(threads));
                at
            }
        }
    }

    /// The open-loop run, then the analysis.
    fn conclude(
        mut self,
        subject: &mut dyn Subject,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SaturationAnalysis, ProfileError> {
        let shape = shape::read(&self.points());
        if let (OpenLoop::Measure, Some(shape)) = (self.profiler.open_loop, shape) {
            let at = self.slot(shape.recommended.n);
            let rate = OPEN_LOAD * self.collected[at].point().ops_s.est;
            let threads = shape.recommended.n;
            progress(Progress::OpenLoop { threads, rate });
            subject.begin_block(cancel)?;
            // Long enough for a 99th percentile where the rate allows, within ten runs.
            let wanted = Duration::from_secs_f64((1_500.0 / rate).min(1e6));
            let run = self.profiler.duration_per_run;
            let shot = Shot {
                pace: Pace::Open(rate),
                measure: wanted.clamp(run, run * 10),
                ..self.profiler.shot(threads, run.min(self.profiler.warm_up))
            };
            let sample = subject.measure(&shot, cancel)?;
            self.collected[at].add_sojourn(&sample.sojourn);
        }
        let points = self.collected.iter().map(Collected::finished).collect();
        SaturationAnalysis::new(Machine::current(), self.identity, points)
            .ok_or(ProfileError::TooShort { threads: self.profiler.max_threads, given: self.profiler.duration_per_run })
    }
}

/// Unknown is not foreign: where the system does not tell, nothing is repeated.
fn foreign_cores(sample: &Sample) -> f64 {
    sample.foreign.map_or(0.0, |foreign| foreign.cores + foreign.steal)
}

/// Cores that others may use without a measurement being repeated.
fn tolerable() -> f64 {
    DISTURBED * crate::os::host::cores() as f64
}
