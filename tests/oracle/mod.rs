//! The whole audit against linear-Gaussian VAEs, whose margin is known exactly.

use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use vaecert::attack::{AttackKind, Effort, Threat};
use vaecert::audit::input::AuditedModel;
use vaecert::audit::{AuditPlan, Outcome};
use vaecert::bounds::{one_dimensional_margin, one_dimensional_probability, FirstOrderDamage};
use vaecert::margin::RadiusRule;
use vaecert::model::{Architecture, Vae};
use vaecert::quantity::{Probability, Radius};
use vaecert::seed::{standard_normal, Seed};

use crate::support::seeded;

/// Single-precision weights and distances against exact double-precision margins.
const RELATIVE_TOLERANCE: f64 = 1e-4;
/// How far above the exact margin the best attack may stay: the bisection's tolerance, and the width of the
/// Clopper–Pearson bound at these numbers of draws.
const ATTACK_EXCESS: f64 = 0.35;

/// μ(x) = a·x, constant σ, g(z) = w z with one latent coordinate.
#[derive(Debug)]
struct LinearGaussian {
    encoder: Vec<f32>,
    std: f32,
    decoder: Vec<f32>,
}

impl LinearGaussian {
    fn vae(&self) -> Vae {
        let dim = self.encoder.len();
        let architecture = Architecture::preset("linear", &[dim]).unwrap().with_latent_dim(1);
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let matrix = |values: &[f32], shape: (usize, usize)| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let log_variance = Tensor::new(&[2.0 * self.std.ln()], &Device::Cpu).unwrap();
        let parameters = [
            matrix(&self.encoder, (1, dim)),
            zeros(&[1]),
            zeros(&[1, dim]),
            log_variance,
            matrix(&self.decoder, (dim, 1)),
            zeros(&[dim]),
        ];
        Vae::from_parameters(architecture, &parameters).unwrap()
    }

    fn double(values: &[f32]) -> DVector<f64> {
        DVector::from_iterator(values.len(), values.iter().map(|&v| f64::from(v)))
    }

    /// (lower, upper) enclosure of the margin.
    fn exact_margin(&self, radius: Radius, level: Probability) -> (f64, f64) {
        let (a, w) = (Self::double(&self.encoder), Self::double(&self.decoder));
        let margin = one_dimensional_margin(&a, f64::from(self.std), &w, radius, level).unwrap();
        (margin.lower.get(), margin.upper.get())
    }
}

fn linear_gaussian() -> impl Strategy<Value = LinearGaussian> {
    (1..6usize).prop_flat_map(|dim| {
        let entries = || prop::collection::vec(-2.0..2.0f32, dim);
        (entries(), 0.05..1.5f32, entries())
            .prop_filter("neither map vanishes", |(a, _, w)| {
                let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
                norm(a) > 0.2 && norm(w) > 0.2
            })
            .prop_map(|(encoder, std, decoder)| LinearGaussian { encoder, std, decoder })
    })
}

fn plan(order: f64, level: f64, threat: Threat) -> AuditPlan {
    let probability = |value| Probability::new(value).unwrap();
    let mut plan = AuditPlan::standard(RadiusRule::Quantile(probability(order)), probability(1e-6), Seed(1));
    plan.level = probability(level);
    plan.threat = threat;
    plan.selection_draws = 500;
    plan.estimation_draws = 4_000;
    plan.search.decision_draws = 3_000;
    plan.search.max_norm = 60.0;
    plan.search.effort = Effort { restarts: 2, steps: 12, draws: 8 };
    plan.attacks = vec![AttackKind::MaxDamage, AttackKind::Exceedance, AttackKind::Latent, AttackKind::Random];
    plan
}

proptest! {
    #![proptest_config(seeded(24))]

    #[test]
    fn with_one_latent_dimension_the_ladder_lies_below_the_exact_margin_and_attacks_above(
        model in linear_gaussian(), order in 0.8..0.95f64, level in 0.3..0.6f64, joint: bool, seed in 0..99u64,
    ) {
        let threat = if joint { Threat::Joint } else { Threat::Mean };
        let plan = plan(order, level, threat);
        let input = standard_normal(&mut Seed(seed).stream("x"), model.encoder.len());
        let audited = AuditedModel::new(&model.vae(), &Device::Cpu).unwrap().audit(&input, 0, 1, &plan);
        let record = audited.record;
        let (exact_lower, exact_upper) = model.exact_margin(record.radius.unwrap(), plan.level);
        let ladder = record.first_order.unwrap();
        let (theorem1, operator, whitened) = (ladder.theorem1.get(), ladder.operator.get(), ladder.whitened.get());
        let below = |low: f64, high: f64| low <= high * (1.0 + RELATIVE_TOLERANCE);
        prop_assert!(below(theorem1, operator) && below(operator, whitened), "{ladder:?}");
        prop_assert!(below(whitened, exact_upper), "whitened {whitened} above the exact margin {exact_upper}");
        prop_assert!(record.linear_region.unwrap().get().is_infinite());
        if exact_upper < 0.5 * plan.search.max_norm {
            prop_assert_eq!(record.outcome, Outcome::Bracketed, "{:?}", record.reasons);
            let refuted = record.margin_upper.unwrap().get();
            prop_assert!(below(exact_lower, refuted), "refuted {refuted} below the exact margin {exact_lower}");
            prop_assert!(refuted <= exact_upper * (1.0 + ATTACK_EXCESS), "refuted {refuted}, exact margin {exact_upper}");
        }
        // P(‖Δ(x, 0)‖ ≤ r) is known too.
        let (a, w) = (LinearGaussian::double(&model.encoder), LinearGaussian::double(&model.decoder));
        let zero = DVector::zeros(a.len());
        let exact = one_dimensional_probability(&a, f64::from(model.std), &w, record.radius.unwrap(), &zero).unwrap();
        let probability = record.probability.unwrap();
        prop_assert!(probability.lower.get() <= exact.inside && exact.inside <= probability.upper.get());
    }
}

/// μ(x) = Ax, constant σ, g(z) = Wz with several latent coordinates.
#[derive(Debug)]
struct WideLinearGaussian {
    inputs: usize,
    /// Row-major [latents, inputs].
    encoder: Vec<f32>,
    std: Vec<f32>,
    /// Row-major [inputs, latents].
    decoder: Vec<f32>,
}

impl WideLinearGaussian {
    fn vae(&self) -> Vae {
        let (inputs, latents) = (self.inputs, self.std.len());
        let architecture = Architecture::preset("linear", &[inputs]).unwrap().with_latent_dim(latents);
        let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let log_variances: Vec<f32> = self.std.iter().map(|std| 2.0 * std.ln()).collect();
        let parameters = [
            tensor(&self.encoder, &[latents, inputs]),
            tensor(&vec![0.0; latents], &[latents]),
            tensor(&vec![0.0; latents * inputs], &[latents, inputs]),
            tensor(&log_variances, &[latents]),
            tensor(&self.decoder, &[inputs, latents]),
            tensor(&vec![0.0; inputs], &[inputs]),
        ];
        Vae::from_parameters(architecture, &parameters).unwrap()
    }

    fn matrix(values: &[f32], rows: usize, columns: usize) -> DMatrix<f64> {
        DMatrix::from_row_iterator(rows, columns, values.iter().map(|&value| f64::from(value)))
    }
}

fn wide_linear_gaussian() -> impl Strategy<Value = WideLinearGaussian> {
    (2..5usize, 2..6usize).prop_flat_map(|(latents, inputs)| {
        let entries = move || prop::collection::vec(-1.5..1.5f32, latents * inputs);
        (entries(), prop::collection::vec(0.1..1.0f32, latents), entries())
            .prop_map(move |(encoder, std, decoder)| WideLinearGaussian { inputs, encoder, std, decoder })
    })
}

/// Relative width asked of the exact margin's bracket.
const MARGIN_TOLERANCE: f64 = 0.01;

proptest! {
    #![proptest_config(seeded(12))]

    #[test]
    fn with_several_latent_dimensions_the_same_order_holds(
        model in wide_linear_gaussian(), order in 0.8..0.95f64, seed in 0..99u64,
    ) {
        let plan = plan(order, 0.5, Threat::Mean);
        let input = standard_normal(&mut Seed(seed).stream("x"), model.inputs);
        let audited = AuditedModel::new(&model.vae(), &Device::Cpu).unwrap().audit(&input, 0, 1, &plan);
        let record = audited.record;
        let radius = record.radius.unwrap();
        let latents = model.std.len();
        let std = DVector::from_iterator(latents, model.std.iter().map(|&std| f64::from(std)));
        let encoder = WideLinearGaussian::matrix(&model.encoder, latents, model.inputs);
        let decoder = WideLinearGaussian::matrix(&model.decoder, model.inputs, latents);
        let linear = vaecert::bounds::LinearGaussian::new(&encoder, &std, &decoder).unwrap();
        let exact = linear.margin(radius, plan.level, MARGIN_TOLERANCE, 20_000).unwrap();
        prop_assert!(exact.lower.get() >= exact.upper.get() * (1.0 - MARGIN_TOLERANCE), "{exact:?}");
        let recorded = record.exact_margin.unwrap();
        prop_assert!(recorded.lower.get() <= exact.upper.get() && exact.lower.get() <= recorded.upper.get());
        let ladder = record.first_order.unwrap();
        let (theorem1, operator, whitened) = (ladder.theorem1.get(), ladder.operator.get(), ladder.whitened.get());
        let below = |low: f64, high: f64| low <= high * (1.0 + RELATIVE_TOLERANCE);
        prop_assert!(below(theorem1, operator) && below(operator, whitened), "{ladder:?}");
        prop_assert!(below(whitened, exact.upper.get()), "whitened {whitened} above the exact margin {exact:?}");
        if exact.upper.get() < 0.5 * plan.search.max_norm {
            let refuted = record.margin_upper.unwrap().get();
            prop_assert!(below(exact.lower.get(), refuted), "refuted {refuted} below the exact margin {exact:?}");
            prop_assert!(refuted <= exact.upper.get() * (1.0 + ATTACK_EXCESS), "refuted {refuted}, exact {exact:?}");
        }
        // A linear decoder is its own tangent: Proposition 1's Gamma sum is exact.
        let damage = FirstOrderDamage::new(&(decoder.transpose() * &decoder), &std).unwrap();
        let inside = damage.probability_inside(radius).unwrap().value;
        let probability = record.probability.unwrap();
        prop_assert!(probability.lower.get() <= inside && inside <= probability.upper.get());
        let linearization = record.linearization.unwrap();
        prop_assert!(linearization.within_interval, "{linearization:?} {:?}", record.minimum_radius);
        prop_assert!((linearization.probability.get() - inside).abs() < RELATIVE_TOLERANCE);
    }
}

#[test]
fn codes_and_outputs_far_from_zero_do_not_blur_the_decisions() {
    // σ = 1e-4 beside a code of 5 and an output of 1000: in single precision, draws and distances are mostly rounding.
    let architecture = Architecture::preset("linear", &[1]).unwrap().with_latent_dim(1);
    let tensor = |value: f32, shape: &[usize]| Tensor::full(value, shape, &Device::Cpu).unwrap();
    let (std, radius) = (1e-4_f32, 1.2e-4);
    let parameters = [
        tensor(1.0, &[1, 1]),
        tensor(5.0, &[1]),
        tensor(0.0, &[1, 1]),
        tensor(2.0 * std.ln(), &[1]),
        tensor(1.0, &[1, 1]),
        tensor(1000.0, &[1]),
    ];
    let vae = Vae::from_parameters(architecture, &parameters).unwrap();
    let mut plan = plan(0.9, 0.5, Threat::Mean);
    plan.radius = RadiusRule::Absolute(Radius::new(radius).unwrap());
    let record = AuditedModel::new(&vae, &Device::Cpu).unwrap().audit(&[0.25], 0, 1, &plan).record;
    let one = DVector::from_element(1, 1.0);
    let zero = DVector::zeros(1);
    let std = f64::from(2.0 * std.ln()).mul_add(0.5, 0.0).exp();
    let radius = Radius::new(radius).unwrap();
    let exact = one_dimensional_probability(&one, std, &one, radius, &zero).unwrap().inside;
    let probability = record.probability.unwrap();
    assert!(probability.lower.get() <= exact && exact <= probability.upper.get(), "{probability:?}, exact {exact}");
    let margin = one_dimensional_margin(&one, std, &one, radius, plan.level).unwrap();
    assert!(record.margin_upper.unwrap().get() >= margin.lower.get(), "{:?} below {margin:?}", record.margin_upper);
}

#[test]
fn algorithm_two_as_the_paper_has_it_finds_the_margin_to_its_step() {
    let model = LinearGaussian { encoder: vec![0.6, 0.8], std: 0.5, decoder: vec![1.0, 0.0] };
    let mut plan = plan(0.9, 0.5, Threat::Mean);
    plan.search.protocol = vaecert::margin::Protocol::Paper { decrement: 0.25 };
    plan.search.max_norm = 3.0;
    plan.attacks = vec![AttackKind::MaxDamage];
    let record = AuditedModel::new(&model.vae(), &Device::Cpu).unwrap().audit(&[0.0, 0.0], 0, 1, &plan).record;
    let (exact, _) = model.exact_margin(record.radius.unwrap(), plan.level);
    let refuted = record.margin_upper.unwrap().get();
    assert!(
        refuted >= exact * (1.0 - RELATIVE_TOLERANCE) && refuted <= exact + 0.5,
        "refuted {refuted}, exact {exact}"
    );
    assert!((record.attacks[0].withstood_estimate.get() - (refuted - 0.25)).abs() < 1e-5);
}

#[test]
fn an_input_that_fails_without_any_perturbation_has_margin_zero() {
    let model = LinearGaussian { encoder: vec![1.0], std: 1.0, decoder: vec![1.0] };
    let mut plan = plan(0.9, 0.5, Threat::Mean);
    plan.radius = RadiusRule::Absolute(Radius::new(0.1).unwrap());
    let record = AuditedModel::new(&model.vae(), &Device::Cpu).unwrap().audit(&[0.0], 0, 1, &plan).record;
    assert_eq!(record.margin_upper.unwrap().get(), 0.0);
    assert_eq!((record.outcome, record.first_order, record.attacks.len()), (Outcome::Bracketed, None, 0));
}

#[test]
fn an_encoder_that_ignores_its_input_is_undecided_never_a_pass() {
    let model = LinearGaussian { encoder: vec![0.0, 0.0], std: 1.0, decoder: vec![1.0, 1.0] };
    let record = AuditedModel::new(&model.vae(), &Device::Cpu)
        .unwrap()
        .audit(&[0.3, 0.1], 0, 1, &plan(0.9, 0.5, Threat::Mean))
        .record;
    assert_eq!(record.outcome, Outcome::Undecided);
    assert!(record.first_order.unwrap().theorem1.get().is_infinite());
    assert_eq!(record.margin_upper, None);
    assert!(record.attacks.iter().any(|attack| attack.notes.zero_gradients > 0));
}

#[test]
fn a_decoder_that_ignores_its_code_fails_with_the_reason() {
    let model = LinearGaussian { encoder: vec![1.0], std: 1.0, decoder: vec![0.0] };
    let record = AuditedModel::new(&model.vae(), &Device::Cpu)
        .unwrap()
        .audit(&[0.3], 0, 1, &plan(0.9, 0.5, Threat::Mean))
        .record;
    assert_eq!(record.outcome, Outcome::Failed);
    assert!(record.reasons[0].contains("a radius must be a finite number above 0, found 0"), "{:?}", record.reasons);
}

#[test]
fn a_network_that_overflows_fails_instead_of_passing() {
    let model = LinearGaussian { encoder: vec![1e30], std: 1.0, decoder: vec![1e30] };
    let record = AuditedModel::new(&model.vae(), &Device::Cpu)
        .unwrap()
        .audit(&[1e10], 0, 1, &plan(0.9, 0.5, Threat::Mean))
        .record;
    assert_ne!(record.outcome, Outcome::Bracketed);
    assert_eq!(record.outcome, Outcome::Failed, "{:?}", record.reasons);
}

#[test]
fn a_kink_just_beside_the_input_raises_an_alarm() {
    // μ = 0.01 x below the kink at 0.001 and rises steeply beyond it: Theorem 1 sees only the flat side.
    use vaecert::model::Activation;
    let preset = Architecture::preset("linear", &[1]).unwrap().with_latent_dim(1);
    let architecture = preset.with_hidden([&[(2, Activation::Relu)], &[], &[], &[]]);
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let parameters = [
        tensor(&[1.0, 1.0], &[2, 1]),
        tensor(&[1.0, -0.001], &[2]),
        tensor(&[0.01, 100.0], &[1, 2]),
        tensor(&[0.0], &[1]),
        tensor(&[0.0, 0.0], &[1, 2]),
        tensor(&[0.0], &[1]),
        tensor(&[1.0], &[1, 1]),
        tensor(&[0.0], &[1]),
    ];
    let vae = Vae::from_parameters(architecture, &parameters).unwrap();
    let record =
        AuditedModel::new(&vae, &Device::Cpu).unwrap().audit(&[0.0], 0, 1, &plan(0.9, 0.5, Threat::Mean)).record;
    assert_eq!(record.outcome, Outcome::Alarm, "{record:?}");
    assert!((record.linear_region.unwrap().get() - 0.001).abs() < 1e-6);
    assert!(record.reasons.iter().any(|reason| reason.contains("theorem1")), "{:?}", record.reasons);
    let joint =
        AuditedModel::new(&vae, &Device::Cpu).unwrap().audit(&[0.0], 0, 1, &plan(0.9, 0.5, Threat::Joint)).record;
    assert_eq!(joint.outcome, Outcome::Bracketed, "Theorem 1 does not speak about the joint threat");
}
