//! A run: many inputs audited in order, written down one by one into its [folder](super::folder), continued after an
//! interruption.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use super::folder::{
    perturbation_path, read_records, read_run_file, Existing, Records, RunFolder, INPUTS_FILE, PERTURBATIONS_FOLDER,
    RUN_FILE, SUMMARY_FILE,
};
use super::gathering::Gathering;
use super::input::AuditedModel;
use super::plan::AuditPlan;
use super::record::InputRecord;
use super::summary::Summary;
use crate::allowance::Spent;
use crate::certificate::{range_of, Shard};
use crate::data::{explain_mismatch, DataSource, Dataset, Split};
use crate::files;
use crate::model::{device, Model, ModelError};
use crate::seed::Seed;
use crate::threads::Workers;

/// Version of the run folder's layout.
const FORMAT: u32 = 2;

/// Everything that decides a run's results. Two runs with equal identities on machines of the same kind write equal
/// bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunIdentity {
    /// Version of this layout.
    pub format: u32,
    /// Version of this program.
    pub vaecert_version: String,
    /// The model: its architecture and weights.
    pub model_sha256: String,
    /// The name of the data's source.
    pub data: String,
    /// Which part of them.
    pub split: Split,
    /// Seed of synthetic data; unused by data read from files.
    pub data_seed: Seed,
    /// The data's hash.
    pub data_sha256: String,
    /// Index of the first input.
    pub first: usize,
    /// Number of inputs, of all shards together.
    pub inputs: usize,
    /// `cpu` or `cuda`.
    pub device: String,
    /// What is done to every input.
    pub plan: AuditPlan,
    /// The part of the inputs that this run is about; none where it is about all of them. They share the failure
    /// probability with all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

/// What `run.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// What decides the results.
    pub identity: RunIdentity,
    /// Where the model was read from; none for the embedded one. A relative path is relative to the run's folder.
    pub model: Option<PathBuf>,
    /// Where the data were read from, with absolute paths.
    pub source: DataSource,
}

impl RunFile {
    /// What no run says, if anything.
    pub(super) fn contradiction(&self) -> Option<String> {
        let Self { identity, source, .. } = self;
        if identity.inputs == 0 {
            return Some(RunError::NoInputs.to_string());
        }
        let plan = identity.plan.check().err().map(|error| error.to_string());
        let shard = || check_shard(identity.shard, identity.inputs).err().map(|error| error.to_string());
        plan.or_else(shard).or_else(|| source.preprocessing.check().err().map(|error| error.to_string()))
    }
}

/// Which inputs of which data to audit.
#[derive(Debug, Clone, PartialEq)]
pub struct DataChoice {
    /// Where the data come from.
    pub source: DataSource,
    /// Which part of them.
    pub split: Split,
    /// Seed of synthetic data.
    pub seed: Seed,
    /// Index of the first input.
    pub first: usize,
    /// Number of inputs.
    pub inputs: usize,
}

/// Why a run cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A file of the run's folder cannot be read.
    #[error("{path}: cannot be read: {source}; expected the folder of a run written by `vaecert audit`", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process is writing the run.
    #[error("{path}: another process is writing this run; wait for it or choose another --out", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to continue.
    #[error("{path} holds no run to continue; leave --resume out to start one", path = path.display())]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the run's folder cannot be written.
    #[error("{path}: cannot be written: {source}; finished inputs are kept, continue with --resume", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder already holds a run, or files that a run would replace.
    #[error("{path} already holds a run or files of one; continue it with --resume, replace it with --overwrite, or choose another --out", path = path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a different run.
    #[error("{path} holds a run with another {what}; choose another --out, or replace it with --overwrite", path = path.display())]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// `run.json` says what no run does.
    #[error("{path}: {what}; expected what `vaecert audit` wrote, unchanged", path = path.display())]
    Senseless {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file of the run's folder cannot be understood.
    #[error("{path}, line {line}: {source}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The records of a run's folder are not those of its first inputs in order.
    #[error("{path}, line {line}: a record of input {found}, expected input {expected}; replace the run with --overwrite", path = path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The input that should come here.
        expected: usize,
        /// The input found.
        found: usize,
    },
    /// The inputs asked for are not all there.
    #[error("inputs {first} to {last} were asked for, but the data hold {available}; change --first or --inputs")]
    Range {
        /// First input asked for.
        first: usize,
        /// Last input asked for.
        last: usize,
        /// Inputs there are.
        available: usize,
    },
    /// More shards than inputs: some would have nothing to do.
    #[error("{shards} shards of {inputs} inputs: some would be empty; ask for at most as many shards as inputs")]
    Shards {
        /// Shards asked for.
        shards: usize,
        /// Inputs there are.
        inputs: usize,
    },
    /// A line that no record has.
    #[error("{path}, line {line}: longer than any record; replace the run with --overwrite", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A perturbation's file was written with another record.
    #[error("{path}: was written with another record than the run's", path = path.display())]
    OtherRecord {
        /// The file.
        path: PathBuf,
    },
    /// No input was asked for.
    #[error("no input was asked for; --inputs must be at least 1")]
    NoInputs,
    /// Data and model differ in size.
    #[error("the data have {data} values per input, the model expects {model}; use the data the model was trained on ({explanation})")]
    Shape {
        /// Values per input of the data.
        data: usize,
        /// Values per input of the model.
        model: usize,
        /// What differs, and which option would help.
        explanation: String,
    },
    /// A perturbation cannot be read or written.
    #[error(transparent)]
    Perturbation(#[from] ModelError),
    /// The caller could not take a record.
    #[error("the results cannot be printed: {0}")]
    Output(io::Error),
}

impl DataChoice {
    /// Fails unless the inputs are in `dataset` and fit `model`.
    ///
    /// # Errors
    /// [`RunError::Shape`], [`RunError::NoInputs`], [`RunError::Range`].
    pub fn check(&self, model: &Model, dataset: &Dataset) -> Result<(), RunError> {
        let expected = model.vae.architecture().input_dim();
        if dataset.dim() != expected {
            let explanation = explain_mismatch(dataset.item_shape(), &model.vae.architecture().input_shape);
            return Err(RunError::Shape { data: dataset.dim(), model: expected, explanation });
        }
        if self.inputs == 0 {
            return Err(RunError::NoInputs);
        }
        let last = self.first.saturating_add(self.inputs - 1);
        if last >= dataset.len() {
            return Err(RunError::Range { first: self.first, last, available: dataset.len() });
        }
        Ok(())
    }
}

impl RunIdentity {
    /// The identity of a run with these parts.
    ///
    /// # Errors
    /// If the inputs asked for are not there or do not fit the model.
    pub fn new(
        model: &Model,
        device: &Device,
        data: DataChoice,
        dataset: &Dataset,
        plan: AuditPlan,
    ) -> Result<Self, RunError> {
        data.check(model, dataset)?;
        let DataChoice { source, split, seed, first, inputs } = data;
        Ok(Self {
            format: FORMAT,
            vaecert_version: env!("CARGO_PKG_VERSION").to_owned(),
            model_sha256: model.sha256.clone(),
            data: source.to_string(),
            split,
            data_seed: seed,
            data_sha256: dataset.sha256(),
            first,
            inputs,
            device: device::kind(device).to_owned(),
            plan,
            shard: None,
        })
    }

    /// The same run, but only this part of its inputs.
    ///
    /// # Errors
    /// [`RunError::Shards`] where there are more shards than inputs.
    pub fn of_shard(self, shard: Option<Shard>) -> Result<Self, RunError> {
        check_shard(shard, self.inputs)?;
        Ok(Self { shard, ..self })
    }

    /// The inputs that the run is about.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        range_of(self.shard, self.first, self.inputs)
    }

    /// SHA-256 of the identity as JSON, in hexadecimal: equal for equal runs.
    #[must_use]
    pub fn sha256(&self) -> String {
        // An identity consists of numbers and strings without infinities, which always serialise.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        files::hexadecimal(&Sha256::digest(bytes))
    }

    /// Whether the data are the same, wherever they lie.
    fn same_data(&self, other: &Self) -> bool {
        self.data == other.data
            && self.split == other.split
            && self.data_seed == other.data_seed
            && self.data_sha256 == other.data_sha256
    }

    /// What differs from another identity, if anything.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let checks = [
            (self.format == other.format && self.vaecert_version == other.vaecert_version, "version of vaecert"),
            (self.model_sha256 == other.model_sha256, "model"),
            (self.same_data(other), "data set"),
            (self.first == other.first && self.inputs == other.inputs, "choice of inputs"),
            (self.shard == other.shard, "shard"),
            (self.device == other.device, "device"),
            (self.plan == other.plan, "plan (r, level, seed, draws, attacks, …)"),
        ];
        checks.into_iter().find_map(|(same, what)| (!same).then_some(what))
    }
}

/// Fails where a shard would be empty.
pub(super) fn check_shard(shard: Option<Shard>, inputs: usize) -> Result<(), RunError> {
    match shard.filter(|shard| shard.count() > inputs) {
        Some(shard) => Err(RunError::Shards { shards: shard.count(), inputs }),
        None => Ok(()),
    }
}

/// A run about to be carried out.
#[derive(Debug)]
pub struct Audit<'a> {
    /// The model.
    pub model: &'a AuditedModel,
    /// The data.
    pub dataset: &'a Dataset,
    /// What the run is.
    pub identity: &'a RunIdentity,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progressed {
    /// The finished inputs.
    pub summary: Summary,
    /// Inputs that were not reached before the run's time was over.
    pub unfinished: usize,
}

/// Why the work on inputs stops early.
enum Stop {
    /// The run's time is over.
    TimeIsUp,
    /// Something cannot be written.
    Failed(RunError),
}

impl Audit<'_> {
    /// Audits every input that `folder` does not hold yet, writes each down as it finishes and hands it to `sink`, which
    /// receives, first, the records that were there already. Holds a few numbers per input in memory, never all records.
    ///
    /// # Errors
    /// If something cannot be written; what was finished before stays.
    pub fn run(
        &self,
        workers: &Workers,
        folder: Option<&mut RunFolder>,
        sink: impl FnMut(&InputRecord) -> io::Result<()>,
    ) -> Result<Summary, RunError> {
        Ok(self.run_until(workers, folder, None, sink)?.summary)
    }

    /// [`Audit::run`] up to a moment. Inputs that are not finished then are left to a resumed run, which computes them from
    /// the start, so that no result depends on that moment.
    ///
    /// # Errors
    /// As [`Audit::run`].
    pub fn run_until(
        &self,
        workers: &Workers,
        mut folder: Option<&mut RunFolder>,
        ends: Option<Instant>,
        mut sink: impl FnMut(&InputRecord) -> io::Result<()>,
    ) -> Result<Progressed, RunError> {
        let identity = self.identity;
        let mut gathering = Gathering::default();
        if let Some(folder) = &folder {
            for record in Records::open(folder.path(), identity)?.take(folder.finished()) {
                let record = record?;
                gathering.add(&record);
                sink(&record).map_err(RunError::Output)?;
            }
        }
        let range = identity.range();
        let remaining: Vec<usize> = range.clone().skip(gathering.inputs()).collect();
        let audit = |&index: &usize| {
            let allowance = identity.plan.allowance(ends);
            let input = self.dataset.row(index).unwrap_or_default();
            let audited = self.model.audit_within(input, index, identity.inputs, &identity.plan, &allowance);
            (allowance.was_spent() != Some(Spent::RunTime)).then_some(audited)
        };
        let stopped = workers.stream(&remaining, audit, |audited| {
            let Some(audited) = audited else { return Err(Stop::TimeIsUp) };
            if let Some(folder) = &mut folder {
                let input = self.dataset.row(audited.record.input).unwrap_or_default();
                folder.append(&audited, input).map_err(Stop::Failed)?;
            }
            gathering.add(&audited.record);
            sink(&audited.record).map_err(|error| Stop::Failed(RunError::Output(error)))
        });
        let summary = gathering.summary();
        match stopped {
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::TimeIsUp) => {}
            Ok(()) => {
                if let Some(folder) = folder {
                    folder.finish(&summary)?;
                }
            }
        }
        let unfinished = range.len() - summary.inputs;
        Ok(Progressed { summary, unfinished })
    }
}
