//! S3-sigma-limit: a large enough σ destroys r-robustness.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, at_most, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::{LinearVae, Sizes};
use crate::stats::Enclosure;

/// A model and a factor of its σ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scaled {
    model: LinearVae,
    factor: f64,
}

/// P(‖Δ(x, 0)‖ ≤ r) falls as σ grows, and is at most one half from a known factor on.
pub(super) struct SigmaLimit;

impl Experiment for SigmaLimit {
    type Instance = Scaled;

    fn instances(&self) -> BoxedStrategy<Scaled> {
        let sizes = Sizes { inputs: 1, outputs: 4, latents: 4 };
        let factors = grid::one_of(&[2.0, 4.0, 1.5, 1.25, 8.0, 16.0, 100.0]);
        (LinearVae::strategy(sizes, 0.5), factors).prop_map(|(model, factor)| Scaled { model, factor }).boxed()
    }

    fn judge(&self, instance: &Scaled, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        if !(instance.factor > 1.0 && instance.factor <= grid::LARGEST) {
            return Err(Obstacle(format!("the factor of σ is {}, expected a number above 1", instance.factor)));
        }
        let Some(radius) = instance.model.radius() else { return Ok(Judgement::vacuous("W = 0")) };
        let with_std_times = |factor: f64| {
            let mut model = instance.model.clone();
            model.latents.iter_mut().for_each(|latent| latent.std *= factor);
            model.probability_unperturbed(radius)
        };
        let sizes = instance
            .model
            .latents
            .iter()
            .map(|latent| latent.std * latent.decoder.iter().map(|w| w * w).sum::<f64>().sqrt());
        let largest = sizes.fold(0.0, f64::max);
        let destroying = 2.0 * trial.theory.interval_slope() * radius.get() / largest * (1.0 + 1e-12);
        let (before, after, destroyed) =
            (with_std_times(1.0)?, with_std_times(instance.factor)?, with_std_times(destroying)?);
        let finding = all([at_most(after, before), at_most(destroyed, Enclosure::exact(0.5))]);
        let line = format!(
            "{}, r = {}·√(Tr Σ): P = {:.4}, {:.4} at {}·σ, {:.4} at {destroying:.3}·σ",
            instance.model.show_decoder(),
            instance.model.radius_factor,
            before.value,
            after.value,
            instance.factor,
            destroyed.value
        );
        let numbers =
            [("P(‖Δ(x,0)‖ ≤ r)", before), ("P at the larger σ", after), ("P where robustness must end", destroyed)];
        Ok(Judgement::new(finding, line, &numbers))
    }
}
