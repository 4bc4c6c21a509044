//! Tensors of a safetensors file.

use safetensors::tensor::Dtype;
use safetensors::SafeTensors;

use super::error::TensorFileError;
use super::tensors::{Format, NamedTensor, Tensors, MAX_NUMBERS};

/// Reads every tensor.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors, TensorFileError> {
    let file = SafeTensors::deserialize(bytes).map_err(|source| TensorFileError::Safetensors { source })?;
    let mut tensors = Tensors::default();
    let mut numbers = 0_usize;
    for (name, view) in file.iter() {
        let Some(format) = format(view.dtype()) else {
            tensors.others.insert(name.to_owned(), format!("{:?}", view.dtype()));
            continue;
        };
        numbers = numbers.saturating_add(view.data().len() / format.size());
        if numbers > MAX_NUMBERS {
            return Err(TensorFileError::TooLarge);
        }
        let values = view.data().chunks_exact(format.size()).map(|number| format.decode(number)).collect();
        tensors.real.insert(name.to_owned(), NamedTensor { shape: view.shape().to_vec(), values });
    }
    if tensors.real.is_empty() {
        return Err(TensorFileError::NoTensors);
    }
    Ok(tensors)
}

fn format(kind: Dtype) -> Option<Format> {
    match kind {
        Dtype::F16 => Some(Format::Half),
        Dtype::BF16 => Some(Format::Brain),
        Dtype::F32 => Some(Format::Single),
        Dtype::F64 => Some(Format::Double),
        _ => None,
    }
}
