//! Perturbed inputs, how they are kept inside a ball and a box, and how their size is measured.
//!
//! What a network sees is the single-precision vector x + δ. The perturbation is therefore *defined* as the difference
//! of the two stored vectors, and its norm is taken of that, after the last projection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::UpperBound;

/// The range of every coordinate of a perturbed input, e.g. [0, 1] for pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PixelBox {
    /// Smallest value.
    pub low: f32,
    /// Largest value.
    pub high: f32,
}

/// ‖δ‖₂ ≤ `norm`, and x + δ inside the box where there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constraint {
    /// Largest L2 norm, in input units.
    pub norm: f64,
    /// Optional range of the coordinates.
    pub pixel_box: Option<PixelBox>,
}

/// A perturbed input x + δ as the network sees it, with the norm of δ.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackedInput {
    values: Vec<f32>,
    norm: UpperBound,
}

/// Relative room left inside the ball so that rounding x + δ to single precision seldom leaves it.
const SINGLE_PRECISION_ROOM: f64 = 1e-7;

impl PixelBox {
    /// The first coordinate of `input` outside the box, with its value.
    #[must_use]
    pub fn first_outside(&self, input: &[f32]) -> Option<(usize, f32)> {
        input.iter().copied().enumerate().find(|(_, value)| !(self.low..=self.high).contains(value))
    }
}

impl AttackedInput {
    /// x + δ for δ = `perturbation`, brought inside the constraint and rounded to single precision. Where there is a box,
    /// x must lie in it.
    #[must_use]
    pub fn new(input: &[f32], perturbation: &[f32], constraint: Constraint) -> Self {
        let mut perturbation = perturbation.to_vec();
        project(&mut perturbation, input, constraint);
        let inside = |value: f32| match constraint.pixel_box {
            Some(PixelBox { low, high }) => value.clamp(low, high),
            None => value,
        };
        let values: Vec<f32> = input.iter().zip(&perturbation).map(|(x, d)| inside(x + d)).collect();
        Self::from_values(input, values)
    }

    /// A perturbed input read from elsewhere; the norm is measured anew.
    #[must_use]
    pub fn from_values(input: &[f32], values: Vec<f32>) -> Self {
        let norm = norm_upper(input, &values);
        Self { values, norm }
    }

    /// x + δ, d_x values.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// δ = (x + δ) − x, exact differences of the stored vectors up to double rounding.
    #[must_use]
    pub fn perturbation(&self, input: &[f32]) -> Vec<f64> {
        self.values.iter().zip(input).map(|(a, x)| f64::from(*a) - f64::from(*x)).collect()
    }

    /// ‖δ‖₂ in input units, rounded up.
    #[must_use]
    pub fn norm(&self) -> UpperBound {
        self.norm
    }
}

/// An upper bound of ‖values − input‖₂: the double-precision norm times 1 + (n + 4)ε, which exceeds the accumulated
/// rounding of n differences, squares and additions and one root. Infinite if anything is not a number.
fn norm_upper(input: &[f32], values: &[f32]) -> UpperBound {
    let sum: f64 = values.iter().zip(input).map(|(a, x)| (f64::from(*a) - f64::from(*x)).powi(2)).sum();
    if sum == 0.0 {
        return UpperBound::ZERO;
    }
    let slack = (input.len() + 4) as f64 * f64::EPSILON;
    UpperBound::new((sum.sqrt() * (1.0 + slack)).next_up()).unwrap_or(UpperBound::INFINITE)
}

/// Moves `perturbation` into the ball, then into the box. The box contains x, so the second step only shortens it.
pub(crate) fn project(perturbation: &mut [f32], input: &[f32], constraint: Constraint) {
    let norm = perturbation.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
    let allowed = constraint.norm * (1.0 - SINGLE_PRECISION_ROOM);
    if norm > allowed {
        let scale = allowed / norm;
        perturbation.iter_mut().for_each(|d| *d = scaled(*d, scale));
    }
    if let Some(PixelBox { low, high }) = constraint.pixel_box {
        for (d, &x) in perturbation.iter_mut().zip(input) {
            *d = d.clamp(low - x, high - x);
        }
    }
}

/// value · scale, computed in double and rounded to single precision.
pub(crate) fn scaled(value: f32, scale: f64) -> f32 {
    // Rounding to nearest is all that is wanted: perturbations are stored in single precision.
    #[allow(clippy::cast_possible_truncation)]
    let rounded = (f64::from(value) * scale) as f32;
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_norm_is_that_of_the_stored_difference() {
        let attacked = AttackedInput::from_values(&[1.0, 1.0], vec![4.0, 5.0]);
        assert_eq!(attacked.perturbation(&[1.0, 1.0]), vec![3.0, 4.0]);
        let norm = attacked.norm().get();
        assert!((5.0..5.0 + 1e-13).contains(&norm));
    }

    #[test]
    fn a_perturbed_input_that_is_not_a_number_has_no_finite_norm() {
        assert!(AttackedInput::from_values(&[0.0], vec![f32::NAN]).norm().get().is_infinite());
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(256))]

        #[test]
        fn perturbed_inputs_stay_in_ball_and_box(
            input in prop::collection::vec(0.0..1.0f32, 6),
            direction in prop::collection::vec(-3.0..3.0f32, 6),
            norm in 0.01..3.0f64,
        ) {
            let pixel_box = Some(PixelBox { low: 0.0, high: 1.0 });
            let attacked = AttackedInput::new(&input, &direction, Constraint { norm, pixel_box });
            // x + δ is rounded once per coordinate, by at most half a unit in the last place of 1.
            let rounding = 6.0_f64.sqrt() * f64::from(f32::EPSILON);
            prop_assert!(attacked.norm().get() <= norm + rounding);
            prop_assert!(attacked.values().iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }
}
