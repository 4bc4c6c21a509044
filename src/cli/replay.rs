//! `vaecert replay`: are the perturbations that an audit saved what it says?

use std::path::{Path, PathBuf};

use super::args::ReplayArguments;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::audit::replay::{Replay, ReplayRecord, ReplayVerdict};
use crate::audit::run::{perturbation_path, read_records, read_run_file, RunFile};
use crate::data::DataSource;
use crate::model::{embedded, Model};
use crate::progress::Progress;
use crate::seed::Seed;
use crate::threads::Workers;

/// Replays perturbations, prints a verdict for each.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let run = read_run_file(&arguments.run)?;
    let (records, _) = read_records(&arguments.run, &run.identity)?;
    let inputs: Vec<usize> = if arguments.input.is_empty() {
        let saved = |input: &usize| perturbation_path(&arguments.run, *input).exists();
        records.iter().map(|record| record.input).filter(saved).collect()
    } else {
        arguments.input.clone()
    };
    let model = model(arguments, &run)?;
    let source = match &arguments.data_dir {
        Some(folder) => DataSource::parse(&run.identity.data.to_string(), Some(folder))?,
        None => run.identity.data.clone(),
    };
    let dataset = source.load(run.identity.split, run.identity.data_seed)?;
    let device = arguments.compute.device.open()?;
    let draws = usize::try_from(arguments.draws).map_err(|error| Failure::new(ExitCode::Usage, error))?;
    let replay = Replay::new(&run.identity, &model, &dataset, &device, draws, Seed(arguments.seed), inputs.len())?;

    let workers = Workers::new(arguments.compute.threads)?;
    let mut terminal = Terminal::new();
    if !arguments.json {
        terminal.print(&format!(
            "{:>5} {:>10} {:>10} {:>10} {:>10}  verdict\n",
            "input", "norm ≤", "recorded", "P ≤", "level"
        ))?;
    }
    terminal.begin("perturbations", inputs.len(), 0);
    let mut verdicts = Vec::new();
    let level = run.identity.plan.level;
    let outcome = workers.stream(
        &inputs,
        |&input| replay.perturbation(&arguments.run, input),
        |record| {
            let record = record?;
            terminal.step("");
            let line = if arguments.json {
                serde_json::to_string(&record).map_err(std::io::Error::from)? + "\n"
            } else {
                row(&record, level.get())
            };
            terminal.print(&line)?;
            verdicts.push(record.verdict);
            Ok::<(), Failure>(())
        },
    );
    terminal.end();
    outcome?;
    if verdicts.is_empty() {
        return Err(Failure::new(
            ExitCode::Undecided,
            format!("{}: the run saved no perturbation to replay", arguments.run.display()),
        ));
    }
    Ok(exit_code(&verdicts))
}

fn exit_code(verdicts: &[ReplayVerdict]) -> ExitCode {
    if verdicts.contains(&ReplayVerdict::Contradicted) {
        ExitCode::NotMet
    } else if verdicts.contains(&ReplayVerdict::Undecided) {
        ExitCode::Undecided
    } else {
        ExitCode::Met
    }
}

fn row(record: &ReplayRecord, level: f64) -> String {
    let verdict = match record.verdict {
        ReplayVerdict::Confirmed => "confirmed",
        ReplayVerdict::Undecided => "undecided: fresh draws do not decide",
        ReplayVerdict::Contradicted => "CONTRADICTED",
    };
    format!(
        "{:>5} {:>10} {:>10} {:>10} {level:>10}  {verdict}\n",
        record.input, record.norm_upper, record.recorded_upper, record.probability_upper
    )
}

fn model(arguments: &ReplayArguments, run: &RunFile) -> Result<Model, Failure> {
    let recorded = run.model.as_ref().map(|path| in_run_folder(&arguments.run, path));
    match arguments.model.clone().or(recorded) {
        Some(path) => Ok(Model::load(&path)?),
        None => Ok(embedded::digits()?),
    }
}

/// Relative paths in a run's file are relative to its folder.
fn in_run_folder(run: &Path, path: &Path) -> PathBuf {
    run.join(path)
}
