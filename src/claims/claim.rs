//! What a claim is, and what comes of trying it on one instance.

use std::fmt;

use proptest::strategy::BoxedStrategy;
use rand::RngExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::experiment::AnyExperiment;
use super::theory::Theory;
use crate::quantity::extended::{self, Extended};
use crate::quantity::Probability;
use crate::seed::{Seed, Stream};
use crate::stats::Enclosure;

/// A statement of the paper, or a neighbour of one, with all that is needed to try it.
#[derive(Clone, Copy)]
pub struct Claim {
    /// Its name: the part of the paper, then a word.
    pub id: &'static str,
    /// The paper's own words or not.
    pub form: Form,
    /// Theorem, equation or section.
    pub source: &'static str,
    /// What it says.
    pub statement: &'static str,
    /// Under which conditions.
    pub assumptions: &'static str,
    /// Which instances are drawn.
    pub drawn: &'static str,
    /// What is computed for each.
    pub computed: &'static str,
    /// Which outcome would refute it.
    pub refuted_by: &'static str,
    /// The verdict on record.
    pub expected: Expectation,
    /// How much of the number of cases it gets.
    pub cost: Cost,
    /// Its proof or counterexample, `proofs/<id>.md`.
    pub page: &'static str,
    /// How it is tried.
    pub(super) experiment: &'static dyn AnyExperiment,
}

impl Claim {
    /// A random instance as it stands in a counterexample's file, whatever its outcome; none if drawing fails.
    #[must_use]
    pub fn instance(&self, seed: Seed) -> Option<serde_json::Value> {
        self.experiment.draw_value(seed.instances(&format!("claims/{}", self.id)))
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.id).finish()
    }
}

/// Whose statement a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The paper's, as printed.
    Printed,
    /// What is true instead of, or more sharply than, the claim with this id.
    Amended(&'static str),
    /// Not the paper's, but needed to judge the claim with this id.
    Supporting(&'static str),
}

impl Form {
    /// The name in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Printed => "printed",
            Self::Amended(_) => "amended",
            Self::Supporting(_) => "supporting",
        }
    }

    /// The claim this one belongs to.
    #[must_use]
    pub fn of(self) -> Option<&'static str> {
        match self {
            Self::Printed => None,
            Self::Amended(id) | Self::Supporting(id) => Some(id),
        }
    }
}

/// A verdict on record, against which a search is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// No counterexample is known.
    Holds,
    /// Counterexamples exist.
    Refuted,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Holds => "holds",
            Self::Refuted => "refuted",
        })
    }
}

/// How dear a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Every case asked for is tried.
    Full,
    /// One in this many.
    OneIn(usize),
    /// One in this many, and each case decides by draws: its error is part of the run's failure probability.
    Sampled(usize),
}

impl Cost {
    /// How many cases are tried of `cases` asked for; at least one.
    #[must_use]
    pub fn cases(self, cases: usize) -> usize {
        match self {
            Self::Full => cases.max(1),
            Self::OneIn(share) | Self::Sampled(share) => cases.div_ceil(share).max(1),
        }
    }

    /// Whether cases are decided by draws.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        matches!(self, Self::Sampled(_))
    }
}

/// A family of instances and what is computed on them.
pub trait Experiment: Sync {
    /// One instance: numbers that decide everything.
    type Instance: Clone + fmt::Debug + Serialize + DeserializeOwned + 'static;

    /// How instances are drawn, and which ones count as simpler.
    fn instances(&self) -> BoxedStrategy<Self::Instance>;

    /// Tries the claim on an instance.
    ///
    /// # Errors
    /// What kept it from being decided.
    fn judge(&self, instance: &Self::Instance, trial: &Trial<'_>) -> Result<Judgement, Obstacle>;
}

/// What an experiment is given beside the instance.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// The formulas on trial.
    pub theory: &'a dyn Theory,
    /// Seed of draws.
    pub seed: Seed,
    /// Start of the names of their streams.
    pub stream: &'a str,
    /// With how much probability a decision that rests on draws may be wrong.
    pub failure_probability: Probability,
}

impl Trial<'_> {
    /// The stream of draws with this name within the trial.
    pub(super) fn draws(&self, name: &str) -> Stream {
        self.seed.stream(&format!("{}/{name}", self.stream))
    }

    /// A seed of its own, for what makes its own streams.
    pub(super) fn draws_seed(&self) -> Seed {
        Seed(self.draws("seed").random())
    }
}

/// Why an instance could not be decided: an error of the computation, or a shape that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle(pub String);

impl<E: std::error::Error> From<E> for Obstacle {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The outcome on one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The claim is right here, beyond all errors.
    Agrees,
    /// The claim is wrong here, beyond all errors.
    Contradicts,
    /// The difference is smaller than its error bound, or the draws do not decide.
    TooClose,
    /// The claim's assumptions are not met, so it says nothing.
    Vacuous,
}

/// The outcome on one instance, with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Which way.
    pub finding: Finding,
    /// The instance and the outcome in one line.
    pub line: String,
    /// The numbers computed.
    pub numbers: Vec<Number>,
}

impl Judgement {
    /// The claim's assumptions are not met, and which.
    pub(super) fn vacuous(why: &str) -> Self {
        Self { finding: Finding::Vacuous, line: why.to_owned(), numbers: vec![] }
    }

    pub(super) fn new(finding: Finding, line: impl Into<String>, numbers: &[(&str, Enclosure)]) -> Self {
        let known = numbers.iter().filter(|(_, number)| !number.value.is_nan());
        let numbers = known.map(|&(name, number)| Number::new(name, number)).collect();
        Self { finding, line: line.into(), numbers }
    }
}

/// A computed number as it is shown: ten digits and a bound on the error, that of the digits left out included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// What it is, in the notation of the paper.
    pub name: String,
    /// The number.
    #[serde(with = "extended")]
    #[schemars(with = "Extended")]
    pub value: f64,
    /// |truth − value| is at most this.
    #[serde(with = "extended")]
    #[schemars(with = "Extended")]
    pub error: f64,
}

/// Digits after the first of a number shown.
const SHOWN_DECIMALS: usize = 9;

impl Number {
    fn new(name: &str, enclosure: Enclosure) -> Self {
        let rounded = |value: f64, decimals: usize| format!("{value:.decimals$e}").parse().unwrap_or(value);
        let value: f64 = rounded(enclosure.value, SHOWN_DECIMALS);
        let total = enclosure.error + (enclosure.value - value).abs();
        // Two digits, upwards: one more in the second covers the rounding.
        let error = if total > 0.0 { rounded(total * 1.06, 1) } else { total };
        Self { name: name.to_owned(), value, error }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.error > 0.0 {
            write!(f, "{} = {} (± {:.1e})", self.name, self.value, self.error)
        } else {
            write!(f, "{} = {}", self.name, self.value)
        }
    }
}

/// By how much more than rounding an inequality that is attained must fail to count as wrong, as a share of the larger
/// side. Where both sides are equal no computation with rounding could tell.
pub const ATTAINED_TOLERANCE: f64 = 1e-9;

/// left ≤ right, where equality occurs: wrong only beyond [`ATTAINED_TOLERANCE`].
pub(super) fn at_most(left: Enclosure, right: Enclosure) -> Finding {
    let room = right + right.abs().max(left.abs()) * ATTAINED_TOLERANCE;
    if left.upper() <= room.lower() {
        Finding::Agrees
    } else if left.lower() > room.upper() {
        Finding::Contradicts
    } else {
        Finding::TooClose
    }
}

/// left < right.
pub(super) fn less(left: Enclosure, right: Enclosure) -> Finding {
    if left.upper() < right.lower() {
        Finding::Agrees
    } else if left.lower() >= right.upper() {
        Finding::Contradicts
    } else {
        Finding::TooClose
    }
}

/// left = right within `tolerance`.
pub(super) fn equal(left: Enclosure, right: Enclosure, tolerance: Enclosure) -> Finding {
    less((left - right).abs(), tolerance)
}

/// All of several parts must agree; one that contradicts decides.
pub(super) fn all(parts: impl IntoIterator<Item = Finding>) -> Finding {
    let mut whole = Finding::Agrees;
    for part in parts {
        match part {
            Finding::Contradicts => return Finding::Contradicts,
            Finding::Agrees => {}
            undecided => whole = undecided,
        }
    }
    whole
}

/// Numbers in one line: `[1, −0.5]`, `2`.
pub(super) fn show(numbers: &[f64]) -> String {
    match numbers {
        [one] => one.to_string(),
        several => format!("[{}]", several.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enclosure(value: f64, error: f64) -> Enclosure {
        Enclosure { value, error }
    }

    #[test]
    fn a_margin_smaller_than_the_error_is_too_close() {
        assert_eq!(less(enclosure(1.0, 0.1), enclosure(2.0, 0.1)), Finding::Agrees);
        assert_eq!(less(enclosure(2.0, 0.1), enclosure(1.0, 0.1)), Finding::Contradicts);
        assert_eq!(less(enclosure(1.0, 0.1), enclosure(1.1, 0.1)), Finding::TooClose);
        assert_eq!(less(Enclosure::UNKNOWN, enclosure(1.0, 0.0)), Finding::TooClose);
        assert_eq!(less(enclosure(f64::NAN, 0.0), enclosure(1.0, 0.0)), Finding::TooClose);
        assert_eq!(less(Enclosure::exact(1.0), Enclosure::exact(1.0)), Finding::Contradicts);
    }

    #[test]
    fn an_inequality_that_is_attained_agrees() {
        assert_eq!(at_most(enclosure(1.0, 1e-14), enclosure(1.0, 1e-14)), Finding::Agrees);
        assert_eq!(at_most(enclosure(-1.0, 1e-14), enclosure(-1.0, 1e-14)), Finding::Agrees);
        assert_eq!(at_most(Enclosure::exact(0.0), Enclosure::exact(0.0)), Finding::Agrees);
        assert_eq!(at_most(enclosure(1.0 + 2e-9, 1e-14), enclosure(1.0, 1e-14)), Finding::Contradicts);
        assert_eq!(at_most(enclosure(1.0, 1e-8), enclosure(1.0, 1e-8)), Finding::TooClose);
        assert_eq!(equal(enclosure(1.0, 1e-12), enclosure(1.0, 0.0), Enclosure::exact(1e-10)), Finding::Agrees);
        assert_eq!(equal(enclosure(1.0, 1e-12), enclosure(1.1, 0.0), Enclosure::exact(1e-10)), Finding::Contradicts);
        assert_eq!(equal(enclosure(1.0, 1e-9), enclosure(1.0, 0.0), Enclosure::exact(1e-10)), Finding::TooClose);
    }

    #[test]
    fn one_contradiction_decides() {
        use Finding::{Agrees, Contradicts, TooClose};
        assert_eq!(all([Agrees, TooClose, Contradicts]), Contradicts);
        assert_eq!(all([TooClose, Agrees]), TooClose);
        assert_eq!(all([Agrees, Agrees]), Agrees);
    }

    #[test]
    fn a_shown_number_covers_the_digits_left_out() {
        let third = Number::new("1/3", Enclosure::exact(1.0) / 3.0);
        assert_eq!(third.value, 0.333_333_333_3);
        assert!((1.0 / 3.0 - third.value).abs() <= third.error && third.error < 4e-11, "{third}");
        assert_eq!(Number::new("r", Enclosure::exact(0.5)).to_string(), "r = 0.5");
        assert_eq!(third.to_string(), "1/3 = 0.3333333333 (± 3.5e-11)");
        assert_eq!(show(&[1.0]), "1");
        assert_eq!(show(&[1.0, -0.5]), "[1, -0.5]");
    }

    #[test]
    fn dear_claims_get_fewer_cases_but_at_least_one() {
        assert_eq!((Cost::Full.cases(256), Cost::OneIn(8).cases(256), Cost::Sampled(32).cases(10)), (256, 32, 1));
        assert_eq!((Cost::Full.cases(0), Cost::OneIn(8).cases(9)), (1, 2));
        assert!(Cost::Sampled(1).is_sampled() && !Cost::Full.is_sampled());
    }
}
