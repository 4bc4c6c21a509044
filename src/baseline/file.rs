//! What is kept of an audit to compare others with.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::BaselineError;
use crate::audit::record::ProbabilityRecord;
use crate::audit::run::{read_records, read_run_file, SUMMARY_FILE};
use crate::audit::summary::standing_certificate;
use crate::audit::{InputRecord, Outcome, RunIdentity};
use crate::files;
use crate::quantity::{LowerBound, Radius, UpperBound};

/// Version of a baseline's layout.
const FORMAT: u32 = 1;

/// A finished audit, reduced to what is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of this layout.
    pub format: u32,
    /// What decided the results.
    pub identity: RunIdentity,
    /// One entry per input, in order.
    pub inputs: Vec<BaselineInput>,
}

/// What is compared of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineInput {
    /// Index within the split.
    pub input: usize,
    /// How its audit ended.
    pub outcome: Outcome,
    /// r, in output units.
    pub radius: Option<Radius>,
    /// R(x) is at least this, in input units; 0 where nothing is certified, the computation failed, or an upper bound
    /// contradicts the certificate.
    pub certified: LowerBound,
    /// R(x) is at most this; none where no attack succeeded.
    pub margin: Option<UpperBound>,
    /// P(‖Δ(x, 0)‖ ≤ r) with its interval.
    pub probability: Option<ProbabilityRecord>,
}

impl BaselineInput {
    /// What is kept of a record.
    #[must_use]
    pub fn of(record: &InputRecord) -> Self {
        Self {
            input: record.input,
            outcome: record.outcome,
            radius: record.radius,
            certified: standing_certificate(record),
            margin: record.margin_upper,
            probability: record.probability,
        }
    }
}

impl Baseline {
    /// A baseline's file, or the folder of a finished run.
    ///
    /// # Errors
    /// [`BaselineError`] where it cannot be read, contradicts itself or is not finished.
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        if path.is_dir() {
            Self::of_run(path)
        } else {
            Self::of_file(path)
        }
    }

    fn of_run(folder: &Path) -> Result<Self, BaselineError> {
        let identity = read_run_file(folder)?.identity;
        if let Some(shard) = identity.shard {
            return Err(BaselineError::Shard { path: folder.to_owned(), shard });
        }
        let inputs: Vec<_> = read_records(folder, &identity)?.iter().map(BaselineInput::of).collect();
        let summary = folder.join(SUMMARY_FILE).is_file();
        let asked = identity.range().len();
        if inputs.len() < asked || !summary {
            let (finished, inputs) = (inputs.len(), asked);
            return Err(BaselineError::Unfinished { path: folder.to_owned(), finished, inputs, summary });
        }
        Ok(Self { format: FORMAT, identity, inputs })
    }

    fn of_file(path: &Path) -> Result<Self, BaselineError> {
        let unreadable = |source| BaselineError::Unreadable { path: path.to_owned(), source };
        let bytes = files::read_regular(path).map_err(unreadable)?;
        let malformed =
            |source: serde_json::Error| BaselineError::Malformed { path: path.to_owned(), line: source.line(), source };
        let baseline: Self = serde_json::from_slice(&bytes).map_err(malformed)?;
        match baseline.contradiction() {
            Some(reason) => Err(BaselineError::Inconsistent { path: path.to_owned(), reason }),
            None => Ok(baseline),
        }
    }

    fn contradiction(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("format {} is not known, expected {FORMAT}", self.format));
        }
        let range = self.identity.range();
        let (found, expected) = (self.inputs.len(), range.len());
        if found != expected || self.identity.shard.is_some() {
            return Some(format!("{found} inputs are there, {expected} of a whole run are expected"));
        }
        let wrong = range.zip(&self.inputs).find(|(expected, input)| input.input != *expected);
        if let Some((expected, input)) = wrong {
            return Some(format!("input {} stands where input {expected} should", input.input));
        }
        let impossible = self.inputs.iter().find(|input| {
            input.probability.is_some_and(|found| {
                let counts = found.counts;
                counts.inside.checked_add(counts.outside).is_none_or(|sum| sum > counts.draws)
                    || found.lower.get() > found.upper.get()
            })
        });
        impossible.map(|input| format!("the draws of input {} do not add up", input.input))
    }

    /// The bytes of its file: JSON, with one line per input.
    ///
    /// # Errors
    /// Never for a baseline that was read or made of a run.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let lines: Vec<String> = self.inputs.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let identity = serde_json::to_string(&self.identity)?;
        Ok(format!("{{\"format\":{},\"identity\":{identity},\"inputs\":[\n{}\n]}}\n", self.format, lines.join(",\n")))
    }

    /// Writes it to `path`, which afterwards holds either what was there or all of it.
    ///
    /// # Errors
    /// [`BaselineError::Folder`], or [`BaselineError::Io`] with what the system says.
    pub fn write(&self, path: &Path) -> Result<(), BaselineError> {
        if path.is_dir() {
            return Err(BaselineError::Folder { path: path.to_owned() });
        }
        let text = self.to_json().map_err(std::io::Error::from);
        let written = text.and_then(|text| files::write_atomically(path, text.as_bytes()));
        written.map_err(|source| BaselineError::Io { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests;
