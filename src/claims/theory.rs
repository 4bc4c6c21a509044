//! The formulas on trial, in one place, so that a test can put a wrong one in and see which claim notices.

use nalgebra::{DMatrix, DVector};

use crate::bounds::{first_order_ladder, BoundError, LadderOutcome};
use crate::linalg::{spectral_norm_enclosure, LinalgError};
use crate::quantity::{LowerBound, Probability};
use crate::stats::normal::quantile;
use crate::stats::Enclosure;

/// What the claims take from the theory. Every method's default is what the rest of the program uses.
pub trait Theory: Sync {
    /// The radii `theorem1`, `operator` and `whitened` for an encoder Jacobian `[d_z, d_x]` and σ `[d_z]`.
    ///
    /// # Errors
    /// As [`first_order_ladder`].
    fn ladder(
        &self,
        encoder_jacobian: &DMatrix<f64>,
        encoder_std: &DVector<f64>,
        probability_lower: LowerBound,
        level: Probability,
    ) -> Result<LadderOutcome, BoundError> {
        first_order_ladder(encoder_jacobian, encoder_std, probability_lower, level)
    }

    /// ‖J‖₂, the smallest constant with ‖Jδ‖ ≤ ‖J‖₂‖δ‖.
    ///
    /// # Errors
    /// As [`spectral_norm_enclosure`].
    fn operator_norm(&self, matrix: &DMatrix<f64>) -> Result<Enclosure, LinalgError> {
        spectral_norm_enclosure(matrix)
    }

    /// The radius within which nothing is dropped, from the smallest distance of a kink.
    fn linear_region(&self, nearest_kink: f64) -> f64 {
        nearest_kink
    }

    /// The scale of the Gamma variable (of shape 1/2) that an eigenvalue λ of Σ contributes to ‖Δ‖²: 2λ.
    fn gamma_scale(&self, eigenvalue: f64) -> f64 {
        2.0 * eigenvalue
    }

    /// r²/Tr Σ that suffices for P(‖Δ(x, 0)‖ ≤ r) > 1/2 in the amended Proposition 1.
    fn sufficient_share(&self) -> f64 {
        1.0
    }

    /// The largest share of Tr Σ that never exceeds the median: that of one eigenvalue, Φ⁻¹(3/4)² = 0.4549….
    fn necessary_share(&self) -> Enclosure {
        let quartile = quantile(0.75);
        Enclosure { value: quartile, error: 2e-15 }.squared()
    }

    /// The power of the likelihood in the tempered posterior q* ∝ p(z)·p(x|z)^(1/β).
    fn likelihood_exponent(&self, beta: f64) -> Enclosure {
        Enclosure::exact(1.0) / beta
    }

    /// The noise of the probabilistic principal components to which a linear β-VAE is equivalent: βs².
    fn equivalent_noise(&self, beta: f64, likelihood_variance: f64) -> Enclosure {
        Enclosure::exact(beta) * likelihood_variance
    }

    /// A bound of the density of a standard normal variable, times 2: P(|N| ≤ t) ≤ √(2/π)·t.
    fn interval_slope(&self) -> f64 {
        0.797_884_560_802_865_5
    }
}

/// The theory as it stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stated;

impl Theory for Stated {}
