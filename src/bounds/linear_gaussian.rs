//! The exact margin of a linear-Gaussian VAE with one latent coordinate.
//!
//! With μ(x) = a·x + a₀, constant σ and g(z) = wz + b the damage is ‖Δ‖₂ = ‖w‖·|a·δ + ση|, so with half-width
//! t = r/(‖w‖σ) and shift u = |a·δ|/σ
//!
//! P(‖Δ‖₂ ≤ r) = P(u) = Φ(t − u) − Φ(−t − u),
//!
//! which falls as u grows (Anderson, 1955). The margin is R = u*σ/‖a‖₂ with P(u*) = m, along a. Both threats
//! agree because σ does not depend on the input.

use super::shifted_normal::{boundary, certainly_above, certainly_not_above, probability_inside, ProbabilityInside};
use super::{check_level, check_std, BoundError};
use crate::linalg::euclidean_norm;
use crate::quantity::{Estimate, LowerBound, Probability, Radius, UpperBound};
use nalgebra::DVector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Half-widths and shifts beyond this, and half-widths below its inverse, are refused.
const LARGEST_RATIO: f64 = 1e150;

/// Two numbers that enclose the exact margin, in input units (L2).
///
/// Their distance is the numerical error: 1e-12 relative as a rule, more where P is nearly flat at the margin
/// (P(0) hardly above m). Both are infinite where nothing fails, both 0 where no perturbation is needed to fail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExactMargin {
    /// Not above the margin.
    pub lower: LowerBound,
    /// Not below the margin.
    pub upper: UpperBound,
}

impl ExactMargin {
    /// A value between the two.
    ///
    /// # Errors
    /// [`BoundError::Quantity`] where the two were set to something that has no middle.
    pub fn midpoint(&self) -> Result<Estimate, BoundError> {
        let (lower, upper) = (self.lower.get(), self.upper.get());
        Ok(Estimate::new(if lower.is_infinite() { lower } else { lower + 0.5 * (upper - lower) })?)
    }
}

/// P(‖Δ‖₂ ≤ r) at a `perturbation` δ, `[d_x]`, for `encoder_gain` a, `[d_x]`, `encoder_std` σ and `decoder_gain`
/// w, `[d_x]`. With w = 0 it is 1.
///
/// Relative error for t and u as computed: [`PROBABILITY_RELATIVE_ERROR`](super::PROBABILITY_RELATIVE_ERROR).
/// Rounding in a·δ and in the norms comes on top.
///
/// # Errors
/// [`BoundError::StandardDeviation`]; [`BoundError::Shape`] where a and δ differ in length;
/// [`BoundError::Linalg`] for entries that are not finite; [`BoundError::OutOfRange`] where t or u is beyond 1e150
/// or t below 1e-150.
pub fn one_dimensional_probability(
    encoder_gain: &DVector<f64>,
    encoder_std: f64,
    decoder_gain: &DVector<f64>,
    radius: Radius,
    perturbation: &DVector<f64>,
) -> Result<ProbabilityInside, BoundError> {
    check_std(0, encoder_std)?;
    if perturbation.len() != encoder_gain.len() {
        let (expected, found) = (encoder_gain.len(), perturbation.len());
        return Err(BoundError::Shape { what: "the perturbation", expected, found });
    }
    euclidean_norm(encoder_gain)?;
    euclidean_norm(perturbation)?;
    let Some(half_width) = half_width(encoder_std, decoder_gain, radius)? else {
        return Ok(ProbabilityInside { inside: 1.0, outside: 0.0 });
    };
    let shift = (encoder_gain.dot(perturbation) / encoder_std).abs();
    if shift.is_nan() || shift > LARGEST_RATIO {
        return Err(BoundError::OutOfRange { what: "the latent shift in standard deviations" });
    }
    Ok(probability_inside(half_width, shift))
}

/// The margin R = inf{‖δ‖₂ : P ≤ m} for `encoder_gain` a, `[d_x]`, `encoder_std` σ, `decoder_gain` w, `[d_x]`,
/// `radius` r and `level` m, enclosed in two bounds.
///
/// R = u*σ/‖a‖₂ with P(u*) = m; 0 where P(0) ≤ m; infinite where a = 0 (the input does not reach the latent
/// coordinate) or w = 0 (the latent coordinate does not reach the output). u* is bracketed by bisection, each end
/// judged with the errors of P, of t and of the norms counted against it. Those of P are measured, not proved.
///
/// # Errors
/// [`BoundError::StandardDeviation`]; [`BoundError::Linalg`] for entries that are not finite;
/// [`BoundError::OutOfRange`] where t or σ/‖a‖ leaves [1e-150, 1e150] or the level is below 1e-300.
pub fn one_dimensional_margin(
    encoder_gain: &DVector<f64>,
    encoder_std: f64,
    decoder_gain: &DVector<f64>,
    radius: Radius,
    level: Probability,
) -> Result<ExactMargin, BoundError> {
    check_std(0, encoder_std)?;
    let gain = euclidean_norm(encoder_gain)?;
    check_level(level)?;
    let Some(half_width) = half_width(encoder_std, decoder_gain, radius)? else {
        return enclosure(f64::INFINITY, f64::INFINITY);
    };
    let error = norm_error(decoder_gain);
    let keeps = |shift: f64| certainly_above(level, probability_inside(half_width * (1.0 - error), shift));
    let may_keep = |shift: f64| !certainly_not_above(level, probability_inside(half_width * (1.0 + error), shift));
    if gain <= 0.0 {
        let margin = |kept: bool| if kept { f64::INFINITY } else { 0.0 };
        return enclosure(margin(keeps(0.0)), margin(may_keep(0.0)));
    }
    let unit = in_range(encoder_std / gain, "the ratio of the encoder's standard deviation and gain")?;
    let error = norm_error(encoder_gain);
    let beyond = half_width + 1.0;
    let (lower, _) = boundary(beyond, keeps);
    let (_, upper) = boundary(beyond, may_keep);
    enclosure(lower * (unit * (1.0 - error)), upper * (unit * (1.0 + error)))
}

fn enclosure(lower: f64, upper: f64) -> Result<ExactMargin, BoundError> {
    Ok(ExactMargin { lower: LowerBound::new(lower)?, upper: UpperBound::new(upper)? })
}

/// t = r/(‖w‖σ), within [`norm_error`] of w; `None` for w = 0.
fn half_width(encoder_std: f64, decoder_gain: &DVector<f64>, radius: Radius) -> Result<Option<f64>, BoundError> {
    let gain = euclidean_norm(decoder_gain)?;
    if gain <= 0.0 {
        return Ok(None);
    }
    let what = "the ratio of the radius and the output's standard deviation";
    let latent = radius.get() / gain;
    if !latent.is_normal() {
        return Err(BoundError::OutOfRange { what });
    }
    in_range(latent / encoder_std, what).map(Some)
}

fn in_range(ratio: f64, what: &'static str) -> Result<f64, BoundError> {
    if (1.0 / LARGEST_RATIO..=LARGEST_RATIO).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(BoundError::OutOfRange { what })
    }
}

/// A bound on the relative error of a quotient by the norm of `vector` with a few roundings more.
fn norm_error(vector: &DVector<f64>) -> f64 {
    (vector.len() as f64 + 10.0) * f64::EPSILON
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::{first_order_ladder, LadderOutcome};
    use crate::linalg::LinalgError;
    use crate::testing::seeded;
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    #[derive(Deserialize)]
    struct Reference {
        margin: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        half_width: f64,
        level: f64,
        shift: String,
    }
    fn vector(entries: &[f64]) -> DVector<f64> {
        DVector::from_column_slice(entries)
    }
    fn margin(a: &[f64], std: f64, w: &[f64], r: f64, m: f64) -> ExactMargin {
        let (radius, level) = (Radius::new(r).unwrap(), Probability::new(m).unwrap());
        one_dimensional_margin(&vector(a), std, &vector(w), radius, level).unwrap()
    }
    fn close(found: f64, truth: f64, relative: f64) -> bool {
        (found - truth).abs() <= relative * truth.abs()
    }

    #[test]
    fn margins_enclose_those_of_sixty_digit_arithmetic() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../fixtures/reference/linear_gaussian.json")).unwrap();
        assert!(reference.margin.len() > 10);
        for case in reference.margin {
            let t = case.half_width;
            let truth: f64 = case.shift.parse().unwrap();
            let found = margin(&[1.0], 1.0, &[1.0], t, case.level);
            let (lower, upper) = (found.lower.get(), found.upper.get());
            assert!(lower <= truth && truth <= upper, "t = {t}: {truth} outside [{lower}, {upper}]");
            // P is nearly flat where the margin is small; everywhere else the enclosure is tight.
            let allowed = if truth < 0.1 { 1e-7 } else { 1e-11 };
            assert!(upper - lower <= allowed * truth, "t = {t}: {:e} wide around {truth}", upper - lower);
        }
    }

    #[test]
    fn a_wide_ball_is_left_where_the_shift_equals_its_half_width() {
        // For large t the far side is out of reach and P(u) = Φ(t − u) = 1/2 at u = t. Here ‖a‖ = 5, ‖w‖ = 13.
        let found = margin(&[3.0, 4.0], 0.5, &[5.0, 12.0], 650.0, 0.5).midpoint().unwrap().get();
        assert!(close(found, 100.0 * 0.5 / 5.0, 1e-12), "{found}");
    }

    #[test]
    fn the_margin_is_zero_without_enough_probability_and_infinite_without_a_path() {
        let zero = margin(&[1.0], 1.0, &[1.0], 0.1, 0.5);
        assert!(zero.upper.get() <= 0.0 && zero.lower.get() <= 0.0);
        for (a, w) in [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)] {
            let found = margin(&[a], 1.0, &[w], 2.0, 0.5);
            assert!(found.lower.get().is_infinite() && found.midpoint().unwrap().get().is_infinite());
        }
        assert!(margin(&[0.0], 1.0, &[1.0], 0.1, 0.5).upper.get() <= 0.0);
    }

    #[test]
    fn inputs_without_a_margin_are_handed_back() {
        let one = vector(&[1.0]);
        let (radius, level) = (Radius::new(1.0).unwrap(), Probability::HALF);
        let error = one_dimensional_margin(&one, -1.0, &one, radius, level).unwrap_err();
        assert_eq!(error, BoundError::StandardDeviation { index: 0, value: -1.0 });
        let error = one_dimensional_margin(&one, 1.0, &vector(&[f64::NAN]), radius, level).unwrap_err();
        assert!(matches!(error, BoundError::Linalg(LinalgError::NonFinite { row: 0, column: 0, .. })));
        let error = one_dimensional_margin(&one, 1e-200, &one, radius, level).unwrap_err();
        assert!(matches!(error, BoundError::OutOfRange { .. }));
        let error = one_dimensional_probability(&one, 1.0, &one, radius, &vector(&[1.0, 2.0])).unwrap_err();
        assert_eq!(error, BoundError::Shape { what: "the perturbation", expected: 1, found: 2 });
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_ladder_lies_below_the_exact_margin(
            a in prop::collection::vec(-2.0..2.0f64, 1..5), std in 0.05..2.0f64, t in 0.7..6.0f64, m in 0.05..0.5f64,
        ) {
            let (radius, level) = (Radius::new(t * std).unwrap(), Probability::new(m).unwrap());
            let (a, w) = (vector(&a), vector(&[1.0]));
            let p = one_dimensional_probability(&a, std, &w, radius, &(0.0 * &a)).unwrap().inside;
            let p = LowerBound::new(p * (1.0 - 1e-14)).unwrap();
            let exact = one_dimensional_margin(&a, std, &w, radius, level).unwrap().upper.get();
            let jacobian = DMatrix::from_row_slice(1, a.len(), a.as_slice());
            match first_order_ladder(&jacobian, &vector(&[std]), p, level).unwrap() {
                LadderOutcome::Ladder(ladder) => prop_assert!(ladder.whitened.get() <= exact * (1.0 + 1e-12)),
                LadderOutcome::Abstained { .. } => prop_assert!(false, "P(0) > 1/2 for every t above 0.6745"),
            }
        }

        #[test]
        fn at_the_margin_the_probability_is_the_level_and_it_falls_along_the_ray(
            a in prop::collection::vec(0.1..2.0f64, 1..5), std in 0.05..2.0f64, t in 0.8..6.0f64,
        ) {
            let radius = Radius::new(t * std).unwrap();
            let (a, w) = (vector(&a), vector(&[0.6, 0.8]));
            let exact = one_dimensional_margin(&a, std, &w, radius, Probability::HALF).unwrap();
            let along = |length: f64| {
                one_dimensional_probability(&a, std, &w, radius, &(a.normalize() * length)).unwrap()
            };
            let middle = exact.midpoint().unwrap().get();
            let there = along(middle);
            prop_assert!((there.inside - 0.5).abs() < 1e-11 && (there.inside + there.outside - 1.0).abs() < 1e-15);
            prop_assert!(along(0.9 * middle).inside > 0.5 && along(1.1 * middle).inside < 0.5);
        }

        #[test]
        fn a_margin_scales_with_the_unit_of_the_input(t in 0.8..6.0f64, unit in 1e-3..1e3f64) {
            let base = margin(&[1.0], 1.0, &[1.0], t, 0.5).midpoint().unwrap().get();
            let scaled = margin(&[unit], 1.0, &[1.0], t, 0.5).midpoint().unwrap().get();
            prop_assert!(close(scaled * unit, base, 1e-11));
        }
    }
}
