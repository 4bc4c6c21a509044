use std::fs;
use std::path::PathBuf;

use flate2::Crc;
use proptest::prelude::*;

use super::*;
use crate::import::assemble::{assemble, LikelihoodChoice};
use crate::import::sequence::Sequence;
use crate::import::testing::evaluate;
use crate::model::architecture::StdLink;

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", "import", name].iter().collect()
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder("torch").join(name)).unwrap()
}

fn parse(bytes: &[u8]) -> Result<Tensors, TensorFileError> {
    read_state_dict(bytes, Path::new("model.pt")).map_err(|error| match error {
        ImportError::Tensors { source, .. } => source,
        other => panic!("{other}"),
    })
}

/// The first values of every tensor in the fixtures: i/8 − 1.
fn ramp(shape: &[usize]) -> NamedTensor {
    let count: usize = shape.iter().product();
    NamedTensor { shape: shape.to_vec(), values: (0..count).map(|i| i as f64 / 8.0 - 1.0).collect() }
}

/// A zip archive of stored entries.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, contents) in entries {
        let start = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let mut checksum = Crc::new();
        checksum.update(contents);
        let size = u32::try_from(contents.len()).unwrap().to_le_bytes();
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let header = [&[0; 10][..], &checksum.sum().to_le_bytes(), &size, &size, &length, &[0; 2]].concat();
        bytes.extend([b"PK\x03\x04", &header[..], name.as_bytes(), contents].concat());
        directory.extend([b"PK\x01\x02\0\0", &header[..], &[0; 10], &start, name.as_bytes()].concat());
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let (size, start) = (u32::try_from(directory.len()).unwrap(), u32::try_from(bytes.len()).unwrap());
    let end = [&[0; 4][..], &count, &count, &size.to_le_bytes(), &start.to_le_bytes(), &[0; 2]].concat();
    [bytes, directory, b"PK\x05\x06".to_vec(), end].concat()
}

/// A file with one storage of 16 bytes and this pickle.
fn with_pickle(pickle: &[u8]) -> Vec<u8> {
    zip(&[("m/data.pkl", pickle), ("m/data/0", &[0; 16])])
}

/// The pickle of {"w": tensor} with this storage type, number of values, offset, shape and stride (one axis).
fn one_tensor(kind: &str, numbers: u8, offset: u8, shape: i32, stride: i32) -> Vec<u8> {
    let int = |value: i32| [b"J", &value.to_le_bytes()[..]].concat();
    [
        &b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"[..],
        kind.as_bytes(),
        b"\nX\x01\0\0\x000X\x03\0\0\0cpuK",
        &[numbers],
        b"tQK",
        &[offset],
        &int(shape),
        b"\x85",
        &int(stride),
        b"\x85\x89ccollections\nOrderedDict\n)RtRs.",
    ]
    .concat()
}

#[test]
fn a_state_dict_gives_its_tensors_by_name() {
    for name in ["state_dict.pt", "protocol_4.pt"] {
        let tensors = parse(&fixture(name)).unwrap();
        assert_eq!(tensors.real["fc.weight"], ramp(&[2, 3]), "{name}");
        assert_eq!(tensors.real["norm.running_var"].values, [1.0, 1.0]);
        assert_eq!(tensors.real.len(), 6);
        assert_eq!(tensors.others["norm.num_batches_tracked"], "Long");
    }
}

#[test]
fn names_of_nested_dictionaries_are_joined_by_dots() {
    let tensors = parse(&fixture("nested.pt")).unwrap();
    assert_eq!(tensors.real["state_dict.fc.bias"], ramp(&[2]));
    assert_eq!(tensors.real.len(), 6);
    assert_eq!(parse(&fixture("parameter.pt")).unwrap().real["weight"], ramp(&[2, 2]));
}

#[test]
fn tensors_that_share_a_storage_are_read_by_their_strides() {
    let tensors = parse(&fixture("strides.pt")).unwrap().real;
    let whole = &tensors["whole"];
    assert_eq!(*whole, ramp(&[2, 3, 4]));
    let at = |i: usize, j: usize, k: usize| whole.values[(i * 3 + j) * 4 + k];
    let transposed: Vec<f64> = (0..24).map(|n| at(n / 3 % 2, n % 3, n / 6)).collect();
    assert_eq!(tensors["transposed"], NamedTensor { shape: vec![4, 2, 3], values: transposed });
    let part: Vec<f64> = (0..6).map(|n| at(1, n / 2, 1 + n % 2)).collect();
    assert_eq!(tensors["part"], NamedTensor { shape: vec![3, 2], values: part });
    assert_eq!(tensors["row"], ramp(&[4]));
    assert_eq!(tensors["expanded"].values, [-1.0, -0.875, -1.0, -0.875, -1.0, -0.875]);
}

#[test]
fn every_format_of_real_numbers_is_read() {
    let tensors = parse(&fixture("formats.pt")).unwrap().real;
    for name in ["half", "brain", "single", "double"] {
        assert_eq!(tensors[name], ramp(&[2, 2]), "{name}");
    }
}

#[test]
fn safetensors_files_are_read_with_what_is_not_real_set_aside() {
    let bytes: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = |kind| safetensors::tensor::TensorView::new(kind, vec![2], &bytes).unwrap();
    let views = [("w", view(safetensors::Dtype::F32)), ("steps", view(safetensors::Dtype::I32))];
    let tensors = parse(&safetensors::serialize(views, None).unwrap()).unwrap();
    assert_eq!(tensors.real["w"].values, [1.5, -2.0]);
    assert_eq!(tensors.others["steps"], "I32");
}

#[test]
fn what_torch_save_makes_of_anything_but_tensors_is_refused() {
    let refused = |name| parse(&fixture(name)).unwrap_err();
    let malicious = refused("malicious.pt");
    assert!(matches!(&malicious, TensorFileError::Global { name } if name.ends_with(".system")), "{malicious}");
    assert!(matches!(refused("module.pt"), TensorFileError::Global { name } if name == "__main__.Vae"));
    assert!(matches!(refused("legacy.pt"), TensorFileError::Legacy));
    assert!(matches!(refused("script.pt"), TensorFileError::TorchScript));
    assert!(matches!(refused("compressed.pt"), TensorFileError::Compressed { entry } if entry == "model/data.pkl"));
    assert!(matches!(refused("no_tensors.pt"), TensorFileError::NoTensors));
    assert!(matches!(parse(b"no model at all"), Err(TensorFileError::Safetensors { .. })));
    assert!(refused("module.pt").to_string().contains("torch.save(model.state_dict()"));
}

#[test]
fn broken_archives_are_refused() {
    let sound = with_pickle(&one_tensor("FloatStorage", 4, 0, 4, 1));
    assert_eq!(parse(&sound).unwrap().real["w"].values, [0.0; 4]);
    let reason = |bytes: &[u8]| match parse(bytes).unwrap_err() {
        TensorFileError::Archive { reason } => reason,
        other => panic!("{other}"),
    };
    assert!(reason(&sound[..sound.len() - 1]).contains("cut short"));
    let mut flipped = sound.clone();
    flipped[60] ^= 1;
    assert!(reason(&flipped).contains("checksum"), "{}", reason(&flipped));
    assert!(reason(&zip(&[("a/data.pkl", b""), ("a/data.pkl", b"")])).contains("two entries are called"));
    assert!(reason(&zip(&[("../data.pkl", b"")])).contains("leads out"));
    let mut overlapping = zip(&[("a", b"x"), ("a", b"x")]);
    let second = overlapping.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    overlapping[second + 42..second + 46].fill(0);
    assert!(reason(&overlapping).contains("overlap"));
    let mut outside = sound.clone();
    let last = outside.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    for field in [20, 24] {
        outside[last + field + 2] = 1;
    }
    assert!(reason(&outside).contains("outside the file"));
    let large = zip(&[("m/data.pkl", &one_tensor("FloatStorage", 4, 0, 4, 1)), ("m/byteorder", b"big")]);
    assert!(matches!(parse(&large), Err(TensorFileError::ByteOrder { found }) if found == "big"));
    assert!(matches!(parse(&zip(&[("m/x", b"")])), Err(TensorFileError::MissingEntry { .. })));
}

#[test]
fn tensors_beyond_their_storage_are_refused() {
    let refused = |pickle: &[u8]| parse(&with_pickle(pickle)).unwrap_err();
    for (numbers, offset, shape, stride) in
        [(4, 1, 4, 1), (4, 0, 3, 2), (4, 4, 1, 1), (5, 0, 1, 1), (4, 0, 0x7fff_ffff, 9)]
    {
        let error = refused(&one_tensor("FloatStorage", numbers, offset, shape, stride));
        assert!(matches!(error, TensorFileError::Tensor { .. } | TensorFileError::TooLarge), "{error}");
    }
    let expanded = refused(&one_tensor("FloatStorage", 4, 0, 0x7fff_ffff, 0));
    assert!(matches!(expanded, TensorFileError::TooLarge));
    let negative = refused(&one_tensor("FloatStorage", 4, 0, -1, 1));
    assert!(matches!(negative, TensorFileError::Pickle { .. }));
    let elsewhere = zip(&[("m/data.pkl", &one_tensor("FloatStorage", 4, 0, 4, 1))]);
    assert!(matches!(parse(&elsewhere), Err(TensorFileError::MissingEntry { entry }) if entry == "m/data/0"));
}

#[test]
fn malformed_pickles_are_refused_with_the_place() {
    let refused = |pickle: &[u8]| parse(&with_pickle(pickle)).unwrap_err();
    assert!(matches!(refused(b"\x80\x02}i"), TensorFileError::Opcode { opcode: b'i', position: 3 }));
    let malformed: [&[u8]; 9] =
        [b"", b".", b"}", b"u.", b"K\x01K\x01s.", b"}K\x01R.", b"h\x07.", b"}(K\x01u.", b"X\xff\xff\xff\xff."];
    for pickle in malformed {
        assert!(matches!(refused(pickle), TensorFileError::Pickle { .. }), "{pickle:?}");
    }
    // A dictionary that holds itself.
    let endless = refused(b"}q\0X\x01\0\0\0ah\0s.");
    assert!(endless.to_string().contains("do not end"), "{endless}");
}

#[test]
fn no_prefix_of_a_file_is_read_and_none_panics() {
    for name in ["state_dict.pt", "nested.pt", "strides.pt", "formats.pt", "legacy.pt", "module.pt", "script.pt"] {
        let bytes = fixture(name);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{name} up to {end}");
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::seeded(2000))]

    #[test]
    fn changed_bytes_never_panic(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = fixture(["state_dict.pt", "strides.pt", "protocol_4.pt", "module.pt"][which]);
        for (place, with) in &changes {
            let place = place.index(bytes.len());
            bytes[place] = *with;
        }
        let _ = parse(&bytes);
    }

    /// Under sound checksums, so that the changes reach the machine.
    #[test]
    fn changed_pickles_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut pickle = one_tensor("HalfStorage", 4, 0, 2, 1);
        for (place, with) in &changes {
            let place = place.index(pickle.len());
            pickle[place] = *with;
        }
        let _ = parse(&with_pickle(&pickle));
    }

    #[test]
    fn random_pickles_never_panic(pickle: Vec<u8>) {
        let _ = parse(&with_pickle(&pickle));
        let _ = parse(&pickle);
    }
}

fn tensors(named: &[(&str, &[usize])]) -> Tensors {
    let real = named.iter().map(|(name, shape)| ((*name).to_owned(), ramp(shape))).collect();
    Tensors { real, ..Tensors::default() }
}

fn describe(text: &str, tensors: &Tensors) -> Result<Described, DescriptionError> {
    read_description(text, Path::new("model.toml"), tensors).map_err(|error| match error {
        ImportError::Description { source, .. } => *source,
        other => panic!("{other}"),
    })
}

/// A description whose decoder starts with these layers on a code of 4 values, and whose encoder is trivial.
fn decoder_of(layers: &str) -> String {
    let layers: String = layers.split(';').map(|layer| format!("{{ {} }}, ", layer.trim())).collect();
    format!(
        "input_shape = [4]\nlatent_dim = 4\nstd = \"log-variance\"\ndecoder = [{layers}]\n\
         [encoder]\nmean = []\nstd = []\n"
    )
}

fn decoded(layers: &str, tensors: &Tensors, input: &[f64]) -> (Vec<usize>, Vec<f64>) {
    let decoder: Sequence = describe(&decoder_of(layers), tensors).unwrap().decoder.decoder;
    (decoder.shape().to_vec(), evaluate(decoder.pieces(), input))
}

#[test]
fn layers_that_move_values_agree_with_pytorch() {
    let none = Tensors::default();
    let input = [1.0, 2.0, 3.0, 4.0];
    let image = |rest: &str| decoded(&format!("layer = \"reshape\", shape = [1, 2, 2]; {rest}"), &none, &input);
    let (shape, values) = image("layer = \"upsample\", scale = [1, 2]");
    assert_eq!((shape, values), (vec![1, 2, 4], vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]));
    let (shape, values) = image("layer = \"zero_pad2d\", padding = [0, 1, 1, 0]");
    assert_eq!((shape, values), (vec![1, 3, 3], vec![0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0]));
    assert_eq!(image("layer = \"permute\", order = [0, 2, 1]").1, [1.0, 3.0, 2.0, 4.0]);
    assert_eq!(image("layer = \"max_pool2d\", kernel = 2"), (vec![1, 1, 1], vec![4.0]));
    assert_eq!(image("layer = \"avg_pool2d\", kernel = 2").1, [2.5]);
    assert_eq!(image("layer = \"global_avg_pool2d\"").1, [2.5]);
    let shuffled = decoded("layer = \"view\", shape = [4, 1, 1]; layer = \"pixel_shuffle\", factor = 2", &none, &input);
    assert_eq!(shuffled, (vec![1, 2, 2], input.to_vec()));
    assert_eq!(decoded("layer = \"slice\", start = 1, step = 2", &none, &input).1, [2.0, 4.0]);
    assert_eq!(decoded("layer = \"scale\", factor = 2.0, shift = 1.0", &none, &input).1, [3.0, 5.0, 7.0, 9.0]);
    let clipped = "layer = \"activation\", activation = { clip = [0.0, 2.5] }";
    assert_eq!(decoded(clipped, &none, &input).1, [1.0, 2.0, 2.5, 2.5]);
}

#[test]
fn layers_with_tensors_agree_with_values_by_hand() {
    let input = [1.0, 2.0, 3.0, 4.0];
    let file = tensors(&[("a.weight", &[1, 4]), ("a.bias", &[1]), ("c.weight", &[1, 1, 2, 2])]);
    // −1 + −2·0.875 + −3·0.75 + −4·0.625 − 1.
    assert_eq!(decoded("layer = \"linear\", tensors = \"a\"", &file, &input).1, [-8.5]);
    assert_eq!(decoded("layer = \"linear\", weight = \"a.weight\"", &file, &input).1, [-7.5]);
    let image = |rest: &str| decoded(&format!("layer = \"reshape\", shape = [1, 2, 2]; {rest}"), &file, &input);
    let convolved = image("layer = \"conv2d\", tensors = \"c\", padding = [0, 0, 1, 0], stride = [1, 2]");
    // The one window at columns −1, 0 sees 0, 1 / 0, 3 and its weights −0.875, −0.625.
    assert_eq!(convolved, (vec![1, 1, 1], vec![-0.875 - 3.0 * 0.625]));
    let spread = image("layer = \"conv_transpose2d\", tensors = \"c\", stride = 2, output_padding = 1, padding = 1");
    assert_eq!(spread.0, [1, 3, 3]);
    assert_eq!(
        spread.1,
        [-0.625, -2.0 * 0.75, -2.0 * 0.625, -3.0 * 0.875, -4.0, -4.0 * 0.875, -3.0 * 0.625, -3.0, -2.5]
    );
    let mut norm = Tensors::default();
    for (name, value) in [("running_mean", 1.0), ("running_var", 3.0), ("weight", 4.0), ("bias", 0.5)] {
        norm.real.insert(format!("n.{name}"), NamedTensor { shape: vec![4], values: vec![value; 4] });
    }
    assert_eq!(decoded("layer = \"batch_norm\", tensors = \"n\", eps = 1.0", &norm, &input).1, [0.5, 2.5, 4.5, 6.5]);
}

#[test]
fn a_whole_description_becomes_a_model() {
    let text = r#"
        input_shape = [3]
        latent_dim = 1
        likelihood = "bernoulli"
        std = "log-std"
        std_floor = 0.25
        [[encoder.trunk]]
        layer = "linear"
        tensors = "h"
        activation = "selu"
        [[encoder.trunk]]
        layer = "linear"
        tensors = "heads"
        [[encoder.mean]]
        layer = "slice"
        stop = 1
        [[encoder.std]]
        layer = "slice"
        start = 1
        [[decoder]]
        layer = "linear"
        tensors = "out"
        activation = "sigmoid"
    "#;
    let mut file =
        tensors(&[("h.weight", &[2, 3]), ("heads.weight", &[2, 2]), ("heads.bias", &[2]), ("out.weight", &[3, 1])]);
    file.real.insert("spare".to_owned(), ramp(&[1]));
    file.others.insert("bn.num_batches_tracked".to_owned(), "I64".to_owned());
    let described = describe(text, &file).unwrap();
    assert_eq!(described.notes, ["no layer of the description uses the tensors spare"]);
    assert_eq!(described.likelihood, LikelihoodChoice::Bernoulli);
    assert_eq!((described.encoder.std_link, described.encoder.std_floor), (StdLink::HalfLogVariance, 0.25));
    let model = assemble(described.encoder, described.decoder, described.likelihood).unwrap();
    let names: Vec<_> = model.tensors.iter().map(|(name, shape, _)| (name.as_str(), shape.as_slice())).collect();
    assert_eq!(names[2..4], [("encoder.mean.0.weight", &[1, 2][..]), ("encoder.mean.0.bias", &[1])]);
    // The log-standard deviation's bias, −7/8, doubled.
    assert_eq!(model.tensors[5].2, [-1.75]);
    assert_eq!(model.tensors.len(), 8);
}

#[test]
fn a_layer_that_does_not_fit_is_named_with_what_was_expected() {
    let file =
        tensors(&[("fc.weight", &[2, 3]), ("fc.bias", &[3]), ("c.weight", &[2, 3, 2, 2]), ("ok.weight", &[2, 4])]);
    let problem = |layers: &str| match describe(&decoder_of(layers), &file).unwrap_err() {
        DescriptionError::Layer { place, source } => (place, source),
        other => panic!("{other}"),
    };
    let (place, shape) = problem("layer = \"flatten\"; layer = \"linear\", tensors = \"fc\"");
    assert_eq!(place, LayerPlace { chain: "decoder", layer: 1, kind: "linear" });
    let text = "tensor fc.weight has shape [2, 3], expected [outputs, 4], since values of shape [4] come in";
    assert_eq!(shape.to_string(), text);
    let bias = problem("layer = \"linear\", weight = \"ok.weight\", bias = \"fc.bias\"").1;
    assert_eq!(bias.to_string(), "tensor fc.bias has shape [3], expected [2]");
    let missing = problem("layer = \"linear\", tensors = \"fx\"").1;
    assert_eq!(missing.to_string(), "no tensor is called \"fx.weight\"; did you mean \"fc.weight\"?");
    assert_eq!(problem("layer = \"linear\", activation = \"relu\"").1, LayerProblem::Names);
    assert_eq!(problem("layer = \"linear\", tensors = \"ok\", bias = \"fc.bias\"").1, LayerProblem::Names);
    assert_eq!(problem("layer = \"conv2d\", tensors = \"c\"").1, LayerProblem::Image { found: vec![4] });
    let image = |rest: &str| problem(&format!("layer = \"reshape\", shape = [1, 2, 2]; {rest}")).1;
    assert!(matches!(image("layer = \"conv2d\", tensors = \"c\""), LayerProblem::Shape { .. }));
    for setting in [
        "layer = \"conv2d\", tensors = \"c\", groups = 0",
        "layer = \"max_pool2d\", kernel = 3",
        "layer = \"max_pool2d\", kernel = 2, stride = 0",
        "layer = \"pixel_shuffle\", factor = 2",
        "layer = \"slice\", start = 1",
        "layer = \"slice\", step = 0",
        "layer = \"permute\", order = [0, 0, 1]",
    ] {
        assert!(matches!(image(setting), LayerProblem::Setting { .. }), "{setting}");
    }
    for sequence in [
        "layer = \"reshape\", shape = [5]",
        "layer = \"upsample\", scale = 0",
        "layer = \"upsample\", scale = 1000000000",
        "layer = \"activation\", activation = { leaky_relu = 2.0 }",
    ] {
        assert!(matches!(image(sequence), LayerProblem::Sequence(_)), "{sequence}");
    }
    let mut counters = file.clone();
    counters.others.insert("n.weight".to_owned(), "I64".to_owned());
    let error = describe(&decoder_of("layer = \"linear\", tensors = \"n\""), &counters).unwrap_err();
    assert!(matches!(error, DescriptionError::Layer { source: LayerProblem::Type { .. }, .. }));
}

#[test]
fn a_description_that_cannot_be_read_says_why() {
    let none = Tensors::default();
    let unknown = |layers: &str| describe(&decoder_of(layers), &none).unwrap_err().to_string();
    assert!(unknown("layer = \"attention\"").contains("unknown variant `attention`"));
    assert!(unknown("layer = \"flatten\", stride = 2").contains("unknown field `stride`"));
    assert!(unknown("layer = \"activation\", activation = \"gelu\"").contains("expected relu"));
    assert!(matches!(describe("input_shape = [", &none), Err(DescriptionError::Toml { .. })));
    let narrow = decoder_of("layer = \"flatten\"").replace("latent_dim = 4", "latent_dim = 3");
    let error = describe(&narrow, &none).unwrap_err();
    assert!(matches!(error, DescriptionError::LatentDim { chain: "encoder.mean", expected: 3, found: 4 }));
}

#[test]
fn the_descriptions_of_published_models_are_understood() {
    let mut seen = 0;
    for file in fs::read_dir(folder("descriptions")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        // Without any tensor, the first that is missing must be a layer's own.
        let error = describe(&text, &Tensors::default()).unwrap_err();
        assert!(matches!(error, DescriptionError::Layer { source: LayerProblem::MissingTensor { .. }, .. }), "{error}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}
