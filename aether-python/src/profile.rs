//! The profiler on Python threads of this process: `aether.profile` runs them, this side plans, watches and concludes.
//!
//! *Invariant:* an exception of the workload, a Ctrl-C included, reaches the caller as it is.
#![expect(clippy::needless_pass_by_value, reason = "what Python hands over arrives as an owned value")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use aether_bench::os::host::{ForeignMeter, own_cpu_ns};
use aether_bench::os::{Doing, ThreadProbe, probe_current};
use aether_bench::profile::latency::Durations;
use aether_bench::profile::trace::{Mark, WorkerTrace};
use aether_bench::profile::workload::{Identity, Interpreter, Pace, Sample, Shot, Subject, digest};
use aether_bench::profile::{
    CancelToken, OpenLoop, ProfileError, Progress, SaturationAnalysis, SaturationCliffProfiler,
};
use aether_bench::report;
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;

use crate::pool::seconds;

/// How often sleeping workers are looked at.
const SAMPLING: Duration = Duration::from_millis(10);
/// A run may take this many times its planned length so that every worker notes its windows.
const STRETCH: u32 = 8;

/// The clocks of the thread that makes it, for any thread to read.
#[pyclass(frozen, module = "aether._native", name = "ThreadProbe")]
pub(crate) struct Probe(Arc<dyn ThreadProbe>);

#[pymethods]
impl Probe {
    #[new]
    fn new() -> Self {
        Self(probe_current())
    }

    /// Nanoseconds on a core, and runnable without one; `None` where the system does not tell. On the thread itself.
    fn usage(&self) -> (Option<u64>, Option<u64>) {
        self.0.publish();
        let usage = self.0.usage();
        (usage.map(|usage| usage.cpu_ns), usage.and_then(|usage| usage.run_delay_ns))
    }
}

/// Looks at what sleeping workers sleep on, until it is stopped. Never needs the interpreter.
#[pyclass(frozen, module = "aether._native")]
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<(u64, u64)>>>,
}

#[pymethods]
impl Sampler {
    /// Begins to look at these threads; they are about to start working.
    fn watch(&self, probes: Vec<PyRef<'_, Probe>>) {
        let probes: Vec<_> = probes.iter().map(|probe| Arc::clone(&probe.0)).collect();
        let stop = Arc::clone(&self.stop);
        let looking = std::thread::Builder::new().name("aether-sampler".to_owned());
        // Without the sampler the signal is missing, and said to be.
        *self.lock() = looking.spawn(move || look(&probes, &stop)).ok();
    }
}

impl Sampler {
    fn new() -> Self {
        Self { stop: Arc::default(), thread: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<(u64, u64)>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Samples of sleepers: how many slept on a futex, of how many.
    fn finish(&self) -> Option<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.lock().take()?;
        thread.join().ok().filter(|(_, asleep)| *asleep > 0)
    }
}

fn look(probes: &[Arc<dyn ThreadProbe>], stop: &AtomicBool) -> (u64, u64) {
    let (mut on_futex, mut asleep) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(SAMPLING);
        for probe in probes {
            let doing = probe.doing();
            on_futex += u64::from(doing == Doing::Futex);
            asleep += u64::from(matches!(doing, Doing::Futex | Doing::OtherWait));
        }
    }
    (on_futex, asleep)
}

/// A Python callable, run by Python threads.
struct Callable {
    identity: Identity,
    /// `aether.profile._workers.run`, bound to the callable.
    run: Py<PyAny>,
}

/// What one worker noted: marks (time, count, CPU time, run delay), service times, sojourn times; all nanoseconds.
type Notes = (Vec<(u64, u64, Option<u64>, Option<u64>)>, Vec<u64>, Vec<u64>);

impl Subject for Callable {
    fn begin_block(&mut self, _cancel: &CancelToken) -> Result<Identity, ProfileError> {
        Ok(self.identity.clone())
    }

    fn measure(&mut self, shot: &Shot, cancel: &CancelToken) -> Result<Sample, ProfileError> {
        if cancel.is_cancelled() {
            return Err(ProfileError::Cancelled);
        }
        let meter = ForeignMeter::start(own_cpu_ns());
        let (notes, sampler) = Python::attach(|py| {
            let sampler = Bound::new(py, Sampler::new())?;
            let outcome = self.run(py, shot, &sampler);
            if outcome.is_err() {
                sampler.get().stop.store(true, Ordering::Relaxed);
            }
            Ok::<_, PyErr>((outcome?, sampler.unbind()))
        })
        .map_err(|error| ProfileError::Workload {
            worker: 0,
            threads: shot.threads,
            source: Box::new(error),
        })?;
        let mut sample = collect(&notes);
        sample.futex = sampler.get().finish();
        sample.foreign = meter.stop(own_cpu_ns());
        Ok(sample)
    }
}

impl Callable {
    fn run(&self, py: Python<'_>, shot: &Shot, sampler: &Bound<'_, Sampler>) -> PyResult<Vec<Notes>> {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let hard = (shot.warm + shot.measure) * STRETCH;
        let rate = match shot.pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(rate),
        };
        let times = (ns(shot.warm), ns(shot.measure), ns(shot.window()), ns(hard), ns(hard + shot.hang_after));
        self.run.bind(py).call1((shot.threads, times, rate, sampler))?.extract()
    }
}

fn collect(notes: &[Notes]) -> Sample {
    let mut sample = Sample::default();
    let (mut service, mut sojourn) = (Durations::default(), Durations::default());
    for (marks, served, waited) in notes {
        let mark = |&(at_ns, count, cpu_ns, run_delay_ns): &(u64, u64, Option<u64>, Option<u64>)| Mark {
            at_ns,
            count,
            cpu_ns,
            run_delay_ns,
        };
        sample.traces.push(WorkerTrace { marks: marks.iter().map(mark).collect() });
        for &ns in served {
            service.record(ns);
        }
        for &ns in waited {
            sojourn.record(ns);
        }
    }
    Sample { service, sojourn, ..sample }
}

/// The curve and what was read off it.
#[pyclass(frozen, module = "aether._native")]
pub(crate) struct Analysis(SaturationAnalysis);

#[pymethods]
impl Analysis {
    #[getter]
    fn optimal_threads(&self) -> usize {
        self.0.optimal_threads()
    }

    #[getter]
    fn cliff_threads(&self) -> Option<usize> {
        self.0.cliff_threads()
    }

    #[getter]
    fn cliff_severity(&self) -> f64 {
        self.0.cliff_severity()
    }

    #[getter]
    fn findings(&self) -> Vec<String> {
        self.0.findings.clone()
    }

    #[getter]
    fn recommendations(&self) -> Vec<String> {
        self.0.recommendations.clone()
    }

    fn plot_ascii_chart(&self) -> String {
        self.0.plot_ascii_chart()
    }

    fn to_text(&self) -> String {
        self.0.to_text()
    }

    fn to_json(&self) -> PyResult<String> {
        report::json(&self.0).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn to_html(&self) -> String {
        report::html::page(std::slice::from_ref(&self.0), &[], None)
    }

    /// Reads what `to_json` wrote.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        report::parse(text).map(Self).map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

/// How to measure: the measured part of each run and the longest warm-up in seconds, the budget, the hang limit.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ProfileSettings {
    duration: f64,
    warm_up: f64,
    budget: f64,
    hang_after: f64,
    max_threads: usize,
    rounds: usize,
    open_loop: bool,
}

/// What is measured and where: name, content, and the interpreter's version, path, build and GIL.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Subjected {
    name: String,
    content: Vec<u8>,
    version: String,
    path: String,
    free_threaded_build: bool,
    gil: bool,
}

/// Profiles the workload that `run` runs; `progress` hears (threads, tasks per second, done, planned).
#[pyfunction]
pub(crate) fn profile(
    py: Python<'_>,
    run: Py<PyAny>,
    subject: Subjected,
    settings: ProfileSettings,
    progress: Option<Py<PyAny>>,
) -> PyResult<Analysis> {
    let profiler = profiler(&settings)?;
    let interpreter = Interpreter {
        version: subject.version,
        path: subject.path,
        free_threaded_build: subject.free_threaded_build,
        gil: subject.gil,
    };
    let identity = Identity { id: subject.name, hash: digest(&subject.content), interpreter: Some(interpreter) };
    let mut callable = Callable { identity, run };
    py.detach(|| {
        let cancel = CancelToken::default();
        let mut failed = None;
        let mut hear = |news: Progress| {
            if let Some(error) = tell(progress.as_ref(), news) {
                failed.get_or_insert(error);
                cancel.cancel();
            }
        };
        let outcome = profiler.profile_subject(&mut callable, &cancel, &mut hear);
        match failed {
            Some(error) => Err(error),
            None => outcome.map(Analysis).map_err(exception),
        }
    })
}

fn profiler(settings: &ProfileSettings) -> PyResult<SaturationCliffProfiler> {
    let duration_per_run = seconds("duration_per_run", settings.duration)?;
    Ok(SaturationCliffProfiler {
        duration_per_run,
        max_threads: settings.max_threads,
        min_rounds: settings.rounds,
        max_rounds: 3 * settings.rounds,
        budget: seconds("budget", settings.budget)?,
        warm_up: seconds("warm_up", settings.warm_up)?,
        hang_after: seconds("hang_after", settings.hang_after)?,
        open_loop: if settings.open_loop { OpenLoop::Measure } else { OpenLoop::Skip },
    })
}

/// Passes news on; what the listener raised comes back.
fn tell(listener: Option<&Py<PyAny>>, news: Progress) -> Option<PyErr> {
    let Progress::Measured { threads, ops_s, done, planned, .. } = news else { return None };
    let listener = listener?;
    Python::attach(|py| listener.call1(py, (threads, ops_s, done, planned)).err())
}

fn exception(error: ProfileError) -> PyErr {
    match error {
        ProfileError::Workload { source, .. } => match source.downcast::<PyErr>() {
            Ok(original) => *original,
            Err(other) => PyRuntimeError::new_err(other.to_string()),
        },
        ProfileError::Settings(_) => PyValueError::new_err(error.to_string()),
        ProfileError::TooShort { .. } | ProfileError::Hung { .. } => PyTimeoutError::new_err(error.to_string()),
        other => PyRuntimeError::new_err(other.to_string()),
    }
}
