//! What is said about all inputs of an audit together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gathering::Gathering;
use super::record::{InputRecord, Outcome};
use crate::attack::AttackKind;
use crate::certificate::Method;
use crate::quantity::extended::Extended;
use crate::quantity::{self, extended};
use crate::stats;

/// Median and range of one quantity over the inputs that have it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Inputs that have the quantity.
    pub inputs: usize,
    /// Median over those; like the others, it may be infinite.
    #[serde(with = "extended")]
    #[schemars(with = "Extended")]
    pub median: f64,
    /// Smallest.
    #[serde(with = "extended")]
    #[schemars(with = "Extended")]
    pub min: f64,
    /// Largest.
    #[serde(with = "extended")]
    #[schemars(with = "Extended")]
    pub max: f64,
}

/// What kind of number a quantity is, and so which way it may be rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuantityKind {
    /// Neither bound.
    Estimate,
    /// The true value is at least this.
    LowerBound,
    /// The true value is at most this.
    UpperBound,
}

/// One row of the summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSpread {
    /// Which quantity.
    pub quantity: String,
    /// What kind of number it is.
    pub kind: QuantityKind,
    /// Its unit.
    pub unit: String,
    /// Its spread; none if no input has it.
    pub spread: Option<Spread>,
}

/// How a bound goes along with the empirical margin over inputs (the paper's figure 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Association {
    /// Which bound.
    pub bound: String,
    /// Inputs that have both.
    pub inputs: usize,
    /// Pearson's correlation; none where one side is constant or there are too few inputs.
    pub pearson: Option<f64>,
    /// Spearman's rank correlation; likewise.
    pub spearman: Option<f64>,
    /// Least squares: empirical margin = slope · bound + intercept; likewise.
    pub slope: Option<f64>,
    /// Likewise.
    pub intercept: Option<f64>,
}

/// How good the linearisation of the decoder is for the unperturbed damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linearization {
    /// Inputs that have r* and a minimum r.
    pub inputs: usize,
    /// Those whose r* lies in the interval of the minimum r.
    pub within_interval: usize,
}

/// The mean empirical margin over the data, E[R(x)] with R(x) replaced by its smallest upper bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetMargin {
    /// Mean over inputs with an upper bound, in input units.
    pub mean: f64,
    /// Student's t interval for the population mean of these upper bounds.
    pub interval: Option<(f64, f64)>,
    /// Confidence of the interval.
    pub confidence: f64,
    /// Inputs in the mean.
    pub inputs: usize,
    /// Inputs left out because no upper bound was found: their margin may be larger than any in the mean.
    pub without_refutation: usize,
}

/// What a run says as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every input is bracketed.
    Met,
    /// At least one alarm.
    NotMet,
    /// No alarm, but an input that is undecided or failed.
    Undecided,
}

/// The summary of an audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Inputs audited.
    pub inputs: usize,
    /// Certificate and first-order estimates below, refutation above.
    pub bracketed: usize,
    /// One side is missing.
    pub undecided: usize,
    /// A certificate or a first-order estimate above a refuted norm.
    pub alarms: usize,
    /// The computation broke down.
    pub failed: usize,
    /// Inputs without first-order bounds, because the probability is not shown to exceed the level.
    pub abstentions: usize,
    /// Every quantity's median and range.
    pub spreads: Vec<NamedSpread>,
    /// Each first-order bound against the empirical margin.
    pub associations: Vec<Association>,
    /// r* against the sampled minimum r.
    pub linearization: Linearization,
    /// E[R(x)].
    pub dataset_margin: Option<DatasetMargin>,
    /// For each argument, on how many inputs it certifies the largest radius.
    pub best_certificates: Vec<(Method, usize)>,
    /// For each attack, on how many inputs it found the smallest refutation.
    pub best_attacks: Vec<(AttackKind, usize)>,
}

/// Failure probability of the interval of the dataset's margin.
pub(super) const MEAN_FAILURE_PROBABILITY: f64 = 0.05;

/// A quantity's name, kind, unit and place in a record.
pub(super) type Column = (&'static str, QuantityKind, &'static str, fn(&InputRecord) -> Option<f64>);

pub(super) const INPUT_UNITS: &str = "input units";
const OUTPUT_UNITS: &str = "output units";
use QuantityKind::{Estimate, LowerBound, UpperBound};

pub(super) const COLUMNS: [Column; 21] = [
    ("r", Estimate, OUTPUT_UNITS, |r| Some(r.radius?.get())),
    ("minimum r (Algorithm 1)", Estimate, OUTPUT_UNITS, |r| Some(r.minimum_radius?.estimate.get())),
    ("r*, first order", Estimate, OUTPUT_UNITS, |r| Some(r.linearization?.radii.exact.get())),
    ("minimum r / r*", Estimate, "ratio", |r| Some(r.linearization?.minimum_radius_ratio?.get())),
    ("r printed / r*", Estimate, "ratio", printed_over_exact),
    ("effective rank of Σ", Estimate, "dimensions", |r| Some(r.linearization?.radii.effective_rank.get())),
    ("P(‖Δ(x,0)‖ ≤ r)", LowerBound, "probability", |r| Some(r.probability?.lower.get())),
    ("|P − P first order|", Estimate, "probability", probability_difference),
    ("smallest σ", Estimate, "code units", |r| Some(r.encoder?.smallest_std.get())),
    ("mean σ", Estimate, "code units", |r| Some(r.encoder?.mean_std.get())),
    ("‖J‖_F", Estimate, "code per input unit", |r| Some(r.encoder?.jacobian_frobenius.get())),
    ("theorem1", Estimate, INPUT_UNITS, theorem1),
    ("operator", Estimate, INPUT_UNITS, operator),
    ("whitened", Estimate, INPUT_UNITS, whitened),
    ("linear region", Estimate, INPUT_UNITS, |r| Some(r.linear_region?.get())),
    ("certified", LowerBound, INPUT_UNITS, certified),
    ("slope-interval radius", LowerBound, INPUT_UNITS, |r| Some(r.certified?.slope_interval?.get())),
    ("linear-region radius", LowerBound, INPUT_UNITS, |r| Some(r.certified?.linear_region?.get())),
    ("a-priori radius", LowerBound, INPUT_UNITS, |r| Some(r.certified?.a_priori?.get())),
    ("certified / whitened", Estimate, "ratio", |r| Some(certified(r)? / whitened(r)?)),
    ("margin, all attacks", UpperBound, INPUT_UNITS, margin),
];

/// Only affine models have these.
pub(super) const EXACT: [Column; 2] = [
    ("exact margin ≥", LowerBound, INPUT_UNITS, |r| Some(r.exact_margin?.lower.get())),
    ("exact margin ≤", UpperBound, INPUT_UNITS, |r| Some(r.exact_margin?.upper.get())),
];

/// A bound's name and place in a record.
pub(super) type Bound = (&'static str, fn(&InputRecord) -> Option<f64>);

pub(super) const BOUNDS: [Bound; 3] = [("theorem1", theorem1), ("operator", operator), ("whitened", whitened)];

pub(crate) fn theorem1(record: &InputRecord) -> Option<f64> {
    Some(record.first_order?.theorem1.get())
}

pub(crate) fn operator(record: &InputRecord) -> Option<f64> {
    Some(record.first_order?.operator.get())
}

pub(crate) fn whitened(record: &InputRecord) -> Option<f64> {
    Some(record.first_order?.whitened.get())
}

pub(crate) fn certified(record: &InputRecord) -> Option<f64> {
    Some(record.certified?.best.get())
}

fn printed_over_exact(record: &InputRecord) -> Option<f64> {
    let radii = record.linearization?.radii;
    (radii.exact.get() > 0.0).then(|| radii.printed.get() / radii.exact.get())
}

fn probability_difference(record: &InputRecord) -> Option<f64> {
    Some((record.probability?.estimate.get() - record.linearization?.probability.get()).abs())
}

pub(crate) fn margin(record: &InputRecord) -> Option<f64> {
    Some(record.margin_upper?.get())
}

/// R(x) is at least this: 0 where nothing is certified, where the computation failed, and where an upper bound contradicts
/// the certificate.
pub(crate) fn standing_certificate(record: &InputRecord) -> quantity::LowerBound {
    let stands = |certified: &quantity::LowerBound| {
        record.outcome != Outcome::Failed && smallest_upper(record).is_none_or(|upper| certified.get() <= upper)
    };
    record.certified.map(|certified| certified.best).filter(stands).unwrap_or(quantity::LowerBound::ZERO)
}

/// The smallest upper bound of R(x) that is known.
pub(crate) fn smallest_upper(record: &InputRecord) -> Option<f64> {
    let exact = record.exact_margin.map(|exact| exact.upper.get()).filter(|upper| upper.is_finite());
    [margin(record), exact].into_iter().flatten().reduce(f64::min)
}

impl QuantityKind {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Estimate => "estimate",
            Self::LowerBound => "lower bound",
            Self::UpperBound => "upper bound",
        }
    }

    /// A figure rounded the safe way for its kind; none for a number that is negative or not one.
    #[must_use]
    pub fn figure(self, value: f64) -> Option<String> {
        match self {
            Self::Estimate => quantity::Estimate::new(value).map(|value| value.to_string()),
            Self::LowerBound => quantity::LowerBound::new(value).map(|value| value.to_string()),
            Self::UpperBound => quantity::UpperBound::new(value).map(|value| value.to_string()),
        }
        .ok()
    }
}

/// The largest radius up to which half of all inputs or more are certified; `radii` holds one number per input, 0 where
/// nothing is certified.
#[must_use]
pub fn certified_for_half(radii: &[f64]) -> quantity::LowerBound {
    // The lower middle, so that at least half of the inputs reach it.
    let middle = stats::lower_median(radii.to_vec()).unwrap_or(0.0);
    quantity::LowerBound::new(middle).unwrap_or(quantity::LowerBound::ZERO)
}

impl NamedSpread {
    pub(super) fn new(quantity: &str, kind: QuantityKind, unit: &str, spread: Option<Spread>) -> Self {
        Self { quantity: quantity.to_owned(), kind, unit: unit.to_owned(), spread }
    }
}

impl NamedSpread {
    /// How many inputs have the quantity, and its median, smallest and largest value, each rounded the safe way for its kind.
    #[must_use]
    pub fn figures(&self) -> (usize, [Option<String>; 3]) {
        let figures = |spread: Spread| [spread.median, spread.min, spread.max].map(|value| self.kind.figure(value));
        self.spread.map_or((0, [None, None, None]), |spread| (spread.inputs, figures(spread)))
    }
}

impl Summary {
    /// What the run says as a whole.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.alarms > 0 {
            Verdict::NotMet
        } else if self.bracketed < self.inputs || self.inputs == 0 {
            Verdict::Undecided
        } else {
            Verdict::Met
        }
    }

    /// Summarises the records of an audit, finished or not.
    #[must_use]
    pub fn of(records: &[InputRecord]) -> Self {
        let mut gathering = Gathering::default();
        records.iter().for_each(|record| gathering.add(record));
        gathering.summary()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Outcome;
    use crate::bounds::FirstOrderLadder;
    use crate::quantity::{Estimate, UpperBound};

    fn record(input: usize, bound: f64, upper: Option<f64>) -> InputRecord {
        let estimate = |value| Estimate::new(value).unwrap();
        InputRecord {
            outcome: if upper.is_some() { Outcome::Bracketed } else { Outcome::Undecided },
            first_order: Some(FirstOrderLadder {
                theorem1: estimate(bound),
                operator: estimate(2.0 * bound),
                whitened: estimate(3.0 * bound),
            }),
            margin_upper: upper.map(|value| UpperBound::new(value).unwrap()),
            ..InputRecord::empty(input)
        }
    }

    fn find<'a>(summary: &'a Summary, quantity: &str) -> &'a NamedSpread {
        summary.spreads.iter().find(|row| row.quantity == quantity).unwrap()
    }

    #[test]
    fn figures_match_hand_computed_ones() {
        let records = [record(0, 1.0, Some(2.0)), record(1, 2.0, Some(4.0)), record(2, 3.0, Some(9.0))];
        let summary = Summary::of(&records);
        assert_eq!((summary.inputs, summary.bracketed, summary.abstentions), (3, 3, 0));
        let theorem1 = find(&summary, "theorem1").spread.unwrap();
        assert_eq!((theorem1.median, theorem1.min, theorem1.max), (2.0, 1.0, 3.0));
        assert_eq!(find(&summary, "margin / theorem1").spread.unwrap().max, 3.0);
        let association = &summary.associations[0];
        // Means 2 and 5; Sxy = 7, Sxx = 2, Syy = 26.
        assert!((association.slope.unwrap() - 3.5).abs() < 1e-12);
        assert!((association.intercept.unwrap() + 2.0).abs() < 1e-12);
        assert!((association.pearson.unwrap() - 7.0 / 52.0_f64.sqrt()).abs() < 1e-12);
        assert!((association.spearman.unwrap() - 1.0).abs() < 1e-12);
        assert!((summary.dataset_margin.unwrap().mean - 5.0).abs() < 1e-12);
    }

    #[test]
    fn inputs_without_a_refutation_are_counted_not_averaged() {
        let summary = Summary::of(&[record(0, 1.0, Some(2.0)), record(1, f64::INFINITY, None)]);
        assert_eq!((summary.bracketed, summary.undecided), (1, 1));
        let theorem1 = find(&summary, "theorem1").spread.unwrap();
        assert_eq!((theorem1.inputs, theorem1.max), (2, f64::INFINITY));
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
        let margin = summary.dataset_margin.unwrap();
        assert_eq!((margin.mean, margin.inputs, margin.without_refutation), (2.0, 1, 1));
        assert_eq!(margin.interval, None);
    }

    #[test]
    fn no_input_at_all_gives_empty_rows_instead_of_numbers() {
        let summary = Summary::of(&[]);
        assert!(summary.spreads.iter().all(|row| row.spread.is_none()));
        assert_eq!(summary.dataset_margin, None);
    }
}
