//! C-slope-interval: how far a network's output can move, bounded by the program and searched for by ascent.

use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{show, Experiment, Finding, Judgement, Obstacle, Trial, ATTAINED_TOLERANCE};
use super::grid;
use super::truth::linear_vae::vector;
use super::truth::small_network::SmallNetwork;
use crate::linalg::{spectral_norm_enclosure, top_right_singular_vector};
use crate::seed::standard_normal;
use crate::sensitivity::rounded_network::RoundedNetwork;
use crate::sensitivity::slope_interval::SlopeInterval;
use crate::stats::Enclosure;

/// A network μ at an input, σ, how long perturbations may be, and directions among those searched first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ball {
    network: SmallNetwork,
    input: Vec<f64>,
    std: Vec<f64>,
    norm: f64,
    directions: Vec<Vec<f64>>,
}

/// V is at least every ‖S⁻¹(μ(x + δ) − μ(x))‖, and ρ‖S⁻¹J‖ exactly where the slopes are certain.
pub(super) struct SlopeIntervalBound;

/// Most units of a layer, inputs and outputs.
const WIDTH: usize = 6;
/// Norms of perturbations: around the distances at which units switch.
const NORMS: [f64; 10] = [1.0, 2.0, 0.5, 0.25, 4.0, 0.125, 1.5, 0.75, 8.0, 0.015_625];
/// Starts of the ascent, besides those from activation patterns.
const STARTS: usize = 50;
/// Steps of an ascent, and how often one is shortened.
const STEPS: usize = 40;
const SHORTENINGS: usize = 8;
/// Gains below this share end an ascent.
const WORTHWHILE: f64 = 1e-9;
/// Activation patterns are tried one by one up to this many kinks.
const KINKS: usize = 5;
/// Linear regions smaller than this are left out.
const SMALLEST_REGION: f64 = 1e-6;
/// What the bound may lose to rounding, in V², as a share of the square of the product of all norms.
const BOUND_ROUNDING: f64 = 1e-13;
/// What V may be where the truth is 0.
const UNDERFLOW: f64 = 1e-60;

impl Experiment for SlopeIntervalBound {
    type Instance = Ball;

    fn instances(&self) -> BoxedStrategy<Ball> {
        let several = |element| prop::collection::vec(element, WIDTH);
        (
            SmallNetwork::strategy(WIDTH),
            grid::vector(WIDTH),
            several(grid::positive().boxed()),
            grid::one_of(&NORMS),
            grid::several(grid::vector(WIDTH), 3),
        )
            .prop_map(|((inputs, network), mut input, mut std, norm, mut directions)| {
                input.truncate(inputs);
                std.truncate(network.output.len());
                directions.iter_mut().for_each(|direction| direction.truncate(inputs));
                Ball { network, input, std, norm, directions }
            })
            .boxed()
    }

    fn judge(&self, instance: &Ball, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        instance.check()?;
        let Ball { network, input, std, norm, .. } = instance;
        // Drawn inputs are multiples of 1/8.
        #[allow(clippy::cast_possible_truncation)]
        let single: Vec<f32> = input.iter().map(|value| *value as f32).collect();
        if single.iter().zip(input).any(|(single, value)| (f64::from(*single) - value).abs() > 0.0) {
            return Ok(Judgement::vacuous("x has more digits than single precision"));
        }
        let rounded = RoundedNetwork::of(&network.network()?)?;
        let scale = DVector::from_column_slice(std);
        let problem = SlopeInterval::new(&rounded, &single, Some(&scale));
        let bound = |norm: f64| trial.theory.output_reach(&problem, std.len(), norm);
        let reach = bound(*norm)?;
        let target = Target::new(instance);
        let slope = target.linear_reach()?;
        let (found, perturbation) = target.search(trial)?;
        let linear = slope * *norm;
        let mut is_wrong = exceeds(found, reach) || exceeds(linear, reach);
        let region = target.linear_region();
        let mut attained = String::new();
        if region > SMALLEST_REGION {
            // Well inside, and less than the region's own rounding.
            let inner = norm.min(0.5 * region);
            let inner_reach = bound(inner)?;
            let loss = inner * target.product_of_norms();
            let upper = (slope * inner).upper();
            let allowed = (upper * (1.0 + ATTAINED_TOLERANCE)).hypot(BOUND_ROUNDING.sqrt() * loss) + UNDERFLOW;
            is_wrong |= inner_reach > allowed || exceeds(slope * inner, inner_reach);
            attained = format!("; inside the linear region, at ρ = {inner:.4}, V = {inner_reach:.6} for {upper:.6}");
        }
        let finding = match reach.is_nan() || found.value.is_nan() {
            true => Finding::TooClose,
            false if is_wrong => Finding::Contradicts,
            false => Finding::Agrees,
        };
        let line = format!(
            "{} at x = {}, σ = {}, ρ = {norm}: V = {reach:.6}, δ = {} moves the code by {:.6}, ρ‖S⁻¹J‖ = {:.6}{attained}",
            network.show(),
            show(input),
            show(std),
            show(&perturbation),
            found.value,
            linear.value
        );
        let numbers = [("V", Enclosure::exact(reach)), ("‖S⁻¹(μ(x+δ) − μ(x))‖", found), ("ρ‖S⁻¹J‖", linear)];
        Ok(Judgement::new(finding, line, &numbers))
    }
}

/// Certainly above the bound, by more than the tolerance.
fn exceeds(value: Enclosure, bound: f64) -> bool {
    value.lower() > bound * (1.0 + ATTAINED_TOLERANCE)
}

impl Ball {
    /// Refuses what a drawn instance never has.
    fn check(&self) -> Result<(), Obstacle> {
        let inputs = self.input.len();
        vector("the input", &self.input, inputs)?;
        self.network.check(inputs)?;
        let std = vector("σ", &self.std, self.network.output.len())?;
        if std.min() < 1.0 / grid::LARGEST {
            return Err(Obstacle("an entry of σ is not above 0".to_owned()));
        }
        if !(self.norm > 0.0 && self.norm <= grid::LARGEST) {
            return Err(Obstacle(format!("the norm {} is not above 0, at most {}", self.norm, grid::LARGEST)));
        }
        if self.directions.len() > STARTS {
            return Err(Obstacle(format!("more than {STARTS} directions")));
        }
        self.directions.iter().try_for_each(|direction| vector("a direction", direction, inputs).map(drop))
    }
}

/// δ ↦ ‖S⁻¹(μ(x + δ) − μ(x))‖ on a ball.
struct Target<'a> {
    ball: &'a Ball,
    /// The layers' outputs at x.
    values: Vec<Vec<f64>>,
    jacobian: DMatrix<f64>,
}

impl<'a> Target<'a> {
    fn new(ball: &'a Ball) -> Self {
        let values = ball.network.forward(&ball.input);
        let jacobian = ball.network.derivative(&ball.network.slopes(&values), &ball.std, ball.input.len());
        Self { ball, values, jacobian }
    }

    /// Π‖W_l‖_F / min σ.
    fn product_of_norms(&self) -> f64 {
        self.ball.network.product_of_norms() / self.ball.std.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// A bound on the rounding of a distance at perturbations in the ball, or of any secant of it by ρ.
    fn rounding(&self, norm: f64) -> f64 {
        let size = self.ball.input.iter().fold(norm, |size, value| size.max(value.abs() + norm));
        let entry = self.ball.network.rounding(size);
        self.ball.std.iter().map(|std| 4.0 * entry / std).sum()
    }

    /// ‖S⁻¹J‖₂. Slopes are off by what their pre-activation is off, as |φ″| ≤ 1.
    fn linear_reach(&self) -> Result<Enclosure, Obstacle> {
        let norm = spectral_norm_enclosure(&self.jacobian)?;
        let layers = (self.ball.network.hidden.len() + 1) as f64;
        let largest = self.ball.network.rounding(self.ball.input.iter().fold(1.0, |size, value| size.max(value.abs())));
        let share = layers * (largest + 64.0 * f64::EPSILON);
        Ok(Enclosure { error: norm.error + share * self.product_of_norms(), ..norm })
    }

    /// min |a|/‖∇a‖ over hidden units with a kink; 0 as soon as an activation is curved.
    fn linear_region(&self) -> f64 {
        let Ball { network, input, .. } = self.ball;
        let mut nearest = f64::INFINITY;
        // ∂h/∂x of the layer before, a row per unit.
        let mut tangents: Vec<Vec<f64>> = identity(input.len());
        let mut previous = input;
        for (layer, values) in network.hidden.iter().zip(&self.values) {
            if !layer.activation.is_piecewise_linear() {
                return 0.0;
            }
            let mut next = Vec::with_capacity(values.len());
            for (unit, value) in layer.units.iter().zip(values) {
                let along = |k: usize| unit.weights.iter().zip(&tangents).map(|(weight, row)| weight * row[k]).sum();
                let gradient = DVector::from_fn(input.len(), |k, _| along(k));
                let a = unit.weights.iter().zip(previous).map(|(weight, h)| weight * h).sum::<f64>() + unit.bias;
                if !layer.activation.kinks().is_empty() && gradient.norm() > 0.0 {
                    nearest = nearest.min(a.abs() / gradient.norm());
                }
                next.push((gradient * layer.activation.slope_at_output(*value)).as_slice().to_vec());
            }
            (tangents, previous) = (next, values);
        }
        nearest
    }

    /// The distance and its gradient.
    fn at(&self, perturbation: &DVector<f64>) -> (f64, DVector<f64>) {
        let Ball { network, input, std, .. } = self.ball;
        let point: Vec<f64> = input.iter().zip(perturbation).map(|(x, step)| x + step).collect();
        let values = network.forward(&point);
        let ends = values.iter().zip(&self.values).next_back();
        let moved = ends.map_or(vec![], |(there, here)| {
            there.iter().zip(here).zip(std).map(|((there, here), std)| (there - here) / std).collect()
        });
        let distance = moved.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
        let row: Vec<f64> = moved.iter().zip(std).map(|(entry, std)| entry / std).collect();
        let gradient = network.pull_back(&row, &network.slopes(&values), input.len());
        (distance, DVector::from_vec(gradient))
    }

    /// Projected gradient ascent on the ball of radius `norm`; a step starts so long that it ends on the sphere.
    fn climb(&self, start: &DVector<f64>, norm: f64) -> (f64, DVector<f64>) {
        let mut here = onto(start, norm);
        let (mut value, mut gradient) = self.at(&here);
        for _ in 0..STEPS {
            let steepness = gradient.norm();
            if !(steepness > 0.0 && steepness.is_finite()) {
                break;
            }
            let mut step = 16.0 * norm / steepness;
            let mut improved = false;
            for _ in 0..SHORTENINGS {
                let there = into(&here + &gradient * step, norm);
                let (next, next_gradient) = self.at(&there);
                if next > value * (1.0 + WORTHWHILE) {
                    (here, value, gradient, improved) = (there, next, next_gradient, true);
                    break;
                }
                step *= 0.25;
            }
            if !improved {
                break;
            }
        }
        (value, here)
    }

    /// The largest distance found, and where.
    fn search(&self, trial: &Trial<'_>) -> Result<(Enclosure, Vec<f64>), Obstacle> {
        let Ball { network, input, std, norm, directions } = self.ball;
        let inputs = input.len();
        let mut starts: Vec<DVector<f64>> =
            directions.iter().map(|direction| DVector::from_column_slice(direction)).collect();
        let slopes_of_patterns = network.patterns(KINKS);
        let maps = slopes_of_patterns.iter().map(|slopes| network.derivative(slopes, std, inputs));
        for map in std::iter::once(self.jacobian.clone()).chain(maps) {
            // A map that is 0 has no direction.
            if let Ok(direction) = top_right_singular_vector(&map) {
                starts.push(direction);
            }
        }
        let mut stream = trial.draws("starts");
        let random = (2 * starts.len()..STARTS).map(|_| DVector::from_vec(standard_normal(&mut stream, inputs)));
        let signed = starts.iter().flat_map(|start| [start.clone(), -start]);
        let mut best = (0.0, DVector::zeros(inputs));
        let mut warm = best.clone();
        for start in signed.chain(random).filter(|start| start.norm() > 0.0) {
            for (best, norm) in [(&mut best, *norm), (&mut warm, 0.5 * norm)] {
                let found = self.climb(&start, norm);
                // NaN comes last: it is the worst.
                if found.0.total_cmp(&best.0).is_gt() {
                    *best = found;
                }
            }
        }
        // The worst of a smaller ball may lie outside every ascent so far.
        let last = self.climb(&warm.1, *norm);
        if last.0 > best.0 {
            best = last;
        }
        Ok((Enclosure { value: best.0, error: self.rounding(*norm) }, best.1.as_slice().to_vec()))
    }
}

/// Perturbations are kept this share shorter than ρ: their norm rounds.
const SHORTER: f64 = 1e-14;

/// On the sphere; 0 stays.
fn onto(point: &DVector<f64>, norm: f64) -> DVector<f64> {
    let length = point.norm();
    if length > 0.0 {
        point * (norm * (1.0 - SHORTER) / length)
    } else {
        point.clone()
    }
}

/// The nearest point of the ball.
fn into(point: DVector<f64>, norm: f64) -> DVector<f64> {
    if point.norm() > norm * (1.0 - SHORTER) {
        onto(&point, norm)
    } else {
        point
    }
}

fn identity(size: usize) -> Vec<Vec<f64>> {
    (0..size).map(|i| (0..size).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect()
}
