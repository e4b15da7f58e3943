//! The shape of a curve: its peak, the size to recommend, and the cliff behind it.
//!
//! Every statement is about a *ratio to the peak* with an interval, taken within blocks. The peak's throughput is the
//! mean over its plateau (the sizes within 2 % of the best): the largest of ten noisy numbers is too large by itself.
//!
//! *Invariant:* never a cliff at or below the peak, and never a recommendation above it.

use serde::{Deserialize, Serialize};

use super::fits;
use super::point::Point;
use crate::stats::{Estimate, bootstrap, sample};

/// The recommended size must be shown to reach this share of the peak.
pub const ENOUGH: f64 = 0.97;
/// Past a cliff, throughput is shown to be at most this share of the peak.
pub const CLIFF: f64 = 0.80;
/// Sizes within this share of the best belong to the peak's plateau.
const PLATEAU: f64 = 0.98;

/// The size with the highest throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Threads.
    pub n: usize,
    /// Tasks per second there.
    pub ops_s: Estimate,
}

/// How sure a recommendation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Every smaller size is shown to be too slow.
    Proven,
    /// A smaller size may do as well: the measurement could not tell.
    Inconclusive,
}

/// How many threads to use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommended {
    /// Threads.
    pub n: usize,
    /// How it was chosen.
    pub rule: String,
    /// How sure that is.
    pub status: Status,
}

/// Whether a larger size agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// The next larger size is past the cliff too.
    Confirmed,
    /// It is the largest size that was measured.
    Suspected,
}

/// Where more threads do harm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cliff {
    /// The first size past the edge.
    pub n: usize,
    /// Share of the peak's throughput that is lost past it, at worst (0 to 1).
    pub severity: f64,
    /// Throughput at `n` over the peak's.
    pub ratio: Estimate,
    /// Whether a larger size agrees.
    pub confirmation: Confirmation,
}

/// What was read off a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The best size.
    pub peak: Peak,
    /// Throughput of every point over the peak's, in the points' order.
    pub ratios: Vec<Estimate>,
    /// The size to use.
    pub recommended: Recommended,
    /// Where more threads do harm, if anywhere.
    pub cliff: Option<Cliff>,
}

/// Reads a curve; `None` if it has no point with a throughput.
pub fn read(points: &[Point]) -> Option<Shape> {
    let best = points
        .iter()
        .filter(|point| point.ops_s.est > 0.0)
        .max_by(|left, right| left.ops_s.est.total_cmp(&right.ops_s.est))?;
    let plateau: Vec<&Point> = points.iter().filter(|point| point.ops_s.est >= PLATEAU * best.ops_s.est).collect();
    let ratios: Vec<Estimate> = points.iter().map(|point| ratio_to_plateau(point, &plateau)).collect();
    let recommended = recommend(points, &ratios, best.n);
    let cliff = find_cliff(points, &ratios, best.n);
    Some(Shape { peak: Peak { n: best.n, ops_s: best.ops_s }, ratios, recommended, cliff })
}

/// Throughput over the plateau's, block by block where both were measured in the same one.
fn ratio_to_plateau(point: &Point, plateau: &[&Point]) -> Estimate {
    let reference = |block: u32| {
        let present: Vec<f64> = plateau.iter().filter_map(|other| other.in_block(block)).collect();
        (!present.is_empty()).then(|| sample::mean(&present))
    };
    let paired: (Vec<f64>, Vec<f64>) =
        point.rounds.iter().filter_map(|round| Some((round.ops_s, reference(round.block)?))).unzip();
    if paired.0.len() >= 3 {
        return bootstrap::ratio(&paired.0, &paired.1);
    }
    let all: Vec<f64> = plateau.iter().flat_map(|other| other.values()).collect();
    bootstrap::unpaired_log_ratio(&point.values(), &all).map(f64::exp)
}

fn recommend(points: &[Point], ratios: &[Estimate], peak: usize) -> Recommended {
    let smallest = |enough: fn(&Estimate) -> bool| {
        let mut sizes = points.iter().zip(ratios).filter(|(point, _)| point.n <= peak);
        sizes.find(|(_, ratio)| enough(ratio)).map(|(point, _)| point.n)
    };
    let proven = smallest(|ratio| ratio.lo >= ENOUGH);
    // Where noise hides every lower bound, the estimates are still a better guess than the luckiest size.
    let n = proven.or_else(|| smallest(|ratio| ratio.est >= ENOUGH)).unwrap_or(peak);
    let open = points.iter().zip(ratios).any(|(point, ratio)| point.n < n && ratio.hi >= ENOUGH);
    let percent = 100.0 * ENOUGH;
    if proven.is_some() && !open {
        let rule = format!("smallest n whose lower bound is at least {percent:.0} % of the peak");
        return Recommended { n, rule, status: Status::Proven };
    }
    let modelled = by_model(points, ratios, proven.unwrap_or(peak));
    let what = if modelled.is_some() { "fitted curve" } else { "estimate" };
    let rule = format!("smallest n not shown to be slower whose {what} is at least {percent:.0} % of the peak");
    Recommended { n: modelled.unwrap_or(n), rule, status: Status::Inconclusive }
}

/// The smallest size up to `most`, not shown to be too slow, that the model of the whole curve puts near its peak. Of
/// ten sizes on a plateau the largest is often the luckiest, and a lower bound that is high by chance looks proven.
fn by_model(points: &[Point], ratios: &[Estimate], most: usize) -> Option<usize> {
    let smoothed = fits::smoothed(points)?;
    let highest = smoothed.iter().copied().fold(0.0, f64::max);
    let enough = |(index, point): &(usize, &Point)| {
        point.n <= most && ratios[*index].hi >= ENOUGH && smoothed[*index] >= ENOUGH * highest
    };
    points.iter().enumerate().find(enough).map(|(_, point)| point.n)
}

fn find_cliff(points: &[Point], ratios: &[Estimate], peak: usize) -> Option<Cliff> {
    let mut past = points.iter().zip(ratios).filter(|(point, _)| point.n > peak).peekable();
    while let Some((point, ratio)) = past.next() {
        if ratio.hi > CLIFF || ratio.hi.is_nan() {
            continue;
        }
        let confirmation = match past.peek() {
            None => Confirmation::Suspected,
            Some((_, next)) if next.hi <= CLIFF => Confirmation::Confirmed,
            Some(_) => continue, // A single low point between high ones is a disturbed one.
        };
        let lowest = past.map(|(_, later)| later.est).fold(ratio.est, f64::min);
        let severity = (1.0 - lowest).clamp(0.0, 1.0);
        return Some(Cliff { n: point.n, severity, ratio: *ratio, confirmation });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::point::synthetic::{LADDER, curve};
    use super::*;

    fn shape(noise: f64, seed: u64, truth: impl Fn(f64) -> f64) -> Shape {
        read(&curve(&LADDER, noise, seed, truth)).expect("the curve has points")
    }

    #[test]
    fn a_plateau_recommends_its_beginning() {
        let shape = shape(0.003, 1, |n| (98.0 * n).min(196.0));
        assert_eq!(shape.recommended.n, 2);
        assert_eq!(shape.recommended.status, Status::Proven);
        assert_eq!(shape.cliff, None);
    }

    #[test]
    fn a_fall_after_the_peak_is_a_cliff_with_its_severity() {
        let truth = |n: f64| {
            if n <= 8.0 { 100.0 * n } else { 800.0 * (8.0 / n).powf(0.7) }
        };
        let cliff = shape(0.01, 2, truth).cliff.expect("throughput halves");
        assert_eq!(cliff.n, 12);
        assert_eq!(cliff.confirmation, Confirmation::Confirmed);
        assert!((cliff.severity - (1.0 - 0.25_f64.powf(0.7))).abs() < 0.03, "{}", cliff.severity);
    }

    #[test]
    fn a_fall_at_the_last_size_is_only_suspected() {
        let truth = |n: f64| if n < 32.0 { 100.0 * n } else { 1_000.0 };
        let cliff = shape(0.005, 3, truth).cliff.expect("the last size is slow");
        assert_eq!((cliff.n, cliff.confirmation), (32, Confirmation::Suspected));
    }

    #[test]
    fn one_disturbed_size_is_no_cliff() {
        let truth = |n: f64| {
            if (n - 12.0).abs() < 0.5 { 300.0 } else { 800.0_f64.min(100.0 * n) }
        };
        assert_eq!(shape(0.005, 4, truth).cliff, None);
    }

    #[test]
    fn noise_never_puts_a_cliff_below_the_peak_or_a_recommendation_above_it() {
        for seed in 0..200 {
            let shape = shape(0.15, seed, |n| 100.0 * n / (1.0 + 0.05 * (n - 1.0)));
            assert!(shape.recommended.n <= shape.peak.n, "seed {seed}");
            assert!(shape.cliff.is_none_or(|cliff| cliff.n > shape.peak.n), "seed {seed}");
        }
    }

    /// On a machine that others use: single sizes are off by a tenth, and the curve as a whole still has its knee.
    #[test]
    fn noise_seldom_moves_the_recommendation_off_the_knee() {
        let near = |truth: fn(f64) -> f64, sizes: std::ops::RangeInclusive<usize>| {
            (0..100).filter(|&seed| sizes.contains(&shape(0.15, seed, truth).recommended.n)).count()
        };
        let six = near(|n| (100.0 * n).min(600.0), 4..=8);
        let three = near(|n| (100.0 * n).min(300.0), 2..=4);
        assert!(six >= 85 && three >= 85, "{six} and {three} of 100");
    }

    #[test]
    fn what_a_noisy_measurement_cannot_tell_is_inconclusive() {
        let noisy = shape(0.08, 5, |n| (100.0 * n).min(400.0));
        assert_eq!(noisy.recommended.status, Status::Inconclusive);
        assert!(read(&[]).is_none());
    }
}
