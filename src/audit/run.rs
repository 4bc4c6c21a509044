//! A run: many inputs audited in order, written down one by one, continued after an interruption.
//!
//! A run's folder holds `run.json` (what the run is), `inputs.jsonl` (one record per finished input, in order),
//! `perturbations/` (the smallest refuting perturbation of each input) and, once finished, `summary.json`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::input::{AuditedInput, AuditedModel};
use super::plan::AuditPlan;
use super::record::InputRecord;
use super::summary::Summary;
use crate::data::{explain_mismatch, DataSource, Dataset, Split};
use crate::files;
use crate::model::file::{self, NamedValues};
use crate::model::{device, Model, ModelError};
use crate::seed::Seed;
use crate::threads::Workers;

/// Version of the run folder's layout.
const FORMAT: u32 = 2;
/// What the run is.
pub const RUN_FILE: &str = "run.json";
/// One record per line.
pub const INPUTS_FILE: &str = "inputs.jsonl";
/// The summary of a finished run.
pub const SUMMARY_FILE: &str = "summary.json";
/// The smallest refuting perturbations.
pub const PERTURBATIONS_FOLDER: &str = "perturbations";
const PERTURBATION_EXTENSION: &str = "safetensors";

/// Everything that decides a run's results. Two runs with equal identities on machines of the same kind write equal
/// bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Number of inputs.
    pub inputs: usize,
    /// `cpu` or `cuda`.
    pub device: String,
    /// What is done to every input.
    pub plan: AuditPlan,
}

/// What `run.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// What decides the results.
    pub identity: RunIdentity,
    /// Where the model was read from; none for the embedded one. A relative path is relative to the run's folder.
    pub model: Option<PathBuf>,
    /// Where the data were read from, with absolute paths.
    pub source: DataSource,
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
    /// A perturbation cannot be written.
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
        })
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
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let checks = [
            (self.format == other.format && self.vaecert_version == other.vaecert_version, "version of vaecert"),
            (self.model_sha256 == other.model_sha256, "model"),
            (self.same_data(other), "data set"),
            (self.first == other.first && self.inputs == other.inputs, "choice of inputs"),
            (self.device == other.device, "device"),
            (self.plan == other.plan, "plan (r, level, seed, draws, attacks, …)"),
        ];
        checks.into_iter().find_map(|(same, what)| (!same).then_some(what))
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

impl Audit<'_> {
    /// Audits every input that `folder` does not hold yet, writes each down as it finishes, hands it to `sink`, and
    /// returns all records. `sink` also receives, first, the records that were there already.
    ///
    /// # Errors
    /// If something cannot be written; what was finished before stays.
    pub fn run(
        &self,
        workers: &Workers,
        folder: Option<&mut RunFolder>,
        mut sink: impl FnMut(&InputRecord) -> io::Result<()>,
    ) -> Result<Vec<InputRecord>, RunError> {
        let (mut records, mut folder) = match folder {
            Some(folder) => (folder.finished.clone(), Some(folder)),
            None => (vec![], None),
        };
        for record in &records {
            sink(record).map_err(RunError::Output)?;
        }
        let identity = self.identity;
        let remaining: Vec<usize> = (identity.first + records.len()..identity.first + identity.inputs).collect();
        let audit = |&index: &usize| {
            let input = self.dataset.row(index).unwrap_or_default();
            self.model.audit(input, index, identity.inputs, &identity.plan)
        };
        workers.stream(&remaining, audit, |audited| {
            if let Some(folder) = &mut folder {
                let input = self.dataset.row(audited.record.input).unwrap_or_default();
                folder.append(&audited, input)?;
            }
            sink(&audited.record).map_err(RunError::Output)?;
            records.push(audited.record);
            Ok::<(), RunError>(())
        })?;
        if let Some(folder) = folder {
            folder.finish(&Summary::of(&records))?;
        }
        Ok(records)
    }
}

/// A run's folder, opened for appending.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    finished: Vec<InputRecord>,
    inputs: BufWriter<File>,
}

/// What to do about a run that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Refuse,
    /// Keep its finished inputs and go on; refuse if there is none.
    Resume,
    /// Keep the finished inputs of an interrupted one; start anew if there is none or it is complete.
    ResumeInterrupted,
    /// Start anew.
    Overwrite,
}

impl RunFolder {
    /// Opens `path` for this run, before any work, and keeps other processes out: creates the folder, or takes over what
    /// is there.
    ///
    /// # Errors
    /// If the folder cannot be written, is in use, or holds what `existing` does not allow.
    pub fn open(path: &Path, run: &RunFile, existing: Existing) -> Result<Self, RunError> {
        let unwritable = |source| RunError::Io { path: path.to_owned(), source };
        let holds_run = path.join(RUN_FILE).exists();
        let holds_files =
            [RUN_FILE, INPUTS_FILE, SUMMARY_FILE, PERTURBATIONS_FOLDER].iter().any(|n| path.join(n).exists());
        match existing {
            Existing::Refuse if holds_files => return Err(RunError::Exists { path: path.to_owned() }),
            Existing::Resume if !holds_run => return Err(RunError::NothingToResume { path: path.to_owned() }),
            _ => {}
        }
        std::fs::create_dir_all(path.join(PERTURBATIONS_FOLDER)).map_err(unwritable)?;
        let inputs = OpenOptions::new().append(true).create(true).open(path.join(INPUTS_FILE)).map_err(unwritable)?;
        if !files::lock(&inputs).map_err(unwritable)? {
            return Err(RunError::InUse { path: path.to_owned() });
        }
        let finished = match existing {
            Existing::Resume | Existing::ResumeInterrupted if holds_run => finished_inputs(path, run, &inputs)?,
            _ => vec![],
        };
        let complete = finished.len() == run.identity.inputs && path.join(SUMMARY_FILE).exists();
        let anew = finished.is_empty() || (complete && existing == Existing::ResumeInterrupted);
        if anew {
            start_anew(path, run, &inputs).map_err(unwritable)?;
        }
        let finished = if anew { vec![] } else { finished };
        Ok(Self { path: path.to_owned(), finished, inputs: BufWriter::new(inputs) })
    }

    /// Inputs that were finished when the folder was opened.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished.len()
    }

    /// Writes the perturbation first, then the line that refers to it.
    fn append(&mut self, audited: &AuditedInput, input: &[f32]) -> Result<(), RunError> {
        if let Some(attacked) = &audited.attacked {
            let path = perturbation_path(&self.path, audited.record.input);
            let tensors: [NamedValues; 2] = [
                ("attacked".to_owned(), vec![input.len()], attacked.values().to_vec()),
                ("input".to_owned(), vec![input.len()], input.to_vec()),
            ];
            let bytes = file::to_safetensors(&audited.record, &tensors)?;
            files::write_atomically(&path, &bytes).map_err(|source| RunError::Io { path, source })?;
        }
        let write = |inputs: &mut BufWriter<File>| {
            serde_json::to_writer(&mut *inputs, &audited.record)?;
            inputs.write_all(b"\n")?;
            inputs.flush()?;
            inputs.get_ref().sync_data()
        };
        write(&mut self.inputs).map_err(|source| RunError::Io { path: self.path.join(INPUTS_FILE), source })
    }

    fn finish(&mut self, summary: &Summary) -> Result<(), RunError> {
        let path = self.path.join(SUMMARY_FILE);
        let write = || {
            let mut json = serde_json::to_vec_pretty(summary)?;
            json.push(b'\n');
            files::write_atomically(&path, &json)
        };
        write().map_err(|source| RunError::Io { path: path.clone(), source })
    }
}

/// Where a run keeps the perturbation of an input.
#[must_use]
pub fn perturbation_path(folder: &Path, input: usize) -> PathBuf {
    folder.join(PERTURBATIONS_FOLDER).join(format!("{input:06}.{PERTURBATION_EXTENSION}"))
}

/// Reads `run.json`.
///
/// # Errors
/// If it is missing or malformed.
pub fn read_run_file(folder: &Path) -> Result<RunFile, RunError> {
    let path = folder.join(RUN_FILE);
    let text = files::read_regular(&path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| RunError::Malformed { path, line: source.line(), source })
}

/// Reads the records of a run. A last line without its end is what a killed run leaves; it is not counted.
///
/// # Errors
/// If the file is missing, a whole line is malformed, or the records are not those of consecutive inputs.
pub fn read_records(folder: &Path, identity: &RunIdentity) -> Result<Vec<InputRecord>, RunError> {
    Ok(read_lines(folder, identity)?.into_iter().map(|(record, _)| record).collect())
}

/// The records of a run, each with the position in bytes at which its line ends.
fn read_lines(folder: &Path, identity: &RunIdentity) -> Result<Vec<(InputRecord, usize)>, RunError> {
    let path = folder.join(INPUTS_FILE);
    let bytes = files::read_regular(&path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
    let mut records = Vec::new();
    let mut end = 0;
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break;
        }
        let record: InputRecord = serde_json::from_slice(line).map_err(|source| RunError::Malformed {
            path: path.clone(),
            line: index + 1,
            source,
        })?;
        let expected = identity.first.saturating_add(index);
        if record.input != expected || index >= identity.inputs {
            return Err(RunError::Order { path, line: index + 1, expected, found: record.input });
        }
        end += line.len();
        records.push((record, end));
    }
    Ok(records)
}

/// Whether the perturbation that a record claims is there and was written with this record.
fn has_its_perturbation(folder: &Path, record: &InputRecord) -> bool {
    if record.best_attack.is_none() {
        return true;
    }
    let path = perturbation_path(folder, record.input);
    let Ok(bytes) = files::read_regular(&path) else { return false };
    let stored =
        file::read_metadata(&bytes, &path).ok().and_then(|text| serde_json::from_str::<InputRecord>(&text).ok());
    stored.as_ref() == Some(record) && file::read_tensors(&bytes, &path).is_ok()
}

/// The finished records of the run that is there, after cutting off what a kill left half-written, and everything from
/// the first record on whose perturbation is lost, damaged or another record's.
fn finished_inputs(folder: &Path, run: &RunFile, inputs: &File) -> Result<Vec<InputRecord>, RunError> {
    let there = read_run_file(folder)?;
    if let Some(what) = there.identity.difference(&run.identity) {
        return Err(RunError::OtherRun { path: folder.to_owned(), what });
    }
    let lines = read_lines(folder, &there.identity)?;
    let kept: Vec<_> = lines.into_iter().take_while(|(record, _)| has_its_perturbation(folder, record)).collect();
    let length = kept.last().map_or(0, |(_, end)| *end);
    inputs.set_len(length as u64).map_err(|source| RunError::Io { path: folder.join(INPUTS_FILE), source })?;
    Ok(kept.into_iter().map(|(record, _)| record).collect())
}

/// Removes what another run left and writes what this one is.
fn start_anew(folder: &Path, run: &RunFile, inputs: &File) -> io::Result<()> {
    inputs.set_len(0)?;
    let left = std::fs::read_dir(folder.join(PERTURBATIONS_FOLDER))?;
    for entry in left {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == PERTURBATION_EXTENSION) {
            std::fs::remove_file(path)?;
        }
    }
    match std::fs::remove_file(folder.join(SUMMARY_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut json = serde_json::to_vec_pretty(run)?;
    json.push(b'\n');
    files::write_atomically(&folder.join(RUN_FILE), &json)
}
