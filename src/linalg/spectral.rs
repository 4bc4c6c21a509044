//! The spectral norm, the top singular direction and the symmetric square root.
//!
//! Singular values come from the eigenvalues of the smaller Gram matrix. Squaring costs small singular values
//! half of their digits but not the largest, the only one used here. Matrices are first divided by a power of
//! two, which is exact, so that no square over- or underflows.

use super::norms::{check_finite, power_of_two_below};
use super::LinalgError;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Iterations of the eigendecomposition before it counts as not converging; it needs a few per row.
const MAX_ITERATIONS_PER_ROW: usize = 200;
/// Asymmetry, and a negative eigenvalue, up to this share of the largest is taken for rounding.
const ROUNDING_SHARE: f64 = 1e-9;

/// ‖M‖₂, the largest singular value; 0 for an empty matrix. An estimate within about 1e-14 relative, either
/// sign: **not** an upper bound.
///
/// # Errors
/// [`LinalgError::NonFinite`], [`LinalgError::NotConverged`].
pub fn spectral_norm(matrix: &DMatrix<f64>) -> Result<f64, LinalgError> {
    check_finite(matrix.nrows(), matrix.as_slice())?;
    let scale = power_of_two_below(matrix.as_slice());
    if scale <= 0.0 {
        return Ok(0.0);
    }
    let eigen = eigendecomposition(smaller_gram(&(matrix / scale)))?;
    Ok(eigen.eigenvalues.iter().copied().fold(0.0, f64::max).sqrt() * scale)
}

/// The unit vector v (as long as the matrix has columns) with ‖Mv‖₂ = ‖M‖₂, its coordinate of largest magnitude
/// (the first of equal ones) being positive. An estimate: its error is about 1e-15·σ₁/(σ₁ − σ₂), and where the
/// two largest singular values coincide it is one of many such directions, always the same for the same matrix.
///
/// # Errors
/// [`LinalgError::NoDirection`] for a zero matrix, [`LinalgError::NonFinite`], [`LinalgError::NotConverged`].
pub fn top_right_singular_vector(matrix: &DMatrix<f64>) -> Result<DVector<f64>, LinalgError> {
    check_finite(matrix.nrows(), matrix.as_slice())?;
    let scale = power_of_two_below(matrix.as_slice());
    if scale <= 0.0 {
        return Err(LinalgError::NoDirection { rows: matrix.nrows(), columns: matrix.ncols() });
    }
    let scaled = matrix / scale;
    let eigen = eigendecomposition(smaller_gram(&scaled))?;
    let eigenvector = eigen.eigenvectors.column(eigen.eigenvalues.imax()).into_owned();
    // The Gram matrix is MᵀM or MMᵀ; in the second case the eigenvector is a left singular vector.
    let mut direction = if gram_is_of_rows(&scaled) { scaled.tr_mul(&eigenvector) } else { eigenvector };
    direction.normalize_mut();
    if direction[direction.icamax()] < 0.0 {
        direction.neg_mut();
    }
    Ok(direction)
}

/// The symmetric positive semidefinite R with R² = M for such an M, `[n, n]`. The mean of M and its transpose is
/// used, and eigenvalues that rounding made negative count as 0. R² is within about n·1e-15·‖M‖₂ of M.
///
/// # Errors
/// [`LinalgError::NotSymmetric`] and [`LinalgError::NotPositive`] where asymmetry or a negative eigenvalue
/// exceeds 1e-9 of the largest; [`LinalgError::NonFinite`], [`LinalgError::NotConverged`].
pub fn symmetric_square_root(matrix: &DMatrix<f64>) -> Result<DMatrix<f64>, LinalgError> {
    let Some(Positive { eigen, root_of_scale }) = decompose_positive(matrix)? else { return Ok(matrix.clone()) };
    let roots = eigen.eigenvalues.map(|eigenvalue| eigenvalue.max(0.0).sqrt());
    let root = &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose();
    Ok((&root + root.transpose()) * (0.5 * root_of_scale))
}

/// The eigenvalues of a symmetric positive semidefinite M, `[n, n]`, largest first. The mean of M and its transpose is
/// used. Each is within about n·1e-15·‖M‖₂, either sign; those below n·2.2e-16 of the largest are rounding and count
/// as 0.
///
/// # Errors
/// As for [`symmetric_square_root`].
pub fn positive_eigenvalues(matrix: &DMatrix<f64>) -> Result<Vec<f64>, LinalgError> {
    let Some(Positive { eigen, root_of_scale }) = decompose_positive(matrix)? else {
        return Ok(vec![0.0; matrix.nrows()]);
    };
    let smallest = eigen.eigenvalues.max() * f64::EPSILON * matrix.nrows() as f64;
    let mut eigenvalues: Vec<f64> = eigen.eigenvalues.iter().copied().collect();
    eigenvalues.sort_by(|a, b| b.total_cmp(a));
    let original = |value: f64| if value < smallest { 0.0 } else { value * root_of_scale * root_of_scale };
    Ok(eigenvalues.into_iter().map(original).collect())
}

/// A positive semidefinite matrix is eigen·scale, scale the square of `root_of_scale`.
struct Positive {
    eigen: SymmetricEigen<f64, nalgebra::Dyn>,
    root_of_scale: f64,
}

/// None for a matrix of zeros.
fn decompose_positive(matrix: &DMatrix<f64>) -> Result<Option<Positive>, LinalgError> {
    let (rows, columns) = matrix.shape();
    check_finite(rows, matrix.as_slice())?;
    if rows != columns {
        return Err(LinalgError::NotSymmetric { rows, columns, asymmetry: f64::INFINITY });
    }
    // An even power of two has an exact root.
    let root_of_scale = power_of_two_below(&[power_of_two_below(matrix.as_slice()).sqrt()]);
    if root_of_scale <= 0.0 {
        return Ok(None);
    }
    let scaled = matrix / root_of_scale / root_of_scale;
    let asymmetry = (&scaled - scaled.transpose()).amax();
    if asymmetry > ROUNDING_SHARE * scaled.amax() {
        let asymmetry = asymmetry * root_of_scale * root_of_scale;
        return Err(LinalgError::NotSymmetric { rows, columns, asymmetry });
    }
    let eigen = eigendecomposition((&scaled + scaled.transpose()) * 0.5)?;
    let (smallest, largest) = (eigen.eigenvalues.min(), eigen.eigenvalues.amax());
    if smallest < -ROUNDING_SHARE * largest {
        let original = |eigenvalue: f64| eigenvalue * root_of_scale * root_of_scale;
        return Err(LinalgError::NotPositive { eigenvalue: original(smallest), largest: original(largest) });
    }
    Ok(Some(Positive { eigen, root_of_scale }))
}

fn gram_is_of_rows(matrix: &DMatrix<f64>) -> bool {
    matrix.nrows() < matrix.ncols()
}

fn smaller_gram(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    if gram_is_of_rows(matrix) {
        matrix * matrix.transpose()
    } else {
        matrix.tr_mul(matrix)
    }
}

/// Eigenvalues and eigenvectors of a symmetric matrix, `[n, n]` with n > 0.
///
/// # Errors
/// [`LinalgError::NotConverged`].
pub(crate) fn eigendecomposition(symmetric: DMatrix<f64>) -> Result<SymmetricEigen<f64, nalgebra::Dyn>, LinalgError> {
    let size = symmetric.nrows();
    let iterations = MAX_ITERATIONS_PER_ROW * size;
    SymmetricEigen::try_new(symmetric, f64::EPSILON, iterations).ok_or(LinalgError::NotConverged { size, iterations })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::frobenius_norm;
    use crate::seed::{standard_normal, Seed};
    use crate::testing::seeded;
    use proptest::prelude::*;

    fn random(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let draws: Vec<f32> = standard_normal(&mut Seed(seed).stream("linalg/test"), rows * columns);
        DMatrix::from_iterator(rows, columns, draws.into_iter().map(f64::from))
    }

    fn close(found: f64, truth: f64, relative: f64) -> bool {
        (found - truth).abs() <= relative * truth.abs()
    }

    #[test]
    fn a_three_by_two_matrix_has_the_norms_found_by_hand() {
        // MᵀM = [[2, 1], [1, 2]] has the eigenvalues 1 and 3.
        let matrix = DMatrix::from_row_slice(3, 2, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert!(close(spectral_norm(&matrix).unwrap(), 3f64.sqrt(), 1e-15));
        assert!(close(frobenius_norm(&matrix).unwrap(), 2.0, 1e-15));
        let direction = top_right_singular_vector(&matrix).unwrap();
        assert!(close(direction[0], 0.5f64.sqrt(), 1e-15) && close(direction[1], 0.5f64.sqrt(), 1e-15));
    }

    #[test]
    fn positive_eigenvalues_come_largest_first_and_rounding_counts_as_zero() {
        // Rank one: wwᵀ has the eigenvalue ‖w‖² = 14 and zeros.
        let w = DVector::from_vec(vec![1.0, 2.0, 3.0]);
        let eigenvalues = positive_eigenvalues(&(&w * w.transpose() * 1e200)).unwrap();
        assert!(close(eigenvalues[0], 14e200, 1e-14));
        assert_eq!(eigenvalues[1..], [0.0, 0.0]);
        assert_eq!(positive_eigenvalues(&DMatrix::zeros(2, 2)).unwrap(), [0.0, 0.0]);
        let indefinite = DMatrix::from_row_slice(2, 2, &[0.0, 1.0, 1.0, 0.0]);
        assert!(matches!(positive_eigenvalues(&indefinite), Err(LinalgError::NotPositive { .. })));
        assert!(matches!(positive_eigenvalues(&DMatrix::zeros(2, 3)), Err(LinalgError::NotSymmetric { .. })));
    }

    #[test]
    fn hilberts_matrix_of_order_five_has_its_known_norm() {
        // 1.567050691098230796…, from mpmath with 60 digits (eigsy).
        let hilbert = DMatrix::from_fn(5, 5, |i, j| 1.0 / (i + j + 1) as f64);
        assert!(close(spectral_norm(&hilbert).unwrap(), 1.567_050_691_098_230_8, 2e-15));
    }

    #[test]
    fn sizes_that_square_out_of_range_still_have_norms() {
        for scale in [1e-308, 1e-200, 1e200, 1e307] {
            let matrix = DMatrix::from_row_slice(1, 2, &[3.0 * scale, 4.0 * scale]);
            assert!(close(spectral_norm(&matrix).unwrap(), 5.0 * scale, 1e-15), "{scale:e}");
            assert!(close(frobenius_norm(&matrix).unwrap(), 5.0 * scale, 1e-15), "{scale:e}");
            assert!(close(top_right_singular_vector(&matrix).unwrap()[0], 0.6, 1e-15), "{scale:e}");
        }
        let root = symmetric_square_root(&DMatrix::from_diagonal_element(2, 2, 4e-300)).unwrap();
        assert!(close(root[(0, 0)], 2e-150, 1e-15) && root[(0, 1)].abs() <= 0.0);
    }

    #[test]
    fn zeros_and_empty_matrices_have_norm_zero_and_no_direction() {
        for matrix in [DMatrix::zeros(2, 3), DMatrix::zeros(0, 3), DMatrix::zeros(3, 0)] {
            assert!(spectral_norm(&matrix).unwrap() <= 0.0 && frobenius_norm(&matrix).unwrap() <= 0.0);
            let (rows, columns) = matrix.shape();
            assert_eq!(top_right_singular_vector(&matrix), Err(LinalgError::NoDirection { rows, columns }));
        }
        assert!(symmetric_square_root(&DMatrix::zeros(2, 2)).unwrap().amax() <= 0.0);
    }

    #[test]
    fn an_entry_that_is_not_finite_is_handed_back_with_its_place() {
        let mut matrix = DMatrix::zeros(2, 3);
        matrix[(1, 2)] = f64::INFINITY;
        let error = LinalgError::NonFinite { row: 1, column: 2, value: f64::INFINITY };
        assert_eq!(spectral_norm(&matrix), Err(error.clone()));
        assert_eq!(frobenius_norm(&matrix), Err(error.clone()));
        assert_eq!(top_right_singular_vector(&matrix), Err(error.clone()));
        assert_eq!(symmetric_square_root(&matrix), Err(error));
    }

    #[test]
    fn matrices_without_a_square_root_are_refused() {
        let oblong = symmetric_square_root(&DMatrix::zeros(2, 3));
        assert!(matches!(oblong, Err(LinalgError::NotSymmetric { rows: 2, columns: 3, .. })));
        let skewed = symmetric_square_root(&DMatrix::from_row_slice(2, 2, &[1.0, 0.5, 0.4, 1.0]));
        assert!(matches!(skewed, Err(LinalgError::NotSymmetric { asymmetry, .. }) if close(asymmetry, 0.1, 1e-14)));
        let indefinite = symmetric_square_root(&DMatrix::from_row_slice(2, 2, &[0.0, 1.0, 1.0, 0.0]));
        assert!(
            matches!(indefinite, Err(LinalgError::NotPositive { eigenvalue, .. }) if close(eigenvalue, -1.0, 1e-14))
        );
    }

    #[test]
    fn the_square_root_of_a_singular_matrix_squares_to_it() {
        let factor = random(6, 2, 3);
        let product = &factor * factor.transpose();
        let root = symmetric_square_root(&product).unwrap();
        assert!((&root * &root - &product).amax() < 1e-13 && (&root - root.transpose()).amax() <= 0.0);
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_spectral_norm_is_that_of_the_singular_value_decomposition(
            rows in 1..9usize, columns in 1..30usize, seed in 0..1000u64,
        ) {
            let matrix = random(rows, columns, seed);
            let norm = spectral_norm(&matrix).unwrap();
            prop_assert!(close(norm, matrix.singular_values().max(), 1e-14));
            prop_assert!(close(norm, spectral_norm(&matrix.transpose()).unwrap(), 1e-14));
            prop_assert!(norm <= frobenius_norm(&matrix).unwrap() * (1.0 + 1e-14));
        }

        #[test]
        fn the_top_direction_attains_the_norm_and_points_up(
            rows in 1..9usize, columns in 1..30usize, seed in 0..1000u64,
        ) {
            let matrix = random(rows, columns, seed);
            let direction = top_right_singular_vector(&matrix).unwrap();
            prop_assert_eq!(direction.len(), columns);
            prop_assert!(close(direction.norm(), 1.0, 1e-14));
            prop_assert!(close((&matrix * &direction).norm(), spectral_norm(&matrix).unwrap(), 1e-12));
            prop_assert!(direction[direction.icamax()] > 0.0);
            prop_assert_eq!(top_right_singular_vector(&-matrix).unwrap(), direction);
        }
    }
}
