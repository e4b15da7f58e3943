//! Pass, fail, or not known: pure rules over paired log ratios.
//!
//! A cell is one metric at one size. It is *worse* if its interval lies below zero after Holm's correction over all
//! cells, and the loss is at least 5 % and three times what the same program differs from itself. It is *open* if a
//! loss of 5 % cannot be excluded. One worse cell alone is noise more often than not: a neighbouring size has to agree, or
//! it has to be the peak.
//!
//! *Invariant:* FAIL needs two independent measurements to agree ([`combine`]); what is not known is never PASS.

use serde::{Deserialize, Serialize};

use super::case::Metric;
use crate::stats::{Estimate, bootstrap, holm, sample, student};

/// A loss below this is not worth a failed build.
const MATERIAL: f64 = 0.05;
/// …nor is one that the same program shows against itself.
const TIMES_NOISE: f64 = 3.0;
const ALPHA: f64 = 0.05;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No material loss at any size.
    Pass,
    /// A significant and material loss.
    Fail,
    /// The measurement cannot tell.
    Inconclusive,
}

impl Verdict {
    /// The exit code of the command: 0, 1, 3 (2 is an error).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Inconclusive => 3,
        }
    }
}

/// The pairs of one metric at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// The size.
    pub n: usize,
    /// The metric.
    pub metric: Metric,
    /// ln(new / old), one for each pair of runs.
    pub change: Vec<f64>,
    /// ln(same / same): what a side differs from itself in the same blocks.
    pub same: Vec<f64>,
}

/// What a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// A loss of 5 % is excluded.
    Fine,
    /// A material loss is shown.
    Worse,
    /// Neither.
    Open,
}

/// One metric at one size, judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The size.
    pub n: usize,
    /// The metric.
    pub metric: Metric,
    /// ln(new / old).
    pub change: Estimate,
    /// The loss that counts here (positive, in logs).
    pub material: f64,
    /// One-sided p value of "worse".
    pub p: f64,
    /// What it shows.
    pub finding: Finding,
    /// Pairs of runs.
    pub pairs: usize,
}

/// All cells and the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The answer.
    pub verdict: Verdict,
    /// By size and metric.
    pub cells: Vec<Cell>,
}

/// Judges pairs. `peak` is the size at which the old side was best.
pub fn judge(pairs: &[Pairs], peak: Option<usize>) -> Judgement {
    let usable: Vec<&Pairs> = pairs.iter().filter(|cell| !cell.change.is_empty()).collect();
    let p_values: Vec<f64> = usable.iter().map(|cell| student::p_mean_below_zero(&cell.change)).collect();
    let significant = holm::reject(&p_values, ALPHA);
    let mut cells: Vec<Cell> = usable
        .iter()
        .zip(&p_values)
        .zip(significant)
        .map(|((pairs, &p), significant)| {
            let cell = cell(pairs, p);
            let shown = significant && cell.change.hi < 0.0 && cell.change.est <= -cell.material;
            // Noise raises what counts as worse; it does not lower what has to be excluded to call a size fine.
            let finding = match cell.change.lo > -material() {
                _ if shown => Finding::Worse,
                true => Finding::Fine,
                false => Finding::Open,
            };
            Cell { finding, ..cell }
        })
        .collect();
    cells.sort_by_key(|cell| (cell.n, cell.metric));
    Judgement { verdict: verdict(&cells, peak), cells }
}

/// [`MATERIAL`] as a log ratio.
fn material() -> f64 {
    -(-MATERIAL).ln_1p()
}

fn cell(pairs: &Pairs, p: f64) -> Cell {
    let noise = sample::trimmed_std_error(&pairs.same, bootstrap::TRIM);
    let noise = if noise.is_nan() { 0.0 } else { noise };
    Cell {
        n: pairs.n,
        metric: pairs.metric,
        change: bootstrap::estimate(&pairs.change),
        material: material().max(TIMES_NOISE * noise),
        p,
        finding: Finding::Open,
        pairs: pairs.change.len(),
    }
}

fn verdict(cells: &[Cell], peak: Option<usize>) -> Verdict {
    if Metric::ALL.iter().any(|&metric| agrees(cells, metric, peak)) {
        return Verdict::Fail;
    }
    let known = !cells.is_empty() && cells.iter().all(|cell| cell.finding == Finding::Fine);
    if known { Verdict::Pass } else { Verdict::Inconclusive }
}

/// Whether a worse size has a worse neighbour, or is the peak.
fn agrees(cells: &[Cell], metric: Metric, peak: Option<usize>) -> bool {
    let row: Vec<&Cell> = cells.iter().filter(|cell| cell.metric == metric).collect();
    let worse = |cell: &Cell| cell.finding == Finding::Worse;
    row.windows(2).any(|pair| worse(pair[0]) && worse(pair[1]))
        || row.iter().any(|cell| worse(cell) && (Some(cell.n) == peak || row.len() == 1))
}

/// A failure has to be seen twice: in the measurement and in a fresh one.
pub fn combine(first: &Judgement, again: &Judgement) -> Verdict {
    match (first.verdict, again.verdict) {
        (Verdict::Fail, Verdict::Fail) => Verdict::Fail,
        (Verdict::Fail, _) => Verdict::Inconclusive,
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::Rng;

    fn pairs(n: usize, metric: Metric, change: f64, noise: f64, rng: &mut Rng) -> Pairs {
        let mut draw = |centre: f64| (0..8).map(|_| centre + noise * rng.normal()).collect();
        Pairs { n, metric, change: draw(change), same: draw(0.0) }
    }

    /// A measurement of three sizes where CPU and elapsed time change by so much.
    fn measured(cpu: f64, elapsed: f64, noise: f64, rng: &mut Rng) -> Judgement {
        let mut cells = Vec::new();
        for n in [1, 2, 4] {
            cells.push(pairs(n, Metric::Cpu, cpu, noise, rng));
            cells.push(pairs(n, Metric::Elapsed, elapsed, 2.0 * noise, rng));
        }
        judge(&cells, Some(2))
    }

    fn rate(verdict: Verdict, runs: u64, measure: impl Fn(&mut Rng) -> Judgement) -> usize {
        let seen = |seed: u64| {
            let mut rng = Rng::new(seed);
            let first = measure(&mut rng);
            combine(&first, &measure(&mut rng))
        };
        (0..runs).filter(|&seed| seen(seed) == verdict).count()
    }

    #[test]
    fn the_same_program_does_not_fail_against_itself() {
        let failed = rate(Verdict::Fail, 150, |rng| measured(0.0, 0.0, 0.02, rng));
        assert!(failed <= 1, "{failed} false alarms in 150");
        let passed = rate(Verdict::Pass, 100, |rng| measured(0.0, 0.0, 0.01, rng));
        assert!(passed >= 90, "only {passed} of 100 passed");
    }

    #[test]
    fn a_ten_percent_slowdown_is_caught_whether_it_computes_or_blocks() {
        let slow = -0.105;
        let computing = rate(Verdict::Fail, 50, |rng| measured(slow, slow, 0.015, rng));
        assert!(computing >= 45, "{computing} of 50");
        let blocking = rate(Verdict::Fail, 50, |rng| measured(0.0, slow, 0.01, rng));
        assert!(blocking >= 45, "{blocking} of 50");
    }

    #[test]
    fn noise_is_inconclusive_not_a_pass() {
        let mut rng = Rng::new(3);
        assert_eq!(measured(-0.03, -0.03, 0.15, &mut rng).verdict, Verdict::Inconclusive);
        assert_eq!(judge(&[], None).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn one_worse_size_is_not_enough_unless_it_is_the_peak() {
        let mut rng = Rng::new(4);
        let mut cells: Vec<Pairs> = [1, 2, 4].map(|n| pairs(n, Metric::Cpu, 0.0, 0.005, &mut rng)).to_vec();
        cells[2] = pairs(4, Metric::Cpu, -0.2, 0.005, &mut rng);
        assert_eq!(judge(&cells, Some(2)).verdict, Verdict::Inconclusive);
        assert_eq!(judge(&cells, Some(4)).verdict, Verdict::Fail);
    }

    #[test]
    fn a_loss_under_five_percent_passes_when_it_is_known_to_be_one() {
        let mut rng = Rng::new(5);
        let small = measured(-0.02, -0.02, 0.002, &mut rng);
        assert_eq!(small.verdict, Verdict::Pass);
        assert_eq!(Verdict::Fail.exit_code(), 1);
        assert_eq!(Verdict::Inconclusive.exit_code(), 3);
    }
}
