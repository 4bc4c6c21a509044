//! What a layer does before its activation: a matrix, a convolution or its adjoint, a choice of values, a maximum over
//! windows, or sums over windows that stand for such maxima.

use std::ops::Range;

use serde::Deserialize;

use super::kernels::Kernels;
use super::matrix::{product, roundings, Matrix};
use super::norms::larger;
use super::windows::{possible_width, volume, within, Windows};

/// Upper limit of the products of one layer at one input.
const MAX_PRODUCTS: usize = 1 << 32;

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
    /// The sum of the inputs of each window: from where the window before it ends to where it ends.
    Sums { ends: Vec<usize> },
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
            Self::Sums { ends } => ends.last().copied().unwrap_or(0),
        }
    }

    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Dense(weight) => weight.rows,
            Self::Convolution(kernels) => volume(&kernels.windows.output),
            Self::Spread(kernels) => volume(&kernels.windows.input),
            Self::Gather { index, .. } => index.len(),
            Self::MaxPool(windows) => volume(&windows.output),
            Self::Sums { ends } => ends.len(),
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
                entries: (0..points.rows)
                    .flat_map(|i| windows.maxima(points.row(i), f64::NEG_INFINITY, larger))
                    .collect(),
            },
            Self::Sums { ends } => {
                let sum = |i: usize, range: Range<usize>| points.row(i)[range].iter().sum();
                let entries = (0..points.rows).flat_map(|i| runs(ends).map(move |range| sum(i, range))).collect();
                Matrix { rows: points.rows, columns: ends.len(), entries }
            }
        }
    }

    /// How many roundings a term of one entry of [`Self::apply`] meets; none where values are only chosen.
    pub(super) fn roundings(&self) -> usize {
        match self {
            Self::Dense(weight) => roundings(weight.columns),
            Self::Convolution(kernels) => kernels.roundings(),
            Self::Spread(kernels) => kernels.roundings_spread(),
            Self::Gather { .. } | Self::MaxPool(_) => 0,
            Self::Sums { ends } => longest(ends),
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
            Self::Sums { ends } => {
                let spread = |(&value, range): (&f64, Range<usize>)| std::iter::repeat_n(value, range.len());
                let entries =
                    (0..rows.rows).flat_map(|i| rows.row(i).iter().zip(runs(ends)).flat_map(spread)).collect();
                Matrix { rows: rows.rows, columns: self.inputs(), entries }
            }
        }
    }

    /// How many roundings a term of one entry of [`Self::pulled`] meets.
    pub(super) fn roundings_pulled(&self) -> usize {
        match self {
            Self::Dense(weight) => roundings(weight.rows),
            Self::Convolution(kernels) => kernels.roundings_spread(),
            Self::Spread(kernels) => kernels.roundings(),
            Self::Gather { inputs, index } => sharing(*inputs, index),
            Self::MaxPool(_) | Self::Sums { .. } => 0,
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
            Self::Sums { ends } => run(ends, row).for_each(|k| visit(k, 1.0)),
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
}

/// One of the windows that end there.
fn run(ends: &[usize], i: usize) -> Range<usize> {
    let start = if i == 0 { 0 } else { ends[i - 1] };
    start..ends[i]
}

/// All of them.
pub(super) fn runs(ends: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    (0..ends.len()).map(|i| run(ends, i))
}

/// The number of inputs of the largest window.
pub(super) fn longest(ends: &[usize]) -> usize {
    runs(ends).map(|range| range.len()).max().unwrap_or(0)
}

/// The largest number of values that are the same one of the inputs.
pub(super) fn sharing(inputs: usize, index: &[Option<usize>]) -> usize {
    let mut readers = vec![0_usize; inputs];
    index.iter().flatten().for_each(|&from| readers[from] += 1);
    readers.into_iter().max().unwrap_or(0)
}
