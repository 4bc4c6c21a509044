//! Certifying many inputs: what the header says, and the entry of each input. [`CertificateWriter`] writes them to a file.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use super::certificate_writer::{CertificateWriter, ExistingCertificate};
use super::certificates::{JudgedModel, Requirement};
use super::plan::{time_in_words, AuditPlan};
use super::run::{check_shard, DataChoice, RunError};
use super::undisturbed::{
    estimation_counts, estimation_distances, select_radius, SelectionError, ESTIMATION_STREAM, SELECTION_STREAM,
};
use crate::allowance::{Allowance, Spent};
use crate::certificate::{
    sha256, CertificateError, Claim, DataIdentity, Draws, Entry, ExactBound, Header, ModelIdentity, Outcome, Shard,
    Streams, FORMAT, GENERATOR, SEMANTICS,
};
use crate::data::Dataset;
use crate::margin::RadiusRule;
use crate::model::Model;
use crate::quantity::LowerBound;
use crate::seed::Seed;
use crate::sensitivity::ReachError;
use crate::stats::BinomialError;

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
    #[error("gave up: {}", time_in_words(*.0))]
    Time(u64),
    #[error("the time of the run is over")]
    RunTime,
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
    shard_header(model, model_file, data, dataset, plan, None)
}

/// [`header`] for the part of the inputs that belongs to a shard, or for all of them.
///
/// # Errors
/// As [`header`], and if there are more shards than inputs.
pub fn shard_header(
    model: &Model,
    model_file: &[u8],
    data: &DataChoice,
    dataset: &Dataset,
    plan: &AuditPlan,
    shard: Option<Shard>,
) -> Result<Header, RunError> {
    data.check(model, dataset)?;
    let quantile = matches!(plan.radius, RadiusRule::Quantile(_));
    check_shard(shard, data.inputs)?;
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
        machine_dependent_milliseconds_per_input: plan.machine_dependent_milliseconds_per_input,
        shard,
    };
    header.claim = header.words();
    Ok(header)
}

/// Certifies one input (d_x values) for the certificate with this header, whose line hashes to `run`. Never fails: what
/// goes wrong makes the entry undecided.
#[must_use]
pub fn certify(model: &JudgedModel, header: &Header, run: &str, input: &[f32], index: usize) -> Entry {
    certify_within(model, header, run, input, index, &allowance(header, None))
}

/// The limits of one input whose work begins now, in a run that ends at `run_ends`.
pub(super) fn allowance(header: &Header, run_ends: Option<Instant>) -> Allowance {
    let time = header.machine_dependent_milliseconds_per_input.map(Duration::from_millis);
    Allowance::starting_now(run_ends, time, None)
}

/// [`certify`] within an allowance. An input for which it did not suffice is undecided.
pub(super) fn certify_within(
    model: &JudgedModel,
    header: &Header,
    run: &str,
    input: &[f32],
    index: usize,
    allowance: &Allowance,
) -> Entry {
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
    if let Err(obstacle) = fill(model, header, input, allowance, &mut entry) {
        entry.reasons.push(obstacle.to_string());
    }
    entry
}

fn fill(
    model: &JudgedModel,
    header: &Header,
    input: &[f32],
    allowance: &Allowance,
    entry: &mut Entry,
) -> Result<(), Obstacle> {
    let in_time = || match (allowance.spent(), header.machine_dependent_milliseconds_per_input) {
        (Some(Spent::InputTime), Some(time)) => Err(Obstacle::Time(time)),
        (Some(_), _) => Err(Obstacle::RunTime),
        (None, _) => Ok(()),
    };
    in_time()?;
    let (seed, index) = (Seed(header.seed), entry.input);
    let judge = model.judge(input, header.threat)?;
    // Both counts come from a plan on this machine, where they were `usize`.
    let count = |draws: u64| usize::try_from(draws).unwrap_or(usize::MAX);
    let radius = select_radius(&judge, header.radius_rule, count(header.selection_draws), seed, index)?;
    entry.radius = Some(radius);
    let distances = estimation_distances(&judge, count(header.estimation_draws), seed, index)?;
    in_time()?;
    let counts = estimation_counts(&judge, radius, &distances, seed, index);
    let probability = counts.probability_lower(header.failure_probability.split(header.inputs))?;
    let probability = with_room(probability);
    entry.draws = Some(Draws { draws: counts.draws, inside: counts.inside, probability_lower: probability });

    let requirement = Requirement { threat: header.threat, radius, level: header.level };
    let certificates = model.certificates(&judge, &requirement, probability, allowance)?;
    in_time()?;
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
