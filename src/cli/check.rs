//! `vaecert check`: an audit by a policy file, for continuous integration.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use super::args::{threads, RunsArguments};
use super::audit::{default_folder, existing, named_model, SoFar};
use super::check_files::CheckFiles;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::line_of;
use super::limits;
use super::table::short;
use super::terminal::Terminal;
use crate::audit::input::AuditedModel;
use crate::audit::run::{Progressed, RunFile, RunFolder};
use crate::audit::{Audit, Outcome, RunIdentity};
use crate::policy::finding::unlimited;
use crate::policy::markdown::UNITS;
use crate::policy::{annotation, Audited, Evidence, Finding, Policy, PolicyError, Required, Verdict, EXAMPLE};
use crate::progress::Progress;
use crate::quantity::RadiusRule;
use crate::threads::Workers;

/// Set to `true` where GitHub's runner reads stdout.
const GITHUB_ACTIONS: &str = "GITHUB_ACTIONS";

/// The examples of the command's long help.
pub(super) const EXAMPLES: &str = "Examples:
  vaecert check --example > vaecert.toml
  vaecert check
  vaecert check --policy ci/vaecert.toml --out run --junit vaecert.xml --summary summary.md
  vaecert check --out run --resume

Where GITHUB_ACTIONS is true, failed and undecided requirements are also printed as annotations of
the policy file, and the summary is appended to the file that GITHUB_STEP_SUMMARY names.";

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The policy file.
    #[arg(long, default_value = "vaecert.toml", value_name = "FILE")]
    policy: PathBuf,
    /// Print a commented policy that the embedded model meets, and do nothing else.
    #[arg(long, exclusive = true)]
    example: bool,
    /// Folder of the run, as of `vaecert audit`. Default: one in --runs-dir, named after everything that decides the
    /// results; an interrupted run there is continued.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    runs: RunsArguments,
    /// Continue the run in --out; a finished one is judged again without computing anything.
    #[arg(long, conflicts_with = "overwrite", help_heading = "Output")]
    resume: bool,
    /// Replace the run that is already there.
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
    /// Write the findings as JUnit XML, one test case per requirement.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    junit: Option<PathBuf>,
    /// Append a summary in Markdown to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    summary: Option<PathBuf>,
    /// Print one JSON line per requirement instead of a table.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Threads; results do not depend on it. Default: as many as the machine has.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Unreadable { .. } | PolicyError::Syntax { .. } => Self::new(ExitCode::Unreadable, error),
            _ => Self::new(ExitCode::Usage, error),
        }
    }
}

/// Audits by the policy, judges, prints and writes what was found.
pub(crate) fn check(arguments: &CheckArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    if arguments.example {
        terminal.print_as_is(EXAMPLE)?;
        return Ok(ExitCode::Met);
    }
    let mut files = CheckFiles::new(&arguments.policy, arguments.junit.as_deref(), arguments.summary.as_deref())?;
    judged(arguments, &mut files, &mut terminal).inspect_err(|failure| {
        // The failure itself is what counts; what cannot be said about it here is said on stderr.
        let _ = files.failed(&failure.to_string());
        if on_github() {
            let _ = say(arguments, &terminal, &annotation::error(&arguments.policy, &failure.to_string()));
        }
    })
}

fn judged(arguments: &CheckArguments, files: &mut CheckFiles, terminal: &mut Terminal) -> Result<ExitCode, Failure> {
    let policy = Policy::read(&arguments.policy)?;
    files.requirements = policy.requirements.iter().map(|required| required.requirement).collect();
    // Until there is a result: an earlier one must not stand for this audit, even if it is killed.
    files.without_result("the audit did not come to its end")?;
    let done = carry_out(arguments, &policy, terminal)?;
    let findings: Vec<Finding> =
        files.requirements.iter().map(|requirement| requirement.evaluate(&done.audited)).collect();
    let notes: Vec<String> =
        unlimited(&files.requirements, &done.audited).into_iter().chain(done.first_failure.clone()).collect();
    if arguments.json {
        for finding in &findings {
            terminal.print_as_is(&line_of(finding)?)?;
        }
        notes.iter().for_each(|note| terminal.note(&format!("note: {note}")));
    } else {
        terminal.print(&text(&done, &findings, &notes))?;
    }
    if on_github() {
        let commands = annotations(&arguments.policy, &policy.requirements, &findings, &notes);
        say(arguments, terminal, &commands)?;
    }
    files.write(&done.subject, &findings, &notes)?;
    Ok(match Verdict::of_all(&findings) {
        Verdict::Passed => ExitCode::Met,
        Verdict::Failed => ExitCode::NotMet,
        Verdict::Undecided => ExitCode::Undecided,
    })
}

/// Hands workflow commands to the runner, which reads stderr too: stdout may be for lines of JSON.
fn say(arguments: &CheckArguments, terminal: &Terminal, commands: &str) -> Result<(), Failure> {
    if arguments.json {
        terminal.say(commands.trim_end());
        return Ok(());
    }
    Ok(terminal.print_as_is(commands)?)
}

fn on_github() -> bool {
    std::env::var(GITHUB_ACTIONS).is_ok_and(|value| value == "true")
}

/// An audit, finished unless its time was up.
struct Done {
    audited: Audited,
    folder: PathBuf,
    /// Model, data and rule in one line.
    subject: String,
    /// Which computation failed first, and why.
    first_failure: Option<String>,
}

fn carry_out(arguments: &CheckArguments, policy: &Policy, terminal: &mut Terminal) -> Result<Done, Failure> {
    let begin = Instant::now();
    let workers = Workers::new(arguments.threads)?;
    let device = policy.device.open()?;
    let (model, model_name) = named_model(policy.model.as_deref())?;
    let choice = policy.data.clone();
    let source = choice.source.absolute();
    let dataset = choice.source.load(choice.split, choice.seed)?;
    let identity = RunIdentity::new(&model, &device, choice, &dataset, policy.plan.clone())?;
    let path = arguments.out.clone().unwrap_or_else(|| default_folder(&arguments.runs, &identity));
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let run_file = RunFile { identity: identity.clone(), model: policy.model.as_ref().map(absolute), source };
    let mut folder =
        RunFolder::open(&path, &run_file, existing(arguments.overwrite, arguments.resume, arguments.out.as_deref()))?;
    let mut taken_over = folder.finished();
    if taken_over > 0 {
        let taken = format!("{taken_over} of {} inputs taken from {}", identity.inputs, path.display());
        terminal.note(&format!("{taken}; --overwrite computes them again"));
    }
    let audited_model = AuditedModel::new(&model.vae, &device)?;
    let audit = Audit { model: &audited_model, dataset: &dataset, identity: &identity };
    let mut audited = Audited { asked: identity.inputs, evidence: vec![] };
    let (mut so_far, mut first_failure) = (SoFar::default(), None);
    terminal.begin("inputs", identity.inputs, taken_over);
    // A moment beyond what a clock can hold never comes.
    let ends = policy.time.and_then(|time| begin.checked_add(time));
    let outcome = audit.run_until(&workers, Some(&mut folder), ends, |record| {
        so_far.add(record);
        if taken_over > 0 {
            taken_over -= 1;
        } else {
            terminal.step(&so_far.text());
        }
        audited.evidence.push(Evidence::of(record));
        if record.outcome == Outcome::Failed && first_failure.is_none() {
            first_failure = Some(format!("input {} failed: {}", record.input, record.reasons.join("; ")));
        }
        Ok(())
    });
    terminal.end();
    let Progressed { summary, unfinished } = outcome?;
    if unfinished > 0 {
        terminal.note(&limits::unfinished(
            summary.inputs,
            identity.inputs,
            arguments.out.is_some(),
            arguments.overwrite,
        ));
    }
    Ok(Done { audited, folder: path, subject: subject(&identity, &model_name), first_failure })
}

fn subject(identity: &RunIdentity, model: &str) -> String {
    let (hash, data, split) = (short(&identity.model_sha256), &identity.data, identity.split);
    let last = identity.first + (identity.inputs - 1);
    let plan = &identity.plan;
    let radius = match plan.radius {
        RadiusRule::Absolute(radius) => format!("r = {}", f64::from(radius)),
        RadiusRule::Quantile(order) => format!("r the {}-quantile", f64::from(order)),
    };
    let (level, failure) = (f64::from(plan.level), f64::from(plan.failure_probability));
    format!(
        "{model} ({hash}), {data} ({split}), inputs {} to {last}; {radius}, level {level}, threat {}, failure probability {failure}, seed {}",
        identity.first, plan.threat, plan.seed.0
    )
}

/// The findings as a table, and what is behind those that are not passed.
fn text(done: &Done, findings: &[Finding], notes: &[String]) -> String {
    let count = |outcome| done.audited.with(outcome).len();
    let mut text = format!(
        "{}\n{} inputs: {} bracketed, {} undecided, {} alarms, {} failed\n{UNITS}\n\n",
        done.subject,
        done.audited.inputs(),
        count(Outcome::Bracketed),
        count(Outcome::Undecided),
        count(Outcome::Alarm),
        count(Outcome::Failed)
    );
    let width = |of: fn(&Finding) -> &str, title: &str| {
        findings.iter().map(|finding| of(finding).chars().count()).chain([title.len()]).max().unwrap_or(0)
    };
    let (name, required) = (width(|f| &f.name, "requirement"), width(|f| &f.required, "required"));
    text += &format!("{:<9}  {:<name$}  {:<required$}  found\n", "verdict", "requirement", "required");
    for finding in findings {
        let word = if finding.verdict == Verdict::Passed { "passed" } else { &finding.verdict.word().to_uppercase() };
        text += &format!("{word:<9}  {:<name$}  {:<required$}  {}\n", finding.name, finding.required, finding.found);
        let inputs = finding.inputs_in_words();
        if finding.verdict != Verdict::Passed && !inputs.is_empty() {
            text += &format!("{:<9}  {inputs}\n", "");
        }
    }
    let of = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (passed, failed) = (of(Verdict::Passed), of(Verdict::Failed));
    let undecided = of(Verdict::Undecided);
    text += &format!("\n{} requirements: {passed} passed, {failed} failed, {undecided} undecided\n", findings.len());
    for note in notes {
        text += &format!("note: {note}\n");
    }
    text + &format!("written to {0}; check the perturbations with: vaecert replay {0}\n", done.folder.display())
}

fn annotations(policy: &Path, required: &[Required], findings: &[Finding], notes: &[String]) -> String {
    let lines = required.iter().zip(findings);
    let mut text: String =
        lines.filter_map(|(required, finding)| annotation::command(policy, required.line, finding)).collect();
    for note in notes {
        text += &annotation::warning("vaecert check", note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Arguments, Command};
    use crate::cli::audit::plan;
    use crate::policy::KEYS;
    use clap::{CommandFactory, Parser};

    #[test]
    fn what_a_policy_leaves_out_is_as_on_the_command_line_of_an_audit() {
        let policy = Policy::parse("require.alarms_at_most = 0", Path::new("p.toml")).unwrap();
        let Command::Audit(audit) = Arguments::try_parse_from(["vaecert", "audit"]).unwrap().command else { panic!() };
        assert_eq!(policy.plan, plan(&audit).unwrap());
        assert_eq!(policy.data, audit.chosen.choice().unwrap());
        assert_eq!((policy.model, policy.device), (audit.model, audit.compute.device));
    }

    #[test]
    fn keys_are_the_options_of_an_audit_with_underscores() {
        let command = Arguments::command();
        let audit = command.find_subcommand("audit").unwrap();
        let options: Vec<String> =
            audit.get_arguments().filter_map(|option| Some(option.get_long()?.replace('-', "_"))).collect();
        for key in KEYS.iter().filter(|key| !["require", "budget"].contains(key)) {
            assert!(options.iter().any(|option| option == key), "{key}");
        }
    }

    #[test]
    fn every_value_means_what_the_option_of_its_name_means() {
        let text = "model = 'm.safetensors'\ndevice = 'auto'\ndata = 'mnist'\ndata_dir = 'd'\ndata_seed = 3\nlayout = 'flat'\n\
                    resize = 'pad:32x32'\nscale = 0.5\nmean = [0.1, 0.2]\nstd = 2\nsplit = 'train'\nfirst = 4\ninputs = 6\nr = 4\n\
                    level = 0.6\nthreat = 'joint'\nfailure_probability = 0.01\nselection_draws = 7\ndraws = 8\n\
                    attack = ['random', 'latent']\nprotocol = 'paper'\ndecrement = 0.25\nmax_norm = 9\nbox = [-1, 1.5]\n\
                    restarts = 1\nsteps = 2\nattack_draws = 3\ndecision_draws = 5\nseed = 11\n[require]\nfailed_at_most = 0\n";
        let line =
            "vaecert audit --model m.safetensors --device auto --data mnist --data-dir d --data-seed 3 --layout flat \
                    --resize pad:32x32 --scale 0.5 --mean 0.1,0.2 --std 2 --split train --first 4 --inputs 6 --r 4 \
                    --level 0.6 --threat joint --failure-probability 0.01 --selection-draws 7 --draws 8 \
                    --attack random,latent --protocol paper --decrement 0.25 --max-norm 9 --box -1,1.5 \
                    --restarts 1 --steps 2 --attack-draws 3 --decision-draws 5 --seed 11";
        let policy = Policy::parse(text, Path::new("p.toml")).unwrap();
        let Command::Audit(audit) = Arguments::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!()
        };
        assert_eq!(policy.plan, plan(&audit).unwrap());
        assert_eq!(policy.data, audit.chosen.choice().unwrap());
        assert_eq!((policy.model, policy.device), (audit.model, audit.compute.device));
    }
}
