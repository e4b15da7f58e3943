//! A paired probe: the size in use against a candidate, in the order A B B A, until the answer is clear.
//!
//! Neighbouring windows share whatever drifts; the alternating order cancels what drifts steadily.
//!
//! *Invariant:* ends after at most [`MOST_PAIRS`]; an unclear answer is "no".

use crate::stats::sample;

const LEAST_PAIRS: usize = 3;
const MOST_PAIRS: usize = 10;
const TRIM: f64 = 0.2;
/// Standard errors by which a gain must clear its threshold: it is tested again after every pair, so one is too few
/// (it grew for nothing in 19 % of the probes at 3 % noise).
const SURE: f64 = 1.5;

/// Which way the candidate lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// More workers: they must earn it.
    Up,
    /// Fewer workers: they must cost nothing.
    Down,
}

/// What a probe found so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    /// Measure on.
    Open,
    /// Change to the candidate, which does so much better (mean log ratio).
    Yes(f64),
    /// Stay, the candidate doing so much better (mean log ratio).
    No(f64),
}

/// One probe under way.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// Which way.
    pub(super) direction: Direction,
    /// The size in use.
    pub(super) base: usize,
    /// The size on trial.
    pub(super) candidate: usize,
    /// How much throughput may be given up for fewer workers (log ratio, positive).
    pub(super) allowance: f64,
    /// How good the evidence has to be.
    pub(super) evidence: Evidence,
    legs: Vec<f64>,
}

/// How good the evidence has to be, given what is known about the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// A plain answer may come early.
    Usual,
    /// Others keep the cores busy: one pair that looks plain may be theirs.
    Disturbed,
}

impl Probe {
    /// A probe that has measured nothing.
    pub(super) fn new(direction: Direction, base: usize, candidate: usize, allowance: f64, evidence: Evidence) -> Self {
        Self { direction, base, candidate, allowance, evidence, legs: Vec::new() }
    }

    /// The size to measure next.
    pub(super) fn size(&self) -> usize {
        if matches!(self.legs.len() % 4, 1 | 2) { self.candidate } else { self.base }
    }

    /// Takes one leg's throughput and says what is known.
    pub(super) fn push(&mut self, ops_s: f64) -> Answer {
        self.legs.push(ops_s.max(1e-9).ln());
        if self.legs.len() % 2 == 1 {
            return Answer::Open;
        }
        let ratios: Vec<f64> = self
            .legs
            .chunks_exact(2)
            .enumerate()
            .map(|(pair, legs)| if pair % 2 == 0 { legs[1] - legs[0] } else { legs[0] - legs[1] })
            .collect();
        self.judge(&ratios)
    }

    fn judge(&self, ratios: &[f64]) -> Answer {
        let mean = sample::trimmed_mean(ratios, TRIM);
        // A candidate that is plainly worse is not measured for the sake of statistics: that is throughput lost.
        let hopeless = [-0.15, -0.08, -0.05][ratios.len().min(3) - 1];
        if mean < hopeless {
            return Answer::No(mean);
        }
        // Nor is one that is plainly better kept waiting, unless it is a neighbour's doing.
        if mean > -hopeless && self.evidence == Evidence::Usual {
            return Answer::Yes(mean);
        }
        if ratios.len() < LEAST_PAIRS {
            return Answer::Open;
        }
        let error = sample::trimmed_std_error(ratios, TRIM);
        let last = ratios.len() >= MOST_PAIRS;
        match self.direction {
            Direction::Up if mean - SURE * error > 0.015 => Answer::Yes(mean),
            Direction::Up if mean + error < 0.015 || last => Answer::No(mean),
            Direction::Down if mean + error < -self.allowance => Answer::No(mean),
            Direction::Down if mean > -self.allowance && (error < 0.015 || last) => Answer::Yes(mean),
            Direction::Down if last => Answer::No(mean),
            _ => Answer::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::Rng;

    /// Runs a probe of a candidate that is `gain` better, with noise, and returns the answer and the legs it took.
    fn run(direction: Direction, gain: f64, noise: f64, seed: u64) -> (bool, usize) {
        let mut rng = Rng::new(seed);
        let mut probe = Probe::new(direction, 4, 6, 0.01, Evidence::Usual);
        for leg in 1..=2 * MOST_PAIRS {
            let truth = if probe.size() == probe.candidate { 1.0 + gain } else { 1.0 };
            match probe.push(100.0 * truth * (1.0 + noise * rng.normal())) {
                Answer::Open => {}
                Answer::Yes(_) => return (true, leg),
                Answer::No(_) => return (false, leg),
            }
        }
        panic!("the probe did not end");
    }

    #[test]
    fn clear_answers_come_early() {
        assert_eq!(run(Direction::Up, 0.4, 0.01, 1), (true, 2));
        assert_eq!(run(Direction::Up, 0.04, 0.005, 1), (true, 6));
        assert_eq!(run(Direction::Up, -0.3, 0.01, 1), (false, 2));
        assert_eq!(run(Direction::Down, 0.0, 0.005, 1), (true, 6));
        assert_eq!(run(Direction::Down, -0.2, 0.01, 1), (false, 2));
    }

    #[test]
    fn noise_seldom_fools_it() {
        let grown = (0..200).filter(|&seed| run(Direction::Up, 0.0, 0.03, seed).0).count();
        assert!(grown < 30, "grew {grown} times of 200 for nothing");
        let shrunk = (0..200).filter(|&seed| run(Direction::Down, -0.05, 0.03, seed).0).count();
        assert!(shrunk < 30, "gave up 5 % {shrunk} times of 200");
    }
}
