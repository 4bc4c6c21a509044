//! What a certificate holds.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exact::ExactBound;
use super::shard::{range_of, Shard};
use crate::quantity::{LowerBound, Probability, Radius, RadiusRule, Threat};

/// Version of the layout and of what its fields mean.
pub const FORMAT: u32 = 1;
/// What is certified: which function the model stands for.
pub const SEMANTICS: &str =
    "the networks over the real numbers, with the stored single-precision weights taken as exact";
/// Where the noise comes from.
pub const GENERATOR: &str =
    "ChaCha8 keyed by SHA-256 of `vaecert stream 1`, a zero byte, the seed (8 bytes, little-endian) and the stream's name; standard normal doubles by the ziggurat of rand_distr 0.6, d_z per draw, draw after draw";

/// The first line: what holds for every entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that wrote the certificate.
    pub vaecert_version: String,
    /// The claim in words: [`Header::words`].
    pub claim: String,
    /// [`SEMANTICS`].
    pub semantics: String,
    /// Which part of the code the perturbation reaches.
    pub threat: Threat,
    /// The norm of perturbations and of reconstructions: `l2`.
    pub norm: String,
    /// m.
    pub level: Probability,
    /// All entries hold together, except with this probability; each has an equal share of it.
    pub failure_probability: Probability,
    /// Index of the first input within the data.
    pub first: usize,
    /// How many inputs share the failure probability; a finished certificate has as many entries, a finished shard those
    /// of its part.
    pub inputs: usize,
    /// Where r comes from.
    pub radius_rule: RadiusRule,
    /// Draws that chose r of each input; 0 where it was given.
    pub selection_draws: u64,
    /// Draws that estimated each probability, never used before.
    pub estimation_draws: u64,
    /// Seed of every draw.
    pub seed: u64,
    /// Names of the random streams.
    pub streams: Streams,
    /// The model.
    pub model: ModelIdentity,
    /// The data.
    pub data: DataIdentity,
    /// Time after which the work on an input was given up, which makes it undecided; where that happens depends on the
    /// machine. None without such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_dependent_milliseconds_per_input: Option<u64>,
    /// The part of the inputs that this file is about; none where it is about all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

/// How the random streams are named and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    /// [`GENERATOR`].
    pub generator: String,
    /// Name of the stream that chose r, with `{input}` for the input's index.
    pub selection: String,
    /// Name of the stream that estimated the probability, likewise.
    pub estimation: String,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelIdentity {
    /// SHA-256 of the model file, byte for byte, in hexadecimal.
    pub file_sha256: String,
    /// The hash of architecture and weights that the file records about itself.
    pub weights_sha256: String,
}

/// Which data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataIdentity {
    /// What people call the source.
    pub name: String,
    /// `train` or `test`.
    pub split: String,
    /// Seed of synthetic data; unused by data read from files.
    pub seed: u64,
    /// The hash of shape and values of all items, in hexadecimal.
    pub sha256: String,
}

/// One further line: what is claimed about one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// SHA-256 of the header's line without its end, in hexadecimal: the run this entry belongs to.
    pub run: String,
    /// Index of the input within the data.
    pub input: usize,
    /// SHA-256 of the input's values as little-endian single-precision numbers, in hexadecimal.
    pub input_sha256: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why nothing is claimed, where nothing is.
    pub reasons: Vec<String>,
    /// r, in output units; none where it could not be chosen.
    pub radius: Option<Radius>,
    /// The draws behind the probability; none where there was no use for them.
    pub draws: Option<Draws>,
    /// The claim; present exactly for [`Outcome::Certified`].
    pub claim: Option<Claim>,
}

/// How one input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A radius above 0 is proved.
    Certified,
    /// The probability is not shown to exceed the level, so there is nothing to certify.
    Abstained,
    /// No radius could be proved, for a reason given.
    Undecided,
}

/// Draws of ‖Δ(x, 0)‖.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draws {
    /// n.
    pub draws: u64,
    /// k, those certainly within r despite rounding.
    pub inside: u64,
    /// p̲: P(‖Δ(x, 0)‖ ≤ r) is at least this, except with the entry's share of the failure probability.
    pub probability_lower: LowerBound,
}

/// A radius and why it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim in words: [`Claim::words`].
    pub words: String,
    /// No perturbation of at most this L2 norm, in input units, breaks robustness.
    pub certified_radius: ExactBound,
    /// The argument.
    pub method: Method,
    /// What makes the argument checkable.
    pub evidence: Evidence,
}

/// Why a radius holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// No activation changes its slope within the radius.
    LinearRegion,
    /// The range of every unit's secant slope bounds how far the code can move.
    SlopeInterval,
    /// Global Lipschitz constants; no draws.
    APriori,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SlopeInterval, Self::LinearRegion, Self::APriori];

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LinearRegion => "linear region",
            Self::SlopeInterval => "slope interval",
            Self::APriori => "a priori",
        }
    }
}

/// The numbers from which the argument can be checked, at less cost than finding them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Evidence {
    /// For [`Method::LinearRegion`] and [`Method::SlopeInterval`].
    Reach {
        /// ρ, the norm for which the argument is made; at least the certified radius.
        norm: ExactBound,
        /// For the network x ↦ μ(x).
        mean: NetworkEvidence,
        /// For the network x ↦ the standard-deviation head's output; present exactly under the joint threat.
        std: Option<NetworkEvidence>,
    },
    /// For [`Method::APriori`]: weights and r suffice.
    Norms,
}

/// Scalings for one network of layers 0, …, L − 1, each an affine map and an activation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkEvidence {
    /// Chain i bounds the pre-activations of layer i + 1 and has scalings for the activations of layers 0, …, i. So
    /// there are L − 1 chains, the last of which bounds the network's output. A maximum over windows counts as two layers:
    /// the places of all windows, one window after the other in the order of the outputs, row by row within a window, places
    /// outside the image left out; and their sums.
    pub chains: Vec<Vec<LayerScalings>>,
}

/// Scalings of the units of one layer whose slope is not certain; all other units of the layer need none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerScalings {
    /// Indices of the units, ascending.
    pub units: Vec<usize>,
    /// λ of each, above 0.
    pub scalings: Vec<f64>,
}

impl Header {
    /// What the certificate claims, in words, from its numbers.
    #[must_use]
    pub fn words(&self) -> String {
        let reached = match self.threat {
            Threat::Mean => "Δ(x, δ) = g(μ(x+δ) + σ(x)∘η) − g(μ(x)): the perturbation reaches the code's mean only",
            Threat::Joint => {
                "Δ(x, δ) = g(μ(x+δ) + σ(x+δ)∘η) − g(μ(x)): the perturbation reaches the code's mean and standard deviation"
            }
        };
        format!(
            "For every input x whose entry is certified and every perturbation δ with ‖δ‖₂ at most its certified radius: P(‖Δ(x, δ)‖₂ ≤ r) > {} over η ~ N(0, I), with {reached}. All entries hold together, except with probability at most {} over the draws named here.",
            self.level.get(),
            self.failure_probability.get(),
        )
    }

    /// The inputs that a finished certificate with this header has entries of.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        range_of(self.shard, self.first, self.inputs)
    }

    /// The name of a stream for one input.
    #[must_use]
    pub fn stream(pattern: &str, input: usize) -> String {
        pattern.replace("{input}", &input.to_string())
    }
}

impl Claim {
    /// The claim about one input in words, from its numbers.
    #[must_use]
    pub fn words(header: &Header, input: usize, radius: Radius, certified: &ExactBound) -> String {
        format!(
            "Input {input}: no perturbation of L2 norm at most {} lowers P(‖Δ‖₂ ≤ {}) to {} or less (threat {}).",
            certified.decimal,
            radius.get(),
            header.level.get(),
            header.threat,
        )
    }
}
