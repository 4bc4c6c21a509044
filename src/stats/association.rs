//! How two paired samples vary together: correlations and a straight line.

use super::description::{check, check_finite, finite_or_out_of_range, DescriptionError};
use super::mean_interval::mean;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The line y = `slope`·x + `intercept`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Change of y per unit of x.
    pub slope: f64,
    /// The value at x = 0, in units of y.
    pub intercept: f64,
}

/// Pearson's correlation coefficient, in [−1, 1]. Accurate to about 1e-15·n, either sign, for samples whose
/// spread is not tiny beside their mean.
///
/// # Errors
/// [`DescriptionError`] for samples of different length, shorter than two, with a value that is not finite, or
/// constant; [`DescriptionError::OutOfRange`] where a spread is too large or too small for a double.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<f64, DescriptionError> {
    check_pairs(x, y)?;
    let (x_centred, y_centred) = (centred(x)?, centred(y)?);
    let correlation = dot(&x_centred.values, &y_centred.values)
        / dot(&x_centred.values, &x_centred.values).sqrt()
        / dot(&y_centred.values, &y_centred.values).sqrt();
    Ok(finite_or_out_of_range(correlation, x)?.clamp(-1.0, 1.0))
}

/// Spearman's rank correlation: [`pearson`] of the ranks, tied values sharing the mean of theirs. Takes
/// infinities.
///
/// # Errors
/// [`DescriptionError`] for samples of different length, shorter than two, with a NaN, or constant.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, DescriptionError> {
    check_lengths(x, y)?;
    for sample in [x, y] {
        check(sample, 2, f64::is_nan)?;
        reject_constant(sample)?;
    }
    pearson(&ranks(x), &ranks(y))
}

/// The line of least squares in y.
///
/// # Errors
/// [`DescriptionError`] for samples of different length, shorter than two, with a value that is not finite, or
/// for a constant x; [`DescriptionError::OutOfRange`] where the line has no finite coefficients.
pub fn least_squares_line(x: &[f64], y: &[f64]) -> Result<Line, DescriptionError> {
    check_pairs(x, y)?;
    let x_centred = centred(x)?;
    let y_mean = mean(y);
    let y_deviation: Vec<f64> = y.iter().map(|value| value - y_mean).collect();
    // Centred x are scaled to at most 1 in size, which keeps their squares in range.
    let scaled = dot(&x_centred.values, &y_deviation) / dot(&x_centred.values, &x_centred.values);
    let slope = finite_or_out_of_range(scaled / x_centred.scale, y)?;
    let intercept = finite_or_out_of_range(y_mean - slope * x_centred.mean, y)?;
    Ok(Line { slope, intercept })
}

/// Deviations from the mean, divided by the largest of them in size.
struct Centred {
    mean: f64,
    scale: f64,
    values: Vec<f64>,
}

fn centred(sample: &[f64]) -> Result<Centred, DescriptionError> {
    reject_constant(sample)?;
    let mean = mean(sample);
    let deviations = sample.iter().map(|value| value - mean);
    let scale = deviations.clone().fold(0.0f64, |largest, value| largest.max(value.abs()));
    if scale <= 0.0 || !scale.is_finite() {
        return finite_or_out_of_range(f64::NAN, sample).map(|_| Centred { mean, scale, values: Vec::new() });
    }
    Ok(Centred { mean, scale, values: deviations.map(|value| value / scale).collect() })
}

fn reject_constant(sample: &[f64]) -> Result<(), DescriptionError> {
    match sample.first() {
        Some(&value) if sample.iter().all(|other| other.partial_cmp(&value).is_some_and(Ordering::is_eq)) => {
            Err(DescriptionError::Constant { value, count: sample.len() })
        }
        _ => Ok(()),
    }
}

fn check_lengths(x: &[f64], y: &[f64]) -> Result<(), DescriptionError> {
    if x.len() == y.len() {
        Ok(())
    } else {
        Err(DescriptionError::LengthsDiffer { left: x.len(), right: y.len() })
    }
}

fn check_pairs(x: &[f64], y: &[f64]) -> Result<(), DescriptionError> {
    check_lengths(x, y)?;
    check_finite(x, 2)?;
    check_finite(y, 2)
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// Ranks from 1; tied values share the mean of the ranks they occupy.
fn ranks(sample: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..sample.len()).collect();
    // Adding 0 turns −0 into 0, which `total_cmp` tells apart.
    let value = |index: usize| sample[index] + 0.0;
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    let mut ranks = vec![0.0; sample.len()];
    let mut first = 0.0;
    for tied in order.chunk_by(|&a, &b| value(a).total_cmp(&value(b)).is_eq()) {
        let shared = first + 0.5 * (tied.len() as f64 + 1.0);
        for &index in tied {
            ranks[index] = shared;
        }
        first += tied.len() as f64;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;

    #[test]
    fn tied_values_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [1.5, 1.5]);
    }

    #[test]
    fn correlations_agree_with_scipy() {
        // scipy 1.17: pearsonr and spearmanr of these two.
        let (x, y) = ([1.0, 2.0, 2.0, 4.0, 7.0], [3.0, 1.0, 4.0, 1.0, 9.0]);
        assert!((pearson(&x, &y).unwrap() - 0.713_737_838_708_414_6).abs() < 1e-14);
        assert!((spearman(&x, &y).unwrap() - 0.289_473_684_210_526_4).abs() < 1e-14);
    }

    #[test]
    fn three_points_have_the_line_of_least_squares_found_by_hand() {
        // x̄ = 1, ȳ = 2, Sxy = 3, Sxx = 2.
        let line = least_squares_line(&[0.0, 1.0, 2.0], &[1.0, 1.0, 4.0]).unwrap();
        assert!((line.slope - 1.5).abs() < 1e-15 && (line.intercept - 0.5).abs() < 1e-15);
        let flat = least_squares_line(&[0.0, 1.0], &[2.0, 2.0]).unwrap();
        assert!(flat.slope.abs() <= 0.0 && (flat.intercept - 2.0).abs() <= 0.0);
    }

    #[test]
    fn samples_that_cannot_be_related_are_explained() {
        let constant = DescriptionError::Constant { value: 5.0, count: 2 };
        assert_eq!(pearson(&[1.0, 2.0], &[5.0, 5.0]), Err(constant.clone()));
        assert_eq!(spearman(&[5.0, 5.0], &[1.0, 2.0]), Err(constant.clone()));
        assert_eq!(least_squares_line(&[5.0, 5.0], &[1.0, 2.0]), Err(constant));
        assert_eq!(pearson(&[1.0], &[1.0, 2.0]), Err(DescriptionError::LengthsDiffer { left: 1, right: 2 }));
        assert_eq!(spearman(&[1.0], &[1.0]), Err(DescriptionError::TooShort { needed: 2, found: 1 }));
        assert!(matches!(pearson(&[1.0, f64::INFINITY], &[1.0, 2.0]), Err(DescriptionError::Unusable { .. })));
        let huge = [f64::MAX, -f64::MAX];
        assert!(matches!(least_squares_line(&[1.0, 2.0], &huge), Err(DescriptionError::OutOfRange { .. })));
    }

    #[test]
    fn infinite_margins_can_be_ranked() {
        let found = spearman(&[1.0, f64::INFINITY, 2.0], &[0.1, 0.3, 0.2]).unwrap();
        assert!((found - 1.0).abs() < 1e-15);
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn points_on_a_line_are_recovered(slope in -5.0..5.0f64, intercept in -5.0..5.0f64) {
            let x: Vec<f64> = (0..9).map(f64::from).collect();
            let y: Vec<f64> = x.iter().map(|x| slope * x + intercept).collect();
            let line = least_squares_line(&x, &y).unwrap();
            prop_assert!((line.slope - slope).abs() < 1e-13 && (line.intercept - intercept).abs() < 1e-13);
        }

        #[test]
        fn correlations_do_not_depend_on_unit_or_offset(
            pairs in prop::collection::vec((-10.0..10.0f64, -10.0..10.0f64), 3..20), unit in 0.01..100.0f64,
        ) {
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let moved: Vec<f64> = x.iter().map(|x| unit * x + 1.0).collect();
            let (one, other) = (pearson(&x, &y).unwrap(), pearson(&moved, &y).unwrap());
            prop_assert!((-1.0..=1.0).contains(&one) && (one - other).abs() < 1e-9);
            prop_assert!((one - pearson(&y, &x).unwrap()).abs() < 1e-14);
        }
    }
}
