//! The search for good scalings λ of the slope-interval bound.
//!
//! Given a linear functional of the bound, tr(FQ_{l+1}Fᵀ), its derivative with respect to λ_j vanishes where
//! ‖X_j‖ = w_j‖(FW)_j‖ with X = F N K⁻¹: the worst change of unit j then just uses up its range. The bound is convex in λ,
//! and multiplying λ_j by a power of the ratio of the two sides finds its minimum in a few rounds. F is carried back
//! from layer to layer with the derivative of the lemma. Nothing here is trusted: any positive λ give a true bound.

use std::borrow::Cow;

use nalgebra::{DMatrix, DVector};

use super::slope_interval::{Reach, ReachError, Shape, SlopeInterval, Slopes, Step};
use crate::certificate::{LayerScalings, NetworkEvidence};
use crate::linalg::{eigendecomposition, scaled_on_both_sides};
use crate::seed::{standard_normal, Seed};

/// Rounds of improvement for the output and for the units of a hidden layer.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// For the output.
    pub output: usize,
    /// For each hidden layer after the first.
    pub hidden: usize,
}

/// How much more the units of a wide layer may move together than each on its own: a guess to start with.
const TOGETHER: f64 = 4.0;
/// Rows that stand for all units of a wide layer.
const SKETCH_ROWS: usize = 16;
/// Power of the ratio with which a scaling is corrected.
const STEP_EXPONENT: f64 = 0.7;
/// Largest correction of a scaling in one round, and of all scalings of a layer for which K is not positive definite.
const LARGEST_CORRECTION: f64 = 4.0;
const ENLARGEMENTS: [f64; 3] = [1.002, 1.03, 1.6];
/// Enlargements before giving up.
const MAX_ENLARGEMENTS: usize = 30;
/// A round that improves the bound by less than this share is the last.
const WORTHWHILE: f64 = 2e-4;
/// Weight of an eigenvalue of the output's shape, as a power of its share of the largest: several may compete.
const COMPETITION: i32 = 6;
/// How much larger than a row's sum a first scaling is.
const FIRST_EXCESS: f64 = 1.05;
/// How much larger still the scaling of a unit is whose slope is certain here and may be not quite so elsewhere: it then
/// costs next to nothing.
const CERTAIN_EXCESS: f64 = 1e9;
/// How much larger than D a scaling is at least.
const ABOVE_EXCESS: f64 = 1.5;
/// Units of a hidden layer whose reach is below this share of their distance to a kink are left out of account.
const FAR_FROM_KINK: f64 = 0.5;
/// Significant digits of a scaling in the evidence.
const DIGITS: i32 = 4;
/// The largest power of ten that is a double.
const EXACT_POWERS: i32 = 22;

/// Good scalings for perturbations of L2 norm `norm`, starting from those of another norm where there are any, and what
/// [`SlopeInterval::reach`] makes of them. `weights`: how much each output counts, `[out]`.
///
/// # Errors
/// [`ReachError`] where no scalings are found or a number is not finite.
pub fn find_scalings(
    problem: &SlopeInterval<'_>,
    norm: f64,
    start: &NetworkEvidence,
    weights: &DVector<f64>,
    rounds: Rounds,
) -> Result<(NetworkEvidence, Reach), ReachError> {
    let chains = problem.hidden_layers();
    let mut evidence = NetworkEvidence { chains: Vec::with_capacity(chains) };
    let mut shape = problem.first()?;
    let mut slopes: Vec<Slopes> = Vec::with_capacity(chains);
    for target in 0..chains {
        slopes.push(problem.slopes(target, &problem.reach_squares(&shape)?, norm)?);
        let is_output = target + 1 == chains;
        let start = start.chains.get(target).map_or(&[][..], Vec::as_slice);
        let mut chain = Chain::new(problem, &slopes, start);
        let goal = |shape: &Shape<'_>| match shape {
            Shape::Narrow(matrix) if is_output => output_goal(matrix, weights),
            shape => {
                let (value, weights) = hidden_goal(problem, target + 1, &problem.reach_squares(shape)?, norm);
                let is_wide = matches!(shape, Shape::Wide(_));
                Ok((value, if is_wide { sketched(&weights) } else { DMatrix::from_diagonal(&weights) }))
            }
        };
        shape = chain.improve(goal, if is_output { rounds.output } else { rounds.hidden })?;
        evidence.chains.push(chain.layers);
    }
    Ok((evidence, Reach::of(shape, norm)?))
}

/// F, and the value that tr(FQFᵀ) stands for.
fn output_goal(shape: &DMatrix<f64>, weights: &DVector<f64>) -> Result<(f64, DMatrix<f64>), ReachError> {
    let eigen = eigendecomposition(scaled_on_both_sides(shape, weights))?;
    let largest = eigen.eigenvalues.max().max(f64::MIN_POSITIVE);
    let mut functional = eigen.eigenvectors.transpose();
    for (mut row, value) in functional.row_iter_mut().zip(&eigen.eigenvalues) {
        row *= (value.max(0.0) / largest).powi(COMPETITION);
    }
    functional.column_iter_mut().zip(weights).for_each(|(mut column, &weight)| column *= weight);
    Ok((largest, functional))
}

/// Every unit's relative reach counts alike, except of units that are far from their kink.
fn hidden_goal(problem: &SlopeInterval<'_>, layer: usize, reaches: &DVector<f64>, norm: f64) -> (f64, DVector<f64>) {
    let (kinked, distances) = (problem.has_certain_slopes(layer), problem.distances(layer));
    let counts = |unit: usize| {
        let reach = norm * reaches[unit].max(0.0).sqrt();
        reach > 0.0 && !(kinked && reach < FAR_FROM_KINK * distances[unit])
    };
    let functional =
        DVector::from_fn(reaches.len(), |unit, _| if counts(unit) { reaches[unit].sqrt().recip() } else { 0.0 });
    let value = (0..reaches.len()).filter(|&unit| counts(unit)).map(|unit| reaches[unit].ln()).sum::<f64>();
    ((value / reaches.len() as f64).exp().max(f64::MIN_POSITIVE), functional)
}

/// A few random rows F whose FᵀF is diag(v)² in expectation: of a wide layer, not every unit can have a row of its own.
fn sketched(diagonal: &DVector<f64>) -> DMatrix<f64> {
    let draws: Vec<f64> = standard_normal(&mut Seed(0).stream("scalings/sketch"), SKETCH_ROWS * diagonal.len());
    let scale = (SKETCH_ROWS as f64).sqrt().recip();
    DMatrix::from_fn(SKETCH_ROWS, diagonal.len(), |i, j| scale * draws[i * diagonal.len() + j] * diagonal[j])
}

/// The scalings of one chain.
struct Chain<'a> {
    problem: &'a SlopeInterval<'a>,
    slopes: &'a [Slopes],
    layers: Vec<LayerScalings>,
}

impl<'a> Chain<'a> {
    fn new(problem: &'a SlopeInterval<'a>, slopes: &'a [Slopes], start: &[LayerScalings]) -> Self {
        let none = LayerScalings::default();
        let layers = (0..slopes.len()).map(|layer| start.get(layer).unwrap_or(&none).clone()).collect();
        Self { problem, slopes, layers }
    }

    /// Improves the scalings and returns the shape that the best of them give.
    fn improve(
        &mut self,
        goal: impl Fn(&Shape<'_>) -> Result<(f64, DMatrix<f64>), ReachError>,
        rounds: usize,
    ) -> Result<Shape<'static>, ReachError> {
        let mut best: Option<(f64, Vec<LayerScalings>, Shape<'static>)> = None;
        for round in 0..=rounds {
            let (shape, steps) = self.forward()?;
            let (value, functional) = goal(&shape)?;
            let before = best.as_ref().map_or(f64::INFINITY, |(value, ..)| *value);
            if value < before {
                best = Some((value, self.layers.clone(), shape));
            }
            if round == rounds || (before.is_finite() && value > before * (1.0 - WORTHWHILE)) {
                break;
            }
            self.correct(functional, &steps)?;
        }
        let (_, layers, shape) = best.ok_or(ReachError::NonFinite { layer: self.slopes.len() })?;
        self.layers = layers;
        Ok(shape)
    }

    /// Q of the target, enlarging scalings that are too small and inventing those that are missing.
    fn forward(&mut self) -> Result<(Shape<'static>, Vec<Step>), ReachError> {
        let mut enlargements = 0;
        loop {
            match self.pass() {
                // Wide layers share one P.
                Err(ReachError::Scalings { layer }) if enlargements < MAX_ENLARGEMENTS => {
                    (0..=layer).for_each(|layer| self.enlarge(layer, enlargements));
                    enlargements += 1;
                }
                other => return other,
            }
        }
    }

    fn enlarge(&mut self, layer: usize, enlargements: usize) {
        // Gently at first: what is missing may be rounding only.
        let factor = ENLARGEMENTS[enlargements.min(ENLARGEMENTS.len() - 1)];
        self.layers[layer].scalings.iter_mut().for_each(|scaling| *scaling = shortened(*scaling * factor));
    }

    fn pass(&mut self) -> Result<(Shape<'static>, Vec<Step>), ReachError> {
        let problem = self.problem;
        let mut shape = problem.first()?;
        let mut steps = Vec::with_capacity(self.slopes.len());
        for layer in 0..self.slopes.len() {
            self.complete(layer, &shape);
            let mut enlargements = 0;
            let (next, step) = loop {
                match problem.step(layer, &shape, &self.slopes[layer], &self.layers[layer]) {
                    Err(ReachError::Scalings { .. })
                        if !problem.goes_wide(layer, &shape, &self.slopes[layer])
                            && enlargements < MAX_ENLARGEMENTS =>
                    {
                        self.enlarge(layer, enlargements);
                        enlargements += 1;
                    }
                    other => break other?,
                }
            };
            shape = next;
            steps.push(step);
        }
        match shape {
            Shape::Narrow(matrix) => Ok((Shape::Narrow(Cow::Owned(matrix.into_owned())), steps)),
            Shape::Wide(wide) => {
                wide.root()?;
                Ok((Shape::Wide(wide), steps))
            }
        }
    }

    /// Gives every listed unit of `layer` a scaling: what it has, or one that is certainly large enough.
    fn complete(&mut self, layer: usize, shape: &Shape<'_>) {
        let Slopes { half_widths: widths, listed, .. } = &self.slopes[layer];
        let known = &self.layers[layer];
        let known_of = |unit: usize| known.units.binary_search(&unit).ok().map(|place| known.scalings[place]);
        let largest = widths.max().max(f64::MIN_POSITIVE.sqrt());
        let importance = |&unit: &usize| widths[unit].max(1e-3 * largest) * self.problem.outgoing(layer, unit);
        let importances: Vec<f64> = listed.iter().map(importance).collect();
        let sums = match shape {
            // Makes each row of K dominated by its diagonal.
            Shape::Narrow(matrix) => {
                let sum = |&unit: &usize| {
                    let column = &matrix.as_slice()[unit * matrix.nrows()..][..matrix.nrows()];
                    listed.iter().zip(&importances).map(|(&other, importance)| column[other].abs() * importance).sum()
                };
                listed.iter().map(sum).collect::<Vec<f64>>()
            }
            // Nothing is known of how the units move together.
            Shape::Wide(_) if !self.problem.goes_wide(layer, shape, &self.slopes[layer]) => {
                let squares = &self.slopes[layer].reach_squares;
                listed
                    .iter()
                    .zip(&importances)
                    .map(|(&unit, importance)| TOGETHER * squares[unit] * importance)
                    .collect()
            }
            Shape::Wide(wide) => {
                let mut weights = DVector::zeros(widths.len());
                listed.iter().zip(&importances).for_each(|(&unit, &importance)| weights[unit] = importance);
                let sums = wide.dominating_sums(self.problem.network(), &weights);
                listed.iter().map(|&unit| sums[unit]).collect()
            }
        };
        // In front of a wide step λ must exceed D, which the scalings of other layers decide.
        let least = |unit: usize| match shape {
            Shape::Wide(wide) => ABOVE_EXCESS * wide.excess()[unit],
            Shape::Narrow(_) => 0.0,
        };
        let scaling = |((&unit, importance), sum): ((&usize, &f64), f64)| {
            let first = FIRST_EXCESS * sum / importance + f64::MIN_POSITIVE;
            let scaling = match known_of(unit) {
                _ if widths[unit] <= 0.0 => first * CERTAIN_EXCESS,
                Some(known) if known < first * CERTAIN_EXCESS.sqrt() => known,
                _ => first,
            };
            shortened(scaling.max(least(unit)))
        };
        let scalings = listed.iter().zip(&importances).zip(sums).map(scaling).collect();
        self.layers[layer] = LayerScalings { units: listed.clone(), scalings };
    }

    fn correct_unit(&mut self, layer: usize, unit: usize, ratio: f64) {
        let LayerScalings { units, scalings } = &mut self.layers[layer];
        if let (true, Ok(place)) = (ratio.is_finite() && ratio > 0.0, units.binary_search(&unit)) {
            let correction = ratio.clamp(1.0 / LARGEST_CORRECTION, LARGEST_CORRECTION);
            scalings[place] = shortened(scalings[place] * correction.powf(STEP_EXPONENT));
        }
    }

    /// One round of corrections, from the last layer to the first.
    fn correct(&mut self, functional: DMatrix<f64>, steps: &[Step]) -> Result<(), ReachError> {
        let mut functional = functional;
        for (layer, step) in steps.iter().enumerate().rev() {
            let Step::Narrow(step) = step else {
                return self.correct_wide(functional, &steps[..=layer]);
            };
            let mut back = self.problem.pulled_back(layer, &functional);
            let Slopes { centres, half_widths, .. } = &self.slopes[layer];
            let range = |&unit: &usize| half_widths[unit] * back.column(unit).norm();
            let ranges: Vec<f64> = step.uncertain.iter().map(range).collect();
            scale_columns(&mut back, centres);
            if let Some(worst) = step.add_worst(&functional, &mut back) {
                for (place, (&unit, range)) in step.uncertain.iter().zip(&ranges).enumerate() {
                    self.correct_unit(layer, unit, worst.column(place).norm() / range);
                }
            }
            functional = back;
        }
        Ok(())
    }

    /// The same for the wide layers, all of which come first: with G = F A P⁻¹, the worst response of unit j is G a_j / λ′_j.
    fn correct_wide(&mut self, functional: DMatrix<f64>, steps: &[Step]) -> Result<(), ReachError> {
        let mut ranges = Vec::with_capacity(steps.len());
        let mut functional = functional;
        for layer in (0..steps.len()).rev() {
            functional = self.problem.pulled_back(layer, &functional);
            let Slopes { centres, half_widths, .. } = &self.slopes[layer];
            ranges.push(DVector::from_fn(centres.len(), |unit, _| half_widths[unit] * functional.column(unit).norm()));
            scale_columns(&mut functional, centres);
        }
        ranges.reverse();
        let layers = self.problem.network().layers();
        let Some(Step::Wide(last)) = steps.last() else { return Ok(()) };
        let mut responses = last.next.root()?.solve(&layers[0].map.rows_times(&functional));
        for (layer, step) in steps.iter().enumerate() {
            responses = layers[layer].map.rows_times_transposed(&responses);
            let Step::Wide(step) = step else { break };
            for (&unit, split) in step.uncertain.iter().zip(&step.split) {
                self.correct_unit(layer, unit, responses.column(unit).norm() / (split * ranges[layer][unit]));
            }
            scale_columns(&mut responses, &self.slopes[layer].centres);
        }
        Ok(())
    }
}

fn scale_columns(matrix: &mut DMatrix<f64>, scale: &DVector<f64>) {
    matrix.column_iter_mut().zip(scale).for_each(|(mut column, &scale)| column *= scale);
}

/// A scaling with few digits, not below the given one.
fn shortened(scaling: f64) -> f64 {
    // Saturates where the scaling is 0, infinite or no number.
    #[allow(clippy::cast_possible_truncation)]
    let last_digit = (scaling.log10().floor() as i32).saturating_sub(DIGITS - 1);
    // Powers of ten up to this one are exact, and so are whole numbers of few digits: their product or quotient is the
    // double that such a decimal is read as.
    if !(scaling.is_finite() && (-EXACT_POWERS..=EXACT_POWERS).contains(&last_digit)) {
        return scaling;
    }
    let power = 10f64.powi(last_digit.abs());
    let with_digits = |digits: f64| if last_digit < 0 { digits / power } else { digits * power };
    let digits = if last_digit < 0 { scaling * power } else { scaling / power }.ceil();
    let rounded = with_digits(digits);
    if rounded < scaling {
        with_digits(digits + 1.0)
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::testing::seeded(2000))]

        #[test]
        fn shortened_scalings_have_few_digits_and_are_not_below(exponent in -18.0..25.0f64, beyond in -300.0..300.0f64) {
            let scaling = 10f64.powf(exponent);
            let short = shortened(scaling);
            prop_assert!(short >= scaling && short <= scaling * 1.001_1, "{scaling} {short}");
            let digits = format!("{short:e}").split('e').next().unwrap().len();
            prop_assert!(digits <= 5, "{short:e}");
            prop_assert!(shortened(10f64.powf(beyond)) >= 10f64.powf(beyond));
        }
    }

    #[test]
    fn scalings_are_shortened_upwards() {
        let found = [1.0, 1.0001, 9.9999, 0.123_45, 12_345.6, 2e-30].map(shortened);
        assert_eq!(found, [1.0, 1.001, 10.0, 0.1235, 12_350.0, 2e-30]);
        assert_eq!([0.0, f64::INFINITY, f64::MIN_POSITIVE].map(shortened), [0.0, f64::INFINITY, f64::MIN_POSITIVE]);
        assert!(shortened(f64::NAN).is_nan());
    }
}
