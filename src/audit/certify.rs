//! A certificate file for many inputs: written entry by entry, continued after an interruption.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::certificates::{JudgedModel, Requirement};
use super::plan::AuditPlan;
use super::run::{DataChoice, RunError};
use super::undisturbed::{
    estimation_counts, estimation_distances, select_radius, SelectionError, ESTIMATION_STREAM, SELECTION_STREAM,
};
use crate::certificate::{
    encode, sha256, CertificateError, CertificateFile, Claim, DataIdentity, Draws, Entry, ExactBound, Header,
    ModelIdentity, Outcome, Streams, FORMAT, GENERATOR, SEMANTICS, UNCOMMITTED,
};
use crate::data::Dataset;
use crate::files;
use crate::margin::RadiusRule;
use crate::model::Model;
use crate::quantity::LowerBound;
use crate::seed::Seed;
use crate::sensitivity::ReachError;
use crate::stats::BinomialError;
use crate::threads::Workers;

/// Why a certificate file cannot be written or continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertifyError {
    /// The file cannot be read or written.
    #[error("{path}: {source}; entries that are finished are kept, continue with --resume", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is there already.
    #[error("{path} is there already; continue it with --resume, replace it with --overwrite, or choose another --out", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to continue.
    #[error("{path} holds no certificate to continue; leave --resume out to start one", path = path.display())]
    NothingToResume {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes the file.
    #[error("{path}: another process is writing this certificate; wait for it or choose another --out", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// What is there is no certificate.
    #[error("{path}: {source}; replace it with --overwrite", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// What is there is another certificate.
    #[error("{path} holds the certificate of another run (model, data, inputs, plan or version differ); choose another --out, or replace it with --overwrite", path = path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
    },
    /// A line could not be encoded: a bug.
    #[error("a line of the certificate cannot be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
    /// The caller could not take an entry.
    #[error("the results cannot be printed: {0}")]
    Output(io::Error),
    /// The data do not fit.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The model cannot be prepared.
    #[error("the model's tensors: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// Why nothing is claimed about an input.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error("{0}")]
    Selection(#[from] SelectionError),
    #[error("{0}")]
    Binomial(#[from] BinomialError),
    #[error("{0}")]
    Reach(#[from] ReachError),
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// p̲ is rounded down to a multiple of this, which leaves a checker with other rounding enough room.
const PROBABILITY_STEP: f64 = 1.0 / (1_u64 << 34) as f64;

/// The header of a certificate with these parts. `model_file` are the bytes of the model's file; of `plan`, what concerns
/// attacks is left out.
///
/// # Errors
/// If the inputs asked for are not there or do not fit the model.
pub fn header(
    model: &Model,
    model_file: &[u8],
    data: &DataChoice,
    dataset: &Dataset,
    plan: &AuditPlan,
) -> Result<Header, RunError> {
    data.check(model, dataset)?;
    let quantile = matches!(plan.radius, RadiusRule::Quantile(_));
    let mut header = Header {
        format: FORMAT,
        vaecert_version: env!("CARGO_PKG_VERSION").to_owned(),
        claim: String::new(),
        semantics: SEMANTICS.to_owned(),
        threat: plan.threat,
        norm: "l2".to_owned(),
        level: plan.level,
        failure_probability: plan.failure_probability,
        first: data.first,
        inputs: data.inputs,
        radius_rule: plan.radius,
        selection_draws: if quantile { plan.selection_draws as u64 } else { 0 },
        estimation_draws: plan.estimation_draws as u64,
        seed: plan.seed.0,
        streams: Streams {
            generator: GENERATOR.to_owned(),
            selection: SELECTION_STREAM.to_owned(),
            estimation: ESTIMATION_STREAM.to_owned(),
        },
        model: ModelIdentity { file_sha256: sha256(model_file), weights_sha256: model.sha256.clone() },
        data: DataIdentity {
            name: data.source.to_string(),
            split: data.split.to_string(),
            seed: data.seed.0,
            sha256: dataset.sha256(),
        },
    };
    header.claim = header.words();
    Ok(header)
}

/// Certifies one input (d_x values) for the certificate with this header, whose line hashes to `run`. Never fails: what
/// goes wrong makes the entry undecided.
#[must_use]
pub fn certify(model: &JudgedModel, header: &Header, run: &str, input: &[f32], index: usize) -> Entry {
    let bytes: Vec<u8> = input.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut entry = Entry {
        run: run.to_owned(),
        input: index,
        input_sha256: sha256(&bytes),
        outcome: Outcome::Undecided,
        reasons: vec![],
        radius: None,
        draws: None,
        claim: None,
    };
    if let Err(obstacle) = fill(model, header, input, &mut entry) {
        entry.reasons.push(obstacle.to_string());
    }
    entry
}

fn fill(model: &JudgedModel, header: &Header, input: &[f32], entry: &mut Entry) -> Result<(), Obstacle> {
    let (seed, index) = (Seed(header.seed), entry.input);
    let judge = model.judge(input, header.threat)?;
    // Both counts come from a plan on this machine, where they were `usize`.
    let count = |draws: u64| usize::try_from(draws).unwrap_or(usize::MAX);
    let radius = select_radius(&judge, header.radius_rule, count(header.selection_draws), seed, index)?;
    entry.radius = Some(radius);
    let distances = estimation_distances(&judge, count(header.estimation_draws), seed, index)?;
    let counts = estimation_counts(&judge, radius, &distances, seed, index);
    let probability = counts.probability_lower(header.failure_probability.split(header.inputs))?;
    let probability = with_room(probability);
    entry.draws = Some(Draws { draws: counts.draws, inside: counts.inside, probability_lower: probability });

    let requirement = Requirement { threat: header.threat, radius, level: header.level };
    let certificates = model.certificates(&judge, &requirement, probability)?;
    match certificates.best() {
        Some(best) => {
            let certified_radius = ExactBound::new(best.radius);
            let words = Claim::words(header, index, radius, &certified_radius);
            entry.outcome = Outcome::Certified;
            entry.claim = Some(Claim { words, certified_radius, method: best.method, evidence: best.evidence.clone() });
        }
        None if probability.get() <= header.level.get() => {
            entry.outcome = Outcome::Abstained;
            entry.reasons.push(format!(
                "P(‖Δ(x,0)‖ ≤ r) is only shown to be at least {probability}, the level is {}",
                header.level
            ));
        }
        None => {
            entry.reasons.push("no radius above 0 is proved".to_owned());
            entry.reasons.extend(certificates.obstacle.map(|obstacle| obstacle.to_string()));
        }
    }
    Ok(())
}

/// Rounded down to a multiple of [`PROBABILITY_STEP`].
fn with_room(probability: LowerBound) -> LowerBound {
    let rounded = (probability.get() / PROBABILITY_STEP - 1.0).floor().max(0.0) * PROBABILITY_STEP;
    LowerBound::new(rounded).unwrap_or(LowerBound::ZERO)
}

/// What to do about a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingCertificate {
    /// Refuse.
    Refuse,
    /// Keep its entries and go on; refuse if there is none.
    Resume,
    /// Keep its entries and go on; start anew if there is none.
    ResumeOrStart,
    /// Start anew.
    Overwrite,
}

/// A certificate file, opened for appending.
#[derive(Debug)]
pub struct CertificateWriter {
    path: PathBuf,
    file: File,
    header: Header,
    run: String,
    finished: Vec<Entry>,
    end: u64,
}

impl CertificateWriter {
    /// Opens the file before any work and keeps other processes out.
    ///
    /// # Errors
    /// [`CertifyError`] where the file cannot be written, is in use, or holds what `existing` does not allow.
    pub fn open(path: &Path, header: Header, existing: ExistingCertificate) -> Result<Self, CertifyError> {
        let failed = |source| CertifyError::Io { path: path.to_owned(), source };
        let there = path.exists();
        match existing {
            ExistingCertificate::Refuse if there => return Err(CertifyError::Exists { path: path.to_owned() }),
            ExistingCertificate::Resume if !there => {
                return Err(CertifyError::NothingToResume { path: path.to_owned() })
            }
            _ => {}
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let line = encode(&header)?;
        let run = sha256(line.strip_suffix(b"\n").unwrap_or(&line));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if !files::lock(&file).map_err(failed)? {
            return Err(CertifyError::InUse { path: path.to_owned() });
        }
        // Read under the lock: whoever held it may have added entries.
        let resumed = match existing {
            ExistingCertificate::Resume | ExistingCertificate::ResumeOrStart => read(path, &header)?,
            ExistingCertificate::Refuse | ExistingCertificate::Overwrite => None,
        };
        let mut writer = Self { path: path.to_owned(), file, header, run, finished: vec![], end: 0 };
        match resumed {
            Some(certificate) => {
                writer.end = certificate.length as u64;
                writer.finished = certificate.entries;
                writer.file.set_len(writer.end).map_err(failed)?;
            }
            None => {
                writer.file.set_len(0).map_err(failed)?;
                writer.append(&line)?;
            }
        }
        Ok(writer)
    }

    /// Entries that were there when the file was opened.
    #[must_use]
    pub fn finished(&self) -> &[Entry] {
        &self.finished
    }

    /// Appends a line so that a kill at any moment leaves it either whole or not part of the file: everything but its
    /// first byte is written and flushed to the disk behind a byte that marks what follows as unfinished, and then that
    /// byte is replaced.
    fn append(&mut self, line: &[u8]) -> Result<(), CertifyError> {
        let (end, file) = (self.end, &mut self.file);
        let write = |file: &mut File| -> io::Result<()> {
            let mut unfinished = line.to_vec();
            if let Some(first) = unfinished.first_mut() {
                *first = UNCOMMITTED;
            }
            file.seek(SeekFrom::Start(end))?;
            file.write_all(&unfinished)?;
            file.sync_data()?;
            file.seek(SeekFrom::Start(end))?;
            file.write_all(line.get(..1).unwrap_or_default())?;
            file.sync_data()
        };
        write(file).map_err(|source| CertifyError::Io { path: self.path.clone(), source })?;
        self.end += line.len() as u64;
        Ok(())
    }

    /// Certifies every input that the file does not hold yet, appends its entry as it finishes and hands it to `sink`,
    /// which first receives the entries that were there already.
    ///
    /// # Errors
    /// If something cannot be written; what was finished before stays.
    pub fn run(
        &mut self,
        workers: &Workers,
        model: &JudgedModel,
        dataset: &Dataset,
        mut sink: impl FnMut(&Entry) -> io::Result<()>,
    ) -> Result<(), CertifyError> {
        for entry in &self.finished {
            sink(entry).map_err(CertifyError::Output)?;
        }
        let header = self.header.clone();
        let run = self.run.clone();
        let remaining: Vec<usize> = (header.first + self.finished.len()..header.first + header.inputs).collect();
        let work = |&index: &usize| certify(model, &header, &run, dataset.row(index).unwrap_or_default(), index);
        workers.stream(&remaining, work, |entry| {
            self.append(&encode(&entry)?)?;
            sink(&entry).map_err(CertifyError::Output)
        })
    }
}

/// The certificate that is there, if it has this header; none where not even a header was finished.
fn read(path: &Path, header: &Header) -> Result<Option<CertificateFile>, CertifyError> {
    let bytes = files::read_regular(path).map_err(|source| CertifyError::Io { path: path.to_owned(), source })?;
    if bytes.first().is_none_or(|&first| first == UNCOMMITTED) {
        return Ok(None);
    }
    let certificate =
        CertificateFile::parse(&bytes).map_err(|source| CertifyError::Malformed { path: path.to_owned(), source })?;
    if certificate.header == *header {
        Ok(Some(certificate))
    } else {
        Err(CertifyError::OtherRun { path: path.to_owned() })
    }
}
