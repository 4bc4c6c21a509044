//! A model as one safetensors file: the weights, and in its metadata the architecture, how it was trained, a hash.
//!
//! All metadata sits under the single key `vaecert` as JSON, so that equal models are equal files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::architecture::{Architecture, ArchitectureError};
use super::train::TrainingRecord;
use super::vae::Vae;
use crate::files;

/// Key of the metadata entry.
pub(crate) const METADATA_KEY: &str = "vaecert";
/// Version of the file's layout.
const FORMAT: u32 = 2;

/// Why a model file cannot be used or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no safetensors file, or is cut off.
    #[error("{path}: not a readable safetensors file ({source}); expected a file written by vaecert", path = path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: SafeTensorError,
    },
    /// The metadata entry is absent: a safetensors file, but not one of ours.
    #[error("{path}: a safetensors file without the metadata entry {METADATA_KEY:?}; expected a model written by `vaecert train` or `vaecert import`", path = path.display())]
    MissingMetadata {
        /// The file.
        path: PathBuf,
    },
    /// The metadata entry cannot be understood.
    #[error("{path}: the metadata entry {METADATA_KEY:?} cannot be read: {source}", path = path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Written by a version of the format that this program does not know.
    #[error("{path}: file format {found}, expected {FORMAT}; use the version of vaecert that wrote it, or train or import the model again", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
    /// The recorded architecture is impossible.
    #[error("{path}: {source}", path = path.display())]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArchitectureError,
    },
    /// The architecture needs a tensor that the file lacks.
    #[error("{path}: tensor {tensor} is missing; the architecture needs it with shape {expected:?}", path = path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// The file holds a tensor that the architecture does not mention.
    #[error("{path}: tensor {tensor} belongs to no layer of the recorded architecture", path = path.display())]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor's shape is not the architecture's.
    #[error("{path}: tensor {tensor} has shape {found:?}, expected {expected:?}", path = path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The architecture's shape.
        expected: Vec<usize>,
        /// The file's shape.
        found: Vec<usize>,
    },
    /// A tensor does not hold single-precision numbers.
    #[error("{path}: tensor {tensor} has type {found:?}, expected F32", path = path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The file's type.
        found: Dtype,
    },
    /// A tensor holds NaN or an infinity.
    #[error("{path}: tensor {tensor} holds {value} at position {position}; every weight must be finite", path = path.display())]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Row-major position within the tensor.
        position: usize,
        /// The value found.
        value: f32,
    },
    /// Architecture and weights are not those that were hashed when the file was written.
    #[error("{path}: architecture and weights hash to {found}, the file records {recorded}; the file was altered or damaged after it was written", path = path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The recorded hash.
        recorded: String,
        /// The hash of what was found.
        found: String,
    },
    /// The tensors could not be made or read back.
    #[error("the model's tensors: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// What the metadata entry holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    format: u32,
    architecture: Architecture,
    training: Option<TrainingRecord>,
    sha256: String,
}

/// A VAE with its history and identity.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network, single precision, on the processor.
    pub vae: Vae,
    /// How it was trained, where that is known.
    pub training: Option<TrainingRecord>,
    /// SHA-256 over the architecture and the names, shapes and little-endian values of all tensors, in hexadecimal.
    pub sha256: String,
}

impl Model {
    /// Gives a network its identity.
    ///
    /// # Errors
    /// If the tensors cannot be read back from their device.
    pub fn new(vae: &Vae, training: Option<TrainingRecord>) -> candle_core::Result<Self> {
        let vae = vae.converted(DType::F32, &Device::Cpu)?;
        let sha256 = hash(vae.architecture(), &named_values(&vae)?);
        Ok(Self { vae, training, sha256 })
    }

    /// A model of parameters in the order of [`Architecture::parameters`]: (name, shape, row-major values).
    ///
    /// # Errors
    /// If a parameter is missing or has another shape than the architecture says.
    pub fn of_parameters(architecture: Architecture, parameters: Vec<NamedValues>) -> candle_core::Result<Self> {
        let tensor = |(_, shape, values)| Tensor::from_vec(values, shape, &Device::Cpu);
        let tensors: Vec<Tensor> = parameters.into_iter().map(tensor).collect::<candle_core::Result<_>>()?;
        Self::new(&Vae::from_parameters(architecture, &tensors)?, None)
    }

    /// Reads a model file and checks every shape and value in it.
    ///
    /// # Errors
    /// [`ModelError`] naming the file, and the tensor where one is wrong.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = files::read_regular(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, path)
    }

    /// [`Model::load`] from memory; `path` is what errors call the file.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        let owned = || path.to_owned();
        let metadata = read_metadata(bytes, path)?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).map_err(|source| ModelError::Metadata { path: owned(), source })?;
        if metadata.format != FORMAT {
            return Err(ModelError::Format { path: owned(), found: metadata.format });
        }
        metadata.architecture.check().map_err(|source| ModelError::Architecture { path: owned(), source })?;
        let mut tensors = read_tensors(bytes, path)?;
        let mut values = Vec::new();
        for (name, shape) in metadata.architecture.parameters() {
            values.push((name.clone(), shape.clone(), take_tensor(&mut tensors, &name, &shape, path)?));
        }
        if let Some((tensor, _)) = tensors.pop_first() {
            return Err(ModelError::UnexpectedTensor { path: owned(), tensor });
        }
        let found = hash(&metadata.architecture, &values);
        if found != metadata.sha256 {
            return Err(ModelError::Hash { path: owned(), recorded: metadata.sha256, found });
        }
        let parameters: Vec<Tensor> = values
            .into_iter()
            .map(|(_, shape, values)| Tensor::from_vec(values, shape, &Device::Cpu))
            .collect::<Result<_, _>>()?;
        let vae = Vae::from_parameters(metadata.architecture, &parameters)?;
        Ok(Self { vae, training: metadata.training, sha256: metadata.sha256 })
    }

    /// The bytes of the model's file.
    ///
    /// # Errors
    /// If the tensors cannot be read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let metadata = Metadata {
            format: FORMAT,
            architecture: self.vae.architecture().clone(),
            training: self.training.clone(),
            sha256: self.sha256.clone(),
        };
        to_safetensors(&metadata, &named_values(&self.vae)?)
    }

    /// Writes the model's file: beside the target first, then renamed, so that no half-written model is ever seen.
    ///
    /// # Errors
    /// [`ModelError::Io`] with the file's name.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        files::write_atomically(path, &self.to_bytes()?)
            .map_err(|source| ModelError::Io { path: path.to_owned(), source })
    }
}

/// A named tensor taken out of candle: (name, shape, row-major values).
pub type NamedValues = (String, Vec<usize>, Vec<f32>);

fn named_values(vae: &Vae) -> candle_core::Result<Vec<NamedValues>> {
    let named = vae.architecture().parameters().into_iter().zip(vae.parameters());
    named.map(|((name, shape), tensor)| Ok((name, shape, tensor.flatten_all()?.to_vec1::<f32>()?))).collect()
}

/// A safetensors file with `metadata` as JSON under [`METADATA_KEY`].
pub(crate) fn to_safetensors(metadata: &impl Serialize, tensors: &[NamedValues]) -> Result<Vec<u8>, ModelError> {
    let malformed = |source| ModelError::Metadata { path: PathBuf::from("(memory)"), source };
    let unwritable = |source| ModelError::NotSafetensors { path: PathBuf::from("(memory)"), source };
    let metadata = serde_json::to_string(metadata).map_err(malformed)?;
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| little_endian(values)).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, shape, _), bytes) in tensors.iter().zip(&bytes) {
        views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(unwritable)?));
    }
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
    safetensors::tensor::serialize(views, Some(metadata)).map_err(unwritable)
}

/// The JSON under [`METADATA_KEY`].
pub(crate) fn read_metadata(bytes: &[u8], path: &Path) -> Result<String, ModelError> {
    let (_, header) = SafeTensors::read_metadata(bytes)
        .map_err(|source| ModelError::NotSafetensors { path: path.to_owned(), source })?;
    let entry = header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY));
    entry.cloned().ok_or_else(|| ModelError::MissingMetadata { path: path.to_owned() })
}

/// Every tensor of a safetensors file by name: (type, shape, bytes).
pub(crate) fn read_tensors<'a>(bytes: &'a [u8], path: &Path) -> Result<BTreeMap<String, TensorView<'a>>, ModelError> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|source| ModelError::NotSafetensors { path: path.to_owned(), source })?;
    Ok(tensors.tensors().into_iter().collect())
}

/// Removes a tensor from `tensors` and checks its type, shape and values.
pub(crate) fn take_tensor(
    tensors: &mut BTreeMap<String, TensorView<'_>>,
    name: &str,
    shape: &[usize],
    path: &Path,
) -> Result<Vec<f32>, ModelError> {
    let (path, tensor) = (path.to_owned(), name.to_owned());
    let Some(view) = tensors.remove(name) else {
        return Err(ModelError::MissingTensor { path, tensor, expected: shape.to_vec() });
    };
    if view.dtype() != Dtype::F32 {
        return Err(ModelError::Type { path, tensor, found: view.dtype() });
    }
    if view.shape() != shape {
        return Err(ModelError::Shape { path, tensor, expected: shape.to_vec(), found: view.shape().to_vec() });
    }
    let values: Vec<f32> =
        view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(ModelError::NonFinite { path, tensor, position, value: values[position] }),
        None => Ok(values),
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn hash(architecture: &Architecture, tensors: &[NamedValues]) -> String {
    // An architecture consists of numbers and names, which always serialise.
    let mut hasher = Sha256::new_with_prefix(serde_json::to_vec(architecture).unwrap_or_default());
    update_with_tensors(&mut hasher, tensors);
    files::hexadecimal(&hasher.finalize())
}

/// SHA-256 over the names, shapes and little-endian values of tensors, in hexadecimal.
pub(crate) fn hash_tensors(tensors: &[NamedValues]) -> String {
    let mut hasher = Sha256::new();
    update_with_tensors(&mut hasher, tensors);
    files::hexadecimal(&hasher.finalize())
}

fn update_with_tensors(hasher: &mut Sha256, tensors: &[NamedValues]) {
    for (name, shape, values) in tensors {
        hasher.update(format!("{name}{shape:?}\n"));
        hasher.update(little_endian(values));
    }
}
