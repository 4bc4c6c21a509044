//! Layers that are not dense: maps against plain loops, bounds against samples, wide layers against narrow ones.

// Small whole numbers throughout.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap, clippy::type_complexity)]

use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;

use super::rounded_map::RoundedMap;
use super::{find_scalings, linear_region_radius, network_jacobian, RoundedNetwork, Rounds, SlopeInterval};
use crate::certificate::NetworkEvidence;
use crate::model::activation::ALL_ACTIVATIONS;
use crate::model::kernel::{Slopes, Then};
use crate::model::layer::{LayerShape, Map, Windows};
use crate::model::network::Layer;
use crate::model::{Activation, Network};
use crate::seed::{standard_normal, Seed};
use crate::testing::seeded;

fn draws(name: &str, seed: u64, count: usize) -> Vec<f64> {
    standard_normal::<f32>(&mut Seed(seed).stream(name), count).into_iter().map(f64::from).collect()
}

/// A layer with random weights.
fn layer(map: Map, activation: Activation, seed: u64) -> Layer {
    let tensors = map.parameters().into_iter().map(|(name, shape)| {
        let count = shape.iter().product();
        let values = match &map {
            Map::Gather { inputs, .. } => {
                let index = draws(name, seed, count).into_iter();
                index.map(|draw| ((draw.abs() * 1e4) as usize % (inputs + 1)) as f64 - 1.0).collect()
            }
            _ => draws(name, seed, count),
        };
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    });
    let shape = LayerShape { map, activation };
    shape.check().unwrap();
    Layer::new(shape, tensors.collect()).unwrap()
}

fn windows(
    input: [usize; 3],
    channels: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
) -> Windows {
    let size = |length: usize| (length + 2 * padding).saturating_sub(dilation * (kernel - 1) + 1) / stride + 1;
    let output = [channels, size(input[1]), size(input[2])];
    let (kernel, stride, dilation, padding) = ([kernel; 2], [stride; 2], [dilation; 2], [padding; 2]);
    Windows { input, output, kernel, stride, dilation, padding, groups: 1 }
}

/// Maps of every kind on 4 × 6 × 5 images.
fn any_map() -> impl Strategy<Value = Map> {
    let convolution = (1..4usize, 1..3usize, 1..3usize, 0..2usize, prop_oneof![Just(1), Just(2)]).prop_map(
        |(kernel, stride, dilation, padding, groups)| Windows {
            groups,
            ..windows([4, 6, 5], 2, kernel, stride, dilation, padding.min(kernel - 1))
        },
    );
    prop_oneof![
        convolution.clone().prop_map(Map::Convolution),
        convolution.clone().prop_map(|windows| Map::TransposedConvolution(windows.transposed())),
        (1..50usize).prop_map(|outputs| Map::Gather { inputs: 120, outputs }),
        convolution.prop_map(|w| Map::MaxPool(Windows { groups: 4, output: [4, w.output[1], w.output[2]], ..w })),
        Just(Map::Dense { inputs: 120, outputs: 7 }),
    ]
}

/// The map by the formulas of its documentation.
fn plainly(layer: &Layer, input: &[f64]) -> Vec<f64> {
    let values = |i: usize| layer.parameters[i].flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let sliding = |w: &Windows, mut visit: Box<dyn FnMut([usize; 2], [usize; 2], [usize; 2]) + '_>| {
        for (row, column) in (0..w.output[1]).flat_map(|row| (0..w.output[2]).map(move |column| (row, column))) {
            for (i, j) in (0..w.kernel[0]).flat_map(|i| (0..w.kernel[1]).map(move |j| (i, j))) {
                let y = (row * w.stride[0] + i * w.dilation[0]) as i64 - w.padding[0] as i64;
                let x = (column * w.stride[1] + j * w.dilation[1]) as i64 - w.padding[1] as i64;
                if (0..w.input[1] as i64).contains(&y) && (0..w.input[2] as i64).contains(&x) {
                    visit([row, column], [i, j], [y as usize, x as usize]);
                }
            }
        }
    };
    let at = |shape: [usize; 3], c: usize, p: [usize; 2]| (c * shape[1] + p[0]) * shape[2] + p[1];
    let convolve = |w: &Windows, mut add: Box<dyn FnMut(usize, usize, f64) + '_>| {
        let weight = values(0);
        let (seen, made) = (w.input[0] / w.groups, w.output[0] / w.groups);
        for (o, i) in (0..w.output[0]).flat_map(|o| (0..seen).map(move |i| (o, i))) {
            sliding(
                w,
                Box::new(|to, k, from| {
                    let weight = weight[((o * seen + i) * w.kernel[0] + k[0]) * w.kernel[1] + k[1]];
                    add(at(w.output, o, to), at(w.input, o / made * seen + i, from), weight);
                }),
            );
        }
    };
    match &layer.shape.map {
        Map::Dense { inputs, .. } => {
            let (weight, bias) = (values(0), values(1));
            weight
                .chunks(*inputs)
                .zip(bias)
                .map(|(row, b)| row.iter().zip(input).map(|(w, x)| w * x).sum::<f64>() + b)
                .collect()
        }
        Map::Gather { .. } => values(0).iter().map(|&i| if i < 0.0 { 0.0 } else { input[i as usize] }).collect(),
        Map::Convolution(w) => {
            let area = w.output[1] * w.output[2];
            let mut output: Vec<f64> = values(1).iter().flat_map(|&b| vec![b; area]).collect();
            convolve(w, Box::new(|to, from, weight| output[to] += weight * input[from]));
            output
        }
        Map::TransposedConvolution(w) => {
            let area = w.output[1] * w.output[2];
            let mut output: Vec<f64> = values(1).iter().flat_map(|&b| vec![b; area]).collect();
            convolve(&w.transposed(), Box::new(|from, to, weight| output[to] += weight * input[from]));
            output
        }
        Map::MaxPool(w) => {
            let mut output = vec![f64::NEG_INFINITY; w.output.iter().product()];
            for c in 0..w.output[0] {
                sliding(
                    w,
                    Box::new(|to, _, from| {
                        let place = at(w.output, c, to);
                        output[place] = output[place].max(input[at(w.input, c, from)]);
                    }),
                );
            }
            output
        }
    }
}

/// Convolutions of every kind, larger and stranger than [`any_map`]'s, and dense layers that fill no whole number of vectors.
fn any_product() -> impl Strategy<Value = Map> {
    let axis = || (1..12usize, 1..5usize, 1..4usize, 1..3usize, 0..4usize, 0..3usize);
    let convolution = (axis(), axis(), 1..4usize, 1..4usize, 1..3usize).prop_map(
        |((height, k0, s0, d0, p0, more0), (width, k1, s1, d1, p1, more1), from, to, groups)| {
            // Padding at the far side may be wider or narrower than needed.
            let size = |length: usize, k: usize, s: usize, d: usize, p: usize, more: usize| {
                (length + 2 * p).saturating_sub(d * (k - 1) + 1) / s + 1 + more
            };
            Windows {
                input: [from * groups, height, width],
                output: [to * groups, size(height, k0, s0, d0, p0, more0), size(width, k1, s1, d1, p1, more1)],
                kernel: [k0, k1],
                stride: [s0, s1],
                dilation: [d0, d1],
                padding: [p0, p1],
                groups,
            }
        },
    );
    prop_oneof![
        convolution.clone().prop_map(Map::Convolution),
        convolution.prop_map(|windows| Map::TransposedConvolution(windows.transposed())),
        (1..40usize, 1..70usize).prop_map(|(inputs, outputs)| Map::Dense { inputs, outputs }),
    ]
}

fn row(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, (1, values.len()), &Device::Cpu).unwrap()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

proptest! {
    #![proptest_config(seeded(200))]

    /// Weights laid out for vectors against candle's own products, in both precisions, forwards, along tangents and backwards,
    /// with what follows a product folded in.
    #[test]
    fn products_of_laid_out_weights_agree_with_candles_own(
        map in any_product(), which in 0..ALL_ACTIVATIONS.len(), rows in 1..9usize, seed in 0..1000u64,
    ) {
        let (inputs, outputs) = (map.inputs(), map.outputs());
        let double = layer(map, ALL_ACTIVATIONS[which], seed);
        let tensor = |name: &str, width: usize| {
            Tensor::from_vec(draws(name, seed, rows * width), (rows, width), &Device::Cpu).unwrap()
        };
        let (x, tangent, gradient) = (tensor("x", inputs), tensor("tangent", inputs), tensor("gradient", outputs));
        let evaluated = |layer: &Layer, dtype: DType| {
            let [x, tangent, gradient] = [&x, &tangent, &gradient].map(|tensor| tensor.to_dtype(dtype).unwrap());
            let output = layer.forward(&x).unwrap();
            let slopes = Then::Slopes(Slopes { output: &output, activation: layer.activation() });
            let along = layer.linear(&tangent, &x, slopes).unwrap();
            let squashed = x.tanh().unwrap();
            let before = Then::Slopes(Slopes { output: &squashed, activation: Activation::Tanh });
            let back = layer.adjoint(&gradient, &x, before).unwrap();
            [output, along, back].map(|t| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap())
        };
        let laid_out = evaluated(&double, DType::F64);
        let near = |other: [Vec<f64>; 3], tolerance: f64| {
            laid_out.iter().zip(&other).all(|(a, b)| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance))
        };
        // Sums of at most 16 · 16 products of a few units each.
        prop_assert!(near(evaluated(&double.in_training(), DType::F64), 1e-10));
        if !ALL_ACTIVATIONS[which].is_piecewise_linear() || ALL_ACTIVATIONS[which] == Activation::Identity {
            let parameters = double.parameters.iter().map(|p| p.to_dtype(DType::F32).unwrap()).collect();
            let single = Layer::new(double.shape, parameters).unwrap();
            prop_assert!(near(evaluated(&single, DType::F32), 1e-2));
        }
    }

    #[test]
    fn maps_agree_with_plain_loops_and_are_tied_to_their_adjoints(map in any_map(), seed in 0..1000u64) {
        let layer = layer(map, Activation::Identity, seed);
        let (inputs, outputs) = (map.inputs(), map.outputs());
        let network = Network::new(vec![layer.clone()]);
        let (x, v, y) = (draws("x", seed, 3 * inputs), draws("v", seed, 3 * inputs), draws("y", seed, 3 * outputs));
        let rows = |values: &[f64], width| Tensor::from_slice(values, (3, width), &Device::Cpu).unwrap();
        let trace = network.trace(&rows(&x, inputs)).unwrap();
        let found: Vec<Vec<f64>> = trace.output().to_vec2().unwrap();
        for (found, input) in found.iter().zip(x.chunks(inputs)) {
            let expected = plainly(&layer, input);
            prop_assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        }
        // ⟨y, Jv⟩ = ⟨Jᵀy, v⟩.
        let tangent: Vec<f64> = network.tangent(&trace, &rows(&v, inputs)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let gradient: Vec<f64> = network.pull_back(&trace, rows(&y, outputs)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        prop_assert!((dot(&y, &tangent) - dot(&gradient, &v)).abs() < 1e-10);
        // A small step changes the output by the tangent.
        let step = 1e-7;
        let moved: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x + step * v).collect();
        for ((row, input), tangent) in moved.chunks(inputs).zip(x.chunks(inputs)).zip(tangent.chunks(outputs)) {
            let (after, before) = (plainly(&layer, row), plainly(&layer, input));
            let off = after.iter().zip(&before).zip(tangent).map(|((a, b), t)| ((a - b) / step - t).abs()).fold(0.0, f64::max);
            prop_assert!(off < 1e-6, "{off}");
        }
    }

    #[test]
    fn norms_rows_and_products_of_maps_are_those_of_their_matrices(map in any_map(), seed in 0..1000u64) {
        let layer = layer(map, Activation::Identity, seed);
        let rounded = RoundedMap::of(&layer).unwrap();
        let x = DVector::from_vec(draws("x", seed, map.inputs()));
        let expected = DVector::from_vec(plainly(&layer, x.as_slice()));
        prop_assert!((rounded.forward(&x) - &expected).norm() < 1e-11);
        if rounded.is_maximum() {
            let y = DVector::from_vec(draws("y", seed, map.inputs()));
            let moved = (rounded.forward(&y) - rounded.forward(&x)).norm();
            prop_assert!(moved <= rounded.norms().spectral * (y - x).norm());
            return Ok(());
        }
        let matrix = rounded.unrolled().value.clone();
        prop_assert!((&matrix * &x + rounded.bias() - &expected).norm() < 1e-11);
        let largest = |matrix: &DMatrix<f64>| matrix.singular_values().max();
        prop_assert!(rounded.norms().spectral >= largest(&matrix) * (1.0 - 1e-12));
        prop_assert!(rounded.norms().absolute >= largest(&matrix.map(f64::abs)) * (1.0 - 1e-12));
        let gram = rounded.gram();
        prop_assert!((gram.value - &matrix * matrix.transpose()).norm() <= gram.error + 1e-11);
        let units: Vec<usize> = (0..map.outputs()).step_by(3).collect();
        prop_assert_eq!(rounded.rows(&units), matrix.select_rows(&units));
        let mut visited = DMatrix::zeros(matrix.nrows(), matrix.ncols());
        rounded.for_each_entry(|to, from, weight| visited[(to, from)] += weight);
        prop_assert!((visited - matrix).norm() < 1e-13);
    }
}

/// 1 × 6 × 6 → 3 × 5 × 5 → 4 × 3 × 3 → 5 → 2, with this activation.
fn encoder(activation: Activation, seed: u64) -> Network {
    let first = windows([1, 6, 6], 3, 2, 1, 1, 0);
    let second = windows(first.output, 4, 3, 1, 1, 0);
    let layers = vec![
        layer(Map::Convolution(first), activation, seed),
        layer(Map::Convolution(second), activation, seed + 1),
        layer(Map::Dense { inputs: 36, outputs: 5 }, activation, seed + 2),
        layer(Map::Dense { inputs: 5, outputs: 2 }, Activation::Identity, seed + 3),
    ];
    Network::new(layers)
}

/// The limits for full matrices: everything narrow, one layer wide, two layers wide, the same without a full P, and with
/// few uncertain slopes allowed behind the wide layer.
const LIMITS: [[usize; 3]; 7] =
    [[100; 3], [40, 100, 100], [20, 100, 100], [40, 10, 100], [20, 10, 100], [40, 100, 3], [40, 10, 3]];

/// 2 × 6 × 5 → maxima over overlapping windows → 3 channels of convolution → maxima again, twice → 2.
fn encoder_with_maxima(activation: Activation, seed: u64) -> Network {
    let pool = |input: [usize; 3], kernel, stride, padding| Windows {
        groups: input[0],
        ..windows(input, input[0], kernel, stride, 1, padding)
    };
    let first = pool([2, 6, 5], 3, 1, 1);
    let second = windows(first.output, 3, 2, 1, 1, 0);
    let third = pool(second.output, 2, 2, 0);
    let fourth = pool(third.output, 2, 1, 0);
    let inputs = fourth.output.iter().product();
    let layers = vec![
        layer(Map::MaxPool(first), Activation::Identity, seed),
        layer(Map::Convolution(second), activation, seed + 1),
        layer(Map::MaxPool(third), activation, seed),
        layer(Map::MaxPool(fourth), Activation::Identity, seed),
        layer(Map::Dense { inputs, outputs: 2 }, Activation::Identity, seed + 3),
    ];
    Network::new(layers)
}

/// Everything narrow; wide layers with P as a matrix, as a number, and with few uncertain slopes behind them.
const LIMITS_WITH_MAXIMA: [[usize; 3]; 4] = [[1000; 3], [50, 100, 100], [50, 10, 100], [100, 100, 3]];

fn rounds() -> Rounds {
    Rounds { output: 3, hidden: 1 }
}

/// Steps along the gradient of the distance, from random starts, stay within the bound.
fn hold_against_ascents(
    network: &Network,
    rounded: &RoundedNetwork,
    inputs: usize,
    seed: u64,
    norm: f64,
) -> Result<(), TestCaseError> {
    let input = single(&draws("input", seed, inputs));
    let problem = SlopeInterval::new(rounded, &input, None);
    let alike = DVector::from_element(2, 1.0);
    let Ok((evidence, reach)) = find_scalings(&problem, norm, &NetworkEvidence::default(), &alike, rounds()) else {
        return Ok(());
    };
    let bound = problem.reach(norm, &evidence).unwrap().norm;
    prop_assert!(bound == reach.norm, "what the search returns is what its scalings give");
    let x: Vec<f64> = input.iter().map(|&value| f64::from(value)).collect();
    let output = |x: &[f64]| {
        DVector::from_vec(network.forward(&row(x)).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap())
    };
    let before = output(&x);
    for start in 0..6 {
        let mut delta = DVector::from_vec(draws("delta", seed + start, inputs));
        for _ in 0..8 {
            delta *= norm / delta.norm();
            let at: Vec<f64> = x.iter().zip(&delta).map(|(x, d)| x + d).collect();
            let moved = output(&at) - &before;
            prop_assert!(moved.norm() <= bound * (1.0 + 1e-9), "{} beyond {bound}", moved.norm());
            let jacobian = network_jacobian(network, &row(&at)).unwrap();
            delta += jacobian.tr_mul(&moved) * (norm / (1e-12 + jacobian.norm() * moved.norm()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(seeded(40))]

    #[test]
    fn no_perturbation_moves_a_convolutional_encoder_beyond_its_bound(
        seed in 0..1000u64, norm in 0.001..0.3f64, which in 0..LIMITS.len(),
        activation in prop_oneof![Just(Activation::Relu), Just(Activation::Elu { alpha: 1.5 }), Just(Activation::Tanh), Just(Activation::Clip { low: -1.0, high: 1.0 })],
    ) {
        let network = encoder(activation, seed);
        let rounded = RoundedNetwork::of(&network).unwrap().limited(LIMITS[which]);
        prop_assert_eq!(rounded.tail_start() > 0, which > 0);
        hold_against_ascents(&network, &rounded, 36, seed, norm)?;
    }

    #[test]
    fn no_perturbation_moves_an_encoder_with_maxima_beyond_its_bound(
        seed in 0..1000u64, norm in 0.001..0.5f64, which in 0..LIMITS_WITH_MAXIMA.len(),
        activation in prop_oneof![Just(Activation::Relu), Just(Activation::Tanh)],
    ) {
        let network = encoder_with_maxima(activation, seed);
        let rounded = RoundedNetwork::of(&network).unwrap().limited(LIMITS_WITH_MAXIMA[which]);
        hold_against_ascents(&network, &rounded, 60, seed, norm)?;
    }

    #[test]
    fn inside_the_linear_region_maxima_cost_nothing(seed in 0..1000u64, which in 0..LIMITS_WITH_MAXIMA.len()) {
        let network = encoder_with_maxima(Activation::Relu, seed);
        let rounded = RoundedNetwork::of(&network).unwrap().limited(LIMITS_WITH_MAXIMA[which]);
        let values = draws("input", seed, 60);
        let problem = SlopeInterval::new(&rounded, &single(&values), None);
        let (radius, _) = problem.linear_region().unwrap();
        // Overlapping windows may share their largest place, and a further maximum then has no leader.
        prop_assume!(radius > 0.0);
        let jacobian = network_jacobian(&network, &row(&values)).unwrap();
        let exact = jacobian.singular_values().max();
        let chains = problem.hidden_layers();
        let evidence = NetworkEvidence { chains: (1..=chains).map(|layers| vec![Default::default(); layers]).collect() };
        prop_assert!(radius <= linear_region_radius(&network, &row(&values)).unwrap() * (1.0 + 1e-9));
        let found = problem.reach(0.999 * radius, &evidence).unwrap().norm / (0.999 * radius);
        prop_assert!(found >= exact * (1.0 - 1e-9) && found <= exact * (1.0 + 1e-6) + 1e-9, "{found} against {exact}");
    }

    #[test]
    fn where_every_slope_is_certain_wide_and_narrow_bounds_are_the_exact_norm(seed in 0..1000u64, which in 0..LIMITS.len()) {
        let network = encoder(Activation::Identity, seed);
        let rounded = RoundedNetwork::of(&network).unwrap().limited(LIMITS[which]);
        let input = single(&draws("input", seed, 36));
        let problem = SlopeInterval::new(&rounded, &input, None);
        let evidence = NetworkEvidence { chains: (1..=3).map(|layers| vec![Default::default(); layers]).collect() };
        let exact = network_jacobian(&network, &row(&draws("input", seed, 36))).unwrap().singular_values().max();
        let found = problem.reach(0.5, &evidence).unwrap().norm / 0.5;
        prop_assert!(found >= exact * (1.0 - 1e-12) && found <= exact * (1.0 + 1e-6), "{found} against {exact}");
    }
}

#[test]
fn an_only_layer_may_have_any_number_of_inputs() {
    let inputs = 5000;
    let network = Network::new(vec![layer(Map::Dense { inputs, outputs: 2 }, Activation::Identity, 1)]);
    let rounded = RoundedNetwork::of(&network).unwrap();
    let problem = SlopeInterval::new(&rounded, &single(&draws("input", 1, inputs)), None);
    let found = problem.reach(1.0, &NetworkEvidence::default()).unwrap().norm;
    let exact = rounded.layers()[0].map.unrolled().value.singular_values().max();
    assert!(found >= exact * (1.0 - 1e-12) && found <= exact * (1.0 + 1e-9), "{found} against {exact}");
}

#[test]
fn what_lies_between_a_limit_and_the_next_double_is_not_lost() {
    // a = 1 ∓ 2⁻⁶⁰ is 1 in doubles; the next layer sees 2⁶⁰(clip(a) − 1).
    let small = 2f64.powi(-60);
    let dense = |weight: &[f64], bias: f64, activation| {
        let bias = Tensor::new(&[bias], &Device::Cpu).unwrap();
        Layer::dense(row(weight), bias, activation).unwrap()
    };
    let clip = Activation::Clip { low: -1.0, high: 1.0 };
    let network =
        Network::new(vec![dense(&[1.0, 1.0], 0.0, clip), dense(&[1.0 / small], -1.0 / small, Activation::Identity)]);
    let rounded = RoundedNetwork::of(&network).unwrap();
    for (step, expected) in [(-small, -1.0), (small, 0.0)] {
        let output = &rounded.pre_activations(&single(&[1.0, step]))[1];
        assert!((output.values[0] - expected).abs() <= output.error && output.error < 1e-6, "{output:?}");
    }
}

#[test]
fn a_wide_layer_costs_little_sharpness_where_p_is_a_full_matrix() {
    let (network, input) = (encoder(Activation::Relu, 7), single(&draws("input", 7, 36)));
    let bound = |limits| {
        let rounded = RoundedNetwork::of(&network).unwrap().limited(limits);
        let problem = SlopeInterval::new(&rounded, &input, None);
        let alike = DVector::from_element(2, 1.0);
        find_scalings(&problem, 0.05, &NetworkEvidence::default(), &alike, rounds()).unwrap().1.norm
    };
    let (narrow, wide) = (bound(LIMITS[0]), bound(LIMITS[1]));
    assert!(wide < 1.5 * narrow, "{wide} against {narrow}");
}

#[test]
fn the_linear_region_of_a_maximum_ends_where_another_place_wins() {
    // max(x, y) at (3, 1): the gap 2 closes at distance 2/√2.
    let pool = Windows { output: [1, 1, 1], groups: 1, ..windows([1, 1, 2], 1, 1, 1, 1, 0) };
    let pool = Map::MaxPool(Windows { kernel: [1, 2], ..pool });
    let network = Network::new(vec![layer(pool, Activation::Identity, 0)]);
    let radius = linear_region_radius(&network, &row(&[3.0, 1.0])).unwrap();
    assert!((radius - 2.0_f64.sqrt()).abs() < 1e-14, "{radius}");
    let rounded = RoundedNetwork::of(&network).unwrap();
    // What bounds moves takes each place for itself: the gap closes by twice the norm.
    let (radius, shape) = SlopeInterval::new(&rounded, &[3.0, 1.0], None).linear_region().unwrap();
    assert!((radius - 1.0).abs() < 1e-9 && (shape[(0, 0)] - 1.0).abs() < 1e-12, "{radius} {shape}");
}

#[test]
fn what_is_not_a_number_does_not_get_lost_in_a_maximum() {
    let pool = Map::MaxPool(Windows { groups: 1, ..windows([1, 1, 3], 1, 1, 1, 1, 0) });
    let Map::MaxPool(w) = pool else { unreachable!() };
    let pool = Map::MaxPool(Windows { kernel: [1, 3], output: [1, 1, 1], ..w });
    let layer = layer(pool, Activation::Identity, 0);
    for place in 0..3 {
        let mut values = [1.0, 2.0, 3.0];
        values[place] = f64::NAN;
        let output: Vec<f64> = layer.pre_activation(&row(&values)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(output[0].is_nan(), "{place}");
        assert!(RoundedMap::of(&layer).unwrap().forward(&DVector::from_row_slice(&values))[0].is_nan(), "{place}");
    }
}

#[test]
fn an_index_out_of_range_or_between_two_places_is_refused() {
    let map = Map::Gather { inputs: 3, outputs: 1 };
    let shape = LayerShape { map, activation: Activation::Identity };
    for (index, is_fine) in [(2.0, true), (-1.0, true), (3.0, false), (0.5, false), (-2.0, false), (f64::NAN, false)] {
        let index = Tensor::new(&[index], &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        assert_eq!(Layer::new(shape, vec![index]).is_ok(), is_fine);
    }
}
