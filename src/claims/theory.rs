//! The formulas on trial, in one place, so that a test can put a wrong one in and see which claim notices.

use nalgebra::{DMatrix, DVector};

use crate::bounds::{first_order_ladder, BoundError, LadderOutcome};
use crate::certificate::NetworkEvidence;
use crate::linalg::{spectral_norm_enclosure, LinalgError};
use crate::quantity::{LowerBound, Probability};
use crate::sensitivity::scalings::{find_scalings, Rounds};
use crate::sensitivity::slope_interval::{ReachError, SlopeInterval};
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

    /// V with ‖M(f(x + δ) − f(x))‖ ≤ V for ‖δ‖ ≤ `norm`: the slope-interval bound of a network f with `outputs` outputs
    /// at x, M scaling them.
    ///
    /// # Errors
    /// As [`SlopeInterval::reach`].
    fn output_reach(&self, problem: &SlopeInterval<'_>, outputs: usize, norm: f64) -> Result<f64, ReachError> {
        let rounds = Rounds { output: 12, hidden: 6 };
        let ones = DVector::from_element(outputs, 1.0);
        let (_, reach) = find_scalings(problem, norm, &NetworkEvidence::default(), &ones, rounds)?;
        Ok(reach.norm)
    }

    /// A bound of the total variation between N(m, S²) and N(m, T²), S and T diagonal, from Π 1/cosh(log(t_i/s_i)): the
    /// square of their affinity.
    fn spread_variation(&self, squared_affinity: Enclosure) -> Enclosure {
        (Enclosure::exact(1.0) - squared_affinity).sqrt()
    }

    /// E‖Δ‖² for Δ Gaussian, from the trace of its covariance and the squared norm of its mean.
    fn mean_square(&self, trace: Enclosure, squared_mean: Enclosure) -> Enclosure {
        trace + squared_mean
    }
}

/// The theory as it stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stated;

impl Theory for Stated {}
