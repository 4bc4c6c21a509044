//! What users wait for: a training step, a Jacobian, an attack step, decodes, one audited input; and probabilities and
//! quantiles of sums of Gamma variables with their error bounds, beside a loop of known cost; a search of all claims.
//! Fixed seeds, the paper's
//! MNIST network with untrained weights, one thread unless named otherwise.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::num::NonZeroUsize;

use candle_core::{DType, Device, Tensor};
use criterion::{criterion_group, criterion_main, Criterion};
use nalgebra::{DMatrix, DVector};
use vaecert::allowance::Allowance;
use vaecert::attack::{Threat, Victim};
use vaecert::audit::certificates::{JudgedModel, Requirement};
use vaecert::audit::input::AuditedModel;
use vaecert::audit::AuditPlan;
use vaecert::bounds::LinearGaussian;
use vaecert::claims::{SearchPlan, Searched, Stated, REGISTRY};
use vaecert::data::Dataset;
use vaecert::margin::{sample_distances, RadiusRule};
use vaecert::model::train::{Trainer, TrainingPlan};
use vaecert::model::{embedded, Architecture, Vae};
use vaecert::quantity::{LowerBound, Probability, Radius};
use vaecert::seed::{standard_normal, Seed};
use vaecert::sensitivity::encoder_jacobian;
use vaecert::stats::quadratic_form::QuadraticForm;
use vaecert::threads::{run_products_on_one_thread, Workers};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DIM: usize = 784;

fn mnist_net() -> Vae {
    Vae::initialised(Architecture::preset("paper-mnist", &[28, 28]).unwrap(), Seed(0), &Device::Cpu).unwrap()
}

/// Values in [0, 1] that stand for images.
fn images(count: usize) -> Vec<f32> {
    standard_normal(&mut Seed(0).stream("bench/images"), count * DIM).iter().map(|v: &f32| v.abs().min(1.0)).collect()
}

fn training_step(c: &mut Criterion) {
    run_products_on_one_thread();
    let data = Dataset::new("bench", vec![28, 28], images(512)).unwrap();
    let plan = TrainingPlan { epochs: usize::MAX, batch_size: 512, learning_rate: 1e-3, beta: 1.0, seed: Seed(0) };
    let architecture = Architecture::preset("paper-mnist", &[28, 28]).unwrap();
    for threads in [1, 2] {
        let workers = Workers::new(NonZeroUsize::new(threads)).unwrap();
        let mut trainer = Trainer::new(architecture.clone(), &data, plan.clone(), &Device::Cpu).unwrap();
        let name = format!("training step, paper's MNIST net, batch 512, {threads} threads");
        c.bench_function(&name, |b| b.iter(|| trainer.run_epoch(&workers).unwrap()));
    }
}

fn jacobian(c: &mut Criterion) {
    let vae = mnist_net().converted(DType::F64, &Device::Cpu).unwrap();
    let input = Tensor::from_vec(images(1), (1, DIM), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    c.bench_function("encoder Jacobian, paper's MNIST net, f64", |b| {
        b.iter(|| encoder_jacobian(&vae, black_box(&input)).unwrap())
    });
}

fn attack_step(c: &mut Criterion) {
    let vae = mnist_net();
    let victim = Victim::new(&vae, &images(1), Threat::Mean).unwrap();
    let attacked = images(2);
    let noise: Vec<f32> = standard_normal(&mut Seed(0).stream("bench/noise"), 32 * 20);
    c.bench_function("max-damage step, paper's MNIST net, 2 starts of 32 draws (batch 64)", |b| {
        b.iter(|| victim.distance_objective(black_box(&attacked), &noise, |distance| (distance, 1.0)).unwrap());
    });
}

fn decodes(c: &mut Criterion) {
    let vae = mnist_net();
    let input = images(1);
    let victim = Victim::new(&vae, &input, Threat::Mean).unwrap();
    c.bench_function("10,000 decodes with draws and distances, paper's MNIST net", |b| {
        b.iter(|| sample_distances(&victim, black_box(&input), 10_000, &mut Seed(0).stream("bench/draws")).unwrap());
    });
}

fn audited_input(c: &mut Criterion) {
    let plan = AuditPlan::standard(
        RadiusRule::Quantile(Probability::new(0.9).unwrap()),
        Probability::new(0.001).unwrap(),
        Seed(0),
    );
    let digits = AuditedModel::new(&embedded::digits().unwrap().vae, &Device::Cpu).unwrap();
    let input: Vec<f32> = images(1)[..64].to_vec();
    c.bench_function("one audited input, embedded digits model, all defaults", |b| {
        b.iter(|| digits.audit(black_box(&input), 0, 1, &plan));
    });
}

fn certified_input(c: &mut Criterion) {
    // All arguments for one input, from the probability on: norms are prepared once per model.
    let judged = JudgedModel::new(&mnist_net()).unwrap();
    let judge = judged.judge(&images(1), Threat::Mean).unwrap();
    let requirement = Requirement { threat: Threat::Mean, radius: Radius::new(1.0).unwrap(), level: Probability::HALF };
    let probability = LowerBound::new(0.89).unwrap();
    c.bench_function("certified radii of one input, paper's MNIST net", |b| {
        let free = Allowance::default();
        b.iter(|| judged.certificates(black_box(&judge), &requirement, probability, &free).unwrap());
    });
}

/// Different eigenvalues between 1 and 0.01.
fn eigenvalues(count: usize) -> Vec<f64> {
    (0..count).map(|i| 0.01f64.powf(i as f64 / count.max(2) as f64)).collect()
}

fn quadratic_forms(c: &mut Criterion) {
    // A chain of a thousand dependent multiplications and additions, about 8 cycles each.
    c.bench_function("yardstick: 1,000 dependent x·a + b", |b| {
        b.iter(|| (0..1000).fold(black_box(1.0f64), |x, _| x * black_box(0.999) + 0.001));
    });
    for count in [1, 10, 20, 100, 784, 1000] {
        let form = QuadraticForm::central(&eigenvalues(count)).unwrap();
        let point = 1.3 * form.mean().unwrap().value;
        let half = Probability::HALF;
        c.bench_function(&format!("P(Q ≤ q) with its bound, {count} eigenvalues"), |b| {
            b.iter(|| form.tails(black_box(point)).unwrap());
        });
        c.bench_function(&format!("median of Q with its bound, {count} eigenvalues"), |b| {
            b.iter(|| form.quantile(black_box(half)).unwrap());
        });
    }
}

fn exact_margin(c: &mut Criterion) {
    // Eight latent coordinates, decoder gains from 1 to 0.3, an encoder that makes every axis count the same.
    let gains: Vec<f64> = (0..8).map(|i| 0.3f64.powf(f64::from(i) / 7.0)).collect();
    let decoder = DMatrix::from_diagonal(&DVector::from_vec(gains.clone()));
    let encoder = DMatrix::from_diagonal(&DVector::from_iterator(8, gains.iter().map(|gain| 1.0 / gain)));
    let std = DVector::from_element(8, 1.0);
    let model = LinearGaussian::new(&encoder, &std, &decoder).unwrap();
    let radius = Radius::new(2.6).unwrap();
    c.bench_function("exact margin to 1 %, 8 latent coordinates", |b| {
        b.iter(|| model.margin(black_box(radius), Probability::HALF, 0.01, 20_000).unwrap());
    });
}

fn claims(c: &mut Criterion) {
    let plan = SearchPlan { cases: 64, ..SearchPlan::standard(Seed(0)).unwrap() };
    let workers = Workers::new(NonZeroUsize::new(1)).unwrap();
    c.bench_function("all claims, 64 cases each", |b| {
        b.iter(|| plan.run(REGISTRY, &Stated, None, &workers, |searched| drop_result(black_box(searched))).unwrap());
    });
}

// The sink's signature asks for a result.
#[allow(clippy::unnecessary_wraps)]
fn drop_result(_: Searched) -> Result<(), ()> {
    Ok(())
}

criterion_group! {
    name = forms;
    config = Criterion::default().sample_size(50);
    targets = quadratic_forms, exact_margin
}
criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = training_step, jacobian, attack_step, decodes, audited_input, certified_input, claims
}
criterion_main!(forms, benches);
