//! Training a β-VAE with Adam, epoch by epoch, reproducibly and resumably.
//!
//! A batch is cut into chunks of a fixed number of rows; each chunk's gradients are computed by one thread and added
//! up in order, so the weights do not depend on the number of threads.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{self, AdamStep};
use super::architecture::Architecture;
use super::file::{self, Model, ModelError};
use super::kernel;
use super::objective::{objective_gradients, ObjectiveTerms};
use super::vae::Vae;
use crate::data::Dataset;
use crate::seed::{standard_normal, Seed};
use crate::threads::Workers;

/// Rows per chunk of a batch. Part of what a run's bytes depend on: never derived from the machine.
const CHUNK_ROWS: usize = 128;
/// Version of the checkpoint's layout.
const CHECKPOINT_FORMAT: u32 = 1;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingPlan {
    /// Passes over the data.
    pub epochs: usize,
    /// Inputs per step; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Weight of the divergence term.
    pub beta: f64,
    /// Seed of initial weights, order and noise.
    pub seed: Seed,
}

/// Mean loss terms of one epoch, in nats per input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EpochLosses {
    /// Counted from 1.
    pub epoch: usize,
    /// reconstruction + β · divergence.
    pub loss: f64,
    /// Mean −log p(x | z).
    pub reconstruction: f64,
    /// Mean KL(q ‖ p).
    pub divergence: f64,
}

/// How a model came to be; stored with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// Version of this program.
    pub vaecert_version: String,
    /// Name of the data.
    pub data: String,
    /// Hash of the data.
    pub data_sha256: String,
    /// Number of training inputs.
    pub inputs: usize,
    /// The plan that was carried out.
    pub plan: TrainingPlan,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Losses of the last epoch; none if no epoch was run.
    pub final_losses: Option<EpochLosses>,
}

/// Why training cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A number of the plan makes no sense.
    #[error("{name} must be {expected}, found {found}")]
    Plan {
        /// Which one.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What was found.
        found: f64,
    },
    /// Data and architecture differ in size.
    #[error("the data have {data} values per input, the architecture expects {architecture}")]
    Shape {
        /// Values per input of the data.
        data: usize,
        /// Values per input of the architecture.
        architecture: usize,
    },
    /// A Bernoulli likelihood needs targets in [0, 1].
    #[error("input {input} of the data holds {value}; a Bernoulli likelihood needs values in [0, 1]; scale the data, or give a Gaussian likelihood with --gaussian-std")]
    Range {
        /// Index of the input.
        input: usize,
        /// The value found.
        value: f32,
    },
    /// The loss or a weight stopped being a number.
    #[error("the {what} became {value} in epoch {epoch}, step {step}; try a smaller learning rate, or scale the data")]
    NonFinite {
        /// Loss or weights.
        what: &'static str,
        /// The value.
        value: f64,
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
    },
    /// The checkpoint belongs to another run.
    #[error("{path}: the checkpoint belongs to a run with another {what}; start anew with --overwrite or use the same settings")]
    OtherRun {
        /// The checkpoint.
        path: String,
        /// What differs.
        what: &'static str,
    },
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] ModelError),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A training run between two epochs.
#[derive(Debug)]
pub struct Trainer<'a> {
    vae: Vae,
    moments: Vec<Tensor>,
    history: Vec<EpochLosses>,
    data: &'a Dataset,
    data_sha256: String,
    plan: TrainingPlan,
    device: Device,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointMetadata {
    checkpoint_format: u32,
    vaecert_version: String,
    device: String,
    architecture: Architecture,
    plan: TrainingPlan,
    data_sha256: String,
    history: Vec<EpochLosses>,
    tensors_sha256: String,
}

impl TrainingPlan {
    /// Refuses plans that cannot be carried out.
    ///
    /// # Errors
    /// [`TrainError::Plan`] with the number that makes no sense.
    pub fn check(&self) -> Result<(), TrainError> {
        let refuse = |name, expected, found| Err(TrainError::Plan { name, expected, found });
        if self.batch_size == 0 {
            return refuse("the batch size", "at least 1", 0.0);
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refuse("the learning rate", "a finite number above 0", self.learning_rate);
        }
        if !(self.beta.is_finite() && self.beta >= 0.0) {
            return refuse("beta", "a finite number of at least 0", self.beta);
        }
        Ok(())
    }
}

impl<'a> Trainer<'a> {
    /// A run that has not begun: weights freshly initialised.
    ///
    /// # Errors
    /// If plan, data and architecture do not fit each other.
    pub fn new(
        architecture: Architecture,
        data: &'a Dataset,
        plan: TrainingPlan,
        device: &Device,
    ) -> Result<Self, TrainError> {
        check_fit(&architecture, data, &plan)?;
        let vae = Vae::initialised(architecture, plan.seed, device)?;
        Self::from_vae(vae, data, plan, device)
    }

    /// A run that begins with the weights of `vae` instead of random ones, in single precision on the processor: a next
    /// stage with another learning rate, say. The model it gives records the last stage's plan only.
    ///
    /// # Errors
    /// If plan, data and model do not fit each other.
    pub fn continuing(vae: &Vae, data: &'a Dataset, plan: TrainingPlan) -> Result<Self, TrainError> {
        check_fit(vae.architecture(), data, &plan)?;
        Self::from_vae(vae.converted(DType::F32, &Device::Cpu)?, data, plan, &Device::Cpu)
    }

    fn from_vae(vae: Vae, data: &'a Dataset, plan: TrainingPlan, device: &Device) -> Result<Self, TrainError> {
        let moments = vae.parameters().iter().map(adam::moments_for).collect::<Result<_, _>>()?;
        let vae = vae.in_training();
        Ok(Self { vae, moments, history: vec![], data, data_sha256: data.sha256(), plan, device: device.clone() })
    }

    /// Takes up a run where [`Trainer::checkpoint`] left it. The arguments must be those of the interrupted run.
    ///
    /// # Errors
    /// If the checkpoint cannot be read or belongs to another run.
    pub fn resume(
        checkpoint: &[u8],
        path: &Path,
        architecture: Architecture,
        data: &'a Dataset,
        plan: TrainingPlan,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let malformed = |source| ModelError::Metadata { path: path.to_owned(), source };
        let metadata: CheckpointMetadata =
            serde_json::from_str(&file::read_metadata(checkpoint, path)?).map_err(malformed)?;
        if metadata.checkpoint_format != CHECKPOINT_FORMAT {
            return Err(ModelError::Format { path: path.to_owned(), found: metadata.checkpoint_format }.into());
        }
        let mut trainer = Self::new(architecture, data, plan, device)?;
        let other = |what| TrainError::OtherRun { path: path.display().to_string(), what };
        if metadata.architecture != *trainer.vae.architecture() {
            return Err(other("architecture"));
        }
        if metadata.plan != trainer.plan {
            return Err(other("plan"));
        }
        if metadata.data_sha256 != trainer.data_sha256 {
            return Err(other("training set"));
        }
        if metadata.device != super::device::kind(device) {
            return Err(other("device"));
        }
        if metadata.vaecert_version != env!("CARGO_PKG_VERSION") {
            return Err(other("version of vaecert"));
        }
        let epochs = metadata.history.iter().map(|losses| losses.epoch);
        if metadata.history.len() > trainer.plan.epochs || !epochs.eq(1..=metadata.history.len()) {
            return Err(other("history"));
        }
        let mut tensors = file::read_tensors(checkpoint, path)?;
        let mut taken = Vec::new();
        for (i, (name, shape)) in trainer.vae.architecture().parameters().into_iter().enumerate() {
            let (moments, moments_shape) = (moments_name(&name), trainer.moments[i].dims().to_vec());
            let values = file::take_tensor(&mut tensors, &name, &shape, path)?;
            let moment_values = file::take_tensor(&mut tensors, &moments, &moments_shape, path)?;
            taken.push((name, shape, values));
            taken.push((moments, moments_shape, moment_values));
        }
        if let Some((tensor, _)) = tensors.pop_first() {
            return Err(ModelError::UnexpectedTensor { path: path.to_owned(), tensor }.into());
        }
        let found = file::hash_tensors(&taken);
        if found != metadata.tensors_sha256 {
            let recorded = metadata.tensors_sha256;
            return Err(ModelError::Hash { path: path.to_owned(), recorded, found }.into());
        }
        let mut parameters = Vec::new();
        for (i, (_, shape, values)) in taken.into_iter().enumerate() {
            let tensor = Tensor::from_vec(values, shape, device)?;
            if i % 2 == 0 {
                parameters.push(tensor);
            } else {
                trainer.moments[i / 2] = tensor;
            }
        }
        trainer.vae = Vae::from_parameters(metadata.architecture, &parameters)?.in_training();
        trainer.history = metadata.history;
        Ok(trainer)
    }

    /// Everything [`Trainer::resume`] needs, as a safetensors file.
    ///
    /// # Errors
    /// If the tensors cannot be read back from their device.
    pub fn checkpoint(&self) -> Result<Vec<u8>, TrainError> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let mut tensors = Vec::new();
        let named = self.vae.architecture().parameters().into_iter().zip(self.vae.parameters()).zip(&self.moments);
        for (((name, shape), parameter), moments) in named {
            tensors.push((name.clone(), shape, values(&parameter)?));
            tensors.push((moments_name(&name), moments.dims().to_vec(), values(moments)?));
        }
        let metadata = CheckpointMetadata {
            checkpoint_format: CHECKPOINT_FORMAT,
            vaecert_version: env!("CARGO_PKG_VERSION").to_owned(),
            device: super::device::kind(&self.device).to_owned(),
            architecture: self.vae.architecture().clone(),
            plan: self.plan.clone(),
            data_sha256: self.data_sha256.clone(),
            history: self.history.clone(),
            tensors_sha256: file::hash_tensors(&tensors),
        };
        Ok(file::to_safetensors(&metadata, &tensors)?)
    }

    /// The plan being carried out.
    #[must_use]
    pub fn plan(&self) -> &TrainingPlan {
        &self.plan
    }

    /// Losses of the epochs carried out so far.
    #[must_use]
    pub fn history(&self) -> &[EpochLosses] {
        &self.history
    }

    /// Whether all epochs of the plan are done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.history.len() >= self.plan.epochs
    }

    /// Carries out one epoch.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] if the loss or a weight stops being a number; the last checkpoint stays good.
    pub fn run_epoch(&mut self, workers: &Workers) -> Result<EpochLosses, TrainError> {
        let epoch = self.history.len() + 1;
        let mut order: Vec<usize> = (0..self.data.len()).collect();
        order.shuffle(&mut self.plan.seed.stream(&format!("train/epoch/{epoch}/order")));
        let steps_per_epoch = self.data.len().div_ceil(self.plan.batch_size);
        let mut sum = ObjectiveTerms::default();
        for (index, batch) in order.chunks(self.plan.batch_size).enumerate() {
            let position = Position { epoch, step: index + 1, step_overall: (epoch - 1) * steps_per_epoch + index + 1 };
            let terms = self.run_step(batch, position, workers)?;
            sum.reconstruction += terms.reconstruction;
            sum.divergence += terms.divergence;
        }
        self.check_weights(Position { epoch, step: steps_per_epoch, step_overall: 0 })?;
        let n = self.data.len() as f64;
        let losses = EpochLosses {
            epoch,
            loss: sum.total(self.plan.beta) / n,
            reconstruction: sum.reconstruction / n,
            divergence: sum.divergence / n,
        };
        self.history.push(losses);
        Ok(losses)
    }

    /// One Adam step on the inputs with these indices. Returns the objective's terms, summed over the batch.
    fn run_step(
        &mut self,
        batch: &[usize],
        position: Position,
        workers: &Workers,
    ) -> Result<ObjectiveTerms, TrainError> {
        let latent_dim = self.vae.architecture().latent_dim;
        let Position { epoch, step, step_overall } = position;
        let mut stream = self.plan.seed.stream(&format!("train/epoch/{epoch}/step/{step}/noise"));
        let noise = standard_normal(&mut stream, batch.len() * latent_dim);
        let chunks: Vec<(&[usize], &[f32])> =
            batch.chunks(CHUNK_ROWS).zip(noise.chunks(CHUNK_ROWS * latent_dim)).collect();
        let results = workers.map(chunks.len(), |i| {
            let (rows, noise) = chunks[i];
            let input = gather(self.data, rows, &self.device)?;
            let noise = Tensor::from_slice(noise, (rows.len(), latent_dim), &self.device)?;
            objective_gradients(&self.vae, &input, &noise, self.plan.beta)
        })?;
        let mut sum = ObjectiveTerms::default();
        for (terms, _) in &results {
            sum.reconstruction += terms.reconstruction;
            sum.divergence += terms.divergence;
        }
        let loss = sum.total(self.plan.beta);
        if !loss.is_finite() {
            return Err(TrainError::NonFinite { what: "loss", value: loss, epoch, step });
        }
        let adam = AdamStep {
            learning_rate: self.plan.learning_rate,
            step: step_overall as u64,
            gradient_scale: 1.0 / batch.len() as f64,
        };
        let parameters = self.vae.parameters();
        workers.map(parameters.len(), |i| {
            let gradient = &results[0].1[i];
            for (_, gradients) in &results[1..] {
                adam::accumulate(gradient, &gradients[i])?;
            }
            adam::step(&parameters[i], &self.moments[i], gradient, adam)
        })?;
        Ok(sum)
    }

    fn check_weights(&self, position: Position) -> Result<(), TrainError> {
        for parameter in self.vae.parameters() {
            // A sum of squares is finite only if every term is.
            let value = kernel::sum_of_squares(&parameter)?;
            if !value.is_finite() {
                let Position { epoch, step, .. } = position;
                return Err(TrainError::NonFinite { what: "weights", value, epoch, step });
            }
        }
        Ok(())
    }

    /// The model as it stands, with its record.
    ///
    /// # Errors
    /// If the tensors cannot be read back from their device.
    pub fn model(&self) -> Result<Model, TrainError> {
        let record = TrainingRecord {
            vaecert_version: env!("CARGO_PKG_VERSION").to_owned(),
            data: self.data.name().to_owned(),
            data_sha256: self.data_sha256.clone(),
            inputs: self.data.len(),
            plan: self.plan.clone(),
            device: super::device::kind(&self.device).to_owned(),
            final_losses: self.history.last().copied(),
        };
        Ok(Model::new(&self.vae, Some(record))?)
    }
}

/// Name of the tensor that holds a parameter's moments in a checkpoint.
fn moments_name(parameter: &str) -> String {
    format!("moments.{parameter}")
}

/// Where in a run a step is.
#[derive(Clone, Copy)]
struct Position {
    epoch: usize,
    step: usize,
    step_overall: usize,
}

fn check_fit(architecture: &Architecture, data: &Dataset, plan: &TrainingPlan) -> Result<(), TrainError> {
    plan.check()?;
    if data.dim() != architecture.input_dim() {
        return Err(TrainError::Shape { data: data.dim(), architecture: architecture.input_dim() });
    }
    if architecture.likelihood == super::architecture::Likelihood::Bernoulli {
        if let Some(position) = data.values().iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(TrainError::Range { input: position / data.dim(), value: data.values()[position] });
        }
    }
    Ok(())
}

/// The inputs with these indices as a tensor `[rows, d_x]`.
fn gather(data: &Dataset, rows: &[usize], device: &Device) -> candle_core::Result<Tensor> {
    let values: Vec<f32> = rows.iter().filter_map(|&row| data.row(row)).flatten().copied().collect();
    Tensor::from_vec(values, (rows.len(), data.dim()), device)
}
