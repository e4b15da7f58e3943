//! Summaries of a handful of numbers.
//!
//! *Invariant:* total on every slice: an empty one gives NaN, which no comparison mistakes for a result.

/// Arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation (n − 1).
pub fn std_dev(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Standard error of the mean.
pub fn std_error(values: &[f64]) -> f64 {
    std_dev(values) / (values.len() as f64).sqrt()
}

/// The quantile `q` in [0, 1], interpolated (Hyndman and Fan's type 7, the default of R and `NumPy`).
pub fn quantile(values: &[f64], q: f64) -> f64 {
    quantile_of_sorted(&sorted(values), q)
}

/// As [`quantile`], of numbers already in order.
pub fn quantile_of_sorted(ordered: &[f64], q: f64) -> f64 {
    let Some(last) = ordered.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = crate::num::floor_index(position).min(last);
    let above = (below + 1).min(last);
    ordered[below] + (ordered[above] - ordered[below]) * (position - below as f64)
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The mean without the lowest and the highest `share` of the values, at least one of each from five values on.
///
/// A round that a neighbour disturbed is an outlier in one direction; the mean would follow it, the median would
/// throw away most of what five rounds can tell.
pub fn trimmed_mean(values: &[f64], share: f64) -> f64 {
    let ordered = sorted(values);
    let wanted = crate::num::floor_index(ordered.len() as f64 * share + 1e-9);
    let cut = if ordered.len() < 5 { 0 } else { wanted.max(1) };
    mean(&ordered[cut..ordered.len() - cut])
}

/// Standard error of the [`trimmed_mean`] (Tukey and `McLaughlin`, 1963: Winsorised deviation over the kept share).
pub fn trimmed_std_error(values: &[f64], share: f64) -> f64 {
    let mut ordered = sorted(values);
    let count = ordered.len();
    let wanted = crate::num::floor_index(count as f64 * share + 1e-9);
    let cut = if count < 5 { 0 } else { wanted.max(1) };
    if count < 2 || 2 * cut >= count {
        return f64::NAN;
    }
    let (low, high) = (ordered[cut], ordered[count - 1 - cut]);
    for value in &mut ordered {
        *value = value.clamp(low, high);
    }
    let kept = 1.0 - 2.0 * cut as f64 / count as f64;
    std_dev(&ordered) / (kept * (count as f64).sqrt())
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut ordered = values.to_vec();
    ordered.sort_by(f64::total_cmp);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_like_numpy() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert!((median(&values) - 2.5).abs() < 1e-12);
        assert!((quantile(&values, 0.25) - 1.75).abs() < 1e-12);
        assert!((quantile(&values, 1.0) - 4.0).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn one_disturbed_round_in_five_moves_the_trimmed_mean_little() {
        let values = [10.0, 10.1, 9.9, 10.0, 3.0];
        assert!((trimmed_mean(&values, 0.2) - 9.966).abs() < 0.01);
        assert!((mean(&values) - 8.6).abs() < 1e-9);
    }

    #[test]
    fn deviation_divides_by_n_minus_one() {
        assert!((std_dev(&[1.0, 3.0]) - std::f64::consts::SQRT_2).abs() < 1e-12);
        assert!(std_dev(&[1.0]).is_nan());
        assert!(trimmed_std_error(&[1.0, 2.0, 3.0, 4.0, 5.0, 90.0], 0.2) < 3.0);
    }
}
