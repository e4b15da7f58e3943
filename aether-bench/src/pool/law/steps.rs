//! The steps of the law: veto, ramp, probes, change of load, burst, starvation.
//!
//! *Invariant:* every step that makes the pool grow is followed by a window that can take it back; the exception is
//! starvation, where throughput is zero and cannot fall.

use super::{
    ALLOWANCE, Answer, CONTENDED, CPU_BOUND, Decision, Direction, Evidence, Law, MS, Measured, Phase, Probe,
    SHORTEST_HOLD, Snapshot, Why,
};

/// Growth that brings at least this share of what was added goes on.
const ELASTIC: f64 = 0.25;
/// A step of the ramp that brings less is kept only for this gain.
const WORTH_KEEPING: f64 = 1.05;
/// A smaller step says nothing in one window: the paired probe takes over.
const SMALLEST_RAMP: f64 = 1.5;
/// Bursts are answered only by loads that scale at least like this.
const SCALES: f64 = 0.3;
/// Workers on a core for more than this share of their time are all needed.
const NEEDED: f64 = 0.9;

impl Law {
    /// Whether growth is vetoed: the workers compute, and every core of ours has one.
    fn vetoes(&mut self, measured: &Measured) -> Option<Decision> {
        let cores = self.own_share_of_cores(measured);
        let veto = measured.blocked() < self.limits.veto && self.n as f64 >= cores;
        let first = veto && !self.vetoed;
        self.vetoed = veto;
        first.then_some(Decision { target: self.n, why: Why::Vetoed })
    }

    pub(super) fn ramp_or_probe(&mut self, at_ns: u64, measured: &Measured) -> Option<Decision> {
        let news = self.vetoes(measured);
        let next = self.ramp_target(measured);
        let doubtful = measured.futex > CONTENDED;
        if self.vetoed || doubtful || (next as f64) < SMALLEST_RAMP * self.n as f64 {
            return self.next_probe(at_ns, measured).or(news);
        }
        self.phase = Phase::Ramp { from: self.n, ops_s: measured.ops_s };
        self.resize(at_ns, next, Why::Ramp)
    }

    /// As far as the cores could carry it, at most four times as many.
    fn ramp_target(&self, measured: &Measured) -> usize {
        let most = 4 * self.n;
        let cores = self.limits.cores as f64;
        let carried = self.n as f64 * cores / measured.own_cores.max(1e-3);
        let carried = if measured.known { crate::num::floor_index(carried.min(1e6).ceil()) } else { most };
        most.min(carried).min(self.limits.max)
    }

    pub(super) fn on_ramp(&mut self, at_ns: u64, measured: &Measured, from: usize, ops_s: f64) -> Option<Decision> {
        let gain = measured.ops_s / ops_s;
        let elasticity = (gain - 1.0) / (self.n as f64 / from as f64 - 1.0);
        self.elasticity = Some(elasticity);
        if elasticity >= ELASTIC {
            self.reference = Some(*measured);
            self.conceded = 0.0;
            return self.ramp_or_probe(at_ns, measured);
        }
        self.hold_ns = SHORTEST_HOLD;
        if gain >= WORTH_KEEPING {
            self.reference = Some(*measured);
            return self.next_probe(at_ns, measured);
        }
        self.hold(at_ns);
        self.reference = None; // It was taken at a size that is being left: the next window gives a new one.
        self.task_ns = from as f64 / ops_s * 1e9;
        self.resize(at_ns, from, Why::RampReverted)
    }

    /// Begins the next comparison, or holds if none could help.
    pub(super) fn next_probe(&mut self, at_ns: u64, measured: &Measured) -> Option<Decision> {
        self.reference = Some(*measured);
        self.memory.settle(self.signature(measured), self.n, self.elasticity);
        let news = self.vetoes(measured);
        let up = !self.vetoed && self.n < self.limits.max;
        let down = self.may_shrink(measured);
        let direction = match (up, down) {
            (true, true) if self.last_direction == Some(Direction::Up) => Direction::Down,
            (true, _) => Direction::Up,
            (false, true) => Direction::Down,
            (false, false) => {
                self.hold(at_ns);
                return news;
            }
        };
        let candidate = match direction {
            // Behind a futex may be a lock or somebody's answer: a clear step tells them apart sooner.
            Direction::Up if measured.futex > CONTENDED => (2 * self.n).min(self.limits.max),
            Direction::Up => (self.n * 3).div_ceil(2).min(self.limits.max),
            Direction::Down => self.smaller(measured),
        };
        self.last_direction = Some(direction);
        let allowance = (ALLOWANCE - self.conceded).max(0.0);
        let crowd = measured.foreign_cores > 0.25 * self.limits.cores as f64;
        let evidence = if crowd { Evidence::Disturbed } else { Evidence::Usual };
        self.phase = Phase::Probe(Probe::new(direction, self.n, candidate, allowance, evidence));
        news
    }

    /// Fewer workers may do if they get in each other's way, or if not all of them are needed to keep the cores busy.
    fn may_shrink(&self, measured: &Measured) -> bool {
        let cores = self.own_share_of_cores(measured);
        let bound = measured.own_cores >= CPU_BOUND * cores;
        let flat = self.elasticity.is_some_and(|elasticity| elasticity < SCALES);
        let spare = !measured.known || measured.cpu < NEEDED;
        self.n > self.limits.min && spare && (flat || measured.futex > CONTENDED || bound)
    }

    /// A third fewer; or at once as many as the signals say are at work or waiting for something but each other.
    fn smaller(&mut self, measured: &Measured) -> usize {
        let third = (self.n * 2 / 3).clamp(self.limits.min, self.n - 1);
        let outside = measured.blocked() * (1.0 - measured.futex) * self.n as f64;
        let useful = crate::num::floor_index((measured.own_cores + outside).ceil());
        let leap = useful.clamp(self.limits.min, third);
        // One probe goes straight there; if that was too far, the next one is careful.
        self.leapt = !self.leapt && measured.known && leap < third;
        if self.leapt { leap } else { third }
    }

    pub(super) fn on_probe(&mut self, at_ns: u64, measured: &Measured, mut probe: Probe) -> Option<Decision> {
        if probe.size() == probe.base
            && let Some(decision) = self.on_change(at_ns, measured)
        {
            return Some(decision);
        }
        let answer = probe.push(measured.ops_s);
        let (base, candidate, direction) = (probe.base, probe.candidate, probe.direction);
        match answer {
            Answer::Open => {
                let next = probe.size();
                self.phase = Phase::Probe(probe);
                let why = if next == candidate { Why::Trial } else { Why::TrialReverted };
                self.resize(at_ns, next, why)
            }
            Answer::Yes(gain) => self.adopt(at_ns, direction, base, candidate, gain),
            Answer::No(gain) => {
                if direction == Direction::Up {
                    self.elasticity = Some(elasticity(gain, base, candidate));
                }
                self.hold(at_ns);
                self.reference = None;
                self.resize(at_ns, base, Why::TrialReverted)
            }
        }
    }

    fn adopt(
        &mut self,
        at_ns: u64,
        direction: Direction,
        base: usize,
        candidate: usize,
        gain: f64,
    ) -> Option<Decision> {
        self.elasticity = Some(elasticity(gain, base, candidate));
        self.hold_ns = SHORTEST_HOLD;
        self.leapt = false;
        self.reference = None;
        // Where one step helped, the next may too: no waiting.
        self.phase = Phase::Hold { until_ns: at_ns };
        self.strange = 0;
        let why = match direction {
            Direction::Up => {
                self.conceded = 0.0;
                self.last_direction = None;
                Why::Grew
            }
            Direction::Down => {
                self.conceded += (-gain).max(0.0);
                Why::Shrank
            }
        };
        let decision = self.resize(at_ns, candidate, why);
        // The last leg may have been measured at the candidate already: then nothing changes but the books.
        decision.or(Some(Decision { target: candidate, why }))
    }

    /// Two windows in a row unlike the reference: the load has changed.
    pub(super) fn on_change(&mut self, at_ns: u64, measured: &Measured) -> Option<Decision> {
        let Some(reference) = self.reference else {
            self.reference = Some(*measured);
            return None;
        };
        let changed = (measured.ops_s / reference.ops_s).ln().abs() > 0.5
            || (measured.futex - reference.futex).abs() > 0.5
            || (measured.own_cores - reference.own_cores).abs() > 0.4 * self.limits.cores as f64;
        self.strange = if changed { self.strange + 1 } else { 0 };
        if self.strange < 2 {
            return None;
        }
        self.strange = 0;
        self.reference = None;
        self.conceded = 0.0;
        self.hold_ns = SHORTEST_HOLD;
        self.last_direction = None;
        self.leapt = false;
        if let Some((n, elasticity)) = self.memory.enter(self.signature(measured), self.n) {
            self.elasticity = elasticity;
            self.hold(at_ns);
            return self.resize(at_ns, n, Why::Recalled);
        }
        self.elasticity = None;
        self.reference = Some(*measured);
        let decision = self.ramp_or_probe(at_ns, measured);
        decision.or(Some(Decision { target: self.n, why: Why::NewLoad }))
    }

    /// Whether more is queued than the workers at hand will have taken in a moment.
    pub(super) fn crowded(&self, queued: usize) -> bool {
        queued >= self.n.div_ceil(4)
    }

    /// Whether a burst would be answered at all: there is room, and the load is known to scale or, where bursts were
    /// over before a step of the ramp could be measured, sleeps on anything but each other while the cores idle.
    pub(super) fn may_burst(&self) -> bool {
        let promising = |reference: &Measured| {
            reference.known && reference.futex <= CONTENDED && reference.blocked() >= self.limits.veto
        };
        let scales = match self.elasticity {
            Some(elasticity) => elasticity >= SCALES,
            None => self.reference.as_ref().is_some_and(promising),
        };
        self.n < self.limits.max && scales
    }

    /// Everybody at work, a good deal more queued, and the cores idle: work that scales is answered at once, with a
    /// worker for each task up to twice as many. (Asking for a backlog of n leaves 60 tasks on 32 workers: half of them
    /// wait for the others, every time.)
    pub(super) fn burst(&mut self, now: &Snapshot) -> Option<Decision> {
        // One answer at a time: the last one is given the time to show.
        let settled = now.at_ns >= self.settle_until_ns;
        let crowded = self.crowded(now.queued) && now.active >= self.n;
        let full = crowded && settled && self.may_burst();
        let cpu: u64 = now.readings.iter().filter_map(|r| r.usage).map(|usage| usage.cpu_ns).sum();
        if !full || matches!(self.phase, Phase::Probe(_) | Phase::Ramp { .. }) {
            self.progress.burst = None;
            return None;
        }
        let idle_cores = |own: f64| own < 0.5 * self.limits.cores as f64;
        // What the load does to the cores is known from its last window; else it takes two ticks, and a burst of short
        // tasks is over by then.
        let quiet = match (self.reference, self.progress.burst) {
            (Some(reference), _) => idle_cores(reference.own_cores),
            (None, Some((since_ns, before))) => {
                let elapsed = now.at_ns.saturating_sub(since_ns);
                let own = cpu.saturating_sub(before) as f64 / elapsed.max(1) as f64;
                elapsed >= 5 * MS && idle_cores(own)
            }
            (None, None) => {
                self.progress.burst = Some((now.at_ns, cpu));
                false
            }
        };
        if !quiet {
            return None;
        }
        self.phase = Phase::Baseline;
        self.resize(now.at_ns, self.n + now.queued.min(self.n), Why::Burst)
    }

    /// Tasks are queued and none completes: they may wait for tasks that are still queued.
    pub(super) fn starvation(&mut self, now: &Snapshot) -> Option<Decision> {
        let completed = now.completed();
        if completed != self.progress.completed || now.queued == 0 || self.progress.since_ns == 0 {
            self.progress.completed = completed;
            self.progress.since_ns = now.at_ns.max(1);
            return None;
        }
        let patience = (500.0 * MS as f64).max(5.0 * self.task_ns);
        if (now.at_ns.saturating_sub(self.progress.since_ns) as f64) < patience {
            return None;
        }
        self.progress.since_ns = now.at_ns;
        // Tasks that compute complete some day, and more of them at once would only take longer.
        let busy_cores = self.window.as_ref().map_or(0.0, |window| window.measure(now).own_cores);
        if busy_cores >= 0.5 * self.limits.cores as f64 {
            return None;
        }
        self.phase = Phase::Baseline;
        self.resize(now.at_ns, 2 * self.n, Why::Starved)
    }
}

/// What share of the added workers came back as throughput.
fn elasticity(gain: f64, base: usize, candidate: usize) -> f64 {
    (gain.exp() - 1.0) / (candidate as f64 / base as f64 - 1.0)
}
