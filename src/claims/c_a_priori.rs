//! C-a-priori: a Gaussian vector is more likely shorter than t than not if its mean square is below t².

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{less, Experiment, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::vector;
use crate::stats::quadratic_form::QuadraticForm;
use crate::stats::Enclosure;

/// A coordinate `std`·(η + `shift`) of Δ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coordinate {
    std: f64,
    shift: f64,
}

/// Δ in the coordinates of its covariance's eigenvectors, `rest` being the length of its mean where it has no variance;
/// t² = `factor`·E‖Δ‖².
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GaussianVector {
    coordinates: Vec<Coordinate>,
    rest: f64,
    factor: f64,
}

/// E‖Δ‖² < t² implies P(‖Δ‖ ≤ t) > 1/2.
pub(super) struct MedianBelowMean;

const COORDINATES: usize = 5;
const LARGEST_SHIFT: f64 = 64.0;
/// From just above 1 on.
const FACTORS: [f64; 6] = [1.125, 2.0, 1.5, 1.015_625, 1.003_906_25, 1.000_976_562_5];
const SHIFTS: [f64; 10] = [0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -4.0, 8.0, 0.25, 16.0];

impl Experiment for MedianBelowMean {
    type Instance = GaussianVector;

    fn instances(&self) -> BoxedStrategy<GaussianVector> {
        let coordinate = (grid::positive(), grid::one_of(&SHIFTS)).prop_map(|(std, shift)| Coordinate { std, shift });
        (grid::several(coordinate, COORDINATES), grid::one_of(&[0.0, 1.0, 4.0]), grid::one_of(&FACTORS))
            .prop_map(|(coordinates, rest, factor)| GaussianVector { coordinates, rest, factor })
            .boxed()
    }

    fn judge(&self, instance: &GaussianVector, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let GaussianVector { coordinates, rest, factor } = instance;
        let stds: Vec<f64> = coordinates.iter().map(|coordinate| coordinate.std).collect();
        let shifts: Vec<f64> = coordinates.iter().map(|coordinate| coordinate.shift).collect();
        let numbers = [&stds[..], &shifts[..], &[*rest, *factor]].concat();
        vector("Δ", &numbers, numbers.len())?;
        if stds.is_empty() || stds.iter().any(|std| *std <= 0.0) || shifts.iter().any(|s| s.abs() > LARGEST_SHIFT) {
            return Err(Obstacle(format!("expected standard deviations above 0 and shifts up to {LARGEST_SHIFT}")));
        }
        if *factor <= 1.0 {
            return Ok(Judgement::vacuous("t² is not above E‖Δ‖²"));
        }
        // Exact for numbers with few binary digits.
        let trace = Enclosure::dot(&stds, &stds);
        let mean = |c: &Coordinate| (Enclosure::exact(c.std) * c.shift).squared();
        let rest = Enclosure::exact(*rest).squared();
        let squared_mean = rest + coordinates.iter().map(mean).sum::<Enclosure>();
        let mean_square = trial.theory.mean_square(trace, squared_mean);
        let square = mean_square * *factor;
        let eigenvalues: Vec<f64> = stds.iter().map(|std| std * std).collect();
        let point = square - rest;
        let form = QuadraticForm::new(&eigenvalues, &shifts, 0.0)?;
        let inside = Enclosure::between(form.cdf(point.lower())?.lower(), form.cdf(point.upper())?.upper());
        let finding = less(Enclosure::exact(0.5), inside);
        let shown: Vec<String> = coordinates.iter().map(|c| format!("{}·(η + {})", c.std, c.shift)).collect();
        let line = format!(
            "Δ = ({}, {}): E‖Δ‖² = {:.4}, t² = {:.4}, P(‖Δ‖ ≤ t) = {:.6}",
            shown.join(", "),
            instance.rest,
            mean_square.value,
            square.value,
            inside.value
        );
        let numbers = [("E‖Δ‖²", mean_square), ("t²", square), ("P(‖Δ‖ ≤ t)", inside)];
        Ok(Judgement::new(finding, line, &numbers))
    }
}
