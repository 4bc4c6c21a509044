//! The radius r: given, or chosen per input; and the smallest r that an input can bear (the paper's Algorithm 1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::quantity::RadiusRule;
use crate::quantity::{Estimate, LowerBound, Probability, QuantityError, Radius, UpperBound};
use crate::stats::{order_statistic_interval, quantile_rank};

impl RadiusRule {
    /// r for an input. `distances` are draws of ‖Δ(x, 0)‖; an absolute radius needs none.
    ///
    /// # Errors
    /// If the chosen quantile is no radius: 0 (a decoder that ignores its code), NaN, or no draws at all.
    pub fn radius(self, distances: &[f64]) -> Result<Radius, QuantityError> {
        match self {
            Self::Absolute(radius) => Ok(radius),
            Self::Quantile(order) => Radius::new(quantile(distances, order).unwrap_or(f64::NAN)),
        }
    }
}

/// The smallest r with P(‖Δ(x, 0)‖ ≤ r) > m, from draws: an order statistic with its exact binomial interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MinimumRadius {
    /// The order statistic itself, in output units.
    pub estimate: Estimate,
    /// The true quantile is at least this.
    pub lower: LowerBound,
    /// The true quantile is at most this; infinite where the draws are too few to say.
    pub upper: UpperBound,
}

/// Algorithm 1 without its stepping loop: sort once and read the order statistics. Both bounds hold together except
/// with `failure_probability`, and are moved outwards by `tolerance`, the error granted to a distance (output units).
/// Where ‖Δ‖ takes the same value with positive probability they enclose the smallest r with P(‖Δ‖ ≤ r) ≥ m.
///
/// # Errors
/// If there are no draws or one is not a number.
pub fn minimum_radius(
    distances: &[f64],
    level: Probability,
    failure_probability: Probability,
    tolerance: f64,
) -> Result<MinimumRadius, QuantityError> {
    let sorted = sorted(distances).ok_or(QuantityError::Magnitude(f64::NAN))?;
    let interval = order_statistic_interval(sorted.len(), level, failure_probability);
    let at = |rank: usize| sorted.get(rank.wrapping_sub(1)).copied();
    Ok(MinimumRadius {
        estimate: Estimate::new(at(quantile_rank(sorted.len(), level)).unwrap_or(f64::NAN))?,
        lower: LowerBound::new((interval.lower_rank.and_then(at).unwrap_or(0.0) - tolerance).max(0.0))?,
        upper: UpperBound::new(interval.upper_rank.and_then(at).unwrap_or(f64::INFINITY) + tolerance)?,
    })
}

/// The empirical quantile: the smallest draw with more than a fraction `order` of the draws at or below it.
fn quantile(distances: &[f64], order: Probability) -> Option<f64> {
    let sorted = sorted(distances)?;
    sorted.get(quantile_rank(sorted.len(), order).wrapping_sub(1)).copied()
}

/// Ascending; none if a distance is not a number.
fn sorted(distances: &[f64]) -> Option<Vec<f64>> {
    let mut sorted = distances.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.iter().any(|distance| distance.is_nan())).then_some(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probability(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    #[test]
    fn the_quantile_is_the_smallest_draw_that_covers_more_than_its_order() {
        let draws = [5.0, 1.0, 4.0, 2.0, 3.0];
        let radius = |order| RadiusRule::Quantile(probability(order)).radius(&draws).unwrap().get();
        assert_eq!(radius(0.5), 3.0);
        assert_eq!(radius(0.19), 1.0);
        // 1/5 of the draws is not more than 0.2.
        assert_eq!(radius(0.2), 2.0);
        assert_eq!(radius(0.99), 5.0);
    }

    #[test]
    fn a_decoder_that_ignores_its_code_gives_no_radius() {
        let rule = RadiusRule::Quantile(probability(0.9));
        assert_eq!(rule.radius(&[0.0; 10]), Err(QuantityError::Radius(0.0)));
        assert!(rule.radius(&[]).is_err());
        // On x86 the NaN of 0 · ∞ has its sign set and would sort before every number.
        for nan in [f64::NAN, -f64::NAN] {
            assert!(rule.radius(&[1.0, nan, 2.0]).is_err());
            assert!(minimum_radius(&[1.0, nan, 2.0], Probability::HALF, probability(0.01), 0.0).is_err());
        }
        let given = Radius::new(4.0).unwrap();
        assert_eq!(RadiusRule::Absolute(given).radius(&[]), Ok(given));
    }

    #[test]
    fn the_minimum_radius_of_uniform_draws_brackets_the_median() {
        let draws: Vec<f64> = (1..=1001).map(f64::from).collect();
        let found = minimum_radius(&draws, Probability::HALF, probability(0.01), 0.5).unwrap();
        assert_eq!(found.estimate.get(), 501.0);
        assert!(found.lower.get() < 501.0 && found.lower.get() > 440.0);
        assert!(found.upper.get() > 501.0 && found.upper.get() < 560.0);
        let few = minimum_radius(&draws[..3], Probability::HALF, probability(0.01), 0.0).unwrap();
        assert_eq!((few.lower.get(), few.upper.get()), (0.0, f64::INFINITY));
    }
}
