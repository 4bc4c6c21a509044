//! A report for a pull request's comment.

use std::fmt::Write;

use super::content::Report;
use super::{claim, listing, or_missing, MISSING};
use crate::audit::summary::NamedSpread;
use crate::audit::InputRecord;
use crate::markdown::escaped;

/// Inputs in the table of the most fragile.
const WORST: usize = 10;
/// Quantities of the summary that are shown.
const SHOWN: [&str; 9] = [
    "r",
    "P(‖Δ(x,0)‖ ≤ r)",
    "theorem1",
    "operator",
    "whitened",
    "certified",
    "exact margin ≥",
    "exact margin ≤",
    "margin, all attacks",
];
pub(super) fn text(report: &Report<'_>) -> String {
    let summary = &report.summary;
    let (verdict, meaning) = claim::verdict(report);
    let mut text = format!("## vaecert: {verdict}\n\n{}.\n\n", capitalised(meaning));
    if !report.is_finished() {
        let _ = writeln!(text, "**Not finished: {} of {} inputs.**\n", report.records.len(), report.planned());
    }
    let _ = writeln!(
        text,
        "**{} inputs: {} bracketed, {} undecided, {} alarms, {} failed.** Half of the inputs or more are certified up to {} \
         (input units, L2).\n\n{}\n\n{}\n",
        summary.inputs,
        summary.bracketed,
        summary.undecided,
        summary.alarms,
        summary.failed,
        report.certified_for_half(),
        escaped(&claim::paragraph(report)),
        escaped(claim::trusted())
    );
    text += "| quantity | inputs | median | smallest | largest | kind | unit |\n|---|---:|---:|---:|---:|---|---|\n";
    for named in summary.spreads.iter().filter(|named| SHOWN.contains(&named.quantity.as_str())) {
        text += &spread(named);
    }
    text += &worst(report);
    text += &listed(report.records);
    text
}

fn spread(named: &NamedSpread) -> String {
    let (inputs, figures) = named.figures();
    let [median, min, max] = figures.map(or_missing);
    let (quantity, kind, unit) = (escaped(&named.quantity), named.kind.name(), &named.unit);
    format!("| {quantity} | {inputs} | {median} | {min} | {max} | {kind} | {unit} |\n")
}

fn worst(report: &Report<'_>) -> String {
    let refuted = report.broken();
    if refuted.is_empty() {
        return "\nNo input is known to be broken.\n".to_owned();
    }
    let shown = refuted.len().min(WORST);
    let mut text = format!(
        "\n### The {shown} most fragile of {} inputs known to be broken\n\n\
         | input | outcome | r | certified ≥ | margin ≤ | by attack |\n|---:|---|---:|---:|---:|---|\n",
        refuted.len()
    );
    for record in refuted.iter().take(WORST) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            record.input,
            record.outcome.word(),
            or_missing(record.radius),
            or_missing(record.certified.map(|certified| certified.best)),
            or_missing(record.margin_upper),
            record.best_attack.map_or(MISSING, |attack| attack.name())
        );
    }
    text
}

fn listed(records: &[InputRecord]) -> String {
    let groups = listing::groups(records);
    if groups.is_empty() {
        return String::new();
    }
    let mut text = "\n### Alarms, failures, undecided inputs and remarks\n\n".to_owned();
    for group in groups {
        let (reason, plural) = (escaped(&group.reason), if group.count == 1 { "" } else { "s" });
        let _ = writeln!(text, "* {}, {} input{plural} ({}): {reason}", group.outcome, group.count, group.inputs);
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
