//! Why a model made elsewhere cannot be used.

use std::path::PathBuf;

use super::onnx::OnnxError;
use super::state_dict::{DescriptionError, TensorFileError};
use crate::model::architecture::ArchitectureError;

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// An ONNX file gives no model.
    #[error("{}: {source}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<OnnxError>,
    },
    /// A file of tensors cannot be read.
    #[error("{}: {source}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TensorFileError,
    },
    /// A description does not fit, or cannot be read.
    #[error("{}: {source}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<DescriptionError>,
    },
    /// A head of the encoder takes other inputs than the encoder.
    #[error("a head of the encoder takes inputs of shape {found:?}, expected {expected:?}")]
    EncoderInput {
        /// Shape of the encoder's input.
        expected: Vec<usize>,
        /// Shape of the head's input.
        found: Vec<usize>,
    },
    /// Mean and standard deviation differ in width.
    #[error("the mean has {mean} values and the standard deviation {std}; expected the same number of both")]
    Heads {
        /// Values of the mean.
        mean: usize,
        /// Values of the standard deviation.
        std: usize,
    },
    /// The decoder takes another code than the encoder gives.
    #[error("the decoder takes {found} values, but the encoder gives a code of {expected}; do they belong together?")]
    DecoderInput {
        /// Size of the encoder's code.
        expected: usize,
        /// Values that the decoder takes.
        found: usize,
    },
    /// The decoder gives something else than the encoder takes.
    #[error("the decoder gives values of shape {found:?}, expected as many as the encoder takes: {expected:?}")]
    DecoderOutput {
        /// Shape of the encoder's input.
        expected: Vec<usize>,
        /// Shape of the decoder's output.
        found: Vec<usize>,
    },
    /// A weight that is not a number, infinite, or too large for single precision.
    #[error(
        "tensor {tensor} would hold {value} at position {position}; every weight must be finite in single precision"
    )]
    NotFinite {
        /// The tensor of the finished model.
        tensor: String,
        /// Row-major position within it.
        position: usize,
        /// The value.
        value: f64,
    },
    /// The layers do not make a model.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}
