//! The law against simulated workloads, in virtual time: thirty seconds take milliseconds and are the same every time.
//!
//! A workload is its throughput, its cores and its waits as functions of n. The score is the throughput the law got over
//! what the best fixed size would have got. Targets are those of the specification; the real pool is measured against
//! them by `aether-bench targets`.

use super::*;
use crate::os::{Doing, ThreadUsage};
use crate::stats::rng::Rng;

const CORES: usize = 2;
const TICK: u64 = 10 * MS;

/// What n workers do.
#[derive(Clone, Copy)]
struct Load {
    ops_s: f64,
    own_cores: f64,
    /// Share of a worker's time runnable without a core.
    delay: f64,
    /// Share of the sleeping time slept on a futex.
    futex: f64,
}

fn sleeps(n: f64) -> Load {
    Load { ops_s: n * 100.0, own_cores: 0.002 * n, delay: 0.001, futex: 0.0 }
}

fn gil(n: f64, task_s: f64) -> Load {
    // Every switch between threads costs a little.
    let ops_s = 1.0 / task_s * (1.0 - 0.02 * (1.0 - 1.0 / n));
    Load { ops_s, own_cores: 1.0, delay: 0.01, futex: 1.0 }
}

fn computes(n: f64) -> Load {
    let cores = n.min(CORES as f64);
    let ops_s = cores / 0.005 * (1.0 - 0.003 * (n - cores));
    Load { ops_s, own_cores: cores, delay: 1.0 - cores / n - 0.002, futex: 0.0 }
}

/// Half of each task under one lock, asleep.
fn locks(n: f64) -> Load {
    let ops_s = (n / 0.010).min(1.0 / 0.005) * (1.0 - 0.002 * n);
    let waiting = (n - ops_s * 0.010).max(0.0);
    Load { ops_s, own_cores: 0.01, delay: 0.0, futex: waiting / n }
}

/// 5 ms of computing, 5 ms of sleep; the cores fill up gradually because tasks collide.
fn blend(n: f64) -> Load {
    let ideal = n / 0.010;
    let cap = CORES as f64 / 0.005;
    let ops_s = 1.0 / (ideal.powi(-4) + cap.powi(-4)).powf(0.25);
    let cpu = ops_s * 0.005;
    Load { ops_s, own_cores: cpu, delay: (1.0 - 2.0 * cpu / n).max(0.0), futex: 0.0 }
}

struct Simulation {
    law: Law,
    rng: Rng,
    noise: f64,
    at_ns: u64,
    readings: Vec<Reading>,
    progress: Vec<f64>,
    decisions: Vec<Decision>,
    queued: usize,
    /// When the law asked to look again.
    next_look_ns: u64,
    looks: usize,
}

impl Simulation {
    fn new(max: usize, noise: f64, seed: u64) -> Self {
        let limits = Limits { min: 1, max, veto: 0.3, cores: CORES };
        Self {
            law: Law::new(limits),
            rng: Rng::new(seed),
            noise,
            at_ns: 1,
            readings: Vec::new(),
            progress: Vec::new(),
            decisions: Vec::new(),
            queued: 200,
            next_look_ns: 0,
            looks: 0,
        }
    }

    /// One tick of saturated work at the law's size; returns what was done and what the best size would have done.
    fn tick(&mut self, load: &dyn Fn(f64) -> Load) -> f64 {
        let n = self.law.target();
        let now = load(n as f64);
        let disturbance = 1.0 + self.noise * self.rng.normal();
        let done = (now.ops_s * disturbance).max(0.0) * TICK as f64 / 1e9;
        while self.readings.len() < n {
            let id = self.readings.len() as u64;
            self.progress.push(self.rng.unit());
            self.readings.push(Reading {
                id,
                count: 0,
                last_ns: 0,
                busy_since_ns: self.at_ns,
                busy_ns: 0,
                usage: Some(ThreadUsage { cpu_ns: 0, run_delay_ns: Some(0) }),
                doing: None,
            });
        }
        self.at_ns += TICK;
        for index in 0..self.readings.len() {
            if index < n {
                self.work(index, done / n as f64, now, n);
            } else {
                self.park(index);
            }
        }
        let snapshot = Snapshot {
            at_ns: self.at_ns,
            queued: self.queued,
            active: n,
            foreign_cores: 0.0,
            readings: self.readings.clone(),
        };
        if self.at_ns >= self.next_look_ns {
            self.decisions.extend(self.law.step(&snapshot));
            self.next_look_ns = self.at_ns + self.law.pause_ns(TICK);
            self.looks += 1;
        }
        done
    }

    fn work(&mut self, index: usize, done: f64, load: Load, n: usize) {
        let (cpu, blocked) = {
            let cpu = load.own_cores / n as f64;
            (cpu, (1.0 - cpu - load.delay).max(0.0))
        };
        let (asleep, on_futex) = (self.rng.unit() < blocked, self.rng.unit() < load.futex);
        let reading = &mut self.readings[index];
        if reading.busy_since_ns == 0 {
            reading.busy_since_ns = self.at_ns - TICK;
        }
        let usage = reading.usage.get_or_insert_default();
        let share = |part: f64| crate::num::seconds_to_ns(part * TICK as f64 / 1e9);
        usage.cpu_ns += share(cpu);
        usage.run_delay_ns = Some(usage.run_delay_ns.unwrap_or(0) + share(load.delay));
        reading.doing = Some(match (asleep, on_futex) {
            (false, _) => Doing::Running,
            (true, true) => Doing::Futex,
            (true, false) => Doing::OtherWait,
        });
        self.progress[index] += done;
        let whole = self.progress[index].floor();
        if whole >= 1.0 && done > 0.0 {
            self.progress[index] -= whole;
            let ago = self.progress[index] / done * TICK as f64;
            let last = self.at_ns - crate::num::seconds_to_ns(ago / 1e9).min(TICK);
            reading.count += crate::num::seconds_to_ns(whole / 1e9);
            reading.busy_ns += last.saturating_sub(reading.busy_since_ns);
            reading.last_ns = last;
            reading.busy_since_ns = last;
        }
    }

    fn park(&mut self, index: usize) {
        self.readings[index].busy_since_ns = 0;
    }

    /// Runs for some seconds and returns the share of the best fixed size's throughput.
    fn run(&mut self, seconds: f64, max: usize, load: &dyn Fn(f64) -> Load) -> f64 {
        let best = (1..=max).map(|n| load(n as f64).ops_s).fold(0.0, f64::max);
        let ticks = crate::num::floor_index(seconds * 1e9 / TICK as f64);
        let done: f64 = (0..ticks).map(|_| self.tick(load)).sum();
        done / (best * ticks as f64 * TICK as f64 / 1e9)
    }
}

/// (first ten seconds, the twenty after them, the size at the end)
fn score(load: &dyn Fn(f64) -> Load, seed: u64) -> (f64, f64, usize) {
    let mut simulation = Simulation::new(64, 0.03, seed);
    let first = simulation.run(10.0, 64, load);
    let steady = simulation.run(20.0, 64, load);
    (first, steady, simulation.law.target())
}

/// Checks both targets of the specification on several seeds; returns the sizes at the end.
fn check(name: &str, load: &dyn Fn(f64) -> Load, first_target: f64) -> Vec<usize> {
    (0..8)
        .map(|seed| {
            let (first, steady, n) = score(load, seed);
            assert!(first >= first_target, "{name}, seed {seed}: {first:.3} in the first 10 s");
            assert!(steady >= 0.97, "{name}, seed {seed}: {steady:.3} steady at {n}");
            n
        })
        .collect()
}

#[test]
fn work_that_sleeps_gets_all_the_workers() {
    let sizes = check("sleep", &sleeps, 0.94);
    assert!(sizes.iter().all(|&n| n == 64), "{sizes:?}");
}

#[test]
fn work_under_the_gil_stays_small() {
    for task in [0.001, 0.020] {
        let sizes = check("gil", &|n| gil(n, task), 0.95);
        assert!(sizes.iter().all(|&n| n <= 4), "{sizes:?}");
    }
}

#[test]
fn work_that_computes_gets_the_cores() {
    let sizes = check("cpu", &computes, 0.95);
    assert!(sizes.iter().all(|&n| n <= CORES + 1), "{sizes:?}");
}

#[test]
fn work_behind_a_lock_stays_small() {
    let sizes = check("lock", &locks, 0.93);
    assert!(sizes.iter().all(|&n| n <= 4), "{sizes:?}");
}

#[test]
fn blended_work_gets_more_workers_than_cores() {
    let sizes = check("blend", &blend, 0.93);
    assert!(sizes.iter().all(|&n| (3..=16).contains(&n)), "{sizes:?}");
}

#[test]
fn phases_are_recognised_when_they_return() {
    for seed in 0..4 {
        let mut simulation = Simulation::new(64, 0.03, seed);
        for cycle in 0..6 {
            for (name, load) in [("sleep", &sleeps as &dyn Fn(f64) -> Load), ("cpu", &computes)] {
                let got = simulation.run(4.0, 64, load);
                // From the third cycle on, less what it takes to notice: two windows of 40 ms in 4 s.
                let target = if cycle < 2 { 0.90 } else { 0.97 };
                assert!(got >= target, "{name}, cycle {cycle}, seed {seed}: {got:.3}");
            }
        }
    }
}

#[test]
fn the_size_stays_within_its_bounds_whatever_the_signals() {
    for seed in 0..20 {
        let mut simulation = Simulation::new(13, 0.5, seed);
        let mut rng = Rng::new(seed + 77);
        for _ in 0..40 {
            let factor = rng.unit() * 1_000.0;
            let futex = rng.unit();
            let load = move |n: f64| Load { ops_s: factor * n, own_cores: 0.1, delay: 0.0, futex };
            simulation.run(0.5, 13, &load);
        }
        assert!(simulation.decisions.iter().all(|decision| (1..=13).contains(&decision.target)));
    }
}

#[test]
fn a_steady_load_is_left_alone_in_the_end() {
    for load in [&sleeps as &dyn Fn(f64) -> Load, &locks, &computes, &blend] {
        let mut simulation = Simulation::new(64, 0.02, 5);
        simulation.run(30.0, 64, load);
        simulation.decisions.clear();
        simulation.run(30.0, 64, load);
        // A probe has up to ten changes of size each way; the hold between probes grows to 16 s.
        assert!(simulation.decisions.len() <= 50, "{:?}", simulation.decisions);
    }
}

#[test]
fn tasks_that_wait_for_queued_tasks_are_starved_and_the_pool_grows() {
    let mut simulation = Simulation::new(64, 0.0, 1);
    let stuck = |_: f64| Load { ops_s: 0.0, own_cores: 0.0, delay: 0.0, futex: 1.0 };
    for _ in 0..600 {
        simulation.tick(&stuck);
    }
    assert!(simulation.law.target() > 16, "{}", simulation.law.target());
    assert!(simulation.decisions.iter().any(|decision| decision.why == Why::Starved));
}

#[test]
fn long_computations_are_not_mistaken_for_starvation() {
    let mut simulation = Simulation::new(64, 0.0, 1);
    let long = |n: f64| {
        let cores = n.min(CORES as f64);
        Load { ops_s: cores / 3.0, own_cores: cores, delay: 1.0 - cores / n, futex: 0.0 }
    };
    simulation.run(30.0, 64, &long);
    assert!(simulation.law.target() <= CORES + 1, "{}", simulation.law.target());
}

/// 60 tasks at a time, on a pool that has learned that they scale: the 28 that 32 workers leave are not left waiting.
#[test]
fn what_a_burst_leaves_queued_gets_workers_too() {
    let mut simulation = Simulation::new(64, 0.0, 1);
    simulation.run(0.2, 64, &sleeps);
    assert_eq!(simulation.law.set_bounds(1, 32), 32);
    simulation.law.set_bounds(1, 64);
    simulation.queued = 0;
    simulation.run(0.3, 64, &sleeps);
    assert_eq!(simulation.law.target(), 32, "no work, no growth");
    simulation.queued = 28;
    simulation.run(0.01, 64, &sleeps);
    assert_eq!(simulation.law.target(), 60, "at the first tick");
}

#[test]
fn a_settled_pool_of_many_workers_is_looked_at_less_often() {
    let mut simulation = Simulation::new(64, 0.01, 5);
    simulation.run(30.0, 64, &sleeps);
    let before = simulation.looks;
    simulation.run(30.0, 64, &sleeps);
    assert_eq!(simulation.law.target(), 64);
    let looks = simulation.looks - before;
    assert!(looks < 1_500, "{looks} looks in thirty seconds");
}
