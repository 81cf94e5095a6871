//! Medians, percentiles and ratios.

/// The middle of the values, or the mean of the two in the middle; `None` if there are none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[middle - 1], upper))
}

/// The smallest value that at least the share `rank` (0 to 1) of the values do not exceed;
/// `None` if there are none.
pub(crate) fn percentile(values: &[f64], rank: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (rank * sorted.len() as f64).ceil() as usize;
    sorted.get(place.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// First of each pair over the second. Pairs without a sensible ratio (the second is not above
/// zero, or the first is below) are left out.
pub(crate) fn ratios(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs.iter().filter(|(a, b)| *a >= 0.0 && *b > 0.0).map(|(a, b)| a / b).collect()
}

/// Smallest and largest; `None` if there are none.
pub(crate) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let low = values.iter().copied().min_by(f64::total_cmp)?;
    let high = values.iter().copied().max_by(f64::total_cmp)?;
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 9.0, 1.0, 2.0]), Some(3.0));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (rank, expected) in [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert_eq!(percentile(&values, rank), Some(expected), "{rank}");
        }
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
    }

    #[test]
    fn ratios_leave_out_what_has_none() {
        let pairs = [(6.0, 3.0), (1.0, 0.0), (0.0, 0.0), (0.0, 2.0), (2.0, -1.0), (-1.0, 1.0)];
        assert_eq!(ratios(&pairs), [2.0, 0.0]);
        assert_eq!(range(&[2.0, 0.5, 1.0]), Some((0.5, 2.0)));
        assert_eq!(range(&[]), None);
    }
}
