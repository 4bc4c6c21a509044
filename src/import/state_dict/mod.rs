//! Models from a file of named tensors (safetensors, or a PyTorch `state_dict`) and a description of the layers in TOML.

mod archive;
mod build;
mod description;
mod error;
mod pickle;
mod safetensors_file;
mod tensors;
mod torch;

use std::path::Path;

pub use build::{Described, LayerPlace};
pub use error::{DescriptionError, LayerProblem, TensorFileError};
pub use tensors::{NamedTensor, Tensors};

use super::error::ImportError;

/// Reads the tensors of a `.safetensors` file or of a file that `torch.save(model.state_dict(), …)` wrote. Which of the two
/// it is, its contents say; `path` only serves messages. Nothing in the file is ever run.
///
/// # Errors
/// [`ImportError::Tensors`].
pub fn read_state_dict(bytes: &[u8], path: &Path) -> Result<Tensors, ImportError> {
    let read = if bytes.starts_with(&archive::MAGIC) {
        torch::read(bytes)
    } else if torch::is_legacy(bytes) {
        Err(TensorFileError::Legacy)
    } else {
        safetensors_file::read(bytes)
    };
    read.map_err(|source| ImportError::Tensors { path: path.to_owned(), source })
}

/// The encoder and decoder that `description`, the text of a TOML file, makes of `tensors`; `path` is that file's and only
/// serves messages.
///
/// # Errors
/// [`ImportError::Description`].
pub fn read_description(description: &str, path: &Path, tensors: &Tensors) -> Result<Described, ImportError> {
    let located = |source| ImportError::Description { path: path.to_owned(), source: Box::new(source) };
    let description =
        toml::from_str(description).map_err(|source| located(DescriptionError::Toml { source: Box::new(source) }))?;
    build::build(&description, tensors).map_err(located)
}

#[cfg(test)]
mod tests;
