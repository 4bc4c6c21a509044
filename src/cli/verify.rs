//! `vaecert verify`: is what a certificate claims true of this model and these data?

use std::path::Path;

use super::args::VerifyArguments;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::{line_of, Last, VerifiedCounts, VerifiedEntry};
use super::terminal::Terminal;
use crate::certificate::{CertificateFile, Header};
use crate::data::{DataSource, Dataset, Split};
use crate::files;
use crate::model::embedded;
use crate::progress::Progress;
use crate::seed::Seed;
use crate::threads::Workers;
use crate::verify::{Checker, Data, Fresh, Report, Verdict, TRUSTED};

/// Checks every entry and prints a verdict for each.
pub(crate) fn verify(arguments: &VerifyArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let path = &arguments.certificate;
    let failed = |what: String| Failure::new(ExitCode::Unreadable, format!("{}: {what}", path.display()));
    let rejected = |what: String| Failure::new(ExitCode::Rejected, format!("{}: rejected: {what}", path.display()));
    let bytes = files::read_regular(path).map_err(|error| failed(error.to_string()))?;
    let certificate = CertificateFile::parse(&bytes).map_err(|error| rejected(error.to_string()))?;
    let header = &certificate.header;
    let model = match &arguments.model {
        Some(path) => files::read_regular(path)
            .map_err(|error| Failure::new(ExitCode::Unreadable, format!("{}: {error}", path.display())))?,
        None => embedded::DIGITS.to_vec(),
    };
    let dataset = dataset(arguments, header)?;
    let workers = Workers::new(arguments.threads)?;
    let data = Data { item_shape: dataset.item_shape(), values: dataset.values() };
    let checker = Checker::new(header, &model, &data).map_err(|rejection| rejected(rejection.to_string()))?;
    if !arguments.json {
        terminal.print(&format!("{}\n\n{:>5}  {:>11}  verdict\n", header.claim, "input", "certified ≥"))?;
    }
    terminal.begin("entries", certificate.entries.len(), 0);
    let mut reports = Vec::with_capacity(certificate.entries.len());
    let fresh = |draws: u64| arguments.fresh.map(|seed| Fresh { seed, draws: arguments.fresh_draws.unwrap_or(draws) });
    let outcome = workers.stream(
        &certificate.entries,
        |entry| {
            let input = dataset.row(entry.input).unwrap_or_default();
            checker.check(entry, input, fresh(header.estimation_draws))
        },
        |report| {
            terminal.step(report.verdict.word());
            if arguments.json {
                terminal.print_as_is(&line_of(&VerifiedEntry::from(&report))?)?;
            } else {
                terminal.print(&row(&report))?;
            }
            reports.push(report);
            Ok::<(), Failure>(())
        },
    );
    terminal.end();
    outcome?;
    let missing = header.range().len().saturating_sub(certificate.entries.len());
    let counts = VerifiedCounts::of(&reports, missing);
    if arguments.json {
        terminal.print_as_is(&line_of(&Last { summary: &counts })?)?;
    } else {
        terminal.print(&counts.text(path))?;
    }
    Ok(counts.exit_code())
}

/// The data that the certificate names, or those given.
fn dataset(arguments: &VerifyArguments, header: &Header) -> Result<Dataset, Failure> {
    let name = arguments.data.as_ref().unwrap_or(&header.data.name);
    let split = match header.data.split.as_str() {
        "train" => Split::Train,
        "test" => Split::Test,
        other => {
            let message =
                format!("rejected: header: the part of the data is {other:?}, expected \"train\" or \"test\"");
            return Err(Failure::new(ExitCode::Rejected, message));
        }
    };
    let source = DataSource::parse(name, arguments.data_dir.as_deref())?;
    Ok(source.load(split, Seed(header.data.seed))?)
}

fn row(report: &Report) -> String {
    let radius = report.certified_radius.map_or_else(|| "-".to_owned(), |radius| radius.to_string());
    let mut line = format!("{:>5}  {radius:>11}  {}", report.input, report.verdict.word());
    if report.claims_nothing {
        line += ": claims nothing";
    }
    if let (Some(step), Some(reason)) = (report.step, &report.reason) {
        line += &format!(": {step}: {reason}");
    }
    if let Some((inside, draws)) = report.fresh {
        line += &format!("; {inside} of {draws} fresh draws within r");
    }
    line + "\n"
}

impl VerifiedCounts {
    fn of(reports: &[Report], missing: usize) -> Self {
        let count = |verdict| reports.iter().filter(|report| report.verdict == verdict).count();
        Self {
            verified: count(Verdict::Verified),
            incomplete: count(Verdict::Incomplete),
            rejected: count(Verdict::Rejected),
            claims_nothing: reports.iter().filter(|report| report.claims_nothing).count(),
            missing,
            trusted: TRUSTED,
        }
    }

    fn exit_code(&self) -> ExitCode {
        if self.rejected > 0 {
            ExitCode::Rejected
        } else if self.incomplete > 0 || self.missing > 0 || self.claims_nothing > 0 {
            ExitCode::Undecided
        } else {
            ExitCode::Met
        }
    }

    fn text(&self, path: &Path) -> String {
        let Self { verified, incomplete, rejected, claims_nothing, missing, trusted } = self;
        let mut text = format!(
            "\n{}: {verified} verified ({claims_nothing} of all entries claim nothing), {incomplete} incomplete, {rejected} rejected\n",
            path.display()
        );
        if *missing > 0 {
            text += &format!("incomplete: {missing} inputs have no entry; the run that wrote this was interrupted, continue it with `vaecert certify … --resume`\n");
        }
        text += "still trusted:\n";
        for one in *trusted {
            text += &format!("  - {one}\n");
        }
        text
    }
}
