//! `vaecert report`: a run as a page, a comment, a table, a document or a picture.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::exit_code::ExitCode;
use super::failure::Failure;
use super::replay::{dataset, model};
use super::terminal::Terminal;
use super::units;
use crate::audit::folder::{REPORT_PAGE_FILE, REPORT_PICTURE_FILE};
use crate::audit::replay::Replay;
use crate::audit::run::{read_records, read_run_file, RunFile};
use crate::audit::InputRecord;
use crate::data::Dataset;
use crate::files;
use crate::model::Model;
use crate::report::content::{RAY_DECISIONS, RAY_DRAWS};
use crate::report::{Format, Report, ReportError};
use crate::threads::Workers;

/// What is to be reported, and how.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Folder of a run written by `vaecert audit`, finished or not.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// What to write. Default: as the ending of --out says, otherwise html.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatArgument>,
    /// File to write. Default: report.html or report.png in the run's folder; standard output for the other formats.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file that is already there.
    #[arg(long)]
    overwrite: bool,
    /// Model file, if it has moved since the audit.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The data as in `vaecert audit`, if they have moved since then.
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// Folder of the data, if it has moved since the audit.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Threads; results do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = super::args::threads)]
    threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArgument {
    /// One page that needs no other file and no network.
    Html,
    /// For a pull request's comment.
    Markdown,
    /// One row per input.
    Csv,
    /// Identity, summary and records in one document.
    Json,
    /// The main plots as a picture.
    Png,
}

/// Examples for the help.
pub(crate) const EXAMPLES: &str = "Examples:
  vaecert report run
  vaecert report run --format markdown
  vaecert report run --out robustness.png
  vaecert report run --model moved.safetensors --data-dir elsewhere/mnist --overwrite";

impl From<FormatArgument> for Format {
    fn from(format: FormatArgument) -> Self {
        match format {
            FormatArgument::Html => Self::Html,
            FormatArgument::Markdown => Self::Markdown,
            FormatArgument::Csv => Self::Csv,
            FormatArgument::Json => Self::Json,
            FormatArgument::Png => Self::Png,
        }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::new(ExitCode::Bug, error)
    }
}

/// Writes a report of a run's folder.
pub(crate) fn report(arguments: &ReportArguments, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let run = read_run_file(&arguments.run)?;
    let records = read_records(&arguments.run, &run.identity)?;
    let ending = arguments.out.as_deref().and_then(Format::of_path);
    let format = arguments.format.map(Format::from).or(ending).unwrap_or(Format::Html);
    let out = arguments.out.clone().or_else(|| default_file(&arguments.run, format));
    if let Some(out) = &out {
        check_free(out, arguments.overwrite)?;
    }
    let planned = run.identity.range().len();
    if records.len() < planned {
        terminal.note(&format!("the run is not finished: {} of {planned} inputs", records.len()));
    }
    let workers = Workers::new(arguments.threads)?;
    let found = || {
        let model = model(&arguments.run, arguments.model.as_deref(), &run)?;
        let dataset = dataset(arguments.data.as_deref(), arguments.data_dir.as_deref(), &run)?;
        Ok((model, dataset))
    };
    let bytes = rendered(format, &arguments.run, (&run, &records), found, &workers, terminal)?;
    match out {
        Some(out) => {
            write(&out, &bytes)?;
            let size = units::size(bytes.len() as u64);
            terminal.print(&format!("written to {} ({size})\n", out.display()))?;
        }
        None => terminal.print_as_is(&String::from_utf8_lossy(&bytes))?,
    }
    Ok(ExitCode::Met)
}

/// Binary formats and pages go into files.
fn default_file(run: &Path, format: Format) -> Option<PathBuf> {
    match format {
        Format::Html => Some(run.join(REPORT_PAGE_FILE)),
        Format::Png => Some(run.join(REPORT_PICTURE_FILE)),
        Format::Markdown | Format::Csv | Format::Json => None,
    }
}

/// Fails, before any work, where a file cannot be written or must not be replaced.
pub(super) fn check_free(path: &Path, overwrite: bool) -> Result<(), Failure> {
    if path.exists() && !overwrite {
        let message = format!("{} already exists; replace it with --overwrite, or name another file", path.display());
        return Err(Failure::new(ExitCode::Usage, message));
    }
    files::check_writable(path).map_err(|error| Failure::unwritable(path, &error))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::write_atomically(path, bytes).map_err(|error| Failure::unwritable(path, &error))
}

/// The report as bytes. `found` gives the run's model and data; it is asked only by formats that need them, and where it
/// has none the report says so.
pub(super) fn rendered(
    format: Format,
    folder: &Path,
    (run, records): (&RunFile, &[InputRecord]),
    found: impl FnOnce() -> Result<(Model, Dataset), Failure>,
    workers: &Workers,
    terminal: &Terminal,
) -> Result<Vec<u8>, Failure> {
    let report = Report::new(run, records);
    Ok(match format {
        Format::Html => {
            let found = found();
            let replay = match &found {
                Ok((model, dataset)) => {
                    Replay::new(&run.identity, model, dataset, RAY_DRAWS, run.identity.plan.seed, RAY_DECISIONS)
                        .map_err(|error| error.to_string())
                }
                Err(failure) => Err(failure.to_string()),
            };
            let replay = replay.map_err(|error| {
                terminal.note(&format!("the report lacks what needs model and data: {error}"));
                format!(
                    "{error}. To have it, make the report again with --model FILE, and --data DATA or --data-dir DIR, as in vaecert replay."
                )
            });
            report.html(&report.evidence(folder, replay.as_ref().map_err(String::as_str), workers))?.into_bytes()
        }
        Format::Markdown => report.markdown().into_bytes(),
        Format::Csv => report.csv().into_bytes(),
        Format::Json => report.json()?.into_bytes(),
        Format::Png => report.png()?,
    })
}
