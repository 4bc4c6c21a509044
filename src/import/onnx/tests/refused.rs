//! Files that must be refused, each for its own reason.

use std::path::Path;

use prost::Message;

use super::build::{decoder, encoder, external, integers, model, node, port, weight, with_int, with_ints};
use crate::import::onnx::proto::{AttributeProto, FunctionProto, ModelProto, TensorProto};
use crate::import::onnx::{
    read_decoder, read_encoder, read_whole, ConcatenatedHeads, ExternalFault, NodeFault, OnnxError, OnnxNames, StdKind,
    TensorFault,
};

fn decoder_error(bytes: &[u8]) -> OnnxError {
    read_decoder(bytes, None, &OnnxNames::default(), None).unwrap_err()
}

fn node_fault(bytes: &[u8]) -> (String, NodeFault) {
    match decoder_error(bytes) {
        OnnxError::Node { place, fault } => (place.name, *fault),
        other => panic!("{other}"),
    }
}

fn weight_fault(tensor: TensorProto, folder: Option<&Path>) -> TensorFault {
    let bytes = decoder(vec![node("MatMul", &["z", "w"], &["y"])], vec![tensor]);
    match read_decoder(&bytes, folder, &OnnxNames::default(), None) {
        Err(OnnxError::Weight { name, fault }) if name == "w" => *fault,
        other => panic!("{other:?}"),
    }
}

fn external_fault(entries: &[(&str, &str)], folder: Option<&Path>) -> ExternalFault {
    match weight_fault(external("w", &[4, 2], entries), folder) {
        TensorFault::External(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_are_no_protobuf_or_no_model() {
    assert!(matches!(decoder_error(&[0xff; 64]), OnnxError::NotOnnx { .. }));
    assert!(matches!(decoder_error(b"PK\x03\x04 some archive"), OnnxError::NotOnnx { .. }));
    let whole = encoder(&["mu", "logvar"]);
    assert!(matches!(decoder_error(&whole[..whole.len() - 3]), OnnxError::NotOnnx { .. }));
    // Nothing at all is a valid message, but of no version.
    assert!(matches!(decoder_error(&[]), OnnxError::Opset { found: None }));
    let mut empty = ModelProto::decode(whole.as_slice()).unwrap();
    empty.graph = None;
    assert!(matches!(decoder_error(&empty.encode_to_vec()), OnnxError::NoGraph));
}

#[test]
fn versions_of_operators_that_are_not_known() {
    for version in [6, 1000] {
        let mut model = ModelProto::decode(encoder(&["mu", "logvar"]).as_slice()).unwrap();
        model.opset_import[0].version = version;
        let error = decoder_error(&model.encode_to_vec());
        assert!(matches!(error, OnnxError::Opset { found: Some(found) } if found == version), "{error}");
        assert!(error.to_string().contains("7 to 27"), "{error}");
    }
}

#[test]
fn an_unknown_operator_is_named_with_its_node_and_what_is_supported() {
    let error = decoder_error(&decoder(vec![node("LSTM", &["z"], &["y"])], vec![]));
    let is_operator = |fault: &NodeFault| matches!(fault, NodeFault::Operator { operator } if operator == "LSTM");
    assert!(matches!(&error, OnnxError::Node { fault, .. } if is_operator(fault)));
    let text = error.to_string();
    assert!(text.contains("LSTM_y") && text.contains("ConvTranspose"), "{text}");
}

#[test]
fn other_domains_functions_of_the_file_and_subgraphs() {
    let mut foreign = node("FusedGemm", &["z"], &["y"]);
    foreign.domain = "com.microsoft".to_owned();
    let (_, fault) = node_fault(&decoder(vec![foreign.clone()], vec![]));
    assert!(matches!(fault, NodeFault::Domain { domain, .. } if domain == "com.microsoft"));
    let mut own = model(vec![foreign], vec![], vec![port("z", &[-1, 4])], &["y"]);
    own.functions.push(FunctionProto { name: "FusedGemm".to_owned(), domain: "com.microsoft".to_owned() });
    assert!(matches!(node_fault(&own.encode_to_vec()).1, NodeFault::Function { .. }));
    let mut branch = node("If", &["z"], &["y"]);
    branch.attribute.push(AttributeProto { name: "then_branch".into(), g: Some(vec![]), ..Default::default() });
    assert!(matches!(node_fault(&decoder(vec![branch], vec![])).1, NodeFault::Subgraph { .. }));
}

#[test]
fn an_operator_of_another_domain_that_nothing_needs_does_no_harm() {
    let mut unused = node("Odd", &["z"], &["unused"]);
    unused.domain = "com.example".to_owned();
    let bytes = decoder(vec![unused, node("Relu", &["z"], &["y"])], vec![]);
    assert!(read_decoder(&bytes, None, &OnnxNames::default(), None).is_ok());
}

#[test]
fn a_missing_weight_is_named() {
    let error = decoder_error(&decoder(vec![node("MatMul", &["z", "w"], &["y"])], vec![]));
    assert!(matches!(&error, OnnxError::MissingValue { value, .. } if value == "w"), "{error}");
    assert!(error.to_string().contains("MatMul_y"), "{error}");
}

#[test]
fn cycles_and_values_given_twice() {
    let cycle = vec![node("Relu", &["b"], &["a"]), node("Relu", &["a"], &["b"]), node("Relu", &["b"], &["y"])];
    assert!(matches!(decoder_error(&decoder(cycle, vec![])), OnnxError::Cycle { .. }));
    let twice = vec![node("Relu", &["z"], &["y"]), node("Tanh", &["z"], &["y"])];
    assert!(matches!(decoder_error(&decoder(twice, vec![])), OnnxError::Duplicate { value } if value == "y"));
}

#[test]
fn the_order_of_nodes_in_the_file_does_not_matter_and_depth_does_no_harm() {
    let reversed = vec![node("Relu", &["a"], &["y"]), node("Tanh", &["z"], &["a"])];
    assert!(read_decoder(&decoder(reversed, vec![]), None, &OnnxNames::default(), None).is_ok());
    let name = |place: usize| if place == 0 { "z".to_owned() } else { format!("v{place}") };
    let mut deep: Vec<_> = (0..30_000).map(|i| node("Relu", &[&name(i)], &[&name(i + 1)])).collect();
    deep.push(node("Relu", &[&name(30_000)], &["y"]));
    assert!(read_decoder(&decoder(deep, vec![]), None, &OnnxNames::default(), None).is_ok());
}

#[test]
fn weights_of_wrong_types_lengths_and_sizes() {
    let complex = TensorProto { data_type: 14, ..weight("w", &[4, 2]) };
    assert!(matches!(weight_fault(complex, None), TensorFault::Type { found } if found == "complex64"));
    let unheard = TensorProto { data_type: 99, ..weight("w", &[4, 2]) };
    assert!(matches!(weight_fault(unheard, None), TensorFault::Type { found } if found == "number 99"));
    let short = TensorProto { raw_data: Some(vec![0; 31]), ..weight("w", &[4, 2]) };
    let fault = weight_fault(short, None);
    assert!(matches!(fault, TensorFault::Length { expected: 32, found: 31, unit: "bytes", .. }), "{fault}");
    let few = TensorProto { float_data: vec![0.5; 7], ..weight("w", &[4, 2]) };
    assert!(matches!(weight_fault(few, None), TensorFault::Length { expected: 8, found: 7, unit: "elements", .. }));
    let absurd = TensorProto { dims: vec![1 << 40, 1 << 40], ..weight("w", &[4, 2]) };
    assert!(matches!(weight_fault(absurd, None), TensorFault::TooLarge { .. }));
    let negative = TensorProto { dims: vec![-4, 2], ..weight("w", &[4, 2]) };
    assert!(matches!(weight_fault(negative, None), TensorFault::NegativeSize { .. }));
}

#[test]
fn external_data_outside_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let here = Some(folder.path());
    assert!(matches!(external_fault(&[("location", "w.data")], None), ExternalFault::NoFolder { .. }));
    assert!(matches!(external_fault(&[], here), ExternalFault::NoLocation));
    for location in ["/etc/hostname", "C:\\data", "a\\b"] {
        assert!(
            matches!(external_fault(&[("location", location)], here), ExternalFault::Absolute { .. }),
            "{location}"
        );
    }
    for location in ["../w.data", "a/../../w.data"] {
        assert!(matches!(external_fault(&[("location", location)], here), ExternalFault::ParentFolder { .. }));
    }
    assert!(matches!(external_fault(&[("location", "w.data")], here), ExternalFault::Io { .. }));
    assert!(matches!(external_fault(&[("location", ".")], here), ExternalFault::NotAFile { .. }));
}

#[cfg(unix)]
#[test]
fn external_data_behind_a_symbolic_link() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(elsewhere.path().join("secret"), [0; 32]).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("secret"), folder.path().join("w.data")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("sub")).unwrap();
    for location in ["w.data", "sub/secret"] {
        let fault = external_fault(&[("location", location)], Some(folder.path()));
        assert!(matches!(fault, ExternalFault::OutsideFolder { .. }), "{fault}");
    }
}

#[test]
fn external_data_that_do_not_fill_the_weight() {
    let folder = tempfile::tempdir().unwrap();
    let here = Some(folder.path());
    std::fs::write(folder.path().join("w.data"), [0; 33]).unwrap();
    let beyond = external_fault(&[("location", "w.data"), ("offset", "2")], here);
    assert!(matches!(beyond, ExternalFault::Truncated { end: 34, found: 33, .. }), "{beyond}");
    let absurd = u64::MAX.to_string();
    let beyond = external_fault(&[("location", "w.data"), ("offset", &absurd)], here);
    assert!(matches!(beyond, ExternalFault::Truncated { .. }), "{beyond}");
    let negative = external_fault(&[("location", "w.data"), ("offset", "-1")], here);
    assert!(matches!(negative, ExternalFault::BadNumber { key: "offset", .. }), "{negative}");
    let announced = external("w", &[4, 2], &[("location", "w.data"), ("length", "31")]);
    assert!(matches!(weight_fault(announced, here), TensorFault::Length { expected: 32, found: 31, .. }));
    let fits = external("w", &[4, 2], &[("location", "w.data"), ("offset", "1"), ("length", "32")]);
    let bytes = decoder(vec![node("MatMul", &["z", "w"], &["y"])], vec![fits]);
    assert!(read_decoder(&bytes, here, &OnnxNames::default(), None).is_ok());
}

#[test]
fn dynamic_shapes_that_nobody_resolves() {
    let relu = || vec![node("Relu", &["z"], &["y"])];
    let bytes = model(relu(), vec![], vec![port("z", &[-1, 3, -1])], &["y"]).encode_to_vec();
    let error = decoder_error(&bytes);
    assert!(matches!(&error, OnnxError::DynamicShape { input, axis: 2, .. } if input == "z"), "{error}");
    let names = OnnxNames::default();
    assert_eq!(read_decoder(&bytes, None, &names, Some(&[3, 5])).unwrap().parts.decoder.shape(), [3, 5]);
    let conflict = read_decoder(&bytes, None, &names, Some(&[4, 5])).unwrap_err();
    assert!(matches!(conflict, OnnxError::ShapeConflict { .. }), "{conflict}");
    let absurd = model(relu(), vec![], vec![port("z", &[-1, 1 << 40, 1 << 40])], &["y"]).encode_to_vec();
    assert!(matches!(decoder_error(&absurd), OnnxError::InputShape { .. }));
}

#[test]
fn values_of_the_network_that_meet_each_other() {
    let both = |operator| vec![node("Relu", &["z"], &["a"]), node(operator, &["a", "z"], &["y"])];
    let (name, fault) = node_fault(&decoder(both("Add"), vec![]));
    assert!(matches!(fault, NodeFault::SkipConnection) && name == "Add_y", "{fault}");
    assert!(fault.to_string().contains("skip connections are not supported"));
    for operator in ["Mul", "Div", "MatMul", "Max", "Greater"] {
        assert!(matches!(node_fault(&decoder(both(operator), vec![])).1, NodeFault::Product), "{operator}");
    }
    let mut concat = both("Concat");
    concat[1] = with_int(concat[1].clone(), "axis", 1);
    assert!(matches!(node_fault(&decoder(concat, vec![])).1, NodeFault::SkipConnection));
}

#[test]
fn the_batch_must_stay_what_it_is() {
    let with = |node, constants| decoder(vec![node], constants);
    for (what, bytes) in [
        ("moves", with(with_ints(node("Transpose", &["z"], &["y"]), "perm", &[1, 0]), vec![])),
        ("reshapes", with(node("Reshape", &["z", "s"], &["y"]), vec![integers("s", &[4, -1])])),
        ("reshapes", with(node("Reshape", &["z", "s"], &["y"]), vec![integers("s", &[-1, 2])])),
        ("picks", with(node("Gather", &["z", "s"], &["y"]), vec![integers("s", &[0])])),
        ("flattens", with(with_int(node("Flatten", &["z"], &["y"]), "axis", 0), vec![])),
        ("drops", with(node("Squeeze", &["z", "s"], &["y"]), vec![integers("s", &[0])])),
        ("differs", with(node("Add", &["z", "w"], &["y"]), vec![weight("w", &[3, 4])])),
    ] {
        let (_, fault) = node_fault(&bytes);
        assert!(matches!(&fault, NodeFault::Batch { what: found } if found.contains(what)), "{what}: {fault}");
    }
}

#[test]
fn constants_that_would_fill_the_memory() {
    let sizes = vec![integers("s", &[1 << 40, 1 << 40])];
    let huge = vec![node("ConstantOfShape", &["s"], &["c"]), node("Add", &["z", "c"], &["y"])];
    assert!(matches!(node_fault(&decoder(huge, sizes)).1, NodeFault::TooLarge { .. }));
    let expand = vec![node("Expand", &["w", "s"], &["c"]), node("Add", &["z", "c"], &["y"])];
    let weights = vec![integers("s", &[1 << 40]), weight("w", &[1])];
    assert!(matches!(node_fault(&decoder(expand, weights)).1, NodeFault::TooLarge { .. }));
    let range = vec![node("Range", &["a", "b", "c"], &["r"]), node("Add", &["z", "r"], &["y"])];
    let bounds = vec![integers("a", &[i64::MIN]), integers("b", &[i64::MAX]), integers("c", &[1])];
    assert!(matches!(node_fault(&decoder(range, bounds)).1, NodeFault::TooLarge { .. }));
    let pad = vec![node("Pad", &["z", "s"], &["y"])];
    assert!(matches!(
        node_fault(&decoder(pad, vec![integers("s", &[0, 0, 0, 1 << 60])])).1,
        NodeFault::TooLarge { .. }
    ));
    // Each is allowed, all together are too much.
    let mut many: Vec<_> = (0..100).map(|i| node("ConstantOfShape", &["s"], &[&format!("c{i}")])).collect();
    many.extend((0..100).map(|i| node("Add", &[&format!("s{i}"), &format!("c{i}")], &[&format!("s{}", i + 1)])));
    many.push(node("Identity", &["s100"], &["y"]));
    let weights = vec![integers("s", &[1 << 22]), weight("s0", &[1])];
    assert!(matches!(node_fault(&decoder(many, weights)).1, NodeFault::TooLarge { .. }));
}

#[test]
fn functions_that_are_no_activation() {
    for steps in [&["Exp"][..], &["Log"], &["Sqrt"], &["Exp", "Exp"]] {
        let name = |place: usize| if place == 0 { "z".to_owned() } else { format!("v{place}") };
        let mut nodes: Vec<_> =
            steps.iter().enumerate().map(|(i, step)| node(step, &[&name(i)], &[&name(i + 1)])).collect();
        nodes.push(node("Relu", &[&name(steps.len())], &["y"]));
        let (_, fault) = node_fault(&decoder(nodes, vec![]));
        assert!(matches!(fault, NodeFault::Formula { .. }), "{fault}");
    }
    let early = vec![
        node("Softplus", &["z"], &["s"]),
        node("Greater", &["z", "half"], &["b"]),
        node("Where", &["b", "z", "s"], &["y"]),
    ];
    let (_, fault) = node_fault(&decoder(early, vec![weight("half", &[1])]));
    assert!(matches!(fault, NodeFault::Unsupported { .. }), "{fault}");
}

#[test]
fn outputs_whose_meaning_is_not_plain() {
    let read = |outputs: &[&str], names: &OnnxNames| read_encoder(&encoder(outputs), None, names, None);
    let names = OnnxNames::default();
    for outputs in [&["dense_3", "dense_4"][..], &["mu", "mean", "logvar"], &["mu", "other"], &["mu", "std", "logvar"]]
    {
        let error = read(outputs, &names).unwrap_err();
        assert!(matches!(error, OnnxError::Heads { .. }), "{outputs:?}: {error}");
        assert!(error.to_string().contains("--mean-output"), "{error}");
    }
    let given = OnnxNames {
        mean_output: Some("dense_4".into()),
        std: Some((StdKind::LogStd, "dense_3".into())),
        ..OnnxNames::default()
    };
    assert!(read(&["dense_3", "dense_4"], &given).is_ok());
    let unknown = OnnxNames { mean_output: Some("dense_5".into()), ..OnnxNames::default() };
    assert!(matches!(read(&["dense_3", "dense_4"], &unknown), Err(OnnxError::UnknownName { .. })));
}

#[test]
fn one_output_is_only_divided_if_asked() {
    let bytes = encoder(&["code"]);
    let error = read_encoder(&bytes, None, &OnnxNames::default(), None).unwrap_err();
    assert!(matches!(error, OnnxError::OneOutput { .. }) && error.to_string().contains("--concatenated"), "{error}");
    let heads = Some(ConcatenatedHeads { kind: StdKind::LogVariance, mean_first: true });
    let parts = read_encoder(&bytes, None, &OnnxNames { heads, ..OnnxNames::default() }, None).unwrap().parts;
    assert_eq!((parts.mean.width(), parts.std.width()), (1, 1));
}

#[test]
fn a_standard_deviation_of_an_unknown_form_is_refused_with_its_formula() {
    let bytes = encoder(&["mu", "std"]);
    let error = read_encoder(&bytes, None, &OnnxNames::default(), None).unwrap_err();
    assert!(matches!(&error, OnnxError::Std { output, .. } if output == "std"), "{error}");
}

#[test]
fn a_whole_model_needs_a_point_at_which_it_can_be_divided() {
    let error = read_whole(&encoder(&["mu", "logvar"]), None, &OnnxNames::default(), None).unwrap_err();
    assert!(matches!(error, OnnxError::NoCut), "{error}");
}

#[test]
fn inputs_among_which_nothing_decides() {
    let two = vec![port("z", &[-1, 4]), port("c", &[-1, 4])];
    let bytes = model(vec![node("Relu", &["z"], &["y"])], vec![], two, &["y"]).encode_to_vec();
    assert!(matches!(decoder_error(&bytes), OnnxError::Inputs { found } if found.len() == 2));
    let names = OnnxNames { latent_input: Some("z".into()), ..OnnxNames::default() };
    assert!(read_decoder(&bytes, None, &names, None).is_ok());
}

#[test]
fn a_noise_input_is_recognised_by_its_use() {
    let nodes = vec![
        node("MatMul", &["x", "w"], &["mean"]),
        node("MatMul", &["x", "w"], &["s"]),
        node("Exp", &["s"], &["std"]),
        node("Mul", &["std", "e"], &["d"]),
        node("Add", &["mean", "d"], &["code"]),
        node("MatMul", &["code", "v"], &["picture"]),
    ];
    let weights = vec![weight("w", &[4, 2]), weight("v", &[2, 4])];
    let inputs = vec![port("e", &[-1, 2]), port("x", &[-1, 4])];
    let bytes = model(nodes, weights, inputs, &["picture"]).encode_to_vec();
    let (encoder, decoder) = read_whole(&bytes, None, &OnnxNames::default(), None).unwrap().parts;
    assert_eq!(encoder.input_shape, [4]);
    // exp(s) = exp(2 s / 2): the weights of the head are doubled.
    assert_eq!(encoder.std.pieces()[0].parameters[0], [1.0; 8]);
    assert_eq!(decoder.decoder.pieces()[0].parameters[0], [0.5; 8]);
}

#[test]
fn sizes_that_hide_behind_a_zero_and_axes_without_end() {
    let hidden = vec![node("ConstantOfShape", &["s"], &["c"]), node("Add", &["z", "c"], &["y"])];
    let sizes = vec![integers("s", &[0, 1 << 40, 1 << 40])];
    assert!(matches!(node_fault(&decoder(hidden, sizes)).1, NodeFault::TooLarge { .. }));
    let reshape = vec![node("Reshape", &["e", "s"], &["c"]), node("Add", &["z", "c"], &["y"])];
    let weights = vec![weight("e", &[0]), integers("s", &[0, 1 << 40, 1 << 40])];
    assert!(matches!(node_fault(&decoder(reshape, weights)).1, NodeFault::TooLarge { .. } | NodeFault::Shape { .. }));
    let unsqueeze = vec![node("Unsqueeze", &["z", "s"], &["y"])];
    let axes: Vec<i64> = (1..100_000).collect();
    assert!(matches!(node_fault(&decoder(unsqueeze, vec![integers("s", &axes)])).1, NodeFault::TooLarge { .. }));
    let relu = vec![node("Relu", &["z"], &["y"])];
    let deep = model(relu, vec![], vec![port("z", &[1; 100])], &["y"]).encode_to_vec();
    assert!(matches!(decoder_error(&deep), OnnxError::InputShape { .. }));
    let weight = weight("w", &[1; 100]);
    assert!(matches!(weight_fault(weight, None), TensorFault::TooManyAxes { found: 100, .. }));
}
