//! The program beside what a user would pick instead: PyTorch (eager), JAX (jitted), auto_LiRPA for bounds, CompQuadForm for
//! Gamma sums, on the same machine, in turns.
//!
//! `cargo bench --bench peer [-- JOB…]`, with Python and its packages torch, jax and auto_LiRPA, and R with its package
//! CompQuadForm; `VAECERT_BENCH_PYTHON` names another Python than `python3`, `VAECERT_BENCH_THREADS` another number of threads
//! than 2, for both sides. The other side's jobs are in `tests/benches/peer.py` and `tests/benches/peer.R`. Prints, per job,
//! the median over rounds of (their time / our time) within a round, so that what else the machine does touches both, and
//! where a job finds a number, theirs as a share of ours. Who is not there is left out.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use vaecert::allowance::Allowance;
use vaecert::attack::{AttackKind, Effort, Threat, Victim};
use vaecert::audit::certificates::{JudgedModel, Requirement};
use vaecert::audit::input::AuditedModel;
use vaecert::audit::AuditPlan;
use vaecert::data::{DataSource, Dataset, Split};
use vaecert::margin::{sample_distances, Protocol, RadiusRule};
use vaecert::model::architecture::{Likelihood, StdLink};
use vaecert::model::layer::{LayerShape, Map, Windows};
use vaecert::model::train::{Trainer, TrainingPlan};
use vaecert::model::{Activation, Architecture, Model, Vae};
use vaecert::quantity::{LowerBound, Probability, Radius, UpperBound};
use vaecert::seed::{standard_normal, Seed};
use vaecert::sensitivity::encoder_jacobian;
use vaecert::stats::quadratic_form::QuadraticForm;
use vaecert::threads::{run_products_on_one_thread, Workers};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DIM: usize = 784;
const BATCH: usize = 512;
const ATTACKED: usize = 64;
const DRAWS: usize = 10_000;
const ROUNDS: usize = 7;
/// Each side's share of a round.
const BURST: Duration = Duration::from_millis(700);

/// A job's name on the other side, in words, and what the program does; returns what it finds, if that is a number.
type Job<'a> = (&'static str, &'static str, Box<dyn FnMut() -> Option<f64> + 'a>);

fn main() {
    run_products_on_one_thread();
    let threads = std::env::var("VAECERT_BENCH_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let workers = Workers::new(NonZeroUsize::new(threads)).unwrap();
    let dense =
        Vae::initialised(Architecture::preset("paper-mnist", &[28, 28]).unwrap(), Seed(0), &Device::Cpu).unwrap();
    let (trained, digit) = trained(&workers);
    let folder = tempfile::tempdir().unwrap();
    Model::new(&trained, None).unwrap().save(&folder.path().join("model.safetensors")).unwrap();
    let bytes: Vec<u8> = digit.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.path().join("input.f32"), bytes).unwrap();
    let convolutional = convolutional();
    let data = Dataset::new("bench", vec![28, 28], images(BATCH)).unwrap();
    let mut peers = Peer::start_all(threads, folder.path());
    println!("{threads} threads on either side; median of {ROUNDS} rounds\n");
    println!("{:<58} {:>12}  time of others / vaecert's", "job", "vaecert");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, words, mut ours) in jobs(&dense, &convolutional, &data, (&trained, &digit), &workers) {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let found = ours();
        let mut own = Vec::new();
        let mut theirs: Vec<(Vec<f64>, Option<f64>)> = vec![(vec![], None); peers.len()];
        for _ in 0..ROUNDS {
            let time = burst(&mut ours);
            own.push(time);
            for (peer, (ratios, result)) in peers.iter_mut().zip(&mut theirs) {
                if let Some((seconds, number)) = peer.time(name) {
                    ratios.push(seconds / time);
                    *result = number;
                }
            }
        }
        print!("{words:<58} {:>9.4} ms", 1e3 * median(own).unwrap());
        for (peer, (ratios, result)) in peers.iter().zip(theirs) {
            let Some(ratio) = median(ratios) else { continue };
            let share = result.zip(found).map(|(theirs, ours)| format!(" (finds {:.3} of ours)", theirs / ours));
            print!("  {} {ratio:.2}{}", peer.framework, share.unwrap_or_default());
        }
        println!();
    }
}

fn jobs<'a>(
    dense: &'a Vae,
    convolutional: &'a Vae,
    data: &'a Dataset,
    (trained, digit): (&'a Vae, &'a [f32]),
    workers: &'a Workers,
) -> Vec<Job<'a>> {
    let plan = TrainingPlan { epochs: usize::MAX, batch_size: BATCH, learning_rate: 1e-3, beta: 1.0, seed: Seed(0) };
    let mut trainer = Trainer::new(dense.architecture().clone(), data, plan, &Device::Cpu).unwrap();
    let double = dense.converted(DType::F64, &Device::Cpu).unwrap();
    let one = Tensor::from_vec(images(1), (1, DIM), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    vec![
        (
            "training",
            "training step, batch 512, Adam",
            Box::new(move || {
                trainer.run_epoch(workers).unwrap();
                None
            }),
        ),
        ("attack", "max-damage step, batch 64", gradient(dense, workers)),
        ("decodes", "10,000 decodes with draws and distances", decodes(dense, DRAWS, workers)),
        (
            "jacobian",
            "encoder Jacobian, double precision",
            Box::new(move || {
                black_box(encoder_jacobian(&double, &one).unwrap());
                None
            }),
        ),
        ("audit", "one audited input, algorithms 1 and 2", audit(trained, digit)),
        ("audit_of_all_draws", "the same against one attack for all draws", audit(trained, digit)),
        ("convolution_gradient", "convolutional VAE: input gradient, batch 64", gradient(convolutional, workers)),
        ("convolution_decodes", "convolutional VAE: 1,000 decodes", decodes(convolutional, 1000, workers)),
        ("certificate", "certified radius of one input", certificate(trained, digit)),
        ("gamma_sum_5", "Gamma sum of 5 terms: P(Q > q), ours with error bound", gamma_sum(5)),
        ("gamma_sum_20", "the same of 20 terms", gamma_sum(20)),
        ("gamma_sum_100", "the same of 100 terms", gamma_sum(100)),
        ("gamma_sum_784", "the same of 784 terms", gamma_sum(784)),
    ]
}

/// The largest certified radius of an input whose draws stay within r with a probability of 0.89 or more. On one thread.
fn certificate<'a>(vae: &Vae, input: &'a [f32]) -> Box<dyn FnMut() -> Option<f64> + 'a> {
    let judged = JudgedModel::new(vae).unwrap();
    let requirement = Requirement { threat: Threat::Mean, radius: Radius::new(1.0).unwrap(), level: Probability::HALF };
    let (probability, free) = (LowerBound::new(0.89).unwrap(), Allowance::default());
    Box::new(move || {
        let judge = judged.judge(input, Threat::Mean).unwrap();
        let found = judged.certificates(&judge, &requirement, probability, &free).unwrap();
        found.slope_interval.map(|found| found.radius.get())
    })
}

/// Eigenvalues between 1 and 0.01.
fn gamma_sum(count: usize) -> Box<dyn FnMut() -> Option<f64>> {
    let eigenvalues: Vec<f64> = (0..count).map(|i| 0.01f64.powf(i as f64 / count as f64)).collect();
    let point = 1.3 * eigenvalues.iter().sum::<f64>();
    Box::new(move || {
        let form = QuadraticForm::central(black_box(&eigenvalues)).unwrap();
        Some(form.tails(point).unwrap().survival.value)
    })
}

/// The gradient of the mean distance at 64 inputs, in as many parts as there are threads, as an audit has as many inputs at
/// work.
fn gradient<'a>(vae: &'a Vae, workers: &'a Workers) -> Box<dyn FnMut() -> Option<f64> + 'a> {
    let victim = Victim::new(vae, &images(1), Threat::Mean).unwrap();
    let attacked = images(ATTACKED);
    let noise: Vec<f32> = standard_normal(&mut Seed(0).stream("bench/noise"), victim.latent_dim());
    let parts = workers.threads();
    Box::new(move || {
        let part = |i: usize| {
            let rows = &attacked[ATTACKED * i / parts * DIM..ATTACKED * (i + 1) / parts * DIM];
            victim.distance_objective(rows, &noise, |distance| (distance, 1.0))
        };
        drop(workers.map(parts, part).unwrap());
        None
    })
}

/// One input with certificates and attacks: 1,000 draws per probability, 5 restarts of 50 steps with 16 draws at every norm,
/// until the margin is known to 0.1. On one thread: inputs are what threads share. Beside two others: the paper's algorithm 2,
/// which attacks every draw of the code on its own, all draws in one batch; and one perturbation for all draws, as here, but
/// without certificates, confidence bounds or structured starts. The margins that they find are smaller: the first, because
/// its perturbations may know the draw; the second, because half of 1,000 draws outside are enough for it, where a confidence
/// bound asks for more.
fn audit<'a>(vae: &'a Vae, input: &'a [f32]) -> Box<dyn FnMut() -> Option<f64> + 'a> {
    let model = AuditedModel::new(vae, &Device::Cpu).unwrap();
    let rule = RadiusRule::Quantile(Probability::new(0.9).unwrap());
    let mut plan = AuditPlan::standard(rule, Probability::new(0.05).unwrap(), Seed(0));
    (plan.selection_draws, plan.estimation_draws, plan.search.decision_draws) = (1000, 1000, 1000);
    plan.attacks = vec![AttackKind::MaxDamage];
    plan.search.effort = Effort { restarts: 5, steps: 50, draws: 16 };
    // Bisection ends at a relative width.
    let margin = move |plan: &AuditPlan| model.audit(input, 0, 1, plan).record.margin_upper.map(UpperBound::get);
    plan.search.protocol = Protocol::Bisect { tolerance: 0.1 / margin(&plan).unwrap() };
    Box::new(move || margin(&plan))
}

/// The paper's MNIST net trained for a few seconds on the 8×8 digits, drawn larger, and the first digit that it never saw.
fn trained(workers: &Workers) -> (Vae, Vec<f32>) {
    let enlarged = |split| {
        let digits = DataSource::digits().load(split, Seed(0)).unwrap();
        let pixel = |row: &[f32], i: usize| row[(i / 28 * 8 / 28) * 8 + i % 28 * 8 / 28];
        let rows = (0..digits.len()).filter_map(|row| digits.row(row));
        let values = rows.flat_map(|row| (0..DIM).map(move |i| pixel(row, i))).collect();
        Dataset::new("digits", vec![28, 28], values).unwrap()
    };
    let (data, unseen) = (enlarged(Split::Train), enlarged(Split::Test));
    let plan = TrainingPlan { epochs: 40, batch_size: 128, learning_rate: 1e-3, beta: 1.0, seed: Seed(0) };
    let architecture = Architecture::preset("paper-mnist", &[28, 28]).unwrap();
    let mut trainer = Trainer::new(architecture, &data, plan, &Device::Cpu).unwrap();
    while !trainer.is_finished() {
        trainer.run_epoch(workers).unwrap();
    }
    (trainer.model().unwrap().vae, unseen.row(0).unwrap().to_vec())
}

/// Distances of draws from the undisturbed reconstruction, in parts likewise.
fn decodes<'a>(vae: &'a Vae, draws: usize, workers: &'a Workers) -> Box<dyn FnMut() -> Option<f64> + 'a> {
    let input = images(1);
    let victim = Victim::new(vae, &input, Threat::Mean).unwrap();
    let parts = workers.threads();
    Box::new(move || {
        let part = |i: usize| {
            let share = draws * (i + 1) / parts - draws * i / parts;
            sample_distances(&victim, &input, share, &mut Seed(0).stream(&format!("bench/draws/{i}")))
        };
        drop(workers.map(parts, part).unwrap());
        None
    })
}

/// 28×28 → 32 → 64 channels, kernel 4, stride 2, latent 16, and back.
fn convolutional() -> Vae {
    let windows = |input, output| Windows {
        input,
        output,
        kernel: [4, 4],
        stride: [2, 2],
        dilation: [1, 1],
        padding: [1, 1],
        groups: 1,
    };
    let layer = |map, activation| LayerShape { map, activation };
    let dense = |inputs, outputs| Map::Dense { inputs, outputs };
    let (small, middle, large) = ([64, 7, 7], [32, 14, 14], [1, 28, 28]);
    let architecture = Architecture {
        input_shape: vec![28, 28],
        latent_dim: 16,
        trunk: vec![
            layer(Map::Convolution(windows(large, middle)), Activation::Relu),
            layer(Map::Convolution(windows(middle, small)), Activation::Relu),
        ],
        mean_head: vec![layer(dense(64 * 49, 16), Activation::Identity)],
        std_head: vec![layer(dense(64 * 49, 16), Activation::Identity)],
        std_link: StdLink::HalfLogVariance,
        std_floor: 0.0,
        decoder: vec![
            layer(dense(16, 64 * 49), Activation::Relu),
            layer(Map::TransposedConvolution(windows(small, middle)), Activation::Relu),
            layer(Map::TransposedConvolution(windows(middle, large)), Activation::Identity),
        ],
        likelihood: Likelihood::Bernoulli,
    };
    let parameter = |(name, shape): (String, Vec<usize>)| {
        let fan_in: usize = shape.iter().skip(1).product::<usize>().max(16);
        let draws: Vec<f32> = standard_normal(&mut Seed(0).stream(&name), shape.iter().product());
        let scaled: Vec<f32> = draws.iter().map(|draw| draw / (fan_in as f32).sqrt()).collect();
        Tensor::from_vec(scaled, shape, &Device::Cpu).unwrap()
    };
    let parameters: Vec<Tensor> = architecture.parameters().into_iter().map(parameter).collect();
    Vae::from_parameters(architecture, &parameters).unwrap()
}

/// Values in [0, 1] that stand for images.
fn images(count: usize) -> Vec<f32> {
    standard_normal(&mut Seed(0).stream("bench/images"), count * DIM).iter().map(|v: &f32| v.abs().min(1.0)).collect()
}

/// The median time of one repetition, in seconds.
fn burst(job: &mut impl FnMut() -> Option<f64>) -> f64 {
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < BURST || times.len() < 3 {
        let start = Instant::now();
        job();
        times.push(start.elapsed().as_secs_f64());
    }
    median(times).unwrap()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// One of the others, a program of its own, which waits for its turns.
struct Peer {
    framework: &'static str,
    program: Child,
    jobs: ChildStdin,
    times: BufReader<ChildStdout>,
}

impl Peer {
    /// `folder` holds the model and the input of the audit.
    fn start_all(threads: usize, folder: &Path) -> Vec<Self> {
        let python = std::env::var("VAECERT_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let start = |framework, program: &str, script: &str| {
            let mut command = Command::new(program);
            command.arg(script).arg(folder).env("VAECERT_BENCH_THREADS", threads.to_string());
            command.env_remove("RAYON_NUM_THREADS").stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut program = command.spawn().ok()?;
            let (jobs, times) = (program.stdin.take()?, BufReader::new(program.stdout.take()?));
            Some(Self { framework, program, jobs, times })
        };
        let in_python = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/benches/peer.py");
        let in_r = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/benches/peer.R");
        let started = ["torch", "jax", "auto_LiRPA"].map(|framework| start(framework, &python, in_python));
        started.into_iter().chain([start("CompQuadForm", "Rscript", in_r)]).flatten().collect()
    }

    /// Seconds, and what was found, if that is a number.
    fn time(&mut self, job: &str) -> Option<(f64, Option<f64>)> {
        writeln!(self.jobs, "{} {job} {}", self.framework, BURST.as_secs_f64()).ok()?;
        let mut answer = String::new();
        self.times.read_line(&mut answer).ok()?;
        let mut numbers = answer.split_whitespace().map(|word| word.parse().ok());
        Some((numbers.next()??, numbers.next().flatten()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
