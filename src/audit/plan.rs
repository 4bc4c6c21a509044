//! What an audit does to every input.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::allowance::{Allowance, Spent};
use crate::attack::{AttackKind, Effort, PixelBox, Threat};
use crate::margin::{Protocol, RadiusRule, SearchPlan};
use crate::quantity::Probability;
use crate::seed::Seed;

/// Everything that decides an audit's results, beside model and data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditPlan {
    /// Where r comes from.
    pub radius: RadiusRule,
    /// m: the probability with which a reconstruction must stay within r.
    pub level: Probability,
    /// Which part of the code the attacker reaches.
    pub threat: Threat,
    /// All probability bounds and all refutations of the run hold together, except with this probability.
    pub failure_probability: Probability,
    /// Draws that choose r where it is a quantile; used for nothing else.
    pub selection_draws: usize,
    /// Fresh draws that estimate P(‖Δ(x, 0)‖ ≤ r).
    pub estimation_draws: usize,
    /// Attacks, each with its own search.
    pub attacks: Vec<AttackKind>,
    /// How each search goes.
    pub search: SearchPlan,
    /// Seed of all randomness.
    pub seed: Seed,
    /// Draws of evidence (those that choose r, estimate P and decide on perturbations) allowed for an input; where they do
    /// not suffice, it is undecided. None without such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws_per_input: Option<usize>,
    /// Time after which the work on an input is given up, which makes it undecided; where that happens depends on the
    /// machine. None without such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_dependent_milliseconds_per_input: Option<u64>,
}

/// A number of the plan that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A count is 0 or beyond what is supported.
    #[error("{name} must lie between {least} and {most}, found {found}")]
    Count {
        /// Which one.
        name: &'static str,
        /// Smallest value allowed.
        least: usize,
        /// Largest value allowed.
        most: usize,
        /// The value found.
        found: usize,
    },
    /// A length or a tolerance is not a finite positive number.
    #[error("{name} must be a finite number above 0, found {found}")]
    Length {
        /// Which one.
        name: &'static str,
        /// The value found.
        found: f64,
    },
    /// r would be chosen so small that robustness fails without any perturbation.
    #[error("the quantile {order} that chooses r must exceed the level {level}; choose a larger --r-quantile, or r itself with --r")]
    QuantileBelowLevel {
        /// The quantile's order.
        order: f64,
        /// m.
        level: f64,
    },
    /// Norms beyond what single precision handles well.
    #[error("the largest norm must be at most {MAX_NORM}, found {found}")]
    Norm {
        /// The value found.
        found: f64,
    },
    /// Algorithm 2's step is so small that the walk would never end.
    #[error("the decrement {decrement} divides the largest norm {max_norm} into more than {MAX_PAPER_NORMS} steps")]
    Decrement {
        /// The step.
        decrement: f64,
        /// The largest norm.
        max_norm: f64,
    },
    /// The draws allowed for an input do not even estimate P.
    #[error("{found} draws per input are not enough: {needed} choose r, estimate P and decide once; allow more, or ask for fewer --draws, --selection-draws or --decision-draws")]
    DrawsPerInput {
        /// Draws needed before a perturbation can be decided on.
        needed: usize,
        /// Draws allowed.
        found: usize,
    },
    /// The box is empty.
    #[error("the box must have a finite low end below its high end, found {low}, {high}")]
    Box {
        /// Low end.
        low: f32,
        /// High end.
        high: f32,
    },
    /// No attack, or the same one twice.
    #[error("name at least one attack, and each at most once")]
    Attacks,
}

/// Most norms visited by Algorithm 2.
const MAX_PAPER_NORMS: usize = 10_000;
/// Most draws of one kind.
const MAX_DRAWS: usize = 100_000_000;
/// Most rows in one attack step, which all lie in memory at once.
const MAX_BATCH: usize = 1_000_000;
/// Largest norm tried: squares and products of it must stay far inside single precision.
const MAX_NORM: f64 = 1e6;
/// Most steps, restarts or draws of one optimisation.
const MAX_EFFORT: usize = 100_000;

impl AuditPlan {
    /// Order of the quantile that chooses r where nobody names r or a quantile; the paper's.
    pub const DEFAULT_QUANTILE: f64 = 0.9;

    /// The defaults: r at the 0.9-quantile, m = 1/2, threat `mean`, all attacks, bisection to 5 %.
    #[must_use]
    pub fn standard(radius: RadiusRule, failure_probability: Probability, seed: Seed) -> Self {
        Self {
            radius,
            level: Probability::HALF,
            threat: Threat::Mean,
            failure_probability,
            selection_draws: 2_000,
            estimation_draws: 10_000,
            attacks: AttackKind::ALL.to_vec(),
            search: SearchPlan {
                protocol: Protocol::Bisect { tolerance: Protocol::DEFAULT_TOLERANCE },
                max_norm: 10.0,
                pixel_box: None,
                decision_draws: 4_000,
                effort: Effort { restarts: 4, steps: 40, draws: 32 },
            },
            seed,
            draws_per_input: None,
            machine_dependent_milliseconds_per_input: None,
        }
    }

    /// Draws that choose r and estimate P, before any perturbation is decided on.
    #[must_use]
    pub fn undisturbed_draws(&self) -> usize {
        let selection = if matches!(self.radius, RadiusRule::Quantile(_)) { self.selection_draws } else { 0 };
        selection.saturating_add(self.estimation_draws)
    }

    /// The limits of one input whose work begins now, in a run that ends at `run_ends`.
    #[must_use]
    pub fn allowance(&self, run_ends: Option<Instant>) -> Allowance {
        let time = self.machine_dependent_milliseconds_per_input.map(Duration::from_millis);
        let draws = self.draws_per_input.map(|draws| draws.saturating_sub(self.undisturbed_draws()));
        Allowance::starting_now(run_ends, time, draws)
    }

    /// The limit behind what was used up, in words; none for the time of the run, which is no part of the plan.
    #[must_use]
    pub fn limit(&self, spent: Spent) -> Option<String> {
        match spent {
            Spent::RunTime => None,
            Spent::InputTime => self.machine_dependent_milliseconds_per_input.map(time_in_words),
            Spent::Draws => {
                self.draws_per_input.map(|draws| format!("the {draws} draws allowed per input are used up"))
            }
        }
    }

    /// Refuses plans that make no sense.
    ///
    /// # Errors
    /// The first [`PlanError`] found.
    pub fn check(&self) -> Result<(), PlanError> {
        let search = &self.search;
        let uses_selection = matches!(self.radius, RadiusRule::Quantile(_));
        check_count("the number of selection draws", usize::from(uses_selection), MAX_DRAWS, self.selection_draws)?;
        if let RadiusRule::Quantile(order) = self.radius {
            if order <= self.level {
                return Err(PlanError::QuantileBelowLevel { order: order.get(), level: self.level.get() });
            }
        }
        check_count("the number of estimation draws", 1, MAX_DRAWS, self.estimation_draws)?;
        check_count("the number of decision draws", 1, MAX_DRAWS, search.decision_draws)?;
        check_count("the number of restarts", 0, MAX_EFFORT, search.effort.restarts)?;
        check_count("the number of steps", 1, MAX_EFFORT, search.effort.steps)?;
        check_count("the number of attack draws", 1, MAX_EFFORT, search.effort.draws)?;
        let batch = search.effort.restarts.saturating_mul(search.effort.draws);
        check_count("the number of restarts times attack draws", 0, MAX_BATCH, batch)?;
        check_length("the largest norm", search.max_norm)?;
        if search.max_norm > MAX_NORM {
            return Err(PlanError::Norm { found: search.max_norm });
        }
        match search.protocol {
            Protocol::Bisect { tolerance } => check_length("the tolerance", tolerance)?,
            Protocol::Paper { decrement } => {
                check_length("the decrement", decrement)?;
                if search.max_norm / decrement > MAX_PAPER_NORMS as f64 {
                    return Err(PlanError::Decrement { decrement, max_norm: search.max_norm });
                }
            }
        }
        if let Some(PixelBox { low, high }) = search.pixel_box {
            if !(low.is_finite() && high.is_finite() && low < high) {
                return Err(PlanError::Box { low, high });
            }
        }
        let needed = self.undisturbed_draws().saturating_add(search.decision_draws);
        if let Some(found) = self.draws_per_input.filter(|&found| found < needed) {
            return Err(PlanError::DrawsPerInput { needed, found });
        }
        let distinct: std::collections::BTreeSet<_> = self.attacks.iter().collect();
        if distinct.is_empty() || distinct.len() != self.attacks.len() {
            return Err(PlanError::Attacks);
        }
        Ok(())
    }
}

/// A limit of time per input that took effect.
pub(super) fn time_in_words(milliseconds: u64) -> String {
    let time = Duration::from_millis(milliseconds);
    format!("the {time:?} allowed per input are used up, which depends on the machine")
}

fn check_count(name: &'static str, least: usize, most: usize, found: usize) -> Result<(), PlanError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(PlanError::Count { name, least, most, found })
    }
}

fn check_length(name: &'static str, found: f64) -> Result<(), PlanError> {
    if found.is_finite() && found > 0.0 {
        Ok(())
    } else {
        Err(PlanError::Length { name, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> AuditPlan {
        let rule = RadiusRule::Quantile(Probability::new(0.9).unwrap());
        AuditPlan::standard(rule, Probability::new(0.001).unwrap(), Seed(0))
    }

    #[test]
    fn the_defaults_make_sense() {
        assert_eq!(plan().check(), Ok(()));
    }

    #[test]
    fn limits_that_are_not_set_leave_no_trace_in_files() {
        let json = serde_json::to_string(&plan()).unwrap();
        assert!(!json.contains("per_input"), "{json}");
        let limited =
            AuditPlan { draws_per_input: Some(16_000), machine_dependent_milliseconds_per_input: Some(1500), ..plan() };
        assert_eq!(limited.check(), Ok(()));
        let json = serde_json::to_string(&limited).unwrap();
        assert!(
            json.ends_with(r#""draws_per_input":16000,"machine_dependent_milliseconds_per_input":1500}"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<AuditPlan>(&json).unwrap(), limited);
    }

    #[test]
    fn each_number_that_makes_no_sense_is_named() {
        let refused = |change: &dyn Fn(&mut AuditPlan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.check().unwrap_err()
        };
        assert!(matches!(refused(&|p| p.selection_draws = 0), PlanError::Count { found: 0, .. }));
        assert!(matches!(refused(&|p| p.estimation_draws = 0), PlanError::Count { found: 0, .. }));
        assert!(matches!(refused(&|p| p.search.decision_draws = 0), PlanError::Count { .. }));
        assert!(matches!(refused(&|p| p.search.effort.steps = 0), PlanError::Count { .. }));
        assert!(matches!(refused(&|p| p.search.effort.draws = 0), PlanError::Count { .. }));
        assert!(matches!(refused(&|p| p.search.max_norm = f64::NAN), PlanError::Length { .. }));
        assert!(matches!(refused(&|p| p.search.max_norm = 1e30), PlanError::Norm { .. }));
        assert!(matches!(refused(&|p| p.level = Probability::new(0.9).unwrap()), PlanError::QuantileBelowLevel { .. }));
        let batch = Effort { restarts: 50_000, steps: 1, draws: 50_000 };
        assert!(matches!(refused(&|p| p.search.effort = batch), PlanError::Count { .. }));
        let tolerance = Protocol::Bisect { tolerance: 0.0 };
        assert!(matches!(refused(&|p| p.search.protocol = tolerance), PlanError::Length { .. }));
        let decrement = Protocol::Paper { decrement: 1e-9 };
        assert!(matches!(refused(&|p| p.search.protocol = decrement), PlanError::Decrement { .. }));
        let empty = PixelBox { low: 1.0, high: 0.0 };
        assert!(matches!(refused(&|p| p.search.pixel_box = Some(empty)), PlanError::Box { .. }));
        let too_few = PlanError::DrawsPerInput { needed: 16_000, found: 15_999 };
        assert_eq!(refused(&|p| p.draws_per_input = Some(15_999)), too_few);
        assert_eq!(refused(&|p| p.attacks.clear()), PlanError::Attacks);
        assert_eq!(refused(&|p| p.attacks = vec![AttackKind::Latent; 2]), PlanError::Attacks);
    }
}
