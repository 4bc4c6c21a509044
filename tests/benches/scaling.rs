//! How time and memory of `audit` and `certify` grow: the program is run on untrained networks of many sizes, one size changed
//! at a time.
//!
//! `cargo bench --bench scaling`; a few minutes. Prints seconds and the peak of resident memory (on Linux) of every run, and
//! per size the exponent e of time ~ sizeᵉ, fitted to its three largest values.

#![allow(missing_docs, clippy::panic, clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use vaecert::model::architecture::Likelihood;
use vaecert::model::{Activation, Architecture, Model, Vae};
use vaecert::seed::{standard_normal, Seed};

/// One run's sizes.
#[derive(Clone, Copy)]
struct Sizes {
    inputs: usize,
    dim: usize,
    latent_dim: usize,
    width: usize,
    draws: usize,
    threads: usize,
}

/// Where only one size is changed.
const USUAL: Sizes = Sizes { inputs: 4, dim: 784, latent_dim: 8, width: 400, draws: 1000, threads: 1 };
/// Small enough for many inputs.
const SMALL: Sizes = Sizes { inputs: 10, dim: 64, latent_dim: 4, width: 100, draws: 1000, threads: 1 };
/// Weights are larger than a fresh network's by this factor, so that perturbations matter.
const SENSITIVITY: f64 = 2.5;
/// Points of a fit.
const FITTED: usize = 3;

/// A size's name, its values, and the sizes with one of them.
type Sweep = (&'static str, Vec<usize>, fn(usize) -> Sizes);

fn main() {
    let sweeps: [Sweep; 6] = [
        ("inputs (64-100-4)", vec![10, 100, 1000, 10_000], |inputs| Sizes { inputs, ..SMALL }),
        ("d_x", vec![64, 256, 784, 3072], |dim| Sizes { dim, ..USUAL }),
        ("d_z", vec![2, 8, 32, 128], |latent_dim| Sizes { latent_dim, ..USUAL }),
        ("width", vec![100, 200, 400, 800, 1600], |width| Sizes { width, ..USUAL }),
        ("draws", vec![1000, 10_000, 100_000, 1_000_000], |draws| Sizes { draws, ..USUAL }),
        ("threads", vec![1, 2], |threads| Sizes { inputs: 20, threads, ..USUAL }),
    ];
    println!(
        "{} inputs, {}-{}-{} networks unless named otherwise\n",
        USUAL.inputs, USUAL.dim, USUAL.width, USUAL.latent_dim
    );
    println!("| size | value | audit, s | MB | certify, s | MB |\n|---|---|---|---|---|---|");
    for (name, values, sizes) in sweeps {
        let mut points = [vec![], vec![]];
        for value in values {
            let runs = run(sizes(value));
            for (points, run) in points.iter_mut().zip(&runs) {
                points.push(((value as f64).ln(), run.seconds.ln()));
            }
            let [audit, certify] = runs.map(|run| format!("{:.2} | {}", run.seconds, run.megabytes()));
            println!("| {name} | {value} | {audit} | {certify} |");
        }
        let [audit, certify] = points.map(|points| slope(&points[points.len().saturating_sub(FITTED)..]));
        println!("| {name} | exponent | {audit:.2} | | {certify:.2} | |");
    }
}

/// An audit and a certification of the same inputs.
fn run(sizes: Sizes) -> [Run; 2] {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (folder.path().join("model.safetensors"), folder.path().join("data.safetensors"));
    write_model(sizes, &model);
    write_data(sizes, &data);
    let common = |command: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_vaecert"));
        program.arg(command).arg("--model").arg(&model).arg("--data").arg(&data);
        program.args(["--inputs", &sizes.inputs.to_string(), "--draws", &sizes.draws.to_string()]);
        program.args(["--threads", &sizes.threads.to_string(), "--selection-draws", "1000", "--quiet"]);
        program.stdout(Stdio::null()).stderr(Stdio::piped());
        program
    };
    let mut audit = common("audit");
    audit.args(["--attack", "max-damage", "--restarts", "1", "--steps", "10", "--attack-draws", "8"]);
    audit
        .args(["--decision-draws", "1000", "--tolerance", "0.2", "--max-norm", "100", "--out"])
        .arg(folder.path().join("run"));
    let mut certify = common("certify");
    certify.arg("--out").arg(folder.path().join("certificates"));
    [audit, certify].map(measured)
}

struct Run {
    seconds: f64,
    peak_kilobytes: Option<u64>,
}

impl Run {
    fn megabytes(&self) -> String {
        self.peak_kilobytes.map_or("–".to_owned(), |kilobytes| format!("{:.0}", kilobytes as f64 / 1024.0))
    }
}

/// Runs to the end. The system's own record of the peak is read until then.
fn measured(mut command: Command) -> Run {
    let begin = Instant::now();
    let mut program = command.spawn().unwrap();
    let mut peak = None;
    let status = loop {
        peak = peak_kilobytes(&program).or(peak);
        if let Some(status) = program.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let seconds = begin.elapsed().as_secs_f64();
    // 1 and 3 are results, too: alarms and undecided inputs.
    if !matches!(status.code(), Some(0 | 1 | 3)) {
        let output = program.wait_with_output().unwrap();
        panic!("{command:?}: {status}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Run { seconds, peak_kilobytes: peak }
}

fn peak_kilobytes(program: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn write_model(sizes: Sizes, path: &Path) {
    let hidden = [(sizes.width, Activation::Relu)];
    let layers = [&hidden[..], &[], &[], &hidden[..]];
    let architecture = Architecture::of_dense_layers(&[sizes.dim], sizes.latent_dim, layers, Likelihood::Bernoulli);
    let vae = Vae::initialised(architecture.clone(), Seed(0), &Device::Cpu).unwrap();
    let parameters: Vec<Tensor> = vae.parameters().iter().map(|parameter| (parameter * SENSITIVITY).unwrap()).collect();
    let vae = Vae::from_parameters(architecture, &parameters).unwrap();
    Model::new(&vae, None).unwrap().save(path).unwrap();
}

/// Values in [0, 1].
fn write_data(sizes: Sizes, path: &Path) {
    let values: Vec<f32> = standard_normal(&mut Seed(0).stream("bench/inputs"), sizes.inputs * sizes.dim);
    let values = values.iter().map(|value| value.abs().min(1.0)).collect();
    let tensor = Tensor::from_vec(values, (sizes.inputs, sizes.dim), &Device::Cpu).unwrap();
    candle_core::safetensors::save(&HashMap::from([("x", tensor)]), path).unwrap();
}

/// Least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let product = |of: fn(f64, f64) -> f64| points.iter().map(|point| of(point.0 - x, point.1 - y)).sum::<f64>();
    product(|dx, dy| dx * dy) / product(|dx, _| dx * dx)
}
