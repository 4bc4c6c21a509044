//! A factor of P⁻¹, and products of which only a triangle is wanted.

use super::matrix::{factor, factor_error, product, roundings, underflow, Matrix};
use super::network::Points;
use super::norms::larger;
use super::rounding::{gamma, norm, raised, GUARD, UNIT};

/// Rows and columns of a part of a product of which only the lower triangle is wanted, or whose factor has no other.
const PART: usize = 64;

/// M and a factor with aᵀP⁻¹a ≤ (factor·‖Ma‖)² for every a; M is lower triangular.
pub(super) struct Whitening {
    matrix: Matrix,
    /// At least ‖|M|‖₂.
    norm: f64,
    factor: f64,
}

impl Whitening {
    /// LLᵀ ≼ P by a factorisation of P less its error; M ≈ L⁻¹, and if r = ‖I − ML‖_F < 1, then L⁻¹ = (I − (I − ML))⁻¹M, so
    /// that aᵀP⁻¹a ≤ ‖L⁻¹a‖² ≤ (‖Ma‖/(1 − r))².
    pub(super) fn new(p: &Matrix) -> Result<Self, String> {
        let size = p.rows;
        let lost = factor_error(size, (0..size).map(|i| p.at(i, i)).sum());
        let entry = |i, j| if i == j { p.at(i, i) - lost } else { p.at(i, j) };
        let lower = factor(size, entry).ok_or_else(too_small)?;
        let matrix = inverse(&lower);
        let back = times_lower(&matrix, &lower);
        let residual = Matrix::new(size, size, |i, j| f64::from(u8::from(i == j)) - back.at(i, j));
        let rounding = gamma(roundings(size) + 1) * matrix.norm() * lower.norm() + underflow(size, size, size + 1);
        let r = GUARD * (residual.norm() + rounding + UNIT * size as f64);
        if r < 0.5 {
            let norm = absolute_norm(&matrix);
            Ok(Self { matrix, norm, factor: raised(1.0 / (1.0 - r), 2.0) })
        } else {
            Err(too_small())
        }
    }

    /// factor·Ma for every row a: off by factor·‖M‖₂ times the error of a, and by γ_k‖|M|‖₂‖a‖.
    pub(super) fn apply(&self, rows: &Points) -> Points {
        let size = self.matrix.rows;
        let mut values = Matrix::new(rows.values.rows, size, |_, _| 0.0);
        for from in (0..size).step_by(PART) {
            let to = (from + PART).min(size);
            let part = product(&rows.values.block(0..rows.values.rows, 0..to), &self.matrix.block(from..to, 0..to));
            for i in 0..part.rows {
                values.row_mut(i)[from..to].copy_from_slice(part.row(i));
            }
        }
        let (m, relative) = (self.norm, gamma(roundings(size) + 1));
        let lost = underflow(1, size, size + 1);
        let error = |i: usize| GUARD * m * (rows.errors[i] + relative * norm(rows.values.row(i))) + lost;
        let errors = (0..values.rows).map(error).collect();
        Points { values, errors }.scaled(std::iter::repeat(self.factor), self.factor)
    }
}

/// At least ‖|M|‖₂: ‖M‖_F, or the root of the largest row sum times the largest column sum.
fn absolute_norm(m: &Matrix) -> f64 {
    let (mut columns, mut most) = (vec![0.0; m.columns], 0.0);
    for i in 0..m.rows {
        let row = m.row(i);
        row.iter().zip(&mut columns).for_each(|(value, sum)| *sum += value.abs());
        most = larger(row.iter().map(|value| value.abs()).sum(), most);
    }
    let sums = raised((most * columns.into_iter().fold(0.0, larger)).sqrt(), (m.rows + m.columns) as f64);
    if sums <= m.norm() {
        sums
    } else {
        m.norm()
    }
}

pub(super) fn too_small() -> String {
    "what is left of P is not certainly positive definite: the scalings are too small".to_owned()
}

/// Adds MMᵀ to the lower triangle of `sum`.
pub(super) fn add_lower_square(sum: &mut Matrix, m: &Matrix) {
    for from in (0..m.rows).step_by(PART) {
        let to = (from + PART).min(m.rows);
        let part = product(&m.block(from..to, 0..m.columns), &m.block(0..to, 0..m.columns));
        for i in 0..part.rows {
            sum.row_mut(from + i)[..to].iter_mut().zip(part.row(i)).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// AB for lower triangular matrices.
fn times_lower(a: &Matrix, b: &Matrix) -> Matrix {
    let (size, turned) = (a.rows, b.transposed());
    let mut out = Matrix::new(size, size, |_, _| 0.0);
    for from in (0..size).step_by(PART) {
        let to = (from + PART).min(size);
        let part = product(&a.block(from..to, 0..to), &turned.block(0..to, 0..to));
        for i in 0..part.rows {
            out.row_mut(from + i)[..to].copy_from_slice(part.row(i));
        }
    }
    out
}

/// Approximately the inverse of a lower triangular matrix.
fn inverse(lower: &Matrix) -> Matrix {
    let size = lower.rows;
    let mut out = Matrix::new(size, size, |_, _| 0.0);
    for i in 0..size {
        let (above, rest) = out.entries.split_at_mut(i * size);
        let row = &mut rest[..=i];
        row[i] = 1.0;
        for (k, factor) in lower.row(i)[..i].iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
            let other = &above[k * size..=k * size + k];
            row.iter_mut().zip(other).for_each(|(entry, other)| *entry -= factor * other);
        }
        row.iter_mut().for_each(|entry| *entry /= lower.at(i, i));
    }
    out
}
