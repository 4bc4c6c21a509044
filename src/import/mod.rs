//! Models made elsewhere: from an auditor's file to the layers of this program.
//!
//! [`onnx`] and [`state_dict`] read files into chains of layers ([`sequence`]), [`assemble()`] makes a model of an encoder and
//! a decoder. Weights stay in double precision until they are complete, and are then rounded once.

pub mod assemble;
pub mod error;
pub mod onnx;
pub(crate) mod piece;
pub mod sequence;
mod simplify;
pub mod state_dict;
#[cfg(test)]
pub(crate) mod testing;

pub use assemble::{assemble, Assembled, DecoderParts, EncoderParts, LikelihoodChoice};
pub use error::ImportError;
pub use sequence::Sequence;
