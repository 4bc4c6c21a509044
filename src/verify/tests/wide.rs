use super::super::wide::Wide;
use super::*;

/// Evidence for a network with wide layers, and what it led to.
pub(super) struct Found {
    pub(super) evidence: NetworkEvidence,
    pub(super) slopes: Vec<Vec<Slope>>,
}

/// Scalings that are large enough: each step in front of the tail takes less than its share of half of P, and λ is at least
/// four times D.
pub(super) fn found(network: &Network, trace: &Trace, rho: f64, scale: Option<&[f64]>) -> Found {
    tight(network, trace, rho, scale, 1.0).unwrap()
}

/// Scalings of every unit, `part` of what is large enough; none where that is too small.
pub(super) fn tight(network: &Network, trace: &Trace, rho: f64, scale: Option<&[f64]>, part: f64) -> Option<Found> {
    let (hidden, tail) = (network.steps.len() - 1, network.tail());
    let full: Vec<Matrix> = network.steps.iter().map(|step| weight(step)).collect();
    let mut reached: Vec<f64> = (0..full[0].rows).map(|j| rho * size(full[0].row(j)) * (1.0 + 1e-9)).collect();
    let (mut slopes, mut chains): (Vec<Vec<Slope>>, Vec<Vec<LayerScalings>>) = (Vec::new(), Vec::new());
    for i in 0..hidden {
        slopes.push(ranges(network, i, trace, &reached));
        let uncertain = |l: usize| slopes[l].iter().filter(|slope| slope.half_width > 0.0).count();
        let narrow = (tail..=i).find(|&l| uncertain(l) <= network.few);
        let target = narrow.unwrap_or(i + 1);
        let mut chain: Vec<LayerScalings> = Vec::new();
        let mut wide = Wide::new(network, &slopes, scale);
        let mut rows = full[0].clone();
        for l in 0..target {
            let open = uncertain(l) as f64;
            // ‖a_j‖² as the wide input sees it is γ_j, at most the number of rows it can meet times as large.
            let share = |j: usize| 2.0 * target as f64 * open * crowd(network, l) * size(rows.row(j)).powi(2);
            let one = |j| 4.0 * part * share(j) + (1.0 + 3.0 * part) * wide.diagonal[j] + 1e-9;
            let scalings: Vec<f64> = (0..rows.rows).map(one).collect();
            wide.step(l, &scalings.iter().map(|&scaling| Some(scaling)).collect::<Vec<_>>()).ok()?;
            chain.push(LayerScalings { units: (0..rows.rows).collect(), scalings });
            if l + 1 < target {
                wide.advance(l + 1);
            }
            let weighted = Matrix::new(rows.columns, rows.rows, |i, j| slopes[l][j].centre * rows.at(j, i));
            rows = product(&full[l + 1], &weighted);
        }
        if narrow.is_none() && target < hidden {
            reached = wide.moves(target, rho).ok()?;
        } else {
            let mut bound = wide.bound(target).ok()?;
            for l in target..=i {
                let scaling = 1.5 * bound.norm();
                chain.push(LayerScalings { units: (0..bound.rows).collect(), scalings: vec![scaling; bound.rows] });
                let next = Matrix::new(full[l + 1].rows, full[l + 1].columns, |i, j| {
                    full[l + 1].at(i, j) * scale.filter(|_| l + 1 == hidden).map_or(1.0, |scale| scale[i])
                });
                bound = through(&next, &bound, &slopes[l], &vec![Some(scaling); bound.rows]).unwrap();
            }
            reached = (0..bound.rows).map(|j| rho * bound.at(j, j).sqrt() * (1.0 + 1e-9)).collect();
        }
        chains.push(chain);
    }
    Some(Found { evidence: NetworkEvidence { chains }, slopes })
}

/// 1, or for a wide input a bound of how much larger γ_j may be than ‖a_j‖² in these small networks.
fn crowd(network: &Network, layer: usize) -> f64 {
    let narrow = network.layers[0].map.inputs() <= network.narrow_input;
    if narrow {
        1.0
    } else {
        1e4 * 1e2f64.powi(i32::try_from(layer).unwrap())
    }
}

pub(super) fn size(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn windows(input: [usize; 3], output: [usize; 3], kernel: usize, stride: usize, padding: usize) -> String {
    format!(
        r#"{{"input":{input:?},"output":{output:?},"kernel":[{kernel},{kernel}],"stride":[{stride},{stride}],"dilation":[1,1],"padding":[{padding},{padding}],"groups":1}}"#
    )
}

pub(super) fn convolution(
    input: [usize; 3],
    output: [usize; 3],
    kernel: usize,
    activation: &str,
    stream: &mut Stream,
) -> FileLayer {
    let shape = vec![output[0], input[0], kernel, kernel];
    let values =
        random_values(shape.iter().product(), 1.5 / (shape[1..].iter().product::<usize>() as f64).sqrt(), stream);
    FileLayer {
        map: format!(r#"{{"convolution":{}}}"#, windows(input, output, kernel, 1, 0)),
        activation: activation.to_owned(),
        tensors: vec![("weight", shape, values), ("bias", vec![output[0]], random_values(output[0], 0.3, stream))],
    }
}

fn spread(input: [usize; 3], output: [usize; 3], activation: &str, stream: &mut Stream) -> FileLayer {
    let shape = vec![input[0], output[0], 2, 2];
    let values = random_values(shape.iter().product(), 1.5 / (input[0] as f64).sqrt(), stream);
    FileLayer {
        map: format!(r#"{{"transposed_convolution":{}}}"#, windows(input, output, 2, 2, 1)),
        activation: activation.to_owned(),
        tensors: vec![("weight", shape, values), ("bias", vec![output[0]], random_values(output[0], 0.3, stream))],
    }
}

pub(super) fn random_dense(from: usize, to: usize, activation: &str, stream: &mut Stream) -> FileLayer {
    let weight = random_values(from * to, 1.7 / (from as f64).sqrt(), stream);
    dense(from, to, activation, weight, random_values(to, 0.3, stream))
}

/// 1×4×4 → convolution 2×3×3 → transposed convolution 2×4×4 → gather 20 → dense 6 → 2 values.
fn convolutional(activation: &str, stream: &mut Stream) -> Model {
    let identity = r#""identity""#;
    let index = (0..20).map(|_| f32::from(u8::try_from(stream.random_range(0..33)).unwrap()) - 1.0).collect();
    let trunk = vec![
        convolution([1, 4, 4], [2, 3, 3], 2, activation, stream),
        spread([2, 3, 3], [2, 4, 4], activation, stream),
        FileLayer {
            map: r#"{"gather":{"inputs":32,"outputs":20}}"#.to_owned(),
            activation: identity.to_owned(),
            tensors: vec![("index", vec![20], index)],
        },
        random_dense(20, 6, activation, stream),
    ];
    let (mean, std) = (vec![random_dense(6, 2, identity, stream)], vec![random_dense(6, 2, identity, stream)]);
    let parts = [trunk, mean, std, vec![random_dense(2, 16, identity, stream)]];
    Model::read(&file_of(&[1, 4, 4], 2, &parts, r#""half_log_variance","std_floor":0.01"#, r#""bernoulli""#)).unwrap()
}

/// Treats layers wider than `narrow` as wide, and an input if `narrow_input` is exceeded.
pub(super) fn limited(mut network: Network, narrow: usize, narrow_input: usize) -> Network {
    (network.narrow, network.narrow_input) = (narrow, narrow_input);
    network
}

const LIMITS: [(usize, usize, usize); 5] = [(2, 16, 4), (6, 16, 3), (18, 16, 3), (6, 15, 3), (2, 1, 4)];

#[test]
fn the_tail_starts_behind_the_last_wide_layer() {
    let model = convolutional(r#""relu""#, &mut Seed(1).stream("tail"));
    for (narrow, _, tail) in LIMITS {
        assert_eq!(limited(model.mean.clone(), narrow, 16).tail(), tail);
    }
    assert_eq!((model.mean.tail(), limited(model.mean.clone(), 1, 16).tail()), (0, 5));
    let code = model.encode(&[0.5; 16]);
    let evidence = found(&model.mean, &code.mean_trace, 0.1, None).evidence;
    let refused = reach(&limited(model.mean, 1, 16), &code.mean_trace, 0.1, &evidence, None).err().unwrap();
    assert!(refused.reason.contains("the output has more than 1 values"), "{refused}");
}

/// The derivative of the output if the slopes are these.
pub(super) fn jacobian(network: &Network, slopes: impl Fn(usize, usize) -> f64) -> Matrix {
    let first = weight(&network.steps[0]);
    network.steps.iter().enumerate().skip(1).fold(first, |rows, (l, layer)| {
        let weighted = Matrix::new(rows.columns, rows.rows, |i, j| slopes(l - 1, j) * rows.at(j, i));
        product(&weight(layer), &weighted)
    })
}

#[test]
fn the_reach_of_a_linear_network_is_its_norm_however_wide_layers_are_treated() {
    for seed in 0..5 {
        let mut stream = Seed(seed).stream("linear");
        let model = convolutional(r#""identity""#, &mut stream);
        let code = model.encode(&random_values(16, 1.0, &mut stream));
        let exact = spectral_norm(&jacobian(&model.mean, |_, _| 1.0), 100);
        let chains: Vec<_> = (0..4).map(|i| vec![LayerScalings::default(); i + 1]).collect();
        for (narrow, narrow_input, _) in LIMITS.into_iter().chain([(1024, 1024, 0)]) {
            let network = limited(model.mean.clone(), narrow, narrow_input);
            let evidence = NetworkEvidence { chains: chains.clone() };
            let found = reach(&network, &code.mean_trace, 0.3, &evidence, None).unwrap().distance(0.3);
            assert!(found >= 0.3 * exact * (1.0 - 1e-9) && found <= 0.3 * exact * (1.0 + 1e-9), "{found} {exact}");
            // Factors of the rows.
            let scaled = reach(&network, &code.mean_trace, 0.3, &evidence, Some(&[0.5, 0.5])).unwrap().distance(0.3);
            assert!((scaled / found - 0.5).abs() < 1e-9, "{scaled} {found}");
        }
    }
}

#[test]
fn within_a_linear_region_wide_and_narrow_agree() {
    for (activation, seed) in [(r#""relu""#, 0), (r#"{"clip":{"low":-0.75,"high":0.75}}"#, 1), (r#""relu""#, 2)] {
        let mut stream = Seed(seed).stream("region");
        let model = convolutional(activation, &mut stream);
        let code = model.encode(&random_values(16, 1.0, &mut stream));
        let chains: Vec<_> = (0..4).map(|i| vec![LayerScalings::default(); i + 1]).collect();
        let distances = LIMITS.into_iter().chain([(1024, 1024, 0)]).map(|(narrow, narrow_input, _)| {
            let (network, chains) = (limited(model.mean.clone(), narrow, narrow_input), chains.clone());
            reach(&network, &code.mean_trace, 1e-5, &NetworkEvidence { chains }, None).unwrap().distance(1e-5)
        });
        let distances: Vec<f64> = distances.collect();
        assert!(distances[0] > 1e-7);
        assert!(distances.iter().all(|found| (found / distances[0] - 1.0).abs() < 1e-9), "{distances:?}");
    }
}

/// What is claimed of the encoder's moves holds for perturbations of `x`, and Q for slopes within their ranges; the distance
/// claimed.
pub(super) fn within(
    model: &Model,
    network: &Network,
    x: &[f32],
    rho: f64,
    evidence: &NetworkEvidence,
    slopes: &[Vec<Slope>],
    stream: &mut Stream,
) -> Result<f64, TestCaseError> {
    let code = model.encode(x);
    let reached = reach(network, &code.mean_trace, rho, evidence, None).unwrap();
    let (distance, moves) = (reached.distance(rho), reached.moves(rho));
    for _ in 0..100 {
        let direction = random_values(x.len(), 1.0, stream);
        let length = direction.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
        #[allow(clippy::cast_possible_truncation)]
        let step = |d: &f32| (f64::from(*d) / length * rho * 0.999) as f32;
        let attacked: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + step(d)).collect();
        let moved: Vec<f64> = model.encode(&attacked).mean.0.iter().zip(&code.mean.0).map(|(a, b)| a - b).collect();
        prop_assert!(size(&moved) <= distance);
        prop_assert!(moved.iter().zip(&moves).all(|(moved, most)| moved.abs() <= *most));
    }
    for _ in 0..5 {
        let y: Vec<f64> = (0..moves.len()).map(|_| uniform(stream)).collect();
        let moved = |chosen: &[Vec<f64>]| quadratic(&gram(&jacobian(network, |l, j| chosen[l][j])), &y);
        let mut chosen: Vec<Vec<f64>> =
            slopes.iter().map(|layer| layer.iter().map(|slope| slope.centre).collect()).collect();
        let mut most = moved(&chosen);
        // Slope by slope to the end that leads farther.
        for (l, j) in (0..slopes.len()).flat_map(|l| (0..slopes[l].len()).map(move |j| (l, j))) {
            for sign in [1.0, -1.0] {
                let before = chosen[l][j];
                chosen[l][j] = slopes[l][j].centre + sign * slopes[l][j].half_width;
                let found = if slopes[l][j].half_width > 0.0 { moved(&chosen) } else { most };
                if found < most {
                    chosen[l][j] = before
                } else {
                    most = found
                }
            }
        }
        let bound = quadratic(&reached.gram, &y);
        prop_assert!(most <= bound * (1.0 + 1e-12), "{} {}", most, bound);
    }
    Ok(distance)
}

proptest! {
    #![proptest_config(seeded(60))]

    #[test]
    fn no_perturbation_and_no_choice_of_slopes_leaves_the_reach_of_wide_layers(
        which in 0..5usize, limits in 0..LIMITS.len(), exponent in -3.0..0.5f64, seed: u64,
    ) {
        let activation = [
            r#""relu""#,
            r#"{"elu":{"alpha":1.6}}"#,
            r#""softplus""#,
            r#""tanh""#,
            r#"{"clip":{"low":-0.25,"high":0.5}}"#,
        ][which];
        let mut stream = Seed(seed).stream("wide");
        let model = convolutional(activation, &mut stream);
        let x = random_values(16, 1.0, &mut stream);
        let (code, rho, (narrow, narrow_input, _)) = (model.encode(&x), 10f64.powf(exponent), LIMITS[limits]);
        let network = limited(model.mean.clone(), narrow, narrow_input);
        // As small as they can be, to a factor of 2.
        let parts = (0..40).map(|i| 0.5f64.powi(i));
        let tightest = parts.map_while(|part| tight(&network, &code.mean_trace, rho, None, part)).last();
        let Found { evidence, slopes } = tightest.unwrap();
        let distance = within(&model, &network, &x, rho, &evidence, &slopes, &mut stream)?;
        // Within a small ball nearly nothing is lost, but for a wide input.
        if exponent < -2.5 && which == 3 && narrow_input >= 16 {
            let here = jacobian(&network, |l, j| slopes[l][j].centre);
            prop_assert!(distance < 1.2 * rho * spectral_norm(&here, 100), "{} {}", distance, spectral_norm(&here, 100));
        }
    }
}

/// What the module's comment says, by plain formulas on full matrices: the squared moves of every unit of layer `target` for
/// ρ = 1 and Q of that layer.
fn specified(network: &Network, slopes: &[Vec<Slope>], scalings: &[Vec<f64>], target: usize) -> (Vec<f64>, Matrix) {
    let full: Vec<Matrix> = network.layers.iter().map(|layer| weight(layer)).collect();
    let schur = |w: &Matrix, d: &[f64]| -> Vec<f64> {
        let v: Vec<f64> =
            (0..w.rows).map(|i| (0..w.columns).map(|k| w.at(i, k).powi(2) * d[k]).sum::<f64>().sqrt()).collect();
        let least = 1e-6 * v.iter().copied().fold(0.0, f64::max);
        let v: Vec<f64> = v.into_iter().map(|v| v.max(least)).collect();
        let pulled = |k: usize| d[k] * (0..w.rows).map(|i| w.at(i, k).abs() * v[i]).sum::<f64>();
        let pulled: Vec<f64> = (0..w.columns).map(pulled).collect();
        let one =
            |i| if v[i] > 0.0 { (0..w.columns).map(|k| w.at(i, k).abs() * pulled[k]).sum::<f64>() / v[i] } else { 0.0 };
        (0..w.rows).map(one).collect()
    };
    let dim = full[0].columns;
    let wide_input = dim > network.narrow_input;
    let (mut p, mut rows, mut number) = (diagonal(&vec![1.0; dim]), full[0].clone(), 1.0);
    let (mut d, mut gammas) = (vec![0.0; rows.rows], schur(&full[0], &vec![1.0; dim]));
    for l in 0..target {
        let (mut least, before) = (p.clone(), d.clone());
        let mut most: f64 = 0.0;
        for j in 0..rows.rows {
            let (c, w, scaling) = (slopes[l][j].centre, slopes[l][j].half_width, scalings[l][j]);
            d[j] = c * c * before[j];
            if w > 0.0 {
                let first = scaling - (scaling * before[j]).sqrt();
                d[j] = c * c * before[j] * scaling.sqrt() / (scaling.sqrt() - before[j].sqrt()) + scaling * w * w;
                most = most.max(gammas[j] / first);
                least = Matrix::new(dim, dim, |a, b| least.at(a, b) - rows.at(j, a) * rows.at(j, b) / first);
            }
        }
        (p, number) = (least, number - most);
        let centres: Vec<f64> = slopes[l].iter().map(|slope| slope.centre).collect();
        rows = product(&full[l + 1], &Matrix::new(dim, centres.len(), |i, j| centres[j] * rows.at(j, i)));
        gammas = gammas.iter().zip(&centres).map(|(gamma, c)| c * c * gamma).collect();
        if l + 1 < target {
            (d, gammas) = (schur(&full[l + 1], &d), schur(&full[l + 1], &gammas));
        }
    }
    let own = Matrix::new(d.len(), full[target].rows, |k, i| d[k] * full[target].at(i, k)).transposed();
    let own = product(&own, &full[target]);
    let inverse = match wide_input {
        true => diagonal(&vec![1.0 / number; dim]),
        false => solve(&factor(dim, |i, j| p.at(i, j)).unwrap(), diagonal(&vec![1.0; dim])),
    };
    let nominal = product(&product(&rows, &inverse), &rows);
    let square = |i: usize| match wide_input {
        true if own.rows > network.narrow => {
            (0..gammas.len()).map(|k| full[target].at(i, k).powi(2) * gammas[k]).sum::<f64>() / number
        }
        _ => nominal.at(i, i),
    };
    let moves = (0..own.rows).map(|i| square(i) + own.at(i, i)).collect();
    (moves, Matrix::new(own.rows, own.rows, |i, j| nominal.at(i, j) + own.at(i, j)))
}

/// Through every layer in front of the tail.
fn climb(wide: &mut Wide<'_>, scalings: &[Vec<f64>]) {
    for (l, layer) in scalings.iter().enumerate() {
        wide.step(l, &layer.iter().map(|&scaling| Some(scaling)).collect::<Vec<_>>()).unwrap();
        if l + 1 < scalings.len() {
            wide.advance(l + 1);
        }
    }
}

proptest! {
    #![proptest_config(seeded(60))]

    #[test]
    fn wide_layers_are_bounded_as_specified(limits in 0..LIMITS.len(), exponent in -2.0..0.5f64, halvings in 0..20i32, seed: u64) {
        let mut stream = Seed(seed).stream("specified");
        let model = convolutional(r#""softplus""#, &mut stream);
        let code = model.encode(&random_values(16, 1.0, &mut stream));
        let (narrow, narrow_input, tail) = LIMITS[limits];
        let network = limited(model.mean.clone(), narrow, narrow_input);
        let rho = 10f64.powf(exponent);
        let parts = (0..=halvings).rev().map(|i| 0.5f64.powi(i));
        let found = parts.into_iter().find_map(|part| tight(&network, &code.mean_trace, rho, None, part)).unwrap();
        for chain in &found.evidence.chains {
            let target = chain.len().min(tail);
            let scalings: Vec<Vec<f64>> = chain.iter().map(|layer| layer.scalings.clone()).collect();
            let (moves, expected) = specified(&network, &found.slopes, &scalings, target);
            let mut wide = Wide::new(&network, &found.slopes, None);
            climb(&mut wide, &scalings[..target]);
            for (found, expected) in wide.moves(target, 1.0).unwrap().iter().zip(&moves) {
                // A unit that sees nothing does not move.
                prop_assert!((found * found - expected).abs() <= 1e-7 * expected + 1e-100, "{} {}", found * found, expected);
            }
            if target == tail {
                let bound = wide.bound(tail).unwrap();
                let off = Matrix::new(bound.rows, bound.rows, |i, j| bound.at(i, j) - expected.at(i, j)).norm();
                prop_assert!(off < 1e-7 * expected.norm(), "{} {}", off, expected.norm());
                // Factors of the rows, where the tail is the output alone.
                if tail + 1 == network.layers.len() {
                    let scale = [0.25, 3.0];
                    let mut scaled = Wide::new(&network, &found.slopes, Some(&scale));
                    climb(&mut scaled, &scalings[..target]);
                    let scaled = scaled.bound(tail).unwrap();
                    for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        let expected = scale[i] * scale[j] * expected.at(i, j);
                        prop_assert!((scaled.at(i, j) - expected).abs() < 1e-7 * scaled.norm(), "{} {}", scaled.at(i, j), expected);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(seeded(40))]

    #[test]
    fn many_uncertain_slopes_behind_wide_layers_cost_something_and_both_forms_hold(
        which in 0..3usize, limits in 1..4usize, exponent in -2.0..0.5f64, seed: u64,
    ) {
        let activation = [r#""softplus""#, r#""tanh""#, r#"{"elu":{"alpha":1.0}}"#][which];
        let mut stream = Seed(seed).stream("many");
        let model = convolutional(activation, &mut stream);
        let x = random_values(16, 1.0, &mut stream);
        let (trace, rho, (narrow, narrow_input, tail)) = (model.encode(&x).mean_trace, 10f64.powf(exponent), LIMITS[limits]);
        // The tail is a layer of six units and the output; all six are uncertain, unless ELU is in a straight piece.
        prop_assert_eq!(tail, 3);
        let with = |few| Network { few, ..limited(model.mean.clone(), narrow, narrow_input) };
        let parts = (0..40).map(|i| 0.5f64.powi(i));
        let found = parts.map_while(|part| tight(&with(0), &trace, rho, None, part)).last().unwrap();
        let Found { evidence, slopes } = found;
        let open = slopes[3].iter().filter(|slope| slope.half_width > 0.0).count();
        // The limit counts for the two outputs as well.
        if open < 3 {
            return Err(TestCaseError::reject("certain"));
        }
        let gram_of = |few| reach(&with(few), &trace, rho, &evidence, None).unwrap().gram;
        let (many, few) = (gram_of(open - 1), gram_of(open));
        prop_assert_eq!((&many, &few), (&gram_of(0), &gram_of(1024)));
        let scalings: Vec<Vec<f64>> = evidence.chains[3].iter().map(|layer| layer.scalings.clone()).collect();
        let expected = specified(&with(0), &slopes, &scalings, 4).1;
        let off = Matrix::new(2, 2, |i, j| many.at(i, j) - expected.at(i, j)).norm();
        prop_assert!(off < 1e-7 * expected.norm(), "{} {}", off, expected.norm());
        for _ in 0..20 {
            let y = [uniform(&mut stream), uniform(&mut stream)];
            prop_assert!(quadratic(&few, &y) <= quadratic(&many, &y) * (1.0 + 1e-9));
        }
        for network in [with(0), with(1024)] {
            within(&model, &network, &x, rho, &evidence, &slopes, &mut stream)?;
        }
    }
}

#[test]
fn evidence_for_wide_layers_is_needed_in_full() {
    let mut stream = Seed(3).stream("bad");
    let model = convolutional(r#""tanh""#, &mut stream);
    let code = model.encode(&random_values(16, 1.0, &mut stream));
    for (narrow, narrow_input, _) in LIMITS {
        let network = limited(model.mean.clone(), narrow, narrow_input);
        let evidence = found(&network, &code.mean_trace, 0.1, None).evidence;
        assert!(reach(&network, &code.mean_trace, 0.1, &evidence, None).is_ok());
        type Change = fn(&mut NetworkEvidence);
        let changes: [(Change, &str); 6] = [
            (|evidence| _ = evidence.chains[2][1].units.pop(), "chain 2, layer 1: 31 units"),
            (|evidence| evidence.chains[1][1] = LayerScalings::default(), "chain 1, layer 1: unit 0 has"),
            (|evidence| evidence.chains[3][0].scalings.iter_mut().for_each(|s| *s *= 1e-12), "too small"),
            (|evidence| evidence.chains[2][1].scalings[3] = 1e-12, "too small"),
            (|evidence| evidence.chains[0][0].scalings[0] = f64::NAN, "the scaling of unit 0 is NaN"),
            (|evidence| drop(evidence.chains.pop()), "3 chains, expected 4"),
        ];
        for (i, (change, expected)) in changes.into_iter().enumerate() {
            let mut changed = evidence.clone();
            change(&mut changed);
            let refused = reach(&network, &code.mean_trace, 0.1, &changed, None).err().unwrap();
            let expected = expected.replace("31 units", "32 scalings for 31 units");
            assert!(refused.reason.contains(&expected), "change {i}: {refused}, expected {expected}");
        }
    }
}

#[test]
fn a_single_wide_relu_is_found_by_hand() {
    // One value x = 1.5 feeds two units max(x − 1, 0), 1.5 at most: slopes in [1/2, 1] within 1. The output is their sum.
    let trunk = vec![dense(1, 2, r#""relu""#, vec![1.0, 1.0], vec![-1.0, -1.0])];
    let head = || vec![dense(2, 1, r#""identity""#, vec![1.0, 1.0], vec![0.0])];
    let parts = [trunk, head(), head(), vec![dense(1, 1, r#""identity""#, vec![1.0], vec![0.0])]];
    let file = file_of(&[1], 1, &parts, r#""softplus","std_floor":0.1"#, r#""bernoulli""#);
    let model = Model::read(&file).unwrap();
    let code = model.encode(&[1.5]);
    // With a wide input γ is 2 for both units, as much as both rows together.
    for narrow_input in [1, 0] {
        let network = limited(model.mean.clone(), 1, narrow_input);
        let with = |scaling: f64| {
            let chains = vec![vec![LayerScalings { units: vec![0, 1], scalings: vec![scaling; 2] }]];
            reach(&network, &code.mean_trace, 1.0, &NetworkEvidence { chains }, None)
        };
        // P = 1 − 2/λ, A₁ = 2·3/4, d = λ/16: Q = (9/4)/(1 − 2/λ) + λ/8, least at λ = 8: 4, the square of 2·1.
        let found = with(8.0).unwrap().distance(1.0);
        assert!((found - 2.0).abs() < 1e-12 && found >= 2.0, "{found}");
        let expected = (2.25 / (1.0 - 2.0 / 16.0) + 2.0f64).sqrt();
        assert!((with(16.0).unwrap().distance(1.0) - expected).abs() < 1e-12);
        assert!(with(2.0).is_err() && with(1.0).is_err());
    }
}

#[test]
fn a_convolutional_certificate_with_wide_layers_is_verified() {
    // 1×20×20 → convolution 4×18×18, 1296 wide → dense 8 → 2 values.
    let mut stream = Seed(6).stream("certificate");
    let trunk = vec![
        convolution([1, 20, 20], [4, 18, 18], 3, r#""relu""#, &mut stream),
        random_dense(1296, 8, r#""tanh""#, &mut stream),
    ];
    let head = |stream: &mut Stream| vec![random_dense(8, 2, r#""identity""#, stream)];
    let parts = [trunk, head(&mut stream), head(&mut stream), vec![random_dense(2, 400, r#""identity""#, &mut stream)]];
    let file = file_of(&[20, 20], 2, &parts, r#""softplus","std_floor":0.1"#, r#""bernoulli""#);
    for (threat, rho) in [(Threat::Mean, 0.02), (Threat::Joint, 0.01)] {
        let case = |rho| Case::new(file.clone(), &[20, 20], threat, quantile_rule(0.97), Method::SlopeInterval, rho);
        let report = case(rho).check();
        assert_eq!((report.verdict, &report.reason), (Verdict::Verified, &None), "{threat}");
        let far = case(5.0).check();
        assert_eq!((far.verdict, far.step), (Verdict::Rejected, Some(Step::Reach)), "{threat}");
    }
}
