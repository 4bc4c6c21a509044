//! One layer before any weight exists: an affine map or a maximum over windows, then an activation.
//!
//! A value between layers is a row of numbers; images are rows too, row-major `[channels, height, width]`. So a reshape
//! needs no layer, and every layer says for itself how it reads its input.

use serde::{Deserialize, Serialize};

use super::activation::Activation;

/// Upper limit of any width, so that a malformed file cannot ask for unbounded memory. Below 2²⁴, so that every index of a
/// [`Map::Gather`] is exact in single precision.
pub const MAX_WIDTH: usize = 1 << 22;

/// Upper limit of the multiplications of one layer at one input.
pub const MAX_PRODUCTS: usize = 1 << 32;

/// Upper limit of the places that the windows of one layer see; every one of them is held in memory, four bytes each.
pub const MAX_PLACES: usize = 1 << 27;

/// h = φ(map(x)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerShape {
    /// What the activation is applied to.
    pub map: Map,
    /// φ.
    pub activation: Activation,
}

/// The part of a layer in front of its activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Map {
    /// W x + b. Parameters: `weight` `[outputs, inputs]`, `bias` `[outputs]`.
    Dense {
        /// Width of the input.
        inputs: usize,
        /// Width of the output.
        outputs: usize,
    },
    /// A two-dimensional convolution (cross-correlation, as frameworks have it) and a bias per channel. Parameters:
    /// `weight` `[output channels, input channels / groups, kernel height, kernel width]`, `bias` `[output channels]`.
    ///
    /// y(o, q) = b(o) + Σ w(o, i, k) x(i, q·stride + k·dilation − padding), places outside the input being 0.
    Convolution(Windows),
    /// The adjoint of a convolution that leads from `output` to `input`, and a bias per channel. Parameters: `weight`
    /// `[input channels, output channels / groups, kernel height, kernel width]`, `bias` `[output channels]`.
    ///
    /// y(o, q·stride + k·dilation − padding) += w(i, o, k) x(i, q), places outside the output being dropped.
    TransposedConvolution(Windows),
    /// Output i is input `index[i]`, or 0 where `index[i]` is −1: permutations, slices, crops, padding, nearest
    /// neighbours. Parameters: `index` `[outputs]`.
    Gather {
        /// Width of the input.
        inputs: usize,
        /// Width of the output.
        outputs: usize,
    },
    /// The maximum over each window, channel by channel; places outside the input do not count. No parameters.
    MaxPool(Windows),
}

/// Windows that slide over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// The layer's input: \[channels, height, width\].
    pub input: [usize; 3],
    /// The layer's output: \[channels, height, width\]; this, and `padding` at the top and on the left, say all about
    /// padding at the other two sides.
    pub output: [usize; 3],
    /// \[height, width\] of a window.
    pub kernel: [usize; 2],
    /// Steps between neighbouring windows.
    pub stride: [usize; 2],
    /// Steps between neighbouring places of a window.
    pub dilation: [usize; 2],
    /// Rows at the top and columns on the left in front of the image.
    pub padding: [usize; 2],
    /// Channels are divided into so many groups that do not see each other. For a maximum: as many as channels.
    pub groups: usize,
}

/// A layer that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A size is 0.
    #[error("{what} is 0; it must be at least 1")]
    Zero {
        /// Which size.
        what: &'static str,
    },
    /// A width is beyond anything this program handles.
    #[error("{what} is {found}; at most {limit} is supported")]
    TooLarge {
        /// Which size.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Channels cannot be divided into the groups.
    #[error("{channels} channels cannot be divided into {groups} groups")]
    Groups {
        /// The channels.
        channels: usize,
        /// The groups.
        groups: usize,
    },
    /// A maximum over windows must keep the channels apart.
    #[error("a maximum over windows has {inputs} input channels, {outputs} output channels and {groups} groups; expected the same number of each")]
    MaxPoolChannels {
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Groups.
        groups: usize,
    },
    /// A window of a maximum lies outside the image.
    #[error("a window of the maximum at row {row}, column {column} of the output sees nothing of the input")]
    EmptyWindow {
        /// Row of the output.
        row: usize,
        /// Column of the output.
        column: usize,
    },
    /// An activation's constants make no sense.
    #[error("{activation:?}: {expected}")]
    Activation {
        /// The activation.
        activation: Activation,
        /// What its constants must be.
        expected: &'static str,
    },
}

/// A product of sizes; the largest number where it does not fit.
pub(crate) fn product(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
}

impl LayerShape {
    /// An affine map given by a full matrix.
    #[must_use]
    pub fn dense(inputs: usize, outputs: usize, activation: Activation) -> Self {
        Self { map: Map::Dense { inputs, outputs }, activation }
    }

    /// Refuses what cannot be built or held.
    ///
    /// # Errors
    /// The first [`LayerError`] found.
    pub fn check(&self) -> Result<(), LayerError> {
        self.map.check()?;
        self.activation.check().map_err(|expected| LayerError::Activation { activation: self.activation, expected })
    }
}

impl Map {
    /// Width of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Self::Dense { inputs, .. } | Self::Gather { inputs, .. } => *inputs,
            Self::Convolution(w) | Self::TransposedConvolution(w) | Self::MaxPool(w) => product(&w.input),
        }
    }

    /// Width of the output.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Dense { outputs, .. } | Self::Gather { outputs, .. } => *outputs,
            Self::Convolution(w) | Self::TransposedConvolution(w) | Self::MaxPool(w) => product(&w.output),
        }
    }

    /// The parameter tensors in their fixed order: (name, shape).
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, Vec<usize>)> {
        match self {
            Self::Dense { inputs, outputs } => vec![("weight", vec![*outputs, *inputs]), ("bias", vec![*outputs])],
            Self::Convolution(w) => {
                vec![("weight", w.weight(w.output[0], w.input[0])), ("bias", vec![w.output[0]])]
            }
            Self::TransposedConvolution(w) => {
                vec![("weight", w.weight(w.input[0], w.output[0])), ("bias", vec![w.output[0]])]
            }
            Self::Gather { outputs, .. } => vec![("index", vec![*outputs])],
            Self::MaxPool(_) => vec![],
        }
    }

    /// Whether the map is affine.
    #[must_use]
    pub fn is_affine(&self) -> bool {
        !matches!(self, Self::MaxPool(_))
    }

    /// Multiplications at one input, places outside an image included.
    #[must_use]
    pub fn products(&self) -> usize {
        match self {
            Self::Dense { inputs, outputs } => product(&[*inputs, *outputs]),
            Self::Gather { outputs, .. } => *outputs,
            Self::Convolution(w) => product(&[product(&w.output), w.input[0] / w.groups.max(1), product(&w.kernel)]),
            Self::TransposedConvolution(w) => {
                product(&[product(&w.input), w.output[0] / w.groups.max(1), product(&w.kernel)])
            }
            Self::MaxPool(w) => product(&[product(&w.output), product(&w.kernel)]),
        }
    }

    /// Places that all windows together see, those outside an image included.
    #[must_use]
    pub fn places(&self) -> usize {
        let seen = |channels: usize, windows: &[usize], w: &Windows| {
            product(&[channels, product(&windows[1..]), product(&w.kernel)])
        };
        match self {
            Self::Dense { .. } => 0,
            Self::Gather { outputs, .. } => *outputs,
            Self::Convolution(w) => seen(w.input[0], &w.output, w),
            Self::TransposedConvolution(w) => seen(w.output[0], &w.input, w),
            Self::MaxPool(w) => seen(w.output[0], &w.output, w),
        }
    }

    fn check(&self) -> Result<(), LayerError> {
        if let Self::Convolution(w) | Self::TransposedConvolution(w) | Self::MaxPool(w) = self {
            w.check()?;
        }
        for (what, found, least, limit) in [
            ("the width of a layer's input", self.inputs(), 1, MAX_WIDTH),
            ("the width of a layer's output", self.outputs(), 1, MAX_WIDTH),
            ("the number of a layer's products", self.products(), 1, MAX_PRODUCTS),
            ("the number of places that a layer's windows see", self.places(), 0, MAX_PLACES),
        ] {
            match found {
                found if found < least => return Err(LayerError::Zero { what }),
                found if found > limit => return Err(LayerError::TooLarge { what, found, limit }),
                _ => {}
            }
        }
        match self {
            Self::MaxPool(w) => w.check_maximum(),
            _ => Ok(()),
        }
    }
}

impl Windows {
    fn weight(&self, first: usize, second: usize) -> Vec<usize> {
        vec![first, second / self.groups.max(1), self.kernel[0], self.kernel[1]]
    }

    /// The same windows with the roles of input and output exchanged.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self { input: self.output, output: self.input, ..*self }
    }

    /// The input row or column that place `offset` of window `window` sees along `axis` (0: rows, 1: columns); none
    /// outside the image.
    #[must_use]
    pub fn place(&self, axis: usize, window: usize, offset: usize) -> Option<usize> {
        let place = (window * self.stride[axis] + offset * self.dilation[axis]).checked_sub(self.padding[axis])?;
        (place < self.input[axis + 1]).then_some(place)
    }

    fn check(&self) -> Result<(), LayerError> {
        for axis in 0..2 {
            for (what, found) in [
                ("the kernel", self.kernel[axis]),
                ("the stride", self.stride[axis]),
                ("the dilation", self.dilation[axis]),
                ("the padding", self.padding[axis].saturating_add(1)),
                ("the number of groups", self.groups),
            ] {
                match found {
                    0 => return Err(LayerError::Zero { what }),
                    found if found > MAX_WIDTH => return Err(LayerError::TooLarge { what, found, limit: MAX_WIDTH }),
                    _ => {}
                }
            }
        }
        for channels in [self.input[0], self.output[0]] {
            if !channels.is_multiple_of(self.groups) {
                return Err(LayerError::Groups { channels, groups: self.groups });
            }
        }
        Ok(())
    }

    fn check_maximum(&self) -> Result<(), LayerError> {
        let (inputs, outputs, groups) = (self.input[0], self.output[0], self.groups);
        if inputs != outputs || inputs != groups {
            return Err(LayerError::MaxPoolChannels { inputs, outputs, groups });
        }
        let sees = |axis, window| (0..self.kernel[axis]).any(|offset| self.place(axis, window, offset).is_some());
        let blind = |axis: usize| (0..self.output[axis + 1]).find(|&window| !sees(axis, window));
        match (blind(0), blind(1)) {
            (None, None) => Ok(()),
            (row, column) => Err(LayerError::EmptyWindow { row: row.unwrap_or(0), column: column.unwrap_or(0) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows() -> Windows {
        let (input, output) = ([2, 8, 8], [4, 4, 4]);
        Windows { input, output, kernel: [4; 2], stride: [2; 2], dilation: [1; 2], padding: [1; 2], groups: 1 }
    }

    fn check(map: Map) -> Result<(), LayerError> {
        LayerShape { map, activation: Activation::Identity }.check()
    }

    #[test]
    fn sizes_follow_from_the_windows() {
        let map = Map::Convolution(windows());
        assert_eq!([map.inputs(), map.outputs(), map.products(), map.places()], [128, 64, 2048, 512]);
        assert_eq!(map.parameters(), [("weight", vec![4, 2, 4, 4]), ("bias", vec![4])]);
        let map = Map::TransposedConvolution(windows().transposed());
        assert_eq!([map.inputs(), map.outputs(), map.products(), map.places()], [64, 128, 2048, 512]);
        assert_eq!(map.parameters(), [("weight", vec![4, 2, 4, 4]), ("bias", vec![2])]);
        assert_eq!(
            [windows().place(0, 0, 0), windows().place(0, 0, 1), windows().place(1, 3, 3)],
            [None, Some(0), None]
        );
    }

    #[test]
    fn layers_that_cannot_be_built_or_held_are_refused() {
        assert_eq!(check(Map::Convolution(windows())), Ok(()));
        let groups = check(Map::Convolution(Windows { groups: 3, ..windows() }));
        assert_eq!(groups, Err(LayerError::Groups { channels: 2, groups: 3 }));
        let zero = check(Map::Convolution(Windows { stride: [0, 2], ..windows() }));
        assert_eq!(zero, Err(LayerError::Zero { what: "the stride" }));
        // A few weights, and more places than memory.
        let large = Windows { input: [1, 2048, 2048], output: [1, 2048, 2048], kernel: [32; 2], ..windows() };
        assert!(matches!(check(Map::Convolution(large)), Err(LayerError::TooLarge { limit: MAX_PLACES, .. })));
        let pool = Windows { input: [4, 8, 8], groups: 4, ..windows() };
        assert_eq!(check(Map::MaxPool(pool)), Ok(()));
        let blind = check(Map::MaxPool(Windows { output: [4, 6, 4], ..pool }));
        assert_eq!(blind, Err(LayerError::EmptyWindow { row: 5, column: 0 }));
        assert!(matches!(check(Map::MaxPool(windows())), Err(LayerError::MaxPoolChannels { .. })));
        let dense = LayerShape::dense(2, 2, Activation::Elu { alpha: 0.0 });
        assert!(matches!(dense.check(), Err(LayerError::Activation { .. })));
    }
}
