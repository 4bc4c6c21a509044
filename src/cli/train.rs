//! `vaecert train`.

use std::path::{Path, PathBuf};

use tracing::info;

use super::args::{LinkArgument, TrainArguments};
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::data::{DataSource, Dataset, Origin, Split};
use crate::files;
use crate::model::architecture::{Likelihood, StdLink};
use crate::model::train::{EpochLosses, TrainError, Trainer, TrainingPlan};
use crate::model::{Architecture, Model};
use crate::progress::Progress;
use crate::seed::Seed;
use crate::threads::Workers;

/// Trains a model, leaving a checkpoint after every epoch.
pub(crate) fn train(arguments: TrainArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let out = Outputs::beside(&arguments.out);
    out.check(&arguments)?;
    let source = arguments.data.source()?;
    let architecture_name = arguments.architecture.as_deref().unwrap_or(preset_for(&source));
    let dataset = source.load(Split::Train, Seed(arguments.data.data_seed))?;
    let architecture = architecture(&arguments, architecture_name, &dataset)?;
    let plan = TrainingPlan {
        epochs: arguments.epochs,
        batch_size: arguments.batch_size,
        learning_rate: arguments.learning_rate,
        beta: arguments.beta,
        seed: Seed(arguments.seed),
    };
    let device = arguments.compute.device.open()?;
    let workers = Workers::new(arguments.compute.threads)?;
    let mut trainer = if arguments.resume {
        let bytes = files::read_regular(&out.checkpoint).map_err(|error| unreadable(&out.checkpoint, &error))?;
        Trainer::resume(&bytes, &out.checkpoint, architecture, &dataset, plan, &device)?
    } else {
        Trainer::new(architecture, &dataset, plan, &device)?
    };
    let outcome = run_epochs(&mut trainer, &workers, &mut terminal, |trainer| out.save_progress(trainer));
    terminal.end();
    if let Err(failure) = outcome {
        return Err(out.with_last_checkpoint(failure, trainer.history()));
    }
    let model = trainer.model()?;
    model.save(&out.model)?;
    out.remove_checkpoint();
    terminal.print(&report(&model, &out))?;
    Ok(ExitCode::Met)
}

/// Carries out the remaining epochs, calling `after_epoch` after each.
pub(crate) fn run_epochs(
    trainer: &mut Trainer<'_>,
    workers: &Workers,
    progress: &mut dyn Progress,
    mut after_epoch: impl FnMut(&Trainer<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    progress.begin("epochs", trainer.plan().epochs, trainer.history().len());
    while !trainer.is_finished() {
        let losses = trainer.run_epoch(workers)?;
        info!(epoch = losses.epoch, loss = losses.loss, "trained");
        after_epoch(trainer)?;
        progress.step(&losses_line(&losses));
    }
    Ok(())
}

fn losses_line(losses: &EpochLosses) -> String {
    let EpochLosses { loss, reconstruction, divergence, .. } = losses;
    format!("loss {loss:.3} = reconstruction {reconstruction:.3} + β · divergence {divergence:.3} nats per input")
}

/// The files of a training run.
struct Outputs {
    model: PathBuf,
    checkpoint: PathBuf,
    metrics: PathBuf,
}

impl Outputs {
    fn beside(model: &Path) -> Self {
        let with_suffix = |suffix: &str| {
            let mut name = model.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { model: model.to_owned(), checkpoint: with_suffix(".checkpoint"), metrics: with_suffix(".metrics.jsonl") }
    }

    /// Finds out before the work whether the files can be written and whether something would be lost.
    fn check(&self, arguments: &TrainArguments) -> Result<(), Failure> {
        let exists =
            |path: &Path, advice: &str| Failure::new(ExitCode::Usage, format!("{} exists; {advice}", path.display()));
        let resuming = arguments.resume && self.checkpoint.exists();
        if !arguments.overwrite && !resuming && self.model.is_file() {
            return Err(exists(&self.model, "replace it with --overwrite or choose another --out"));
        }
        if !arguments.overwrite && !arguments.resume && self.checkpoint.exists() {
            let advice = "a run was interrupted: continue it with --resume or start anew with --overwrite";
            return Err(exists(&self.checkpoint, advice));
        }
        for path in [&self.model, &self.metrics] {
            files::check_writable(path).map_err(|error| Failure::unwritable(path, &error))?;
        }
        Ok(())
    }

    /// The metrics first, then the checkpoint that accounts for them.
    fn save_progress(&self, trainer: &Trainer<'_>) -> Result<(), Failure> {
        let lines: Vec<String> =
            trainer.history().iter().map(|losses| serde_json::to_string(losses).unwrap_or_default() + "\n").collect();
        files::write_atomically(&self.metrics, lines.concat().as_bytes())
            .map_err(|e| Failure::unwritable(&self.metrics, &e))?;
        files::write_atomically(&self.checkpoint, &trainer.checkpoint()?)
            .map_err(|e| Failure::unwritable(&self.checkpoint, &e))
    }

    fn remove_checkpoint(&self) {
        // Left behind it does no harm, and the model is written.
        let _ = std::fs::remove_file(&self.checkpoint);
    }

    /// Says where the last good state is.
    fn with_last_checkpoint(&self, failure: Failure, history: &[EpochLosses]) -> Failure {
        let advice = match history.last() {
            Some(last) if self.checkpoint.exists() => {
                format!("last good checkpoint: {}, epoch {}", self.checkpoint.display(), last.epoch)
            }
            _ => "there is no checkpoint to continue from".to_owned(),
        };
        Failure::new(failure.code, format!("{failure}; {advice}"))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(ExitCode::Unreadable, format!("{}: cannot be read: {error}", path.display()))
}

/// The architecture that fits a data source.
fn preset_for(source: &DataSource) -> &'static str {
    match source.origin {
        Origin::Digits => "digits",
        Origin::Cifar10 { .. } | Origin::CifarBatch { .. } => "paper-cifar",
        Origin::Gaussian { .. } | Origin::Mixture { .. } => "linear",
        _ => "paper-mnist",
    }
}

fn architecture(arguments: &TrainArguments, name: &str, dataset: &Dataset) -> Result<Architecture, Failure> {
    let preset = Architecture::preset(name, dataset.item_shape())?;
    let latent_dim = arguments.latent_dim.unwrap_or(preset.latent_dim);
    let preset = preset.with_latent_dim(latent_dim);
    let architecture = Architecture {
        std_floor: arguments.std_floor,
        std_link: match arguments.std_link {
            LinkArgument::LogVariance => StdLink::HalfLogVariance,
            LinkArgument::Softplus => StdLink::Softplus,
        },
        likelihood: arguments.gaussian_std.map_or(preset.likelihood, |std| Likelihood::Gaussian { std }),
        ..preset
    };
    architecture.check()?;
    Ok(architecture)
}

fn report(model: &Model, out: &Outputs) -> String {
    let mut text = format!(
        "model    {}\nmetrics  {}\nsha256   {} (of architecture and weights)\n",
        out.model.display(),
        out.metrics.display(),
        model.sha256
    );
    if let Some(losses) = model.training.as_ref().and_then(|training| training.final_losses) {
        text += &format!("epoch {}: {}\n", losses.epoch, losses_line(&losses));
    }
    text
}

/// The default model, trained on the embedded digits: what `fixtures/models/digits.safetensors` holds.
pub(crate) fn train_default(workers: &Workers, progress: &mut dyn Progress) -> Result<Model, Failure> {
    let dataset = DataSource::digits().load(Split::Train, Seed(0))?;
    let architecture = Architecture::preset("digits", dataset.item_shape())?;
    let plan = TrainingPlan { epochs: 300, batch_size: 64, learning_rate: 1e-3, beta: 1.0, seed: Seed(0) };
    let mut trainer = Trainer::new(architecture, &dataset, plan, &candle_core::Device::Cpu)?;
    run_epochs(&mut trainer, workers, progress, |_| Ok(()))?;
    progress.end();
    trainer.model().map_err(|error: TrainError| error.into())
}
