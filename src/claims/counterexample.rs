//! A counterexample as a file, and its replay.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claim::{Claim, Judgement, Number, Obstacle, Trial};
use super::registry;
use super::theory::Stated;
use crate::files;
use crate::quantity::Probability;
use crate::seed::Seed;

/// Version of the file's layout.
const FORMAT: u32 = 1;
/// Longer files are none of ours.
const LARGEST_FILE: u64 = 1 << 20;

/// A claim, an instance that contradicts it and the numbers behind that. For an instance of one's own a file needs
/// `format`, `claim` and `instance` only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counterexample {
    format: u32,
    /// Version of the program that found it.
    #[serde(default)]
    pub vaecert_version: String,
    /// The claim's id.
    pub claim: String,
    /// What the claim says; empty for any.
    #[serde(default)]
    pub statement: String,
    /// What happens, in one line.
    #[serde(default)]
    pub line: String,
    /// The numbers computed.
    #[serde(default)]
    pub numbers: Vec<Number>,
    /// The numbers that decide everything.
    pub instance: Value,
    /// Seed of draws, where the claim needs any.
    #[serde(default = "seed_by_hand")]
    pub seed: Seed,
    /// Start of the names of their streams.
    #[serde(default)]
    pub stream: String,
    /// With how much probability a decision by draws may be wrong.
    #[serde(default = "failure_probability_by_hand")]
    pub failure_probability: Probability,
}

fn seed_by_hand() -> Seed {
    Seed(0)
}

/// 0.001, as in a search.
fn failure_probability_by_hand() -> Probability {
    Probability::HALF.split(500)
}

/// Why a counterexample cannot be read, replayed or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CounterexampleError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is far larger than any counterexample.
    #[error("{path}: {found} bytes, expected at most {LARGEST_FILE}; this is no counterexample written by vaecert", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// The file is no counterexample.
    #[error("{path}: not a counterexample written by vaecert: {source}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Written by a version of the format that this program does not know.
    #[error("{path}: file format {found}, expected {FORMAT}; use the version of vaecert that wrote it", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
    /// No claim has this name.
    #[error("{path}: no claim is called {found:?}; `vaecert claims --list` shows those there are", path = path.display())]
    UnknownClaim {
        /// The file.
        path: PathBuf,
        /// The name found.
        found: String,
    },
    /// The claim says something else now.
    #[error("{path}: its statement of {claim} is {found:?}, expected {expected:?}; use the version of vaecert that wrote it ({version}), or leave the statement out to judge the instance by today's", path = path.display())]
    OtherStatement {
        /// The file.
        path: PathBuf,
        /// The claim's id.
        claim: String,
        /// What the file says that it says.
        found: String,
        /// What it says.
        expected: &'static str,
        /// The version that wrote the file.
        version: String,
    },
    /// The instance does not have the fields of the claim's instances.
    #[error("{path}: the instance does not fit {claim}: {source}", path = path.display())]
    Instance {
        /// The file.
        path: PathBuf,
        /// The claim's id.
        claim: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The instance makes no sense.
    #[error("{path}: the instance cannot be judged: {reason}", path = path.display())]
    Obstacle {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Counterexample {
    pub(super) fn new(claim: &Claim, trial: &Trial<'_>, instance: Value, judgement: Judgement) -> Self {
        Self {
            format: FORMAT,
            vaecert_version: env!("CARGO_PKG_VERSION").to_owned(),
            claim: claim.id.to_owned(),
            statement: claim.statement.to_owned(),
            line: judgement.line,
            numbers: judgement.numbers,
            instance,
            seed: trial.seed,
            stream: trial.stream.to_owned(),
            failure_probability: trial.failure_probability,
        }
    }

    /// Writes it as indented JSON.
    ///
    /// # Errors
    /// [`CounterexampleError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), CounterexampleError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| files::write_atomically(path, (text + "\n").as_bytes()));
        text.map_err(|source| CounterexampleError::Io { path: path.to_owned(), source })
    }

    /// Reads one back.
    ///
    /// # Errors
    /// [`CounterexampleError`] for what cannot be read, is malformed or belongs to another version.
    pub fn read(path: &Path) -> Result<Self, CounterexampleError> {
        let io = |source| CounterexampleError::Io { path: path.to_owned(), source };
        let found = std::fs::metadata(path).map_err(io)?.len();
        if found > LARGEST_FILE {
            return Err(CounterexampleError::TooLarge { path: path.to_owned(), found });
        }
        let bytes = files::read_regular(path).map_err(io)?;
        let malformed = |source| CounterexampleError::Malformed { path: path.to_owned(), source };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if format != FORMAT {
            return Err(CounterexampleError::Format { path: path.to_owned(), found: format });
        }
        serde_json::from_slice(&bytes).map_err(malformed)
    }

    /// Whether the line and the numbers in the file are those of `judgement`; a file written by hand has none.
    #[must_use]
    pub fn agrees_with(&self, judgement: &Judgement) -> bool {
        let by_hand = self.line.is_empty() && self.numbers.is_empty();
        by_hand || (self.line == judgement.line && self.numbers == judgement.numbers)
    }

    /// The claim it belongs to, and the judgement on its instance made anew. `path` is for errors.
    ///
    /// # Errors
    /// [`CounterexampleError`] where the claim is unknown or has changed, or the instance makes no sense.
    pub fn replay(&self, path: &Path) -> Result<(Claim, Judgement), CounterexampleError> {
        let path = || path.to_owned();
        let claim = registry::find(&self.claim)
            .ok_or_else(|| CounterexampleError::UnknownClaim { path: path(), found: self.claim.clone() })?;
        if !self.statement.is_empty() && claim.statement != self.statement {
            return Err(CounterexampleError::OtherStatement {
                path: path(),
                claim: self.claim.clone(),
                found: self.statement.clone(),
                expected: claim.statement,
                version: self.vaecert_version.clone(),
            });
        }
        let trial = Trial {
            theory: &Stated,
            seed: self.seed,
            stream: &self.stream,
            failure_probability: self.failure_probability,
        };
        match claim.experiment.judge_value(&self.instance, &trial) {
            Ok(Ok(judgement)) => Ok((claim, judgement)),
            Ok(Err(Obstacle(reason))) => Err(CounterexampleError::Obstacle { path: path(), reason }),
            Err(source) => Err(CounterexampleError::Instance { path: path(), claim: self.claim.clone(), source }),
        }
    }
}
