//! T1-ladder: the whole audit, as `vaecert audit` runs it, on linear-Gaussian VAEs whose margin is known.

use candle_core::Device;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, at_most, show, Experiment, Finding, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::{show_latents, LinearVae, Sizes};
use crate::attack::Effort;
use crate::audit::input::AuditedModel;
use crate::audit::{AuditPlan, InputRecord, Outcome};
use crate::margin::RadiusRule;
use crate::quantity::Probability;
use crate::stats::Enclosure;

/// A model, an input and the quantile that chooses r.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audited {
    model: LinearVae,
    input: Vec<f64>,
    order: f64,
}

/// theorem1 ≤ operator ≤ whitened ≤ R ≤ norm of a refuting perturbation, in what an audit writes down.
pub(super) struct Pipeline;

/// Draws of one audit: few, as the bounds hold with any number.
const SELECTION_DRAWS: usize = 300;
const ESTIMATION_DRAWS: usize = 2_000;
const DECISION_DRAWS: usize = 1_500;

impl Experiment for Pipeline {
    type Instance = Audited;

    fn instances(&self) -> BoxedStrategy<Audited> {
        let sizes = Sizes { inputs: 4, outputs: 4, latents: 4 };
        (LinearVae::strategy(sizes, 1.0), grid::vector(sizes.inputs), grid::one_of(&[0.9, 0.8, 0.95]))
            .prop_map(|(model, input, order)| Audited { model, input, order })
            .boxed()
    }

    fn judge(&self, instance: &Audited, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let Audited { model, input, order } = instance;
        let reaches = |row: &[f64]| row.iter().any(|entry| *entry != 0.0);
        if !model.latents.iter().any(|latent| reaches(&latent.encoder) && reaches(&latent.decoder)) {
            return Ok(Judgement::vacuous("no latent coordinate connects input and output"));
        }
        let vae = model.vae()?;
        let width = vae.architecture().input_dim();
        // Multiples of 1/8 up to 3 are exact in single precision.
        #[allow(clippy::cast_possible_truncation)]
        let input: Vec<f32> = input.iter().map(|x| *x as f32).chain(std::iter::repeat(0.0)).take(width).collect();
        let mut plan = AuditPlan::standard(
            RadiusRule::Quantile(Probability::new(*order)?),
            trial.failure_probability,
            trial.draws_seed(),
        );
        plan.selection_draws = SELECTION_DRAWS;
        plan.estimation_draws = ESTIMATION_DRAWS;
        plan.search.decision_draws = DECISION_DRAWS;
        plan.search.max_norm = 100.0;
        plan.search.effort = Effort { restarts: 1, steps: 8, draws: 8 };
        plan.check()?;
        let record = AuditedModel::new(&vae, &Device::Cpu)?.audit(&input, 0, 1, &plan).record;
        Ok(judge_record(&record, &format!("{}, x = {}", show_latents(&model.latents), show(&instance.input))))
    }
}

/// Whether the radii in a record are in order; too close where the audit could not bracket the margin.
fn judge_record(record: &InputRecord, model: &str) -> Judgement {
    // The audit's own rounding of the ladder against the exact margin.
    let approximately = |value: f64| Enclosure { value, error: 1e-10 * value };
    let mut parts = Vec::new();
    let mut numbers: Vec<(&str, Enclosure)> = Vec::new();
    if let Some(ladder) = record.first_order {
        numbers.extend([
            ("theorem1", approximately(ladder.theorem1.get())),
            ("operator", approximately(ladder.operator.get())),
            ("whitened", approximately(ladder.whitened.get())),
        ]);
    }
    if let Some(exact) = record.exact_margin {
        numbers.push(("R(x)", Enclosure::between(exact.lower.get(), exact.upper.get())));
    }
    if let Some(upper) = record.margin_upper {
        numbers.push(("norm of a refuting perturbation", Enclosure::exact(upper.get())));
    }
    let finite: Vec<Enclosure> =
        numbers.iter().map(|(_, number)| *number).filter(|number| number.value.is_finite()).collect();
    parts.extend(finite.windows(2).map(|pair| at_most(pair[0], pair[1])));
    let mut finding = match (record.outcome, all(parts)) {
        (Outcome::Alarm, _) => Finding::Contradicts,
        (Outcome::Bracketed, finding) => finding,
        (_, Finding::Contradicts) => Finding::Contradicts,
        _ => Finding::TooClose,
    };
    if finding == Finding::Agrees && numbers.len() < 5 {
        finding = Finding::TooClose;
    }
    let shown: Vec<String> = numbers.iter().map(|(name, number)| format!("{name} {:.4}", number.value)).collect();
    let mut line = format!("{model}: {}", shown.join(", "));
    if finding == Finding::TooClose {
        line += &format!(" ({}; {})", record.outcome.word(), record.reasons.join("; "));
    }
    Judgement::new(finding, line, &numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::{ExactMargin, FirstOrderLadder};
    use crate::quantity::{Estimate, LowerBound, UpperBound};

    fn record(outcome: Outcome, ladder: [f64; 3], exact: f64, refuted: f64) -> InputRecord {
        let [theorem1, operator, whitened] = ladder.map(|value| Estimate::new(value).unwrap());
        let (lower, upper) = (LowerBound::new(exact).unwrap(), UpperBound::new(exact * 1.001).unwrap());
        InputRecord {
            outcome,
            first_order: Some(FirstOrderLadder { theorem1, operator, whitened }),
            exact_margin: Some(ExactMargin { lower, upper }),
            margin_upper: Some(UpperBound::new(refuted).unwrap()),
            ..InputRecord::empty(0)
        }
    }

    fn finding(record: &InputRecord) -> Finding {
        judge_record(record, "").finding
    }

    #[test]
    fn figures_out_of_order_contradict_whatever_the_audit_says() {
        let bracketed = |ladder, exact, refuted| record(Outcome::Bracketed, ladder, exact, refuted);
        assert_eq!(finding(&bracketed([1.0, 1.0, 2.0], 3.0, 4.0)), Finding::Agrees);
        assert_eq!(finding(&bracketed([1.1, 1.0, 2.0], 3.0, 4.0)), Finding::Contradicts);
        assert_eq!(finding(&bracketed([1.0, 1.5, 1.2], 3.0, 4.0)), Finding::Contradicts);
        assert_eq!(finding(&bracketed([1.0, 1.5, 3.1], 3.0, 4.0)), Finding::Contradicts);
        assert_eq!(finding(&bracketed([1.0, 1.5, 2.0], 3.0, 2.9)), Finding::Contradicts);
    }

    #[test]
    fn an_alarm_contradicts_and_what_is_missing_decides_nothing() {
        let good = record(Outcome::Bracketed, [1.0, 1.5, 2.0], 3.0, 4.0);
        assert_eq!(finding(&InputRecord { outcome: Outcome::Alarm, ..good.clone() }), Finding::Contradicts);
        assert_eq!(finding(&InputRecord { outcome: Outcome::Undecided, ..good.clone() }), Finding::TooClose);
        assert_eq!(finding(&InputRecord { outcome: Outcome::Failed, ..good.clone() }), Finding::TooClose);
        assert_eq!(finding(&InputRecord { exact_margin: None, ..good.clone() }), Finding::TooClose);
        assert_eq!(finding(&InputRecord { margin_upper: None, ..good }), Finding::TooClose);
    }
}
