//! C-joint: what a perturbation of μ and σ together can take from a probability, where the truth is a product of normal
//! probabilities.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{at_most, show, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::vector;
use crate::stats::normal::{cdf, quantile, survival, CDF_RELATIVE_ERROR, QUANTILE_ERROR};
use crate::stats::Enclosure;

/// One latent coordinate in units in which it is N(0, 1) before the perturbation, N(`shift`, e^(2·`log_ratio`)) after.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coordinate {
    shift: f64,
    log_ratio: f64,
    /// The event is z ≥ `from`, and z ≤ `from` + `length` where there is one.
    from: f64,
    length: Option<f64>,
}

/// P ≥ Φ(Φ⁻¹(p) − V) − √(1 − Π 1/cosh ℓ).
pub(super) struct Joint;

/// Numbers beyond this are refused: every probability would be 0 or 1.
const LARGEST: f64 = 30.0;
const LOG_RATIOS: [f64; 9] = [0.0, 0.125, -0.125, 0.5, -0.5, 1.0, -1.0, 0.25, 2.0];
const COORDINATES: usize = 3;

impl Experiment for Joint {
    type Instance = Vec<Coordinate>;

    fn instances(&self) -> BoxedStrategy<Vec<Coordinate>> {
        // Around the mean a change of σ takes most, on a half-line a shift.
        let centred = grid::positive().prop_map(|half| (-half, Some(2.0 * half)));
        let elsewhere = (grid::any(), grid::positive()).prop_map(|(from, length)| (from, Some(length)));
        let half_line = grid::any().prop_map(|from| (from, None));
        let shift = prop_oneof![Just(0.0), grid::any()];
        let coordinate = (shift, grid::one_of(&LOG_RATIOS), prop_oneof![centred, elsewhere, half_line])
            .prop_map(|(shift, log_ratio, (from, length))| Coordinate { shift, log_ratio, from, length });
        grid::several(coordinate, COORDINATES).boxed()
    }

    fn judge(&self, instance: &Vec<Coordinate>, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        instance.iter().try_for_each(Coordinate::check)?;
        if instance.is_empty() || instance.len() > COORDINATES {
            return Err(Obstacle(format!("expected 1 to {COORDINATES} coordinates, found {}", instance.len())));
        }
        let one = Enclosure::exact(1.0);
        let before = instance.iter().fold(one, |product, coordinate| product * coordinate.probability(0.0, 0.0));
        let after = |c: &Coordinate| c.probability(c.shift, c.log_ratio);
        let after = instance.iter().fold(one, |product, coordinate| product * after(coordinate));
        let shift = instance.iter().map(|c| Enclosure::exact(c.shift).squared()).sum::<Enclosure>().sqrt();
        // A factor 1 would only add its rounding.
        let changed: Vec<f64> = instance.iter().map(|c| c.log_ratio).filter(|ratio| *ratio != 0.0).collect();
        let variation = if changed.is_empty() {
            Enclosure::exact(0.0)
        } else {
            let affinity = changed.iter().fold(one, |product, ratio| product / hyperbolic_cosine(*ratio));
            trial.theory.spread_variation(affinity)
        };
        let bound = moved(before, shift) - variation;
        let finding = at_most(bound, after);
        let line = format!(
            "{}: p = {:.6}, V = {:.4}, P = {:.6} against {:.6}",
            instance.iter().map(Coordinate::show).collect::<Vec<_>>().join("; "),
            before.value,
            shift.value,
            after.value,
            bound.value
        );
        let numbers = [("p", before), ("V", shift), ("bound", bound), ("P", after)];
        Ok(Judgement::new(finding, line, &numbers))
    }
}

impl Coordinate {
    /// Refuses what a drawn instance never has.
    fn check(&self) -> Result<(), Obstacle> {
        let numbers = [self.shift, self.log_ratio, self.from, self.length.unwrap_or(1.0)];
        vector("a coordinate", &numbers, numbers.len())?;
        if numbers.iter().any(|number| number.abs() > LARGEST) || self.length.is_some_and(|length| length < 0.0) {
            return Err(Obstacle(format!("a coordinate is out of range: {}", self.show())));
        }
        Ok(())
    }

    /// P of the event under N(shift, e^(2·log_ratio)).
    fn probability(&self, shift: f64, log_ratio: f64) -> Enclosure {
        let shrink = Enclosure::exact(-log_ratio);
        let shrink = if log_ratio == 0.0 { Enclosure::exact(1.0) } else { shrink.exp() };
        let standard = |edge: f64| (Enclosure::exact(edge) - shift) * shrink;
        let beyond = |edge: Enclosure| widened(survival(edge.upper()), survival(edge.lower()));
        let from = standard(self.from);
        match self.length {
            None => beyond(from),
            Some(length) => {
                let to = (Enclosure::exact(self.from) + length - shift) * shrink;
                // From the side on which both tails are small.
                let inside = if from.value > 0.0 { beyond(from) - beyond(to) } else { beyond(-to) - beyond(-from) };
                Enclosure::between(inside.lower().max(0.0), inside.upper().clamp(0.0, 1.0))
            }
        }
    }

    fn show(&self) -> String {
        let event = match self.length {
            None => format!("z ≥ {}", self.from),
            Some(length) => format!("z in {}", show(&[self.from, self.from + length])),
        };
        format!("{event}, z moved by {} and scaled by e^{}", self.shift, self.log_ratio)
    }
}

/// What is between two values of Φ or 1 − Φ as computed.
fn widened(lower: f64, upper: f64) -> Enclosure {
    let room = 2.0 * CDF_RELATIVE_ERROR;
    Enclosure::between(lower * (1.0 - room), (upper * (1.0 + room) + f64::MIN_POSITIVE).min(1.0))
}

fn hyperbolic_cosine(argument: f64) -> Enclosure {
    (Enclosure::exact(argument).exp() + Enclosure::exact(-argument).exp()) / 2.0
}

/// Φ(Φ⁻¹(p) − V).
fn moved(probability: Enclosure, shift: Enclosure) -> Enclosure {
    let edge = |probability: f64, side: f64| {
        let found = quantile(probability.clamp(0.0, 1.0));
        if found.is_finite() {
            found + side * 2.0 * QUANTILE_ERROR * found.abs().max(1.0)
        } else {
            found
        }
    };
    let lower = (edge(probability.lower(), -1.0) - shift.upper()).next_down();
    let upper = (edge(probability.upper(), 1.0) - shift.lower()).next_up();
    widened(cdf(lower), cdf(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_half_lines_and_intervals() {
        let coordinate = |from, length| Coordinate { shift: 0.0, log_ratio: 0.0, from, length };
        let half = coordinate(0.0, None).probability(0.0, 0.0);
        assert!((half.value - 0.5).abs() < 1e-15);
        // P(|N| ≤ 1), as z ∈ [−1, 1], and as z ∈ [−1, 3] under N(1, 4).
        let one = 0.682_689_492_137_085_9;
        let centred = coordinate(-1.0, Some(2.0)).probability(0.0, 0.0);
        let wide = coordinate(-1.0, Some(4.0)).probability(1.0, std::f64::consts::LN_2);
        assert!((centred.value - one).abs() <= 1e-14 && (wide.value - one).abs() <= 1e-14);
        assert!(centred.error < 1e-14 && wide.error < 1e-14);
        assert!((hyperbolic_cosine(1.0).value - 1f64.cosh()).abs() < 1e-15);
        let equal = moved(Enclosure::exact(0.5), Enclosure::exact(1.0));
        assert!((equal.value - 0.158_655_253_931_457_05).abs() < 1e-15 && equal.error < 1e-14);
    }
}
