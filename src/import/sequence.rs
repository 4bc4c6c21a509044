//! A chain of layers under construction: operations are appended one by one and folded into their neighbours where that is
//! exact over the real numbers.

use super::piece::Diagonal;
pub use super::piece::Piece;
use super::simplify;
use crate::model::activation::Activation;
use crate::model::layer::{product, LayerError, LayerShape, Map, Windows, MAX_WIDTH};

/// A chain of layers from an input of known shape. The batch axis never appears.
#[derive(Debug, Clone)]
pub struct Sequence {
    input: Vec<usize>,
    shape: Vec<usize>,
    pieces: Vec<Piece>,
}

/// An operation that does not fit the chain it is appended to. The chain is unchanged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SequenceError {
    /// A reshape to another number of values.
    #[error("cannot reshape {from:?} to {to:?}: the numbers of values, {} and {}, differ", product(from), product(to))]
    Reshape {
        /// The shape before.
        from: Vec<usize>,
        /// The shape asked for.
        to: Vec<usize>,
    },
    /// The operation takes another number of values than come in.
    #[error("{operation} takes {expected} values, but {found} come in, of shape {shape:?}")]
    Inputs {
        /// Which operation.
        operation: &'static str,
        /// The values it takes.
        expected: usize,
        /// The values there are.
        found: usize,
        /// Their shape.
        shape: Vec<usize>,
    },
    /// A parameter tensor of the wrong size.
    #[error("the {parameter} of {operation} has {found} values, expected {expected}")]
    Parameter {
        /// Which operation.
        operation: &'static str,
        /// Which parameter.
        parameter: &'static str,
        /// The values it must have.
        expected: usize,
        /// The values it has.
        found: usize,
    },
    /// A scale or shift that belongs neither to the values nor to the channels.
    #[error(
        "a scale or shift of {found} numbers meets values of shape {shape:?}; expected one number, one per channel \
         or one per value"
    )]
    Scale {
        /// Numbers found.
        found: usize,
        /// Shape of the values.
        shape: Vec<usize>,
    },
    /// An index that does not fill the shape it is to give.
    #[error("an index of {found} places is to give the shape {shape:?}, which has {}", product(shape))]
    IndexLength {
        /// Places of the index.
        found: usize,
        /// The shape asked for.
        shape: Vec<usize>,
    },
    /// An index beyond the values there are.
    #[error("place {position} of an index is {found}, but only {width} values come in")]
    Index {
        /// Place within the index.
        position: usize,
        /// What stands there.
        found: usize,
        /// The number of values.
        width: usize,
    },
    /// A layer that cannot be built.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// α of the scaled exponential linear unit.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
/// Scale of the scaled exponential linear unit.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

impl Sequence {
    /// An empty chain for inputs of `shape`.
    #[must_use]
    pub fn new(shape: &[usize]) -> Self {
        Self { input: shape.to_vec(), shape: shape.to_vec(), pieces: Vec::new() }
    }

    /// Shape of the input.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.input
    }

    /// Shape of what the chain gives so far.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of values that the chain gives so far; the largest number where it does not fit.
    #[must_use]
    pub fn width(&self) -> usize {
        product(&self.shape)
    }

    /// The layers so far, folded.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The finished layers.
    #[must_use]
    pub fn finish(self) -> Vec<Piece> {
        self.pieces
    }

    /// Reads the same values, row-major, as an array of another shape.
    ///
    /// # Errors
    /// [`SequenceError::Reshape`] if the numbers of values differ.
    pub fn reshape(&mut self, shape: &[usize]) -> Result<(), SequenceError> {
        if product(shape) != self.width() {
            return Err(SequenceError::Reshape { from: self.shape.clone(), to: shape.to_vec() });
        }
        self.shape = shape.to_vec();
        Ok(())
    }

    /// W x + b of all values. `weight`: `[outputs, inputs]` row-major, `bias`: `[outputs]`; the shape becomes `[outputs]`.
    ///
    /// # Errors
    /// [`SequenceError::Parameter`], and [`SequenceError::Layer`] for a layer too large.
    pub fn dense(&mut self, weight: &[f64], bias: &[f64]) -> Result<(), SequenceError> {
        let (inputs, outputs) = (self.width(), bias.len());
        let map = Map::Dense { inputs, outputs };
        LayerShape { map, activation: Activation::Identity }.check()?;
        check_length("a dense layer", "weight", product(&[outputs, inputs]), weight.len())?;
        self.append_affine(Piece::plain(map, vec![weight.to_vec(), bias.to_vec()]));
        self.shape = vec![outputs];
        Ok(())
    }

    /// A convolution; see [`Map::Convolution`] for its parameters. The shape becomes `windows.output`.
    ///
    /// # Errors
    /// [`SequenceError::Inputs`], [`SequenceError::Parameter`], and [`SequenceError::Layer`] for impossible windows.
    pub fn convolution(&mut self, windows: Windows, weight: &[f64], bias: &[f64]) -> Result<(), SequenceError> {
        self.append_windows("a convolution", Map::Convolution(windows), windows, weight, bias)
    }

    /// A transposed convolution; see [`Map::TransposedConvolution`]. The shape becomes `windows.output`.
    ///
    /// # Errors
    /// As [`convolution`](Self::convolution).
    pub fn transposed_convolution(
        &mut self,
        windows: Windows,
        weight: &[f64],
        bias: &[f64],
    ) -> Result<(), SequenceError> {
        self.append_windows("a transposed convolution", Map::TransposedConvolution(windows), windows, weight, bias)
    }

    fn append_windows(
        &mut self,
        operation: &'static str,
        map: Map,
        windows: Windows,
        weight: &[f64],
        bias: &[f64],
    ) -> Result<(), SequenceError> {
        self.check_windows(operation, map)?;
        for ((name, shape), found) in map.parameters().into_iter().zip([weight, bias]) {
            check_length(operation, name, product(&shape), found.len())?;
        }
        self.append_affine(Piece::plain(map, vec![weight.to_vec(), bias.to_vec()]));
        self.shape = windows.output.to_vec();
        Ok(())
    }

    /// The maximum over each window, channel by channel; places outside the image do not count.
    ///
    /// # Errors
    /// [`SequenceError::Inputs`], and [`SequenceError::Layer`] for impossible windows.
    pub fn max_pool(&mut self, windows: Windows) -> Result<(), SequenceError> {
        let map = Map::MaxPool(windows);
        self.check_windows("a maximum over windows", map)?;
        self.pieces.push(Piece::plain(map, vec![]));
        self.shape = windows.output.to_vec();
        Ok(())
    }

    /// The mean over each window, channel by channel (`windows.groups` is the number of channels). Places outside the image
    /// count as zeros if `outside_counts`; otherwise the mean is over the places inside.
    ///
    /// # Errors
    /// As [`max_pool`](Self::max_pool).
    pub fn average_pool(&mut self, windows: Windows, outside_counts: bool) -> Result<(), SequenceError> {
        self.check_windows("a mean over windows", Map::MaxPool(windows))?;
        let area = product(&windows.kernel);
        let weight = vec![1.0 / area as f64; product(&[windows.output[0], area])];
        self.convolution(windows, &weight, &vec![0.0; windows.output[0]])?;
        if outside_counts {
            return Ok(());
        }
        let inside = |axis: usize| -> Vec<usize> {
            let seen = |window| (0..windows.kernel[axis]).filter(|&k| windows.place(axis, window, k).is_some()).count();
            (0..windows.output[axis + 1]).map(seen).collect()
        };
        let (rows, columns) = (inside(0), inside(1));
        let of_image =
            rows.iter().flat_map(|row| columns.iter().map(move |column| area as f64 / (row * column) as f64));
        let scale: Vec<f64> = of_image.cycle().take(product(&windows.output)).collect();
        self.scale_and_shift(&scale, &[0.0])
    }

    /// Output i is value `index[i]`, or 0; the shape becomes `shape`.
    ///
    /// # Errors
    /// [`SequenceError::IndexLength`], [`SequenceError::Index`], and [`SequenceError::Layer`] for too many values.
    pub fn gather(&mut self, index: &[Option<usize>], shape: &[usize]) -> Result<(), SequenceError> {
        let width = self.width();
        if product(shape) != index.len() {
            return Err(SequenceError::IndexLength { found: index.len(), shape: shape.to_vec() });
        }
        let mut places = index.iter().enumerate().filter_map(|(position, place)| place.map(|place| (position, place)));
        let beyond = places.find(|&(_, place)| place >= width);
        if let Some((position, found)) = beyond {
            return Err(SequenceError::Index { position, found, width });
        }
        let map = Map::Gather { inputs: width, outputs: index.len() };
        LayerShape { map, activation: Activation::Identity }.check()?;
        simplify::append_gather(&mut self.pieces, width, index);
        self.shape = shape.to_vec();
        Ok(())
    }

    /// h ∘ scale + shift. Each of the two has one number, one per channel (the first axis) or one per value.
    ///
    /// # Errors
    /// [`SequenceError::Scale`], and [`SequenceError::Layer`] for too many values.
    pub fn scale_and_shift(&mut self, scale: &[f64], shift: &[f64]) -> Result<(), SequenceError> {
        let by = Diagonal { scale: self.spread(scale)?, shift: self.spread(shift)? };
        if !by.is_identity() {
            simplify::append_diagonal(&mut self.pieces, by, &self.shape);
        }
        Ok(())
    }

    /// One number per value.
    fn spread(&self, numbers: &[f64]) -> Result<Vec<f64>, SequenceError> {
        let width = self.width();
        if width > MAX_WIDTH {
            let what = "the number of values between two layers";
            return Err(LayerError::TooLarge { what, found: width, limit: MAX_WIDTH }.into());
        }
        let channels = self.shape.first().copied().unwrap_or(1);
        let each = match numbers.len() {
            n if n == width => 1,
            1 => width,
            n if n == channels && n > 0 => width / channels,
            found => return Err(SequenceError::Scale { found, shape: self.shape.clone() }),
        };
        Ok(numbers.iter().flat_map(|&number| std::iter::repeat_n(number, each)).collect())
    }

    /// Applies φ to every value.
    ///
    /// # Errors
    /// [`SequenceError::Layer`] for constants that make no sense, and for too many values.
    pub fn activation(&mut self, activation: Activation) -> Result<(), SequenceError> {
        activation.check().map_err(|expected| LayerError::Activation { activation, expected })?;
        if activation == Activation::Identity {
            return Ok(());
        }
        if let Some(last) = self.pieces.last_mut() {
            if let Some(both) = simplify::composition(last.activation, activation) {
                last.activation = both;
                return Ok(());
            }
        }
        let unchanged = Diagonal { scale: self.spread(&[1.0])?, shift: self.spread(&[0.0])? };
        let mut piece = unchanged.into_piece(&self.shape);
        piece.activation = activation;
        self.pieces.push(piece);
        Ok(())
    }

    /// The scaled exponential linear unit: an [`Activation::Elu`], then a scale.
    ///
    /// # Errors
    /// As [`activation`](Self::activation).
    pub fn selu(&mut self) -> Result<(), SequenceError> {
        self.activation(Activation::Elu { alpha: SELU_ALPHA })?;
        self.scale_and_shift(&[SELU_SCALE], &[0.0])
    }

    /// The common start of two chains, and what follows it in the first and in the second: a trunk and two heads.
    #[must_use]
    pub fn split_common(a: &Self, b: &Self) -> (Vec<Piece>, Vec<Piece>, Vec<Piece>) {
        let common = a.pieces.iter().zip(&b.pieces).take_while(|(a, b)| a == b).count();
        (a.pieces[..common].to_vec(), a.pieces[common..].to_vec(), b.pieces[common..].to_vec())
    }

    fn append_affine(&mut self, mut piece: Piece) {
        while self.pieces.last().is_some_and(|last| simplify::absorb(last, &mut piece)) {
            self.pieces.pop();
        }
        self.pieces.push(piece);
    }

    fn check_windows(&self, operation: &'static str, map: Map) -> Result<(), SequenceError> {
        LayerShape { map, activation: Activation::Identity }.check()?;
        if map.inputs() != self.width() {
            let (expected, found, shape) = (map.inputs(), self.width(), self.shape.clone());
            return Err(SequenceError::Inputs { operation, expected, found, shape });
        }
        Ok(())
    }
}

fn check_length(
    operation: &'static str,
    parameter: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), SequenceError> {
    if expected == found {
        Ok(())
    } else {
        Err(SequenceError::Parameter { operation, parameter, expected, found })
    }
}

#[cfg(test)]
mod tests;
