//! How sure a ratio of two counters is.

/// The quantile of the normal distribution for an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How many events of weight one tell as much as events of these weights: `(sum w)^2 / sum w^2`.
///
/// (Kish, "Survey Sampling", 1965.) Decay leaves it as it is as long as no event comes: both sides
/// fall alike. `None` where there is no such number.
pub fn effective_sample_size(sum: f64, sum_of_squares: f64) -> Option<f64> {
    let size = sum * sum / sum_of_squares;
    (sum_of_squares > 0.0 && size.is_finite()).then_some(size)
}

/// The lower end of Wilson's score interval, 95 %, of a proportion that was seen in a sample of this
/// size: what the proportion is at least, in all likelihood. From 0 to `proportion`.
///
/// With p the proportion, n the sample size and z = 1.96:
/// `(p + z^2/2n - z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)`
/// (Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927).
/// A proportion outside 0 to 1 is taken for the nearer end.
pub fn wilson_lower_bound(proportion: f64, sample_size: f64) -> f64 {
    let (p, n) = (proportion.clamp(0.0, 1.0), sample_size);
    let middle = p + Z * Z / (2.0 * n);
    let width = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle - width) / (1.0 + Z * Z / n)).clamp(0.0, p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_one_make_a_sample_of_their_number_and_others_a_smaller_one() {
        assert_eq!(effective_sample_size(100.0, 100.0), Some(100.0));
        assert_eq!(effective_sample_size(0.5 + 0.25, 0.25 + 0.0625), Some(1.8));
        assert_eq!(effective_sample_size(1.0, 0.0), None);
        assert_eq!(effective_sample_size(f64::MAX, 1.0), None);
    }

    #[test]
    fn the_bound_is_wilsons() {
        // By hand, and as the tables have it: 8 of 10 are at least 49.0 %, 0 of 10 at least 0 %.
        assert!((wilson_lower_bound(0.8, 10.0) - 0.490_162_5).abs() < 1e-6, "{}", wilson_lower_bound(0.8, 10.0));
        assert!((wilson_lower_bound(1.0, 1.0) - 0.206_549_3).abs() < 1e-6, "{}", wilson_lower_bound(1.0, 1.0));
        assert_eq!(wilson_lower_bound(0.0, 10.0), 0.0);
        assert_eq!(wilson_lower_bound(-0.5, 10.0), 0.0);
        assert_eq!(wilson_lower_bound(7.0, 10.0), wilson_lower_bound(1.0, 10.0));
    }

    #[test]
    fn a_larger_sample_comes_nearer() {
        let bounds = [1.0, 10.0, 1e3, 1e6, 1e12].map(|size| wilson_lower_bound(0.3, size));
        assert!(bounds.is_sorted() && bounds[4] > 0.299_99 && bounds[4] <= 0.3, "{bounds:?}");
    }
}
