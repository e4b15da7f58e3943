//! Runs a workload on threads of this process.
//!
//! Deadlines live in the workers; the caller's thread only watches: it samples what sleeping workers sleep on, and gives
//! up on those that hang. A run ends when *all* have noted three windows; each then notes one more, past that end, and
//! works on until all have, so that the last ones are not measured on a machine the others have left.
//!
//! *Invariant:* a worker's error, panic or hang is returned; threads that hang are left behind, never waited for.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use super::latency::Durations;
use super::trace::{Mark, WorkerTrace};
use super::workload::{CancelToken, Failure, Identity, Pace, ProfileError, Sample, Shot, Subject, Workload};
use crate::os::host::{ForeignMeter, own_cpu_ns};
use crate::os::{Doing, ThreadProbe, probe_current};

/// Windows every worker notes before the run may end.
const QUOTA: usize = 3;
/// How often the watcher looks at what workers sleep on.
const SAMPLING: Duration = Duration::from_millis(10);
/// A run may take this many times its planned length for the sake of the quota.
const STRETCH: u32 = 8;

/// A [`Workload`] on threads of this process.
pub struct InProcess {
    workload: Arc<dyn Workload>,
}

impl InProcess {
    /// Makes a workload measurable.
    pub fn new(workload: Arc<dyn Workload>) -> Self {
        Self { workload }
    }
}

impl Subject for InProcess {
    fn begin_block(&mut self, _cancel: &CancelToken) -> Result<Identity, ProfileError> {
        Ok(Identity { id: self.workload.name().to_owned(), hash: self.workload.digest(), interpreter: None })
    }

    fn measure(&mut self, shot: &Shot, cancel: &CancelToken) -> Result<Sample, ProfileError> {
        let meter = ForeignMeter::start(own_cpu_ns());
        let mut sample = run(&self.workload, shot, cancel)?;
        sample.foreign = meter.stop(own_cpu_ns());
        Ok(sample)
    }
}

/// What all workers of a run share.
struct Run {
    workload: Arc<dyn Workload>,
    shot: Shot,
    epoch: Instant,
    barrier: Barrier,
    stop: AtomicBool,
    /// Workers that have not yet noted enough windows.
    short_of_quota: AtomicUsize,
    /// When the run ends, once that is known.
    end_ns: AtomicU64,
    /// Workers that have no mark past the end yet.
    measuring: AtomicUsize,
    /// The next task of an open schedule.
    ticket: AtomicU64,
}

enum Report {
    Ready(Arc<dyn ThreadProbe>),
    Done { trace: WorkerTrace, service: Durations, sojourn: Durations },
    Failed { worker: usize, cause: Cause },
}

enum Cause {
    Error(Failure),
    Panic(String),
}

fn run(workload: &Arc<dyn Workload>, shot: &Shot, cancel: &CancelToken) -> Result<Sample, ProfileError> {
    let threads = shot.threads;
    let run = Arc::new(Run {
        workload: Arc::clone(workload),
        shot: *shot,
        epoch: Instant::now(),
        barrier: Barrier::new(threads),
        stop: AtomicBool::new(false),
        short_of_quota: AtomicUsize::new(threads),
        end_ns: AtomicU64::new(u64::MAX),
        measuring: AtomicUsize::new(threads),
        ticket: AtomicU64::new(0),
    });
    let (send, reports) = mpsc::channel();
    // All are started before any: a worker that waits at the barrier for one that never came would wait for ever.
    let mut gates = Vec::with_capacity(threads);
    for worker in 0..threads {
        let (open, gate) = mpsc::channel::<()>();
        let (run, send) = (Arc::clone(&run), send.clone());
        std::thread::Builder::new()
            .name(format!("aether-worker-{worker}"))
            .spawn(move || {
                if gate.recv().is_ok() {
                    run.work(worker, &send);
                }
            })
            .map_err(|source| ProfileError::Spawn { worker, threads, source })?;
        gates.push(open);
    }
    for gate in &gates {
        gate.send(()).unwrap_or_default(); // The worker waits for exactly this.
    }
    watch(&run, &reports, cancel)
}

/// Collects the reports, samples sleepers meanwhile, and gives up on what hangs.
fn watch(run: &Run, reports: &Receiver<Report>, cancel: &CancelToken) -> Result<Sample, ProfileError> {
    let threads = run.shot.threads;
    let hang_at = run.hard_limit() + run.shot.hang_after;
    let mut probes: Vec<Arc<dyn ThreadProbe>> = Vec::new();
    let mut sample = Sample::default();
    let (mut on_futex, mut asleep) = (0, 0);
    while sample.traces.len() < threads {
        match reports.recv_timeout(SAMPLING) {
            Ok(Report::Ready(probe)) => probes.push(probe),
            Ok(Report::Done { trace, service, sojourn }) => {
                sample.traces.push(trace);
                sample.service.merge(&service);
                sample.sojourn.merge(&sojourn);
            }
            Ok(Report::Failed { worker, cause }) => {
                run.stop.store(true, Ordering::Relaxed);
                return Err(cause.into_error(worker, threads));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        if cancel.is_cancelled() {
            run.stop.store(true, Ordering::Relaxed);
            return Err(ProfileError::Cancelled);
        }
        if run.epoch.elapsed() > hang_at {
            run.stop.store(true, Ordering::Relaxed);
            let stuck = threads - sample.traces.len();
            return Err(ProfileError::Hung { stuck, threads, after: run.shot.hang_after });
        }
        if probes.len() == threads && sample.traces.is_empty() {
            for probe in &probes {
                let doing = probe.doing();
                on_futex += u64::from(doing == Doing::Futex);
                asleep += u64::from(matches!(doing, Doing::Futex | Doing::OtherWait));
            }
        }
    }
    sample.futex = (asleep > 0).then_some((on_futex, asleep));
    Ok(sample)
}

impl Cause {
    fn into_error(self, worker: usize, threads: usize) -> ProfileError {
        match self {
            Self::Error(source) => ProfileError::Workload { worker, threads, source },
            Self::Panic(message) => ProfileError::Panicked { worker, threads, message },
        }
    }
}

impl Run {
    fn hard_limit(&self) -> Duration {
        (self.shot.warm + self.shot.measure) * STRETCH
    }

    fn now_ns(&self) -> u64 {
        crate::num::duration_ns(self.epoch.elapsed())
    }

    fn work(&self, worker: usize, reports: &Sender<Report>) {
        let probe = probe_current();
        reports.send(Report::Ready(Arc::clone(&probe))).unwrap_or_default();
        self.barrier.wait();
        let mut recorder = Recorder::new(self, &*probe);
        let outcome = match self.shot.pace {
            Pace::Closed => self.closed_loop(worker, &mut recorder),
            Pace::Open(rate) => self.open_loop(worker, rate, &mut recorder),
        };
        let report = match outcome {
            Ok(()) => recorder.finish(),
            Err(cause) => Report::Failed { worker, cause },
        };
        // Nobody listens once the run was given up.
        reports.send(report).unwrap_or_default();
    }

    fn call(&self, worker: usize) -> Result<(), Cause> {
        match catch_unwind(AssertUnwindSafe(|| self.workload.call(worker))) {
            Ok(outcome) => outcome.map_err(Cause::Error),
            Err(payload) => Err(Cause::Panic(panic_message(&*payload))),
        }
    }

    fn closed_loop(&self, worker: usize, recorder: &mut Recorder<'_>) -> Result<(), Cause> {
        let hard = crate::num::duration_ns(self.hard_limit());
        let mut started = self.now_ns();
        loop {
            self.call(worker)?;
            let now = self.now_ns();
            recorder.completed(started, now);
            started = now;
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if now >= hard || recorder.last_ns() >= self.end_ns.load(Ordering::Relaxed) {
                self.measuring.fetch_sub(1, Ordering::Relaxed);
                return self.work_on(worker, hard);
            }
        }
    }

    /// Called by each worker once it has noted its windows; the last one fixes the end.
    fn quota_met(&self, now_ns: u64) {
        if self.short_of_quota.fetch_sub(1, Ordering::Relaxed) == 1 {
            let planned = crate::num::duration_ns(self.shot.warm + self.shot.measure);
            self.end_ns.store(planned.max(now_ns), Ordering::Relaxed);
        }
    }

    /// Keeps the load up for those that still measure.
    fn work_on(&self, worker: usize, hard: u64) -> Result<(), Cause> {
        let wanted = || self.measuring.load(Ordering::Relaxed) > 0 && !self.stop.load(Ordering::Relaxed);
        while wanted() && self.now_ns() < hard {
            self.call(worker)?;
        }
        Ok(())
    }

    fn open_loop(&self, worker: usize, rate: f64, recorder: &mut Recorder<'_>) -> Result<(), Cause> {
        let end = crate::num::duration_ns(self.shot.warm + self.shot.measure);
        loop {
            let ticket = self.ticket.fetch_add(1, Ordering::Relaxed);
            let due = crate::num::seconds_to_ns(ticket as f64 / rate);
            if due >= end || self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let early = due.saturating_sub(self.now_ns());
            if early > 0 {
                std::thread::sleep(Duration::from_nanos(early));
            }
            let started = self.now_ns();
            self.call(worker)?;
            let now = self.now_ns();
            recorder.completed(started, now);
            recorder.waited(due, now);
        }
    }
}

/// What one worker notes as it goes.
struct Recorder<'a> {
    run: &'a Run,
    probe: &'a dyn ThreadProbe,
    trace: WorkerTrace,
    service: Durations,
    sojourn: Durations,
    count: u64,
    warm_ns: u64,
    window_ns: u64,
    next_mark_ns: u64,
}

impl<'a> Recorder<'a> {
    fn new(run: &'a Run, probe: &'a dyn ThreadProbe) -> Self {
        let now = run.now_ns();
        let window_ns = crate::num::duration_ns(run.shot.window());
        let mut recorder = Self {
            run,
            probe,
            trace: WorkerTrace::default(),
            service: Durations::default(),
            sojourn: Durations::default(),
            count: 0,
            warm_ns: crate::num::duration_ns(run.shot.warm),
            window_ns,
            next_mark_ns: now + window_ns,
        };
        recorder.mark(now);
        recorder
    }

    fn completed(&mut self, started_ns: u64, now_ns: u64) {
        self.count += 1;
        if started_ns >= self.warm_ns {
            self.service.record(now_ns - started_ns);
        }
        if now_ns >= self.next_mark_ns {
            self.next_mark_ns = now_ns + self.window_ns;
            self.mark(now_ns);
            if self.trace.marks.len() == QUOTA + 1 {
                self.run.quota_met(now_ns);
            }
        }
    }

    fn last_ns(&self) -> u64 {
        self.trace.marks.last().map_or(0, |mark| mark.at_ns)
    }

    fn waited(&mut self, due_ns: u64, now_ns: u64) {
        if due_ns >= self.warm_ns {
            self.sojourn.record(now_ns.saturating_sub(due_ns));
        }
    }

    fn mark(&mut self, at_ns: u64) {
        self.probe.publish();
        let usage = self.probe.usage();
        self.trace.marks.push(Mark {
            at_ns,
            count: self.count,
            cpu_ns: usage.map(|usage| usage.cpu_ns),
            run_delay_ns: usage.and_then(|usage| usage.run_delay_ns),
        });
    }

    fn finish(self) -> Report {
        Report::Done { trace: self.trace, service: self.service, sojourn: self.sojourn }
    }
}

/// What a panic said, if it said it in words.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
