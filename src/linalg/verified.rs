//! Eigenvalues, norms, determinants and solutions with bounds on their error, for small dense matrices.
//!
//! Unlike the estimates beside it, everything here holds for the exact numbers of the matrix: a computed
//! eigendecomposition is checked by its residual, and Cholesky's factorisation runs in enclosing arithmetic.

use super::{eigendecomposition, frobenius_norm, LinalgError};
use crate::stats::Enclosure;
use nalgebra::{DMatrix, DVector};

/// A bound of the relative rounding, in the Frobenius norm, of a product with inner length n and a few roundings
/// more: γ_n ≤ 1.01·n·u with u = ε/2 (Higham, 2002, section 3.5), for any order of summation.
pub(crate) fn relative_rounding(length: usize) -> f64 {
    (length as f64 + 10.0) * f64::EPSILON
}

/// A = ṼΛ̂Ṽᵀ + E for a positive semidefinite A, Ṽ being the orthogonal polar factor of `vectors`.
pub(crate) struct VerifiedEigen {
    /// Λ̂, at least 0.
    pub(crate) values: Vec<f64>,
    /// V̂, one eigenvector per column.
    pub(crate) vectors: DMatrix<f64>,
    /// A bound of ‖E‖₂; 0 for A = 0.
    pub(crate) error: f64,
    /// A bound of ‖V̂ − Ṽ‖₂ = max|σ_i(V̂) − 1| ≤ ‖V̂ᵀV̂ − I‖₂.
    pub(crate) departure: f64,
}

impl VerifiedEigen {
    pub(crate) fn new(matrix: DMatrix<f64>) -> Result<Self, LinalgError> {
        let size = matrix.nrows();
        let eigen = eigendecomposition(matrix.clone())?;
        let (values, vectors) = (eigen.eigenvalues.map(|value| value.max(0.0)), eigen.eigenvectors);
        let departure = (vectors.tr_mul(&vectors) - DMatrix::identity(size, size)).norm()
            + 1.1 * relative_rounding(size) * size as f64;
        let mut scaled = vectors.clone();
        scaled.column_iter_mut().zip(values.iter()).for_each(|(mut column, value)| column *= *value);
        let residual = (&matrix - scaled * vectors.transpose()).norm();
        // The residual's own rounding, with ‖V̂‖_F² ≤ 1.1·size, and products lost to underflow; then Ṽ for V̂.
        let largest = values.max();
        let rounding = 2.0 * relative_rounding(2 * size) * (matrix.norm() + 1.1 * size as f64 * largest);
        let underflow = (8 * size * size) as f64 * f64::MIN_POSITIVE;
        let error = 1.01 * (residual + rounding + underflow + 3.0 * departure * largest);
        let zero = matrix.iter().all(|entry| entry.abs() <= 0.0);
        Ok(Self { values: values.as_slice().to_vec(), vectors, error: if zero { 0.0 } else { error }, departure })
    }

    /// The largest of the computed eigenvalues and its eigenvector.
    pub(crate) fn top(&self) -> (f64, DVector<f64>) {
        let mut top = 0;
        for (i, value) in self.values.iter().enumerate() {
            if *value > self.values[top] {
                top = i;
            }
        }
        (self.values[top], self.vectors.column(top).into_owned())
    }
}

/// Squares of entries of this size, and of its reciprocal, are far from the ends of double precision.
const LARGEST_SQUARED: f64 = 1e100;

/// ‖M‖₂ of a matrix whose entries are 0 or between 1e-100 and 1e100 in size; unknown for others.
///
/// The Gram matrix of the shorter side is formed with bounded rounding, and its largest eigenvalue enclosed by the
/// residual of a computed eigendecomposition (Weyl's inequality).
///
/// # Errors
/// [`LinalgError::NonFinite`], [`LinalgError::NotConverged`].
pub fn spectral_norm_enclosure(matrix: &DMatrix<f64>) -> Result<Enclosure, LinalgError> {
    let norm = frobenius_norm(matrix)?;
    if norm <= 0.0 {
        return Ok(Enclosure::exact(0.0));
    }
    let squarable = |entry: &f64| *entry == 0.0 || (1.0 / LARGEST_SQUARED..=LARGEST_SQUARED).contains(&entry.abs());
    if !matrix.iter().all(squarable) {
        return Ok(Enclosure::UNKNOWN);
    }
    let (gram, length) = if matrix.nrows() < matrix.ncols() {
        (matrix * matrix.transpose(), matrix.ncols())
    } else {
        (matrix.tr_mul(matrix), matrix.nrows())
    };
    let eigen = VerifiedEigen::new(gram)?;
    let error = eigen.error + 1.01 * relative_rounding(length) * norm * norm;
    Ok(Enclosure { value: eigen.top().0, error }.sqrt())
}

/// The eigenvalues of a positive semidefinite matrix, largest first, each enclosed.
///
/// # Errors
/// [`LinalgError::NonFinite`], [`LinalgError::NotConverged`].
pub fn eigenvalue_enclosures(matrix: &DMatrix<f64>) -> Result<Vec<Enclosure>, LinalgError> {
    frobenius_norm(matrix)?;
    let eigen = VerifiedEigen::new(matrix.clone())?;
    let mut values = eigen.values;
    values.sort_by(|a, b| b.total_cmp(a));
    Ok(values.into_iter().map(|value| Enclosure { value, error: eigen.error }).collect())
}

/// A symmetric positive definite M, factored in enclosing arithmetic.
///
/// Cholesky's recurrence lets bounds grow from row to row. So a floating-point inverse factor X is taken first, which
/// makes XMXᵀ nearly the identity; that is formed and factored with bounds, XMXᵀ = LLᵀ, and nothing grows.
#[derive(Debug, Clone)]
pub struct EnclosedCholesky {
    /// X, lower triangular; its entries are exact as they are.
    inverse: DMatrix<f64>,
    /// Row i of L up to its diagonal.
    rows: Vec<Vec<Enclosure>>,
}

impl EnclosedCholesky {
    /// Factors the `[n, n]` matrix with these entries, of which the lower triangle is used; none where it is not
    /// certainly positive definite.
    #[must_use]
    pub fn new(size: usize, entry: impl Fn(usize, usize) -> Enclosure) -> Option<Self> {
        let lower = |i: usize, j: usize| if i >= j { entry(i, j) } else { entry(j, i) };
        let matrix: Vec<Vec<Enclosure>> = (0..size).map(|i| (0..size).map(|j| lower(i, j)).collect()).collect();
        let approximate = DMatrix::from_fn(size, size, |i, j| matrix[i][j].value).cholesky()?.unpack();
        let inverse = approximate.solve_lower_triangular(&DMatrix::identity(size, size))?;
        // XM, then (XM)Xᵀ.
        let half: Vec<Vec<Enclosure>> = (0..size)
            .map(|i| (0..size).map(|j| (0..=i).map(|k| matrix[k][j] * inverse[(i, k)]).sum()).collect())
            .collect();
        let near_identity = |i: usize, j: usize| (0..=j).map(|k| half[i][k] * inverse[(j, k)]).sum::<Enclosure>();
        let mut rows: Vec<Vec<Enclosure>> = Vec::with_capacity(size);
        for i in 0..size {
            let mut row: Vec<Enclosure> = Vec::with_capacity(i + 1);
            for (j, above) in rows.iter().enumerate() {
                let inner: Enclosure = row.iter().zip(above).map(|(a, b)| *a * *b).sum();
                row.push((near_identity(i, j) - inner) / above[j]);
            }
            let pivot = near_identity(i, i) - row.iter().map(|value| value.squared()).sum::<Enclosure>();
            if pivot.lower().is_nan() || pivot.lower() <= 0.0 {
                return None;
            }
            row.push(pivot.sqrt());
            rows.push(row);
        }
        Some(Self { inverse, rows })
    }

    /// ln det M.
    #[must_use]
    pub fn log_determinant(&self) -> Enclosure {
        let diagonals = self.rows.iter().enumerate().map(|(i, row)| (row[i], Enclosure::exact(self.inverse[(i, i)])));
        diagonals.map(|(factor, inverse)| (factor.ln() - inverse.ln()) * 2.0).sum()
    }

    /// L⁻¹Xv, whose squared norm is vᵀM⁻¹v. `vector` has n entries.
    #[must_use]
    pub fn forward(&self, vector: &[Enclosure]) -> Vec<Enclosure> {
        let mut solution: Vec<Enclosure> = Vec::with_capacity(vector.len());
        for (i, row) in self.rows.iter().enumerate() {
            let right: Enclosure = (0..=i).map(|k| vector[k] * self.inverse[(i, k)]).sum();
            let inner: Enclosure = row.iter().zip(&solution).map(|(a, b)| *a * *b).sum();
            solution.push((right - inner) / row[i]);
        }
        solution
    }

    /// M⁻¹v. `vector` has n entries.
    #[must_use]
    pub fn solve(&self, vector: &[Enclosure]) -> Vec<Enclosure> {
        let mut solution = self.forward(vector);
        let size = solution.len();
        for i in (0..size).rev() {
            let inner: Enclosure = (i + 1..size).map(|k| self.rows[k][i] * solution[k]).sum();
            solution[i] = (solution[i] - inner) / self.rows[i][i];
        }
        (0..size).map(|i| (i..size).map(|k| solution[k] * self.inverse[(k, i)]).sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::spectral_norm;
    use crate::testing::seeded;
    use proptest::prelude::*;

    fn integers(rows: usize, columns: usize, entries: &[i32]) -> DMatrix<f64> {
        DMatrix::from_fn(rows, columns, |i, j| f64::from(entries[i * columns + j]))
    }

    fn exact(matrix: &DMatrix<f64>) -> impl Fn(usize, usize) -> Enclosure + '_ {
        |i, j| Enclosure::exact(matrix[(i, j)])
    }

    #[test]
    fn norms_found_by_hand_are_enclosed() {
        // MᵀM = [[2, 1], [1, 2]] has the eigenvalues 1 and 3.
        let norm = spectral_norm_enclosure(&integers(3, 2, &[1, 0, 0, 1, 1, 1])).unwrap();
        assert!(norm.lower() <= 3f64.sqrt() && 3f64.sqrt() <= norm.upper() && norm.error < 1e-12, "{norm:?}");
        assert_eq!(spectral_norm_enclosure(&DMatrix::zeros(2, 3)).unwrap(), Enclosure::exact(0.0));
        assert!(spectral_norm_enclosure(&DMatrix::from_element(1, 1, 1e-200)).unwrap().value.is_nan());
        assert!(spectral_norm_enclosure(&DMatrix::from_element(1, 1, f64::NAN)).is_err());
        let eigenvalues = eigenvalue_enclosures(&integers(2, 2, &[2, 1, 1, 2])).unwrap();
        for (found, truth) in eigenvalues.iter().zip([3.0, 1.0]) {
            assert!(found.lower() <= truth && truth <= found.upper(), "{found:?}");
        }
    }

    #[test]
    fn a_matrix_with_an_integer_factor_has_the_determinant_and_solution_found_by_hand() {
        // M = LLᵀ with L = [[1, 0], [2, 3]], det M = 9.
        let matrix = integers(2, 2, &[1, 2, 2, 13]);
        let factor = EnclosedCholesky::new(2, exact(&matrix)).unwrap();
        let logarithm = factor.log_determinant();
        assert!((logarithm.value - 9f64.ln()).abs() <= logarithm.error);
        // M·(1, 1) = (3, 15).
        let solution = factor.solve(&[Enclosure::exact(3.0), Enclosure::exact(15.0)]);
        assert!(solution.iter().all(|x| x.lower() <= 1.0 && x.upper() >= 1.0 && x.error < 1e-14), "{solution:?}");
        assert!(EnclosedCholesky::new(2, exact(&integers(2, 2, &[1, 2, 2, 4]))).is_none());
    }

    #[test]
    fn bounds_do_not_grow_with_the_size_of_an_ill_conditioned_matrix() {
        // I + 10⁴·vvᵀ with v = (1, …, 1) in twelve dimensions has the determinant 1 + 12·10⁴.
        let entry = |i: usize, j: usize| Enclosure::exact(1e4 + if i == j { 1.0 } else { 0.0 });
        let factor = EnclosedCholesky::new(12, entry).unwrap();
        let logarithm = factor.log_determinant();
        assert!(
            (logarithm.value - 120_001f64.ln()).abs() <= logarithm.error && logarithm.error < 1e-9,
            "{logarithm:?}"
        );
        let ones = vec![Enclosure::exact(1.0); 12];
        let quadratic: Enclosure = factor.forward(&ones).into_iter().map(Enclosure::squared).sum();
        assert!(
            (quadratic.value - 12.0 / 120_001.0).abs() <= quadratic.error && quadratic.error < 1e-13,
            "{quadratic:?}"
        );
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn norms_agree_with_the_estimate(
            rows in 1..5usize, columns in 1..5usize, entries in prop::collection::vec(-9..10i32, 16),
        ) {
            let matrix = integers(rows, columns, &entries) / 8.0;
            let (enclosed, estimate) = (spectral_norm_enclosure(&matrix).unwrap(), spectral_norm(&matrix).unwrap());
            prop_assert!((enclosed.value - estimate).abs() <= enclosed.error + 1e-13);
            prop_assert!(enclosed.error <= 1e-12 * (1.0 + estimate) , "{:?}", enclosed);
        }

        #[test]
        fn determinants_and_solutions_of_integer_matrices_are_enclosed(
            size in 1..5usize, entries in prop::collection::vec(-4..5i32, 16), x in prop::collection::vec(-9..10i32, 4),
        ) {
            let factor = integers(size, size, &entries);
            let matrix = &factor * factor.transpose() + DMatrix::identity(size, size);
            let cholesky = EnclosedCholesky::new(size, exact(&matrix)).unwrap();
            let x = DVector::from_fn(size, |i, _| f64::from(x[i]));
            let right: Vec<Enclosure> = (&matrix * &x).iter().copied().map(Enclosure::exact).collect();
            let solution = cholesky.solve(&right);
            for (found, truth) in solution.iter().zip(x.iter()) {
                prop_assert!(found.lower() <= *truth && *truth <= found.upper());
            }
            let quadratic: Enclosure = cholesky.forward(&right).into_iter().map(Enclosure::squared).sum();
            let truth = (matrix.transpose() * &x).dot(&x);
            prop_assert!(quadratic.lower() <= truth && truth <= quadratic.upper());
            // The determinant of integers up to 65 in size 4 is an integer that doubles hold.
            let determinant = cholesky.log_determinant().exp();
            let truth = matrix.determinant().round();
            prop_assert!(determinant.lower() <= truth && truth <= determinant.upper(), "{:?} against {}", determinant, truth);
        }
    }
}
