//! What to measure next: pure decisions over the points measured so far.
//!
//! Every size is measured in every block until each has enough rounds; then sizes are added around the knee and the
//! cliff; then the rounds that are left go where a decision is still open.
//!
//! *Invariant:* terminates: each answer adds rounds to sizes that have fewer than the maximum.

use super::point::Point;
use super::shape::{CLIFF, ENOUGH, Shape};
use crate::stats::rng::Rng;

/// How often sizes are added around the knee.
const REFINEMENTS: u32 = 2;
/// A point is measured until its interval is this narrow (± 2 %).
const PRECISE: f64 = 0.02;

/// 1, 2, 3, 4, 6, 8, 12, 16 … (steps of about 1.4) up to and with `max`.
pub fn ladder(max: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = vec![1];
    let mut power = 2_usize;
    while power <= max {
        sizes.push(power);
        if power / 2 * 3 <= max {
            sizes.push(power / 2 * 3);
        }
        power *= 2;
    }
    sizes.push(max.max(1));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Limits of the plan.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rounds every size gets.
    pub min_rounds: usize,
    /// Rounds no size exceeds.
    pub max_rounds: usize,
}

/// The state of the plan: which sizes exist and how often the grid was refined.
#[derive(Clone, Debug)]
pub struct Plan {
    sizes: Vec<usize>,
    limits: Limits,
    refinements: u32,
    rng: Rng,
}

impl Plan {
    /// A plan over the ladder up to `max_threads`.
    pub fn new(max_threads: usize, limits: Limits) -> Self {
        // The order is shuffled by a constant seed: random enough to break trends, the same when a run is repeated.
        Self { sizes: ladder(max_threads), limits, refinements: 0, rng: Rng::new(0x0B10_C500) }
    }

    /// The sizes of the next block in the order to measure them; empty when nothing is left to find out.
    pub fn next_block(&mut self, points: &[Point], shape: Option<&Shape>) -> Vec<usize> {
        let mut block = self.short_of_rounds(points);
        if block.is_empty() {
            self.refine(shape, points);
            block = self.short_of_rounds(points);
        }
        if block.is_empty() {
            block = shape.map_or_else(Vec::new, |shape| self.undecided(points, shape));
        }
        self.rng.shuffle(&mut block);
        block
    }

    /// Measurements that the plan is sure to ask for, for a progress display.
    pub fn planned_rounds(&self) -> usize {
        self.sizes.len() * self.limits.min_rounds
    }

    fn short_of_rounds(&self, points: &[Point]) -> Vec<usize> {
        let rounds = |n: usize| points.iter().find(|point| point.n == n).map_or(0, |point| point.rounds.len());
        let short = |n: &usize| rounds(*n) < self.limits.min_rounds;
        self.sizes.iter().copied().filter(short).collect()
    }

    /// Halves the gaps on both sides of the recommended size and below the cliff.
    fn refine(&mut self, shape: Option<&Shape>, points: &[Point]) {
        let Some(shape) = shape.filter(|_| self.refinements < REFINEMENTS) else {
            return;
        };
        self.refinements += 1;
        let position = |n: usize| points.iter().position(|point| point.n == n);
        let mut gaps = Vec::new();
        if let Some(at) = position(shape.recommended.n) {
            gaps.extend([(at.checked_sub(1), Some(at)), (Some(at), Some(at + 1))]);
        }
        if let Some(at) = shape.cliff.and_then(|cliff| position(cliff.n)) {
            gaps.push((at.checked_sub(1), Some(at)));
        }
        for (low, high) in gaps {
            let size = |index: Option<usize>| index.and_then(|at| points.get(at)).map(|p| p.n);
            if let (Some(low), Some(high)) = (size(low), size(high)) {
                self.sizes.push(usize::midpoint(low, high));
            }
        }
        self.sizes.sort_unstable();
        self.sizes.dedup();
    }

    /// Points whose interval is wide or straddles a threshold, and the peak they are compared with.
    fn undecided(&self, points: &[Point], shape: &Shape) -> Vec<usize> {
        let straddles = |lo: f64, hi: f64, edge: f64| lo < edge && edge <= hi;
        let open: Vec<usize> = points
            .iter()
            .zip(&shape.ratios)
            .filter(|(point, ratio)| {
                let matters = point.n <= shape.recommended.n && straddles(ratio.lo, ratio.hi, ENOUGH)
                    || point.n > shape.peak.n && straddles(ratio.lo, ratio.hi, CLIFF);
                (matters || point.ops_s.relative_half_width() > PRECISE) && point.rounds.len() < self.limits.max_rounds
            })
            .map(|(point, _)| point.n)
            .collect();
        let with_peak = !open.is_empty() && !open.contains(&shape.peak.n);
        open.into_iter().chain(with_peak.then_some(shape.peak.n)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::Round;
    use super::super::shape;
    use super::*;

    #[test]
    fn the_ladder_has_steps_of_about_one_point_four() {
        assert_eq!(ladder(16), [1, 2, 3, 4, 6, 8, 12, 16]);
        assert_eq!(ladder(10), [1, 2, 3, 4, 6, 8, 10]);
        assert_eq!(ladder(1), [1]);
        assert_eq!(ladder(0), [1]);
    }

    /// Runs the plan on a curve with noise until it has no more questions.
    fn run(noise: f64, truth: impl Fn(f64) -> f64) -> (Vec<Point>, u32) {
        let limits = Limits { min_rounds: 5, max_rounds: 15 };
        let mut plan = Plan::new(32, limits);
        let mut rng = Rng::new(9);
        let mut points: Vec<Point> = Vec::new();
        for block in 0.. {
            let shape = shape::read(&points);
            let sizes = plan.next_block(&points, shape.as_ref());
            if sizes.is_empty() {
                return (points, block);
            }
            for n in sizes {
                let ops_s = truth(n as f64) * (1.0 + noise * rng.normal());
                let old = points.iter().position(|point| point.n == n).map(|at| points.remove(at));
                let mut rounds = old.map_or_else(Vec::new, |point| point.rounds);
                rounds.push(Round { block, ops_s });
                points.push(Point::new(n, rounds));
                points.sort_by_key(|point| point.n);
            }
            assert!(block < 200, "the plan does not end");
        }
        unreachable!("the loop has no end of its own")
    }

    #[test]
    fn refines_around_the_knee_and_ends() {
        let (points, _) = run(0.002, |n| (100.0 * n).min(500.0));
        assert!(points.iter().any(|point| point.n == 5), "the knee lies between 4 and 6");
        assert_eq!(shape::read(&points).expect("measured").recommended.n, 5);
    }

    #[test]
    fn noise_costs_more_rounds_but_not_endless_ones() {
        let (quiet, few) = run(0.001, |n| (100.0 * n).min(400.0));
        let (noisy, many) = run(0.06, |n| (100.0 * n).min(400.0));
        assert!(few < many, "{few} blocks without noise, {many} with");
        assert!(quiet.iter().all(|point| point.rounds.len() == 5));
        assert!(noisy.iter().all(|point| point.rounds.len() <= 60));
    }
}
