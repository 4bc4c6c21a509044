//! T1-linear: Theorem 1 and its sharper forms against the exact margin of linear-Gaussian VAEs.

use nalgebra::DVector;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, at_most, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::{show_latents, LinearVae, Sizes};
use crate::bounds::{one_dimensional_margin, LadderOutcome};
use crate::quantity::{Estimate, LowerBound, Probability, Radius};
use crate::stats::Enclosure;

/// Relative width asked of the exact margin's bracket, and probabilities spent on it.
const TOLERANCE: f64 = 0.02;
const BUDGET: usize = 300;

/// A model and the level m.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AtLevel {
    model: LinearVae,
    level: f64,
}

/// theorem1 ≤ operator ≤ whitened ≤ R(x).
pub(super) struct Ladder;

impl Experiment for Ladder {
    type Instance = AtLevel;

    fn instances(&self) -> BoxedStrategy<AtLevel> {
        let sizes = Sizes { inputs: 8, outputs: 8, latents: 8 };
        (LinearVae::strategy(sizes, 0.625), grid::one_of(&[0.5, 0.25, 0.75]))
            .prop_map(|(model, level)| AtLevel { model, level })
            .boxed()
    }

    fn judge(&self, instance: &AtLevel, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let AtLevel { model, level } = instance;
        let Some(radius) = model.radius() else { return Ok(Judgement::vacuous("W = 0")) };
        let level = Probability::new(*level)?;
        let probability = model.probability_unperturbed(radius)?;
        let lower = LowerBound::new(probability.lower().clamp(0.0, 1.0))?;
        let ladder = match trial.theory.ladder(&model.encoder()?, &model.std(), lower, level)? {
            LadderOutcome::Ladder(ladder) => ladder,
            LadderOutcome::Abstained { .. } => {
                return Ok(Judgement::vacuous("P(‖Δ(x,0)‖ ≤ r) does not exceed the level"))
            }
        };
        // Documented: 1e-13 relative and 1e-15/c from the difference of quantiles, c > 1e-3 for what is drawn.
        let rung = |estimate: Estimate| Enclosure { value: estimate.get(), error: 3e-12 * estimate.get() };
        let [theorem1, operator, whitened] = [ladder.theorem1, ladder.operator, ladder.whitened].map(rung);
        if whitened.value.is_infinite() {
            return Ok(Judgement::vacuous("A = 0, or P(‖Δ(x,0)‖ ≤ r) = 1"));
        }
        let margin = exact_margin(model, radius, level)?;
        let finding = all([at_most(theorem1, operator), at_most(operator, whitened), at_most(whitened, margin)]);
        let line = format!(
            "{}, r = {}·√(Tr Σ), m = {}: theorem1 {:.4}, operator {:.4}, whitened {:.4}, R = {:.4}",
            show_latents(&model.latents),
            model.radius_factor,
            level.get(),
            theorem1.value,
            operator.value,
            whitened.value,
            margin.value
        );
        let numbers = [
            ("P(‖Δ(x,0)‖ ≤ r)", probability),
            ("theorem1", theorem1),
            ("operator", operator),
            ("whitened", whitened),
            ("R(x)", margin),
        ];
        Ok(Judgement::new(finding, line, &numbers))
    }
}

/// R(x): in closed form for one latent coordinate, else by optimisation with a verified bracket.
fn exact_margin(model: &LinearVae, radius: Radius, level: Probability) -> Result<Enclosure, Obstacle> {
    if let [latent] = model.latents.as_slice() {
        let vector = |entries: &[f64]| DVector::from_column_slice(entries);
        let (encoder, decoder) = (vector(&latent.encoder), vector(&latent.decoder));
        let margin = one_dimensional_margin(&encoder, latent.std, &decoder, radius, level)?;
        return Ok(Enclosure::between(margin.lower.get(), margin.upper.get()));
    }
    let margin = model.with(|model| Ok(model.margin(radius, level, TOLERANCE, BUDGET)?))?;
    Ok(Enclosure::between(margin.lower.get(), margin.upper.get()))
}
