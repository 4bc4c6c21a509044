//! Matrices of doubles that are taken as exact; products, factors and eigenvalues with proved bounds of their error.

use std::ops::Range;

use super::rounding::{gamma, norm, GUARD, TINY};

/// Rows and columns of one tile of a product.
const TILE: usize = 4;
/// So many products are summed before their sum is added to the total, which keeps the number of roundings small.
const RUN: usize = 64;
/// Multiplications by the matrix that look for its largest eigenvalue.
const POWER_STEPS: usize = 100;
/// The bound of an eigenvalue is sharpened until it is this close, relatively, to a number not proved to be one.
const SHARPNESS: f64 = 1e-12;

/// A matrix, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) entries: Vec<f64>,
}

impl Matrix {
    /// The matrix with these entries.
    pub(super) fn new(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let entry = &entry;
        let entries = (0..rows).flat_map(|i| (0..columns).map(move |j| entry(i, j))).collect();
        Self { rows, columns, entries }
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.entries[i * self.columns..(i + 1) * self.columns]
    }

    pub(super) fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.entries[i * self.columns..(i + 1) * self.columns]
    }

    pub(super) fn at(&self, i: usize, j: usize) -> f64 {
        self.entries[i * self.columns + j]
    }

    /// At least ‖A‖_F.
    pub(super) fn norm(&self) -> f64 {
        norm(&self.entries)
    }

    pub(super) fn transposed(&self) -> Self {
        Self::new(self.columns, self.rows, |i, j| self.at(j, i))
    }

    /// The part of these rows and columns.
    pub(super) fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let entries = rows.clone().flat_map(|i| &self.row(i)[columns.clone()]).copied().collect();
        Self { rows: rows.len(), columns: columns.len(), entries }
    }

    /// These matrices side by side.
    pub(super) fn beside(parts: &[&Self]) -> Self {
        let (rows, columns) = (parts.first().map_or(0, |part| part.rows), parts.iter().map(|part| part.columns).sum());
        let entries = (0..rows).flat_map(|i| parts.iter().flat_map(move |part| part.row(i))).copied().collect();
        Self { rows, columns, entries }
    }
}

/// How many roundings a term of one entry of [`product`] meets, for inner length `length`.
pub(super) fn roundings(length: usize) -> usize {
    length.min(RUN) + length.div_ceil(RUN)
}

/// What underflow can cost a product in the Frobenius norm.
pub(super) fn underflow(rows: usize, columns: usize, length: usize) -> f64 {
    rows as f64 * columns as f64 * length as f64 * TINY
}

/// ABᵀ. For exact A and B it is off by at most γ_k‖A‖_F‖B‖_F in the Frobenius norm, k = [`roundings`] (Higham, 3.5), and
/// by [`underflow`]. Both have the same number of columns.
pub(super) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let mut entries = vec![0.0; a.rows * b.rows];
    let mut panel = vec![[0.0; TILE]; a.columns];
    for left in (0..b.rows).step_by(TILE) {
        for (k, lane) in panel.iter_mut().enumerate() {
            *lane = std::array::from_fn(|j| if left + j < b.rows { b.at(left + j, k) } else { 0.0 });
        }
        for top in (0..a.rows).step_by(TILE) {
            let sums = tile(std::array::from_fn(|i| a.row((top + i).min(a.rows - 1))), &panel);
            for (i, sums) in (top..a.rows).zip(&sums) {
                for (j, sum) in (left..b.rows).zip(sums) {
                    entries[i * b.rows + j] = *sum;
                }
            }
        }
    }
    Matrix { rows: a.rows, columns: b.rows, entries }
}

/// Four rows times four columns, the columns interleaved in `panel`.
fn tile(rows: [&[f64]; TILE], panel: &[[f64; TILE]]) -> [[f64; TILE]; TILE] {
    let mut total = [[0.0; TILE]; TILE];
    for (run, lanes) in panel.chunks(RUN).enumerate() {
        let [a, b, c, d] = rows.map(|row| &row[run * RUN..run * RUN + lanes.len()]);
        let mut sums = [[0.0; TILE]; TILE];
        for ((((lane, a), b), c), d) in lanes.iter().zip(a).zip(b).zip(c).zip(d) {
            for (sums, value) in sums.iter_mut().zip([a, b, c, d]) {
                sums.iter_mut().zip(lane).for_each(|(sum, other)| *sum += value * other);
            }
        }
        for (total, sum) in total.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            *total += sum;
        }
    }
    total
}

/// A symmetric matrix at least MMᵀ in the Loewner order.
pub(super) fn gram(matrix: &Matrix) -> Matrix {
    let norm = matrix.norm();
    let error = gamma(roundings(matrix.columns)) * norm * norm;
    dominating(&product(matrix, matrix), error + underflow(matrix.rows, matrix.rows, matrix.columns))
}

/// A symmetric matrix at least every symmetric T with ‖T − M‖_F ≤ `error`: the symmetric part of M, which is no farther
/// from T, plus `error` and the rounding u‖M‖_F of that part times the identity.
pub(super) fn dominating(matrix: &Matrix, error: f64) -> Matrix {
    let error = GUARD * (error + gamma(1) * matrix.norm());
    Matrix::new(matrix.rows, matrix.rows, |i, j| {
        let mean = 0.5 * (matrix.at(i, j) + matrix.at(j, i));
        if i == j {
            (mean + error).next_up()
        } else {
            mean
        }
    })
}

/// c such that a symmetric matrix A of this size and `trace` whose factorisation runs to its end is at least −cI, even
/// if every diagonal entry was rounded once more: LLᵀ = A + ΔA with |ΔA| ≤ γ_{n+1}|L||Lᵀ| (Higham, theorem 10.3, in any
/// order of summation), so ‖ΔA‖₂ ≤ γ_{n+1}‖L‖_F² and (1 − γ_{n+1})‖L‖_F² ≤ tr A (Rump, BIT 46, 2006).
pub(super) fn factor_error(size: usize, trace: f64) -> f64 {
    GUARD * gamma(size + 2) * trace + size as f64 * (size as f64 + 1.0 + trace) * TINY
}

/// Cholesky's L, row by row, of the symmetric matrix with these entries (those with j ≤ i are used).
pub(super) fn factor(size: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Matrix> {
    let mut lower = Matrix { rows: size, columns: size, entries: vec![0.0; size * size] };
    for i in 0..size {
        let (above, rest) = lower.entries.split_at_mut(i * size);
        let row = &mut rest[..size];
        for j in 0..i {
            let other = &above[j * size..(j + 1) * size];
            row[j] = (entry(i, j) - dot(&row[..j], &other[..j])) / other[j];
        }
        let pivot = entry(i, i) - dot(&row[..i], &row[..i]);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        row[i] = pivot.sqrt();
    }
    Some(lower)
}

/// Approximately B(LLᵀ)⁻¹.
pub(super) fn solve(lower: &Matrix, mut right: Matrix) -> Matrix {
    for row in right.entries.chunks_exact_mut(lower.rows.max(1)) {
        for i in 0..lower.rows {
            row[i] = (row[i] - dot(&lower.row(i)[..i], &row[..i])) / lower.at(i, i);
        }
        for i in (0..lower.rows).rev() {
            row[i] /= lower.at(i, i);
            let (before, value) = (lower.row(i), row[i]);
            row[..i].iter_mut().zip(before).for_each(|(entry, factor)| *entry -= value * factor);
        }
    }
    right
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a_runs, b_runs) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a_runs.remainder().iter().zip(b_runs.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_runs.zip(b_runs) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// At least the largest eigenvalue of a symmetric positive semidefinite matrix.
pub(super) fn largest_eigenvalue(matrix: &Matrix) -> f64 {
    let (start, mut bound) = (power_estimate(matrix), matrix.norm());
    let (mut below, mut step) = (start, SHARPNESS);
    while start > 0.0 && step < 1.0 {
        if let Some(proved) = bounded(matrix, start * (1.0 + step)) {
            bound = bound.min(proved);
            break;
        }
        below = start * (1.0 + step);
        step *= 8.0;
    }
    for _ in 0..40 {
        let middle = 0.5 * (below + bound);
        if step <= 8.0 * SHARPNESS || bound - below <= SHARPNESS * bound || !middle.is_finite() {
            break;
        }
        match bounded(matrix, middle) {
            Some(proved) if proved < bound => bound = proved,
            _ => below = middle,
        }
    }
    bound
}

/// Close above `value` a number that no eigenvalue exceeds, if vI − A can be factored for v = `value`.
fn bounded(matrix: &Matrix, value: f64) -> Option<f64> {
    let difference = |i, j| if i == j { value - matrix.at(i, i) } else { -matrix.at(i, j) };
    factor(matrix.rows, difference)?;
    let trace = (0..matrix.rows).map(|i| difference(i, i)).sum();
    Some((value + factor_error(matrix.rows, trace)).next_up())
}

/// A guess at the largest eigenvalue: the best Rayleigh quotient of a few multiplications.
fn power_estimate(matrix: &Matrix) -> f64 {
    let mut vector: Vec<f64> = (0..matrix.rows).map(|i| 1.0 + (i as f64 * 0.7).sin()).collect();
    let mut best: f64 = (0..matrix.rows).map(|i| matrix.at(i, i)).fold(0.0, f64::max);
    for _ in 0..POWER_STEPS {
        let image: Vec<f64> = (0..matrix.rows).map(|i| dot(matrix.row(i), &vector)).collect();
        best = best.max(dot(&image, &vector) / dot(&vector, &vector));
        let size = norm(&image);
        vector = image.iter().map(|value| value / size).collect();
    }
    best
}

/// At least ‖A‖₂: from the Gram matrix of the shorter side, or ‖A‖_F where that side is longer than `longest`.
pub(super) fn spectral_norm(matrix: &Matrix, longest: usize) -> f64 {
    let frobenius = matrix.norm();
    if matrix.rows.min(matrix.columns) > longest {
        return frobenius;
    }
    let square = if matrix.rows <= matrix.columns { gram(matrix) } else { gram(&matrix.transposed()) };
    super::rounding::raised(largest_eigenvalue(&square).sqrt(), 2.0).min(frobenius)
}
