//! The Euclidean and the Frobenius norm, safe from over- and underflow.
//!
//! Entries are divided by a power of two, which is exact, before they are squared.

use super::LinalgError;
use nalgebra::{DMatrix, DVector};

/// ‖v‖₂, without over- or underflow of the squares; 0 for an empty vector. Relative error below
/// (n + 3)·1.2e-16 for n entries, either sign.
///
/// # Errors
/// [`LinalgError::NonFinite`].
pub fn euclidean_norm(vector: &DVector<f64>) -> Result<f64, LinalgError> {
    check_finite(vector.len(), vector.as_slice())?;
    Ok(norm_of_entries(vector.as_slice()))
}

/// ‖M‖_F, the root of the sum of squared entries; 0 for an empty matrix. Error as for [`euclidean_norm`].
///
/// # Errors
/// [`LinalgError::NonFinite`].
pub fn frobenius_norm(matrix: &DMatrix<f64>) -> Result<f64, LinalgError> {
    check_finite(matrix.nrows(), matrix.as_slice())?;
    Ok(norm_of_entries(matrix.as_slice()))
}

/// Fails on the first entry, in column order, that is not finite.
pub(super) fn check_finite(rows: usize, entries: &[f64]) -> Result<(), LinalgError> {
    match entries.iter().position(|entry| !entry.is_finite()) {
        Some(at) => Err(LinalgError::NonFinite { row: at % rows, column: at / rows, value: entries[at] }),
        None => Ok(()),
    }
}

fn norm_of_entries(entries: &[f64]) -> f64 {
    let scale = power_of_two_below(entries);
    if scale <= 0.0 {
        return 0.0;
    }
    entries.iter().map(|entry| (entry / scale).powi(2)).sum::<f64>().sqrt() * scale
}

/// The largest power of two at most the largest magnitude, but no less than the smallest normal number; 0 for
/// zeros. Dividing by it is exact except for entries far too small to matter.
pub(super) fn power_of_two_below(entries: &[f64]) -> f64 {
    const EXPONENT_BITS: u64 = 0x7ff0_0000_0000_0000;
    let largest = entries.iter().fold(0.0f64, |largest, entry| largest.max(entry.abs()));
    if largest <= 0.0 {
        return 0.0;
    }
    f64::from_bits(largest.to_bits() & EXPONENT_BITS).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;

    #[test]
    fn three_four_and_twelve_have_the_norm_thirteen_in_every_shape() {
        let entries = [3.0, 4.0, 12.0];
        assert!((euclidean_norm(&DVector::from_column_slice(&entries)).unwrap() - 13.0).abs() < 1e-14);
        assert!((frobenius_norm(&DMatrix::from_row_slice(1, 3, &entries)).unwrap() - 13.0).abs() < 1e-14);
    }

    #[test]
    fn the_scale_is_the_power_of_two_just_below_the_largest_entry() {
        for (entries, scale) in [
            ([3.0, -5.0], 4.0),
            ([1.0, 0.0], 1.0),
            ([0.7, 0.1], 0.5),
            ([5e-324, 0.0], f64::MIN_POSITIVE),
            ([0.0, 0.0], 0.0),
        ] {
            assert!((power_of_two_below(&entries) - scale).abs() <= 0.0, "{entries:?}");
        }
    }

    #[test]
    fn an_empty_vector_has_norm_zero_and_a_broken_one_none() {
        assert!(euclidean_norm(&DVector::zeros(0)).unwrap() <= 0.0);
        let error = euclidean_norm(&DVector::from_column_slice(&[0.0, f64::NEG_INFINITY])).unwrap_err();
        assert_eq!(error, LinalgError::NonFinite { row: 1, column: 0, value: f64::NEG_INFINITY });
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn a_power_of_two_comes_out_of_the_norm_exactly(
            entries in prop::collection::vec(-1.0..1.0f64, 1..20), exponent in -900..900i32,
        ) {
            let vector = DVector::from_vec(entries);
            let factor = 2f64.powi(exponent);
            let (one, other) = (euclidean_norm(&vector).unwrap(), euclidean_norm(&(&vector * factor)).unwrap());
            prop_assert_eq!((one * factor).to_bits(), other.to_bits());
        }
    }
}
