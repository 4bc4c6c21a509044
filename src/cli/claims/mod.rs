//! `vaecert claims` and `vaecert explain`.

pub mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::args::{ClaimsArguments, ExplainArguments};
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::terminal::Terminal;
use super::train::unwritable;
use crate::claims::{registry, Claim, Counterexample, Finding, SearchPlan, Searched, Stated, Verdict, REGISTRY};
use crate::files;
use crate::progress::Progress;
use crate::seed::Seed;
use crate::threads::Workers;
use report::Format;

/// Searches, lists or replays.
pub(crate) fn claims(arguments: &ClaimsArguments) -> Result<ExitCode, Failure> {
    let format = match (arguments.json, arguments.markdown) {
        (true, _) => Format::Json,
        (_, true) => Format::Markdown,
        _ => Format::Table,
    };
    if let Some(path) = &arguments.replay {
        return replay(path, format);
    }
    let claims = chosen(&arguments.only)?;
    if arguments.list {
        Terminal::new().print(&report::list(&claims, format)?)?;
        return Ok(ExitCode::Met);
    }
    let plan = SearchPlan {
        seed: Seed(arguments.seed),
        cases: arguments.cases,
        failure_probability: arguments.failure_probability,
    };
    let workers = Workers::new(arguments.threads)?;
    let folder = Folder::new(arguments.out.as_deref(), arguments.overwrite, &plan)?;
    let deadline = arguments.time_limit.and_then(|limit| Instant::now().checked_add(limit));
    let mut terminal = Terminal::new();
    terminal.print(&report::heading(&plan, format))?;
    terminal.begin("claims", claims.len(), 0);
    let mut searched = Vec::with_capacity(claims.len());
    let outcome = plan.run(&claims, &Stated, deadline, &workers, |result: Searched| {
        if let Verdict::Refuted { counterexample, .. } = &result.verdict {
            folder.save(counterexample)?;
        }
        terminal.step(result.claim.id);
        terminal.print(&report::row(&result, format)?)?;
        searched.push(result);
        Ok::<(), Failure>(())
    });
    terminal.end();
    folder.remove_if_empty();
    outcome?;
    terminal.print(&report::summary(&plan, &searched, &folder.path, format)?)?;
    let as_recorded = searched.iter().map(|result| result.verdict.is(result.claim.expected));
    Ok(match as_recorded.fold((false, false), |(d, u), is| (d || is == Some(false), u || is.is_none())) {
        (true, _) => ExitCode::NotMet,
        (_, true) => ExitCode::Undecided,
        _ => ExitCode::Met,
    })
}

/// The claims named, each once, in the registry's order; all without names.
fn chosen(names: &[String]) -> Result<Vec<Claim>, Failure> {
    let mut ids = std::collections::BTreeSet::new();
    for name in names {
        let found = registry::matching(name.trim());
        if found.is_empty() {
            return Err(unknown(name));
        }
        ids.extend(found.iter().map(|claim| claim.id));
    }
    Ok(REGISTRY.iter().filter(|claim| names.is_empty() || ids.contains(claim.id)).copied().collect())
}

fn unknown(name: &str) -> Failure {
    let ids: Vec<&str> = REGISTRY.iter().map(|claim| claim.id).collect();
    Failure::new(ExitCode::Usage, format!("no claim is called {name:?}; known: {}", ids.join(", ")))
}

/// Where counterexamples go.
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Finds out before the work whether it can be written and whether something would be lost.
    fn new(out: Option<&Path>, overwrite: bool, plan: &SearchPlan) -> Result<Self, Failure> {
        let path =
            out.map_or_else(|| PathBuf::from("vaecert-runs").join(format!("claims-{}", name(plan))), Path::to_owned);
        if out.is_some() && !overwrite {
            let holds = |claim: &Claim| path.join(file_name(claim.id)).exists();
            if let Some(claim) = REGISTRY.iter().find(|claim| holds(claim)) {
                let file = path.join(file_name(claim.id));
                let advice = "replace counterexamples with --overwrite or choose another --out";
                return Err(Failure::new(ExitCode::Usage, format!("{} exists; {advice}", file.display())));
            }
        }
        std::fs::create_dir_all(&path).map_err(|error| unwritable(&path, &error))?;
        files::check_writable(&path.join("counterexample")).map_err(|error| unwritable(&path, &error))?;
        Ok(Self { path })
    }

    fn save(&self, counterexample: &Counterexample) -> Result<(), Failure> {
        Ok(counterexample.write(&self.path.join(file_name(&counterexample.claim)))?)
    }

    fn remove_if_empty(&self) {
        // Fails where something is in it, which is the point.
        let _ = std::fs::remove_dir(&self.path);
    }
}

fn file_name(id: &str) -> String {
    format!("{id}.json")
}

/// A name made from everything that decides the results.
fn name(plan: &SearchPlan) -> String {
    let text = serde_json::json!({ "plan": plan, "version": env!("CARGO_PKG_VERSION") }).to_string();
    files::hexadecimal(&Sha256::digest(text.as_bytes())[..6])
}

fn replay(path: &Path, format: Format) -> Result<ExitCode, Failure> {
    let counterexample = Counterexample::read(path)?;
    let (claim, judgement) = counterexample.replay(path)?;
    Terminal::new().print(&report::replayed(&claim, &counterexample, &judgement, format)?)?;
    Ok(match judgement.finding {
        Finding::Contradicts => ExitCode::Met,
        Finding::Agrees | Finding::Vacuous => ExitCode::NotMet,
        Finding::TooClose => ExitCode::Undecided,
    })
}

/// Prints the page of a claim.
pub(crate) fn explain(arguments: &ExplainArguments) -> Result<ExitCode, Failure> {
    let claim = registry::find(&arguments.id).ok_or_else(|| unknown(&arguments.id))?;
    Terminal::new().print(&report::explanation(&claim))?;
    Ok(ExitCode::Met)
}
