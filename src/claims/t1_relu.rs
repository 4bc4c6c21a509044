//! T1-relu-local and T1-relu-global: the term that Theorem 1 drops, for encoders that are affine in pieces.

use std::cmp::Ordering;

use candle_core::{Device, Tensor};
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::claim::{less, show, Experiment, Finding, Judgement, Obstacle, Trial};
use super::grid;
use super::truth::linear_vae::{vector, LinearVae, Sizes};
use super::truth::relu::{ReluNetwork, Unit};
use crate::bounds::{LadderOutcome, LinearGaussian};
use crate::linalg::top_right_singular_vector;
use crate::quantity::{LowerBound, Probability};
use crate::sensitivity::{linear_region_radius, network_jacobian};
use crate::stats::Enclosure;

/// A network, an input and a direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AtInput {
    network: ReluNetwork,
    input: Vec<f64>,
    direction: Vec<f64>,
}

/// Inside the linear region μ(x + δ) = μ(x) + Jδ.
pub(super) struct Local;

/// Perturbations are not longer than this where nothing bounds the region.
const LONGEST: f64 = 64.0;
/// Regions smaller than this are left out: the perturbation's digits would not fit beside the input's.
const SHORTEST: f64 = 1e-6;

impl Experiment for Local {
    type Instance = AtInput;

    fn instances(&self) -> BoxedStrategy<AtInput> {
        (ReluNetwork::strategy(3, 4, 3), grid::vector(3), grid::vector(3))
            .prop_map(|((inputs, network), mut input, mut direction)| {
                input.truncate(inputs);
                direction.truncate(inputs);
                AtInput { network, input, direction }
            })
            .boxed()
    }

    fn judge(&self, instance: &AtInput, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let inputs = instance.input.len();
        instance.network.check(inputs)?;
        let input = vector("the input", &instance.input, inputs)?;
        let direction = vector("the direction", &instance.direction, inputs)?;
        let network = instance.network.network()?;
        let tensor = Tensor::from_slice(input.as_slice(), (1, inputs), &Device::Cpu)?;
        let region = trial.theory.linear_region(linear_region_radius(&network, &tensor)?);
        let jacobian = network_jacobian(&network, &tensor)?;
        let here = instance.network.evaluate(&input)?;
        // The drawn direction, and those across the kinks of the first layer.
        let first =
            instance.network.hidden.iter().take(1).flatten().map(|unit| vector("a unit", &unit.weights, inputs));
        let across = first.collect::<Result<Vec<_>, _>>()?;
        let (mut worst, mut longest) = (None::<(f64, f64, DVector<f64>)>, 0.0f64);
        for direction in across.iter().flat_map(|w| [w.clone(), -w]).chain([direction]) {
            let Some(perturbation) = inside(&direction, region) else { continue };
            longest = longest.max(perturbation.norm());
            let there = instance.network.evaluate(&(&input + &perturbation))?;
            let linear = &jacobian * &perturbation;
            let rounding = 2.0 * (here.rounding() + there.rounding());
            let excess = (there.value - &here.value - linear).amax() - rounding;
            // In this order NaN comes last: it is the worst.
            if worst.as_ref().is_none_or(|(largest, _, _)| excess.total_cmp(largest).is_gt()) {
                worst = Some((excess, rounding, perturbation));
            }
        }
        let Some((excess, rounding, perturbation)) = worst else {
            return Ok(Judgement::vacuous("every direction is 0, or the linear region is too small"));
        };
        let finding = match excess.partial_cmp(&0.0) {
            Some(Ordering::Greater) => Finding::Contradicts,
            Some(_) => Finding::Agrees,
            None => Finding::TooClose,
        };
        let line = format!(
            "{} at x = {}: linear region {region:.4}, ‖δ‖ = {longest:.4}, δ = {}: off by {:.2e}",
            instance.network.show(),
            show(&instance.input),
            show(perturbation.as_slice()),
            excess + rounding
        );
        let numbers = [
            ("radius of the linear region", Enclosure::exact(region)),
            ("|μ(x+δ) − μ(x) − Jδ|", Enclosure { value: excess + rounding, error: rounding }),
        ];
        Ok(Judgement::new(finding, line, &numbers))
    }
}

/// `direction` times the largest power of two that keeps it shorter than the region.
fn inside(direction: &DVector<f64>, region: f64) -> Option<DVector<f64>> {
    let norm = direction.norm();
    let longest = region.min(LONGEST) * (1.0 - 1e-12);
    if norm <= 0.0 || longest.is_nan() || longest < SHORTEST {
        return None;
    }
    Some(direction * (longest / norm).log2().floor().exp2())
}

/// An encoder with one hidden layer whose kinks lie near the input 0; `head` is A on the hidden units, σ and W.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KinkNearby {
    units: Vec<Unit>,
    slope: f64,
    head: LinearVae,
}

/// No perturbation shorter than `theorem1` breaks robustness.
pub(super) struct Global;

/// Most inputs and hidden units.
const INPUTS: usize = 2;
const UNITS: usize = 3;
/// Lengths tried, as shares of `theorem1`.
const SHARES: [f64; 3] = [0.5, 0.75, 0.999_999];
/// A probability that four printed digits tell from 1/2.
const CLEARLY_BROKEN: f64 = 0.45;
/// The largest derivative of P by a shift of the code in standard deviations is at most φ(0).
const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_433;

impl Experiment for Global {
    type Instance = KinkNearby;

    fn instances(&self) -> BoxedStrategy<KinkNearby> {
        let bias = grid::one_of(&[-0.125, -0.0625, -0.031_25, -0.25, -0.5, 0.125, 0.25, 1.0]);
        let unit = (grid::vector(INPUTS), bias).prop_map(|(weights, bias)| Unit { weights, bias });
        let sizes = Sizes { inputs: UNITS, outputs: 2, latents: 2 };
        // Every slope is above 0, so that theorem1 is finite even where all units are on the flat side of their kink.
        let slope = grid::one_of(&[0.5, 0.25, 0.125]);
        (prop::collection::vec(unit, 1..=UNITS), 1..=INPUTS, slope, LinearVae::strategy(sizes, 1.0))
            .prop_map(|(mut units, inputs, slope, mut head)| {
                units.iter_mut().for_each(|unit| unit.weights.truncate(inputs));
                head.latents.iter_mut().for_each(|latent| latent.encoder.resize(units.len(), 1.0));
                KinkNearby { units, slope, head }
            })
            .boxed()
    }

    fn judge(&self, instance: &KinkNearby, trial: &Trial<'_>) -> Result<Judgement, Obstacle> {
        let KinkNearby { units, slope, head } = instance;
        let inputs = units.first().map_or(0, |unit| unit.weights.len());
        let output = head.latents.iter().map(|latent| latent.encoder.clone()).collect();
        let encoder = ReluNetwork { slope: *slope, hidden: vec![units.clone()], output };
        encoder.check(inputs)?;
        // On a kink there is no J.
        if units.iter().any(|unit| unit.bias == 0.0) {
            return Ok(Judgement::vacuous("x lies on a kink"));
        }
        let Some(radius) = head.radius() else { return Ok(Judgement::vacuous("W = 0")) };
        let probability = head.probability_unperturbed(radius)?;
        let tensor = Tensor::from_slice(&vec![0.0; inputs], (1, inputs), &Device::Cpu)?;
        let jacobian = network_jacobian(&encoder.network()?, &tensor)?;
        let lower = LowerBound::new(probability.lower().clamp(0.0, 1.0))?;
        let LadderOutcome::Ladder(ladder) = trial.theory.ladder(&jacobian, &head.std(), lower, Probability::HALF)?
        else {
            return Ok(Judgement::vacuous("P(‖Δ(x,0)‖ ≤ r) does not exceed 1/2"));
        };
        let theorem1 = ladder.theorem1.get();
        if theorem1.is_infinite() {
            return Ok(Judgement::vacuous("J = 0"));
        }
        let here = encoder.evaluate(&DVector::zeros(inputs))?;
        let latents = head.latents.len();
        let (identity, std, decoder) = (DMatrix::identity(latents, latents), head.std(), head.decoder()?);
        let model = LinearGaussian::new(&identity, &std, &decoder)?;
        let mut directions = vec![top_right_singular_vector(&jacobian)?];
        for unit in units {
            directions.push(vector("a unit", &unit.weights, inputs)?);
        }
        let mut worst = None::<(Enclosure, DVector<f64>)>;
        for share in SHARES {
            let signed = directions.iter().flat_map(|direction| [(direction, share), (direction, -share)]);
            for (direction, share) in signed.filter(|(direction, _)| direction.norm() > 0.0) {
                // Few digits: rounded down to a multiple of 1/8 of the direction.
                let scale = (share.abs() * theorem1 / direction.norm() * 8.0).floor() / 8.0;
                if scale <= 0.0 {
                    continue;
                }
                let perturbation = direction * scale.copysign(share);
                let there = encoder.evaluate(&perturbation)?;
                let rounding = DENSITY_AT_ZERO * 2.0 * (here.rounding() + there.rounding()) / std.min();
                let mut inside = model.probability(&(there.value - &here.value), radius)?;
                inside.error += rounding * (latents as f64).sqrt();
                if worst.as_ref().is_none_or(|(smallest, _)| inside.value < smallest.value) {
                    worst = Some((inside, perturbation));
                }
            }
            // Well inside theorem1 is as good a counterexample as just inside, and clearer.
            if worst.as_ref().is_some_and(|(inside, _)| inside.upper() <= CLEARLY_BROKEN) {
                break;
            }
        }
        let Some((inside, perturbation)) = worst else {
            return Ok(Judgement::vacuous("theorem1 is too small to be tried"));
        };
        let finding = less(Enclosure::exact(0.5), inside);
        let line = format!(
            "{}, x = 0; {}, r = {}·√(Tr Σ): theorem1 {theorem1:.4}, δ = {}, P(‖Δ(x,δ)‖ ≤ r) = {:.4}",
            encoder.show(),
            head.show_decoder(),
            head.radius_factor,
            show(perturbation.as_slice()),
            inside.value
        );
        let numbers = [
            ("P(‖Δ(x,0)‖ ≤ r)", probability),
            ("theorem1", Enclosure { value: theorem1, error: 3e-12 * theorem1 }),
            ("‖δ‖", Enclosure { value: perturbation.norm(), error: 1e-14 * perturbation.norm() }),
            ("P(‖Δ(x,δ)‖ ≤ r)", inside),
        ];
        Ok(Judgement::new(finding, line, &numbers))
    }
}
