//! What the checker says.

use std::fmt;

use crate::quantity::LowerBound;

/// How the check of an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything the entry claims was found to follow from model, data and draws.
    Verified,
    /// Nothing was found wrong, but something lies too close for this checker's arithmetic.
    Incomplete,
    /// Something does not follow, or is not what it is said to be.
    Rejected,
}

impl Verdict {
    /// The verdict in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Incomplete => "incomplete",
            Self::Rejected => "rejected",
        }
    }
}

/// What was being checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The header's fields that no file is needed for.
    Header,
    /// The model file.
    Model,
    /// The data set.
    Data,
    /// Whether the entry belongs to this run and its parts to each other.
    Entry,
    /// The input.
    Input,
    /// r.
    Radius,
    /// k of n.
    Draws,
    /// The lower bound of the probability.
    Probability,
    /// Whether the evidence is complete and fits the method and the model.
    Evidence,
    /// Whether the evidence is for a large enough norm.
    Norm,
    /// The inequality from which the radius follows.
    Reach,
    /// The claim in words.
    Words,
    /// Draws never used before.
    Fresh,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Header => "header",
            Self::Model => "model",
            Self::Data => "data",
            Self::Entry => "entry",
            Self::Input => "input",
            Self::Radius => "radius",
            Self::Draws => "draws",
            Self::Probability => "probability",
            Self::Evidence => "evidence",
            Self::Norm => "norm",
            Self::Reach => "reach",
            Self::Words => "words",
            Self::Fresh => "fresh draws",
        })
    }
}

/// Why something is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct Rejection {
    /// What was being checked.
    pub step: Step,
    /// What was expected and what was found.
    pub reason: String,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Index of the input within the data.
    pub input: usize,
    /// How the check ended.
    pub verdict: Verdict,
    /// The radius that was verified; none for any other verdict and where nothing is claimed.
    pub certified_radius: Option<LowerBound>,
    /// The step that failed; none if all passed.
    pub step: Option<Step>,
    /// Why it failed.
    pub reason: Option<String>,
    /// Whether the entry makes no claim, so that there was nothing to verify but its numbers.
    pub claims_nothing: bool,
    /// Of how many fresh draws (second) how many may have been within r (first).
    pub fresh: Option<(u64, u64)>,
}
