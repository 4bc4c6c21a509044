//! S5-jacobian and S5-optimum: the optimal linear β-VAE as β grows, and that it is the optimum.

use nalgebra::DMatrix;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{at_most, show, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::t2_posterior::{check_beta, check_betas};
use super::truth::linear_vae::{matrix, show_latents, vector, Latent};
use super::truth::optimum::{data_variances, optimum, Direction};
use super::truth::tempered::TAU;
use crate::linalg::relative_rounding;
use crate::stats::Enclosure;

/// Data covariance BBᵀ, s², and two values of β.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcrossBetas {
    /// Rows of B.
    spread: Vec<Vec<f64>>,
    latents: usize,
    likelihood_variance: f64,
    betas: (f64, f64),
}

/// Most values per input.
const LARGEST: usize = 4;

/// BBᵀ, and a bound of how far its rounding moves eigenvalues: 0 for the short numbers drawn.
fn covariance(spread: &[Vec<f64>]) -> Result<(DMatrix<f64>, f64), Obstacle> {
    let rows: Vec<&[f64]> = spread.iter().map(Vec::as_slice).collect();
    let factor = matrix("the data's spread", &rows)?;
    let short = factor.iter().all(|entry| (8.0 * entry).fract() == 0.0);
    let rounding = if short { 0.0 } else { 1.01 * relative_rounding(factor.ncols()) * factor.norm_squared() };
    let product = &factor * factor.transpose();
    Ok(((&product + product.transpose()) * 0.5, rounding))
}

fn check_variance(variance: f64) -> Result<(), Obstacle> {
    if variance > 0.0 && variance <= grid::LARGEST {
        Ok(())
    } else {
        Err(Obstacle(format!("the likelihood's variance {variance} is not above 0")))
    }
}

fn spread() -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(grid::vector(LARGEST), 1..=LARGEST)
}

/// ‖J‖_F does not grow with β.
pub(super) struct JacobianFalls;

impl Experiment for JacobianFalls {
    type Instance = AcrossBetas;

    fn instances(&self) -> BoxedStrategy<AcrossBetas> {
        let betas = (grid::positive(), grid::one_of(&[2.0, 1.5, 4.0, 10.0])).prop_map(|(b, factor)| (b, b * factor));
        (spread(), 1..=LARGEST, grid::positive(), betas)
            .prop_map(|(spread, latents, likelihood_variance, betas)| AcrossBetas {
                spread,
                latents,
                likelihood_variance,
                betas,
            })
            .boxed()
    }

    fn judge(&self, instance: &AcrossBetas, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        check_variance(instance.likelihood_variance)?;
        check_betas(instance.betas)?;
        let (covariance, rounding) = covariance(&instance.spread)?;
        let mut variances = data_variances(&covariance)?;
        variances.iter_mut().for_each(|variance| variance.error += rounding);
        let latents = instance.latents.min(variances.len());
        let norm = |beta: f64| -> Enclosure {
            let directions = optimum(&variances, latents, beta, instance.likelihood_variance, trial);
            directions.iter().map(|direction| direction.encoder.squared()).sum::<Enclosure>().sqrt()
        };
        let (first, second) = (norm(instance.betas.0), norm(instance.betas.1));
        let line = format!(
            "rows of B = {}, {latents} latents, s² = {}: ‖J‖_F = {:.4} at β = {}, {:.4} at β = {}",
            instance.spread.iter().map(|row| show(row)).collect::<Vec<_>>().join("; "),
            instance.likelihood_variance,
            first.value,
            instance.betas.0,
            second.value,
            instance.betas.1
        );
        let numbers = [("‖J‖_F at the smaller β", first), ("‖J‖_F at the larger β", second)];
        Ok(Judgement::new(at_most(second, first), line, &numbers))
    }
}

/// Data variances along the axes, a linear VAE, s² and β. The rival lies on the way from the closed form to that VAE, by
/// `share` of it, so that the optimum is also probed closely.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rival {
    data_variances: Vec<f64>,
    latents: Vec<Latent>,
    likelihood_variance: f64,
    beta: f64,
    share: f64,
}

/// No linear VAE has a larger objective than the closed form.
pub(super) struct Optimum;

impl Experiment for Optimum {
    type Instance = Rival;

    fn instances(&self) -> BoxedStrategy<Rival> {
        let latent = (grid::vector(LARGEST), grid::positive(), grid::vector(LARGEST))
            .prop_map(|(encoder, std, decoder)| Latent { encoder, std, decoder });
        let variances = prop::collection::vec(grid::positive(), 1..=LARGEST);
        let latents = prop::collection::vec(latent, 1..=LARGEST);
        let share = grid::one_of(&[1.0, 0.125, 0.015_625]);
        (variances, latents, grid::positive(), grid::positive(), share)
            .prop_map(|(data_variances, mut latents, likelihood_variance, beta, share)| {
                latents.truncate(data_variances.len());
                for latent in &mut latents {
                    latent.encoder.truncate(data_variances.len());
                    latent.decoder.truncate(data_variances.len());
                }
                Rival { data_variances, latents, likelihood_variance, beta, share }
            })
            .boxed()
    }

    fn judge(&self, instance: &Rival, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        instance.check()?;
        let mut variances: Vec<Enclosure> = instance.data_variances.iter().copied().map(Enclosure::exact).collect();
        variances.sort_by(|a, b| b.value.total_cmp(&a.value));
        let beta = instance.beta;
        let best = optimum(&variances, instance.latents.len(), beta, instance.likelihood_variance, trial);
        let rival = instance.on_the_way(&best).objective();
        let best = instance.objective_at_optimum(&variances, &best);
        let line = format!(
            "data variances {}, s² = {}, β = {beta}: L = {:.6} by {} of the way to {}, {:.6} for the closed form",
            show(&instance.data_variances),
            instance.likelihood_variance,
            rival.value,
            instance.share,
            show_latents(&instance.latents),
            best.value
        );
        Ok(Judgement::new(at_most(rival, best), line, &[("L_β of the rival", rival), ("L_β of the closed form", best)]))
    }
}

impl Rival {
    fn check(&self) -> Result<(), Obstacle> {
        check_variance(self.likelihood_variance)?;
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(Obstacle(format!("the share of the way is {}, expected above 0, at most 1", self.share)));
        }
        check_beta(self.beta)?;
        let inputs = self.data_variances.len();
        vector("the data variances", &self.data_variances, inputs)?;
        if self.data_variances.iter().any(|variance| *variance <= 0.0) || self.latents.len() > inputs {
            return Err(Obstacle("data variances must be above 0, and at least as many as latents".to_owned()));
        }
        for latent in &self.latents {
            vector("the encoder", &latent.encoder, inputs)?;
            vector("the decoder", &latent.decoder, inputs)?;
            check_variance(latent.std)?;
        }
        Ok(())
    }

    /// The rival whose numbers lie `share` of the way from the closed form's, as doubles, to those drawn.
    fn on_the_way(&self, best: &[Direction]) -> Self {
        let mut axes: Vec<usize> = (0..self.data_variances.len()).collect();
        axes.sort_by(|&a, &b| self.data_variances[b].total_cmp(&self.data_variances[a]));
        let blend = |drawn: f64, best: f64| best + self.share * (drawn - best);
        let latent = |((drawn, best), axis): ((&Latent, &Direction), &usize)| {
            let along = |entries: &[f64], best: f64| -> Vec<f64> {
                let entries = entries.iter().enumerate();
                entries.map(|(i, entry)| blend(*entry, if i == *axis { best } else { 0.0 })).collect()
            };
            Latent {
                encoder: along(&drawn.encoder, best.encoder.value),
                std: blend(drawn.std, best.variance.value.sqrt()),
                decoder: along(&drawn.decoder, best.decoder.value),
            }
        };
        let latents = self.latents.iter().zip(best).zip(&axes).map(latent).collect();
        Self { latents, ..self.clone() }
    }

    /// −(d_x/2) ln(2πs²) − E‖x − WAx − WSη‖²/(2s²) − (β/2)(E‖Ax‖² + Σσ² − d_z − Σ ln σ²).
    fn objective_of(&self, error: Enclosure, code: Enclosure, variances: &[Enclosure]) -> Enclosure {
        let s = Enclosure::exact(self.likelihood_variance);
        let constant = (TAU * s).ln() * (0.5 * self.data_variances.len() as f64);
        let spread: Enclosure = variances.iter().map(|variance| *variance - 1.0 - variance.ln()).sum();
        -constant - error / (s * 2.0) - (code + spread) * (0.5 * self.beta)
    }

    fn objective(&self) -> Enclosure {
        let inputs = self.data_variances.len();
        let (mut error, mut code) = (Enclosure::exact(0.0), Enclosure::exact(0.0));
        for (input, variance) in self.data_variances.iter().enumerate() {
            for output in 0..inputs {
                // Row `output`, column `input` of I − WA.
                let product: Enclosure = (self.latents.iter())
                    .map(|latent| Enclosure::exact(latent.decoder[output]) * latent.encoder[input])
                    .sum();
                let entry = -product + if input == output { 1.0 } else { 0.0 };
                error = error + entry.squared() * *variance;
            }
            let gains: Enclosure =
                self.latents.iter().map(|latent| Enclosure::exact(latent.encoder[input]).squared()).sum();
            code = code + gains * *variance;
        }
        let variances: Vec<Enclosure> =
            self.latents.iter().map(|latent| Enclosure::exact(latent.std).squared()).collect();
        for (latent, variance) in self.latents.iter().zip(&variances) {
            let size: Enclosure = latent.decoder.iter().map(|w| Enclosure::exact(*w).squared()).sum();
            error = error + size * *variance;
        }
        self.objective_of(error, code, &variances)
    }

    /// With W and A diagonal, the error of each direction is (1 − wa)²γ + w²σ².
    fn objective_at_optimum(&self, data_variances: &[Enclosure], directions: &[Direction]) -> Enclosure {
        let kept = directions.len();
        let rest: Enclosure = data_variances.iter().skip(kept).copied().sum();
        let (mut error, mut code) = (rest, Enclosure::exact(0.0));
        for (direction, data) in directions.iter().zip(data_variances) {
            let left = -(direction.decoder * direction.encoder) + 1.0;
            error = error + left.squared() * *data + direction.decoder.squared() * direction.variance;
            code = code + direction.encoder.squared() * *data;
        }
        let variances: Vec<Enclosure> = directions.iter().map(|direction| direction.variance).collect();
        self.objective_of(error, code, &variances)
    }
}
