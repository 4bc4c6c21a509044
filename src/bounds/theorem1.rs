//! Theorem 1 of the paper with its O(ε) dropped, and two sharper readings of its proof.
//!
//! Shifting the mean of z ~ N(μ, S²) by d lowers the probability p of any set to no less than
//! Φ(Φ⁻¹(p) − ‖S⁻¹d‖₂) (Neyman–Pearson; Cohen, Rosenfeld & Kolter, ICML 2019). With d = Jδ the level m is kept
//! while ‖S⁻¹Jδ‖₂ < c, c = Φ⁻¹(p) − Φ⁻¹(m). The rungs differ in how they bound ‖S⁻¹J‖₂.

use super::{check_std, BoundError};
use crate::linalg::{frobenius_norm, spectral_norm};
use crate::quantity::{Estimate, LowerBound, Probability};
use crate::stats::normal::quantile;
use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Three estimates, in input units (L2), of how far the input may move under the `mean` threat.
///
/// `theorem1` ≤ `operator` ≤ `whitened`, since ‖S⁻¹J‖₂ ≤ ‖J‖₂/min σ ≤ ‖J‖_F/min σ; rounding may break the order
/// by 1e-13 relative where two of them coincide (rank one, equal σ). None is a certificate: the encoder is
/// taken for its tangent. J = 0 makes all three infinite, which tells of dead units and not of robustness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FirstOrderLadder {
    /// min σ · c/‖J‖_F: Theorem 1 as printed, at any level.
    pub theorem1: Estimate,
    /// min σ · c/‖J‖₂: the same proof with the norm it needs.
    pub operator: Estimate,
    /// c/‖S⁻¹J‖₂: the same proof without separating σ from J.
    pub whitened: Estimate,
}

/// What the first-order argument says about an input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LadderOutcome {
    /// The probability is above the level, and these are the radii.
    Ladder(FirstOrderLadder),
    /// The probability is not known to be above the level (c ≤ 0), so nothing can be said about any radius.
    Abstained {
        /// The lower bound of the probability that was given.
        probability_lower: LowerBound,
        /// The level that it does not exceed.
        level: Probability,
    },
}

/// The first-order radii at an input with `encoder_jacobian` J = ∂μ/∂x, `[d_z, d_x]`, and `encoder_std` σ, `[d_z]`.
///
/// `probability_lower` bounds P(‖Δ(x, 0)‖₂ ≤ r) from below, `level` is m. Numerical error of each radius: about
/// 1e-13 relative, plus 1e-15/c from the difference of quantiles; either sign. A `probability_lower` of 1 gives
/// infinite radii.
///
/// # Errors
/// [`BoundError::Shape`] where J has no rows or σ another length, [`BoundError::StandardDeviation`],
/// [`BoundError::ProbabilityLower`] above 1, and [`BoundError::Linalg`] for entries of J that are not finite.
pub fn first_order_ladder(
    encoder_jacobian: &DMatrix<f64>,
    encoder_std: &DVector<f64>,
    probability_lower: LowerBound,
    level: Probability,
) -> Result<LadderOutcome, BoundError> {
    let latents = encoder_jacobian.nrows();
    if encoder_std.len() != latents || latents == 0 {
        let expected = latents.max(1);
        return Err(BoundError::Shape { what: "the encoder's standard deviation", expected, found: encoder_std.len() });
    }
    for (index, &value) in encoder_std.iter().enumerate() {
        check_std(index, value)?;
    }
    if probability_lower.get() > 1.0 {
        return Err(BoundError::ProbabilityLower(probability_lower.get()));
    }
    let frobenius = frobenius_norm(encoder_jacobian)?;
    let spectral = spectral_norm(encoder_jacobian)?;
    let smallest_std = encoder_std.min();
    // Rows of J by how much larger their σ is than the smallest: at most J itself, so nothing overflows.
    let mut whitened = encoder_jacobian.clone();
    for (mut row, &std) in whitened.row_iter_mut().zip(encoder_std) {
        row *= smallest_std / std;
    }
    let whitened = spectral_norm(&whitened)?;

    let slack = quantile(probability_lower.get()) - quantile(level.get());
    if slack.is_nan() || slack <= 0.0 {
        return Ok(LadderOutcome::Abstained { probability_lower, level });
    }
    let radius = |norm: f64| Estimate::new(if norm > 0.0 { smallest_std / norm * slack } else { f64::INFINITY });
    Ok(LadderOutcome::Ladder(FirstOrderLadder {
        theorem1: radius(frobenius)?,
        operator: radius(spectral)?,
        whitened: radius(whitened)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::LinalgError;
    use crate::seed::{standard_normal, Seed};
    use crate::testing::seeded;
    use proptest::prelude::*;

    fn ladder(jacobian: &DMatrix<f64>, std: &[f64], p: f64, level: f64) -> FirstOrderLadder {
        let std = DVector::from_column_slice(std);
        match first_order_ladder(jacobian, &std, LowerBound::new(p).unwrap(), Probability::new(level).unwrap()) {
            Ok(LadderOutcome::Ladder(ladder)) => ladder,
            other => panic!("{other:?}"),
        }
    }

    fn rungs(ladder: FirstOrderLadder) -> [f64; 3] {
        [ladder.theorem1.get(), ladder.operator.get(), ladder.whitened.get()]
    }

    fn random_jacobian(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let draws: Vec<f32> = standard_normal(&mut Seed(seed).stream("theorem1/test"), rows * columns);
        DMatrix::from_iterator(rows, columns, draws.into_iter().map(f64::from))
    }

    #[test]
    fn a_diagonal_encoder_has_the_ladder_found_by_hand() {
        // c = 1; ‖J‖_F = 5, ‖J‖₂ = 4, min σ = 1/2 and S⁻¹J = diag(6, 2).
        let jacobian = DMatrix::from_diagonal(&DVector::from_column_slice(&[3.0, 4.0]));
        let found = ladder(&jacobian, &[0.5, 2.0], 0.841_344_746_068_542_9, 0.5);
        for (found, truth) in rungs(found).into_iter().zip([0.1, 0.125, 1.0 / 6.0]) {
            assert!((found - truth).abs() < 1e-15, "{found} against {truth}");
        }
    }

    #[test]
    fn other_levels_subtract_their_own_quantile() {
        let jacobian = DMatrix::from_element(1, 1, 1.0);
        // Φ⁻¹(0.99) − Φ⁻¹(0.9), from mpmath.
        assert!((rungs(ladder(&jacobian, &[1.0], 0.99, 0.9))[0] - 1.044_796_308_496_241).abs() < 1e-14);
    }

    #[test]
    fn a_probability_that_is_not_above_the_level_abstains() {
        let (jacobian, std) = (DMatrix::from_element(1, 2, 1.0), DVector::from_element(1, 1.0));
        for p in [0.0, 0.3, 0.5] {
            let probability_lower = LowerBound::new(p).unwrap();
            let found = first_order_ladder(&jacobian, &std, probability_lower, Probability::HALF).unwrap();
            assert_eq!(found, LadderOutcome::Abstained { probability_lower, level: Probability::HALF });
        }
    }

    #[test]
    fn a_dead_encoder_and_a_certain_event_give_infinity() {
        assert!(rungs(ladder(&DMatrix::zeros(2, 3), &[1.0, 1.0], 0.9, 0.5)).iter().all(|rung| rung.is_infinite()));
        assert!(rungs(ladder(&DMatrix::identity(2, 2), &[1.0, 1.0], 1.0, 0.5)).iter().all(|rung| rung.is_infinite()));
    }

    #[test]
    fn inputs_without_a_radius_are_handed_back() {
        let jacobian = DMatrix::from_element(2, 2, 1.0);
        let call = |jacobian: &DMatrix<f64>, std: &[f64], p: f64| {
            let std = DVector::from_column_slice(std);
            first_order_ladder(jacobian, &std, LowerBound::new(p).unwrap(), Probability::HALF).unwrap_err()
        };
        assert_eq!(call(&jacobian, &[1.0, 0.0], 0.9), BoundError::StandardDeviation { index: 1, value: 0.0 });
        assert!(matches!(call(&jacobian, &[f64::NAN, 1.0], 0.9), BoundError::StandardDeviation { index: 0, .. }));
        assert!(matches!(call(&jacobian, &[1.0], 0.9), BoundError::Shape { expected: 2, found: 1, .. }));
        assert!(matches!(call(&DMatrix::zeros(0, 2), &[], 0.9), BoundError::Shape { expected: 1, found: 0, .. }));
        assert_eq!(call(&jacobian, &[1.0, 1.0], 1.5), BoundError::ProbabilityLower(1.5));
        let broken = call(&DMatrix::from_element(2, 2, f64::NAN), &[1.0, 1.0], 0.9);
        assert!(matches!(broken, BoundError::Linalg(LinalgError::NonFinite { .. })));
    }

    #[test]
    fn outcomes_survive_json() {
        let outcome = LadderOutcome::Ladder(ladder(&DMatrix::zeros(1, 1), &[1.0], 0.9, 0.5));
        let text = serde_json::to_string(&outcome).unwrap();
        assert!(text.starts_with(r#"{"ladder":{"theorem1":"infinity""#), "{text}");
        assert_eq!(serde_json::from_str::<LadderOutcome>(&text).unwrap(), outcome);
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_rungs_ascend(
            std in prop::collection::vec(1e-3..10.0f64, 1..8), columns in 1..20usize, seed in 0..1000u64,
            p in 0.501..0.999f64,
        ) {
            let [first, second, third] = rungs(ladder(&random_jacobian(std.len(), columns, seed), &std, p, 0.5));
            prop_assert!(first <= second * (1.0 + 1e-13) && second <= third * (1.0 + 1e-13));
        }

        #[test]
        fn radii_grow_with_sigma_and_shrink_with_the_jacobian(
            std in prop::collection::vec(0.1..2.0f64, 3), seed in 0..1000u64, factor in 1e-3..1e3f64,
        ) {
            let jacobian = random_jacobian(3, 5, seed);
            let base = rungs(ladder(&jacobian, &std, 0.9, 0.5));
            let wider: Vec<f64> = std.iter().map(|std| std * factor).collect();
            let wider = rungs(ladder(&jacobian, &wider, 0.9, 0.5));
            let steeper = rungs(ladder(&(&jacobian * factor), &std, 0.9, 0.5));
            for rung in 0..3 {
                prop_assert!((wider[rung] / base[rung] / factor - 1.0).abs() < 1e-12);
                prop_assert!((steeper[rung] / base[rung] * factor - 1.0).abs() < 1e-12);
            }
        }
    }
}
