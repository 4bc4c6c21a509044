//! Proposition 1: how large r must be without any perturbation, to first order in σ.
//!
//! With J_g = ∂g/∂z at μ(x) the unperturbed damage is Δ(x, 0) ≈ J_gSη, so ‖Δ‖₂² ≈ Q = Σλᵢηᵢ², a sum of Gamma(1/2, 2λᵢ)
//! variables, λ the eigenvalues of Σ = J_gS²J_gᵀ. Those that are not 0 are eigenvalues of the d_z × d_z matrix
//! S·J_gᵀJ_g·S; Σ itself, of rank at most d_z, is never formed.
//!
//! The paper says that P(‖Δ‖ ≤ r) > 1/2 *needs* r > √(2 Tr Σ). Its proof is Markov's inequality, which makes that radius
//! *sufficient*; with one eigenvalue √(0.4549·Tr Σ) already suffices. With n eigenvalues that are not 0 the median of Q
//! lies between 0.4549·Tr Σ and Tr Σ·median(χ²ₙ)/n < Tr Σ, and both ends are attained.

use super::{check_std, BoundError};
use crate::linalg::positive_eigenvalues;
use crate::quantity::{Estimate, Probability, Radius};
use crate::stats::quadratic_form::QuadraticForm;
use crate::stats::Enclosure;
use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The distribution of ‖J_gSη‖₂, the unperturbed damage to first order in σ.
#[derive(Debug, Clone)]
pub struct FirstOrderDamage {
    /// S·J_gᵀJ_g·S, `[d_z, d_z]`, output units squared.
    scaled_gram: DMatrix<f64>,
    /// λ, largest first, `[d_z]`, output units squared.
    eigenvalues: Vec<f64>,
    /// Q; none where Σ = 0 and the damage is 0.
    form: Option<QuadraticForm>,
}

/// What Proposition 1 says at one input and what is true of the same Q, as radii in output units.
///
/// All are estimates: the decoder is taken for its tangent, and its derivatives are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposition1 {
    /// Tr Σ = E Q, output units squared.
    pub trace: Estimate,
    /// Tr Σ/‖Σ‖₂, between 1 and the rank; 0 where Σ = 0.
    pub effective_rank: Estimate,
    /// √(Tr Σ/(1 − m)): the radius that the paper calls necessary at m = 1/2, √(2 Tr Σ). It is sufficient (Markov).
    pub printed: Estimate,
    /// √(Tr Σ), which is sufficient for m ≤ 1/2; none above.
    pub sufficient: Option<Estimate>,
    /// √(Tr Σ·q_m(χ²₁)), below which no spectrum with this trace reaches m; none where that is false (m > 0.683).
    pub envelope_lower: Option<Estimate>,
    /// √(Tr Σ·q_m(χ²ₙ)/n), from which every spectrum with this trace and n eigenvalues reaches m; none where that is
    /// false (m > P(χ²ₙ ≤ n)).
    pub envelope_upper: Option<Estimate>,
    /// r* = √(q_m(Q)): the smallest r with P(‖Δ(x, 0)‖ ≤ r) ≥ m, to first order.
    pub exact: Estimate,
}

impl FirstOrderDamage {
    /// From `decoder_gram` J_gᵀJ_g, `[d_z, d_z]`, and `encoder_std` σ, `[d_z]`.
    ///
    /// # Errors
    /// [`BoundError::StandardDeviation`]; [`BoundError::Shape`] where the two do not fit or are empty;
    /// [`BoundError::Linalg`] where the matrix is not finite, symmetric and positive semidefinite.
    pub fn new(decoder_gram: &DMatrix<f64>, encoder_std: &DVector<f64>) -> Result<Self, BoundError> {
        let latents = decoder_gram.nrows();
        if encoder_std.len() != latents || latents == 0 {
            let (expected, found) = (latents.max(1), encoder_std.len());
            return Err(BoundError::Shape { what: "the encoder's standard deviation", expected, found });
        }
        for (index, &value) in encoder_std.iter().enumerate() {
            check_std(index, value)?;
        }
        let scaled_gram = DMatrix::from_fn(latents, decoder_gram.ncols(), |row, column| {
            encoder_std[row] * decoder_gram[(row, column)] * encoder_std.get(column).copied().unwrap_or(f64::NAN)
        });
        let eigenvalues = positive_eigenvalues(&scaled_gram)?;
        let form = if eigenvalues[0] > 0.0 { Some(QuadraticForm::central(&eigenvalues)?) } else { None };
        Ok(Self { scaled_gram, eigenvalues, form })
    }

    /// S·J_gᵀJ_g·S, `[d_z, d_z]`, output units squared: ‖J_gSη‖² = ηᵀ(S·J_gᵀJ_g·S)η.
    #[must_use]
    pub fn scaled_gram(&self) -> &DMatrix<f64> {
        &self.scaled_gram
    }

    /// The eigenvalues of Σ that d_z leaves, largest first, output units squared; rounding counts as 0.
    #[must_use]
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// P(‖J_gSη‖₂ ≤ r), enclosed for the eigenvalues as they are.
    ///
    /// # Errors
    /// [`BoundError::QuadraticForm`] where it is out of reach; [`BoundError::OutOfRange`] where r² is.
    pub fn probability_inside(&self, radius: Radius) -> Result<Enclosure, BoundError> {
        let square = radius.get() * radius.get();
        if !square.is_normal() {
            return Err(BoundError::OutOfRange { what: "the squared radius" });
        }
        match &self.form {
            Some(form) => Ok(form.cdf(square)?),
            None => Ok(Enclosure { value: 1.0, error: 0.0 }),
        }
    }

    /// r*, the smallest r with P(‖J_gSη‖₂ ≤ r) ≥ m for `level` m, output units; 0 where Σ = 0.
    ///
    /// # Errors
    /// [`BoundError::QuadraticForm`] where it is out of reach.
    pub fn radius(&self, level: Probability) -> Result<Estimate, BoundError> {
        let quantile = match &self.form {
            Some(form) => form.quantile(level)?.enclosure.value,
            None => 0.0,
        };
        Ok(Estimate::new(quantile.sqrt())?)
    }

    /// The radii at `level` m.
    ///
    /// # Errors
    /// [`BoundError::QuadraticForm`] where a quantile is out of reach.
    pub fn radii(&self, level: Probability) -> Result<Proposition1, BoundError> {
        let trace: f64 = self.eigenvalues.iter().sum();
        let rank = self.eigenvalues.iter().filter(|eigenvalue| **eigenvalue > 0.0).count();
        let root = |square: f64| Estimate::new(square.sqrt());
        let envelope = |freedom: usize| -> Result<Option<Estimate>, BoundError> {
            let share = share_of_trace(freedom.max(1), level)?;
            Ok(if share <= 1.0 { Some(root(trace * share)?) } else { None })
        };
        let largest = self.eigenvalues[0];
        Ok(Proposition1 {
            trace: Estimate::new(trace)?,
            effective_rank: Estimate::new(if largest > 0.0 { trace / largest } else { 0.0 })?,
            printed: root(trace / (1.0 - level.get()))?,
            sufficient: if level.get() <= 0.5 { Some(root(trace)?) } else { None },
            envelope_lower: envelope(1)?,
            envelope_upper: envelope(rank)?,
            exact: self.radius(level)?,
        })
    }
}

/// q_m(χ²ₙ)/n for n = `freedom`.
fn share_of_trace(freedom: usize, level: Probability) -> Result<f64, BoundError> {
    let equal = QuadraticForm::central(&vec![1.0; freedom])?;
    Ok(equal.quantile(level)?.enclosure.value / freedom as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::LinalgError;
    use crate::testing::seeded;
    use proptest::prelude::*;

    fn damage(gram: &[f64], std: &[f64]) -> Result<FirstOrderDamage, BoundError> {
        FirstOrderDamage::new(&DMatrix::from_row_slice(std.len(), std.len(), gram), &DVector::from_row_slice(std))
    }

    #[test]
    fn one_direction_has_the_radii_of_a_folded_normal() {
        // ‖Δ‖ = |2·0.5·η|, so P(‖Δ‖ ≤ 1) = 0.6827 and the median is Φ⁻¹(0.75) = 0.67449.
        let damage = damage(&[4.0], &[0.5]).unwrap();
        let inside = damage.probability_inside(Radius::new(1.0).unwrap()).unwrap();
        assert!((inside.value - 0.682_689_492_137_085_9).abs() < 1e-14);
        let radii = damage.radii(Probability::HALF).unwrap();
        assert!((radii.exact.get() - 0.674_489_750_196_081_7).abs() < 1e-14);
        assert!((radii.printed.get() - 2f64.sqrt()).abs() < 1e-15);
        assert_eq!(radii.sufficient.unwrap().get(), 1.0);
        assert_eq!((radii.trace.get(), radii.effective_rank.get()), (1.0, 1.0));
        // One eigenvalue attains both ends.
        assert!((radii.envelope_lower.unwrap().get() - radii.exact.get()).abs() < 1e-14);
        assert!((radii.envelope_upper.unwrap().get() - radii.exact.get()).abs() < 1e-14);
    }

    #[test]
    fn the_printed_bound_is_not_necessary() {
        // Two equal eigenvalues 1/2: P(‖Δ‖² ≤ t) = 1 − e^−t, so the median is ln 2, far below 2 Tr Σ = 2.
        let radii = damage(&[1.0, 0.0, 0.0, 0.5], &[0.5f64.sqrt(), 1.0]).unwrap().radii(Probability::HALF).unwrap();
        assert!((radii.exact.get() - 2f64.ln().sqrt()).abs() < 1e-14);
        assert!(radii.exact.get() < radii.sufficient.unwrap().get());
        assert!(radii.sufficient.unwrap().get() < radii.printed.get());
    }

    #[test]
    fn a_decoder_that_ignores_its_code_does_no_damage() {
        let damage = damage(&[0.0; 4], &[1.0, 2.0]).unwrap();
        assert_eq!(damage.probability_inside(Radius::new(1e-9).unwrap()).unwrap().value, 1.0);
        let radii = damage.radii(Probability::HALF).unwrap();
        assert_eq!((radii.exact.get(), radii.printed.get(), radii.effective_rank.get()), (0.0, 0.0, 0.0));
    }

    #[test]
    fn high_levels_leave_out_what_is_false_there() {
        let radii = damage(&[1.0, 0.0, 0.0, 1.0], &[1.0, 1.0]).unwrap().radii(Probability::new(0.9).unwrap()).unwrap();
        assert_eq!((radii.sufficient, radii.envelope_lower, radii.envelope_upper), (None, None, None));
        // −2 ln 0.1 for the exponential distribution, against Markov's 2/0.1.
        assert!((radii.exact.get() - (2.0 * 10f64.ln()).sqrt()).abs() < 1e-14);
        assert!((radii.printed.get() - 20f64.sqrt()).abs() < 1e-13);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(damage(&[1.0], &[0.0]), Err(BoundError::StandardDeviation { index: 0, .. })));
        assert!(matches!(damage(&[f64::NAN], &[1.0]), Err(BoundError::Linalg(LinalgError::NonFinite { .. }))));
        let indefinite = damage(&[0.0, 1.0, 1.0, 0.0], &[1.0, 1.0]);
        assert!(matches!(indefinite, Err(BoundError::Linalg(LinalgError::NotPositive { .. }))));
        let misfit = FirstOrderDamage::new(&DMatrix::zeros(2, 2), &DVector::from_vec(vec![1.0]));
        assert!(matches!(misfit, Err(BoundError::Shape { expected: 2, found: 1, .. })));
        assert!(FirstOrderDamage::new(&DMatrix::zeros(0, 0), &DVector::zeros(0)).is_err());
        let tiny = damage(&[1.0], &[1.0]).unwrap().probability_inside(Radius::new(1e-170).unwrap());
        assert!(matches!(tiny, Err(BoundError::OutOfRange { .. })));
    }

    proptest! {
        #![proptest_config(seeded(60))]

        #[test]
        fn the_radii_are_in_the_order_that_theory_gives(
            entries in prop::collection::vec(-1.0..1.0f64, 36),
            std in prop::collection::vec(0.05..1.0f64, 1..6),
        ) {
            let latents = std.len();
            let jacobian = DMatrix::from_column_slice(6, latents, &entries[..6 * latents]);
            let damage = FirstOrderDamage::new(&(jacobian.transpose() * jacobian), &DVector::from_vec(std)).unwrap();
            let radii = damage.radii(Probability::HALF).unwrap();
            let ordered = [
                radii.envelope_lower.unwrap(),
                radii.exact,
                radii.envelope_upper.unwrap(),
                radii.sufficient.unwrap(),
                radii.printed,
            ];
            prop_assert!(ordered.windows(2).all(|pair| pair[0].get() <= pair[1].get() * (1.0 + 1e-12)), "{ordered:?}");
            let factor = radii.printed.get() / radii.exact.get();
            prop_assert!(factor > 1.414 && factor < 2.097, "{factor}");
            let half = damage.probability_inside(Radius::new(radii.exact.get()).unwrap()).unwrap();
            prop_assert!((half.value - 0.5).abs() < 1e-12);
        }
    }
}
