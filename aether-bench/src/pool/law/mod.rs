//! The control law: how many workers, decided from signals alone.
//!
//! A blocked worker may wait for a socket (more workers help), for a lock or for the GIL (they do not), and the share of
//! time asleep, β′, cannot tell. So β′ *proposes* and measured throughput *disposes*:
//!
//! 1. Start at the number of cores.
//! 2. Veto: no growth while β′ is below the threshold and every core has a worker.
//! 3. Ramp: grow in large steps while throughput follows.
//! 4. Burst: double at once when everybody is asleep at work that is known to scale, and as much again is queued.
//! 5. Probe: around the size found, compare neighbours in pairs.
//! 6. Hold: longer each time nothing better was found.
//! 7. Change of load: ramp again, or jump to what was learned about that load.
//! 8. Starvation: when tasks are queued and none completes, grow: they may be waiting for each other.
//!
//! *Invariants:* pure (the clock is in the [`Snapshot`]); the target stays within its bounds; at most one decision a
//! tick.

mod memory;
mod probe;
mod steps;
mod window;

pub use window::{Measured, Reading, Snapshot};

use memory::{Memory, Signature};
use probe::{Answer, Direction, Evidence, Probe};
use window::Window;

use serde::Serialize;

const MS: u64 = 1_000_000;
/// No window is shorter: below, the clock of the scheduler shows.
const SHORTEST_WINDOW: u64 = 40 * MS;
/// A window is as long as it takes for this many task times.
const WINDOW_CYCLES: f64 = 2.5;
/// …but no longer than this, if enough tasks completed.
const LONGEST_WINDOW: u64 = 500 * MS;
/// After a resize, this many task times pass before anything is measured.
const SETTLE_CYCLES: f64 = 1.2;
/// While nothing is on trial a window gets this much for each worker: reading their clocks is what a look costs.
const HOLD_WINDOW_PER_WORKER: u64 = 3 * MS;
/// …but not more than this, or a change of load would be noticed late.
const LONGEST_HOLD_WINDOW: u64 = 200 * MS;
/// Looks at the queue that a window needs.
const LOOKS: u64 = 4;
const SHORTEST_HOLD: u64 = 500 * MS;
const LONGEST_HOLD: u64 = 16_000 * MS;
/// Throughput that all steps down together may cost.
const ALLOWANCE: f64 = 0.01;
/// A load whose own use of the cores is above this share of them is bound by them.
const CPU_BOUND: f64 = 0.85;
/// Above this share of sleepers on a futex, workers mostly wait for each other: growth is then tried in pairs, never in
/// leaps on the word of one window. (On a crowded machine a leap once took a lock-bound load to 64 workers.)
const CONTENDED: f64 = 0.3;

/// Bounds and thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Never fewer workers.
    pub min: usize,
    /// Never more workers.
    pub max: usize,
    /// β′ below which there is no growth once every core has a worker.
    pub veto: f64,
    /// Cores this process may use.
    pub cores: usize,
}

/// Why the number of workers changed, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Growing in large steps, to see whether throughput follows.
    Ramp,
    /// The last step of the ramp brought too little: taken back.
    RampReverted,
    /// Growth was vetoed: the workers compute, and every core has one.
    Vetoed,
    /// A burst of work that is known to scale.
    Burst,
    /// Trying a neighbouring size.
    Trial,
    /// The larger size was better.
    Grew,
    /// The smaller size was as good.
    Shrank,
    /// The trial was no better: taken back.
    TrialReverted,
    /// The load changed: measured anew.
    NewLoad,
    /// The load is one that was met before.
    Recalled,
    /// Tasks are queued and none completes.
    Starved,
}

/// A new number of workers (or the old one, where growth was vetoed) and the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Workers that may be at work.
    pub target: usize,
    /// The reason.
    pub why: Why,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Measuring the size in use, to ramp from.
    Baseline,
    /// Measuring a step of the ramp.
    Ramp { from: usize, ops_s: f64 },
    /// Comparing neighbours.
    Probe(Probe),
    /// Nothing to do until then; watching for a change of load.
    Hold { until_ns: u64 },
}

/// The controller's state.
#[derive(Clone, Debug)]
pub struct Law {
    limits: Limits,
    n: usize,
    phase: Phase,
    window: Option<Window>,
    settle_until_ns: u64,
    /// Length of the window under way.
    window_ns: u64,
    /// The load as it was when it was last found settled.
    reference: Option<Measured>,
    /// Windows in a row that do not look like the reference.
    strange: u32,
    elasticity: Option<f64>,
    /// Throughput given up by steps down since the last ramp (log ratio).
    conceded: f64,
    hold_ns: u64,
    last_direction: Option<Direction>,
    /// Whether the last step down went straight to what the signals suggest.
    leapt: bool,
    memory: Memory,
    task_ns: f64,
    progress: Progress,
    vetoed: bool,
}

/// When a task last completed, for the starvation rule and the burst rule.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    completed: u64,
    since_ns: u64,
    burst: Option<(u64, u64)>,
}

impl Law {
    /// A law that starts at the number of cores.
    pub fn new(limits: Limits) -> Self {
        let n = limits.cores.clamp(limits.min, limits.max);
        Self {
            limits,
            n,
            phase: Phase::Baseline,
            window: None,
            settle_until_ns: 0,
            window_ns: SHORTEST_WINDOW,
            reference: None,
            strange: 0,
            elasticity: None,
            conceded: 0.0,
            hold_ns: SHORTEST_HOLD,
            last_direction: None,
            leapt: false,
            memory: Memory::default(),
            task_ns: 0.0,
            progress: Progress::default(),
            vetoed: false,
        }
    }

    /// The number of workers it wants.
    pub fn target(&self) -> usize {
        self.n
    }

    /// Changes the bounds; the size follows at once.
    pub fn set_bounds(&mut self, min: usize, max: usize) -> usize {
        self.limits.min = min;
        self.limits.max = max;
        self.n = self.n.clamp(min, max);
        self.phase = Phase::Baseline;
        self.window = None;
        self.n
    }

    /// Whether this tick's decision needs the CPU times of the workers, which cost a system call or two each.
    pub fn wants_usage(&self, at_ns: u64, queued: usize) -> bool {
        let crowd = self.crowded(queued) && self.may_burst();
        match &self.window {
            None => at_ns >= self.settle_until_ns || crowd,
            Some(window) => window.age_ns(at_ns) >= self.window_length() || crowd,
        }
    }

    /// How long it can do without a look: the usual time between two, or longer while nothing is on trial and no burst
    /// would be answered. Waking up costs more than looking (50 µs on a virtual machine).
    pub fn pause_ns(&self, usual_ns: u64) -> u64 {
        let holds = matches!(self.phase, Phase::Hold { .. }) && self.window.is_some();
        if holds && !self.may_burst() { (self.window_length() / LOOKS).max(usual_ns) } else { usual_ns }
    }

    fn window_length(&self) -> u64 {
        match self.phase {
            Phase::Hold { .. } => self.window_ns.max((self.n as u64 * HOLD_WINDOW_PER_WORKER).min(LONGEST_HOLD_WINDOW)),
            _ => self.window_ns,
        }
    }

    /// Takes one tick.
    pub fn step(&mut self, now: &Snapshot) -> Option<Decision> {
        if let Some(decision) = self.starvation(now).or_else(|| self.burst(now)) {
            return Some(decision);
        }
        let wanted_ns = self.window_length();
        let Some(window) = &mut self.window else {
            // Workers that are one too many finish their task first; what they do meanwhile is not the new size's.
            // A task may take hours: after a while the measurement goes on with it.
            let patience = self.settle_until_ns + 4 * LONGEST_WINDOW;
            let settled = now.at_ns >= self.settle_until_ns && now.active <= self.n;
            if settled || now.at_ns >= patience {
                self.window = Some(Window::new(now.clone()));
            }
            return None;
        };
        window.tick(now);
        let age = window.age_ns(now.at_ns);
        let completions = window.completions(now);
        let enough = completions >= (self.n as u64 / 2).max(8);
        let long = age >= LONGEST_WINDOW && completions >= 2 || age >= 4 * LONGEST_WINDOW;
        if age < wanted_ns || !(enough || long) {
            return None;
        }
        let (saturated, measured) = (window.saturated(), window.measure(now));
        self.window = Some(Window::new(now.clone()));
        if saturated && measured.ops_s > 0.0 {
            self.note_pace(&measured);
            return self.on_window(now.at_ns, &measured);
        }
        self.on_slack(now.at_ns)
    }

    fn note_pace(&mut self, measured: &Measured) {
        self.task_ns = self.n as f64 / measured.ops_s * 1e9;
        // Workers that sleep may do so in lockstep and need whole cycles; those that compute spread by themselves.
        let lockstep = measured.blocked() > 0.3;
        let longest = if lockstep { LONGEST_WINDOW } else { 3 * SHORTEST_WINDOW };
        let wanted = crate::num::seconds_to_ns(WINDOW_CYCLES * self.task_ns / 1e9);
        self.window_ns = wanted.clamp(SHORTEST_WINDOW, longest);
    }

    /// Demand was below capacity: nothing was learned about the size, and a trial proves nothing.
    fn on_slack(&mut self, at_ns: u64) -> Option<Decision> {
        match &self.phase {
            Phase::Probe(probe) => {
                let base = probe.base;
                self.hold(at_ns);
                self.resize(at_ns, base, Why::TrialReverted)
            }
            // More workers than the work needed: whatever they brought cannot be told, and they do no harm parked.
            Phase::Ramp { .. } => {
                self.phase = Phase::Baseline;
                None
            }
            Phase::Baseline | Phase::Hold { .. } => None,
        }
    }

    fn on_window(&mut self, at_ns: u64, measured: &Measured) -> Option<Decision> {
        match self.phase.clone() {
            Phase::Baseline => {
                self.reference = Some(*measured);
                self.ramp_or_probe(at_ns, measured)
            }
            Phase::Ramp { from, ops_s } => self.on_ramp(at_ns, measured, from, ops_s),
            Phase::Probe(probe) => self.on_probe(at_ns, measured, probe),
            Phase::Hold { until_ns } => {
                if let Some(decision) = self.on_change(at_ns, measured) {
                    return Some(decision);
                }
                if at_ns >= until_ns && self.strange == 0 { self.next_probe(at_ns, measured) } else { None }
            }
        }
    }

    /// Changes the size, and lets it settle before anything is measured.
    fn resize(&mut self, at_ns: u64, target: usize, why: Why) -> Option<Decision> {
        let target = target.clamp(self.limits.min, self.limits.max);
        if target == self.n {
            return None;
        }
        // With more workers behind one lock each task takes longer, in proportion.
        let growth = (target as f64 / self.n as f64).max(1.0);
        let contended = self.reference.is_some_and(|reference| reference.futex > CONTENDED);
        let cycle = self.task_ns * if contended { growth } else { 1.0 };
        let settle = crate::num::seconds_to_ns(SETTLE_CYCLES * cycle / 1e9).clamp(10 * MS, 1_000 * MS);
        self.n = target;
        self.window = None;
        self.settle_until_ns = at_ns + settle;
        self.progress.burst = None;
        Some(Decision { target, why })
    }

    fn hold(&mut self, at_ns: u64) {
        self.phase = Phase::Hold { until_ns: at_ns + self.hold_ns };
        self.hold_ns = (2 * self.hold_ns).min(LONGEST_HOLD);
        self.strange = 0;
    }

    fn signature(&self, measured: &Measured) -> Signature {
        Signature::of(measured, self.n, self.limits.cores as f64)
    }

    /// C: the cores that are ours to use.
    fn own_share_of_cores(&self, measured: &Measured) -> f64 {
        (self.limits.cores as f64 - measured.foreign_cores).max(1.0)
    }
}

#[cfg(test)]
mod simulation;
