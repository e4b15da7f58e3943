//! Two models of a curve: the Universal Scalability Law, and a straight line that hits a ceiling.
//!
//! X(n) = λn / (1 + σ(n − 1) + κn(n − 1)) (Gunther, "Guerrilla Capacity Planning", 2007). With y = n / X it is linear
//! in (1/λ, σ/λ, κ/λ), so the least relative error is three equations and no search. It describes a curve and explains
//! it; it is no oracle: on min(98n, 196) it puts the peak at 17 threads instead of 2. So the ceiling competes with it
//! (corrected Akaike criterion), and a poor fit predicts nothing.
//!
//! *Invariant:* σ, κ ≥ 0; no peak is predicted by a fit whose error exceeds 5 %.

use serde::{Deserialize, Serialize};

use super::point::Point;
use crate::stats::rng::Rng;
use crate::stats::{Estimate, bootstrap};

/// Above this error a fit describes, but predicts nothing.
pub(super) const TRUSTED_ERROR: f64 = 0.05;
const RESAMPLES: usize = 400;

/// The Universal Scalability Law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usl {
    /// λ: tasks per second of one thread.
    pub lambda: f64,
    /// σ: contention, the share of the work that only one thread does at a time.
    pub sigma: Estimate,
    /// κ: coherency, the cost of each pair of threads.
    pub kappa: Estimate,
    /// Root mean square of the relative errors.
    pub error: f64,
    /// √((1 − σ) / κ): where the law puts the peak; `None` if it has none or the error is over 5 %.
    pub peak: Option<f64>,
}

/// min(per-thread rate · n, cap).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Tasks per second of one thread, below the ceiling.
    pub per_thread: f64,
    /// Tasks per second at the ceiling.
    pub cap: f64,
    /// Root mean square of the relative errors.
    pub error: f64,
}

/// Which model explains the curve with the fewest parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// The Universal Scalability Law.
    Usl,
    /// The line with a ceiling.
    Ceiling,
}

/// Both models and the choice between them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fits {
    /// The Universal Scalability Law.
    pub usl: Usl,
    /// The line with a ceiling.
    pub ceiling: Ceiling,
    /// The lower corrected Akaike criterion.
    pub chosen: Model,
    /// By how much it is lower: below 2 the data do not really choose.
    pub delta_aicc: f64,
}

/// Throughput by size, where there are enough sizes: three parameters explain any four.
fn observations(points: &[Point]) -> Option<Vec<(f64, f64)>> {
    let data: Vec<(f64, f64)> =
        points.iter().filter(|point| point.ops_s.est > 0.0).map(|point| (point.n as f64, point.ops_s.est)).collect();
    (data.len() >= 5).then_some(data)
}

/// Throughput at every size as the better model has it: what one size's noise hides, all of them show together.
pub(super) fn smoothed(points: &[Point]) -> Option<Vec<f64>> {
    let data = observations(points)?;
    let (law, ceiling) = (Law::fit(&data)?, fit_ceiling(&data)?);
    let by_law = aicc(&data, 3, |n| law.at(n)) < aicc(&data, 2, |n| ceiling.at(n));
    let sizes = points.iter().map(|point| point.n as f64);
    Some(sizes.map(|n| if by_law { law.at(n) } else { ceiling.at(n) }).collect())
}

/// Fits both models; `None` below five points.
pub fn fit(points: &[Point]) -> Option<Fits> {
    let data = observations(points)?;
    let law = Law::fit(&data)?;
    let ceiling = fit_ceiling(&data)?;
    let (sigma, kappa) = intervals(points, &law);
    let error = rms(&data, |n| law.at(n));
    let peak = law.peak().filter(|_| error <= TRUSTED_ERROR);
    let (of_usl, of_ceiling) = (aicc(&data, 3, |n| law.at(n)), aicc(&data, 2, |n| ceiling.at(n)));
    Some(Fits {
        usl: Usl { lambda: law.lambda, sigma, kappa, error, peak },
        ceiling,
        chosen: if of_usl < of_ceiling { Model::Usl } else { Model::Ceiling },
        delta_aicc: (of_usl - of_ceiling).abs(),
    })
}

impl Usl {
    /// The law's throughput at `n` threads.
    pub fn at(&self, n: f64) -> f64 {
        Law { lambda: self.lambda, sigma: self.sigma.est, kappa: self.kappa.est }.at(n)
    }
}

impl Ceiling {
    /// The model's throughput at `n` threads.
    pub fn at(&self, n: f64) -> f64 {
        (self.per_thread * n).min(self.cap)
    }
}

#[derive(Clone, Copy, Debug)]
struct Law {
    lambda: f64,
    sigma: f64,
    kappa: f64,
}

impl Law {
    fn at(&self, n: f64) -> f64 {
        self.lambda * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    fn peak(&self) -> Option<f64> {
        (self.kappa > 1e-9 && self.sigma < 1.0).then(|| ((1.0 - self.sigma) / self.kappa).sqrt())
    }

    /// Least squares of the relative error of n / X, σ and κ kept from going negative by trying every subset.
    fn fit(data: &[(f64, f64)]) -> Option<Self> {
        let rows: Vec<[f64; 3]> =
            data.iter().map(|&(n, x)| [x / n, x / n * (n - 1.0), x / n * n * (n - 1.0)]).collect();
        let subsets: [&[usize]; 4] = [&[0, 1, 2], &[0, 1], &[0, 2], &[0]];
        let feasible = subsets.iter().filter_map(|columns| {
            let solution = least_squares_to_one(&rows, columns)?;
            let valid = solution[0] > 0.0 && solution[1] >= 0.0 && solution[2] >= 0.0;
            valid.then_some(solution)
        });
        let residual = |solution: &[f64; 3]| -> f64 {
            let off = |row: &[f64; 3]| 1.0 - (0..3).map(|i| row[i] * solution[i]).sum::<f64>();
            rows.iter().map(|row| off(row).powi(2)).sum()
        };
        let best = feasible.min_by(|left, right| residual(left).total_cmp(&residual(right)))?;
        Some(Self { lambda: 1.0 / best[0], sigma: best[1] / best[0], kappa: best[2] / best[0] })
    }
}

/// Solves min Σ (1 − row · s)² over the chosen columns, the others zero (normal equations, Gaussian elimination).
fn least_squares_to_one(rows: &[[f64; 3]], columns: &[usize]) -> Option<[f64; 3]> {
    let size = columns.len();
    let mut matrix = vec![vec![0.0; size + 1]; size];
    for row in rows {
        for (i, &left) in columns.iter().enumerate() {
            for (j, &right) in columns.iter().enumerate() {
                matrix[i][j] += row[left] * row[right];
            }
            matrix[i][size] += row[left];
        }
    }
    for pivot in 0..size {
        let best = (pivot..size).max_by(|&a, &b| matrix[a][pivot].abs().total_cmp(&matrix[b][pivot].abs()))?;
        matrix.swap(pivot, best);
        if matrix[pivot][pivot].abs() < 1e-300 {
            return None;
        }
        let (done, rest) = matrix.split_at_mut(pivot + 1);
        for row in rest {
            let factor = row[pivot] / done[pivot][pivot];
            for column in pivot..=size {
                row[column] -= factor * done[pivot][column];
            }
        }
    }
    let mut solution = [0.0; 3];
    for index in (0..size).rev() {
        let known: f64 = (index + 1..size).map(|j| matrix[index][j] * solution[columns[j]]).sum();
        solution[columns[index]] = (matrix[index][size] - known) / matrix[index][index];
    }
    Some(solution)
}

/// Tries every split into "below the ceiling" and "at it".
fn fit_ceiling(data: &[(f64, f64)]) -> Option<Ceiling> {
    // The least relative error of a constant c over values v: c = Σ 1/v over Σ 1/v².
    let constant =
        |values: &[f64]| values.iter().map(|v| 1.0 / v).sum::<f64>() / values.iter().map(|v| v.powi(-2)).sum::<f64>();
    (1..=data.len())
        .map(|split| {
            let rising: Vec<f64> = data[..split].iter().map(|(n, x)| x / n).collect();
            let flat: Vec<f64> = data[split..].iter().map(|(_, x)| *x).collect();
            let per_thread = constant(&rising);
            let last = data[split - 1].0 * per_thread;
            let cap = if flat.is_empty() { last } else { constant(&flat) };
            let model = Ceiling { per_thread, cap, error: 0.0 };
            Ceiling { error: rms(data, |n| model.at(n)), ..model }
        })
        .min_by(|left, right| left.error.total_cmp(&right.error))
}

/// σ and κ with intervals from refitting on resampled rounds.
fn intervals(points: &[Point], law: &Law) -> (Estimate, Estimate) {
    let rounds = points.iter().map(|point| point.rounds.len()).min().unwrap_or(0);
    if rounds < 2 {
        return (Estimate::unbounded(law.sigma), Estimate::unbounded(law.kappa));
    }
    let mut rng = Rng::new(0x0511);
    let mut draw = |point: &Point| {
        let values = point.values();
        let drawn: Vec<f64> = values.iter().map(|_| values[rng.below(values.len())]).collect();
        (point.n as f64, crate::stats::sample::trimmed_mean(&drawn, bootstrap::TRIM))
    };
    let refits: Vec<Law> =
        (0..RESAMPLES).filter_map(|_| Law::fit(&points.iter().map(&mut draw).collect::<Vec<_>>())).collect();
    let interval = |est: f64, get: fn(&Law) -> f64| {
        let mut values: Vec<f64> = refits.iter().map(get).collect();
        bootstrap::interval(est, &mut values, rounds)
    };
    (interval(law.sigma, |law| law.sigma), interval(law.kappa, |law| law.kappa))
}

fn rms(data: &[(f64, f64)], model: impl Fn(f64) -> f64) -> f64 {
    let squares: f64 = data.iter().map(|&(n, x)| (model(n) / x - 1.0).powi(2)).sum();
    (squares / data.len() as f64).sqrt()
}

/// Akaike's criterion of the log residuals, corrected for few points (Hurvich and Tsai, 1989).
fn aicc(data: &[(f64, f64)], parameters: u32, model: impl Fn(f64) -> f64) -> f64 {
    let count = data.len() as f64;
    // The variance is estimated too: one parameter more.
    let k = f64::from(parameters) + 1.0;
    let squares: f64 = data.iter().map(|&(n, x)| (model(n) / x).ln().powi(2)).sum();
    // Throughput is never known better than to 0.1 %: a perfect fit must not win by digits.
    let variance = (squares / count).max(1e-6);
    let spare = count - k - 1.0;
    let correction = if spare > 0.0 { 2.0 * k * (k + 1.0) / spare } else { f64::INFINITY };
    count * variance.ln() + 2.0 * k + correction
}

#[cfg(test)]
mod tests {
    use super::super::point::synthetic::{LADDER, curve};
    use super::*;

    fn usl(n: f64) -> f64 {
        1_000.0 * n / (1.0 + 0.05 * (n - 1.0) + 0.002 * n * (n - 1.0))
    }

    #[test]
    fn recovers_the_parameters_it_was_drawn_from() {
        let fits = fit(&curve(&LADDER, 0.01, 1, usl)).expect("ten points");
        assert_eq!(fits.chosen, Model::Usl);
        assert!((fits.usl.lambda / 1_000.0 - 1.0).abs() < 0.03, "{fits:?}");
        assert!(fits.usl.sigma.lo <= 0.05 && 0.05 <= fits.usl.sigma.hi, "{fits:?}");
        assert!(fits.usl.kappa.lo <= 0.002 && 0.002 <= fits.usl.kappa.hi, "{fits:?}");
        let peak = fits.usl.peak.expect("the fit is good");
        assert!((peak - 21.8).abs() < 3.0, "{peak}");
    }

    #[test]
    fn a_hard_ceiling_is_not_explained_by_the_law() {
        let fits = fit(&curve(&LADDER, 0.003, 2, |n| (98.0 * n).min(196.0))).expect("ten points");
        assert_eq!(fits.chosen, Model::Ceiling);
        assert_eq!(fits.usl.peak, None, "an error of {} predicts nothing", fits.usl.error);
        assert!((fits.ceiling.cap - 196.0).abs() < 2.0 && fits.ceiling.error < 0.01);
    }

    #[test]
    fn coefficients_never_go_negative() {
        // Super-linear: the unconstrained optimum has σ < 0.
        let fits = fit(&curve(&LADDER, 0.0, 3, |n| n.powf(1.1))).expect("ten points");
        assert!(fits.usl.sigma.est >= 0.0 && fits.usl.kappa.est >= 0.0);
    }

    #[test]
    fn too_few_points_are_not_fitted() {
        assert_eq!(fit(&curve(&LADDER[..4], 0.01, 4, usl)), None);
    }
}
