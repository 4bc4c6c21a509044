//! A report for a pull request's comment.

use std::fmt::Write;

use super::content::Report;
use super::{claim, listing};
use crate::audit::summary::NamedSpread;
use crate::audit::InputRecord;

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
const MISSING: &str = "–";

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
    let (inputs, figures) = match named.spread {
        Some(spread) => (spread.inputs, [spread.median, spread.min, spread.max].map(|value| named.kind.figure(value))),
        None => (0, [None, None, None]),
    };
    let [median, min, max] = figures.map(|figure| figure.unwrap_or_else(|| MISSING.to_owned()));
    let (quantity, kind, unit) = (escaped(&named.quantity), named.kind.name(), &named.unit);
    format!("| {quantity} | {inputs} | {median} | {min} | {max} | {kind} | {unit} |\n")
}

fn worst(report: &Report<'_>) -> String {
    let refuted = report.refuted();
    if refuted.is_empty() {
        return "\nNo perturbation was found for any input.\n".to_owned();
    }
    let shown = refuted.len().min(WORST);
    let mut text = format!(
        "\n### The {shown} most fragile of {} refuted inputs\n\n\
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

fn or_missing(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| MISSING.to_owned(), |value| value.to_string())
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// A text in which nothing is Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => escaped.extend(['\\', character]),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escaped("<script>|`a`|[x](y)\n@me"), "&lt;script&gt;\\|\\`a\\`\\|\\[x\\](y) &#64;me");
    }
}
