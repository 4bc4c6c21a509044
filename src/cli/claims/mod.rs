//! `vaecert claims` and `vaecert explain`.

pub mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::args::{ClaimsArguments, ExplainArguments};
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::claims::{registry, Claim, Counterexample, Finding, SearchPlan, Searched, Stated, Verdict, REGISTRY};
use crate::files;
use crate::progress::Progress;
use crate::seed::Seed;
use crate::threads::Workers;
use report::Format;

/// Searches, lists or replays.
pub(crate) fn claims(arguments: &ClaimsArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let format = match (arguments.json, arguments.markdown) {
        (true, _) => Format::Json,
        (_, true) => Format::Markdown,
        _ => Format::Table,
    };
    if let Some(path) = &arguments.replay {
        return replay(path, format, &terminal);
    }
    let claims = chosen(&arguments.only)?;
    if arguments.list {
        print(&terminal, format, &report::list(&claims, format)?)?;
        return Ok(ExitCode::Met);
    }
    let plan = SearchPlan {
        seed: Seed(arguments.seed),
        cases: arguments.cases,
        failure_probability: arguments.failure_probability,
    };
    let workers = Workers::new(arguments.threads)?;
    let folder = Folder::new(arguments, &claims, &plan)?;
    let deadline = arguments.time_limit.and_then(|limit| Instant::now().checked_add(limit));
    terminal.begin("claims", claims.len(), 0);
    print(&terminal, format, &report::heading(&plan, format))?;
    let mut searched = Vec::with_capacity(claims.len());
    let outcome = plan.run(&claims, &Stated, deadline, &workers, |result: Searched| {
        terminal.step(result.claim.id);
        print(&terminal, format, &report::row(&result, format)?)?;
        if let Verdict::Refuted { counterexample, .. } = &result.verdict {
            folder.save(counterexample)?;
        }
        searched.push(result);
        Ok::<(), Failure>(())
    });
    terminal.end();
    outcome?;
    print(&terminal, format, &report::summary(&plan, &searched, &folder.path, format)?)?;
    let as_recorded = searched.iter().map(|result| result.verdict.is(result.claim.expected));
    Ok(match as_recorded.fold((false, false), |(d, u), is| (d || is == Some(false), u || is.is_none())) {
        (true, _) => ExitCode::NotMet,
        (_, true) => ExitCode::Undecided,
        _ => ExitCode::Met,
    })
}

/// Prints for people, or for whatever reads lines of JSON or Markdown.
fn print(terminal: &Terminal, format: Format, text: &str) -> std::io::Result<()> {
    match format {
        Format::Table => terminal.print(text),
        Format::Json | Format::Markdown => terminal.print_as_is(text),
    }
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

/// Names the claims that begin alike, or all.
fn unknown(name: &str) -> Failure {
    let ids = |claims: &[Claim]| claims.iter().map(|claim| claim.id).collect::<Vec<_>>().join(", ");
    let part = name.split('-').next().unwrap_or_default();
    let alike = registry::matching(part);
    let known = if alike.is_empty() {
        let mut parts: Vec<&str> = REGISTRY.iter().filter_map(|claim| claim.id.split('-').next()).collect();
        parts.dedup();
        format!("known: {}; all of a part: {}", ids(REGISTRY), parts.join(", "))
    } else {
        format!("known of {}: {}", part.to_uppercase(), ids(&alike))
    };
    Failure::new(ExitCode::Usage, format!("no claim is called {name:?}; {known}"))
}

/// Where counterexamples go. It is made when there is one.
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Finds out before the work whether something would be lost and whether what is there can be written; with
    /// --overwrite, removes what earlier searches of the same claims left.
    fn new(arguments: &ClaimsArguments, claims: &[Claim], plan: &SearchPlan) -> Result<Self, Failure> {
        let path = match &arguments.out {
            Some(out) => out.clone(),
            None => arguments.runs.runs_dir.join(format!("claims-{}", name(arguments, claims, plan))),
        };
        let there: Vec<PathBuf> =
            claims.iter().map(|claim| path.join(file_name(claim.id))).filter(|f| f.exists()).collect();
        if let (Some(file), true) = (there.first(), arguments.out.is_some()) {
            if !arguments.overwrite {
                let advice = "replace counterexamples with --overwrite or choose another --out";
                return Err(Failure::new(ExitCode::Usage, format!("{} exists; {advice}", file.display())));
            }
        }
        for file in &there {
            std::fs::remove_file(file).map_err(|error| Failure::unwritable(file, &error))?;
        }
        // The nearest folder that exists must be one that can be written.
        let nearest = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
        if !nearest.is_dir() {
            let message = format!("{}: cannot be written: {} is not a folder", path.display(), nearest.display());
            return Err(Failure::new(ExitCode::Unreadable, message));
        }
        let probe = nearest.join(format!("vaecert-{}", std::process::id()));
        files::check_writable(&probe).map_err(|error| Failure::unwritable(&path, &error))?;
        Ok(Self { path })
    }

    fn save(&self, counterexample: &Counterexample) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.path).map_err(|error| Failure::unwritable(&self.path, &error))?;
        let file = self.path.join(file_name(&counterexample.claim));
        // Another search of the same claim may have renamed the partial file that both write; then it is written anew.
        Ok(counterexample.write(&file).or_else(|_| counterexample.write(&file))?)
    }
}

fn file_name(id: &str) -> String {
    format!("{id}.json")
}

/// A name made from everything that decides the results.
fn name(arguments: &ClaimsArguments, claims: &[Claim], plan: &SearchPlan) -> String {
    let decisive = serde_json::json!({
        "plan": plan,
        "claims": claims.iter().map(|claim| claim.id).collect::<Vec<_>>(),
        "time_limit": arguments.time_limit.map(|limit| limit.as_secs_f64()),
        "version": env!("CARGO_PKG_VERSION"),
    });
    files::hexadecimal(&Sha256::digest(decisive.to_string().as_bytes())[..6])
}

fn replay(path: &Path, format: Format, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let counterexample = Counterexample::read(path)?;
    let (claim, judgement) = counterexample.replay(path)?;
    print(terminal, format, &report::replayed(&claim, &counterexample, &judgement, format)?)?;
    Ok(match judgement.finding {
        Finding::Contradicts => ExitCode::Met,
        Finding::Agrees | Finding::Vacuous => ExitCode::NotMet,
        Finding::TooClose => ExitCode::Undecided,
    })
}

/// Prints the page of a claim.
pub(crate) fn explain(arguments: &ExplainArguments, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let [claim] = registry::matching(&arguments.id)[..] else { return Err(unknown(&arguments.id)) };
    terminal.print_as_is(&report::explanation(&claim))?;
    Ok(ExitCode::Met)
}
