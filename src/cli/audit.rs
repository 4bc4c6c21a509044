//! `vaecert audit`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::info;

use super::args::{AuditArguments, ProtocolArgument, RunsArguments};
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::{line_of, Last};
use super::limits;
use super::report;
use super::table;
use super::terminal::Terminal;
use super::train::train_default;
use super::units;
use crate::attack::Effort;
use crate::audit::folder::remove_if_there;
use crate::audit::input::AuditedModel;
use crate::audit::run::{read_records, Existing, Progressed, Records, RunFile, RunFolder};
use crate::audit::summary::Verdict;
use crate::audit::{Audit, AuditPlan, InputRecord, Outcome, RunIdentity, Summary};
use crate::files;
use crate::margin::{Protocol, SearchPlan};
use crate::model::{embedded, Model, ModelError};
use crate::progress::Progress;
use crate::report::Format;
use crate::seed::Seed;
use crate::threads::Workers;

/// Audits inputs, prints them as they finish, then the summary.
pub(crate) fn audit(arguments: AuditArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let ends = arguments.time.ends(Instant::now());
    let plan = plan(&arguments)?;
    plan.check()?;
    let workers = Workers::new(arguments.compute.threads)?;
    let device = arguments.compute.device.open()?;
    let (model, model_name) = model(&arguments, &workers, &mut terminal)?;
    let choice = arguments.chosen.choice()?;
    let source = choice.source.absolute();
    let dataset = choice.source.load(choice.split, choice.seed)?;
    let identity = RunIdentity::new(&model, &device, choice, &dataset, plan)?.of_shard(arguments.shard.shard)?;

    if let Some(file) = &arguments.report {
        report::check_free(file, arguments.overwrite || arguments.resume)?;
    }

    let path = arguments.out.clone().unwrap_or_else(|| default_folder(&arguments.runs, &identity));
    let run_file = RunFile { identity: identity.clone(), model: model_path(&arguments), source };
    let mut folder =
        RunFolder::open(&path, &run_file, existing(arguments.overwrite, arguments.resume, arguments.out.as_deref()))?;
    if let Some(file) = &arguments.report {
        // An earlier one must not stand for this run, even if it is killed.
        remove_if_there(file).map_err(|error| Failure::unwritable(file, &error))?;
    }
    if arguments.train {
        model.save(&path.join(TRAINED_MODEL_FILE))?;
    }
    let inputs = identity.range().len();
    if folder.finished() > 0 {
        let taken = format!("{} of {inputs} inputs taken from {}", folder.finished(), path.display());
        terminal.note(&format!("{taken}; --overwrite computes them again"));
    }
    let max_norm = identity.plan.search.max_norm;
    if !arguments.json {
        terminal.print(&table::heading(&identity, &model_name, workers.threads()))?;
        terminal.print(table::legend())?;
        terminal.print(&table::row_titles(max_norm))?;
    }
    let audited = AuditedModel::new(&model.vae, &device)?;
    let mut taken_over = folder.finished();
    terminal.begin("inputs", inputs, taken_over);
    let audit = Audit { model: &audited, dataset: &dataset, identity: &identity };
    let mut so_far = SoFar::default();
    let progressed = audit.run_until(&workers, Some(&mut folder), ends, |record| {
        so_far.add(record);
        if taken_over > 0 {
            taken_over -= 1;
        } else {
            terminal.step(&so_far.text());
        }
        if arguments.json {
            terminal.print_as_is(&line_of(record)?)
        } else {
            terminal.print(&table::row(record, max_norm))
        }
    });
    terminal.end();
    let Progressed { summary, unfinished } = progressed?;
    if unfinished > 0 {
        terminal.note(&limits::unfinished(summary.inputs, inputs, arguments.out.is_some(), arguments.overwrite));
    } else if arguments.json {
        terminal.print_as_is(&line_of(&Last { summary: &summary })?)?;
    } else {
        print_minimum_radii(&terminal, &path, &identity)?;
        terminal.print(&table::summary(&summary))?;
        terminal
            .print(&format!("written to {}; check the perturbations with: vaecert replay {0}\n", path.display()))?;
    }
    if let Some(file) = &arguments.report {
        let format = Format::of_path(file).unwrap_or(Format::Html);
        let records = read_records(&path, &identity)?;
        let run = (&run_file, records.as_slice());
        let bytes = report::rendered(format, &path, run, || Ok((model, dataset)), &workers, &terminal)?;
        report::write(file, &bytes)?;
        if !arguments.json {
            terminal.print(&format!("report written to {}\n", file.display()))?;
        }
    }
    Ok(match exit_code(&summary) {
        ExitCode::Met if unfinished > 0 => ExitCode::Undecided,
        code => code,
    })
}

/// The file that holds the model of `audit --train`.
const TRAINED_MODEL_FILE: &str = "model.safetensors";

/// Prints the second table from the records in a folder, one after the other.
pub(super) fn print_minimum_radii(terminal: &Terminal, folder: &Path, identity: &RunIdentity) -> Result<(), Failure> {
    let mut is_first = true;
    for record in Records::open(folder, identity)? {
        let Some(row) = table::minimum_radius_row(&record?) else { continue };
        if is_first {
            terminal.print(&table::minimum_radius_titles())?;
        }
        is_first = false;
        terminal.print(&row)?;
    }
    Ok(())
}

/// What the progress bar says of the inputs that are finished.
#[derive(Default)]
pub(super) struct SoFar {
    certified: usize,
    open: usize,
    alarms: usize,
}

impl SoFar {
    pub(super) fn add(&mut self, record: &InputRecord) {
        self.certified += usize::from(record.certified.is_some_and(|certified| certified.best.get() > 0.0));
        self.open += usize::from(matches!(record.outcome, Outcome::Undecided | Outcome::Failed));
        self.alarms += usize::from(record.outcome == Outcome::Alarm);
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("{} certified", self.certified);
        for (count, what) in [(self.open, "undecided"), (self.alarms, "ALARMS")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text
    }
}

pub(super) fn exit_code(summary: &Summary) -> ExitCode {
    match summary.verdict() {
        Verdict::Met => ExitCode::Met,
        Verdict::NotMet => ExitCode::NotMet,
        Verdict::Undecided => ExitCode::Undecided,
    }
}

fn model(arguments: &AuditArguments, workers: &Workers, terminal: &mut Terminal) -> Result<(Model, String), Failure> {
    if arguments.train {
        return Ok((train_default(workers, terminal)?, "digits β-VAE trained on the spot".to_owned()));
    }
    named_model(arguments.model.as_deref())
}

/// The model in a file, or the embedded one, and what to call it.
pub(super) fn named_model(path: Option<&Path>) -> Result<(Model, String), Failure> {
    let (model, _, name) = model_file(path)?;
    Ok((model, name))
}

/// [`named_model`] with the bytes of its file in the middle.
pub(super) fn model_file(path: Option<&Path>) -> Result<(Model, Vec<u8>, String), Failure> {
    match path {
        Some(path) => {
            let read = files::read_regular(path);
            let bytes = read.map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
            let model = Model::from_bytes(&bytes, path)?;
            info!(path = %path.display(), size = units::size(bytes.len() as u64), sha256 = model.sha256, "model read");
            Ok((model, bytes, path.display().to_string()))
        }
        None => Ok((embedded::digits()?, embedded::DIGITS.to_vec(), "embedded digits β-VAE".to_owned())),
    }
}

/// Where `replay` will find the model: inside the run's folder, or at an absolute path.
fn model_path(arguments: &AuditArguments) -> Option<PathBuf> {
    if arguments.train {
        return Some(PathBuf::from(TRAINED_MODEL_FILE));
    }
    arguments.model.as_deref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

pub(super) fn default_folder(runs: &RunsArguments, identity: &RunIdentity) -> PathBuf {
    runs.runs_dir.join(table::short(&identity.sha256()))
}

/// A folder that nobody named is named after the run, so what an interruption left in it belongs to this run.
pub(super) fn existing(overwrite: bool, resume: bool, out: Option<&Path>) -> Existing {
    if overwrite {
        Existing::Overwrite
    } else if resume {
        Existing::Resume
    } else if out.is_none() {
        Existing::ResumeInterrupted
    } else {
        Existing::Refuse
    }
}

fn protocol(arguments: &AuditArguments) -> Result<Protocol, Failure> {
    let unused =
        |flag, protocol| Failure::new(ExitCode::Usage, format!("{flag} means nothing with --protocol {protocol}"));
    match (arguments.protocol, arguments.tolerance, arguments.decrement) {
        (ProtocolArgument::Bisect, tolerance, None) => {
            Ok(Protocol::Bisect { tolerance: tolerance.unwrap_or(Protocol::DEFAULT_TOLERANCE) })
        }
        (ProtocolArgument::Paper, None, decrement) => {
            Ok(Protocol::Paper { decrement: decrement.unwrap_or(Protocol::DEFAULT_DECREMENT) })
        }
        (ProtocolArgument::Bisect, _, Some(_)) => Err(unused("--decrement", "bisect")),
        (ProtocolArgument::Paper, Some(_), _) => Err(unused("--tolerance", "paper")),
    }
}

pub(super) fn plan(arguments: &AuditArguments) -> Result<AuditPlan, Failure> {
    let robustness = &arguments.robustness;
    let radius = robustness.radius_rule()?;
    Ok(AuditPlan {
        radius,
        level: robustness.level,
        threat: robustness.threat,
        failure_probability: robustness.failure_probability,
        selection_draws: robustness.selection_draws,
        estimation_draws: robustness.draws,
        attacks: arguments.attack.clone(),
        search: SearchPlan {
            protocol: protocol(arguments)?,
            max_norm: arguments.max_norm,
            pixel_box: arguments.pixel_box,
            decision_draws: arguments.decision_draws,
            effort: Effort { restarts: arguments.restarts, steps: arguments.steps, draws: arguments.attack_draws },
        },
        seed: Seed(arguments.seed),
        draws_per_input: arguments.budget.per_input(arguments.chosen.inputs),
        machine_dependent_milliseconds_per_input: arguments.time.milliseconds_per_input(),
    })
}
