//! The page: one file with its styles, its script, its drawings and its pictures inside.

use askama::Template;
use sha2::{Digest, Sha256};

use super::content::{Evidence, Report, RAY_DRAWS};
use super::figures::{distributions, fractions, margins, rays};
use super::gallery::Exhibit;
use super::listing::{self, Group};
use super::picture::base64;
use super::{claim, command, or_missing, palette, ReportError, MISSING};
use crate::audit::summary::NamedSpread;
use crate::audit::InputRecord;

/// Sorts the table; runs only with this very text, by the page's own policy.
const SCRIPT: &str = include_str!("templates/sort.js");
const STYLE: &str = include_str!("templates/page.css");

/// Everything the template needs. Strings are escaped there, except those marked `safe`, which are markup of this module's
/// own making.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    style: String,
    script: &'static str,
    script_hash: String,
    heading: String,
    verdict: (&'static str, &'static str),
    unfinished: Option<String>,
    tiles: Vec<(String, &'static str)>,
    claim: String,
    trusted: &'static str,
    fractions: String,
    margins: Vec<(String, String)>,
    distributions: (String, String),
    rays: Result<String, String>,
    rays_note: String,
    fragile: &'a [Exhibit],
    robust: &'a [Exhibit],
    gallery_notes: &'a [String],
    groups: Vec<Group>,
    spreads: Vec<[String; 7]>,
    rows: Vec<Row>,
    provenance: Vec<(&'static str, String)>,
    commands: Vec<(&'static str, String)>,
}

/// A row of the table of inputs: the input, a letter for its outcome, the cells.
struct Row {
    input: usize,
    outcome: &'static str,
    cells: [String; 8],
}

pub(super) fn page(report: &Report<'_>, evidence: &Evidence) -> Result<String, ReportError> {
    let drawn = distributions(report.records);
    let level = report.run.identity.plan.level;
    let rays = match &evidence.rays {
        Ok(found) if found.is_empty() => Err("The run saved no perturbation to follow.".to_owned()),
        Ok(found) => Ok(rays(found, level).inline()),
        Err(missing) => Err(format!("Not drawn: {missing}")),
    };
    let page = Page {
        style: format!("{}{STYLE}", palette::for_pages()),
        script: SCRIPT,
        script_hash: base64(&Sha256::digest(SCRIPT.as_bytes())),
        heading: format!("Robustness of a VAE on {} inputs of {}", report.records.len(), report.run.identity.data),
        verdict: claim::verdict(report),
        unfinished: (!report.is_finished()).then(|| unfinished(report)),
        tiles: tiles(report),
        claim: claim::paragraph(report),
        trusted: claim::trusted(),
        fractions: fractions(report.records, report.planned()).inline(),
        margins: margins(report.records).into_iter().map(|(figure, text)| (figure.inline(), text)).collect(),
        distributions: (drawn.0.inline(), drawn.1),
        rays,
        rays_note: rays_note(report),
        fragile: &evidence.gallery.fragile,
        robust: &evidence.gallery.robust,
        gallery_notes: &evidence.gallery.notes,
        groups: listing::groups(report.records),
        spreads: report.summary.spreads.iter().map(spread).collect(),
        rows: report.records.iter().map(row).collect(),
        provenance: provenance(report),
        commands: vec![
            ("repeat the run", format!("{} --out RUN", command::audit(report.run))),
            ("check its perturbations on fresh draws", "vaecert replay RUN".to_owned()),
            ("write certificates for the same inputs", command::certify(report.run)),
            ("check those", command::verify(report.run)),
        ],
    };
    Ok(page.render()?)
}

fn unfinished(report: &Report<'_>) -> String {
    let (done, planned) = (report.records.len(), report.planned());
    format!(
        "Not finished: {done} of {planned} inputs. Everything below is about those {done}; continue with the same vaecert audit and --resume."
    )
}

fn tiles(report: &Report<'_>) -> Vec<(String, &'static str)> {
    let summary = &report.summary;
    vec![
        (summary.bracketed.to_string(), "bracketed"),
        (summary.undecided.to_string(), "undecided"),
        (summary.alarms.to_string(), "alarms"),
        (summary.failed.to_string(), "failed"),
        (
            format!("≥ {}", report.certified_for_half()),
            "certified radius of half of the inputs or more (input units, L2)",
        ),
    ]
}

fn rays_note(report: &Report<'_>) -> String {
    format!(
        "Share of {RAY_DRAWS} fresh draws within r at 0, ¼, ½, ¾, 1 and 1¼ of the saved perturbation, in double precision, as \
         vaecert replay decides; draws from the streams report/INPUT/FRACTION of seed {}. Vertical bars: Clopper–Pearson \
         intervals that hold all together except with probability {}. Lines only join points.",
        report.run.identity.plan.seed.0,
        report.run.identity.plan.failure_probability.get()
    )
}

fn spread(named: &NamedSpread) -> [String; 7] {
    let (inputs, figures) = named.figures();
    let [median, min, max] = figures.map(or_missing);
    let kind = named.kind.name().to_owned();
    [named.quantity.clone(), inputs.to_string(), median, min, max, kind, named.unit.clone()]
}

fn row(record: &InputRecord) -> Row {
    let ladder = record.first_order;
    let cells = [
        or_missing(record.radius),
        or_missing(record.probability.map(|probability| probability.lower)),
        or_missing(ladder.map(|ladder| ladder.theorem1)),
        or_missing(ladder.map(|ladder| ladder.operator)),
        or_missing(ladder.map(|ladder| ladder.whitened)),
        or_missing(record.certified.map(|certified| certified.best)),
        or_missing(record.margin_upper),
        record.best_attack.map_or(MISSING, |attack| attack.name()).to_owned(),
    ];
    Row { input: record.input, outcome: record.outcome.word(), cells }
}

fn provenance(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let run = report.run;
    let (identity, plan) = (&run.identity, &run.identity.plan);
    let attacks: Vec<&str> = plan.attacks.iter().map(|attack| attack.name()).collect();
    let model =
        run.model.as_ref().map_or_else(|| "embedded digits β-VAE".to_owned(), |path| path.display().to_string());
    vec![
        ("model", model),
        ("model, SHA-256", identity.model_sha256.clone()),
        ("data", format!("{}, {} split, {}", identity.data, identity.split, claim::inputs(report))),
        ("data, SHA-256", identity.data_sha256.clone()),
        ("run, SHA-256 of its identity", identity.sha256()),
        ("seed of all draws", plan.seed.0.to_string()),
        ("seed of synthetic data", identity.data_seed.0.to_string()),
        (
            "draws per input",
            format!(
                "{} choose r, {} bound P(‖Δ(x, 0)‖ ≤ r), {} decide on each perturbation",
                plan.selection_draws, plan.estimation_draws, plan.search.decision_draws
            ),
        ),
        ("attacks", format!("{}, up to norm {}", attacks.join(", "), plan.search.max_norm)),
        (
            "box of attacked inputs",
            plan.search.pixel_box.map_or_else(|| "none".to_owned(), |b| format!("{} to {}", b.low, b.high)),
        ),
        ("device", identity.device.clone()),
        ("audited by", format!("vaecert {}, run layout {}", identity.vaecert_version, identity.format)),
        ("report by", format!("vaecert {}", env!("CARGO_PKG_VERSION"))),
    ]
}
