//! Rows 1 to 6 and 9: steady loads.
//!
//! *Invariant:* the adaptive pool starts cold; "first" is its first ten seconds, "steady" the twenty after them.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aether_bench::profile::{CancelToken, SaturationCliffProfiler};
use aether_bench::python::PythonScript;
use aether_bench::workloads::{Body, Kind};

use super::load::{Load, adaptive, best_fixed, fixed_rate};
use super::{Line, Times};
use crate::AnyError;
use crate::output;

const SIZES: [usize; 9] = [1, 2, 3, 4, 6, 8, 16, 32, 64];
const MAX: usize = 64;
const OUTSTANDING: usize = 256;

/// The adaptive pool against the best fixed one.
struct Score {
    first: f64,
    steady: f64,
    best: usize,
    fixed: f64,
    /// Workers at the end, and the most threads that ever lived.
    target: usize,
    live: usize,
}

fn score(body: &Body, times: Times) -> Result<Score, AnyError> {
    let short = times.of(Duration::from_millis(1_500));
    let best = best_fixed(&SIZES, body, OUTSTANDING, short)?;
    let long = times.of(Duration::from_secs(6));
    let before = fixed_rate(best, body, OUTSTANDING, long)?;
    let pool = Arc::new(adaptive(MAX)?);
    let load = Load::start(Arc::clone(&pool) as _, Arc::clone(body), OUTSTANDING);
    let mut live = 0;
    let mut spell = |seconds: u64| {
        let rates: Vec<f64> = (0..seconds)
            .map(|_| {
                let rate = load.rate(times.of(Duration::from_secs(1)));
                live = live.max(pool.metrics().live);
                rate
            })
            .collect();
        aether_bench::stats::sample::mean(&rates)
    };
    let (first, steady) = (spell(10), spell(20));
    let target = pool.metrics().target;
    load.stop();
    let fixed = f64::midpoint(before, fixed_rate(best, body, OUTSTANDING, long)?);
    Ok(Score { first: first / fixed, steady: steady / fixed, best, fixed, target, live })
}

fn lines(kind: Kind, score: &Score, first: f64) -> Vec<Line> {
    let name = kind.name();
    let detail = format!(
        "  ends at {} workers ({} threads at most); fixed {}: {:.0}/s",
        score.target, score.live, score.best, score.fixed
    );
    vec![
        Line::at_least(format!("{name}: steady over best fixed"), score.steady, 0.97, &detail),
        Line::at_least(format!("{name}: first 10 s over best fixed"), score.first, first, ""),
    ]
}

fn row(kind: Kind, first: f64, times: Times) -> Result<(Vec<Line>, Score), AnyError> {
    output::progress(kind.name());
    let score = score(&kind.body(), times)?;
    Ok((lines(kind, &score, first), score))
}

pub(super) fn sleep(times: Times) -> Result<Vec<Line>, AnyError> {
    Ok(row(Kind::Sleep, 0.94, times)?.0)
}

pub(super) fn gil(times: Times) -> Result<Vec<Line>, AnyError> {
    let mut all = Vec::new();
    for kind in [Kind::Gil, Kind::GilLong] {
        let (lines, score) = row(kind, 0.95, times)?;
        all.extend(lines);
        all.push(Line::at_most(format!("{}: live threads", kind.name()), score.live as f64, 4.0, ""));
    }
    Ok(all)
}

pub(super) fn cpu(times: Times) -> Result<Vec<Line>, AnyError> {
    let (mut lines, score) = row(Kind::Cpu, 0.95, times)?;
    let cores = aether_bench::os::host::cores();
    lines.push(Line::at_most("cpu: workers at the end", score.target as f64, (cores + 1) as f64, ""));
    lines.push(free_threaded(cores)?);
    Ok(lines)
}

/// What an interpreter without a GIL shows: threads that compute scale to the cores and no further.
fn free_threaded(cores: usize) -> Result<Line, AnyError> {
    let what = "free-threaded Python, computing: recommended n";
    let Some(python) = std::env::var_os("AETHER_FT_PYTHON") else {
        return Ok(Line::not_run(what, "AETHER_FT_PYTHON names no interpreter"));
    };
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("compute.py");
    std::fs::write(&script, "def workload():\n    sum(i * i for i in range(2_000))\n")?;
    let mut subject = PythonScript::new(python, script)?;
    let profiler = SaturationCliffProfiler { max_threads: 4 * cores, ..Default::default() };
    let analysis = profiler.profile_subject(&mut subject, &CancelToken::default(), &mut |_| {})?;
    if analysis.env.gil == Some(true) {
        return Ok(Line::not_run(what, "the interpreter runs with its GIL"));
    }
    let n = analysis.optimal_threads() as f64;
    Ok(Line::at_most(what, n, (cores + 1) as f64, ""))
}

pub(super) fn lock(times: Times) -> Result<Vec<Line>, AnyError> {
    let (mut all, _) = row(Kind::Lock, 0.93, times)?;
    let (lines, score) = row(Kind::LockIo, 0.93, times)?;
    all.extend(lines);
    all.push(Line::at_most("lock-io: workers at the end", score.target as f64, 4.0, ""));
    Ok(all)
}

pub(super) fn blend(times: Times) -> Result<Vec<Line>, AnyError> {
    Ok(row(Kind::Blend, 0.93, times)?.0)
}

pub(super) fn mixed(times: Times) -> Result<Vec<Line>, AnyError> {
    Ok(row(Kind::Mixed, 0.93, times)?.0)
}

/// Other processes on every core.
pub(super) fn neighbours(times: Times) -> Result<Vec<Line>, AnyError> {
    output::progress("sleep with busy neighbours");
    let _busy = Busy::start()?;
    let score = score(&Kind::Sleep.body(), times)?;
    let detail = format!("  ends at {} workers; fixed {}: {:.0}/s", score.target, score.best, score.fixed);
    Ok(vec![Line::at_least("sleep, busy neighbours: steady", score.steady, 0.95, &detail)])
}

/// A process of our own that keeps the cores busy until it is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Result<Self, AnyError> {
        let cores = aether_bench::os::host::cores().to_string();
        let child = Command::new(std::env::current_exe()?)
            .args(["work", "--threads", &cores, "--tasks", "4000000"])
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().and_then(|()| self.0.wait()).map(drop).unwrap_or_default();
    }
}
