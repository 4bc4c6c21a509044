use proptest::prelude::*;
use rand::RngExt;
use safetensors::tensor::{Dtype, TensorView};

use super::activation::Activation;
use super::binomial::{at_least, at_most};
use super::checker::{Checker, Data, Fresh};
use super::draws::{quantile_rank, Distances};
use super::map::Map;
use super::matrix::{dominating, factor, gram, largest_eigenvalue, product, roundings, solve, spectral_norm, Matrix};
use super::model::Model;
use super::network::{Layer, Network, Trace};
use super::normal::{cumulative, quantile, upper_tail};
use super::reach::{reach, through};
use super::report::{Report, Step, Verdict};
use super::rounding::gamma;
use super::secant::{slope, Slope};
use super::shares::shares;
use crate::certificate::{
    encode, sha256, Claim, DataIdentity, Draws, Entry, Evidence, ExactBound, Header, LayerScalings, Method,
    ModelIdentity, NetworkEvidence, Outcome, Streams, FORMAT, GENERATOR, SEMANTICS,
};
use crate::quantity::{LowerBound, Probability, Radius, RadiusRule, Threat};
use crate::seed::{Seed, Stream};
use crate::testing::seeded;

mod activations;
mod files;
mod maps;
mod maxima;
mod precise;
mod wide;

fn uniform(stream: &mut Stream) -> f64 {
    2.0 * stream.random::<f64>() - 1.0
}

fn random(rows: usize, columns: usize, stream: &mut Stream) -> Matrix {
    Matrix { rows, columns, entries: (0..rows * columns).map(|_| uniform(stream)).collect() }
}

fn diagonal(values: &[f64]) -> Matrix {
    Matrix::new(values.len(), values.len(), |i, j| if i == j { values[i] } else { 0.0 })
}

fn quadratic(matrix: &Matrix, y: &[f64]) -> f64 {
    (0..matrix.rows).map(|i| y[i] * (0..matrix.rows).map(|j| matrix.at(i, j) * y[j]).sum::<f64>()).sum()
}

fn bound(value: f64) -> LowerBound {
    LowerBound::new(value).unwrap()
}

// Φ and its inverse.

#[test]
fn the_normal_distribution_has_its_published_digits() {
    // Abramowitz & Stegun, table 26.1, and for the far tails mpmath's erfc at 30 digits.
    for (x, expected) in [
        (0.0, 0.5),
        (0.5, 0.691_462_461_274_013_1),
        (1.0, 0.841_344_746_068_542_9),
        (1.5, 0.933_192_798_731_141_9),
        (2.0, 0.977_249_868_051_820_8),
        (3.0, 0.998_650_101_968_369_9),
        (-1.0, 0.158_655_253_931_457_05),
        (-3.0, 0.001_349_898_031_630_094_6),
    ] {
        let found = cumulative(x);
        assert!(found.lower <= expected && expected <= found.upper, "{x}: {found:?}");
        assert!(found.upper - found.lower < 1e-12, "{x}: {found:?}");
    }
    for (x, expected) in [(6.0, 9.865_876_450_376_946e-10), (10.0, 7.619_853_024_160_527e-24)] {
        let tail = upper_tail(x);
        assert!(tail.lower <= expected && expected <= tail.upper && tail.upper - tail.lower < 1e-12 * expected);
    }
}

#[test]
fn the_series_and_the_fraction_agree_where_they_meet() {
    let (below, above) = (upper_tail(1.5), upper_tail(1.5f64.next_up()));
    assert!(below.lower <= above.upper && above.lower <= below.upper);
}

#[test]
fn no_argument_of_the_tail_gives_nonsense() {
    for x in [37.5, 1e300, f64::INFINITY, f64::NAN, -1.0] {
        let tail = upper_tail(x);
        assert!((0.0..=1.0).contains(&tail.lower) && (0.0..=1.0).contains(&tail.upper), "{x}: {tail:?}");
    }
}

proptest! {
    #![proptest_config(seeded(64))]

    #[test]
    fn quantiles_are_sharp_and_enclose(p in 1e-9..1.0f64) {
        let found = quantile(p);
        prop_assert!(found.upper - found.lower < 1e-11, "{:?}", found);
        prop_assert!(cumulative(found.lower).lower <= p && p <= cumulative(found.upper).upper);
    }
}

// Binomial tails.

#[test]
fn tails_match_sums_over_all_terms() {
    for (n, p) in [(1u64, 0.3), (5, 0.01), (12, 0.5), (40, 0.2), (60, 0.9)] {
        let mass = |j: u64| {
            let choose = (0..j).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
            choose * f64::powi(p, i32::try_from(j).unwrap()) * f64::powi(1.0 - p, i32::try_from(n - j).unwrap())
        };
        for k in 0..=n {
            let (upper, lower) = ((k..=n).map(mass).sum::<f64>(), (0..=k).map(mass).sum::<f64>());
            assert!(at_least(k, n, p) >= upper * (1.0 - 1e-13), "{k} of {n}");
            assert!(at_most(k, n, p) >= lower * (1.0 - 1e-13), "{k} of {n}");
            if k as f64 > n as f64 * p + 0.01 {
                assert!(at_least(k, n, p) <= upper * (1.0 + 1e-11), "{k} of {n}: {} {upper}", at_least(k, n, p));
            }
        }
    }
}

#[test]
fn tails_of_many_trials_are_those_of_exact_fractions() {
    // python3: sums of math.comb(n, j)·pʲ(1 − p)ⁿ⁻ʲ as fractions.Fraction, p being the double.
    for (k, n, p, expected) in [
        (940, 1000, 0.91, 0.00029988160148147297),
        (400, 1000, 0.35, 0.0005712962880295259),
        (30, 3000, 0.005, 0.00040315656794519657),
    ] {
        let found = at_least(k, n, p);
        assert!(found >= expected * (1.0 - 1e-15) && found <= expected * (1.0 + 2e-12), "{k} of {n}: {found:e}");
    }
}

#[test]
fn all_successes_allow_the_root_of_the_failure_probability() {
    let (n, alpha) = (1000u64, 0.05_f64);
    let p = alpha.powf(1.0 / n as f64);
    assert!(at_least(n, n, p * (1.0 - 1e-12)) <= alpha);
    assert!(at_least(n, n, p * (1.0 + 1e-12)) > alpha);
}

#[test]
fn the_largest_number_of_trials_is_still_sharp() {
    // Six standard deviations above the mean: within the normal law's value to the skewness correction.
    let (n, p) = (1u64 << 32, 0.5);
    let k = (1u64 << 31) + 6 * (1 << 15);
    let found = at_least(k, n, p);
    assert!((found / 9.865_876_450_377e-10 - 1.0).abs() < 1e-3, "{found}");
    assert_eq!(at_least(3, (1 << 32) + 1, 0.1), 1.0);
}

#[test]
fn impossible_counts_and_probabilities_are_bounded_by_1() {
    assert_eq!((at_least(0, 5, 0.1), at_least(6, 5, 0.1), at_least(1, 5, 0.0)), (1.0, 0.0, 0.0));
    assert_eq!((at_least(2, 5, f64::NAN), at_least(2, 5, 1.0), at_least(2, 5, 2.0)), (1.0, 1.0, 1.0));
    assert_eq!(at_least(4, 5, 1e-320), at_least(4, 5, 1e-320).clamp(0.0, 1.0));
}

#[test]
fn the_rank_of_a_quantile_is_the_first_above_its_order() {
    assert_eq!([quantile_rank(10, 0.7), quantile_rank(10, 0.75), quantile_rank(10, 0.99)], [8, 8, 10]);
    assert_eq!([quantile_rank(1, 0.5), quantile_rank(0, 0.5), quantile_rank(4, 0.1)], [1, 0, 1]);
}

// Matrices.

#[test]
fn norms_and_eigenvalues_of_diagonal_matrices_are_their_largest_entries() {
    for values in [vec![3.0], vec![1.0, 5.0, 2.0], vec![0.5; 9], vec![1e-3, 1e3]] {
        let largest = values.iter().fold(0.0, |a: f64, b| a.max(*b));
        for found in [largest_eigenvalue(&diagonal(&values)), spectral_norm(&diagonal(&values), 100)] {
            assert!(found >= largest && found <= largest * (1.0 + 1e-10), "{values:?}: {found}");
        }
    }
    assert!(largest_eigenvalue(&diagonal(&[0.0, 0.0])) < 1e-100);
    assert!(!largest_eigenvalue(&diagonal(&[f64::NAN, 1.0])).is_finite());
    assert!(spectral_norm(&diagonal(&[3.0, 4.0]), 1) >= 5.0);
}

proptest! {
    #![proptest_config(seeded(48))]

    #[test]
    fn products_keep_their_bound(rows in 1..9usize, columns in 1..9usize, inner in 1..150usize, seed: u64) {
        let mut stream = Seed(seed).stream("product");
        let (a, b) = (random(rows, inner, &mut stream), random(columns, inner, &mut stream));
        let found = product(&a, &b);
        let other = Matrix::new(rows, columns, |i, j| (0..inner).rev().map(|k| a.at(i, k) * b.at(j, k)).sum());
        let difference = Matrix::new(rows, columns, |i, j| found.at(i, j) - other.at(i, j)).norm();
        prop_assert!(difference <= (gamma(roundings(inner)) + gamma(inner)) * a.norm() * b.norm());
    }

    #[test]
    fn eigenvalue_bounds_lie_above_every_quotient_and_close(size in 1..20usize, inner in 1..20usize, seed: u64) {
        let mut stream = Seed(seed).stream("eigenvalue");
        let square = gram(&random(size, inner, &mut stream));
        let found = largest_eigenvalue(&square);
        let mut y: Vec<f64> = (0..size).map(|_| uniform(&mut stream)).collect();
        for _ in 0..3000 {
            let image: Vec<f64> = (0..size).map(|i| (0..size).map(|j| square.at(i, j) * y[j]).sum()).collect();
            let length = image.iter().map(|v| v * v).sum::<f64>().sqrt();
            y = image.iter().map(|v| v / length).collect();
        }
        let quotient = quadratic(&square, &y);
        prop_assert!(found >= quotient * (1.0 - 1e-15) && found <= quotient * (1.0 + 1e-6), "{} {}", found, quotient);
    }

    #[test]
    fn factors_solve(size in 1..30usize, seed: u64) {
        let mut stream = Seed(seed).stream("factor");
        let square = dominating(&gram(&random(size, size, &mut stream)), 1.0);
        let x = random(3, size, &mut stream);
        let found = solve(&factor(size, |i, j| square.at(i, j)).unwrap(), product(&x, &square));
        prop_assert!(found.entries.iter().zip(&x.entries).all(|(a, b)| (a - b).abs() < 1e-10));
    }
}

#[test]
fn what_is_not_positive_definite_has_no_factor() {
    for values in [vec![1.0, 0.0], vec![-1.0], vec![f64::NAN], vec![f64::INFINITY, 1.0]] {
        assert!(factor(values.len(), |i, j| diagonal(&values).at(i, j)).is_none(), "{values:?}");
    }
}

// Secants.

const ALL: [Activation; 13] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.1 },
    Activation::LeakyRelu { slope: 1.0 },
    Activation::Elu { alpha: 1.0 },
    Activation::Elu { alpha: 0.25 },
    Activation::Elu { alpha: 1.6733 },
    Activation::Elu { alpha: 2.0 },
    Activation::Softplus,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Clip { low: -0.5, high: 1.5 },
    Activation::Clip { low: 0.0, high: 6.0 },
];

fn value(activation: Activation, a: f64) -> f64 {
    match activation {
        Activation::Identity => a,
        Activation::Relu => a.max(0.0),
        Activation::LeakyRelu { slope } => {
            if a > 0.0 {
                a
            } else {
                slope * a
            }
        }
        Activation::Elu { alpha } => {
            if a > 0.0 {
                a
            } else {
                alpha * a.exp_m1()
            }
        }
        Activation::Softplus => a.max(0.0) + (-a.abs()).exp().ln_1p(),
        Activation::Tanh => a.tanh(),
        Activation::Sigmoid => 0.5 + 0.5 * (0.5 * a).tanh(),
        Activation::Clip { low, high } => a.clamp(low, high),
    }
}

proptest! {
    #![proptest_config(seeded(400))]

    #[test]
    fn every_secant_lies_within_the_range_and_the_ends_are_attained(
        which in 0..ALL.len(), anchor in -9.0..9.0f64, exponent in -3.0..2.0f64,
    ) {
        let (activation, reach) = (ALL[which], 10f64.powf(exponent));
        let found = slope(activation, anchor, 0.0, reach);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in 1..=20_000 {
            for d in [f64::from(i) / 20_000.0 * reach, -f64::from(i) / 20_000.0 * reach] {
                // Differences of values near 1 are off by a few units of 1/d; tiny d add nothing.
                if d.abs() < 1e-3 * reach { continue; }
                let secant = (value(activation, anchor + d) - value(activation, anchor)) / d;
                low = low.min(secant);
                high = high.max(secant);
            }
        }
        let noise = 1e-15 * (1.0 + anchor.abs() + reach) / (1e-3 * reach);
        let (least, most) = (found.centre - found.half_width, found.centre + found.half_width);
        prop_assert!(least <= low + noise && high <= most + noise, "{:?} {:?}: {} {}", activation, found, low, high);
        // A smooth secant's maximum is met to second order in the spacing; ends near d = 0 to first order.
        prop_assert!(low - least <= 2e-3 * reach.min(1.0) + noise && most - high <= 2e-3 * reach.min(1.0) + noise,
            "{:?} at {} within {}: {:?}, sampled {} {}", activation, anchor, reach, found, low, high);
        prop_assert!(found.largest >= most - 1e-15);
    }

    #[test]
    fn an_uncertain_anchor_widens_the_range_to_those_of_all_anchors(
        which in 0..ALL.len(), anchor in -3.0..3.0f64, reach in 0.01..3.0f64, error in 0.0..0.1f64, at in -1.0..1.0f64,
    ) {
        let (wide, narrow) = (slope(ALL[which], anchor, error, reach), slope(ALL[which], anchor + at * error, 0.0, reach));
        prop_assert!(wide.centre - wide.half_width <= narrow.centre - narrow.half_width + 1e-14);
        prop_assert!(wide.centre + wide.half_width >= narrow.centre + narrow.half_width - 1e-14);
    }

    #[test]
    fn extreme_arguments_give_ranges_within_0_and_the_steepest_slope(
        which in 0..ALL.len(), a in prop::sample::select(vec![0.0, 1e-300, 1.0, 700.0, 1e5, 1e300]), positive: bool,
        error in prop::sample::select(vec![0.0, 1e-12, 1.0, f64::INFINITY]),
        reach in prop::sample::select(vec![1e-310, 1e-12, 1.0, 700.0, 1e300, f64::INFINITY]),
    ) {
        let found = slope(ALL[which], if positive { a } else { -a }, error, reach);
        let (least, most) = (found.centre - found.half_width, found.centre + found.half_width);
        let steepest = ALL[which].steepest();
        prop_assert!(least >= -1e-15 && most <= steepest * (1.0 + 1e-15) && least <= most, "{:?}", found);
    }
}

#[test]
fn a_relu_whose_kink_is_out_of_reach_is_certain() {
    let certain = |centre| Slope { centre, half_width: 0.0, largest: centre };
    assert_eq!(slope(Activation::Relu, 2.0, 1e-12, 1.9), certain(1.0));
    assert_eq!(slope(Activation::Relu, -2.0, 1e-12, 1.9), certain(0.0));
    assert_eq!(slope(Activation::LeakyRelu { slope: 0.25 }, -2.0, 1e-12, 1.9), certain(0.25));
    assert_eq!(slope(Activation::Identity, -2.0, 1e-12, 1e9), certain(1.0));
    // [a/t, 1] and [0, 1 − |a|/t].
    for (a, low, high) in [(0.5, 0.25, 1.0), (-0.5, 0.0, 0.75)] {
        let found = slope(Activation::Relu, a, 0.0, 2.0);
        assert!((found.centre - 0.5 * (low + high)).abs() < 1e-15, "{found:?}");
        assert!((found.half_width - 0.5 * (high - low)).abs() < 1e-15, "{found:?}");
    }
    assert_eq!(slope(Activation::Tanh, 0.3, 0.0, 0.0), certain(0.0));
}

// The lemma.

proptest! {
    #![proptest_config(seeded(64))]

    #[test]
    fn the_lemma_bounds_every_matrix_of_slopes(inner in 1..6usize, width in 1..6usize, outer in 1..5usize, seed: u64) {
        let mut stream = Seed(seed).stream("lemma");
        let (a, weight) = (random(width, inner, &mut stream), random(outer, width, &mut stream));
        // Rows of very different size.
        let sizes: Vec<f64> = (0..width).map(|_| 10f64.powf(-6.0 * stream.random::<f64>())).collect();
        let a = Matrix::new(width, inner, |i, j| sizes[i] * a.at(i, j));
        let q = gram(&a);
        let slopes: Vec<Slope> = (0..width)
            .map(|j| Slope { centre: uniform(&mut stream), half_width: if j % 3 == 2 { 0.0 } else { stream.random() }, largest: 2.0 })
            .collect();
        // Q is at most its width times its diagonal.
        let scalings: Vec<Option<f64>> = (0..width)
            .map(|j| (slopes[j].half_width > 0.0).then(|| q.at(j, j) * width as f64 * (1.1 + stream.random::<f64>())))
            .collect();
        let bound = through(&weight, &q, &slopes, &scalings).unwrap();
        for _ in 0..200 {
            // Corners of the box of slopes and points within.
            let sample: Vec<f64> = slopes.iter().map(|s| {
                let at = uniform(&mut stream);
                s.centre + s.half_width * if stream.random::<bool>() { at } else { at.signum() }
            }).collect();
            let moved = Matrix::new(outer, inner, |i, j| (0..width).map(|k| weight.at(i, k) * sample[k] * a.at(k, j)).sum());
            let y: Vec<f64> = (0..outer).map(|_| uniform(&mut stream)).collect();
            prop_assert!(quadratic(&gram(&moved), &y) <= quadratic(&bound, &y) * (1.0 + 1e-12) + 1e-12);
        }
        // λ too small, or none at all, is refused.
        let tiny: Vec<Option<f64>> = scalings.iter().map(|s| s.map(|s| 0.1 * s / width as f64)).collect();
        if slopes[0].half_width > 0.0 {
            prop_assert!(through(&weight, &q, &slopes, &tiny).is_err());
            prop_assert!(through(&weight, &q, &slopes, &vec![None; width]).is_err());
        }
    }
}

#[test]
fn without_uncertain_slopes_the_lemma_is_a_product() {
    let mut stream = Seed(1).stream("certain");
    let (a, weight) = (random(7, 5, &mut stream), random(3, 7, &mut stream));
    let slopes: Vec<Slope> =
        (0..7).map(|j| Slope { centre: f64::from(j % 2), half_width: 0.0, largest: 1.0 }).collect();
    let bound = through(&weight, &gram(&a), &slopes, &[None; 7]).unwrap();
    let exact = gram(&Matrix::new(3, 5, |i, j| (0..7).map(|k| weight.at(i, k) * slopes[k].centre * a.at(k, j)).sum()));
    assert!(bound.entries.iter().zip(&exact.entries).all(|(a, b)| (a - b).abs() < 1e-13));
}

// Models made by hand.

/// One layer of a model file: map and activation as JSON, and its tensors (name, shape, values).
#[derive(Clone)]
struct FileLayer {
    map: String,
    activation: String,
    tensors: Vec<(&'static str, Vec<usize>, Vec<f32>)>,
}

fn dense(from: usize, to: usize, activation: &str, weight: Vec<f32>, bias: Vec<f32>) -> FileLayer {
    FileLayer {
        map: format!(r#"{{"dense":{{"inputs":{from},"outputs":{to}}}}}"#),
        activation: activation.to_owned(),
        tensors: vec![("weight", vec![to, from], weight), ("bias", vec![to], bias)],
    }
}

/// A model file of these layers of trunk, mean head, standard-deviation head and decoder.
fn file_of(shape: &[usize], latent: usize, parts: &[Vec<FileLayer>; 4], link: &str, likelihood: &str) -> Vec<u8> {
    let part = |i: usize| {
        let layer = |layer: &FileLayer| format!(r#"{{"map":{},"activation":{}}}"#, layer.map, layer.activation);
        parts[i].iter().map(layer).collect::<Vec<_>>().join(",")
    };
    let architecture = format!(
        r#"{{"input_shape":{shape:?},"latent_dim":{latent},"trunk":[{}],"mean_head":[{}],"std_head":[{}],"std_link":{link},"decoder":[{}],"likelihood":{likelihood}}}"#,
        part(0),
        part(1),
        part(2),
        part(3),
    );
    let metadata = format!(r#"{{"format":2,"architecture":{architecture},"training":null,"sha256":"recorded"}}"#);
    let mut tensors = Vec::new();
    for (layers, prefix) in parts.iter().zip(["encoder.trunk", "encoder.mean", "encoder.std", "decoder"]) {
        for (i, layer) in layers.iter().enumerate() {
            for (name, shape, values) in &layer.tensors {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((format!("{prefix}.{i}.{name}"), shape.clone(), bytes));
            }
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, Some([("vaecert".to_owned(), metadata)].into())).unwrap()
}

type Part = (Vec<(usize, &'static str)>, Vec<Vec<f32>>);

/// A model file of dense layers: hidden layers (width, activation as JSON) and, per dense layer, weight and bias in turn.
fn model_file(dims: (usize, usize), parts: [Part; 4], link: &str, floor: f64, likelihood: &str) -> Vec<u8> {
    let (input, latent) = dims;
    let code_source = parts[0].0.last().map_or(input, |layer| layer.0);
    let starts = [(input, None), (code_source, Some(latent)), (code_source, Some(latent)), (latent, Some(input))];
    let mut starts = starts.into_iter();
    let parts = parts.map(|(hidden, values)| {
        let (mut from, last) = starts.next().unwrap();
        let widths = hidden.into_iter().chain(last.map(|last| (last, r#""identity""#)));
        let layer = |((width, activation), values): ((usize, &str), &[Vec<f32>])| {
            let layer = dense(from, width, activation, values[0].clone(), values[1].clone());
            from = width;
            layer
        };
        widths.zip(values.chunks(2)).map(layer).collect()
    });
    file_of(&[input], latent, &parts, &format!(r#""{link}","std_floor":{floor:?}"#), likelihood)
}

/// μ = W x with W = [[1, 0, 0], [0, 2, 0]], σ = exp(b/2) with b = (0, ln 4), g(z) = (z₁, z₂, 0).
fn affine_file() -> Vec<u8> {
    let mean = (vec![], vec![vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0], vec![0.0, 0.0]]);
    let std = (vec![], vec![vec![0.0; 6], vec![0.0, 4f32.ln()]]);
    let decoder = (vec![], vec![vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0], vec![0.0; 3]]);
    model_file((3, 2), [(vec![], vec![]), mean, std, decoder], "half_log_variance", 0.0, r#"{"gaussian":{"std":1.0}}"#)
}

fn random_values(count: usize, scale: f64, stream: &mut Stream) -> Vec<f32> {
    #[allow(clippy::cast_possible_truncation)]
    (0..count).map(|_| (scale * uniform(stream)) as f32).collect()
}

/// A random model with two hidden trunk layers, one of the mean head and one of the decoder.
fn random_file(widths: [usize; 5], activation: &'static str, link: &str, floor: f64, stream: &mut Stream) -> Vec<u8> {
    let [input, a, b, c, latent] = widths;
    let mut layer = |from: usize, to: usize| {
        [random_values(from * to, 1.7 / (from as f64).sqrt(), stream), random_values(to, 0.5, stream)]
    };
    let mut values =
        |sizes: &[(usize, usize)]| sizes.iter().flat_map(|&(from, to)| layer(from, to)).collect::<Vec<_>>();
    let trunk = (vec![(a, activation), (b, activation)], values(&[(input, a), (a, b)]));
    let mean = (vec![(c, activation)], values(&[(b, c), (c, latent)]));
    let std = (vec![], values(&[(b, latent)]));
    let decoder = (vec![(b, activation)], values(&[(latent, b), (b, input)]));
    model_file((input, latent), [trunk, mean, std, decoder], link, floor, r#""bernoulli""#)
}

/// The weight of a layer in full.
fn weight(layer: &Layer) -> Matrix {
    layer.matrix().unwrap().into_owned()
}

/// The ranges of the slopes of step `i` when its units move by at most `reached`.
fn ranges(network: &Network, i: usize, trace: &Trace, reached: &[f64]) -> Vec<Slope> {
    let (anchors, error) = &trace[i];
    match &network.steps[i + 1].map {
        Map::Sums { ends } => shares(ends, anchors, *error, reached).unwrap(),
        _ => anchors.iter().zip(reached).map(|(&a, &t)| slope(network.steps[i].activation, a, *error, t)).collect(),
    }
}

/// Scalings of every unit, far above what positive definiteness needs: λ = factor·‖Q‖_F in every layer.
fn scalings(network: &Network, trace: &Trace, rho: f64, scale: Option<&[f64]>, factor: f64) -> NetworkEvidence {
    let mut chains: Vec<Vec<LayerScalings>> = Vec::new();
    let hidden = network.steps.len() - 1;
    let mut slopes: Vec<Vec<Slope>> = Vec::new();
    for i in 0..hidden {
        // The moves of step i, from the chains so far.
        let first = gram(&weight(&network.steps[0]));
        let (mut chain, mut q, mut before) = (Vec::new(), first.clone(), first);
        for l in 0..=i {
            let width = q.rows;
            let lambda = factor * q.norm();
            if l == i {
                let moved: Vec<f64> = (0..width).map(|j| rho * before.at(j, j).sqrt() * (1.0 + 1e-9)).collect();
                slopes.push(ranges(network, l, trace, &moved));
            }
            chain.push(LayerScalings { units: (0..width).collect(), scalings: vec![lambda; width] });
            let mut next = weight(&network.steps[l + 1]);
            if let Some(scale) = scale.filter(|_| l + 1 == hidden) {
                next = Matrix::new(next.rows, next.columns, |i, j| scale[i] * next.at(i, j));
            }
            q = through(&next, &q, &slopes[l], &vec![Some(lambda); width]).unwrap();
            before = q.clone();
        }
        chains.push(chain);
    }
    NetworkEvidence { chains }
}

#[test]
fn within_a_linear_region_the_reach_is_sharp_to_a_few_roundings() {
    let mut stream = Seed(1).stream("sharp");
    let file = random_file([60, 80, 70, 40, 8], r#""relu""#, "softplus", 0.0, &mut stream);
    let model = Model::read(&file).unwrap();
    let (code, rho) = (model.encode(&random_values(60, 1.0, &mut stream)), 1e-6);
    let layers = &model.mean.layers;
    let chains = (0..3).map(|i| vec![LayerScalings::default(); i + 1]).collect();
    let found = reach(&model.mean, &code.mean_trace, rho, &NetworkEvidence { chains }, None).unwrap().distance(rho);
    let jacobian = (1..4).fold(weight(&layers[0]), |jacobian, l| {
        let active = |j: usize| f64::from(u8::from(code.mean_trace[l - 1].0[j] > 0.0));
        let masked = Matrix::new(jacobian.columns, jacobian.rows, |i, j| active(j) * jacobian.at(j, i));
        product(&weight(&layers[l]), &masked)
    });
    let exact = rho * spectral_norm(&jacobian, 100);
    assert!((found / exact - 1.0).abs() < 1e-10, "{found} {exact}");
}

#[test]
fn a_model_file_that_is_cut_off_or_changed_anywhere_in_its_head_is_refused_or_read_without_a_crash() {
    let file = affine_file();
    for length in 0..file.len() {
        assert!(Model::read(&file[..length]).is_err());
    }
    for at in 0..file.len().min(700) {
        for byte in [0, b'"', b'9', b'{', 255] {
            let mut changed = file.clone();
            changed[at] = byte;
            let _ = Model::read(&changed);
        }
    }
}

#[test]
fn the_reach_of_an_affine_encoder_is_the_norm_of_its_scaled_weight() {
    let model = Model::read(&affine_file()).unwrap();
    let code = model.encode(&[0.5, 0.25, 0.0]);
    let scale: Vec<f64> = code.std.iter().map(|(low, _)| 1.0 / low).collect();
    // S⁻¹W = diag(1, 2/2).
    let found = reach(&model.mean, &code.mean_trace, 0.3, &NetworkEvidence::default(), Some(&scale)).unwrap();
    assert!((found.distance(0.3) - 0.3).abs() < 1e-7 && found.distance(0.3) >= 0.3);
}

#[test]
fn the_reach_of_a_single_relu_is_found_by_hand() {
    // h = max(x − 1, 0) at x = 1.5 within 1: slopes in [1/2, 1], c = 3/4, w = 1/4; Q₀ = 1, weight 2, λ: the lemma gives
    // 4(c² + c²/(λ − 1) + λw²), least at λ = 1 + c/w = 4: 4(c + w)² = 4.
    let relu = (vec![(1, r#""relu""#)], vec![vec![1.0], vec![-1.0]]);
    let head = || (vec![], vec![vec![2.0], vec![0.0]]);
    let decoder = (vec![], vec![vec![1.0], vec![0.0]]);
    let file = model_file((1, 1), [relu, head(), head(), decoder], "softplus", 0.1, r#""bernoulli""#);
    let model = Model::read(&file).unwrap();
    let code = model.encode(&[1.5]);
    let with = |scaling: f64| {
        let chains = vec![vec![LayerScalings { units: vec![0], scalings: vec![scaling] }]];
        reach(&model.mean, &code.mean_trace, 1.0, &NetworkEvidence { chains }, None)
    };
    let found = with(4.0).unwrap();
    assert!((found.distance(1.0) - 2.0).abs() < 1e-12 && found.distance(1.0) >= 2.0, "{}", found.distance(1.0));
    assert!(with(5.0).unwrap().distance(1.0) > 2.0);
    assert!(with(1.0).is_err() && with(0.5).is_err());
    for chains in [
        vec![],
        vec![vec![]],
        vec![vec![LayerScalings::default()]],
        vec![vec![LayerScalings { units: vec![1], scalings: vec![4.0] }]],
        vec![vec![LayerScalings { units: vec![0, 0], scalings: vec![4.0, 4.0] }]],
        vec![vec![LayerScalings { units: vec![0], scalings: vec![] }]],
        vec![vec![LayerScalings { units: vec![0], scalings: vec![f64::NAN] }]],
        vec![vec![LayerScalings { units: vec![0], scalings: vec![-4.0] }]],
    ] {
        let refused = reach(&model.mean, &code.mean_trace, 1.0, &NetworkEvidence { chains: chains.clone() }, None);
        assert!(refused.is_err(), "{chains:?}");
    }
}

proptest! {
    #![proptest_config(seeded(24))]

    #[test]
    fn no_sampled_perturbation_leaves_the_reach(which in 0..6usize, exponent in -3.0..0.3f64, seed: u64) {
        let activation = [
            r#""relu""#,
            r#"{"elu":{"alpha":1.0}}"#,
            r#""softplus""#,
            r#""tanh""#,
            r#"{"elu":{"alpha":1.6}}"#,
            r#"{"clip":{"low":-0.25,"high":0.5}}"#,
        ][which];
        let mut stream = Seed(seed).stream("reach");
        let model = Model::read(&random_file([5, 6, 4, 3, 2], activation, "half_log_variance", 0.01, &mut stream)).unwrap();
        let x = random_values(5, 1.0, &mut stream);
        let (code, rho) = (model.encode(&x), 10f64.powf(exponent));
        let evidence = scalings(&model.mean, &code.mean_trace, rho, None, 3.0);
        let found = reach(&model.mean, &code.mean_trace, rho, &evidence, None).unwrap();
        let (distance, moves) = (found.distance(rho), found.moves(rho));
        let mut furthest: f64 = 0.0;
        for _ in 0..300 {
            let direction = random_values(5, 1.0, &mut stream);
            let length = direction.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
            #[allow(clippy::cast_possible_truncation)]
            let attacked: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + (f64::from(*d) / length * rho * 0.999) as f32).collect();
            let moved: Vec<f64> = model.encode(&attacked).mean.0.iter().zip(&code.mean.0).map(|(a, b)| a - b).collect();
            furthest = furthest.max(moved.iter().map(|m| m * m).sum::<f64>().sqrt());
            prop_assert!(moved.iter().zip(&moves).all(|(moved, most): (&f64, &f64)| moved.abs() <= *most));
        }
        prop_assert!(furthest <= distance, "{} {}", furthest, distance);
        // Within a small ball nearly nothing is lost.
        if exponent < -2.5 && (1..4).contains(&which) { prop_assert!(distance < 3.0 * furthest, "{} {}", furthest, distance); }
    }
}

proptest! {
    #![proptest_config(seeded(24))]

    #[test]
    fn no_sampled_perturbation_moves_a_std_beyond_its_bound(soft: bool, floor in 0.0..0.5f64, exponent in -3.0..0.0f64, seed: u64) {
        let mut stream = Seed(seed).stream("std");
        let link = if soft { "softplus" } else { "half_log_variance" };
        let floor = if floor < 0.1 { 0.0 } else { floor };
        let model = Model::read(&random_file([5, 6, 4, 3, 2], r#""sigmoid""#, link, floor, &mut stream)).unwrap();
        let x = random_values(5, 1.0, &mut stream);
        let (code, rho) = (model.encode(&x), 10f64.powf(exponent));
        let evidence = scalings(&model.std, &code.std_trace, rho, None, 3.0);
        let moves = reach(&model.std, &code.std_trace, rho, &evidence, None).unwrap().moves(rho);
        for _ in 0..200 {
            let direction = random_values(5, 1.0, &mut stream);
            let length = direction.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
            #[allow(clippy::cast_possible_truncation)]
            let attacked: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + (f64::from(*d) / length * rho * 0.999) as f32).collect();
            for (i, (found, before)) in model.encode(&attacked).std.iter().zip(&code.std).enumerate() {
                let moved = (found.0 / before.0).ln().abs();
                prop_assert!(moved <= model.log_std_slope(code.std_trace[2].0[i], moves[i]) * moves[i] + 1e-12);
            }
        }
    }
}

// Whole certificates.

/// The affine model's certificate of one input and everything that it is about.
struct Case {
    file: Vec<u8>,
    shape: Vec<usize>,
    values: Vec<f32>,
    header: Header,
    entry: Entry,
}

impl Case {
    /// An entry of `method` for the second of three inputs; ρ = `rho`, λ far above what is needed.
    fn new(file: Vec<u8>, shape: &[usize], threat: Threat, rule: RadiusRule, method: Method, rho: f64) -> Self {
        let dim = shape.iter().product::<usize>();
        let values = random_values(3 * dim, 1.0, &mut Seed(11).stream("data"));
        let probability = |p| Probability::new(p).unwrap();
        let identity = Self::identities(&file, shape, &values);
        let mut header = Header {
            format: FORMAT,
            vaecert_version: "0.1.0".to_owned(),
            claim: String::new(),
            semantics: SEMANTICS.to_owned(),
            threat,
            norm: "l2".to_owned(),
            level: Probability::HALF,
            failure_probability: probability(0.01),
            first: 1,
            inputs: 2,
            radius_rule: rule,
            selection_draws: if matches!(rule, RadiusRule::Quantile(_)) { 400 } else { 0 },
            estimation_draws: 1500,
            seed: 5,
            streams: Streams {
                generator: GENERATOR.to_owned(),
                selection: "input/{input}/selection".to_owned(),
                estimation: "input/{input}/estimation".to_owned(),
            },
            model: identity.0,
            data: identity.1,
            machine_dependent_milliseconds_per_input: None,
            shard: None,
        };
        header.claim = header.words();
        let model = Model::read(&file).unwrap();
        let (radius, draws) = Self::counted(&header, &model, &values[dim..2 * dim]);
        let evidence = Self::evidence(&header, &model, &values[dim..2 * dim], method, rho);
        let claim = Claim { words: String::new(), certified_radius: ExactBound::new(bound(rho)), method, evidence };
        let entry = Entry {
            run: String::new(),
            input: 1,
            input_sha256: String::new(),
            outcome: Outcome::Certified,
            reasons: vec![],
            radius: Some(radius),
            draws: Some(draws),
            claim: Some(claim),
        };
        let mut case = Self { file, shape: shape.to_vec(), values, header, entry };
        case.settle();
        case
    }

    fn identities(file: &[u8], shape: &[usize], values: &[f32]) -> (ModelIdentity, DataIdentity) {
        let dataset = crate::data::Dataset::new("made by hand", shape.to_vec(), values.to_vec()).unwrap();
        let (name, split) = ("made by hand".to_owned(), "test".to_owned());
        let model = ModelIdentity { file_sha256: sha256(file), weights_sha256: "recorded".to_owned() };
        (model, DataIdentity { name, split, seed: 0, sha256: dataset.sha256() })
    }

    /// r and the draws as the streams give them.
    fn counted(header: &Header, model: &Model, input: &[f32]) -> (Radius, Draws) {
        let code = model.encode(input);
        let distances = Distances::new(model, &code);
        let radius = match header.radius_rule {
            RadiusRule::Absolute(radius) => radius,
            RadiusRule::Quantile(order) => {
                let rank = quantile_rank(header.selection_draws, order.get());
                let within = |r| distances.ranks(header.seed, "input/1/selection", header.selection_draws, r, r).0;
                let (mut low, mut high) = (0.0, 1e3);
                for _ in 0..60 {
                    let middle = 0.5 * (low + high);
                    if within(middle) >= rank {
                        high = middle
                    } else {
                        low = middle
                    }
                }
                Radius::new(high).unwrap()
            }
        };
        let n = header.estimation_draws;
        let inside = distances.tally(header.seed, "input/1/estimation", n, radius.get()).certain;
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if at_least(inside, n, middle) <= header.failure_probability.get() / 2.0 * (1.0 - 1e-9) {
                low = middle
            } else {
                high = middle
            }
        }
        (radius, Draws { draws: n, inside, probability_lower: bound(low) })
    }

    fn evidence(header: &Header, model: &Model, input: &[f32], method: Method, rho: f64) -> Evidence {
        if method == Method::APriori {
            return Evidence::Norms;
        }
        let code = model.encode(input);
        let scale: Vec<f64> = code.std.iter().map(|(low, _)| 1.0 / low).collect();
        let found = |network: &Network, trace: &Trace, scale| match network.tail() {
            0 => scalings(network, trace, rho, scale, 1.5),
            _ => wide::found(network, trace, rho, scale).evidence,
        };
        let mut mean = found(&model.mean, &code.mean_trace, Some(&scale));
        let mut std = found(&model.std, &code.std_trace, None);
        if method == Method::LinearRegion {
            mean.chains.iter_mut().chain(&mut std.chains).flatten().for_each(|layer| *layer = LayerScalings::default());
        }
        let std = (header.threat == Threat::Joint).then_some(std);
        Evidence::Reach { norm: ExactBound::new(bound(rho)), mean, std }
    }

    /// Writes hashes and words anew, so that only what a test changed is wrong.
    fn settle(&mut self) {
        let dim = self.shape.iter().product::<usize>();
        self.header.claim = self.header.words();
        let line = encode(&self.header).unwrap();
        self.entry.run = sha256(line.strip_suffix(b"\n").unwrap());
        let bytes: Vec<u8> = self.values[dim..2 * dim].iter().flat_map(|value| value.to_le_bytes()).collect();
        self.entry.input_sha256 = sha256(&bytes);
        if let (Some(claim), Some(radius)) = (&mut self.entry.claim, self.entry.radius) {
            claim.words = Claim::words(&self.header, 1, radius, &claim.certified_radius);
        }
    }

    fn check_with(&self, fresh: Option<Fresh>) -> Report {
        let dim = self.shape.iter().product::<usize>();
        let data = Data { item_shape: &self.shape, values: &self.values };
        match Checker::new(&self.header, &self.file, &data) {
            Ok(checker) => checker.check(&self.entry, &self.values[dim..2 * dim], fresh),
            Err(rejection) => Report {
                input: 1,
                verdict: Verdict::Rejected,
                certified_radius: None,
                step: Some(rejection.step),
                reason: Some(rejection.to_string()),
                claims_nothing: false,
                fresh: None,
            },
        }
    }

    fn check(&self) -> Report {
        self.check_with(None)
    }

    /// The case after a change.
    fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.settle();
        self
    }
}

fn quantile_rule(order: f64) -> RadiusRule {
    RadiusRule::Quantile(Probability::new(order).unwrap())
}

/// S⁻¹W has norm 1, P is about 0.95 and p̲ about 0.91: up to 1.35 is certified.
fn affine(rho: f64) -> Case {
    Case::new(affine_file(), &[3], Threat::Mean, quantile_rule(0.95), Method::SlopeInterval, rho)
}

fn nonlinear(threat: Threat, rho: f64) -> Case {
    let file = random_file([5, 6, 4, 3, 2], r#""tanh""#, "softplus", 0.2, &mut Seed(4).stream("model"));
    Case::new(file, &[5], threat, quantile_rule(0.97), Method::SlopeInterval, rho)
}

#[test]
fn an_affine_model_is_verified_up_to_the_radius_found_by_hand() {
    let report = affine(1.0).check();
    assert_eq!((report.verdict, report.reason), (Verdict::Verified, None));
    assert_eq!(report.certified_radius.unwrap().get(), 1.0);
    // Φ⁻¹(p̲) is what is allowed at m = 1/2, and V̄ = ρ(1 + 10⁻⁷) since ln 4 is rounded to single precision.
    let allowed = quantile(affine(1.0).entry.draws.unwrap().probability_lower.get()).lower;
    assert!(allowed > 1.2 && allowed < 1.65, "{allowed}");
    assert_eq!(affine(allowed * (1.0 - 1e-6)).check().verdict, Verdict::Verified);
    let beyond = affine(allowed * (1.0 + 1e-6)).check();
    assert_eq!((beyond.verdict, beyond.step), (Verdict::Rejected, Some(Step::Reach)));
}

#[test]
fn nonlinear_models_are_verified_under_both_threats() {
    for (threat, rho) in [(Threat::Mean, 0.05), (Threat::Joint, 0.05)] {
        let report = nonlinear(threat, rho).check();
        assert_eq!((report.verdict, &report.reason), (Verdict::Verified, &None), "{threat}");
        let far = nonlinear(threat, 20.0).check();
        assert_eq!((far.verdict, far.step), (Verdict::Rejected, Some(Step::Reach)), "{threat}");
    }
}

#[test]
fn the_joint_threat_costs_something() {
    // The largest ρ on a grid of factors of 1.05.
    let largest = |threat| {
        (0..80)
            .map(|i| 0.02 * 1.05f64.powi(i))
            .take_while(|&rho| nonlinear(threat, rho).check().verdict == Verdict::Verified)
            .last()
    };
    let (mean, joint) = (largest(Threat::Mean).unwrap(), largest(Threat::Joint).unwrap());
    assert!(joint < mean, "{joint} {mean}");
}

#[test]
fn what_a_moving_std_costs_is_found_by_hand() {
    // μ = 0, σ = exp(x/2): ln σ moves by ρ/2, so the variation is √(1 − 1/cosh(ρ/2)), and p̲ − 1/2 is allowed.
    let head = |weight: f32| (vec![], vec![vec![weight], vec![0.0]]);
    let parts = [(vec![], vec![]), head(0.0), head(1.0), head(1.0)];
    let file = model_file((1, 1), parts, "half_log_variance", 0.0, r#"{"gaussian":{"std":1.0}}"#);
    let case = |rho| Case::new(file.clone(), &[1], Threat::Joint, quantile_rule(0.95), Method::LinearRegion, rho);
    let allowed = case(0.1).entry.draws.unwrap().probability_lower.get() - 0.5;
    let rho = 2.0 * (1.0 / (1.0 - allowed * allowed)).acosh();
    assert_eq!(case(rho * (1.0 - 1e-8)).check().reason, None);
    assert_eq!(case(rho * (1.0 + 1e-8)).check().step, Some(Step::Reach));
}

#[test]
fn norms_alone_certify_an_affine_model() {
    // a = 1, b = 2, ‖σ(x)‖² = 1 + 4 wherever x is: R² < (r² − 5)/4.
    let given = |r, rho| {
        Case::new(
            affine_file(),
            &[3],
            Threat::Joint,
            RadiusRule::Absolute(Radius::new(r).unwrap()),
            Method::APriori,
            rho,
        )
    };
    assert_eq!(given(3.0, 0.999_999).check().verdict, Verdict::Verified);
    assert_eq!(given(3.0, 1.000_001).check().step, Some(Step::Reach));
    let without_draws = given(3.0, 0.5).changed(|case| case.entry.draws = None);
    assert_eq!(without_draws.check().verdict, Verdict::Verified);
    let above = given(3.0, 0.5).changed(|case| case.header.level = Probability::new(0.6).unwrap());
    assert_eq!(above.check().step, Some(Step::Evidence));
}

#[test]
fn a_piecewise_linear_model_is_verified_within_its_linear_region_only() {
    let file = random_file([5, 6, 4, 3, 2], r#""relu""#, "half_log_variance", 0.0, &mut Seed(9).stream("model"));
    let case = |rho| Case::new(file.clone(), &[5], Threat::Joint, quantile_rule(0.9), Method::LinearRegion, rho);
    assert_eq!(case(1e-3).check().reason, None);
    assert_eq!(case(1.0).check().step, Some(Step::Evidence));
}

#[test]
fn entries_that_claim_nothing_are_checked_for_what_they_say() {
    let abstained = |change: fn(&mut Case)| {
        affine(1.0).changed(|case| {
            (case.entry.claim, case.entry.outcome) = (None, Outcome::Abstained);
            change(case);
        })
    };
    let report = abstained(|_| ()).check();
    assert_eq!((report.verdict, report.claims_nothing, report.certified_radius), (Verdict::Verified, true, None));
    assert_eq!(
        abstained(|case| (case.entry.draws, case.entry.radius) = (None, None)).check().verdict,
        Verdict::Verified
    );
    assert_eq!(abstained(|case| case.entry.radius = None).check().step, Some(Step::Draws));
    let raised = abstained(|case| case.entry.draws.as_mut().unwrap().probability_lower = bound(0.99));
    assert_eq!(raised.check().step, Some(Step::Probability));
}

#[test]
fn a_draw_too_close_to_r_leaves_the_check_incomplete() {
    // r within the rounding of a draw, which the entry counts as inside.
    let file = random_file([5, 6, 4, 3, 2], r#"{"elu":{"alpha":1.0}}"#, "softplus", 0.2, &mut Seed(4).stream("model"));
    let case = |r: f64| {
        let rule = RadiusRule::Absolute(Radius::new(r).unwrap());
        Case::new(file.clone(), &[5], Threat::Mean, rule, Method::SlopeInterval, 0.01)
    };
    let first = case(1.0);
    let model = Model::read(&first.file).unwrap();
    let code = model.encode(&first.values[5..10]);
    let distances = Distances::new(&model, &code);
    let tally = |r| distances.tally(first.header.seed, "input/1/estimation", first.header.estimation_draws, r);
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if tally(middle).possible >= 1400 {
            high = middle
        } else {
            low = middle
        }
    }
    let (close, found) = (case(high), tally(high));
    assert!(found.certain < 1400 && found.possible >= 1400 && found.near >= 1, "{found:?}");
    assert_eq!(close.check().verdict, Verdict::Verified);
    let report = close.changed(|case| drawn(case).inside = 1400).check();
    assert_eq!((report.verdict, report.step, report.certified_radius), (Verdict::Incomplete, Some(Step::Draws), None));
}

#[test]
fn fresh_draws_agree_with_an_honest_certificate_and_contradict_an_inflated_one() {
    let fresh = Some(Fresh { seed: 99, draws: 2000 });
    let report = affine(1.0).check_with(fresh);
    let (inside, draws) = report.fresh.unwrap();
    assert!(report.verdict == Verdict::Verified && draws == 2000 && (1840..=1960).contains(&inside), "{inside}");
    let none = affine(1.0).check_with(Some(Fresh { seed: 99, draws: 0 }));
    assert_eq!((none.verdict, none.fresh), (Verdict::Verified, Some((0, 0))));
    // Moments allow any r that is large enough; without draws, fresh ones are held against the level.
    let moments = Case::new(
        affine_file(),
        &[3],
        Threat::Mean,
        RadiusRule::Absolute(Radius::new(3.0).unwrap()),
        Method::APriori,
        0.5,
    );
    let moments = moments.changed(|case| case.entry.draws = None).check_with(fresh);
    assert!(moments.verdict == Verdict::Verified && moments.fresh.is_some_and(|(inside, _)| inside > 1500));
    // A shift of half the draws would be found out.
    assert!(at_most(1000, 2000, 0.91) < 1e-6 && at_most(1860, 2000, 0.93) > 0.1);
}

#[test]
fn every_part_of_the_header_is_checked() {
    type Change = fn(&mut Case);
    let changes: [(Step, Change); 19] = [
        (Step::Header, |case| case.header.format = 2),
        (Step::Header, |case| case.header.semantics.push('.')),
        (Step::Header, |case| case.header.norm = "linf".to_owned()),
        (Step::Header, |case| case.header.streams.generator.push('.')),
        (Step::Header, |case| case.header.streams.selection = "input/{input}/estimation".to_owned()),
        (Step::Header, |case| case.header.streams.estimation = "input/0/estimation".to_owned()),
        (Step::Header, |case| case.header.inputs = 0),
        (Step::Header, |case| case.header.estimation_draws = 0),
        (Step::Header, |case| case.header.estimation_draws = u64::MAX),
        (Step::Header, |case| case.header.selection_draws = 0),
        (Step::Header, |case| case.header.level = Probability::new(0.95).unwrap()),
        (Step::Header, |case| case.header.radius_rule = RadiusRule::Absolute(Radius::new(1.0).unwrap())),
        (Step::Model, |case| case.header.model.file_sha256 = "0".repeat(64)),
        (Step::Model, |case| case.header.model.weights_sha256 = "other".to_owned()),
        (Step::Model, |case| case.file.push(0)),
        (Step::Data, |case| case.header.data.sha256 = "0".repeat(64)),
        (Step::Data, |case| case.values[0] += 1.0),
        (Step::Data, |case| case.header.first = usize::MAX),
        (Step::Data, |case| case.header.inputs = 3),
    ];
    for (i, (step, change)) in changes.into_iter().enumerate() {
        let report = affine(1.0).changed(change).check();
        assert_eq!((report.verdict, report.step), (Verdict::Rejected, Some(step)), "change {i}: {:?}", report.reason);
    }
    let mut worded = affine(1.0);
    worded.header.claim.push('!');
    assert_eq!(worded.check().step, Some(Step::Words));
}

fn norm_of(case: &mut Case) -> &mut ExactBound {
    match &mut case.entry.claim.as_mut().unwrap().evidence {
        Evidence::Reach { norm, .. } => norm,
        Evidence::Norms => panic!("no norm"),
    }
}

fn drawn(case: &mut Case) -> &mut Draws {
    case.entry.draws.as_mut().unwrap()
}

#[test]
fn every_part_of_an_entry_is_checked() {
    type Change = fn(&mut Case);
    let changes: [(Step, Change); 21] = [
        (Step::Entry, |case| case.entry.input = 0),
        (Step::Entry, |case| case.entry.input = 3),
        (Step::Entry, |case| case.entry.outcome = Outcome::Undecided),
        (Step::Entry, |case| case.entry.claim = None),
        (Step::Radius, |case| case.entry.radius = Radius::new(case.entry.radius.unwrap().get() * 1.01).ok()),
        (Step::Radius, |case| case.entry.radius = Radius::new(case.entry.radius.unwrap().get() * (1.0 - 1e-8)).ok()),
        (Step::Radius, |case| (case.entry.radius, case.entry.draws) = (None, None)),
        (Step::Radius, |case| case.header.seed += 1),
        (Step::Draws, |case| drawn(case).draws -= 1),
        (Step::Draws, |case| drawn(case).inside += 1),
        (Step::Draws, |case| drawn(case).inside -= 1),
        (Step::Draws, |case| drawn(case).inside = u64::MAX),
        (Step::Probability, |case| {
            drawn(case).probability_lower = bound(drawn(case).probability_lower.get() * 1.000_1)
        }),
        (Step::Probability, |case| drawn(case).probability_lower = bound(f64::INFINITY)),
        (Step::Probability, |case| case.header.failure_probability = Probability::new(0.005).unwrap()),
        (Step::Norm, |case| *norm_of(case) = ExactBound::new(bound(0.5))),
        (Step::Norm, |case| case.entry.claim.as_mut().unwrap().certified_radius = ExactBound::new(bound(0.0))),
        (Step::Norm, |case| norm_of(case).bits = "7ff8000000000000".to_owned()),
        (Step::Evidence, |case| case.entry.claim.as_mut().unwrap().evidence = Evidence::Norms),
        (Step::Evidence, |case| case.header.threat = Threat::Joint),
        (Step::Evidence, |case| case.entry.draws = None),
    ];
    for (i, (step, change)) in changes.into_iter().enumerate() {
        let report = affine(1.0).changed(change).check();
        assert_eq!((report.verdict, report.step), (Verdict::Rejected, Some(step)), "change {i}: {:?}", report.reason);
        assert!(report.certified_radius.is_none() && report.reason.is_some());
    }
}

#[test]
fn what_no_hash_would_excuse_is_checked() {
    type Change = fn(&mut Case);
    let changes: [(Step, Change); 4] = [
        (Step::Entry, |case| case.entry.run = "0".repeat(64)),
        (Step::Input, |case| case.entry.input_sha256 = "0".repeat(64)),
        (Step::Words, |case| case.entry.claim.as_mut().unwrap().words.push('!')),
        (Step::Reach, |case| {
            let far = ExactBound::new(bound(1.9));
            *norm_of(case) = far.clone();
            case.entry.claim.as_mut().unwrap().certified_radius = far;
        }),
    ];
    for (i, (step, change)) in changes.into_iter().enumerate() {
        let mut case = affine(1.0);
        change(&mut case);
        assert_eq!(case.check().step, Some(step), "change {i}");
    }
    let case = affine(1.0);
    let data = Data { item_shape: &case.shape, values: &case.values };
    let checker = Checker::new(&case.header, &case.file, &data).unwrap();
    assert_eq!(checker.check(&case.entry, &case.values[0..3], None).step, Some(Step::Input));
    assert_eq!(checker.check(&case.entry, &[], None).step, Some(Step::Input));
}

#[test]
fn nonlinear_evidence_is_needed_in_full() {
    type Change = fn(&mut NetworkEvidence);
    let changes: [Change; 5] = [
        |mean| drop(mean.chains.pop()),
        |mean| mean.chains[1].truncate(1),
        |mean| mean.chains[2][1] = LayerScalings::default(),
        |mean| mean.chains[0][0].scalings.iter_mut().for_each(|scaling| *scaling *= 1e-9),
        |mean| mean.chains[0][0].scalings[0] = f64::INFINITY,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        for threat in [Threat::Mean, Threat::Joint] {
            let case = nonlinear(threat, 0.05).changed(|case| {
                if let Evidence::Reach { mean, .. } = &mut case.entry.claim.as_mut().unwrap().evidence {
                    change(mean);
                }
            });
            assert_eq!(case.check().step, Some(Step::Evidence), "change {i}");
        }
    }
}

#[test]
fn a_checker_can_be_shared_between_threads() {
    fn shared<T: Sync>() {}
    shared::<Checker>();
}
