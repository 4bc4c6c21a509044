//! Cholesky's factorisation in blocks, so that nearly all of it is matrix products.
//!
//! Every entry of the factor is (a − Σ l·l)/l or √(a − Σ l·l), whatever the order of the sums, as error analyses of the
//! factorisation ask (Higham, *Accuracy and Stability of Numerical Algorithms*, theorem 10.3): no block is inverted.

use nalgebra::{DMatrix, DMatrixViewMut, Dyn, MatrixView};
use pulp::{Arch, Simd, WithSimd};

/// Columns factored at a time.
const BLOCK: usize = 32;
/// Columns of the rest that are updated at a time: only the lower triangle is wanted, in few and large products.
const UPDATED: usize = 96;

/// L with A = LLᵀ, for a symmetric positive definite A.
#[derive(Debug, Clone)]
pub(crate) struct Factor {
    /// Only its lower triangle is meant.
    lower: DMatrix<f64>,
}

impl Factor {
    /// Factors a matrix, of which only the lower triangle is read; none where a pivot is not above 0.
    pub(crate) fn new(mut matrix: DMatrix<f64>) -> Option<Self> {
        let size = matrix.nrows();
        for start in (0..size).step_by(BLOCK) {
            let end = (start + BLOCK).min(size);
            factor_columns(&mut matrix.view_mut((start, start), (size - start, end - start)))?;
            let mut panel = Vec::with_capacity((size - end) * (end - start));
            (start..end).for_each(|column| panel.extend_from_slice(&matrix.column(column).as_slice()[end..]));
            let panel = DMatrix::from_vec(size - end, end - start, panel);
            for first in (end..size).step_by(UPDATED) {
                let (rows, columns) = (size - first, UPDATED.min(size - first));
                let mut rest = matrix.view_mut((first, first), (rows, columns));
                let right = transposed(&panel, (first - end, 0), (columns, end - start));
                rest.gemm(-1.0, &panel.rows(first - end, rows), &right, 1.0);
            }
        }
        Some(Self { lower: matrix })
    }

    /// X ≈ R A⁻¹ in place of R, `[any, size]`.
    pub(crate) fn solve_right(&self, rows: &mut DMatrix<f64>) {
        let (lower, size) = (&self.lower, self.lower.nrows());
        // X Lᵀ = R.
        for start in (0..size).step_by(BLOCK) {
            let end = (start + BLOCK).min(size);
            let (solved, mut rest) = rows.columns_range_pair_mut(..start, start..end);
            rest.gemm(-1.0, &solved, &transposed(lower, (start, 0), (end - start, start)), 1.0);
            for column in start..end {
                for before in start..column {
                    subtract_column(&mut rest, column - start, lower[(column, before)], before - start);
                }
                rest.column_mut(column - start).unscale_mut(lower[(column, column)]);
            }
        }
        // X L = that.
        for start in (0..size).step_by(BLOCK).rev() {
            let end = (start + BLOCK).min(size);
            let (mut rest, solved) = rows.columns_range_pair_mut(start..end, end..);
            rest.gemm(-1.0, &solved, &lower.view((end, start), (size - end, end - start)), 1.0);
            for column in (start..end).rev() {
                for after in column + 1..end {
                    subtract_column(&mut rest, column - start, lower[(after, column)], after - start);
                }
                rest.column_mut(column - start).unscale_mut(lower[(column, column)]);
            }
        }
    }
}

/// The transpose of a block of `shape`, not copied.
fn transposed(
    matrix: &DMatrix<f64>,
    (row, column): (usize, usize),
    (rows, columns): (usize, usize),
) -> MatrixView<'_, f64, Dyn, Dyn, Dyn, Dyn> {
    let pitch = matrix.nrows();
    let values = &matrix.as_slice()[(column * pitch + row).min(matrix.len())..];
    MatrixView::from_slice_with_strides_generic(values, Dyn(columns), Dyn(rows), Dyn(pitch), Dyn(1))
}

/// The factorisation of a tall block whose first rows are on the diagonal.
fn factor_columns(block: &mut DMatrixViewMut<'_, f64>) -> Option<()> {
    let (rows, columns) = block.shape();
    for column in 0..columns {
        for before in 0..column {
            let factor = block[(column, before)];
            let (left, mut right) = block.columns_range_pair_mut(before, column);
            subtract(&mut right.as_mut_slice()[column..], factor, &left.as_slice()[column..]);
        }
        let pivot = block[(column, column)];
        // NaN is no pivot either.
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        let root = pivot.sqrt();
        let mut below = block.column_mut(column);
        below.rows_mut(column, rows - column).unscale_mut(root);
        below[column] = root;
    }
    Some(())
}

/// Column `column` −= factor · column `other`.
fn subtract_column(block: &mut DMatrixViewMut<'_, f64>, column: usize, factor: f64, other: usize) {
    let (mut first, mut second) = block.columns_range_pair_mut(column.min(other), column.max(other));
    if column < other {
        subtract(first.as_mut_slice(), factor, second.as_slice());
    } else {
        subtract(second.as_mut_slice(), factor, first.as_slice());
    }
}

/// target −= factor · source, in the widest vectors that the processor has; the same bits in any.
fn subtract(target: &mut [f64], factor: f64, source: &[f64]) {
    struct Subtract<'a>(&'a mut [f64], f64, &'a [f64]);
    impl WithSimd for Subtract<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(target, factor, source) = self;
            for (target, source) in target.iter_mut().zip(source) {
                *target -= factor * source;
            }
        }
    }
    Arch::new().dispatch(Subtract(target, factor, source));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{standard_normal, Seed};

    fn random(rows: usize, columns: usize) -> DMatrix<f64> {
        let stream = &mut Seed(rows as u64).stream("factor");
        DMatrix::from_vec(rows, columns, standard_normal(stream, rows * columns))
    }

    fn positive(size: usize) -> DMatrix<f64> {
        let root = random(size, size);
        &root * root.transpose() + DMatrix::identity(size, size)
    }

    #[test]
    fn a_factor_is_that_of_one_column_at_a_time() {
        for size in [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            let matrix = positive(size);
            let expected = matrix.clone().cholesky().unwrap().l();
            let found = Factor::new(matrix.clone()).unwrap().lower.lower_triangle();
            assert!((&found - expected).norm() < 1e-11 * matrix.norm(), "{size}");
            assert!((&found * found.transpose() - &matrix).norm() < 1e-14 * matrix.norm() * size as f64, "{size}");
        }
    }

    #[test]
    fn solutions_give_back_the_rows() {
        for (size, count) in [(1, 3), (BLOCK, 1), (2 * BLOCK + 7, 20), (100, 130)] {
            let (matrix, rows) = (positive(size), random(count, size));
            let mut solved = rows.clone();
            Factor::new(matrix.clone()).unwrap().solve_right(&mut solved);
            assert!((solved * matrix - &rows).norm() < 1e-10 * rows.norm(), "{size}");
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        for place in [0, BLOCK - 1, BLOCK, 2 * BLOCK] {
            let mut matrix = positive(2 * BLOCK + 1);
            matrix[(place, place)] = -1.0;
            assert!(Factor::new(matrix).is_none(), "{place}");
        }
        let mut unknown = positive(BLOCK + 3);
        unknown[(BLOCK + 1, 2)] = f64::NAN;
        assert!(Factor::new(unknown).is_none());
        assert!(Factor::new(DMatrix::from_element(2, 2, f64::INFINITY)).is_none());
    }
}
