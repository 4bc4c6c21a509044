//! The audit as text: a row per input with its bracket drawn, then the summary.

use std::fmt::Write;

use crate::audit::record::{InputRecord, Outcome};
use crate::audit::run::RunIdentity;
use crate::audit::summary::{Association, Linearization, NamedSpread, Summary};
use crate::certificate::Method;
use crate::margin::{Protocol, RadiusRule};
use crate::quantity::Estimate;

/// Characters of the drawn axis, which is logarithmic and ends at the largest norm tried.
const AXIS_WIDTH: usize = 40;
/// Decades the axis spans.
const AXIS_DECADES: f64 = 2.5;
/// A quantity that an input does not have.
const MISSING: &str = "–";

/// What is audited, on which conditions.
#[must_use]
pub fn heading(identity: &RunIdentity, model_name: &str, threads: usize) -> String {
    let plan = &identity.plan;
    let radius = match plan.radius {
        RadiusRule::Absolute(radius) => format!("r = {} for every input", radius.get()),
        RadiusRule::Quantile(order) => {
            format!(
                "r = {}-quantile of ‖Δ(x,0)‖ per input, from {} draws of its own",
                order.get(),
                plan.selection_draws
            )
        }
    };
    let protocol = match plan.search.protocol {
        Protocol::Bisect { tolerance } => format!("bisected to a relative {tolerance}"),
        Protocol::Paper { decrement } => format!("walked down from {} by {decrement}", plan.search.max_norm),
    };
    let attacks: Vec<&str> = plan.attacks.iter().map(|kind| kind.name()).collect();
    let range = identity.range();
    let part =
        identity.shard.map_or_else(String::new, |shard| format!(", shard {shard} of {} inputs", identity.inputs));
    format!(
        "model   {model_name}, sha256 {}\n\
         data    {} {}, inputs {} to {}{part}\n\
         threat  {}; level m = {}; {radius}\n\
         draws   {} estimate P(‖Δ(x,0)‖ ≤ r), {} decide on each perturbation; seed {}\n\
         attacks {}; norms {protocol}, up to {}{}\n\
         all probability bounds and refutations below hold together except with probability {}; {threads} threads\n\n",
        short(&identity.model_sha256),
        identity.data,
        identity.split,
        range.start,
        range.end.saturating_sub(1),
        plan.threat,
        plan.level.get(),
        plan.estimation_draws,
        plan.search.decision_draws,
        plan.seed.0,
        attacks.join(", "),
        plan.search.max_norm,
        plan.search.pixel_box.map_or_else(String::new, |b| format!(", inside the box {} to {}", b.low, b.high)),
        plan.failure_probability.get(),
    )
}

/// The first characters of a hash.
#[must_use]
pub fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// What the columns of [`row`] mean.
#[must_use]
pub fn legend() -> &'static str {
    "r          L2 distance between reconstructions that counts as broken, in output units\n\
     P ≥        lower bound of P(‖Δ(x,0)‖ ≤ r), on draws that did not choose r\n\
     theorem1   Theorem 1's formula for the margin R(x) with its O(ε) dropped: an estimate from below, not a bound;\n\
     \x20          operator and whitened are sharper forms of the same argument; input units, L2\n\
     linear     radius of the ball in which the encoder's mean is affine, where these estimates drop nothing\n\
     certified  R(x) is at least this: nothing is dropped, and it holds for the threat that is attacked\n\
     E          the margin itself, where encoder mean and decoder are affine and the threat is mean\n\
     margin ≤   norm of the smallest perturbation found that breaks robustness: R(x) is at most this; input units, L2\n\
     ratio      margin over theorem1\n\n"
}

/// Titles of the columns of [`row`].
#[must_use]
pub fn row_titles(max_norm: f64) -> String {
    let low = format!("{:.2e}", max_norm / 10f64.powf(AXIS_DECADES));
    let (left, right) = (AXIS_WIDTH / 2, AXIS_WIDTH - AXIS_WIDTH / 2);
    let axis = format!("{low:<left$}{max_norm:>right$}");
    format!(
        "{:>5} {:>8} {:>7}  {:>8} {:>8} {:>8} {:>8}  {:>9} {:>8} {:<10} {:>6}  {axis}\n{:>5} {:>8} {:>7}  {:>8} {:>8} {:>8} {:>8}  {:>9} {:>8} {:<10} {:>6}  {}\n",
        "input", "r", "P ≥", "theorem1", "operator", "whitened", "linear", "certified", "margin ≤", "by attack", "ratio",
        "", "output", "", "estimate", "estimate", "estimate", "region", "proved", "refuted", "", "",
        "C certified, t o w estimates, E exact, A refuted; log"
    )
}

/// One input: its figures and the bracket drawn on a logarithmic axis.
#[must_use]
pub fn row(record: &InputRecord, max_norm: f64) -> String {
    let ladder = record.first_order;
    let show = |value: Option<Estimate>| value.map_or_else(|| MISSING.to_owned(), |value| value.to_string());
    let none = if record.outcome == Outcome::Failed { MISSING } else { "none" };
    let upper = record.margin_upper.map_or_else(|| none.to_owned(), |upper| upper.to_string());
    let ratio = match (record.margin_upper, ladder) {
        (Some(upper), Some(ladder)) => format!("{:.2}", upper.get() / ladder.theorem1.get()),
        _ => MISSING.to_owned(),
    };
    let mut line = format!(
        "{:>5} {:>8} {:>7}  {:>8} {:>8} {:>8} {:>8}  {:>9} {:>8} {:<10} {:>6}  {}",
        record.input,
        record.radius.map_or_else(|| MISSING.to_owned(), |radius| radius.to_string()),
        record.probability.map_or_else(|| MISSING.to_owned(), |probability| probability.lower.to_string()),
        show(ladder.map(|ladder| ladder.theorem1)),
        show(ladder.map(|ladder| ladder.operator)),
        show(ladder.map(|ladder| ladder.whitened)),
        show(record.linear_region),
        record.certified.map_or_else(|| MISSING.to_owned(), |certified| certified.best.to_string()),
        upper,
        record.best_attack.map_or(MISSING, |attack| attack.name()),
        ratio,
        axis(record, max_norm),
    );
    if let Some(exact) = record.exact_margin {
        let _ = write!(line, "  E {} to {}", exact.lower, exact.upper);
    }
    if record.outcome != Outcome::Bracketed || !record.reasons.is_empty() {
        let _ = write!(line, "  {}: {}", record.outcome.word(), record.reasons.join("; "));
    }
    line.push('\n');
    line
}

/// The certificate (C), the ladder (t, o, w) and the refuted norm (A) on a logarithmic axis.
fn axis(record: &InputRecord, max_norm: f64) -> String {
    let mut cells = vec!['·'; AXIS_WIDTH];
    let position = |value: f64| cell(1.0 + (value / max_norm).log10() / AXIS_DECADES, AXIS_WIDTH);
    let ladder = record.first_order;
    if let (Some(ladder), Some(upper)) = (ladder, record.margin_upper) {
        let (from, to) = (position(ladder.whitened.get()), position(upper.get()));
        (from.min(to)..=from.max(to)).for_each(|cell| cells[cell] = '─');
    }
    if let Some(ladder) = ladder {
        for (mark, value) in [('w', ladder.whitened), ('o', ladder.operator), ('t', ladder.theorem1)] {
            if value.get().is_finite() {
                cells[position(value.get())] = mark;
            }
        }
    }
    if let Some(certified) = record.certified.filter(|certified| certified.best.get() > 0.0) {
        cells[position(certified.best.get())] = 'C';
    }
    if let Some(exact) = record.exact_margin.filter(|exact| exact.lower.get().is_finite()) {
        cells[position(exact.lower.get())] = 'E';
    }
    if let Some(upper) = record.margin_upper {
        cells[position(upper.get())] = 'A';
    }
    cells.into_iter().collect()
}

/// The cell of an axis of `width` characters at a share of its length; beyond it the nearest one.
fn cell(share: f64, width: usize) -> usize {
    // Clamped to the axis first; a NaN lands on its left end.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cell = (share.clamp(0.0, 1.0) * (width - 1) as f64).round() as usize;
    cell
}

/// Characters of the axis of [`minimum_radius_row`], which ends just right of the printed bound.
const RADIUS_AXIS_WIDTH: usize = 36;
/// Where that axis starts and ends, as shares of the printed bound: r* lies between 0.477 and 0.708 of it at m = 1/2.
const RADIUS_AXIS: (f64, f64) = (0.4, 1.04);

/// Heading of the table of the smallest r that each input bears without a perturbation: sampled, and to first order
/// (Proposition 1).
#[must_use]
pub fn minimum_radius_titles() -> String {
    format!(
        "\nsmallest r with P(‖Δ(x,0)‖ ≤ r) > m: from draws (Algorithm 1, with its interval) and to first order (Proposition 1)\n\n\
         {:>5} {:>8} {:>8} {:>8}  {:>8} {:>8}  {:>7} {:>7}  {:>8} {:>8} {:>5}  [] interval  * r*  T √Tr Σ  P printed\n",
        "input", "sampled", "≥", "≤", "r*", "smp./r*", "P 1st", "P smp.", "√Tr Σ", "printed", "rank"
    )
}

/// One row under [`minimum_radius_titles`]; none where the input has no minimum radius.
#[must_use]
pub fn minimum_radius_row(record: &InputRecord) -> Option<String> {
    let (minimum, linearization, probability) = (record.minimum_radius?, record.linearization?, record.probability?);
    let radii = linearization.radii;
    let show = |value: Option<Estimate>| value.map_or_else(|| MISSING.to_owned(), |value| value.to_string());
    let mut cells = vec!['·'; RADIUS_AXIS_WIDTH];
    let position = |value: f64| {
        let share = (value / radii.printed.get() - RADIUS_AXIS.0) / (RADIUS_AXIS.1 - RADIUS_AXIS.0);
        cell(share, RADIUS_AXIS_WIDTH)
    };
    let (from, to) = (position(minimum.lower.get()), position(minimum.upper.get()));
    cells[from..=to].fill('─');
    (cells[from], cells[to]) = ('[', ']');
    let marks = [('P', Some(radii.printed)), ('T', radii.sufficient), ('*', Some(radii.exact))];
    for (mark, value) in marks.into_iter().filter_map(|(mark, value)| Some((mark, value?.get()))) {
        cells[position(value)] = mark;
    }
    Some(format!(
        "{:>5} {:>8} {:>8} {:>8}  {:>8} {:>8}  {:>7} {:>7}  {:>8} {:>8} {:>5.2}  {}\n",
        record.input,
        minimum.estimate,
        minimum.lower,
        minimum.upper,
        radii.exact,
        show(linearization.minimum_radius_ratio),
        linearization.probability,
        probability.estimate,
        show(radii.sufficient),
        radii.printed,
        radii.effective_rank.get(),
        cells.into_iter().collect::<String>(),
    ))
}

/// The summary as a table with units.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let mut text = format!(
        "\n{} inputs: {} bracketed, {} undecided, {} alarms, {} failed; {} without first-order estimates (P not shown above m)\n\n",
        summary.inputs, summary.bracketed, summary.undecided, summary.alarms, summary.failed, summary.abstentions
    );
    let _ = writeln!(
        text,
        "{:<24} {:>6} {:>10} {:>10} {:>10}  {:<12} unit",
        "quantity", "inputs", "median", "smallest", "largest", "kind"
    );
    for named in &summary.spreads {
        text += &spread_row(named);
    }
    text.push('\n');
    for association in &summary.associations {
        text += &association_line(association);
    }
    let Linearization { inputs, within_interval } = summary.linearization;
    let _ = writeln!(
        text,
        "first-order r* within the interval of the sampled minimum r: {within_interval} of {inputs} inputs"
    );
    text += &dataset_line(summary);
    let count = |(method, count): &(Method, usize)| format!("{} {count}", method.name());
    let best: Vec<String> = summary.best_certificates.iter().map(count).collect();
    if !best.is_empty() {
        let _ = writeln!(text, "largest certified radius by: {}", best.join(", "));
    }
    let best: Vec<String> = summary.best_attacks.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    if !best.is_empty() {
        let _ = writeln!(text, "smallest refutation found by: {}", best.join(", "));
    }
    text
}

fn spread_row(named: &NamedSpread) -> String {
    let kind = named.kind.name();
    let (inputs, figures) = named.figures();
    let figures = figures.map(|figure| figure.unwrap_or_else(|| MISSING.to_owned()));
    let [median, min, max] = figures;
    format!("{:<24} {inputs:>6} {median:>10} {min:>10} {max:>10}  {kind:<12} {}\n", named.quantity, named.unit)
}

fn association_line(association: &Association) -> String {
    let Association { bound, inputs, pearson, spearman, slope, intercept } = association;
    match (pearson, spearman, slope, intercept) {
        (Some(pearson), Some(spearman), Some(slope), Some(intercept)) => format!(
            "{bound:<9} against margin: Pearson {pearson:.2}, Spearman {spearman:.2}, margin ≈ {slope:.2} · {bound} {intercept:+.2} ({inputs} inputs)\n"
        ),
        _ => format!("{bound:<9} against margin: too few distinct inputs for a correlation ({inputs} inputs)\n"),
    }
}

fn dataset_line(summary: &Summary) -> String {
    let Some(margin) = &summary.dataset_margin else {
        return "dataset margin E[R(x)]: no input has an upper bound\n".to_owned();
    };
    let interval = margin.interval.map_or_else(
        || "no interval from so few inputs".to_owned(),
        |(low, high)| format!("{:.0} % interval of that mean {low:.4} to {high:.4}", 100.0 * margin.confidence),
    );
    let left_out = match margin.without_refutation {
        0 => String::new(),
        count => format!("; {count} inputs without an upper bound are left out, so this is too small"),
    };
    format!(
        "dataset margin E[R(x)], mean of its upper bounds: {:.4}, {interval} ({} inputs){left_out}\n",
        margin.mean, margin.inputs
    )
}
