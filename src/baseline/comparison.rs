//! Two audits of the same inputs, pair by pair and all together.

use schemars::JsonSchema;
use serde::Serialize;

use super::aspect::{Aspect, Difference};
use super::error::BaselineError;
use super::file::{Baseline, BaselineInput};
use crate::audit::Outcome;
use crate::quantity::{Probability, QuantityError};
use crate::stats::{mean_with_interval, order_statistic_interval, MeanInterval};

/// An unchanged model is called worse with at most about this probability; half of it for each quantity.
pub const FAILURE_PROBABILITY: f64 = 0.05;
const QUANTITIES: usize = 2;

/// One input before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Pair {
    /// In the baseline.
    pub before: BaselineInput,
    /// In the run.
    pub after: BaselineInput,
    /// Which way R(x) moved, where its bounds prove that it did.
    pub margin_moved: Option<Moved>,
    /// Which way P(‖Δ(x, 0)‖ ≤ r) moved, where the intervals do not meet.
    pub probability_moved: Option<Moved>,
}

/// Beyond an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// All of the interval after lies below that before.
    Down,
    /// Above.
    Up,
}

/// How the inputs as a whole changed in one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The interval of the mean difference lies below 0.
    Worse,
    /// Above 0.
    Better,
    /// It holds 0.
    NotShown,
    /// There is no interval: too few pairs.
    Undecided,
}

/// The paired differences (after − before) of one quantity.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PairedChange {
    /// Which quantity.
    pub quantity: &'static str,
    /// The unit of the differences.
    pub unit: &'static str,
    /// Confidence of either interval.
    pub confidence: f64,
    /// Inputs that have it before and after.
    pub pairs: usize,
    /// Inputs that have it, as a finite number, on one side only.
    pub left_out: usize,
    /// Mean difference with Student's t interval at half of [`FAILURE_PROBABILITY`]; decides.
    pub mean: Option<MeanInterval>,
    /// Interval of the median difference at the same probability, from order statistics; exact for any distribution. None
    /// below seven pairs.
    pub median: Option<(f64, f64)>,
    /// What that says.
    pub change: Change,
}

/// Two audits compared.
///
/// **Input by input.** R(x) lies between the certified lower bound and the norm of the smallest refutation. It has *moved*
/// only where these brackets do not meet; likewise P(‖Δ(x, 0)‖ ≤ r) and its Clopper–Pearson interval.
///
/// **All inputs.** For the certified radius and for the margin found by attacks, the differences after − before of the same
/// inputs have a mean; its Student interval decides. Pairing removes how much inputs differ among themselves. The interval
/// takes the inputs as a sample of those that may come; it is exact for normal differences and approximate for many. The
/// order-statistic interval of the median, which assumes nothing about their distribution, is shown beside it but does not
/// decide: a few inputs that lose much should count, and medians do not see them.
///
/// **Verdict.** *Worse* if a mean's interval lies below 0 or an input newly is an alarm or failed. Otherwise *undecided* if a
/// mean has no interval, if an input newly is bounded, which no mean sees, or if one newly is undecided: that may be a worse
/// model (P no longer shown above the level) or a better one (no attack succeeds any more). Otherwise *not worse*.
///
/// r is the same rule, but may be chosen per model and input: then margins are about other distances, which is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// In what the audits differ.
    pub differences: Vec<Difference>,
    /// Inputs that both have, in order.
    pub pairs: Vec<Pair>,
    /// The certified radius, then the margin found by attacks.
    pub changes: [PairedChange; QUANTITIES],
    /// Inputs that newly are alarms or failed.
    pub broken: Vec<usize>,
    /// Inputs that newly are undecided.
    pub newly_undecided: Vec<usize>,
    /// Inputs whose certified radius or margin found by attacks was unbounded and no longer is.
    pub newly_bounded: Vec<usize>,
}

impl Comparison {
    /// Compares a run with a baseline. Differences in what must agree are accepted if `allowed` names them; inputs are then
    /// paired by their index.
    ///
    /// # Errors
    /// [`BaselineError::Different`] with everything that differs and must not.
    pub fn of(before: &Baseline, after: &Baseline, allowed: &[Aspect]) -> Result<Self, BaselineError> {
        let differences = Difference::between(&before.identity, &after.identity);
        let refused =
            |difference: &&Difference| difference.aspect.must_agree() && !allowed.contains(&difference.aspect);
        let refused: Vec<Difference> = differences.iter().filter(refused).cloned().collect();
        if !refused.is_empty() {
            return Err(BaselineError::Different { differences: refused });
        }
        Ok(Self::unchecked(before, after, differences))
    }

    fn unchecked(before: &Baseline, after: &Baseline, differences: Vec<Difference>) -> Self {
        let pairs: Vec<Pair> = paired(before, after);
        let newly = |wanted: fn(Outcome) -> bool| {
            let changed = pairs.iter().filter(|pair| pair.before.outcome != pair.after.outcome);
            changed.filter(|pair| wanted(pair.after.outcome)).map(|pair| pair.after.input).collect()
        };
        Self {
            broken: newly(|outcome| matches!(outcome, Outcome::Alarm | Outcome::Failed)),
            newly_undecided: newly(|outcome| outcome == Outcome::Undecided),
            newly_bounded: pairs.iter().filter(|pair| pair.is_newly_bounded()).map(|pair| pair.after.input).collect(),
            changes: [
                PairedChange::of("certified", &pairs, |input| Some(input.certified.get())),
                PairedChange::of("margin", &pairs, |input| Some(input.margin?.get())),
            ],
            differences,
            pairs,
        }
    }

    /// How the run stands against the baseline: never [`Change::Better`], which nobody has to act on.
    #[must_use]
    pub fn verdict(&self) -> Change {
        let any = |wanted| self.changes.iter().any(|found| found.change == wanted);
        if any(Change::Worse) || !self.broken.is_empty() {
            Change::Worse
        } else if any(Change::Undecided) || !self.newly_undecided.is_empty() || !self.newly_bounded.is_empty() {
            Change::Undecided
        } else {
            Change::NotShown
        }
    }

    /// Inputs whose r differs.
    #[must_use]
    pub fn other_radii(&self) -> usize {
        self.pairs.iter().filter(|pair| pair.before.radius != pair.after.radius).count()
    }

    /// Whether the same computation gave other numbers: another machine, another version or damage.
    #[must_use]
    pub fn same_but_unequal(&self) -> bool {
        let explains = |difference: &Difference| !matches!(difference.aspect, Aspect::Device | Aspect::Version);
        !self.differences.iter().any(explains) && self.pairs.iter().any(|pair| pair.before != pair.after)
    }
}

fn paired(before: &Baseline, after: &Baseline) -> Vec<Pair> {
    // Both are consecutive.
    let skip = |from: &Baseline, other: &Baseline| other.identity.first.saturating_sub(from.identity.first);
    let old = before.inputs.iter().skip(skip(before, after));
    let new = after.inputs.iter().skip(skip(after, before));
    old.zip(new).map(|(before, after)| Pair::of(before.clone(), after.clone())).collect()
}

impl Pair {
    fn of(before: BaselineInput, after: BaselineInput) -> Self {
        let bracket = |input: &BaselineInput| {
            let upper = input.margin.map_or(f64::INFINITY, |margin| margin.get());
            (input.certified.get(), upper)
        };
        let probability =
            |input: &BaselineInput| Some((input.probability?.lower.get(), input.probability?.upper.get()));
        let probabilities = probability(&before).zip(probability(&after));
        Self {
            margin_moved: moved(bracket(&before), bracket(&after)),
            probability_moved: probabilities.and_then(|(before, after)| moved(before, after)),
            before,
            after,
        }
    }

    fn is_newly_bounded(&self) -> bool {
        let margin = |input: &BaselineInput| input.margin.map_or(f64::INFINITY, |margin| margin.get());
        let lost = |before: f64, after: f64| before.is_infinite() && after.is_finite();
        lost(margin(&self.before), margin(&self.after)) || lost(self.before.certified.get(), self.after.certified.get())
    }
}

/// Which way an interval moved past another. One whose ends contradict each other moved nowhere.
fn moved(before: (f64, f64), after: (f64, f64)) -> Option<Moved> {
    if before.0 > before.1 || after.0 > after.1 {
        None
    } else if after.1 < before.0 {
        Some(Moved::Down)
    } else if after.0 > before.1 {
        Some(Moved::Up)
    } else {
        None
    }
}

impl PairedChange {
    fn of(quantity: &'static str, pairs: &[Pair], value: fn(&BaselineInput) -> Option<f64>) -> Self {
        let (mut differences, mut left_out) = (Vec::new(), 0);
        for pair in pairs {
            match (value(&pair.before), value(&pair.after)) {
                (Some(before), Some(after)) if before.is_finite() && after.is_finite() => {
                    differences.push(after - before);
                }
                // Unbounded before and after: no change.
                (Some(before), Some(after)) if before.is_infinite() && after.is_infinite() => differences.push(0.0),
                (None, None) => {}
                _ => left_out += 1,
            }
        }
        let share = Self::failure_probability().ok();
        let mean = share.and_then(|share| mean_with_interval(&differences, share).ok());
        let change = match mean {
            Some(interval) if interval.upper < 0.0 => Change::Worse,
            Some(interval) if interval.lower > 0.0 => Change::Better,
            Some(_) => Change::NotShown,
            None => Change::Undecided,
        };
        let median = share.and_then(|share| median_interval(&mut differences, share));
        let confidence = 1.0 - FAILURE_PROBABILITY / QUANTITIES as f64;
        Self { quantity, unit: "input units", confidence, pairs: differences.len(), left_out, mean, median, change }
    }

    fn failure_probability() -> Result<Probability, QuantityError> {
        Ok(Probability::new(FAILURE_PROBABILITY)?.split(QUANTITIES))
    }
}

fn median_interval(differences: &mut [f64], failure_probability: Probability) -> Option<(f64, f64)> {
    differences.sort_by(f64::total_cmp);
    let ranks = order_statistic_interval(differences.len(), Probability::HALF, failure_probability);
    let at = |rank: Option<usize>| differences.get(rank?.checked_sub(1)?).copied();
    at(ranks.lower_rank).zip(at(ranks.upper_rank))
}

#[cfg(test)]
mod tests;
