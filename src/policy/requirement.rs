//! What a policy requires, and when that is passed, failed or undecided.

use std::fmt;

use serde::Deserialize;

/// Something required of all inputs of an audit together.
///
/// Let n be the number of inputs that were to be audited. An input is *certified* at a norm ρ if its certified lower bound
/// of R(x) is at least ρ, *refuted* there if a perturbation of norm at most ρ was found that breaks robustness, and
/// neither otherwise. Inputs whose computation failed are never certified, inputs that were not reached are neither; all
/// of them count in n.
///
/// The statements are about these n inputs, not about the population they come from. Certificates and refutations hold
/// together except with the plan's failure probability, and so do the verdicts *passed* and *failed* about certified
/// quantities. Quantities of attacks (`median_margin`, `refuted_at_most`) say what these attacks found: passing them proves
/// nothing about stronger ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Requirement {
    /// `certified`: at least the fraction q of the inputs is certified at ρ.
    ///
    /// Passed if (certified)/n ≥ q; failed if (n − refuted)/n < q, so that certificates for all others would not suffice;
    /// undecided otherwise.
    Certified(AtNorm),
    /// `refuted_at_most`: attacks refute at most the fraction q of the inputs at ρ.
    ///
    /// An attack that never succeeds on an input says nothing about it; neither does one that was cut short, failed, or was not
    /// tried at ρ or beyond. Such an input may be refuted unless it is certified at ρ. Passed if (refuted + those that may be)/n ≤ q; failed if (refuted)/n > q; undecided otherwise.
    Refuted(AtNorm),
    /// `median_certified`: at least half of the inputs are certified at ρ: the lower median of R(x) is at least ρ.
    ///
    /// The lower median of n values is the ⌈n/2⌉-th smallest. Passed if that of the certified lower bounds is at least ρ;
    /// failed if that of the upper bounds (infinite where there is none) is at most ρ; undecided otherwise.
    MedianCertified(Norm),
    /// `median_margin`: the lower median of the norms at which attacks break robustness is at least ρ.
    ///
    /// Where no attack succeeded, or they did not come to their end, that norm may be anything from the certified lower bound
    /// on, up to what was found. Passed if even the smallest
    /// possible median is at least ρ; failed if even the largest is below ρ; undecided otherwise, and where no input has an
    /// upper bound.
    MedianMargin(Norm),
    /// `alarms_at_most`, `undecided_at_most`, `failed_at_most`: at most k inputs end so.
    ///
    /// Passed if the inputs that ended so and those that may be are at most k together; failed if the former alone are more;
    /// undecided otherwise. An input that was not reached may be anything; one whose computation failed may be an alarm or
    /// undecided; one that a limit cut short may be an alarm.
    AtMost(Ending, usize),
}

/// A fraction of the inputs at a norm.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtNorm {
    /// ρ: the L2 norm of perturbations, in input units.
    pub radius: Norm,
    /// q.
    pub fraction: Fraction,
}

/// An L2 norm of perturbations, in input units; finite and above 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Norm(f64);

/// A fraction of the inputs, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Fraction(f64);

/// How an input's audit may end badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A bound from below above one from above.
    Alarm,
    /// A bound is missing.
    Undecided,
    /// The computation broke down.
    Failed,
}

/// A number that a policy may not require.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementError {
    /// Not a norm.
    #[error("a radius or a median must be a finite number above 0, found {0}")]
    Norm(f64),
    /// Not a fraction.
    #[error("a fraction of the inputs must lie between 0 and 1, found {0}")]
    Fraction(f64),
}

impl Norm {
    /// The value, in input units.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Norm {
    type Error = RequirementError;
    fn try_from(value: f64) -> Result<Self, RequirementError> {
        (value.is_finite() && value > 0.0).then_some(Self(value)).ok_or(RequirementError::Norm(value))
    }
}

impl Fraction {
    /// The value, from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Fraction {
    type Error = RequirementError;
    fn try_from(value: f64) -> Result<Self, RequirementError> {
        (0.0..=1.0).contains(&value).then_some(Self(value)).ok_or(RequirementError::Fraction(value))
    }
}

impl Requirement {
    /// Whether nothing about so many inputs could ever fail it.
    #[must_use]
    pub fn is_empty(&self, inputs: usize) -> bool {
        match self {
            Self::Certified(at) => at.fraction.get() <= 0.0,
            Self::Refuted(at) => at.fraction.get() >= 1.0,
            Self::AtMost(_, count) => *count >= inputs,
            Self::MedianCertified(_) | Self::MedianMargin(_) => false,
        }
    }

    /// Its key in a policy file.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Certified(_) => "certified",
            Self::Refuted(_) => "refuted_at_most",
            Self::MedianCertified(_) => "median_certified",
            Self::MedianMargin(_) => "median_margin",
            Self::AtMost(Ending::Alarm, _) => "alarms_at_most",
            Self::AtMost(Ending::Undecided, _) => "undecided_at_most",
            Self::AtMost(Ending::Failed, _) => "failed_at_most",
        }
    }

    /// What is looked at: names the requirement among the others of its policy.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Certified(at) => format!("certified at radius {}", at.radius),
            Self::Refuted(at) => format!("refuted at radius {}", at.radius),
            Self::MedianCertified(_) => "median certified radius".to_owned(),
            Self::MedianMargin(_) => "median margin found by attacks".to_owned(),
            Self::AtMost(Ending::Alarm, _) => "alarms".to_owned(),
            Self::AtMost(Ending::Undecided, _) => "undecided inputs".to_owned(),
            Self::AtMost(Ending::Failed, _) => "failed inputs".to_owned(),
        }
    }

    /// What is required of it.
    #[must_use]
    pub fn required(&self) -> String {
        match self {
            Self::Certified(at) => format!("≥ {} of inputs", at.fraction),
            Self::Refuted(at) => format!("≤ {} of inputs", at.fraction),
            Self::MedianCertified(norm) | Self::MedianMargin(norm) => format!("≥ {norm}"),
            Self::AtMost(_, count) => format!("≤ {count}"),
        }
    }

    /// The unit of what is looked at.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Certified(_) | Self::Refuted(_) => "fraction of the inputs",
            Self::MedianCertified(_) | Self::MedianMargin(_) => "input units (L2)",
            Self::AtMost(..) => "inputs",
        }
    }

    /// What is looked at and what is required of it.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.name(), self.required())
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
