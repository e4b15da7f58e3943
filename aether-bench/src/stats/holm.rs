//! Several tests at once without several chances of a false alarm (Holm, 1979).
//!
//! *Invariant:* the chance that any true null is rejected stays at `alpha`, however many sizes were compared.

/// Which of the hypotheses are rejected, in the order given.
pub fn reject(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut rejected = vec![false; p_values.len()];
    for (rank, &index) in order.iter().enumerate() {
        if p_values[index] > alpha / (p_values.len() - rank) as f64 {
            break; // Step down: whoever comes after the first survivor survives too.
        }
        rejected[index] = true;
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::reject;

    #[test]
    fn steps_down_and_stops_at_the_first_survivor() {
        assert_eq!(reject(&[0.01, 0.04, 0.03, 0.005], 0.05), [true, false, false, true]);
        assert_eq!(reject(&[0.04], 0.05), [true]);
        assert!(reject(&[], 0.05).is_empty());
    }
}
