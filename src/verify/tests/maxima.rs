use super::super::map::runs;
use super::wide::{convolution, limited, random_dense, tight, within, Found};
use super::*;

const RELU: &str = r#""relu""#;
const IDENTITY: &str = r#""identity""#;

/// A maximum over square windows.
fn maximum(
    input: [usize; 3],
    output: usize,
    (kernel, stride, padding): (usize, usize, usize),
    activation: &str,
) -> FileLayer {
    let (channels, output) = (input[0], [input[0], output, output]);
    FileLayer {
        map: format!(
            r#"{{"max_pool":{{"input":{input:?},"output":{output:?},"kernel":[{kernel},{kernel}],"stride":[{stride},{stride}],"dilation":[1,1],"padding":[{padding},{padding}],"groups":{channels}}}}}"#
        ),
        activation: activation.to_owned(),
        tensors: vec![],
    }
}

/// Of a trunk from 6×6 pixels to `width` values, two latent values.
fn model(trunk: Vec<FileLayer>, width: usize, stream: &mut Stream) -> (Vec<u8>, Model) {
    let head = |stream: &mut Stream| vec![random_dense(width, 2, IDENTITY, stream)];
    let parts = [trunk, head(stream), head(stream), vec![random_dense(2, 36, IDENTITY, stream)]];
    let file = file_of(&[6, 6], 2, &parts, r#""softplus","std_floor":0.1"#, r#""bernoulli""#);
    let model = Model::read(&file).unwrap();
    (file, model)
}

const KINDS: usize = 4;

/// Maxima of every kind.
fn pooled(kind: usize, activation: &str, stream: &mut Stream) -> (Vec<u8>, Model) {
    let convolved = |activation: &str, stream: &mut Stream| convolution([1, 6, 6], [2, 4, 4], 3, activation, stream);
    match kind {
        // Windows side by side.
        0 => {
            let trunk = vec![
                convolved(activation, stream),
                maximum([2, 4, 4], 2, (2, 2, 0), IDENTITY),
                random_dense(8, 4, activation, stream),
            ];
            model(trunk, 4, stream)
        }
        // Windows over each other and over the edge, an activation of the maximum, at the trunk's end.
        1 => model(vec![convolved(IDENTITY, stream), maximum([2, 4, 4], 2, (3, 2, 1), activation)], 8, stream),
        // At the start, one behind the other.
        2 => {
            let trunk = vec![
                maximum([1, 6, 6], 4, (3, 1, 0), IDENTITY),
                maximum([1, 4, 4], 2, (3, 2, 1), activation),
                random_dense(4, 5, activation, stream),
            ];
            model(trunk, 5, stream)
        }
        // Two with a convolution between; one over windows of a single value.
        _ => {
            let trunk = vec![
                convolved(activation, stream),
                maximum([2, 4, 4], 3, (2, 1, 0), IDENTITY),
                convolution([2, 3, 3], [2, 2, 2], 2, activation, stream),
                maximum([2, 2, 2], 2, (1, 1, 0), IDENTITY),
                maximum([2, 2, 2], 1, (2, 2, 0), RELU),
            ];
            model(trunk, 2, stream)
        }
    }
}

fn slopes(values: &[f64], error: f64, reached: &[f64]) -> Vec<(f64, f64)> {
    let found = shares(&[values.len()], values, error, reached).unwrap();
    found.iter().map(|slope| (slope.centre - slope.half_width, slope.centre + slope.half_width)).collect()
}

#[test]
fn shares_are_found_by_hand() {
    let close = |found: &[(f64, f64)], expected: &[(f64, f64)]| {
        assert!(found.len() == expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.0 <= expected.0 && found.0 > expected.0 - 1e-14, "{found:?} {expected:?}");
            assert!(found.1 >= expected.1 && found.1 < expected.1 + 1e-14, "{found:?} {expected:?}");
        }
    };
    // 3 leads; 1 can catch up 1.75 and lacks 2, 2 can catch up 1.25 and lacks 1: not before 4/5 of the way.
    close(&slopes(&[1.0, 3.0, 2.0], 0.0, &[1.0, 0.75, 0.5]), &[(0.0, 0.0), (0.8, 1.0), (0.0, 0.2)]);
    // Two can catch up: 2 after 1/2 of the way, 1 after 2/3. The leader has its share until the first of them.
    close(&slopes(&[1.0, 2.0, 3.0], 0.0, &[2.0, 1.0, 1.0]), &[(0.0, 1.0 / 3.0), (0.0, 0.5), (0.5, 1.0)]);
    // Each value is off by up to 1/8: 1 lacks at least 3/4.
    close(&slopes(&[2.0, 1.0], 0.125, &[1.0, 1.0]), &[(0.375, 1.0), (0.0, 0.625)]);
    // Ties, and a lead within the error.
    close(&slopes(&[1.0, 1.0], 0.0, &[0.5, 0.5]), &[(0.0, 1.0), (0.0, 1.0)]);
    close(&slopes(&[1.0, 1.25, 0.0], 0.25, &[0.25, 0.25, 0.125]), &[(0.0, 1.0), (0.0, 1.0), (0.0, 0.0)]);
    close(&slopes(&[-7.0], 0.5, &[1e9]), &[(1.0, 1.0)]);
    // Certain slopes are so exactly, and windows do not see each other.
    let certain = |centre| Slope { centre, half_width: 0.0, largest: centre };
    let found = shares(&[2, 3, 5], &[1.0, 2.0, 9.0, 5.0, 4.0], 1e-9, &[0.25; 5]).unwrap();
    assert_eq!(found, [0.0, 1.0, 1.0, 1.0, 0.0].map(certain));
}

#[test]
fn nothing_is_said_of_windows_with_values_or_moves_that_are_not_finite() {
    let good = ([1.0, 2.0, -3.0], 0.1, [0.5, 0.25, 0.5]);
    assert!(shares(&[3], &good.0, good.1, &good.2).is_ok());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for place in 0..3 {
            let (mut values, error, mut reached) = good;
            values[place] = bad;
            assert!(shares(&[3], &values, error, &reached).is_err());
            (values, reached[place]) = (good.0, bad);
            assert!(shares(&[1, 3], &values, error, &reached).is_err());
        }
        assert!(shares(&[3], &good.0, bad, &good.2).is_err());
    }
    // Differences and sums that are too large are not taken for certain.
    let found = slopes(&[1e308, -1e308], 0.0, &[0.7e308, 0.7e308]);
    assert!(found[1] == (0.0, 0.0) || found[1].1 > 0.0);
    assert!(slopes(&[0.5e308, -0.5e308], 0.0, &[1e308, 1e308])[1].1 >= 0.5);
}

/// The share of each place of a window: leaders change where two lines meet.
fn exact(from: &[f64], moved: &[f64]) -> Vec<f64> {
    let mut cuts = vec![0.0, 1.0];
    for j in 0..from.len() {
        cuts.extend((0..j).map(|k| (from[j] - from[k]) / (moved[k] - moved[j])).filter(|u| (0.0..=1.0).contains(u)));
    }
    cuts.sort_by(f64::total_cmp);
    let mut found = vec![0.0; from.len()];
    for pair in cuts.windows(2) {
        let at = |k: usize| from[k] + 0.5 * (pair[0] + pair[1]) * moved[k];
        let leader = (0..from.len()).max_by(|&j, &k| at(j).total_cmp(&at(k))).unwrap();
        found[leader] += pair[1] - pair[0];
    }
    found
}

proptest! {
    #![proptest_config(seeded(500))]

    #[test]
    fn no_segment_leaves_the_shares_and_their_ends_are_attained(places in 1..6usize, exponent in -2.0..1.0f64, error in 0.0..0.2f64, seed: u64) {
        let mut stream = Seed(seed).stream("shares");
        let values: Vec<f64> = (0..places).map(|_| uniform(&mut stream)).collect();
        let error = if seed % 2 == 0 { error } else { 0.0 };
        let reached: Vec<f64> = (0..places).map(|_| 10f64.powf(exponent) * stream.random::<f64>()).collect();
        let found = slopes(&values, error, &reached);
        for sample in 0..200 {
            let from: Vec<f64> = values.iter().map(|a| a + error * uniform(&mut stream)).collect();
            let whole = sample % 2 == 0;
            let moved: Vec<f64> = reached.iter().map(|t| t * if whole { uniform(&mut stream).signum() } else { uniform(&mut stream) }).collect();
            let shares = exact(&from, &moved);
            let change = from.iter().zip(&moved).map(|(a, d)| a + d).fold(f64::NEG_INFINITY, f64::max)
                - from.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!((shares.iter().zip(&moved).map(|(s, d)| s * d).sum::<f64>() - change).abs() < 1e-12 * (1.0 + change.abs()));
            for (share, (least, most)) in shares.iter().zip(&found) {
                prop_assert!(*share >= least - 1e-12 && *share <= most + 1e-12, "{} {} {}", share, least, most);
            }
        }
        // The leader as low as can be and one other as high as can be.
        let leader = (0..places).max_by(|&j, &k| values[j].total_cmp(&values[k])).unwrap();
        let mut least: f64 = 1.0;
        for other in (0..places).filter(|&k| k != leader) {
            let mut from: Vec<f64> = values.iter().map(|a| a - error).collect();
            let mut moved: Vec<f64> = reached.iter().map(|t| -t).collect();
            (from[other], moved[other]) = (values[other] + error, reached[other]);
            let pair = exact(&[from[leader], from[other]], &[moved[leader], moved[other]]);
            prop_assert!((pair[1] - found[other].1).abs() < 1e-12, "{:?} {:?}", pair, found[other]);
            least = least.min(pair[0]);
        }
        prop_assert!((least - found[leader].0).abs() < 1e-12);
    }
}

#[test]
fn a_maximum_counts_as_two_steps_and_its_first_copies_what_windows_see() {
    let mut stream = Seed(1).stream("steps");
    let (_, model) = pooled(0, r#""tanh""#, &mut stream);
    let x = random_values(36, 1.0, &mut stream);
    let trace = model.encode(&x).mean_trace;
    let widths: Vec<usize> = model.mean.steps.iter().map(|step| step.map.outputs()).collect();
    assert_eq!(widths, [32, 32, 8, 4, 2]);
    assert_eq!(trace.iter().map(|(values, _)| values.len()).collect::<Vec<_>>(), widths);
    let Map::Sums { ends } = &model.mean.steps[2].map else { panic!() };
    for (maximum, window) in trace[2].0.iter().zip(runs(ends)) {
        assert_eq!(*maximum, trace[1].0[window].iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }
    // The second window of the first channel: the two rows, the third and fourth column.
    for (place, from) in [(4, 2), (5, 3), (6, 6), (7, 7)] {
        assert_eq!(trace[1].0[place], trace[0].0[from], "the tanh follows the maximum");
    }
    let activations: Vec<Activation> = model.mean.steps.iter().map(|step| step.activation).collect();
    assert_eq!(activations[..3], [Activation::Identity, Activation::Identity, Activation::Tanh]);
    // In front of a network's first maximum are the pixels.
    let trace = pooled(2, RELU, &mut stream).1.encode(&x).mean_trace;
    assert_eq!(trace[0].0[..4], [0, 1, 2, 6].map(|k| f64::from(x[k])));
    assert!(trace[0].1 < 1e-100);
    // Widths of the steps: 32, 32, 8, 4, 2 · 144, 16, 25, 4, 5, 2 · 32, 72, 18, 8, 8, 8, 8, 2, 2.
    let tails =
        [(0, 40, 0), (0, 31, 2), (0, 7, 3), (0, 3, 4), (2, 144, 0), (2, 40, 1), (2, 20, 3), (3, 17, 3), (3, 7, 7)];
    for (kind, narrow, tail) in tails {
        assert_eq!(limited(pooled(kind, RELU, &mut stream).1.mean, narrow, 36).tail(), tail, "{kind} {narrow}");
    }
}

/// Everything narrow; some steps wide; nearly all; so with a wide input.
const LIMITS: [(usize, usize); 5] = [(4096, 1024), (31, 1024), (3, 1024), (3, 35), (17, 35)];

/// Scalings as small as they can be, to a factor of 2, and the ranges of slopes that they lead to.
fn tightest(network: &Network, trace: &Trace, rho: f64) -> Found {
    let parts = (0..40).map(|i| 0.5f64.powi(i));
    parts.map_while(|part| tight(network, trace, rho, None, part)).last().unwrap()
}

/// The ranges of slopes that evidence for narrow layers leads to.
fn narrow_slopes(network: &Network, trace: &Trace, rho: f64, evidence: &NetworkEvidence) -> Vec<Vec<Slope>> {
    let mut q = gram(&weight(&network.steps[0]));
    let mut slopes: Vec<Vec<Slope>> = Vec::new();
    for chain in &evidence.chains {
        let reached: Vec<f64> = (0..q.rows).map(|j| rho * q.at(j, j).sqrt()).collect();
        slopes.push(ranges(network, slopes.len(), trace, &reached));
        q = gram(&weight(&network.steps[0]));
        for (l, layer) in chain.iter().enumerate() {
            let scalings: Vec<_> = layer.scalings.iter().copied().map(Some).collect();
            q = through(&weight(&network.steps[l + 1]), &q, &slopes[l], &scalings).unwrap();
        }
    }
    slopes
}

proptest! {
    #![proptest_config(seeded(60))]

    #[test]
    fn no_perturbation_and_no_choice_of_slopes_leaves_the_reach_through_maxima(
        kind in 0..KINDS, limits in 0..LIMITS.len(), smooth: bool, few in 0..40usize, exponent in -3.0..0.5f64, seed: u64,
    ) {
        let mut stream = Seed(seed).stream("maxima");
        let (_, model) = pooled(kind, if smooth { r#""tanh""# } else { RELU }, &mut stream);
        let x = random_values(36, 1.0, &mut stream);
        let (trace, rho) = (model.encode(&x).mean_trace, 10f64.powf(exponent));
        let (narrow, narrow_input) = LIMITS[limits];
        let mut network = limited(model.mean.clone(), narrow, narrow_input);
        network.few = few;
        let Found { evidence, slopes } = if network.tail() == 0 {
            let evidence = scalings(&network, &trace, rho, None, 1.5);
            let slopes = narrow_slopes(&network, &trace, rho, &evidence);
            Found { evidence, slopes }
        } else {
            tightest(&network, &trace, rho)
        };
        within(&model, &network, &x, rho, &evidence, &slopes, &mut stream)?;
    }

    #[test]
    fn while_every_leader_keeps_its_lead_nothing_is_lost(kind in 0..KINDS, limits in 0..LIMITS.len(), seed: u64) {
        let mut stream = Seed(seed).stream("certain");
        let (_, model) = pooled(kind, r#"{"leaky_relu":{"slope":0.5}}"#, &mut stream);
        let x = random_values(36, 1.0, &mut stream);
        let code = model.encode(&x);
        let (narrow, narrow_input) = LIMITS[limits];
        let network = limited(model.mean.clone(), narrow, narrow_input);
        let hidden = network.steps.len() - 1;
        let chains: Vec<_> = (0..hidden).map(|i| vec![LayerScalings::default(); i + 1]).collect();
        let rho = 1e-6;
        let found = match reach(&network, &code.mean_trace, rho, &NetworkEvidence { chains }, None) {
            Ok(found) => found.distance(rho),
            // Some unit is too close to a kink or a tie.
            Err(_) => return Err(TestCaseError::reject("uncertain")),
        };
        // Without kinks and ties nearby differences are exact.
        let step = 0.5f32.powi(21);
        let column = |k: usize| {
            let mut moved = x.clone();
            moved[k] += step;
            let h = f64::from(moved[k]) - f64::from(x[k]);
            let there = model.encode(&moved).mean.0;
            there.iter().zip(&code.mean.0).map(|(a, b)| (a - b) / h).collect::<Vec<_>>()
        };
        let columns: Vec<Vec<f64>> = (0..36).map(column).collect();
        let exact = rho * spectral_norm(&Matrix::new(2, 36, |i, k| columns[k][i]), 100);
        // A network that does not move has a reach all the same.
        prop_assert!((found - exact).abs() < 1e-6 * exact + 1e-50, "{} {}", found, exact);
    }
}

#[test]
fn a_single_maximum_is_found_by_hand() {
    // max(x, y) at (1, 1/2) within 1/2: y lacks 1/2 and catches up 1, so it leads for at most half of the way.
    // The sum of the slopes is not known to be 1: c = (3/4, 1/4), w = 1/4, Q₀ = 1, R = c. With λ: ‖c‖²(1 + 1/(λ − 1)) + 2λw².
    let windows = r#"{"input":[1,1,2],"output":[1,1,1],"kernel":[1,2],"stride":[1,1],"dilation":[1,1],"padding":[0,0],"groups":1}"#;
    let map = format!(r#"{{"max_pool":{windows}}}"#);
    let pool = FileLayer { map, activation: IDENTITY.to_owned(), tensors: vec![] };
    let head = || vec![dense(1, 1, IDENTITY, vec![1.0], vec![0.0])];
    let decoder = vec![dense(1, 2, IDENTITY, vec![1.0, 1.0], vec![0.0, 0.0])];
    let parts = [vec![pool], head(), head(), decoder];
    let model = Model::read(&file_of(&[2], 1, &parts, r#""softplus","std_floor":0.1"#, r#""bernoulli""#)).unwrap();
    let code = model.encode(&[1.0, 0.5]);
    assert_eq!(code.mean.0, [1.0]);
    for (narrow, narrow_input) in [(4096, 1024), (1, 1024), (1, 1)] {
        let network = limited(model.mean.clone(), narrow, narrow_input);
        let with = |rho: f64, both: &[f64]| {
            let window = || LayerScalings { units: (0..both.len()).collect(), scalings: both.to_vec() };
            let chains = vec![vec![window()], vec![window(), LayerScalings::default()]];
            reach(&network, &code.mean_trace, rho, &NetworkEvidence { chains }, None).map(|found| found.distance(rho))
        };
        let expected = 0.5 * (0.625 * (1.0 + 1.0 / 2.0) + 2.0 * 3.0 / 16.0f64).sqrt();
        let found = with(0.5, &[3.0, 3.0]).unwrap();
        assert!((found - expected).abs() < 1e-12 && found >= expected, "{found} {expected}");
        assert!(with(0.5, &[3.0]).is_err() && with(0.5, &[]).is_err() && with(0.5, &[1.0, 1.0]).is_err());
        // Within 1/4 the first pixel leads all the way.
        assert!((with(0.249, &[]).unwrap() - 0.249).abs() < 1e-12 && with(0.251, &[]).is_err());
    }
}

#[test]
fn certificates_through_maxima_are_verified_and_their_evidence_is_needed_in_full() {
    type Change = fn(&mut NetworkEvidence);
    let changes: [(Change, &str); 6] = [
        (|evidence| drop(evidence.chains.pop()), "3 chains, expected 4"),
        (|evidence| drop(evidence.chains[1].pop()), "chain 1: scalings of 1 layers, expected 2"),
        (|evidence| evidence.chains[1][1] = LayerScalings::default(), "chain 1, layer 1: unit"),
        (|evidence| evidence.chains[3][1].scalings.iter_mut().for_each(|s| *s *= 1e-9), "chain 3, layer 1:"),
        (|evidence| evidence.chains[2][1].scalings[3] = f64::NAN, "the scaling of unit 3 is NaN"),
        (|evidence| evidence.chains[2][1].units[31] = 32, "unit 32 of a layer of width 32"),
    ];
    for (threat, rho) in [(Threat::Mean, 0.05), (Threat::Joint, 0.03)] {
        // No ties: values of 0 that do not move can lead in turn, and their scalings are as small as their moves.
        let file = pooled(0, r#"{"leaky_relu":{"slope":0.5}}"#, &mut Seed(5).stream("certificate")).0;
        let case = |rho| Case::new(file.clone(), &[6, 6], threat, quantile_rule(0.97), Method::SlopeInterval, rho);
        assert_eq!(case(rho).check().reason, None, "{threat}");
        assert_eq!(case(3.0).check().step, Some(Step::Reach), "{threat}");
        for (i, (change, expected)) in changes.iter().enumerate() {
            let changed = case(rho).changed(|case| {
                if let Evidence::Reach { mean, .. } = &mut case.entry.claim.as_mut().unwrap().evidence {
                    change(mean);
                }
            });
            let report = changed.check();
            assert_eq!(report.step, Some(Step::Evidence), "change {i}");
            assert!(report.reason.as_ref().unwrap().contains(expected), "change {i}: {:?}", report.reason);
        }
        let region = |rho| Case::new(file.clone(), &[6, 6], threat, quantile_rule(0.97), Method::LinearRegion, rho);
        assert_eq!(region(1e-4).check().reason, None, "{threat}");
        assert_eq!(region(0.5).check().step, Some(Step::Evidence), "{threat}");
    }
}

#[test]
fn norms_alone_certify_through_a_maximum() {
    let file = pooled(1, RELU, &mut Seed(2).stream("norms")).0;
    let rule = RadiusRule::Absolute(Radius::new(60.0).unwrap());
    let case = |rho| Case::new(file.clone(), &[6, 6], Threat::Mean, rule, Method::APriori, rho);
    assert_eq!(case(0.01).check().reason, None);
    assert_eq!(case(1e3).check().step, Some(Step::Reach));
}
