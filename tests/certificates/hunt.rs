//! The soundness hunt: no attack, however strong, moves the whitened code further than the bound allows.

use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use vaecert::certificate::NetworkEvidence;
use vaecert::model::network::Layer;
use vaecert::model::{Activation, Network};
use vaecert::seed::{standard_normal, Seed};
use vaecert::sensitivity::{find_scalings, network_jacobian, RoundedNetwork, Rounds, SlopeInterval};

use super::ACTIVATIONS;
use crate::support::seeded;

/// Rounding of the attack's own forward pass.
const TOLERANCE: f64 = 1e-9;
const RESTARTS: usize = 50;
const STEPS: usize = 25;

/// A small random network as plain matrices.
struct Small {
    layers: Vec<(DMatrix<f64>, DVector<f64>, Activation)>,
    input: DVector<f64>,
}

impl Small {
    fn new(widths: &[usize], kinds: &[usize], seed: u64) -> Self {
        let mut stream = Seed(seed).stream("hunt");
        let mut draw =
            |n: usize| -> Vec<f64> { standard_normal::<f32>(&mut stream, n).into_iter().map(f64::from).collect() };
        let last = widths.len() - 2;
        let layers = (0..=last)
            .map(|i| {
                let (rows, columns) = (widths[i + 1], widths[i]);
                let weight = DMatrix::from_vec(rows, columns, draw(rows * columns));
                let bias = DVector::from_vec(draw(rows)) * 0.5;
                (weight, bias, if i == last { Activation::Identity } else { ACTIVATIONS[kinds[i]] })
            })
            .collect();
        Self { layers, input: DVector::from_vec(draw(widths[0])) }
    }

    fn network(&self) -> Network {
        let dense = |(weight, bias, activation): &(DMatrix<f64>, DVector<f64>, Activation)| {
            let rows = weight.transpose().as_slice().to_vec();
            let weight = Tensor::from_vec(rows, weight.shape(), &Device::Cpu).unwrap();
            let bias = Tensor::from_vec(bias.as_slice().to_vec(), bias.len(), &Device::Cpu).unwrap();
            Layer::dense(weight, bias, *activation).unwrap()
        };
        Network::new(self.layers.iter().map(dense).collect())
    }

    /// Draws of single precision, so that this loses nothing.
    #[allow(clippy::cast_possible_truncation)]
    fn input(&self) -> Vec<f32> {
        self.input.iter().map(|&value| value as f32).collect()
    }

    /// Output and Jacobian.
    fn at(&self, point: &DVector<f64>) -> (DVector<f64>, DMatrix<f64>) {
        let mut hidden = point.clone();
        let mut jacobian = DMatrix::identity(point.len(), point.len());
        for (weight, bias, activation) in &self.layers {
            let output = (weight * &hidden + bias).map(|a| activation.value(a));
            jacobian = weight * jacobian;
            for (mut row, &h) in jacobian.row_iter_mut().zip(&output) {
                row *= activation.slope_at_output(h);
            }
            hidden = output;
        }
        (hidden, jacobian)
    }

    /// The largest ‖output(x+δ) − output(x)‖ that projected gradient ascent finds on the ball.
    fn attack(&self, norm: f64, seed: u64) -> f64 {
        let (start, jacobian) = self.at(&self.input);
        let dimension = self.input.len();
        let mut stream = Seed(seed).stream("hunt/attack");
        let mut starts: Vec<DVector<f64>> =
            (0..RESTARTS).map(|_| DVector::from_vec(standard_normal::<f64>(&mut stream, dimension))).collect();
        let svd = jacobian.svd(false, true);
        for direction in svd.v_t.unwrap().row_iter() {
            starts.extend([direction.transpose(), -direction.transpose()]);
        }
        let mut largest: f64 = 0.0;
        for mut delta in starts {
            delta *= norm / delta.norm().max(1e-12);
            for _ in 0..STEPS {
                let (output, jacobian) = self.at(&(&self.input + &delta));
                let moved = output - &start;
                largest = largest.max(moved.norm());
                let gradient = jacobian.tr_mul(&moved);
                if gradient.norm() < 1e-12 {
                    break;
                }
                // For a convex function the best point of the linearisation; the step between helps others.
                let next = &delta + &gradient * (norm / gradient.norm());
                delta = &next * (norm / next.norm().max(1e-12));
            }
        }
        largest
    }

    /// For one hidden layer of kinked units: the largest move over all patterns of active units. The output is convex in
    /// its pieces, so the search within a pattern is ascent from the pattern's own top direction.
    fn attack_patterns(&self, norm: f64) -> f64 {
        let (first, bias, activation) = &self.layers[0];
        let (second, ..) = &self.layers[1];
        let below = activation.value(-1.0_f64).abs();
        let start = self.at(&self.input).0;
        let mut largest: f64 = 0.0;
        for pattern in 0..1_u32 << bias.len() {
            let mut scaled = first.clone();
            for (unit, mut row) in scaled.row_iter_mut().enumerate() {
                row *= if pattern >> unit & 1 == 1 { 1.0 } else { below };
            }
            let svd = (second * scaled).svd(false, true);
            for direction in svd.v_t.unwrap().row_iter() {
                for sign in [-norm, norm] {
                    let moved = self.at(&(&self.input + direction.transpose() * sign)).0 - &start;
                    largest = largest.max(moved.norm());
                }
            }
        }
        largest
    }

    /// The bound, for ranges taken at `range_share` of the norm: 1 is right, less is a planted bug.
    fn bound(&self, norm: f64, range_share: f64) -> f64 {
        let rounded = RoundedNetwork::of(&self.network()).unwrap();
        let problem = SlopeInterval::new(&rounded, &self.input(), None);
        let weights = DVector::from_element(problem.output_dim(), 1.0);
        let rounds = Rounds { output: 8, hidden: 3 };
        let ranged = norm * range_share;
        let (evidence, _) = find_scalings(&problem, ranged, &NetworkEvidence::default(), &weights, rounds).unwrap();
        problem.reach(ranged, &evidence).unwrap().norm / range_share
    }
}

fn widths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..7usize, 2..7)
}

proptest! {
    #![proptest_config(seeded(2_000))]

    #[test]
    fn no_attack_moves_the_output_further_than_the_bound(
        widths in widths(), kinds in prop::collection::vec(0..7usize, 6), seed in any::<u64>(), logarithm in -2.0..1.0f64,
    ) {
        let (small, norm) = (Small::new(&widths, &kinds, seed), 10f64.powf(logarithm));
        let (found, bound) = (small.attack(norm, seed), small.bound(norm, 1.0));
        prop_assert!(found <= bound * (1.0 + TOLERANCE), "{found} beyond {bound}");
        let (_, jacobian) = small.at(&small.input);
        let first_order = norm * jacobian.singular_values().max();
        prop_assert!(bound >= first_order * (1.0 - TOLERANCE), "{bound} below the tangent's {first_order}");
    }
}

proptest! {
    #![proptest_config(seeded(1_000))]

    #[test]
    fn no_pattern_of_active_units_moves_the_output_further_than_the_bound(
        input in 1..5usize, hidden in 1..9usize, output in 1..4usize, leaky in any::<bool>(), seed in any::<u64>(),
        logarithm in -1.0..1.0f64,
    ) {
        let small = Small::new(&[input, hidden, output], &[if leaky { 2 } else { 1 }], seed);
        let norm = 10f64.powf(logarithm);
        let (found, bound) = (small.attack_patterns(norm), small.bound(norm, 1.0));
        prop_assert!(found <= bound * (1.0 + TOLERANCE), "{found} beyond {bound}");
    }

    #[test]
    fn the_bound_is_the_tangents_inside_the_linear_region(
        widths in widths(), kinds in prop::collection::vec(0..3usize, 6), seed in any::<u64>(), share in 0.01..0.99f64,
    ) {
        let small = Small::new(&widths, &kinds, seed);
        let rounded = RoundedNetwork::of(&small.network()).unwrap();
        let problem = SlopeInterval::new(&rounded, &small.input(), None);
        let region = problem.linear_region().unwrap().0.min(1e3);
        let input = Tensor::from_slice(&small.input(), (1, widths[0]), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        let jacobian = network_jacobian(&small.network(), &input).unwrap();
        let (norm, spectral) = (share * region, jacobian.singular_values().max());
        let bound = small.bound(norm, 1.0);
        prop_assert!((bound - norm * spectral).abs() <= TOLERANCE * norm * (spectral + 1e-3), "{bound}");
    }
}

#[test]
fn the_same_hunt_catches_a_bound_whose_ranges_are_too_narrow() {
    // Ranges for a tenth of the perturbation: slopes that do change are taken for certain.
    let caught = (0..300_u64)
        .filter(|&seed| {
            let small = Small::new(&[4, 6, 5, 3], &[1, 1], seed);
            small.attack(2.0, seed) > small.bound(2.0, 0.1) * (1.0 + TOLERANCE)
        })
        .count();
    assert!(caught > 10, "{caught} of 300");
}
