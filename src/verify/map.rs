//! What a layer does before its activation: a matrix, a convolution or its adjoint, a choice of values, or a maximum over
//! windows.

use serde::Deserialize;

use super::kernels::Kernels;
use super::matrix::{product, roundings, spectral_norm, Matrix};
use super::rounding::raised;
use super::windows::{possible_width, volume, within, Windows};

/// Upper limit of the products of one layer at one input.
const MAX_PRODUCTS: usize = 1 << 32;
/// Norms of longer matrices are bounded crudely.
const LONGEST_SIDE: usize = 4096;
/// Multiplications that look for a vector with which the bound of a norm is sharp.
const POWER_STEPS: usize = 6;
/// Entries of such a vector are at least this part of the largest.
const LEAST_ENTRY: f64 = 1e-6;

/// A map without its parameters, as the model file describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Shape {
    Dense { inputs: usize, outputs: usize },
    Convolution(Windows),
    TransposedConvolution(Windows),
    Gather { inputs: usize, outputs: usize },
    MaxPool(Windows),
}

/// A map; linear but for [`Map::MaxPool`].
#[derive(Debug)]
pub(super) enum Map {
    /// W x.
    Dense(Matrix),
    /// The convolution with these kernels.
    Convolution(Kernels),
    /// Its adjoint.
    Spread(Kernels),
    /// Each value is one of `inputs` values, or 0.
    Gather { inputs: usize, index: Vec<Option<usize>> },
    /// The maximum over each window, channel by channel.
    MaxPool(Windows),
}

impl Shape {
    /// Widths of input and output; the largest number where they do not fit.
    pub(super) fn widths(&self) -> (usize, usize) {
        match self {
            Self::Dense { inputs, outputs } | Self::Gather { inputs, outputs } => (*inputs, *outputs),
            Self::Convolution(w) | Self::TransposedConvolution(w) | Self::MaxPool(w) => {
                (volume(&w.input), volume(&w.output))
            }
        }
    }

    fn products(&self) -> usize {
        match self {
            Self::Dense { inputs, outputs } => volume(&[*inputs, *outputs]),
            Self::Gather { outputs, .. } => *outputs,
            Self::Convolution(w) => volume(&[volume(&w.output), w.input[0] / w.groups.max(1), volume(&w.kernel)]),
            Self::TransposedConvolution(w) => {
                volume(&[volume(&w.input), w.output[0] / w.groups.max(1), volume(&w.kernel)])
            }
            Self::MaxPool(w) => volume(&[volume(&w.output), volume(&w.kernel)]),
        }
    }

    /// Whether a map of this shape can exist; why not, if it cannot.
    pub(super) fn check(&self) -> Result<(), String> {
        let (inputs, outputs) = self.widths();
        possible_width("the input's width", inputs)?;
        possible_width("the output's width", outputs)?;
        if let Self::Convolution(w) | Self::TransposedConvolution(w) | Self::MaxPool(w) = self {
            w.check()?;
        }
        within("the number of products", self.products(), MAX_PRODUCTS)?;
        match self {
            Self::MaxPool(w) => w.check_maximum(),
            _ => Ok(()),
        }
    }

    /// Whether the map is affine.
    pub(super) fn is_affine(&self) -> bool {
        !matches!(self, Self::MaxPool(_))
    }

    /// Shape of the tensor `weight` of a convolution (`spread` false) or of its adjoint.
    pub(super) fn kernel_shape(w: &Windows, spread: bool) -> [usize; 4] {
        let (first, second) = if spread { (w.input[0], w.output[0]) } else { (w.output[0], w.input[0]) };
        [first, second / w.groups.max(1), w.kernel[0], w.kernel[1]]
    }
}

impl Map {
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Dense(weight) => weight.columns,
            Self::Convolution(kernels) => volume(&kernels.windows.input),
            Self::Spread(kernels) => volume(&kernels.windows.output),
            Self::Gather { inputs, .. } => *inputs,
            Self::MaxPool(windows) => volume(&windows.input),
        }
    }

    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Dense(weight) => weight.rows,
            Self::Convolution(kernels) => volume(&kernels.windows.output),
            Self::Spread(kernels) => volume(&kernels.windows.input),
            Self::Gather { index, .. } => index.len(),
            Self::MaxPool(windows) => volume(&windows.output),
        }
    }

    pub(super) fn is_linear(&self) -> bool {
        !matches!(self, Self::MaxPool(_))
    }

    /// The map of each row.
    pub(super) fn apply(&self, points: &Matrix) -> Matrix {
        match self {
            Self::Dense(weight) => product(points, weight),
            Self::Convolution(kernels) => kernels.convolved(points),
            Self::Spread(kernels) => kernels.spread(points),
            Self::Gather { index, .. } => {
                Matrix::new(points.rows, index.len(), |i, j| index[j].map_or(0.0, |from| points.at(i, from)))
            }
            Self::MaxPool(windows) => Matrix {
                rows: points.rows,
                columns: self.outputs(),
                entries: (0..points.rows).flat_map(|i| maxima(windows, points.row(i))).collect(),
            },
        }
    }

    /// How many roundings a term of one entry of [`Self::apply`] meets; none where values are only chosen.
    pub(super) fn roundings(&self) -> usize {
        match self {
            Self::Dense(weight) => roundings(weight.columns),
            Self::Convolution(kernels) => kernels.roundings(),
            Self::Spread(kernels) => kernels.roundings_spread(),
            Self::Gather { .. } | Self::MaxPool(_) => 0,
        }
    }

    /// Each row times W.
    pub(super) fn pulled(&self, rows: &Matrix) -> Matrix {
        match self {
            Self::Dense(weight) => product(rows, &weight.transposed()),
            Self::Convolution(kernels) => kernels.spread(rows),
            Self::Spread(kernels) => kernels.convolved(rows),
            Self::Gather { inputs, index } => {
                let mut out = Matrix { rows: rows.rows, columns: *inputs, entries: vec![0.0; rows.rows * inputs] };
                for i in 0..rows.rows {
                    let out = out.row_mut(i);
                    for (value, from) in rows.row(i).iter().zip(index) {
                        from.iter().for_each(|&from| out[from] += value);
                    }
                }
                out
            }
            Self::MaxPool(windows) => Matrix::new(rows.rows, volume(&windows.input), |_, _| f64::NAN),
        }
    }

    /// How many roundings a term of one entry of [`Self::pulled`] meets.
    pub(super) fn roundings_pulled(&self) -> usize {
        match self {
            Self::Dense(weight) => roundings(weight.rows),
            Self::Convolution(kernels) => kernels.roundings_spread(),
            Self::Spread(kernels) => kernels.roundings(),
            Self::Gather { inputs, index } => sharing(*inputs, index),
            Self::MaxPool(_) => 0,
        }
    }

    /// Calls `visit` with the places and weights in row `row` of W, each place once; never for a maximum.
    pub(super) fn visit(&self, row: usize, mut visit: impl FnMut(usize, f64)) {
        match self {
            Self::Dense(weight) => weight.row(row).iter().enumerate().for_each(|(k, &weight)| visit(k, weight)),
            Self::Convolution(kernels) => kernels.visit(row, visit),
            Self::Spread(kernels) => kernels.visit_spread(row, visit),
            Self::Gather { index, .. } => index[row].iter().for_each(|&from| visit(from, 1.0)),
            Self::MaxPool(_) => {}
        }
    }

    /// Rows of W, in full.
    pub(super) fn rows(&self, rows: &[usize]) -> Matrix {
        let columns = self.inputs();
        let mut out = Matrix { rows: rows.len(), columns, entries: vec![0.0; rows.len() * columns] };
        for (i, &row) in rows.iter().enumerate() {
            let out = out.row_mut(i);
            self.visit(row, |k, weight| out[k] = weight);
        }
        out
    }

    /// W diag(d) Wᵀ ≼ diag(D) for d ≥ 0: at least D = v⁻¹∘(|W|(d∘(|W|ᵀv))), for any v > 0 (Schur's test: with N = |W|
    /// diag(d)|W|ᵀ the matrix diag(v)(diag(D) − N)diag(v) has rows that sum to 0, none of its entries beside the diagonal
    /// being positive, and |W diag(d) Wᵀ| ≤ N). With v_i proportional to √(Σ_k W_ik² d_k), small ones raised. No d lies between
    /// 0 and 10⁻²⁰⁰, so nothing underflows.
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

    /// At least ‖W‖₂ and ‖|W|‖₂. For a maximum: its Lipschitz constant, the root of the largest number of windows that see
    /// the same value.
    pub(super) fn norms(&self) -> (f64, f64) {
        let both = |norm| (norm, norm);
        match self {
            Self::Dense(weight) => (spectral_norm(weight, LONGEST_SIDE), weight.norm()),
            Self::Convolution(_) | Self::Spread(_) => both(self.absolute_norm()),
            Self::Gather { inputs, index } => both(raised((sharing(*inputs, index) as f64).sqrt(), 1.0)),
            Self::MaxPool(windows) => both(raised((windows.sharing() as f64).sqrt(), 1.0)),
        }
    }

    /// At least ‖|W|‖₂, whose square is at most max_k (|W|ᵀ|W|v)_k/v_k for every v > 0 (Collatz and Wielandt). Weights are
    /// single-precision numbers and v is within [10⁻⁶, 1], so nothing underflows.
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

/// The largest number of values that are the same one of the inputs.
fn sharing(inputs: usize, index: &[Option<usize>]) -> usize {
    let mut readers = vec![0_usize; inputs];
    index.iter().flatten().for_each(|&from| readers[from] += 1);
    readers.into_iter().max().unwrap_or(0)
}

/// The maximum of every window; NaN where one is seen.
fn maxima(w: &Windows, image: &[f64]) -> Vec<f64> {
    let ([_, height, width], [channels, rows, columns]) = (w.input, w.output);
    let mut out = Vec::with_capacity(channels * rows * columns);
    for channel in image.chunks_exact(height * width) {
        for y in 0..rows {
            let lines =
                || (0..w.kernel[0]).filter_map(|ky| w.place(0, y, ky)).map(|at| &channel[at * width..(at + 1) * width]);
            for x in 0..columns {
                let seen =
                    lines().flat_map(|line| (0..w.kernel[1]).filter_map(|kx| w.place(1, x, kx)).map(|at| line[at]));
                out.push(seen.fold(f64::NEG_INFINITY, |most, value| larger(value, most)));
            }
        }
    }
    out
}
