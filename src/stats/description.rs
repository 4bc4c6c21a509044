//! Minimum, maximum, median and quantiles of a sample that may contain infinities (margins do).

use crate::quantity::Probability;

/// A sample that has no such summary.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The sample is shorter than the summary needs.
    #[error("the sample has {found} values where at least {needed} are needed")]
    TooShort {
        /// Length that the summary needs.
        needed: usize,
        /// Length of the sample.
        found: usize,
    },
    /// A value is NaN, or infinite where the summary needs finite values.
    #[error("value {index} of the sample is {value}")]
    Unusable {
        /// Position of the first such value, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// All values are the same, so nothing can be correlated with them or explained by them.
    #[error("all {count} values of the sample are {value}")]
    Constant {
        /// The value.
        value: f64,
        /// How often it occurs.
        count: usize,
    },
    /// Paired samples have different lengths.
    #[error("paired samples have {left} and {right} values")]
    LengthsDiffer {
        /// Length of the first sample.
        left: usize,
        /// Length of the second sample.
        right: usize,
    },
    /// The values are finite, but so large, or so close together, that the summary has no finite value.
    #[error("the summary of values between {min} and {max} is not a finite number")]
    OutOfRange {
        /// Smallest value of the sample.
        min: f64,
        /// Largest value of the sample.
        max: f64,
    },
}

/// The smallest value.
///
/// # Errors
/// [`DescriptionError::TooShort`] for an empty sample, [`DescriptionError::Unusable`] for NaN.
pub fn min(sample: &[f64]) -> Result<f64, DescriptionError> {
    check(sample, 1, f64::is_nan)?;
    Ok(sample.iter().copied().fold(f64::INFINITY, f64::min))
}

/// The largest value.
///
/// # Errors
/// [`DescriptionError::TooShort`] for an empty sample, [`DescriptionError::Unusable`] for NaN.
pub fn max(sample: &[f64]) -> Result<f64, DescriptionError> {
    check(sample, 1, f64::is_nan)?;
    Ok(sample.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// The middle value, or the mean of the two middle ones.
///
/// # Errors
/// As for [`quantiles`].
pub fn median(sample: &[f64]) -> Result<f64, DescriptionError> {
    quantile_of_sorted(&sorted(sample)?, 0.5)
}

/// The ⌈n/2⌉-th smallest of n values, so that at least half of them are not below it; none of no value. NaN sorts last.
#[must_use]
pub fn lower_median(mut sample: Vec<f64>) -> Option<f64> {
    sample.sort_by(f64::total_cmp);
    sample.get(sample.len().checked_sub(1)? / 2).copied()
}

/// The quantiles of the given orders, in the same sequence.
///
/// The q-quantile interpolates linearly between the sorted values at position (n − 1)q, counted from 0
/// (type 7 of Hyndman & Fan 1996, as in NumPy and R). A +∞ in the sample counts as its largest value; between a
/// finite value and an infinite one the quantile is the infinite one.
///
/// # Errors
/// [`DescriptionError::TooShort`] for an empty sample, [`DescriptionError::Unusable`] for NaN, or where −∞ and
/// +∞ would have to be interpolated.
pub fn quantiles(sample: &[f64], orders: &[Probability]) -> Result<Vec<f64>, DescriptionError> {
    let sorted = sorted(sample)?;
    orders.iter().map(|order| quantile_of_sorted(&sorted, order.get())).collect()
}

fn sorted(sample: &[f64]) -> Result<Vec<f64>, DescriptionError> {
    check(sample, 1, f64::is_nan)?;
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted)
}

/// The quantile of order q in [0, 1] of ascending values.
fn quantile_of_sorted(sorted: &[f64], q: f64) -> Result<f64, DescriptionError> {
    let position = q * (sorted.len() as f64 - 1.0);
    let weight = position.fract();
    // Not negative, and a sample that is in memory has fewer than 2^53 values.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = position as usize;
    let Some(&below) = sorted.get(index) else {
        return Err(DescriptionError::TooShort { needed: 1, found: sorted.len() });
    };
    let above = sorted.get(index + 1).copied().unwrap_or(below);
    if weight <= 0.0 || below.total_cmp(&above).is_eq() {
        return Ok(below);
    }
    let value = (1.0 - weight) * below + weight * above;
    if value.is_nan() {
        return Err(DescriptionError::Unusable { index, value: below });
    }
    Ok(value)
}

/// Fails on a sample with fewer than `needed` values or with an unusable one.
pub(super) fn check(sample: &[f64], needed: usize, unusable: fn(f64) -> bool) -> Result<(), DescriptionError> {
    if sample.len() < needed {
        return Err(DescriptionError::TooShort { needed, found: sample.len() });
    }
    match sample.iter().position(|&value| unusable(value)) {
        Some(index) => Err(DescriptionError::Unusable { index, value: sample[index] }),
        None => Ok(()),
    }
}

/// [`check`] for summaries that need finite values.
pub(super) fn check_finite(sample: &[f64], needed: usize) -> Result<(), DescriptionError> {
    check(sample, needed, |value| !value.is_finite())
}

/// The summary if it is finite, and otherwise an error that shows the range of the sample.
pub(super) fn finite_or_out_of_range(summary: f64, sample: &[f64]) -> Result<f64, DescriptionError> {
    if summary.is_finite() {
        return Ok(summary);
    }
    Err(DescriptionError::OutOfRange { min: min(sample)?, max: max(sample)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;

    #[test]
    fn the_median_of_an_even_sample_is_the_mean_of_its_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Ok(2.5));
        assert_eq!(median(&[5.0, 1.0, 3.0]), Ok(3.0));
        assert_eq!(median(&[7.0]), Ok(7.0));
    }

    #[test]
    fn quantiles_interpolate_as_numpy_does() {
        // numpy.quantile([15, 20, 35, 40, 50], [0.4, 0.9])
        let orders = [0.4, 0.9].map(|q| Probability::new(q).unwrap());
        let found = quantiles(&[50.0, 15.0, 40.0, 20.0, 35.0], &orders).unwrap();
        assert!((found[0] - 29.0).abs() < 1e-13 && (found[1] - 46.0).abs() < 1e-13, "{found:?}");
    }

    #[test]
    fn infinite_margins_are_the_largest() {
        let margins = [f64::INFINITY, 0.1, 0.2, f64::INFINITY];
        assert!(median(&margins).unwrap().is_infinite());
        assert_eq!(min(&margins), Ok(0.1));
        assert!(max(&margins).unwrap().is_infinite());
        assert!(median(&[f64::NEG_INFINITY, f64::INFINITY]).is_err());
    }

    #[test]
    fn samples_without_a_summary_are_explained() {
        assert_eq!(median(&[]), Err(DescriptionError::TooShort { needed: 1, found: 0 }));
        assert!(matches!(max(&[1.0, f64::NAN]), Err(DescriptionError::Unusable { index: 1, .. })));
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn quantiles_lie_in_the_sample_range_and_rise_with_their_order(
            sample in prop::collection::vec(-1e3..1e3f64, 1..40), q in 0.01..0.5f64, step in 0.0..0.49f64,
        ) {
            let orders = [q, q + step].map(|q| Probability::new(q).unwrap());
            let found = quantiles(&sample, &orders).unwrap();
            let slack = 1e-12;
            prop_assert!(min(&sample).unwrap() <= found[0] + slack && found[0] <= found[1] + slack);
            prop_assert!(found[1] <= max(&sample).unwrap() + slack);
        }
    }
}
