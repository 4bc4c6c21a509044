use super::super::report::Rejection;
use super::*;

/// A model with layers of every kind: 1×4×4 → convolution 2×2×2 → maximum 2×1×1 → heads; z → dense 2 → gather 8 → transposed
/// convolution 1×4×4.
fn every_kind() -> ([usize; 3], [Vec<FileLayer>; 4]) {
    let windows = |input: [usize; 3], output: [usize; 3], groups: usize| {
        format!(
            r#"{{"input":{input:?},"output":{output:?},"kernel":[2,2],"stride":[2,2],"dilation":[1,1],"padding":[0,0],"groups":{groups}}}"#
        )
    };
    let layer = |map: String, activation: &str, tensors| FileLayer { map, activation: activation.to_owned(), tensors };
    let relu = r#""relu""#;
    let trunk = vec![
        layer(
            format!(r#"{{"convolution":{}}}"#, windows([1, 4, 4], [2, 2, 2], 1)),
            r#"{"elu":{"alpha":1.5}}"#,
            vec![
                ("weight", vec![2, 1, 2, 2], vec![1.0, 0.0, 0.0, -1.0, 0.5, 0.5, 0.5, 0.5]),
                ("bias", vec![2], vec![0.5, 0.0]),
            ],
        ),
        layer(format!(r#"{{"max_pool":{}}}"#, windows([2, 2, 2], [2, 1, 1], 2)), r#""identity""#, vec![]),
    ];
    let head = |scale: f32| vec![dense(2, 2, r#""identity""#, vec![scale, 0.0, 0.0, scale], vec![0.0, 0.25])];
    let decoder = vec![
        dense(2, 2, r#"{"clip":{"low":-1.0,"high":1.0}}"#, vec![1.0, 0.0, 0.0, 1.0], vec![0.0; 2]),
        layer(
            r#"{"gather":{"inputs":2,"outputs":8}}"#.to_owned(),
            relu,
            vec![("index", vec![8], vec![0.0, 1.0, -1.0, 0.0, 1.0, 1.0, 0.0, -1.0])],
        ),
        layer(
            format!(r#"{{"transposed_convolution":{}}}"#, windows([2, 2, 2], [1, 4, 4], 1)),
            r#""identity""#,
            vec![
                ("weight", vec![2, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0, 0.0, -1.0, 0.0, 1.0]),
                ("bias", vec![1], vec![0.125]),
            ],
        ),
    ];
    ([1, 4, 4], [trunk, head(1.0), head(0.0), decoder])
}

fn file(parts: &[Vec<FileLayer>; 4]) -> Vec<u8> {
    file_of(&every_kind().0, 2, parts, r#""half_log_variance","std_floor":0.0"#, r#""bernoulli""#)
}

#[test]
fn a_model_with_layers_of_every_kind_is_evaluated_as_by_hand() {
    let model = Model::read(&file(&every_kind().1)).unwrap();
    let input: Vec<f32> = (0..16u8).map(f32::from).collect();
    let code = model.encode(&input);
    // Channel 0: x(2q) − x(2q + (1, 1)) + ½ = −4½ everywhere, and 1.5(e^−4.5 − 1); channel 1: half the sum, at most 25.
    let expected = [1.5 * (-4.5f64).exp_m1(), 25.25];
    assert!(code.mean.0.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", code.mean.0);
    // z = (½, −3) is cut off to (½, −1); gathered and above 0: channel 0 = ½, 0, 0, ½; channel 1 = 0, 0, ½, 0.
    let z = Matrix { rows: 1, columns: 2, entries: vec![0.5, -3.0] };
    let found = model.decoder.forward(super::super::network::Points::exact(z));
    let logits = [
        0.5, 1.0, 0.0, 0.0, //
        1.5, 2.0, 0.0, 0.0, //
        0.0, -0.5, 0.5, 1.0, //
        0.0, 0.5, 1.5, 2.0,
    ];
    for (found, logit) in found.values.row(0).iter().zip(logits) {
        assert!((found - 1.0 / (1.0 + (-(logit + 0.125f64)).exp())).abs() < 1e-15, "{found} {logit}");
    }
    assert!(found.errors[0] > 0.0 && found.errors[0] < 1e-13);
    // A window of the maximum shares nothing with another, the convolution's channels have norms √2 and 1, ELU is as steep as
    // 1.5; the bound with absolute values is √(3/2 + √5/2).
    let steep = model.mean.lipschitz();
    assert!(steep >= 1.5 * 2.0f64.sqrt() && steep < 1.5 * 1.7, "{steep}");
    // An error in front of a steep slope grows as much: ELU at −10⁻³, twice as steep as its end at 0.
    let parts = every_kind().1.map(|_| vec![dense(1, 1, r#"{"elu":{"alpha":2.0}}"#, vec![1.0], vec![0.0])]);
    let [_, _, _, decoder] = parts;
    let head = || vec![dense(1, 1, r#""identity""#, vec![1.0], vec![0.0])];
    let file = file_of(
        &[1],
        1,
        &[vec![], head(), head(), decoder],
        r#""softplus","std_floor":0.1"#,
        r#"{"gaussian":{"std":1.0}}"#,
    );
    let elu = Model::read(&file).unwrap().decoder;
    let values = Matrix { rows: 1, columns: 1, entries: vec![-1e-3] };
    let found = elu.forward(super::super::network::Points { values, errors: vec![1e-3] });
    assert!(found.errors[0] >= found.values.at(0, 0).abs() && found.errors[0] < 2.1e-3, "{}", found.errors[0]);
    assert!((found.values.at(0, 0) - 2.0 * (-1e-3f64).exp_m1()).abs() < 1e-15);
}

#[test]
fn files_of_other_versions_and_bad_layers_are_refused_with_a_reason() {
    let mut old = file(&every_kind().1);
    let at = old.windows(12).position(|bytes| bytes == br#"\"format\":2,"#.get(..12).unwrap()).unwrap();
    old[at + 11] = b'1';
    assert!(refusal(&old).contains("format 1, expected 2"), "{}", refusal(&old));
    let changed = |part: usize, layer: usize, change: &dyn Fn(&mut FileLayer)| {
        let mut parts = every_kind().1;
        change(&mut parts[part][layer]);
        refusal(&file(&parts))
    };
    let map = |part, layer, from: &str, to: &str| {
        changed(part, layer, &|layer| {
            assert!(layer.map.contains(from), "{}", layer.map);
            layer.map = layer.map.replace(from, to);
        })
    };
    let activation = |to: &str| changed(0, 0, &|layer| layer.activation = to.to_owned());
    let tensor = |part, layer, which: usize, value: f32| {
        changed(part, layer, &|layer: &mut FileLayer| layer.tensors[which].2[0] = value)
    };
    for (reason, expected) in [
        (tensor(3, 1, 0, 2.0), "whole numbers from -1 to 1"),
        (tensor(3, 1, 0, 0.5), "whole numbers from -1 to 1"),
        (tensor(3, 1, 0, 1e-30), "whole numbers from -1 to 1"),
        (tensor(3, 1, 0, 1e30), "whole numbers from -1 to 1"),
        (tensor(3, 1, 0, -2.0), "whole numbers from -1 to 1"),
        (tensor(3, 1, 0, f32::NAN), "not finite"),
        (tensor(0, 0, 0, f32::INFINITY), "not finite"),
        (activation(r#"{"elu":{"alpha":0.0}}"#), "impossible"),
        (activation(r#"{"elu":{"alpha":2.5}}"#), "impossible"),
        (activation(r#""elu""#), "metadata"),
        (activation(r#"{"clip":{"low":1.0,"high":1.0}}"#), "impossible"),
        (activation(r#"{"clip":{"low":2.0,"high":1.0}}"#), "impossible"),
        (activation(r#"{"leaky_relu":{"slope":1.5}}"#), "impossible"),
        (activation(r#""gelu""#), "metadata"),
        (map(0, 0, r#""groups":1"#, r#""groups":2"#), "cannot be divided"),
        (map(0, 0, r#""groups":1"#, r#""groups":0"#), "number of groups is 0"),
        (map(0, 0, r#""kernel":[2,2]"#, r#""kernel":[2,0]"#), "is 0"),
        (map(0, 0, r#""stride":[2,2]"#, r#""stride":[0,2]"#), "the stride is 0"),
        (map(0, 0, r#""dilation":[1,1]"#, r#""dilation":[1,0]"#), "the dilation is 0"),
        (map(0, 0, r#""stride":[2,2]"#, r#""stride":[18446744073709551615,2]"#), "the stride is"),
        (map(0, 0, r#""padding":[0,0]"#, r#""padding":[18446744073709551615,0]"#), "the padding"),
        (map(0, 0, r#""kernel":[2,2]"#, r#""kernel":[65536,65536]"#), "number of products"),
        (map(0, 0, r#""kernel":[2,2]"#, r#""kernel":[4294967296,1]"#), "the kernel is 4294967296"),
        (map(0, 0, r#""kernel":[2,2]"#, r#""kernel":[2,3]"#), "expected F32 of shape [2, 1, 2, 3]"),
        (map(0, 0, r#""output":[2, 2, 2]"#, r#""output":[2,2,0]"#), "the output's width is 0"),
        (map(0, 0, r#""output":[2, 2, 2]"#, r#""output":[2,4294967296,4294967296]"#), "the output's width"),
        (map(0, 0, r#""output":[2, 2, 2]"#, r#""output":[2,2,3]"#), "takes 8 values, and 12 come in"),
        (map(0, 0, r#""input":[1, 4, 4]"#, r#""input":[1,4,5]"#), "takes 20 values, and 16 come in"),
        (map(0, 0, r#""groups":1"#, r#""groups":1,"bias":true"#), "metadata"),
        (map(0, 1, r#""padding":[0,0]"#, r#""padding":[4,0]"#), "sees nothing"),
        (map(0, 1, r#""groups":2"#, r#""groups":1"#), "all must be the same"),
        (map(3, 1, r#""outputs":8"#, r#""outputs":0"#), "the output's width is 0"),
        (map(3, 1, r#""outputs":8"#, r#""outputs":4194305"#), "expected 1 to 4194304"),
        (map(3, 0, r#""inputs":2"#, r#""inputs":3"#), "takes 3 values, and 2 come in"),
        (changed(1, 0, &|layer| layer.activation = r#""relu""#.to_owned()), "does not end in an affine layer"),
        (changed(3, 2, &|layer| layer.activation = r#""relu""#.to_owned()), "does not end in an affine layer"),
        (changed(0, 1, &|layer| layer.tensors.push(("index", vec![1], vec![0.0]))), "belongs to no layer"),
        (changed(3, 1, &|layer| drop(layer.tensors.pop())), "tensor decoder.1.index is missing"),
        (changed(0, 0, &|layer| drop(layer.tensors.pop())), "tensor encoder.trunk.0.bias is missing"),
    ] {
        assert!(reason.contains(expected), "expected {expected:?} in {reason:?}");
    }
    for part in 1..4 {
        let mut parts = every_kind().1;
        parts[part].clear();
        assert!(refusal(&file(&parts)).contains("has no layers"));
    }
    let mut parts = every_kind().1;
    parts[2].push(dense(2, 3, r#""identity""#, vec![0.0; 6], vec![0.0; 3]));
    assert!(refusal(&file(&parts)).contains("gives 3 values, expected 2"));
}

fn refusal(file: &[u8]) -> String {
    let Rejection { step, reason } = Model::read(file).unwrap_err();
    assert_eq!(step, Step::Model);
    reason
}

#[test]
fn a_file_of_every_kind_that_is_changed_anywhere_in_its_head_is_refused_or_read_without_a_crash() {
    let original = file(&every_kind().1);
    let head = usize::try_from(u64::from_le_bytes(original[..8].try_into().unwrap())).unwrap() + 8;
    for at in 0..head {
        for byte in [b'0', b'1', b'9', b'"', b','] {
            let mut changed = original.clone();
            changed[at] = byte;
            if let Ok(model) = Model::read(&changed) {
                let input = vec![0.5; model.input_dim];
                let code = model.encode(&input);
                assert_eq!(code.mean.0.len(), model.latent_dim);
            }
        }
    }
}

#[test]
fn windows_that_see_too_many_values_have_no_reach_but_all_else() {
    let windows = r#"{"input":[1,64,64],"output":[1,64,64],"kernel":[64,64],"stride":[1,1],"dilation":[1,1],"padding":[32,32],"groups":1}"#;
    let pool = FileLayer {
        map: format!(r#"{{"max_pool":{windows}}}"#),
        activation: r#""identity""#.to_owned(),
        tensors: vec![],
    };
    let head = || vec![dense(4096, 1, r#""identity""#, vec![0.01; 4096], vec![0.0])];
    let decoder = vec![dense(1, 4096, r#""identity""#, vec![0.0; 4096], vec![0.0; 4096])];
    let parts = [vec![pool], head(), head(), decoder];
    let model = Model::read(&file_of(&[64, 64], 1, &parts, r#""softplus","std_floor":0.1"#, r#""bernoulli""#)).unwrap();
    let code = model.encode(&vec![0.5; 4096]);
    assert!((code.mean.0[0] - 0.5 * 40.96).abs() < 1e-6 && model.mean.lipschitz().is_finite());
    let chains = vec![vec![LayerScalings::default()]];
    let refused = reach(&model.mean, &code.mean_trace, 0.1, &NetworkEvidence { chains }, None).err().unwrap();
    assert!(refused.step == Step::Evidence && refused.reason.contains("see too many values"), "{refused}");
}
