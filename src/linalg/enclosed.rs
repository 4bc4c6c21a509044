//! Matrices with a bound on their distance to the truth, and upper bounds in the Loewner order.
//!
//! A product of two matrices of doubles with inner length n differs from the exact one by at most γ_n‖A‖_F‖B‖_F in the
//! Frobenius norm, in whatever order the terms are added (Higham, *Accuracy and Stability of Numerical Algorithms*,
//! 2002, section 3.5). Everything here follows from that, with every bound rounded up.

use nalgebra::{DMatrix, DVector};

use super::factor::Factor;
use super::verified::{relative_rounding, VerifiedEigen};
use super::LinalgError;

/// A matrix known up to `error` in the Frobenius norm.
#[derive(Debug, Clone)]
pub struct EnclosedMatrix {
    /// The matrix as computed.
    pub value: DMatrix<f64>,
    /// ‖truth − value‖_F is at most this.
    pub error: f64,
}

/// A bound rounded up after a handful of operations.
pub(crate) fn rounded_up(bound: f64) -> f64 {
    bound * (1.0 + 16.0 * f64::EPSILON) + f64::MIN_POSITIVE
}

/// A number not below ‖M‖_F; infinite or NaN where entries are.
pub(crate) fn frobenius_upper(matrix: &DMatrix<f64>) -> f64 {
    let entries = matrix.len();
    // Squares lost to underflow are below the smallest normal number each.
    let squares = matrix.norm_squared() * (1.0 + relative_rounding(entries)) + entries as f64 * f64::MIN_POSITIVE;
    rounded_up(squares.sqrt())
}

/// What a product with this inner length, and this many entries, loses to underflow.
fn underflow(entries: usize, inner: usize) -> f64 {
    (entries * inner.max(1)) as f64 * f64::MIN_POSITIVE
}

/// Side of the blocks of which a symmetric product computes half.
const GRAM_BLOCK: usize = 128;

/// A · B for a B whose entries below the diagonal are 0.
pub(crate) fn times_upper(matrix: &DMatrix<f64>, upper: &DMatrix<f64>) -> DMatrix<f64> {
    let size = upper.ncols();
    let mut product = DMatrix::zeros(matrix.nrows(), size);
    for first in (0..size).step_by(GRAM_BLOCK) {
        let count = GRAM_BLOCK.min(size - first);
        let inner = (first + count).min(upper.nrows());
        let (left, right) = (matrix.columns(0, inner), upper.view((0, first), (inner, count)));
        product.columns_mut(first, count).gemm(1.0, &left, &right, 0.0);
    }
    product
}

/// S + f·A Aᵀ for a symmetric S, which stays exactly symmetric.
pub(crate) fn add_gram(factor: f64, matrix: &DMatrix<f64>, sum: &mut DMatrix<f64>) {
    let size = matrix.nrows();
    for first in (0..size).step_by(GRAM_BLOCK) {
        let count = GRAM_BLOCK.min(size - first);
        let block = matrix.rows(first, count).transpose();
        let below = matrix.rows(first, size - first);
        sum.view_mut((first, first), (size - first, count)).gemm(factor, &below, &block, 1.0);
        for column in first..first + count {
            for row in column + 1..size {
                sum[(column, row)] = sum[(row, column)];
            }
        }
    }
}

impl EnclosedMatrix {
    /// A matrix known exactly.
    #[must_use]
    pub fn exact(value: DMatrix<f64>) -> Self {
        Self { value, error: 0.0 }
    }

    /// A matrix whose entries were rounded once each.
    pub(crate) fn rounded_once(value: DMatrix<f64>) -> Self {
        let error = rounded_up(f64::EPSILON * frobenius_upper(&value) + underflow(value.len(), 1));
        Self { value, error }
    }

    fn combined(&self, other: &Self, value: DMatrix<f64>, inner: usize) -> Self {
        let (a, b) = (frobenius_upper(&self.value), frobenius_upper(&other.value));
        let rounding = relative_rounding(inner) * a * b + underflow(value.len(), inner);
        let carried = a * other.error + b * self.error + self.error * other.error;
        Self { value, error: rounded_up(rounding + carried) }
    }

    /// A · B for a B known exactly.
    #[must_use]
    pub fn times_exact(&self, other: &DMatrix<f64>) -> Self {
        self.times_known(other, &self.value * other)
    }

    /// The same for a B whose entries below the diagonal are 0.
    pub(crate) fn times_upper(&self, other: &DMatrix<f64>) -> Self {
        self.times_known(other, times_upper(&self.value, other))
    }

    fn times_known(&self, other: &DMatrix<f64>, value: DMatrix<f64>) -> Self {
        let (a, b, inner) = (frobenius_upper(&self.value), frobenius_upper(other), other.nrows());
        let rounding = relative_rounding(inner) * a * b + underflow(value.len(), inner);
        Self { value, error: rounded_up(rounding + b * self.error) }
    }

    /// A · B.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        self.combined(other, &self.value * &other.value, self.value.ncols())
    }

    /// A · Bᵀ.
    #[must_use]
    pub fn times_transposed(&self, other: &Self) -> Self {
        self.combined(other, &self.value * other.value.transpose(), self.value.ncols())
    }

    /// A · Aᵀ, exactly symmetric.
    pub(crate) fn gram(&self) -> Self {
        let size = self.value.nrows();
        let mut value = DMatrix::zeros(size, size);
        add_gram(1.0, &self.value, &mut value);
        self.combined(self, value, self.value.ncols())
    }

    /// A + B.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let value = &self.value + &other.value;
        let rounding = f64::EPSILON * frobenius_upper(&value);
        Self { error: rounded_up(self.error + other.error + rounding), value }
    }

    /// A symmetric matrix of doubles that is at least the truth in the Loewner order, for a symmetric truth.
    #[must_use]
    pub fn loewner_upper(&self) -> DMatrix<f64> {
        let mut upper = (&self.value + self.value.transpose()) * 0.5;
        // Halving is exact, adding rounds once; so does raising the diagonal.
        let size = upper.nrows();
        let raise = rounded_up(self.error + f64::EPSILON * frobenius_upper(&upper));
        for i in 0..size {
            upper[(i, i)] = (upper[(i, i)] + raise).next_up();
        }
        upper
    }
}

/// A positive definite K with what is needed to bound N K⁻¹ Nᵀ.
#[derive(Debug)]
pub(crate) struct CertifiedInverse {
    /// Powers of two D for which DKD has diagonal entries between 1/2 and 2; scaling by them is exact.
    scale: DVector<f64>,
    /// DKD; its diagonal entries may differ from the truth by one rounding each.
    matrix: EnclosedMatrix,
    /// Of DKD − cI with a tiny c: it proves K positive definite, and solves nearly as well as a factor of DKD.
    factor: Factor,
}

/// The smallest eigenvalue that is asked of DKD.
const SMALLEST_EIGENVALUE: f64 = 1e-11;

impl CertifiedInverse {
    /// Factors K = diag(v) − M, its diagonal rounded once; none where it is not certainly positive definite. M: symmetric.
    ///
    /// A Cholesky factorisation in doubles of K − cI that runs to its end proves K positive definite if
    /// c ≥ γ_{n+1}/(1 − γ_{n+1})·tr K (Rump, *Verification of positive definiteness*, BIT 2006).
    pub(crate) fn new(diagonal: &[f64], other: &DMatrix<f64>) -> Option<Self> {
        let size = other.nrows();
        let entry = |i: usize| diagonal[i] - other[(i, i)];
        let scale = DVector::from_fn(size, |i, _| power_of_two_near_root(entry(i)).recip());
        let mut values = Vec::with_capacity(size * size);
        for (column, &second) in other.as_slice().chunks_exact(size.max(1)).zip(scale.as_slice()) {
            values.extend(column.iter().zip(scale.as_slice()).map(|(entry, &first)| -entry * (first * second)));
        }
        let mut matrix = DMatrix::from_vec(size, size, values);
        for i in 0..size {
            matrix[(i, i)] = entry(i) * (scale[i] * scale[i]);
        }
        let trace = matrix.trace();
        let error = rounded_up(f64::EPSILON * trace + underflow(size, size));
        let shift = rounded_up(SMALLEST_EIGENVALUE + error + 2.0 * relative_rounding(size + 2) * trace);
        let mut shifted = matrix.clone();
        for i in 0..size {
            shifted[(i, i)] = (shifted[(i, i)] - shift).next_down();
        }
        let factor = Factor::new(shifted)?;
        Some(Self { scale, matrix: EnclosedMatrix { value: matrix, error }, factor })
    }

    /// M D: columns scaled by powers of two.
    fn scaled(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        let mut scaled = rows.clone();
        scaled.column_iter_mut().zip(&self.scale).for_each(|(mut column, &scale)| column *= scale);
        scaled
    }

    /// N K⁻¹ Nᵀ, which D leaves unchanged, and N K⁻¹ as computed. With B ≈ N K⁻¹ and F = N − BK it is BNᵀ + F K⁻¹ Nᵀ, and
    /// the second term has norm at most ‖F‖(‖B‖ + ‖F‖/λ_min(K)).
    pub(crate) fn quadratic(&self, rows: &EnclosedMatrix) -> (EnclosedMatrix, DMatrix<f64>) {
        let rows = EnclosedMatrix {
            value: self.scaled(&rows.value),
            error: rounded_up(rows.error * self.scale.max() + underflow(rows.value.len(), 1)),
        };
        let mut solved = rows.value.clone();
        self.factor.solve_right(&mut solved);
        let solved = EnclosedMatrix::exact(solved);
        let product = solved.times(&self.matrix);
        let rest = EnclosedMatrix { value: -product.value, error: product.error }.plus(&rows);
        let (residual, size) = (frobenius_upper(&rest.value) + rest.error, frobenius_upper(&solved.value));
        let mut quadratic = solved.times_transposed(&rows);
        quadratic.error = rounded_up(quadratic.error + residual * (size + residual / SMALLEST_EIGENVALUE));
        (quadratic, self.scaled(&solved.value))
    }
}

/// A power of two within a factor √2 of √entry; 1 for what is not positive and finite.
fn power_of_two_near_root(entry: f64) -> f64 {
    if !(entry > 0.0 && entry.is_finite()) {
        return 1.0;
    }
    // The logarithm of a positive double lies between -1075 and 1025.
    #[allow(clippy::cast_possible_truncation)]
    let exponent = (0.5 * entry.log2()).round() as i32;
    2f64.powi(exponent)
}

/// diag(v) M diag(v), each entry rounded twice.
pub(crate) fn scaled_on_both_sides(matrix: &DMatrix<f64>, scale: &DVector<f64>) -> DMatrix<f64> {
    let mut scaled = matrix.clone();
    for (mut column, &second) in scaled.column_iter_mut().zip(scale) {
        column.as_mut_slice().iter_mut().zip(scale.as_slice()).for_each(|(entry, &first)| *entry *= first * second);
    }
    scaled
}

/// A number not below the largest eigenvalue of a symmetric positive semidefinite matrix.
///
/// # Errors
/// [`LinalgError::NonFinite`], [`LinalgError::NotConverged`].
pub fn largest_eigenvalue_upper(matrix: &DMatrix<f64>) -> Result<f64, LinalgError> {
    let rows = matrix.nrows();
    super::norms::check_finite(rows, matrix.as_slice())?;
    let eigen = VerifiedEigen::new(matrix.clone())?;
    Ok(rounded_up(eigen.values.iter().copied().fold(0.0, f64::max) + eigen.error))
}

/// Squarings of the Gram matrix in [`spectral_norm_upper`]: the Frobenius norm of the last power exceeds its 2-norm by
/// √rank at most, of which the root of order 2⁸ is taken.
const SQUARINGS: i32 = 7;

/// A number not below ‖M‖₂, by Gram iteration: ‖(MMᵀ)^(2^k)‖_F^(1/2^(k+1)) (Delattre et al., ICML 2023). Too large by
/// less than 0.2·ln(rank) per cent. Infinite where entries are not finite.
#[must_use]
pub fn spectral_norm_upper(matrix: &DMatrix<f64>) -> f64 {
    let frobenius = frobenius_upper(matrix);
    if frobenius.is_nan() || frobenius > LARGEST {
        return f64::INFINITY;
    }
    let exact = EnclosedMatrix::exact(matrix.clone());
    let mut power = if matrix.nrows() <= matrix.ncols() {
        exact.times_transposed(&exact)
    } else {
        let transposed = EnclosedMatrix::exact(matrix.transpose());
        transposed.times_transposed(&transposed)
    };
    // ‖M‖₂^(2^(k+1)) ≤ ‖power‖ · 2^exponent.
    let mut exponent = 0.0;
    for _ in 0..SQUARINGS {
        exponent = 2.0 * (exponent + f64::from(normalise(&mut power)));
        power = power.times_transposed(&power);
    }
    let order = f64::from(1 << (SQUARINGS + 1));
    let logarithm = (frobenius_upper(&power.value) + power.error).log2() + exponent;
    rounded_up((logarithm / order).exp2() * (1.0 + 1e-13 * (1.0 + logarithm.abs() / order))).min(frobenius)
}

/// Matrices with a larger Frobenius norm are not squared.
const LARGEST: f64 = 1e140;

/// Divides by a power of two so that the norm is about 1, and returns its exponent.
fn normalise(power: &mut EnclosedMatrix) -> i32 {
    let norm = frobenius_upper(&power.value) + power.error;
    // The logarithm of a positive double lies between -1075 and 1025.
    #[allow(clippy::cast_possible_truncation)]
    let exponent = if norm > 0.0 { norm.log2().floor() as i32 } else { 0 };
    let scale = 2f64.powi(-exponent);
    power.value *= scale;
    power.error *= scale;
    exponent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{standard_normal, Seed};
    use crate::stats::Enclosure;
    use crate::testing::seeded;
    use proptest::prelude::*;

    fn random(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        DMatrix::from_vec(rows, columns, standard_normal(&mut Seed(seed).stream("enclosed"), rows * columns))
    }

    #[test]
    fn norms_of_a_diagonal_matrix_are_bounded_closely() {
        let matrix = DMatrix::from_diagonal(&DVector::from_vec(vec![3.0, -4.0, 1.0]));
        let spectral = spectral_norm_upper(&matrix);
        assert!((4.0..4.0 * 1.01).contains(&spectral), "{spectral}");
        assert!(spectral_norm_upper(&DMatrix::zeros(2, 3)) < 1e-100);
        assert!(spectral_norm_upper(&DMatrix::from_element(2, 2, f64::NAN)).is_infinite());
        assert!(spectral_norm_upper(&DMatrix::from_element(2, 2, 1e200)).is_infinite());
        let eigenvalue = largest_eigenvalue_upper(&(&matrix * &matrix)).unwrap();
        assert!((16.0..16.0 + 1e-11).contains(&eigenvalue), "{eigenvalue}");
    }

    #[test]
    fn products_that_leave_half_of_the_work_out_are_the_whole_products() {
        for size in [1, GRAM_BLOCK - 1, GRAM_BLOCK + 3, 2 * GRAM_BLOCK + 1] {
            let matrix = random(size, 7, 1);
            let before = DMatrix::from_diagonal_element(size, size, 2.0);
            let mut sum = before.clone();
            add_gram(-0.5, &matrix, &mut sum);
            assert!((&sum - (before - &matrix * matrix.transpose() * 0.5)).amax() < 1e-13);
            assert_eq!(sum, sum.transpose(), "exactly symmetric");
            let upper = random(size, size, 2).upper_triangle();
            assert!((times_upper(&matrix.transpose(), &upper) - matrix.transpose() * &upper).amax() < 1e-12);
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_certified_inverse() {
        let ones = DMatrix::from_element(2, 2, 1.0);
        assert!(CertifiedInverse::new(&[2.0, 2.0], &ones).is_none());
        assert!(CertifiedInverse::new(&[2.0, 2.1], &ones).is_some());
        for (diagonal, other) in [(0.0, 1.0), (f64::NAN, 0.0), (1.0, f64::NAN), (f64::INFINITY, 1.0)] {
            assert!(CertifiedInverse::new(&[diagonal], &DMatrix::from_element(1, 1, other)).is_none());
        }
        assert!(CertifiedInverse::new(&[1e-30, 1e30], &DMatrix::zeros(2, 2)).is_some());
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn a_product_lies_within_its_error(rows in 1..6usize, inner in 1..40usize, columns in 1..6usize, seed in 0..1000u64) {
            let (a, b) = (random(rows, inner, seed), random(inner, columns, seed + 1));
            let product = EnclosedMatrix::exact(a.clone()).times(&EnclosedMatrix::exact(b.clone()));
            let mut square = Enclosure::exact(0.0);
            for i in 0..rows {
                for j in 0..columns {
                    let (row, column) = (a.row(i).transpose(), b.column(j).into_owned());
                    square = square + (Enclosure::dot(row.as_slice(), column.as_slice()) - product.value[(i, j)]).squared();
                }
            }
            prop_assert!(square.sqrt().upper() <= product.error);
            prop_assert!(product.error < 1e-11);
        }

        #[test]
        fn a_quadratic_form_of_an_inverse_lies_within_its_error(size in 1..8usize, seed in 0..1000u64) {
            let half = random(size, size + 2, seed);
            let matrix = &half * half.transpose();
            let rows = random(3, size, seed + 1);
            let diagonal: Vec<f64> = (0..size).map(|i| 2.0 + i as f64).collect();
            let other = DMatrix::from_diagonal(&DVector::from_vec(diagonal.clone())) - &matrix;
            let Some(inverse) = CertifiedInverse::new(&diagonal, &other) else { return Ok(()) };
            let (found, response) = inverse.quadratic(&EnclosedMatrix::exact(rows.clone()));
            let expected = &rows * matrix.try_inverse().unwrap();
            prop_assert!((response - &expected).norm() <= 1e-6 * expected.norm());
            let exact = expected * rows.transpose();
            // The comparison's own rounding grows with the condition of the matrix.
            let scale = exact.norm() * (1.0 + found.error) * 1e-6 + found.error;
            prop_assert!((found.value - exact).norm() <= scale);
        }

        #[test]
        fn the_spectral_norm_is_never_below_the_largest_singular_value(rows in 1..12usize, columns in 1..12usize, seed in 0..1000u64) {
            let matrix = random(rows, columns, seed);
            let exact = matrix.singular_values().max();
            let found = spectral_norm_upper(&matrix);
            prop_assert!(found >= exact * (1.0 - 1e-13) && found <= exact * 1.01, "{found} against {exact}");
        }

        #[test]
        fn an_upper_bound_in_the_loewner_order_absorbs_any_error_of_its_size(size in 1..6usize, seed in 0..1000u64) {
            let half = random(size, size, seed);
            let value = &half + half.transpose();
            let error = random(size, size, seed + 1);
            let error = (&error + error.transpose()) / 10.0;
            let upper = EnclosedMatrix { value: value.clone(), error: error.norm() }.loewner_upper();
            let rest = upper - value - error;
            prop_assert!(rest.symmetric_eigenvalues().min() >= -1e-13);
        }
    }
}
