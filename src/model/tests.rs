//! Networks against finite differences, hand-computed losses, reproducible training, files that must be refused.

use std::num::NonZeroUsize;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use safetensors::tensor::Dtype;

use super::activation::{Activation, ALL_ACTIVATIONS};
use super::architecture::{Architecture, Likelihood, StdLink};
use super::file::{Model, ModelError};
use super::kernel;
use super::network::{Layer, Network};
use super::objective::{objective, objective_gradients};
use super::train::{TrainError, Trainer, TrainingPlan};
use super::vae::Vae;
use crate::data::{DataSource, Dataset, Split};
use crate::seed::{standard_normal, Seed};
use crate::testing::seeded;
use crate::threads::Workers;

/// Step of central differences in double precision: truncation and cancellation errors are both near 1e-10.
const STEP: f64 = 1e-5;
/// What central differences with [`STEP`] may be off by, relative to quantities of order 1 to 10.
const DIFFERENCE_TOLERANCE: f64 = 1e-6;

fn tensor(values: &[f64], shape: (usize, usize)) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn noise(name: &str, count: usize) -> Vec<f64> {
    standard_normal(&mut Seed(3).stream(name), count)
}

/// Small VAEs with every activation, both links, both likelihoods and hidden layers in every place.
fn any_architecture() -> impl Strategy<Value = Architecture> {
    let layer = (1..5usize, 0..ALL_ACTIVATIONS.len()).prop_map(|(width, which)| (width, ALL_ACTIVATIONS[which]));
    let layers = || prop::collection::vec(layer.clone(), 0..3);
    let likelihood = prop_oneof![Just(Likelihood::Bernoulli), Just(Likelihood::Gaussian { std: 0.7 })];
    let link = prop_oneof![Just(StdLink::HalfLogVariance), Just(StdLink::Softplus)];
    let heads = (layers(), layers(), layers(), layers());
    (2..5usize, 1..4usize, heads, link, prop_oneof![Just(0.0), Just(0.3)], likelihood).prop_map(
        |(input_dim, latent_dim, (trunk, mean_head, std_head, decoder), std_link, std_floor, likelihood)| {
            let hidden = [&trunk[..], &mean_head, &std_head, &decoder];
            let dense = Architecture::of_dense_layers(&[input_dim], latent_dim, hidden, likelihood);
            Architecture { std_link, std_floor, ..dense }
        },
    )
}

fn double_precision(architecture: &Architecture, seed: u64) -> Vae {
    let vae = Vae::initialised(architecture.clone(), Seed(seed), &Device::Cpu).unwrap();
    vae.converted(DType::F64, &Device::Cpu).unwrap()
}

/// Whether any hidden pre-activation lies so close to a kink that a difference would straddle it.
fn near_a_kink(network: &Network, input: &Tensor) -> bool {
    let mut value = input.clone();
    for layer in network.layers() {
        let a = values(&layer.pre_activation(&value).unwrap());
        if layer.activation().kinks().iter().any(|kink| a.iter().any(|a| (a - kink).abs() < 1e3 * STEP)) {
            return true;
        }
        value = Network::new(vec![layer.clone()]).forward(&value).unwrap();
    }
    false
}

proptest! {
    #![proptest_config(seeded(48))]

    #[test]
    fn tangents_and_gradients_of_networks_agree_with_finite_differences(architecture in any_architecture(), seed in 0..1000u64) {
        let vae = double_precision(&architecture, seed);
        let network = vae.encoder().mean_network();
        let (rows, dim, out) = (3, architecture.input_dim(), architecture.latent_dim);
        let input = tensor(&noise("input", rows * dim), (rows, dim));
        prop_assume!(!near_a_kink(&network, &input));
        let direction = tensor(&noise("direction", rows * dim), (rows, dim));
        let weights = tensor(&noise("weights", rows * out), (rows, out));
        let at = |step: f64| network.forward(&(&input + (&direction * step).unwrap()).unwrap()).unwrap();
        let difference = ((at(STEP) - at(-STEP)).unwrap() / (2.0 * STEP)).unwrap();
        let trace = network.trace(&input).unwrap();
        let tangent = network.tangent(&trace, &direction).unwrap();
        for (exact, approximate) in values(&tangent).iter().zip(values(&difference)) {
            prop_assert!((exact - approximate).abs() < DIFFERENCE_TOLERANCE, "{exact} against {approximate}");
        }
        // ⟨w, J v⟩ = ⟨Jᵀ w, v⟩ ties the gradient to the tangent.
        let gradient = network.pull_back(&trace, weights.copy().unwrap()).unwrap();
        let dot = |a: &Tensor, b: &Tensor| values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum::<f64>();
        prop_assert!((dot(&weights, &tangent) - dot(&gradient, &direction)).abs() < 1e-10);
    }

    #[test]
    fn training_gradients_agree_with_finite_differences(architecture in any_architecture(), seed in 0..1000u64) {
        let vae = double_precision(&architecture, seed);
        let (rows, dim) = (3, architecture.input_dim());
        let input: Vec<f64> = noise("input", rows * dim).iter().map(|v| v.abs().min(1.0)).collect();
        let input = tensor(&input, (rows, dim));
        let epsilon = tensor(&noise("epsilon", rows * architecture.latent_dim), (rows, architecture.latent_dim));
        let code = vae.encoder().forward(&input).unwrap();
        let latent = (&code.mean + (&code.std * &epsilon).unwrap()).unwrap();
        let std_path = Network::new([vae.encoder().trunk.layers(), vae.encoder().std_head.layers()].concat());
        let straddles = near_a_kink(&vae.encoder().mean_network(), &input)
            || near_a_kink(&std_path, &input)
            || near_a_kink(vae.decoder(), &latent);
        prop_assume!(!straddles);
        let beta = 1.7;
        let (terms, gradients) = objective_gradients(&vae, &input, &epsilon, beta).unwrap();
        let total = objective(&vae, &input, &epsilon).unwrap().total(beta);
        prop_assert!((terms.total(beta) - total).abs() < 1e-10 * total.abs().max(1.0));
        let parameters = vae.parameters();
        for (which, gradient) in gradients.iter().enumerate() {
            prop_assert_eq!(gradient.dims(), parameters[which].dims());
            let element = usize::try_from(seed).unwrap() % gradient.elem_count();
            let shifted = |step: f64| {
                let mut shifted = parameters.clone();
                let mut raw = values(&parameters[which]);
                raw[element] += step;
                shifted[which] = Tensor::from_vec(raw, parameters[which].shape(), &Device::Cpu).unwrap();
                let vae = Vae::from_parameters(architecture.clone(), &shifted).unwrap();
                objective(&vae, &input, &epsilon).unwrap().total(beta)
            };
            let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
            let exact = values(gradient)[element];
            prop_assert!((exact - difference).abs() < DIFFERENCE_TOLERANCE * exact.abs().max(1.0), "{exact} against {difference}");
        }
    }

    #[test]
    fn the_one_pass_kernels_agree_with_candles_own_operations(which in 0..ALL_ACTIVATIONS.len(), rows in 1..5usize, seed in 0..99u64) {
        let activation = ALL_ACTIVATIONS[which];
        let name = |what: &str| format!("{what}{seed}");
        let input = tensor(&noise(&name("x"), rows * 4), (rows, 4));
        let weight = tensor(&noise(&name("w"), 12), (3, 4));
        let bias = Tensor::new(noise(&name("b"), 3), &Device::Cpu).unwrap();
        let product = input.matmul(&weight.t().unwrap()).unwrap();
        let fused = kernel::add_and_activate(product.copy().unwrap(), &bias, activation).unwrap();
        let plain = kernel::plain_activate(&product.broadcast_add(&bias).unwrap(), activation).unwrap();
        for (a, b) in values(&fused).iter().zip(values(&plain)) {
            prop_assert!((a - b).abs() < 1e-12, "{activation:?}: {a} against {b}");
        }
        let gradient = tensor(&noise(&name("g"), rows * 3), (rows, 3));
        let slope = kernel::slope(&fused, activation).unwrap();
        let expected = (&gradient * slope).unwrap();
        let found = kernel::times_slope(gradient.copy().unwrap(), &fused, activation).unwrap();
        for (a, b) in values(&found).iter().zip(values(&expected)) {
            prop_assert!((a - b).abs() < 1e-12, "{activation:?}: {a} against {b}");
        }
    }
}

#[test]
fn loss_terms_match_hand_computed_values() {
    // One pixel, logit 0: −log ½ whatever the target.
    let logits = tensor(&[0.0, 200.0, -200.0], (1, 3));
    let (loss, gradient) = kernel::bernoulli_loss(&logits, &tensor(&[1.0, 1.0, 1.0], (1, 3))).unwrap();
    assert!((loss - (2.0_f64.ln() + 0.0 + 200.0)).abs() < 1e-12);
    assert_eq!(values(&gradient), vec![-0.5, 0.0, -1.0]);
    let (loss, gradient) = kernel::gaussian_loss(&tensor(&[3.0], (1, 1)), &tensor(&[1.0], (1, 1)), 0.25).unwrap();
    assert_eq!((loss, values(&gradient)), (8.0, vec![8.0]));
}

#[test]
fn the_objective_of_a_model_of_zeros_is_known() {
    // Zero weights: μ = 0, σ = 1, so KL = 0; logits 0, so every pixel costs log 2.
    let architecture = Architecture::preset("digits", &[8, 8]).unwrap();
    let zeros: Vec<Tensor> = architecture
        .parameters()
        .into_iter()
        .map(|(_, shape)| Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap())
        .collect();
    let vae = Vae::from_parameters(architecture, &zeros).unwrap();
    let input = Tensor::full(0.25, (2, 64), &Device::Cpu).unwrap();
    let terms = objective(&vae, &input, &tensor(&noise("e", 16), (2, 8))).unwrap();
    assert!((terms.reconstruction - 128.0 * 2.0_f64.ln()).abs() < 1e-10);
    assert_eq!(terms.divergence, 0.0);
}

#[test]
fn the_divergence_of_a_known_code_is_known() {
    // Linear heads with constant output: μ = 3 and log-variance log 4, so KL = ½(9 + 4 − 1) − log 2.
    let architecture = Architecture::preset("linear", &[1]).unwrap().with_latent_dim(1);
    let one = |value: f64, shape: &[usize]| Tensor::full(value, shape, &Device::Cpu).unwrap();
    let (matrix, vector) = ([1, 1], [1]);
    let parameters = [
        one(0.0, &matrix),
        one(3.0, &vector),
        one(0.0, &matrix),
        one(4.0_f64.ln(), &vector),
        one(2.0, &matrix),
        one(0.0, &vector),
    ];
    let vae = Vae::from_parameters(architecture, &parameters).unwrap();
    // z = 3 + 2·0.5 = 4, reconstruction 8, target 7: ½ + ½ log 2π.
    let terms = objective(&vae, &tensor(&[7.0], (1, 1)), &tensor(&[0.5], (1, 1))).unwrap();
    assert!((terms.divergence - (6.0 - 2.0_f64.ln())).abs() < 1e-12);
    assert!((terms.reconstruction - (0.5 + 0.5 * std::f64::consts::TAU.ln())).abs() < 1e-12);
}

#[test]
fn the_floor_keeps_every_standard_deviation_above_it() {
    let base = Architecture::preset("digits", &[8, 8]).unwrap();
    for std_link in [StdLink::HalfLogVariance, StdLink::Softplus] {
        let architecture = Architecture { std_link, std_floor: 0.5, ..base.clone() };
        let vae = double_precision(&architecture, 1);
        let input = (tensor(&noise("x", 64 * 5), (5, 64)) * 1e3).unwrap();
        assert!(values(&vae.encoder().forward(&input).unwrap().std).iter().all(|&std| std >= 0.5));
    }
}

#[test]
fn row_distances_share_references_by_blocks() {
    let points = tensor(&[3.0, 4.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0], (4, 2));
    let references = tensor(&[0.0, 0.0, 1.0, 1.0], (2, 2));
    assert_eq!(kernel::row_distances(&points, &references).unwrap(), vec![5.0, 0.0, 0.0, 1.0]);
    let scaled = kernel::scaled_differences(&points, &references, &[1.0, 1.0, 2.0, 10.0]).unwrap();
    assert_eq!(values(&scaled), vec![3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0]);
}

#[test]
fn shapes_that_disagree_are_refused() {
    let zeros = |rows, width| Tensor::zeros((rows, width), DType::F64, &Device::Cpu).unwrap();
    let bias = Tensor::zeros(2, DType::F64, &Device::Cpu).unwrap();
    assert!(kernel::add_and_activate(zeros(1, 3), &bias, Activation::Relu).is_err());
    assert!(kernel::times_slope(zeros(2, 3), &zeros(1, 3), Activation::Relu).is_err());
    assert!(kernel::row_distances(&zeros(3, 2), &zeros(2, 2)).is_err());
    assert!(kernel::row_distances(&zeros(3, 2), &zeros(1, 3)).is_err());
    assert!(kernel::scaled_differences(&zeros(3, 2), &zeros(1, 2), &[1.0]).is_err());
    assert!(kernel::bernoulli_loss(&zeros(3, 2), &zeros(1, 2)).is_err());
}

#[test]
fn a_small_standard_deviation_keeps_its_value_and_its_gradient() {
    // Softplus of −20 is 2.06e-9: log(1 + x) would lose it in single precision, and σ − τ would lose its slope.
    for (std_link, head, linked, slope) in [
        (StdLink::Softplus, -20.0_f32, 2.061_153_6e-9, 2.061_153_6e-9),
        (StdLink::HalfLogVariance, -60.0, (-30.0_f64).exp(), 0.5 * (-30.0_f64).exp()),
    ] {
        for std_floor in [0.0, 0.5] {
            let preset = Architecture::preset("linear", &[1]).unwrap().with_latent_dim(1);
            let architecture = Architecture { std_link, std_floor, ..preset };
            let constant = |value: f32, shape: &[usize]| Tensor::full(value, shape, &Device::Cpu).unwrap();
            let parameters = [
                constant(0.0, &[1, 1]),
                constant(0.0, &[1]),
                constant(0.0, &[1, 1]),
                constant(head, &[1]),
                constant(1.0, &[1, 1]),
                constant(0.0, &[1]),
            ];
            let vae = Vae::from_parameters(architecture, &parameters).unwrap();
            let trace = vae.encoder().trace(&constant(0.0, &[1, 1])).unwrap();
            let std = values(&trace.code.std)[0];
            assert!((std - std_floor - linked).abs() <= 1e-6 * linked + 1e-7 * std_floor, "{std_link:?}: {std}");
            let gradient = vae.encoder().std_output_gradient(&constant(1.0, &[1, 1]), &trace).unwrap();
            assert!((values(&gradient)[0] - slope).abs() < 1e-5 * slope, "{std_link:?}: {}", values(&gradient)[0]);
        }
    }
}

#[test]
fn a_model_taken_from_a_trainer_does_not_change_when_training_goes_on() {
    let data = digits();
    let architecture = Architecture::preset("digits", data.item_shape()).unwrap();
    let mut trainer = Trainer::new(architecture, &data, plan(2), &Device::Cpu).unwrap();
    trainer.run_epoch(&workers(1)).unwrap();
    let model = trainer.model().unwrap();
    let before = model.to_bytes().unwrap();
    trainer.run_epoch(&workers(1)).unwrap();
    assert_eq!(model.to_bytes().unwrap(), before);
}

#[test]
fn tensors_of_unequal_type_are_refused() {
    let single = Tensor::zeros((1, 2), DType::F32, &Device::Cpu).unwrap();
    assert!(kernel::row_distances(&single, &tensor(&[0.0, 0.0], (1, 2))).is_err());
}

fn digits() -> Dataset {
    DataSource::digits().load(Split::Train, Seed(0)).unwrap().take(0..300).unwrap()
}

fn plan(epochs: usize) -> TrainingPlan {
    TrainingPlan { epochs, batch_size: 200, learning_rate: 1e-3, beta: 1.0, seed: Seed(5) }
}

fn workers(threads: usize) -> Workers {
    Workers::new(NonZeroUsize::new(threads)).unwrap()
}

fn train(data: &Dataset, epochs: usize, threads: usize) -> Model {
    let architecture = Architecture::preset("digits", data.item_shape()).unwrap();
    let mut trainer = Trainer::new(architecture, data, plan(epochs), &Device::Cpu).unwrap();
    while !trainer.is_finished() {
        trainer.run_epoch(&workers(threads)).unwrap();
    }
    trainer.model().unwrap()
}

#[test]
fn training_gives_the_same_bytes_on_one_thread_and_on_two() {
    let data = digits();
    assert_eq!(train(&data, 3, 1).to_bytes().unwrap(), train(&data, 3, 2).to_bytes().unwrap());
}

#[test]
fn training_lowers_the_loss() {
    let data = digits();
    let architecture = Architecture::preset("digits", data.item_shape()).unwrap();
    let mut trainer = Trainer::new(architecture, &data, plan(20), &Device::Cpu).unwrap();
    let first = trainer.run_epoch(&workers(2)).unwrap();
    while !trainer.is_finished() {
        trainer.run_epoch(&workers(2)).unwrap();
    }
    assert!(trainer.history()[19].loss < 0.9 * first.loss);
}

#[test]
fn an_interrupted_run_resumes_to_the_same_bytes() {
    let data = digits();
    let architecture = Architecture::preset("digits", data.item_shape()).unwrap();
    let mut trainer = Trainer::new(architecture.clone(), &data, plan(3), &Device::Cpu).unwrap();
    trainer.run_epoch(&workers(2)).unwrap();
    let checkpoint = trainer.checkpoint().unwrap();
    drop(trainer);
    let path = Path::new("run.checkpoint");
    let mut resumed = Trainer::resume(&checkpoint, path, architecture.clone(), &data, plan(3), &Device::Cpu).unwrap();
    assert_eq!(resumed.history().len(), 1);
    while !resumed.is_finished() {
        resumed.run_epoch(&workers(1)).unwrap();
    }
    assert_eq!(resumed.model().unwrap().to_bytes().unwrap(), train(&data, 3, 2).to_bytes().unwrap());

    let mut flipped = checkpoint.clone();
    let last = flipped.len() - 4;
    flipped[last] ^= 1;
    let damaged = Trainer::resume(&flipped, path, architecture.clone(), &data, plan(3), &Device::Cpu);
    assert!(matches!(damaged, Err(TrainError::Checkpoint(ModelError::Hash { .. }))));
    let resume = |architecture, data, plan| Trainer::resume(&checkpoint, path, architecture, data, plan, &Device::Cpu);
    let other_plan = resume(architecture.clone(), &data, TrainingPlan { beta: 2.0, ..plan(3) });
    assert!(matches!(other_plan, Err(TrainError::OtherRun { what: "plan", .. })));
    let floored = Architecture { std_floor: 0.1, ..architecture.clone() };
    assert!(matches!(resume(floored, &data, plan(3)), Err(TrainError::OtherRun { what: "architecture", .. })));
    let other_data = data.take(0..200).unwrap();
    assert!(matches!(
        resume(architecture, &other_data, plan(3)),
        Err(TrainError::OtherRun { what: "training set", .. })
    ));
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_says_where() {
    let data = digits();
    let architecture = Architecture::preset("digits", data.item_shape()).unwrap();
    let wild = TrainingPlan { learning_rate: 1e30, ..plan(5) };
    let mut trainer = Trainer::new(architecture, &data, wild, &Device::Cpu).unwrap();
    let error = loop {
        if let Err(error) = trainer.run_epoch(&workers(1)) {
            break error;
        }
        assert!(!trainer.is_finished(), "a learning rate of 1e30 must not go well");
    };
    assert!(matches!(error, TrainError::NonFinite { epoch: 1, step: 2, .. }), "{error}");
}

#[test]
fn plans_and_data_that_do_not_fit_are_refused() {
    let data = digits();
    let architecture = Architecture::preset("digits", &[8, 8]).unwrap();
    let new = |architecture: &Architecture, data, plan| {
        Trainer::new(architecture.clone(), data, plan, &Device::Cpu).map(drop)
    };
    let no_batch = TrainingPlan { batch_size: 0, ..plan(1) };
    assert!(matches!(new(&architecture, &data, no_batch), Err(TrainError::Plan { name: "the batch size", .. })));
    let no_rate = TrainingPlan { learning_rate: 0.0, ..plan(1) };
    assert!(matches!(new(&architecture, &data, no_rate), Err(TrainError::Plan { name: "the learning rate", .. })));
    let no_beta = TrainingPlan { beta: f64::NAN, ..plan(1) };
    assert!(matches!(new(&architecture, &data, no_beta), Err(TrainError::Plan { name: "beta", .. })));
    let narrow = Architecture::preset("digits", &[7]).unwrap();
    assert!(matches!(new(&narrow, &data, plan(1)), Err(TrainError::Shape { data: 64, architecture: 7 })));
    let bright = Dataset::new("bright", vec![8, 8], vec![1.5; 64]).unwrap();
    assert!(matches!(new(&architecture, &bright, plan(1)), Err(TrainError::Range { input: 0, .. })));
}

fn small_model() -> Model {
    let architecture = Architecture::preset("linear", &[2]).unwrap().with_latent_dim(1);
    let vae = Vae::initialised(architecture, Seed(1), &Device::Cpu).unwrap();
    Model::new(&vae, None).unwrap()
}

#[test]
fn a_saved_and_loaded_model_is_bit_identical() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = train(&digits(), 1, 1);
    model.save(&path).unwrap();
    let loaded = Model::load(&path).unwrap();
    assert_eq!(loaded.training, model.training);
    assert_eq!(loaded.sha256, model.sha256);
    for (a, b) in model.vae.parameters().iter().zip(loaded.vae.parameters()) {
        let bits = |t: &Tensor| {
            t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(a), bits(&b));
    }
    assert_eq!(loaded.to_bytes().unwrap(), std::fs::read(&path).unwrap());
}

#[test]
fn the_embedded_model_is_the_digits_preset_trained_on_the_embedded_digits() {
    let model = super::embedded::digits().unwrap();
    assert_eq!(model.vae.architecture(), &Architecture::preset("digits", &[8, 8]).unwrap());
    let training = model.training.unwrap();
    assert_eq!(training.data_sha256, DataSource::digits().load(Split::Train, Seed(0)).unwrap().sha256());
    assert_eq!(
        training.plan,
        TrainingPlan { epochs: 300, batch_size: 64, learning_rate: 1e-3, beta: 1.0, seed: Seed(0) }
    );
}

/// The bytes of a small model with its tensors changed and the metadata left as they were.
fn altered(change: impl Fn(&mut Vec<(String, Dtype, Vec<usize>, Vec<u8>)>)) -> Result<Model, ModelError> {
    let bytes = small_model().to_bytes().unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut parts: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    parts.sort();
    change(&mut parts);
    let views: Vec<_> = parts
        .iter()
        .map(|(name, dtype, shape, data)| {
            (name.clone(), safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    let bytes = safetensors::tensor::serialize(views, header.metadata().clone()).unwrap();
    Model::from_bytes(&bytes, Path::new("m.safetensors"))
}

#[test]
fn a_model_with_a_weight_that_is_not_a_number_is_refused_by_name() {
    let error = altered(|parts| parts[0].3[..4].copy_from_slice(&f32::NAN.to_le_bytes())).unwrap_err();
    assert!(matches!(&error, ModelError::NonFinite { tensor, position: 0, .. } if tensor == "decoder.0.bias"));
    assert!(error.to_string().starts_with("m.safetensors: tensor decoder.0.bias holds NaN at position 0"));
}

#[test]
fn a_model_with_a_flipped_weight_is_refused_by_its_hash() {
    assert!(matches!(altered(|parts| parts[0].3[0] ^= 1), Err(ModelError::Hash { .. })));
}

#[test]
fn a_model_without_one_of_its_tensors_is_refused_by_name() {
    let error = altered(|parts| drop(parts.remove(1))).unwrap_err();
    assert!(matches!(&error, ModelError::MissingTensor { tensor, .. } if tensor == "decoder.0.weight"));
}

#[test]
fn a_model_with_a_tensor_too_many_is_refused_by_name() {
    let error = altered(|parts| parts.push(("extra".into(), Dtype::F32, vec![1], vec![0; 4]))).unwrap_err();
    assert!(matches!(&error, ModelError::UnexpectedTensor { tensor, .. } if tensor == "extra"));
}

#[test]
fn a_model_with_a_tensor_of_another_shape_is_refused_by_name() {
    let error = altered(|parts| parts[1].2 = vec![1, 2]).unwrap_err();
    assert!(matches!(&error, ModelError::Shape { tensor, expected, found, .. }
        if tensor == "decoder.0.weight" && *expected == [2, 1] && *found == [1, 2]));
}

#[test]
fn a_model_in_another_precision_is_refused_by_name() {
    let error = altered(|parts| {
        parts[0].1 = Dtype::F16;
        parts[0].3.truncate(4);
    });
    assert!(matches!(error, Err(ModelError::Type { found: Dtype::F16, .. })));
}

#[test]
fn files_that_are_no_models_are_refused() {
    let path = Path::new("m.safetensors");
    let read = |bytes: &[u8]| Model::from_bytes(bytes, path);
    assert!(matches!(read(b""), Err(ModelError::NotSafetensors { .. })));
    assert!(matches!(read(b"not a model at all, just text"), Err(ModelError::NotSafetensors { .. })));
    let whole = small_model().to_bytes().unwrap();
    assert!(matches!(read(&whole[..whole.len() - 1]), Err(ModelError::NotSafetensors { .. })));
    let bare =
        safetensors::tensor::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None).unwrap();
    assert!(matches!(read(&bare), Err(ModelError::MissingMetadata { .. })));
    let with = |text: &str| {
        let metadata = Some([(super::file::METADATA_KEY.to_owned(), text.to_owned())].into());
        safetensors::tensor::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), metadata).unwrap()
    };
    assert!(matches!(read(&with("{}")), Err(ModelError::Metadata { .. })));
    let (_, header) = safetensors::SafeTensors::read_metadata(&whole).unwrap();
    let metadata = &header.metadata().as_ref().unwrap()[super::file::METADATA_KEY];
    let newer = metadata.replacen("\"format\":2", "\"format\":3", 1);
    assert!(matches!(read(&with(&newer)), Err(ModelError::Format { found: 3, .. })));
    let floored = metadata.replacen("\"std_floor\":0.0", "\"std_floor\":0.5", 1);
    assert_ne!(&floored, metadata);
    let mut tensors: Vec<_> = safetensors::SafeTensors::deserialize(&whole).unwrap().tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let entry = Some([(super::file::METADATA_KEY.to_owned(), floored)].into());
    let edited = safetensors::tensor::serialize(tensors, entry).unwrap();
    assert!(matches!(read(&edited), Err(ModelError::Hash { .. })), "the architecture is part of the identity");
    let impossible = metadata.replacen("\"latent_dim\":1", "\"latent_dim\":0", 1);
    assert!(matches!(read(&with(&impossible)), Err(ModelError::Architecture { .. })));
    assert!(matches!(Model::load(Path::new("absent.safetensors")), Err(ModelError::Io { .. })));
}

#[test]
fn a_single_hidden_unit_computes_what_it_should() {
    let bias = Tensor::new(&[0.5_f64], &Device::Cpu).unwrap();
    let layer = Layer::dense(tensor(&[2.0, -1.0], (1, 2)), bias, Activation::Relu);
    let network = Network::new(vec![layer.unwrap()]);
    let output = network.forward(&tensor(&[1.0, 1.0, 0.0, 9.0], (2, 2))).unwrap();
    assert_eq!(values(&output), vec![1.5, 0.0]);
    assert_eq!(values(&Network::default().forward(&output).unwrap()), vec![1.5, 0.0]);
}
