//! `vaecert replay`: are the perturbations that an audit saved what it says?

use std::path::{Path, PathBuf};

use super::args::ReplayArguments;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::line_of;
use super::terminal::Terminal;
use crate::audit::replay::{Replay, ReplayRecord, ReplayVerdict};
use crate::audit::run::{read_records, read_run_file, RunFile};
use crate::audit::InputRecord;
use crate::data::{DataSource, Dataset};
use crate::model::{embedded, Model};
use crate::progress::Progress;
use crate::seed::Seed;
use crate::threads::Workers;

/// Replays perturbations, prints a verdict for each.
pub(crate) fn replay(arguments: &ReplayArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let run = read_run_file(&arguments.run)?;
    let records = read_records(&arguments.run, &run.identity)?;
    let chosen = chosen(arguments, &records)?;
    let model = model(&arguments.run, arguments.model.as_deref(), &run)?;
    let dataset = dataset(arguments.data.as_deref(), arguments.data_dir.as_deref(), &run)?;
    let draws = usize::try_from(arguments.draws).map_err(|error| Failure::new(ExitCode::Usage, error))?;
    let replay = Replay::new(&run.identity, &model, &dataset, draws, Seed(arguments.seed), chosen.len())?;

    let workers = Workers::new(arguments.threads)?;
    if !arguments.json {
        terminal.print(&format!(
            "{:>5} {:>10} {:>10} {:>10} {:>10}  verdict\n",
            "input", "norm ≤", "recorded", "P ≤", "level"
        ))?;
    }
    terminal.begin("perturbations", chosen.len(), 0);
    let mut verdicts = Vec::new();
    let level = run.identity.plan.level;
    let outcome = workers.stream(
        &chosen,
        |record| replay.perturbation(&arguments.run, record),
        |record| {
            let record = record?;
            terminal.step("");
            if arguments.json {
                terminal.print_as_is(&line_of(&record)?)?;
            } else {
                terminal.print(&row(&record, level.get()))?;
            }
            verdicts.push(record.verdict);
            Ok::<(), Failure>(())
        },
    );
    terminal.end();
    outcome?;
    Ok(exit_code(&verdicts))
}

/// The records to replay: those asked for, or all that claim a perturbation.
fn chosen<'a>(arguments: &ReplayArguments, records: &'a [InputRecord]) -> Result<Vec<&'a InputRecord>, Failure> {
    let run = arguments.run.display();
    let claims = |record: &&InputRecord| record.best_attack.is_some();
    if arguments.input.is_empty() {
        let all: Vec<&InputRecord> = records.iter().filter(claims).collect();
        return match all.is_empty() {
            true => Err(Failure::new(ExitCode::Undecided, format!("{run}: the run found no perturbation to replay"))),
            false => Ok(all),
        };
    }
    let find = |&input: &usize| {
        let found = records.iter().find(|record| record.input == input).filter(claims);
        found.ok_or_else(|| {
            Failure::new(ExitCode::Usage, format!("{run}: the run found no perturbation of input {input}"))
        })
    };
    arguments.input.iter().map(find).collect()
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

/// The model of a run, or the one that a user names instead.
pub(super) fn model(folder: &Path, named: Option<&Path>, run: &RunFile) -> Result<Model, Failure> {
    let recorded = run.model.as_ref().map(|path| in_run_folder(folder, path));
    match named.map(Path::to_owned).or(recorded) {
        Some(path) => Ok(Model::load(&path)?),
        None => Ok(embedded::digits()?),
    }
}

/// The data of a run, or those that a user names instead.
pub(super) fn dataset(data: Option<&str>, folder: Option<&Path>, run: &RunFile) -> Result<Dataset, Failure> {
    let source = match (data, folder) {
        (None, None) => run.source.clone(),
        (data, folder) => DataSource::parse(data.unwrap_or(&run.identity.data), folder)?,
    };
    Ok(source.load(run.identity.split, run.identity.data_seed)?)
}

/// Relative paths in a run's file are relative to its folder.
fn in_run_folder(run: &Path, path: &Path) -> PathBuf {
    run.join(path)
}
