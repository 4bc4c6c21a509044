//! In what two audits may differ, and what that means for comparing them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::audit::{AuditPlan, RunIdentity};
use crate::quantity::RadiusRule;
use crate::spelling::did_you_mean;

/// A part of what decides an audit's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Architecture and weights: what is compared.
    Model,
    /// The values of the data, their split, and the seed of synthetic ones.
    Data,
    /// First input and number of inputs.
    Inputs,
    /// The rule by which r is chosen.
    R,
    /// m.
    Level,
    /// What the attacker reaches.
    Threat,
    /// Seed of all draws.
    Seed,
    /// With which the bounds of the run hold together.
    FailureProbability,
    /// Draws that choose r and estimate P(‖Δ(x, 0)‖ ≤ r).
    Draws,
    /// Attacks, how norms are visited, effort, range of pixels, and whatever else a plan says.
    Attack,
    /// Processor or GPU.
    Device,
    /// Version of this program or of its format.
    Version,
}

/// An aspect in which two audits differ.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Difference {
    /// Which.
    pub aspect: Aspect,
    /// In the baseline.
    pub before: String,
    /// In the run.
    pub after: String,
}

impl Aspect {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Model,
        Self::Data,
        Self::Inputs,
        Self::R,
        Self::Level,
        Self::Threat,
        Self::Seed,
        Self::FailureProbability,
        Self::Draws,
        Self::Attack,
        Self::Device,
        Self::Version,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Data => "data",
            Self::Inputs => "inputs",
            Self::R => "r",
            Self::Level => "level",
            Self::Threat => "threat",
            Self::Seed => "seed",
            Self::FailureProbability => "failure-probability",
            Self::Draws => "draws",
            Self::Attack => "attack",
            Self::Device => "device",
            Self::Version => "version",
        }
    }

    /// Whether audits that differ in it are compared only if that is allowed. A new model is what a comparison is for; on
    /// another machine or with another version the numbers mean the same.
    #[must_use]
    pub fn must_agree(self) -> bool {
        !matches!(self, Self::Model | Self::Device | Self::Version)
    }
}

impl FromStr for Aspect {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|aspect| aspect.name() == text).ok_or_else(|| {
            format!("unknown aspect {text:?}; {}known are {}", did_you_mean(text, &names), names.join(", "))
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} differs (baseline {}, run {})", self.aspect.name(), self.before, self.after)
    }
}

/// What an identity says about an aspect, so that equal texts mean equal aspects.
fn described(identity: &RunIdentity, aspect: Aspect) -> String {
    let plan = &identity.plan;
    match aspect {
        Aspect::Model => identity.model_sha256.clone(),
        Aspect::Data => format!("{} ({}, {})", identity.data_sha256, identity.split, identity.data_seed.0),
        Aspect::Inputs => {
            format!("{} from {} on", identity.inputs, identity.first)
        }
        Aspect::R => match plan.radius {
            RadiusRule::Absolute(radius) => format!("r = {}", f64::from(radius)),
            RadiusRule::Quantile(order) => format!("quantile {}", f64::from(order)),
        },
        Aspect::Level => f64::from(plan.level).to_string(),
        Aspect::Threat => plan.threat.to_string(),
        Aspect::Seed => plan.seed.0.to_string(),
        Aspect::FailureProbability => f64::from(plan.failure_probability).to_string(),
        Aspect::Draws => format!("{} to choose r, {} to estimate P", plan.selection_draws, plan.estimation_draws),
        Aspect::Attack => attacks(plan),
        Aspect::Device => identity.device.clone(),
        Aspect::Version => format!("{}, format {}", identity.vaecert_version, identity.format),
    }
}

/// Keys of a plan that other aspects speak about.
const NAMED: [&str; 7] =
    ["radius", "level", "threat", "failure_probability", "selection_draws", "estimation_draws", "seed"];

/// All of a plan that no other aspect names, so that nothing in it differs unnoticed.
fn attacks(plan: &AuditPlan) -> String {
    // Numbers, words and lists of them always serialise.
    let mut plan = serde_json::to_value(plan).unwrap_or_default();
    if let Some(keys) = plan.as_object_mut() {
        keys.retain(|key, _| !NAMED.contains(&key.as_str()));
    }
    plan.to_string()
}

impl Difference {
    /// Everything in which two identities differ.
    #[must_use]
    pub fn between(before: &RunIdentity, after: &RunIdentity) -> Vec<Self> {
        let differing = Aspect::ALL.into_iter().filter_map(|aspect| {
            let (before, after) = (described(before, aspect), described(after, aspect));
            (before != after).then_some(Self { aspect, before, after })
        });
        differing.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::testing::baseline;

    #[test]
    fn what_other_aspects_speak_about_is_there_and_left_out_of_the_attacks() {
        let identity = baseline(&[(0.1, None)]).identity;
        let plan = serde_json::to_value(&identity.plan).unwrap();
        assert!(NAMED.iter().all(|key| plan.get(key).is_some()));
        let rest: serde_json::Value = serde_json::from_str(&described(&identity, Aspect::Attack)).unwrap();
        assert_eq!(rest.as_object().unwrap().len() + NAMED.len(), plan.as_object().unwrap().len());
        assert!(rest["search"]["effort"]["steps"].is_number());
    }
}
