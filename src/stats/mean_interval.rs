//! The mean of a sample with Student's t interval.

use super::description::{check_finite, finite_or_out_of_range, DescriptionError};
use super::student_t::upper_quantile;
use crate::quantity::Probability;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A sample mean and an interval for the mean of its distribution, both in the unit of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeanInterval {
    /// The arithmetic mean of the sample.
    pub mean: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// The mean and its two-sided t interval, mean ± t(1 − a/2; n − 1)·s/√n with a = `failure_probability` and s²
/// the sample variance with divisor n − 1.
///
/// The interval misses with probability a for normal samples and approximately so for long ones; it is a
/// summary, not a certificate. A constant sample gives an interval of width 0. The t quantile is within 1e-13
/// relative of the exact one for a ≥ 1e-12, in either direction.
///
/// # Errors
/// [`DescriptionError::TooShort`] below two values, [`DescriptionError::Unusable`] for a value that is not
/// finite, [`DescriptionError::OutOfRange`] where the variance or the t quantile has no
/// finite value.
pub fn mean_with_interval(sample: &[f64], failure_probability: Probability) -> Result<MeanInterval, DescriptionError> {
    check_finite(sample, 2)?;
    let n = sample.len() as f64;
    let mean = mean(sample);
    let variance = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half_width = upper_quantile(n - 1.0, 0.5 * failure_probability.get()) * (variance / n).sqrt();
    Ok(MeanInterval {
        mean,
        lower: finite_or_out_of_range(mean - half_width, sample)?,
        upper: finite_or_out_of_range(mean + half_width, sample)?,
    })
}

/// The arithmetic mean of a sample that is not empty. Each value is divided before it is added, relative to the
/// first, so that neither large values overflow nor a common offset costs digits.
pub(super) fn mean(sample: &[f64]) -> f64 {
    let n = sample.len() as f64;
    let offset = sample.first().copied().unwrap_or(0.0);
    offset + sample.iter().map(|value| value / n - offset / n).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;
    use std::f64::consts::PI;

    fn interval(sample: &[f64], a: f64) -> Result<MeanInterval, DescriptionError> {
        mean_with_interval(sample, Probability::new(a).unwrap())
    }

    #[test]
    fn two_observations_have_the_interval_found_by_hand() {
        // s/√n = √2/√2 = 1 and t(0.975; 1) = tan(0.475 π).
        let found = interval(&[1.0, 3.0], 0.05).unwrap();
        let half_width = (0.475 * PI).tan();
        assert!((found.mean - 2.0).abs() < 1e-15);
        assert!((found.lower - (2.0 - half_width)).abs() < 1e-12 && (found.upper - (2.0 + half_width)).abs() < 1e-12);
    }

    #[test]
    fn a_constant_sample_has_an_interval_of_no_width() {
        let found = interval(&[0.1; 7], 0.05).unwrap();
        assert!(found.upper <= found.lower && (found.mean - 0.1).abs() <= 0.0);
    }

    #[test]
    fn samples_without_an_interval_are_explained() {
        assert_eq!(interval(&[1.0], 0.05), Err(DescriptionError::TooShort { needed: 2, found: 1 }));
        assert!(matches!(interval(&[1.0, f64::NAN], 0.05), Err(DescriptionError::Unusable { index: 1, .. })));
        assert!(matches!(interval(&[f64::MAX, -f64::MAX], 0.05), Err(DescriptionError::OutOfRange { .. })));
    }

    #[test]
    fn extreme_failure_probabilities_widen_the_interval_and_end() {
        for size in [2, 3, 4, 11, 400, 6000] {
            let sample: Vec<f64> = (0..size).map(f64::from).collect();
            for a in [0.999, 1e-3, 1e-30, 1e-300] {
                if let Ok(found) = interval(&sample, a) {
                    assert!(found.lower <= found.mean && found.mean <= found.upper, "{size} values at {a:e}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_interval_moves_and_scales_with_the_sample(
            sample in prop::collection::vec(-1.0..1.0f64, 2..30), unit in 0.1..10.0f64, offset in -5.0..5.0f64,
        ) {
            let moved: Vec<f64> = sample.iter().map(|value| unit * value + offset).collect();
            let (one, other) = (interval(&sample, 0.05).unwrap(), interval(&moved, 0.05).unwrap());
            for (a, b) in [(one.mean, other.mean), (one.lower, other.lower), (one.upper, other.upper)] {
                prop_assert!((unit * a + offset - b).abs() < 1e-11 * (1.0 + b.abs()));
            }
        }
    }
}
