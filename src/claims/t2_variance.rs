//! T2-variance and T2-variance-linear: how the variance of the best encoder changes with β.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{all, at_most, show, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::t2_posterior::check_betas;
use super::truth::mixture::Mixture;
use super::truth::tempered::{GaussianModel, BETAS};

/// A likelihood and two values of β.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BetweenBetas<L> {
    likelihood: L,
    betas: (f64, f64),
}

fn betas() -> impl Strategy<Value = (f64, f64)> {
    (grid::one_of(&BETAS), grid::one_of(&[2.0, 4.0, 10.0, 100.0])).prop_map(|(beta, factor)| (beta, beta * factor))
}

/// The variance of q*_β grows with β, whatever the likelihood.
pub(super) struct Grows;

impl Experiment for Grows {
    type Instance = BetweenBetas<Mixture>;

    fn instances(&self) -> BoxedStrategy<Self::Instance> {
        (Mixture::strategy(1, 4.0, &[1.0, 0.5, 2.0]), betas())
            .prop_map(|(likelihood, betas)| BetweenBetas { likelihood, betas })
            .boxed()
    }

    fn judge(&self, instance: &Self::Instance, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        check_betas(instance.betas)?;
        instance.likelihood.check_line()?;
        let variance = |beta: f64| -> Result<_, Obstacle> {
            let exponent = trial.theory.likelihood_exponent(beta).value;
            Ok(instance.likelihood.tempered(exponent)?.variance())
        };
        let (first, second) = (variance(instance.betas.0)?, variance(instance.betas.1)?);
        let line = format!(
            "{}: variance {:.4} at β = {}, {:.4} at β = {}",
            instance.likelihood.show(),
            first.value,
            instance.betas.0,
            second.value,
            instance.betas.1
        );
        let numbers = [("variance at the smaller β", first), ("variance at the larger β", second)];
        Ok(Judgement::new(at_most(first, second), line, &numbers))
    }
}

/// A linear-Gaussian model with a direction of its code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithDirection {
    model: GaussianModel,
    direction: Vec<f64>,
}

/// For linear-Gaussian models S_β grows with β in every direction, and so do the best independent variances.
pub(super) struct LinearGrows;

impl Experiment for LinearGrows {
    type Instance = BetweenBetas<WithDirection>;

    fn instances(&self) -> BoxedStrategy<Self::Instance> {
        (GaussianModel::strategy(), grid::vector(10), betas())
            .prop_map(|(model, mut direction, betas)| {
                direction.truncate(model.latents.len());
                BetweenBetas { likelihood: WithDirection { model, direction }, betas }
            })
            .boxed()
    }

    fn judge(&self, instance: &Self::Instance, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        check_betas(instance.betas)?;
        let WithDirection { model, direction } = &instance.likelihood;
        model.check()?;
        super::truth::linear_vae::vector("the direction", direction, model.latents.len())?;
        let posterior = |beta: f64| model.posterior(trial.theory.likelihood_exponent(beta));
        let (first, second) = (posterior(instance.betas.0)?, posterior(instance.betas.1)?);
        let along = (first.variance_along(direction), second.variance_along(direction));
        let mut parts = vec![at_most(along.0, along.1)];
        for i in 0..model.latents.len() {
            parts.push(at_most(first.variance(i), second.variance(i)));
            parts.push(at_most(first.independent_variance(i), second.independent_variance(i)));
        }
        let line = format!(
            "{}, v = {}: vᵀS_βv = {:.4} at β = {}, {:.4} at β = {}",
            model.show(),
            show(direction),
            along.0.value,
            instance.betas.0,
            along.1.value,
            instance.betas.1
        );
        let numbers = [("vᵀSv at the smaller β", along.0), ("vᵀSv at the larger β", along.1)];
        Ok(Judgement::new(all(parts), line, &numbers))
    }
}
