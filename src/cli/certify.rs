//! `vaecert certify`: a certificate for every input.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{CertifyArguments, RunsArguments};
use super::audit::model_file;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::CertificateCounts;
use super::limits;
use super::table::short;
use super::terminal::Terminal;
use crate::audit::certificates::JudgedModel;
use crate::audit::certify::{shard_header, CertificateWriter, ExistingCertificate};
use crate::audit::summary::certified_for_half;
use crate::audit::AuditPlan;
use crate::certificate::{encode, sha256, Entry, Header, Outcome};
use crate::progress::Progress;
use crate::seed::Seed;
use crate::sensitivity::slope_interval::{LayerLooseness, Looseness};
use crate::threads::Workers;

/// Certifies inputs, prints them as they finish, then a summary.
pub(crate) fn certify(arguments: &CertifyArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let ends = arguments.time.ends(Instant::now());
    let plan = plan(arguments)?;
    let workers = Workers::new(arguments.threads)?;
    let (model, bytes, name) = model_file(arguments.model.as_deref())?;
    let choice = arguments.chosen.choice()?;
    let dataset = choice.source.load(choice.split, choice.seed)?;
    let header = shard_header(&model, &bytes, &choice, &dataset, &plan, arguments.shard.shard)?;
    let path = arguments.out.clone().unwrap_or_else(|| default_file(&arguments.runs, &header));
    let judged = JudgedModel::new(&model.vae)?;
    let mut writer = CertificateWriter::open(&path, header.clone(), existing(arguments))?;
    let inputs = header.range().len();
    let mut taken_over = writer.finished();
    if taken_over > 0 {
        let taken = format!("{taken_over} of {inputs} inputs taken from {}", path.display());
        terminal.note(&format!("{taken}; --overwrite computes them again"));
    }
    if arguments.json {
        terminal
            .print_as_is(&String::from_utf8_lossy(&encode(&header).map_err(|e| Failure::new(ExitCode::Bug, e))?))?;
    } else {
        terminal.print(&heading(&header, &name))?;
    }
    terminal.begin("inputs", inputs, taken_over);
    let mut summary = Summary::default();
    let outcome = writer.run(&workers, &judged, &dataset, ends, |entry| {
        summary.add(entry);
        if taken_over > 0 {
            taken_over -= 1;
        } else {
            terminal.step(&summary.certified_so_far());
        }
        if arguments.json {
            return terminal.print_as_is(&String::from_utf8_lossy(&encode(entry)?));
        }
        let input = dataset.row(entry.input).unwrap_or_default();
        let explanation = if arguments.explain { explanation(&judged, entry, input) } else { String::new() };
        terminal.print(&(row(entry) + &explanation))
    });
    terminal.end();
    if outcome? > 0 {
        terminal.note(&limits::unfinished(summary.entries, inputs, arguments.out.is_some(), arguments.overwrite));
        return Ok(ExitCode::Undecided);
    }
    if !arguments.json {
        terminal.print(&summary.text(&path))?;
    }
    Ok(summary.exit_code())
}

/// A file that nobody named is named after everything that decides its contents, so what is in it belongs there.
fn existing(arguments: &CertifyArguments) -> ExistingCertificate {
    if arguments.overwrite {
        ExistingCertificate::Overwrite
    } else if arguments.resume {
        ExistingCertificate::Resume
    } else if arguments.out.is_none() {
        ExistingCertificate::ResumeOrStart
    } else {
        ExistingCertificate::Refuse
    }
}

/// An audit's plan; its attacks stay unused.
fn plan(arguments: &CertifyArguments) -> Result<AuditPlan, Failure> {
    let robustness = &arguments.robustness;
    let plan = AuditPlan {
        level: robustness.level,
        threat: robustness.threat,
        selection_draws: robustness.selection_draws,
        estimation_draws: robustness.draws,
        machine_dependent_milliseconds_per_input: arguments.time.milliseconds_per_input(),
        ..AuditPlan::standard(robustness.radius_rule()?, robustness.failure_probability, Seed(arguments.seed))
    };
    plan.check()?;
    Ok(plan)
}

fn default_file(runs: &RunsArguments, header: &Header) -> PathBuf {
    let line = encode(header).unwrap_or_default();
    runs.runs_dir.join(format!("certificate-{}.jsonl", short(&sha256(&line))))
}

fn heading(header: &Header, model: &str) -> String {
    let part = header.shard.map_or_else(String::new, |shard| format!(", shard {shard} of {} inputs", header.inputs));
    format!(
        "{}\nmodel {model} ({}), data {} ({}){part}, {} draws per input, seed {}\ncertified is {}\n\n{:>5} {:>9} {:>7}  {:>11}  {}\n{:>5} {:>9} {:>7}  {:>11}\n",
        header.claim,
        short(&header.model.file_sha256),
        header.data.name,
        header.data.split,
        header.estimation_draws,
        header.seed,
        header.semantics,
        "input", "r", "P ≥", "certified ≥", "by",
        "", "output", "", "input units"
    )
}

fn row(entry: &Entry) -> String {
    let missing = || "-".to_owned();
    let radius = entry.radius.map_or_else(missing, |radius| radius.to_string());
    let probability = entry.draws.map_or_else(missing, |draws| format!("{:.4}", draws.probability_lower));
    let (certified, by) = match (&entry.claim, entry.outcome) {
        (Some(claim), _) => (claim.certified_radius.decimal.clone(), claim.method.name().to_owned()),
        (None, Outcome::Abstained) => (missing(), format!("abstained: {}", entry.reasons.join("; "))),
        (None, _) => (missing(), format!("UNDECIDED: {}", entry.reasons.join("; "))),
    };
    format!("{:>5} {radius:>9} {probability:>7}  {certified:>11}  {by}\n", entry.input)
}

/// Where the bounds behind an entry are loose; empty where there are none.
fn explanation(model: &JudgedModel, entry: &Entry, input: &[f32]) -> String {
    match model.looseness(entry, input) {
        Ok(None) => String::new(),
        Ok(Some((mean, std))) => {
            let std = std.map(|std| loose_lines("standard-deviation head", &std)).unwrap_or_default();
            loose_lines("mean, in standard deviations", &mean) + &std
        }
        Err(error) => format!("        no explanation: {error}\n"),
    }
}

/// A bound's looseness in words.
fn loose_lines(what: &str, looseness: &Looseness) -> String {
    let Looseness { first_order, norm, layers } = looseness;
    let mut text = format!("        {what}: moves by at most {norm}; {first_order} if no slope changed\n");
    for (layer, LayerLooseness { units, uncertain, worst }) in layers.iter().enumerate() {
        let named: Vec<String> = worst.iter().map(|(unit, share)| format!("{unit} ({:.1} %)", 100.0 * share)).collect();
        let named = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
        text += &format!("        layer {layer}: {uncertain} of {units} slopes uncertain; worst units, share of the square: {named}\n");
    }
    text
}

/// Counts and certified radii.
#[derive(Default)]
pub(super) struct Summary {
    entries: usize,
    certified: usize,
    abstained: usize,
    radii: Vec<f64>,
}

impl Summary {
    /// Counts one more entry.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.abstained += usize::from(entry.outcome == Outcome::Abstained);
        let radius = entry.claim.as_ref().and_then(|claim| claim.certified_radius.get());
        self.certified += usize::from(radius.is_some());
        // An input without a certificate counts in every denominator.
        self.radii.push(radius.map_or(0.0, |radius| radius.get()));
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        if self.certified == self.entries {
            ExitCode::Met
        } else {
            ExitCode::Undecided
        }
    }

    /// What the progress bar says.
    pub(super) fn certified_so_far(&self) -> String {
        format!("{} certified", self.certified)
    }

    /// The counts.
    pub(super) fn counts(&self) -> CertificateCounts {
        let Self { entries, certified, abstained, .. } = *self;
        CertificateCounts { inputs: entries, certified, abstained, undecided: entries - certified - abstained }
    }

    /// For people.
    pub(super) fn text(&self, path: &Path) -> String {
        let Self { entries, certified, abstained, radii } = self;
        let mut text = format!(
            "\n{entries} inputs: {certified} certified, {abstained} abstained, {} undecided\n",
            entries - certified - abstained
        );
        let half = certified_for_half(radii);
        let _ = writeln!(text, "half of the inputs or more are certified up to {half} (input units, L2)");
        let _ = writeln!(text, "written to {0}; check it with: vaecert verify {0}", path.display());
        text
    }
}
