//! Bounds that follow from the sizes of a map's weights.

use super::map::{longest, sharing, Map};
use super::matrix::spectral_norm;
use super::rounding::raised;

/// Norms of longer matrices are bounded crudely.
const LONGEST_SIDE: usize = 4096;
/// A convolution is written out for its norm if its shorter side is at most so long.
const SHORT_SIDE: usize = 512;
/// Multiplications that look for a vector with which the bound of a norm is sharp.
const POWER_STEPS: usize = 6;
/// Entries of such a vector are at least this part of the largest.
const LEAST_ENTRY: f64 = 1e-6;

impl Map {
    /// W diag(d) Wᵀ ≼ diag(D) for d ≥ 0: at least D = v⁻¹∘(|W|(d∘(|W|ᵀv))), for any v > 0 (Schur's test: with N = |W|
    /// diag(d)|W|ᵀ the matrix diag(v)(diag(D) − N)diag(v) has rows that sum to 0, none of its entries beside the
    /// diagonal being positive, and |W diag(d) Wᵀ| ≤ N). With v_i proportional to √(Σ_k W_ik² d_k), small ones raised.
    /// No d lies between 0 and 10⁻²⁰⁰, so nothing underflows.
    pub(super) fn dominated(&self, d: &[f64]) -> Vec<f64> {
        let v = floored(self.squares(d).into_iter().map(f64::sqrt).collect());
        let mut pulled = vec![0.0; self.inputs()];
        for (row, v) in v.iter().enumerate() {
            self.visit(row, |k, weight| pulled[k] += weight.abs() * v);
        }
        pulled.iter_mut().zip(d).for_each(|(pulled, d)| *pulled *= d);
        let units = (self.inputs() + self.outputs()) as f64 + 4.0;
        let bound = |(row, v): (usize, &f64)| {
            let mut sum = 0.0;
            self.visit(row, |k, weight| sum += weight.abs() * pulled[k]);
            if sum > 0.0 || sum.is_nan() {
                raised(sum / v, units)
            } else {
                0.0
            }
        };
        v.iter().enumerate().map(bound).collect()
    }

    /// At least Σ_k W_ik² d_k for every i and d ≥ 0; exactly 0 where every term is.
    pub(super) fn squares(&self, d: &[f64]) -> Vec<f64> {
        let sum = |row| {
            let (mut sum, mut terms) = (0.0, 0.0);
            self.visit(row, |k, weight| {
                if weight * d[k] != 0.0 {
                    sum += weight * weight * d[k];
                    terms += 1.0;
                }
            });
            if terms > 0.0 {
                raised(sum, terms + 2.0)
            } else {
                0.0
            }
        };
        (0..self.outputs()).map(sum).collect()
    }

    /// At least ‖W‖₂ and ‖|W|‖₂. For a maximum: its Lipschitz constant, the root of the largest number of windows that
    /// see the same value.
    pub(super) fn norms(&self) -> (f64, f64) {
        let both = |norm| (norm, norm);
        match self {
            Self::Dense(weight) => (spectral_norm(weight, LONGEST_SIDE), weight.norm()),
            Self::Convolution(_) | Self::Spread(_) => {
                let absolute = self.absolute_norm();
                (self.unrolled_norm().min(absolute), absolute)
            }
            Self::Gather { inputs, index } => both(raised((sharing(*inputs, index) as f64).sqrt(), 1.0)),
            Self::MaxPool(windows) => both(raised((windows.sharing() as f64).sqrt(), 1.0)),
            Self::Sums { ends } => both(raised((longest(ends) as f64).sqrt(), 1.0)),
        }
    }

    /// At least ‖W‖₂ of a matrix that is small enough to be written out; no bound for others.
    fn unrolled_norm(&self) -> f64 {
        let (short, long) = (self.inputs().min(self.outputs()), self.inputs().max(self.outputs()));
        if short <= SHORT_SIDE && long <= LONGEST_SIDE {
            spectral_norm(&self.rows(&(0..self.outputs()).collect::<Vec<_>>()), LONGEST_SIDE)
        } else {
            f64::INFINITY
        }
    }

    /// At least ‖|W|‖₂, whose square is at most max_k (|W|ᵀ|W|v)_k/v_k for every v > 0 (Collatz and Wielandt). Weights
    /// are single-precision numbers and v is within [10⁻⁶, 1], so nothing underflows.
    fn absolute_norm(&self) -> f64 {
        let units = (self.inputs() + self.outputs()) as f64 + 8.0;
        let (mut v, mut best) = (vec![1.0; self.inputs()], f64::INFINITY);
        for _ in 0..POWER_STEPS {
            let mut next = vec![0.0; self.inputs()];
            for row in 0..self.outputs() {
                let mut sum = 0.0;
                self.visit(row, |k, weight| sum += weight.abs() * v[k]);
                self.visit(row, |k, weight| next[k] += weight.abs() * sum);
            }
            let largest = next.iter().zip(&v).map(|(next, v)| next / v).fold(0.0, larger);
            best = raised(largest, units).sqrt().min(best);
            v = floored(next);
        }
        raised(best, 2.0)
    }
}

/// The larger number, or NaN.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b {
        a
    } else {
        b
    }
}

/// The values divided by the largest, small ones raised; ones if all are 0.
fn floored(mut values: Vec<f64>) -> Vec<f64> {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let usable = largest > 0.0 && largest.is_finite();
    values.iter_mut().for_each(|value| *value = if usable { (*value / largest).max(LEAST_ENTRY) } else { 1.0 });
    values
}
