//! Student's t and the normal distribution: what a handful of rounds can prove.
//!
//! *Invariant:* results lie in [0, 1] (probabilities) and are accurate to 1e-6, far beyond what measurements need.

/// P(T ≤ t) for Student's t with `df` degrees of freedom.
pub fn t_cdf(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return if t > 0.0 { 1.0 } else { 0.0 };
    }
    let tail = 0.5 * incomplete_beta(df / (df + t * t), df / 2.0, 0.5);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The t that `p` (in (0.5, 1)) of the distribution lies below.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e4);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if t_cdf(middle, df) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// P(Z ≤ z) for the standard normal.
pub fn normal_cdf(z: f64) -> f64 {
    // A t with a million degrees of freedom differs from the normal by less than 1e-6.
    t_cdf(z, 1e6)
}

/// One-sided p value of "the mean is below zero" (a paired t test on log ratios).
pub fn p_mean_below_zero(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let error = super::sample::std_error(values);
    let centre = super::sample::mean(values);
    if error.is_nan() {
        return 1.0;
    }
    if error == 0.0 {
        return if centre < 0.0 { 0.0 } else { 1.0 };
    }
    t_cdf(centre / error, count - 1.0)
}

/// Regularised incomplete beta function by Lentz's continued fraction (DLMF 8.17.22).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast only on this side; the other follows by symmetry.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    front * beta_fraction(x, a, b) / a
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut upper = 1.0;
    let mut lower = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = lower;
    for step in 1..=500_u32 {
        let step = f64::from(step);
        let twice = a + 2.0 * step;
        let even = step * (b - step) * x / ((twice - 1.0) * twice);
        let odd = -(a + step) * (a + b + step) * x / (twice * (twice + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            lower = 1.0 / nonzero(1.0 + numerator * lower);
            upper = nonzero(1.0 + numerator / upper);
            change = upper * lower;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// ln Γ(x) for x > 0 (Lanczos, g = 7, n = 9).
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        let pi = std::f64::consts::PI;
        return pi.ln() - (pi * x).sin().ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    for (index, coefficient) in COEFFICIENTS.iter().enumerate() {
        sum += coefficient / (x + index as f64 + 1.0);
    }
    let base = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * base.ln() - base + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the printed t table.
    #[test]
    fn quantiles_match_the_table() {
        for (df, expected) in [(1.0, 12.706), (4.0, 2.776), (7.0, 2.365), (30.0, 2.042)] {
            let got = t_quantile(0.975, df);
            assert!((got - expected).abs() < 1e-3, "df {df}: {got} instead of {expected}");
        }
    }

    #[test]
    fn normal_matches_the_table() {
        for (z, expected) in [(0.0, 0.5), (1.96, 0.975), (-1.0, 0.158_655)] {
            assert!((normal_cdf(z) - expected).abs() < 1e-5);
        }
        assert!((t_cdf(f64::NEG_INFINITY, 3.0)).abs() < 1e-12);
    }

    #[test]
    fn a_clear_slowdown_has_a_small_p_and_noise_has_not() {
        let slower = [-0.10, -0.09, -0.11, -0.10, -0.12, -0.08, -0.10, -0.09];
        let noise = [0.02, -0.03, 0.01, -0.01, 0.02, -0.02, 0.03, -0.01];
        assert!(p_mean_below_zero(&slower) < 1e-4);
        assert!(p_mean_below_zero(&noise) > 0.2);
        assert!((p_mean_below_zero(&[-0.5]) - 1.0).abs() < 1e-12, "one pair proves nothing");
    }
}
