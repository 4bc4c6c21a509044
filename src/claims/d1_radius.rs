//! D1-r-grows and D1-r-grows-small: the smallest r of the optimal linear β-VAE as β grows.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{at_most, show, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::t2_posterior::check_betas;
use super::truth::linear_vae::vector;
use super::truth::optimum::{minimum_radius, optimum};
use crate::stats::Enclosure;

/// Data variances γ, with as many latent coordinates, and two values of β; s² = 1, as only βs² matters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcrossBetas {
    data_variances: Vec<f64>,
    betas: (f64, f64),
}

fn instances() -> BoxedStrategy<AcrossBetas> {
    let variance = grid::one_of(&[2.0, 4.0, 1.0, 8.0, 3.0, 16.0, 1.5, 32.0, 5.0]);
    let betas = (grid::positive(), grid::one_of(&[2.0, 1.5, 1.25, 4.0, 1.125])).prop_map(|(b, factor)| (b, b * factor));
    (prop::collection::vec(variance, 1..=4), betas)
        .prop_map(|(data_variances, betas)| AcrossBetas { data_variances, betas })
        .boxed()
}

impl AcrossBetas {
    /// The smallest variance, once all numbers make sense.
    fn smallest(&self) -> Result<f64, Obstacle> {
        vector("the data variances", &self.data_variances, self.data_variances.len())?;
        check_betas(self.betas)?;
        let smallest = self.data_variances.iter().copied().fold(f64::INFINITY, f64::min);
        if smallest > 0.0 {
            Ok(smallest)
        } else {
            Err(Obstacle("data variances must be above 0".to_owned()))
        }
    }

    fn judge(&self, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let mut variances: Vec<Enclosure> = self.data_variances.iter().copied().map(Enclosure::exact).collect();
        variances.sort_by(|a, b| b.value.total_cmp(&a.value));
        let radius = |beta: f64| minimum_radius(&optimum(&variances, variances.len(), beta, 1.0, trial));
        let (first, second) = (radius(self.betas.0)?, radius(self.betas.1)?);
        let line = format!(
            "data variances {}, s = 1: minimum r = {:.4} at β = {}, {:.4} at β = {}",
            show(&self.data_variances),
            first.value,
            self.betas.0,
            second.value,
            self.betas.1
        );
        let numbers = [("minimum r at the smaller β", first), ("minimum r at the larger β", second)];
        Ok(Judgement::new(at_most(first, second), line, &numbers))
    }
}

/// The smallest r with P(‖Δ(x, 0)‖ ≤ r) > 1/2 grows with β.
pub(super) struct Grows;

impl Experiment for Grows {
    type Instance = AcrossBetas;

    fn instances(&self) -> BoxedStrategy<AcrossBetas> {
        instances()
    }

    fn judge(&self, instance: &AcrossBetas, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        instance.smallest()?;
        instance.judge(trial)
    }
}

/// It does while βs² ≤ γ/2 for every direction.
pub(super) struct GrowsWhileSmall;

impl Experiment for GrowsWhileSmall {
    type Instance = AcrossBetas;

    fn instances(&self) -> BoxedStrategy<AcrossBetas> {
        instances()
    }

    fn judge(&self, instance: &AcrossBetas, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        // s² = 1 and short numbers: exact.
        if instance.betas.1 > 0.5 * instance.smallest()? {
            return Ok(Judgement::vacuous("βs² exceeds γ/2 for a data variance γ"));
        }
        instance.judge(trial)
    }
}
