//! What an audit says about one input: one line of JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificates::CertifiedRecord;
use crate::attack::{AscentNotes, AttackKind};
use crate::bounds::{ExactMargin, FirstOrderLadder, Proposition1};
use crate::margin::{DrawCounts, MinimumRadius};
use crate::quantity::{Estimate, LowerBound, Radius, UpperBound};

/// How an input's audit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A refuting perturbation (or the exact margin) above and first-order estimates below, not above it where Theorem 1 speaks of the threat
    /// (`mean`); or robustness fails without any perturbation, so that the margin is 0.
    Bracketed,
    /// One side is missing: the probability is not above the level, or no attack succeeded.
    Undecided,
    /// A lower bound exceeds the norm of a perturbation that breaks robustness. Under the threat `mean` that may be a
    /// first-order estimate: the terms it drops matter here. A certificate is wrong at most with the failure probability.
    Alarm,
    /// The computation broke down; the reason says where.
    Failed,
}

impl Outcome {
    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bracketed => "bracketed",
            Self::Undecided => "undecided",
            Self::Alarm => "ALARM",
            Self::Failed => "FAILED",
        }
    }
}

/// P(‖Δ(x, 0)‖ ≤ r) from fresh draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbabilityRecord {
    /// The draws.
    pub counts: DrawCounts,
    /// Share of draws inside.
    pub estimate: Estimate,
    /// Clopper–Pearson, its share of the run's failure probability.
    pub lower: LowerBound,
    /// Likewise.
    pub upper: UpperBound,
}

/// The encoder at the input, in double precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncoderRecord {
    /// min_i σ_i(x).
    pub smallest_std: Estimate,
    /// Mean of σ_i(x) over i.
    pub mean_std: Estimate,
    /// ‖J‖_F.
    pub jacobian_frobenius: Estimate,
    /// ‖J‖₂.
    pub jacobian_spectral: Estimate,
}

/// The unperturbed damage with the decoder taken for its tangent (Proposition 1), beside draws of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearizationRecord {
    /// The radii at the plan's level; `exact` is r*.
    pub radii: Proposition1,
    /// P(‖Δ(x, 0)‖ ≤ r) to first order.
    pub probability: Estimate,
    /// Minimum r over r*: 1 where the linearisation is exact; none where r* = 0.
    pub minimum_radius_ratio: Option<Estimate>,
    /// Whether r* lies in the interval of the minimum r.
    pub within_interval: bool,
}

/// One attack's search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackRecord {
    /// Which attack.
    pub attack: AttackKind,
    /// Norm of the smallest refuting perturbation, rounded up; none if none was found.
    pub margin_upper: Option<UpperBound>,
    /// P(‖Δ‖ ≤ r) there is at most this.
    pub probability_upper: Option<UpperBound>,
    /// Largest norm at which the attack failed below the refutation. Proves nothing.
    pub withstood_estimate: Estimate,
    /// Decisions made on fresh draws.
    pub decisions: u64,
    /// What went wrong inside the attack.
    pub notes: AscentNotes,
}

/// Everything an audit says about one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    /// Index within the split.
    pub input: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether a limit of time or draws cut the work on this input short. What is stated was found until then and holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gave_up: bool,
    /// Why, where the outcome is not `bracketed`; and anything a reader should know.
    pub reasons: Vec<String>,
    /// r, in output units.
    pub radius: Option<Radius>,
    /// P(‖Δ(x, 0)‖ ≤ r).
    pub probability: Option<ProbabilityRecord>,
    /// Smallest r with P(‖Δ(x, 0)‖ ≤ r) > m (Algorithm 1).
    pub minimum_radius: Option<MinimumRadius>,
    /// The same to first order; none where it cannot be computed.
    pub linearization: Option<LinearizationRecord>,
    /// The encoder here.
    pub encoder: Option<EncoderRecord>,
    /// Theorem 1 and its sharper forms, computed with the probability's lower bound; none where that is not above m.
    pub first_order: Option<FirstOrderLadder>,
    /// Radius of the region in which the encoder's mean is affine, in input units.
    pub linear_region: Option<Estimate>,
    /// R(x) itself where encoder mean and decoder are affine and the threat is `mean`: enclosed for the network's matrices
    /// as computed. None for other networks and threats.
    pub exact_margin: Option<ExactMargin>,
    /// What is certified under the plan's threat, with the probability's lower bound; none where a number was not finite.
    pub certified: Option<CertifiedRecord>,
    /// The searches, one per attack.
    pub attacks: Vec<AttackRecord>,
    /// Norm of the smallest refuting perturbation of all attacks: R(x) is at most this.
    pub margin_upper: Option<UpperBound>,
    /// The attack that found it.
    pub best_attack: Option<AttackKind>,
}

impl InputRecord {
    /// A record that says nothing yet.
    #[must_use]
    pub fn empty(input: usize) -> Self {
        Self {
            input,
            outcome: Outcome::Failed,
            gave_up: false,
            reasons: vec![],
            radius: None,
            probability: None,
            minimum_radius: None,
            linearization: None,
            encoder: None,
            first_order: None,
            linear_region: None,
            exact_margin: None,
            certified: None,
            attacks: vec![],
            margin_upper: None,
            best_attack: None,
        }
    }
}
