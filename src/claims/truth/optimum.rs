//! The linear β-VAE with the largest objective, from the covariance of the data: probabilistic principal components with
//! noise βs² (`proofs/S5-optimum.md`).
//!
//! A kept direction of data variance γ > βs² has singular value √(γ − βs²) in W, encoder gain √(γ − βs²)/γ and posterior
//! variance βs²/γ; a collapsed one has W = 0, gain 0 and the prior's variance 1.

use nalgebra::{DMatrix, DVector};

use crate::bounds::FirstOrderDamage;
use crate::claims::claim::{Obstacle, Trial};
use crate::linalg::eigenvalue_enclosures;
use crate::quantity::Probability;
use crate::stats::quadratic_form::QuadraticForm;
use crate::stats::Enclosure;

/// One latent coordinate of the optimum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Direction {
    /// Singular value of W.
    pub(crate) decoder: Enclosure,
    /// Singular value of A.
    pub(crate) encoder: Enclosure,
    /// σ².
    pub(crate) variance: Enclosure,
}

/// The optimum for the `latents` largest `data_variances` γ, sorted from the largest.
pub(crate) fn optimum(
    data_variances: &[Enclosure],
    latents: usize,
    beta: f64,
    likelihood_variance: f64,
    trial: &Trial<'_>,
) -> Vec<Direction> {
    let noise = trial.theory.equivalent_noise(beta, likelihood_variance);
    let zero = Enclosure::exact(0.0);
    let clipped = |ratio: Enclosure| match (ratio.lower(), ratio.upper()) {
        (lower, upper) if lower.is_nan() || upper.is_nan() => Enclosure::UNKNOWN,
        (lower, upper) => Enclosure::between(lower.min(1.0), upper.min(1.0)),
    };
    let direction = |i: usize| match data_variances.get(i) {
        Some(variance) if variance.upper().is_nan() || noise.lower().is_nan() => {
            Direction { decoder: Enclosure::UNKNOWN, encoder: Enclosure::UNKNOWN, variance: Enclosure::UNKNOWN }
        }
        Some(&variance) if variance.upper() > noise.lower() => {
            // Where rounding hides whether it collapses, both are enclosed: the root goes to 0 there.
            let excess = (variance - noise).max(zero).sqrt();
            let ratio = noise / variance;
            Direction { decoder: excess, encoder: excess / variance, variance: clipped(ratio) }
        }
        _ => Direction { decoder: zero, encoder: zero, variance: Enclosure::exact(1.0) },
    };
    (0..latents).map(direction).collect()
}

/// The variances γ of data with `covariance`, largest first.
pub(crate) fn data_variances(covariance: &DMatrix<f64>) -> Result<Vec<Enclosure>, Obstacle> {
    Ok(eigenvalue_enclosures(covariance)?)
}

/// r*, the smallest r with P(‖Δ(x, 0)‖ ≤ r) ≥ 1/2, at the optimum; 0 where every direction collapses.
pub(crate) fn minimum_radius(directions: &[Direction]) -> Result<Enclosure, Obstacle> {
    let products: Vec<Enclosure> =
        directions.iter().map(|direction| direction.decoder.squared() * direction.variance).collect();
    // Q grows with every λ, so the median at the λ's ends encloses it.
    let median = |end: fn(&Enclosure) -> f64| -> Result<Enclosure, Obstacle> {
        let eigenvalues: Vec<f64> = products.iter().map(|product| end(product).max(0.0)).collect();
        if eigenvalues.iter().all(|eigenvalue| *eigenvalue <= 0.0) {
            return Ok(Enclosure::exact(0.0));
        }
        Ok(QuadraticForm::central(&eigenvalues)?.quantile(Probability::HALF)?.enclosure)
    };
    let (low, high) = (median(Enclosure::lower)?, median(Enclosure::upper)?);
    // What the rest of the program computes from W and σ must agree.
    let gram = DMatrix::from_diagonal(&DVector::from_iterator(
        directions.len(),
        directions.iter().map(|direction| direction.decoder.squared().value),
    ));
    let std = DVector::from_iterator(directions.len(), directions.iter().map(|d| d.variance.value.sqrt()));
    let program = FirstOrderDamage::new(&gram, &std)?.radius(Probability::HALF)?.get();
    let radius = Enclosure::between(low.lower().max(0.0), high.upper()).sqrt();
    if (program - radius.value).abs() > radius.error + 1e-9 * program {
        return Err(Obstacle(format!("r* is {} from the spectrum and {program} from W and σ", radius.value)));
    }
    Ok(radius)
}
