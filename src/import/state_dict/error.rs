//! What can go wrong with a file of tensors or its description.

use safetensors::SafeTensorError;

use super::build::LayerPlace;
use crate::import::sequence::SequenceError;

/// Why a file of tensors cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFileError {
    /// Neither a PyTorch archive nor a readable safetensors file.
    #[error(
        "neither a file of torch.save nor a readable safetensors file ({source}); expected one of the two, e.g. from \
         torch.save(model.state_dict(), \"model.pt\")"
    )]
    Safetensors {
        /// What the parser says.
        source: SafeTensorError,
    },
    /// The format of PyTorch before version 1.6.
    #[error(
        "a file of PyTorch's format before version 1.6; read it with torch.load and write it again with \
         torch.save(model.state_dict(), \"model.pt\")"
    )]
    Legacy,
    /// A TorchScript archive.
    #[error("a TorchScript archive, which is a program; write the weights alone: torch.save(model.state_dict(), \"model.pt\")")]
    TorchScript,
    /// The archive is broken.
    #[error("a broken archive: {reason}; copy or write the file again")]
    Archive {
        /// What is wrong with it.
        reason: String,
    },
    /// An entry is compressed or encrypted.
    #[error(
        "entry {entry:?} of the archive is compressed or encrypted, which torch.save never does; write the file again"
    )]
    Compressed {
        /// The entry.
        entry: String,
    },
    /// The archive has an entry less than is needed.
    #[error("the archive has no entry {entry:?}; expected a file of torch.save(model.state_dict(), \"model.pt\")")]
    MissingEntry {
        /// The entry.
        entry: String,
    },
    /// Numbers with their most significant byte first.
    #[error(
        "the numbers are stored in the byte order {found:?}, expected \"little\"; write the file on another machine"
    )]
    ByteOrder {
        /// The byte order found.
        found: String,
    },
    /// The pickle wants something else than tensors.
    #[error(
        "the file asks Python for {name}, which is no tensor; such objects are not read and nothing is run. Write the \
         weights alone: torch.save(model.state_dict(), \"model.pt\")"
    )]
    Global {
        /// Module and name.
        name: String,
    },
    /// An instruction that `torch.save` does not write.
    #[error("byte {position} of the pickle is the instruction {opcode:#04x}, which torch.save does not write; write the file again")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Its place.
        position: usize,
    },
    /// The pickle makes no sense.
    #[error("the pickle is malformed at byte {position}: {reason}; write the file again")]
    Pickle {
        /// What is wrong.
        reason: &'static str,
        /// Where.
        position: usize,
    },
    /// A tensor reaches beyond the numbers stored for it.
    #[error("tensor {name}: {reason}; write the file again")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More than any supported model needs.
    #[error("more than {} numbers or 4 GiB; models of that size are not supported", super::tensors::MAX_NUMBERS)]
    TooLarge,
    /// Nothing that could be a weight.
    #[error("no tensor of real numbers in it; expected a dictionary of them, e.g. from torch.save(model.state_dict(), \"model.pt\")")]
    NoTensors,
}

/// Why a description gives no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The text is not a description.
    #[error("not a usable description: {source}")]
    Toml {
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// A layer does not fit.
    #[error("{place}: {source}")]
    Layer {
        /// Which layer.
        place: LayerPlace,
        /// What is wrong with it.
        source: LayerProblem,
    },
    /// A head gives another number of values than the code has.
    #[error("{chain} gives {found} values, expected latent_dim = {expected}")]
    LatentDim {
        /// Which chain.
        chain: &'static str,
        /// The size of the code.
        expected: usize,
        /// Values that the head gives.
        found: usize,
    },
}

/// What is wrong with one described layer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerProblem {
    /// The file has no such tensor.
    #[error("no tensor is called {name:?}{}", did_you_mean(nearest.as_deref()))]
    MissingTensor {
        /// The name.
        name: String,
        /// The name nearest in spelling.
        nearest: Option<String>,
    },
    /// A tensor of another type.
    #[error("tensor {name} has type {found}, expected F32, F64, F16 or BF16")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name} has shape {found:?}, expected {expected}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape expected.
        expected: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// The layer does not say which tensors are its own.
    #[error("expected either `tensors` (the prefix of .weight and .bias) or `weight` and perhaps `bias`")]
    Names,
    /// The layer needs an image.
    #[error("takes an image [channels, height, width], but values of shape {found:?} come in; reshape them first")]
    Image {
        /// The shape.
        found: Vec<usize>,
    },
    /// Numbers of the description that do not fit.
    #[error("{what} is {found}, expected {expected}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What is expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The layer does not fit the chain.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
}
