//! E6-linear: equation (6) for linear decoders.

use nalgebra::DMatrix;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{equal, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::t2_posterior::check_beta;
use super::truth::tempered::{GaussianModel, BETAS, TAU};
use crate::linalg::EnclosedCholesky;
use crate::stats::Enclosure;

/// A model, of which W and x count, and β.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AtBeta {
    model: GaussianModel,
    beta: f64,
}

/// −L_β(q*) = ½‖x − g(μ)‖² + (β/2)‖μ‖² + (β/2) ln det(I + J_gᵀJ_g/β) + (d_x/2) ln 2π.
pub(super) struct Equation6;

/// Accuracy asked of the equation, relative to its largest term.
const TOLERANCE: f64 = 1e-10;

impl Experiment for Equation6 {
    type Instance = AtBeta;

    fn instances(&self) -> BoxedStrategy<AtBeta> {
        (GaussianModel::strategy(), grid::one_of(&BETAS))
            .prop_map(|(model, beta)| AtBeta { model: GaussianModel { likelihood_std: 1.0, ..model }, beta })
            .boxed()
    }

    fn judge(&self, instance: &AtBeta, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let AtBeta { model, beta } = instance;
        model.check()?;
        check_beta(*beta)?;
        if (model.likelihood_std - 1.0).abs() > 0.0 {
            return Err(Obstacle("equation (6) has a likelihood of unit variance".to_owned()));
        }
        let singular = || Obstacle("WWᵀ + βI is not certainly positive definite".to_owned());
        let posterior = model.posterior(trial.theory.likelihood_exponent(*beta))?;
        let outputs = model.input.len();
        let decoder = DMatrix::from_fn(outputs, model.latents.len(), |i, j| model.latents[j].decoder[i]);
        let mean = posterior.mean();
        let residual: Enclosure = (0..outputs)
            .map(|i| {
                let output: Enclosure = decoder.row(i).iter().zip(mean).map(|(w, m)| *m * *w).sum();
                (output - model.input[i]).squared()
            })
            .sum();
        let size: Enclosure = mean.iter().map(|m| m.squared()).sum();
        let constant = TAU.ln() * (0.5 * outputs as f64);
        let equation = residual * 0.5 + size * (0.5 * beta) + posterior.log_determinant() * (0.5 * beta) + constant;
        // −L_β(q*) = −β ln Z_β, from Z_β = (2π)^{−d/(2β)}·(2πβ)^{d/2}·N(x; 0, WWᵀ + βI), d = d_x: a d_x × d_x determinant.
        let wide = EnclosedCholesky::new(outputs, |i, j| {
            Enclosure::dot(decoder.row(i), decoder.row(j)) + if i == j { *beta } else { 0.0 }
        })
        .ok_or_else(singular)?;
        let input: Vec<Enclosure> = model.input.iter().copied().map(Enclosure::exact).collect();
        let quadratic: Enclosure = wide.forward(&input).into_iter().map(Enclosure::squared).sum();
        let logarithm = Enclosure::exact(*beta).ln() * outputs as f64;
        let objective = constant + (wide.log_determinant() - logarithm + quadratic) * (0.5 * beta);
        let largest = (size + posterior.log_determinant() + logarithm.abs() + quadratic) * *beta + constant + residual;
        let finding = equal(equation, objective, largest * TOLERANCE);
        let line = format!(
            "β = {beta}, {}: equation (6) {:.6}, −L(q*) = {:.6}",
            model.show(),
            equation.value,
            objective.value
        );
        Ok(Judgement::new(finding, line, &[("equation (6)", equation), ("−L_β(q*)", objective)]))
    }
}
