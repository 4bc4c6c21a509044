//! A second look at the perturbations of a run: stored inputs compared, norms measured anew, fresh draws.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::InputRecord;
use super::run::{perturbation_path, RunIdentity};
use crate::attack::AttackedInput;
use crate::data::Dataset;
use crate::files;
use crate::margin::{DrawCounts, Judge};
use crate::model::file::{self, ModelError};
use crate::model::{Model, Vae};
use crate::quantity::{LowerBound, Probability, Radius, UpperBound};
use crate::seed::Seed;
use crate::sensitivity::RoundedVae;

/// What a replay says about one perturbation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// On fresh draws the perturbation breaks robustness, at the recorded norm.
    Confirmed,
    /// The fresh draws decide neither way.
    Undecided,
    /// The perturbation is longer than recorded, leaves the run's box, or on fresh draws does not break robustness.
    Contradicted,
}

/// One replayed perturbation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRecord {
    /// Index within the split.
    pub input: usize,
    /// What was found.
    pub verdict: ReplayVerdict,
    /// ‖δ‖₂ measured anew, rounded up, input units.
    pub norm_upper: UpperBound,
    /// What the audit recorded.
    pub recorded_upper: UpperBound,
    /// The fresh draws.
    pub counts: DrawCounts,
    /// P(‖Δ‖ ≤ r) is at least this.
    pub probability_lower: LowerBound,
    /// P(‖Δ‖ ≤ r) is at most this.
    pub probability_upper: UpperBound,
}

/// Why a perturbation cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The model is not the one that was audited.
    #[error("the model's hash is {found}, the run audited {recorded}; name the right file with --model")]
    OtherModel {
        /// The audited model.
        recorded: String,
        /// The model found.
        found: String,
    },
    /// The data are not those that were audited.
    #[error("the data hash to {found}, the run audited {recorded}; name the right folder with --data-dir")]
    OtherData {
        /// The audited data.
        recorded: String,
        /// The data found.
        found: String,
    },
    /// The perturbation's file cannot be read.
    #[error(transparent)]
    File(#[from] ModelError),
    /// The perturbation's file belongs to another input or is incomplete.
    #[error("{path}: {what}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A computation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A run's perturbations, ready to be replayed.
#[derive(Debug)]
pub struct Replay<'a> {
    pub(super) identity: &'a RunIdentity,
    pub(super) vae: Vae,
    pub(super) rounded: RoundedVae,
    dataset: &'a Dataset,
    pub(super) draws: usize,
    pub(super) seed: Seed,
    pub(super) failure_probability: Probability,
}

/// What a run saved about the smallest refutation of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPerturbation {
    /// The file.
    pub path: PathBuf,
    /// x, d_x values.
    pub input: Vec<f32>,
    /// x + δ.
    pub attacked: AttackedInput,
    /// r.
    pub radius: Radius,
    /// ‖δ‖₂ as the run recorded it.
    pub recorded_upper: UpperBound,
}

impl StoredPerturbation {
    /// Reads the file of the perturbation that `record`, read from the run's `inputs.jsonl`, claims for its input.
    ///
    /// # Errors
    /// If the file is missing or altered, or belongs to another input or record.
    pub fn read(folder: &Path, record: &InputRecord) -> Result<Self, ReplayError> {
        let input = record.input;
        let path = perturbation_path(folder, input);
        let wrong = |what: String| ReplayError::Content { path: path.clone(), what };
        let bytes = files::read_regular(&path).map_err(|source| ModelError::Io { path: path.clone(), source })?;
        let metadata = file::read_metadata(&bytes, &path)?;
        let stored: InputRecord =
            serde_json::from_str(&metadata).map_err(|source| ModelError::Metadata { path: path.clone(), source })?;
        let mut tensors = file::read_tensors(&bytes, &path)?;
        // Both have as many values as the first.
        let length = tensors.get("input").map_or(0, |tensor| tensor.shape().iter().product());
        let stored_input = file::take_tensor(&mut tensors, "input", &[length], &path)?;
        let attacked = file::take_tensor(&mut tensors, "attacked", &[length], &path)?;
        if stored.input != input {
            return Err(other_input(&path, input));
        }
        if stored != *record {
            return Err(wrong(format!("its record of input {input} is not the run's")));
        }
        let (Some(radius), Some(recorded_upper)) = (record.radius, record.margin_upper) else {
            return Err(wrong(format!("the run's record of input {input} has no radius or no refuted norm")));
        };
        let attacked = AttackedInput::from_values(&stored_input, attacked);
        Ok(Self { path, input: stored_input, attacked, radius, recorded_upper })
    }
}

fn other_input(path: &Path, input: usize) -> ReplayError {
    let what = format!("expected a perturbation of input {input} of the data, found another input");
    ReplayError::Content { path: path.to_owned(), what }
}

impl<'a> Replay<'a> {
    /// Checks that model and data are those of the run. `perturbations` share the run's failure probability.
    ///
    /// # Errors
    /// If they are not.
    pub fn new(
        identity: &'a RunIdentity,
        model: &Model,
        dataset: &'a Dataset,
        draws: usize,
        seed: Seed,
        perturbations: usize,
    ) -> Result<Self, ReplayError> {
        if model.sha256 != identity.model_sha256 {
            let (recorded, found) = (identity.model_sha256.clone(), model.sha256.clone());
            return Err(ReplayError::OtherModel { recorded, found });
        }
        let found = dataset.sha256();
        if found != identity.data_sha256 {
            return Err(ReplayError::OtherData { recorded: identity.data_sha256.clone(), found });
        }
        let vae = model.vae.converted(DType::F64, &Device::Cpu)?;
        // Two bounds for each perturbation.
        let failure_probability = identity.plan.failure_probability.split(2 * perturbations);
        let rounded = RoundedVae::of(&vae)?;
        Ok(Self { identity, vae, rounded, dataset, draws, seed, failure_probability })
    }

    /// Replays the perturbation that `record`, read from the run's `inputs.jsonl`, claims for its input. r and the norm
    /// are those of the record; the perturbation's file gives the vector and nothing else.
    ///
    /// # Errors
    /// If the file is missing or altered, or belongs to another input or record.
    pub fn perturbation(&self, folder: &Path, record: &InputRecord) -> Result<ReplayRecord, ReplayError> {
        let input = record.input;
        let StoredPerturbation { path, input: stored_input, attacked, radius, recorded_upper } =
            self.stored(folder, record)?;
        let wrong = |what: String| ReplayError::Content { path: path.clone(), what };
        let judge = Judge::new(&self.vae, &self.rounded, &stored_input, self.identity.plan.threat)?;
        let mut stream = self.seed.stream(&format!("replay/{input}"));
        let counts = judge.count(attacked.values(), radius, self.draws, &mut stream)?;
        let bound = |error: crate::stats::BinomialError| wrong(error.to_string());
        let probability_lower = counts.probability_lower(self.failure_probability).map_err(bound)?;
        let probability_upper = counts.probability_upper(self.failure_probability).map_err(bound)?;
        let level = self.identity.plan.level.get();
        let verdict =
            if attacked.norm() > recorded_upper || self.leaves_box(&attacked) || probability_lower.get() > level {
                ReplayVerdict::Contradicted
            } else if probability_upper.get() <= level {
                ReplayVerdict::Confirmed
            } else {
                ReplayVerdict::Undecided
            };
        let norm_upper = attacked.norm();
        Ok(ReplayRecord { input, verdict, norm_upper, recorded_upper, counts, probability_lower, probability_upper })
    }

    /// The perturbation of `record`, if it is one of an input of these data.
    pub(crate) fn stored(&self, folder: &Path, record: &InputRecord) -> Result<StoredPerturbation, ReplayError> {
        let stored = StoredPerturbation::read(folder, record)?;
        if self.dataset.row(record.input) != Some(stored.input.as_slice()) {
            return Err(other_input(&stored.path, record.input));
        }
        Ok(stored)
    }

    /// Whether a perturbed coordinate lies outside the run's box.
    fn leaves_box(&self, attacked: &AttackedInput) -> bool {
        self.identity
            .plan
            .search
            .pixel_box
            .is_some_and(|pixel_box| pixel_box.first_outside(attacked.values()).is_some())
    }
}
