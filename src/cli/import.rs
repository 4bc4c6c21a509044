//! `vaecert import`: a model made elsewhere becomes a model file.

use std::fmt::Write;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::args::ImportArguments;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::data::{explain_mismatch, DataSource, Dataset, Origin};
use crate::files;
use crate::import::onnx::{self, OnnxError, OnnxNames, StdKind};
use crate::import::{assemble, state_dict, Assembled, ImportError, LikelihoodChoice};
use crate::model::architecture::{Likelihood, StdLink};
use crate::model::layer::{Map, Windows};
use crate::model::{Architecture, Model};
use crate::seed::Seed;

/// Rows that are reconstructed at a time.
const ROWS: usize = 32;

/// Reads the model, writes it in one file, and says what it is.
pub(crate) fn import(arguments: &ImportArguments, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let out = &arguments.out;
    if out.exists() && !arguments.overwrite {
        let message =
            format!("{} is there already; replace it with --overwrite, or choose another --out", out.display());
        return Err(Failure::new(ExitCode::Usage, message));
    }
    files::check_writable(out).map_err(|error| unreadable(out, &error))?;
    let Assembled { architecture, tensors, notes } = read(arguments)?;
    let model = Model::of_parameters(architecture, tensors)?;
    let mut text = description(model.vae.architecture());
    notes.iter().for_each(|note| _ = writeln!(text, "note     {note}"));
    let (tried, code) = try_out(arguments, &model)?;
    text.push_str(&tried);
    model.save(out)?;
    _ = writeln!(text, "model    {}\nsha256   {} (of architecture and weights)", out.display(), model.sha256);
    terminal.print(&text)?;
    Ok(code)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(ExitCode::Unreadable, format!("{}: {error}", path.display()))
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read_regular(path).map_err(|error| unreadable(path, &error))
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::new(ExitCode::Unreadable, error)
    }
}

fn read(arguments: &ImportArguments) -> Result<Assembled, Failure> {
    let likelihood = arguments.likelihood.map(|likelihood| likelihood.0);
    if arguments.encoder.is_some() || arguments.onnx.is_some() {
        return read_onnx(arguments, likelihood.unwrap_or(LikelihoodChoice::Auto));
    }
    let (Some(weights), Some(path)) = (&arguments.weights, &arguments.architecture) else {
        let message = "which model? Name --encoder and --decoder, or --onnx, or --weights and --architecture";
        return Err(Failure::new(ExitCode::Usage, message));
    };
    let tensors = state_dict::read_state_dict(&read_file(weights)?, weights)?;
    let text = String::from_utf8(read_file(path)?)
        .map_err(|_| Failure::new(ExitCode::Unreadable, format!("{}: not a text in UTF-8", path.display())))?;
    let described = state_dict::read_description(&text, path, &tensors)?;
    let likelihood = likelihood.unwrap_or(described.likelihood);
    let mut assembled = assemble(described.encoder, described.decoder, likelihood)?;
    assembled.notes.splice(0..0, described.notes);
    Ok(assembled)
}

fn read_onnx(arguments: &ImportArguments, likelihood: LikelihoodChoice) -> Result<Assembled, Failure> {
    let names = names(arguments);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: OnnxError| ImportError::Onnx { path, source: Box::new(source) }
    };
    let input_shape = arguments.input_shape.as_deref();
    let (encoder, decoder, mut notes) = match (&arguments.onnx, &arguments.encoder, &arguments.decoder) {
        (Some(whole), _, _) => {
            let read =
                onnx::read_whole(&read_file(whole)?, folder(whole), &names, input_shape).map_err(failed(whole))?;
            (read.parts.0, read.parts.1, read.notes)
        }
        (None, Some(first), Some(second)) => {
            let encoder =
                onnx::read_encoder(&read_file(first)?, folder(first), &names, input_shape).map_err(failed(first))?;
            let latent = [encoder.parts.mean.width()];
            let decoder = onnx::read_decoder(&read_file(second)?, folder(second), &names, Some(&latent))
                .map_err(failed(second))?;
            (encoder.parts, decoder.parts, [encoder.notes, decoder.notes].concat())
        }
        _ => return Err(Failure::new(ExitCode::Usage, "--encoder and --decoder belong together")),
    };
    let mut assembled = assemble(encoder, decoder, likelihood)?;
    notes.append(&mut assembled.notes);
    Ok(Assembled { notes, ..assembled })
}

/// The folder of a file, in which its external data must lie.
fn folder(file: &Path) -> Option<&Path> {
    file.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

fn names(arguments: &ImportArguments) -> OnnxNames {
    let kinds = [
        (StdKind::Std, &arguments.std_output),
        (StdKind::LogVariance, &arguments.logvar_output),
        (StdKind::LogStd, &arguments.log_std_output),
    ];
    OnnxNames {
        mean_output: arguments.mean_output.clone(),
        std: kinds.into_iter().find_map(|(kind, name)| Some((kind, name.clone()?))),
        input: arguments.input.clone(),
        latent_input: arguments.latent_input.clone(),
        noise_input: arguments.noise_input.clone(),
        reconstruction_output: arguments.reconstruction_output.clone(),
        heads: arguments.concatenated,
    }
}

/// A table of layers, and what holds for the whole.
fn description(architecture: &Architecture) -> String {
    let mut text = format!("{:<18} {:<44} {:>16} {:>10}\n", "layer", "map and activation", "output", "parameters");
    for (chain, layers) in architecture.networks() {
        for (index, layer) in layers.iter().enumerate() {
            let activation = serde_json::to_string(&layer.activation).unwrap_or_default().replace(['"', '{', '}'], "");
            let activation = if activation == "identity" { String::new() } else { format!(", {activation}") };
            let parameters: usize =
                layer.map.parameters().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            let (what, output) = words(&layer.map);
            let name = format!("{chain}.{index}");
            _ = writeln!(text, "{name:<18} {:<44} {output:>16} {parameters:>10}", format!("{what}{activation}"));
        }
    }
    let likelihood = match architecture.likelihood {
        Likelihood::Bernoulli => "Bernoulli".to_owned(),
        Likelihood::Gaussian { std } => format!("Gaussian, standard deviation {std}"),
    };
    let link = match architecture.std_link {
        StdLink::HalfLogVariance => "exp(s/2)",
        StdLink::Softplus => "log(1 + exp s)",
    };
    let floor = if architecture.std_floor > 0.0 { format!(" + {}", architecture.std_floor) } else { String::new() };
    let Architecture { input_shape, latent_dim, .. } = architecture;
    _ = write!(
        text,
        "\ninput    {input_shape:?}\nlatent   {latent_dim}, standard deviation {link}{floor} of the head's output s\n\
         likelihood {likelihood}\nparameters {}\n",
        architecture.parameter_count()
    );
    text
}

/// A map in words, and the shape of its output.
fn words(map: &Map) -> (String, String) {
    let sliding = |name: &str, windows: &Windows| {
        let pair = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a}×{b}") };
        let mut text = format!("{name} {}", pair(windows.kernel));
        for (what, value, usual) in [("stride", windows.stride, 1), ("dilation", windows.dilation, 1)] {
            if value != [usual; 2] {
                _ = write!(text, ", {what} {}", pair(value));
            }
        }
        if windows.groups > 1 && name != "max pool" {
            _ = write!(text, ", {} groups", windows.groups);
        }
        let [channels, height, width] = windows.output;
        (text, format!("{channels}×{height}×{width}"))
    };
    match map {
        Map::Dense { outputs, .. } => ("dense".to_owned(), outputs.to_string()),
        Map::Gather { outputs, .. } => ("gather".to_owned(), outputs.to_string()),
        Map::Convolution(windows) => sliding("convolution", windows),
        Map::TransposedConvolution(windows) => sliding("transposed convolution", windows),
        Map::MaxPool(windows) => sliding("max pool", windows),
    }
}

/// Reconstructs data that fit, and compares with the framework's own outputs.
fn try_out(arguments: &ImportArguments, model: &Model) -> Result<(String, ExitCode), Failure> {
    let input_shape = &model.vae.architecture().input_shape;
    let source = arguments.data.source()?;
    let dataset = source.load(arguments.split.understood(), Seed(arguments.data.data_seed))?;
    if dataset.dim() != model.vae.architecture().input_dim() {
        let explanation = explain_mismatch(dataset.item_shape(), input_shape);
        if arguments.check.is_some() || source.origin != Origin::Digits {
            return Err(Failure::new(ExitCode::Usage, format!("the data do not fit the model: {explanation}")));
        }
        return Ok((
            "data     none of this shape; name some with --data to see how well they are reconstructed\n".to_owned(),
            ExitCode::Met,
        ));
    }
    let count = arguments.inputs.get().min(dataset.len());
    let Outputs { means, reconstructions } = outputs(model, &dataset, count)?;
    let squares = |row: &[f32], other: &[f32]| -> f64 {
        row.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let dim = dataset.dim();
    let errors: f64 =
        reconstructions.chunks_exact(dim).zip(dataset.values().chunks_exact(dim)).map(|(a, b)| squares(a, b)).sum();
    let mut text = format!(
        "data     {source} ({}), {count} inputs: reconstruction of the code's mean is off by {:.4} in L2 norm (root of the mean square)\n",
        arguments.split.understood(),
        (errors / count as f64).sqrt(),
    );
    let Some(path) = &arguments.check else { return Ok((text, ExitCode::Met)) };
    let (what, difference, rows) = compared(
        path,
        [("reconstructions", &reconstructions, dim), ("code means", &means, model.vae.architecture().latent_dim)],
        count,
    )?;
    let met = difference <= arguments.check_tolerance;
    _ = writeln!(
        text,
        "check    {}: {what} of {rows} inputs differ by at most {difference:.2e} (relative to 1 + size); {} {:.1e}",
        path.display(),
        if met { "within" } else { "NOT within" },
        arguments.check_tolerance
    );
    Ok((text, if met { ExitCode::Met } else { ExitCode::NotMet }))
}

/// What the model gives for the first inputs, row-major.
struct Outputs {
    means: Vec<f32>,
    reconstructions: Vec<f32>,
}

fn outputs(model: &Model, dataset: &Dataset, count: usize) -> Result<Outputs, Failure> {
    let mut found = Outputs { means: vec![], reconstructions: vec![] };
    let values = |tensor: &Tensor| tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
    for rows in dataset.values()[..count * dataset.dim()].chunks(ROWS * dataset.dim()) {
        let input = Tensor::from_slice(rows, (rows.len() / dataset.dim(), dataset.dim()), &Device::Cpu)?;
        let mean = model.vae.encoder().mean(&input)?;
        found.means.extend(values(&mean)?);
        found.reconstructions.extend(values(&model.vae.decoder_mean().forward(&mean)?)?);
    }
    Ok(found)
}

/// The kind of output that a reference holds, the largest difference |a − b| / (1 + |b|), and the number of inputs.
fn compared(
    path: &Path,
    candidates: [(&'static str, &Vec<f32>, usize); 2],
    count: usize,
) -> Result<(&'static str, f64, usize), Failure> {
    let reference = DataSource::from(Origin::Npy { path: path.to_owned() }).load(crate::data::Split::Test, Seed(0))?;
    let Some((what, found, dim)) = candidates.into_iter().find(|(_, _, dim)| *dim == reference.dim()) else {
        let [reconstructions, means] = candidates.map(|(_, _, dim)| dim);
        let message = format!(
            "{}: rows of {} values; expected {reconstructions} (reconstructions) or {means} (means of the code)",
            path.display(),
            reference.dim()
        );
        return Err(Failure::new(ExitCode::Usage, message));
    };
    let rows = count.min(reference.len());
    let pairs = found.iter().zip(reference.values()).take(rows * dim);
    let difference = pairs.map(|(&a, &b)| f64::from((a - b).abs()) / (1.0 + f64::from(b.abs())));
    // Not a number must not get lost.
    Ok((what, difference.fold(0.0, |worst: f64, next| if next > worst || next.is_nan() { next } else { worst }), rows))
}
