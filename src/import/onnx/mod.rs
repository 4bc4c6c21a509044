//! Models in ONNX files: from a graph of nodes to chains of layers.
//!
//! [`read_encoder`], [`read_decoder`] and [`read_whole`] evaluate the graph with chains of layers in place of numbers:
//! a value is a constant, or what a chain from the input has given so far. Operators with constants append layers;
//! slices, transposes and padding only say where each element comes from; functions written in parts (softplus,
//! sigmoid, standard deviations) are put together first. Whatever is not a chain of layers, such as a skip connection,
//! is refused, and so is every operator that is not known.
//!
//! Files are not trusted: sizes are checked before anything is allocated, the work that a file can ask for is limited,
//! and only files in the model's own folder are opened.

mod call;
mod error;
mod evaluate;
mod external;
mod formula;
mod graph;
mod names;
mod operators;
mod placement;
mod proto;
mod read;
mod tensor;
#[cfg(test)]
mod tests;
mod value;

use std::ops::RangeInclusive;

pub use error::{ExternalFault, Listed, NodeFault, OnnxError, Place, TensorFault};
pub use names::{ConcatenatedHeads, ConcatenatedHeadsError, OnnxNames, StdKind};
pub use read::{read_decoder, read_encoder, read_whole, Read};

/// Versions of ONNX's operators that are read.
const OPSETS: RangeInclusive<i64> = 7..=27;
