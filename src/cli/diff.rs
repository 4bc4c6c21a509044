//! `vaecert diff`: has the model become worse since the baseline?

use std::path::PathBuf;

use clap::Args;

use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::{line_of, ComparisonLine};
use super::table::short;
use super::terminal::Terminal;
use crate::baseline::{
    Aspect, Baseline, BaselineError, BaselineInput, Change, Comparison, Difference, Moved, Pair, PairedChange,
};
use crate::quantity::Estimate;

/// The examples of the command's long help.
pub(super) const EXAMPLES: &str = "Examples:
  vaecert audit --out run
  vaecert diff baseline.json run --accept
  vaecert diff baseline.json run
  vaecert diff old-run new-run --allow-different seed,attack --json

Names for --allow-different: data, inputs, r, level, threat, seed, failure-probability, draws,
attack. Another model, device or version is always compared, and said.";

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// A baseline written by --accept, or the folder of a finished run.
    #[arg(value_name = "BASELINE")]
    baseline: PathBuf,
    /// The folder of a finished run, written by `vaecert audit` or `vaecert check`.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Make RUN the new baseline: write BASELINE, new or in place of a baseline that is there, and say what changed.
    #[arg(long)]
    accept: bool,
    /// Compare although these differ, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    allow_different: Vec<Aspect>,
    /// Print one JSON line per input and one for the comparison instead of text.
    #[arg(long)]
    json: bool,
}

impl From<BaselineError> for Failure {
    fn from(error: BaselineError) -> Self {
        match error {
            BaselineError::Run(error) => error.into(),
            BaselineError::Unfinished { .. } | BaselineError::Different { .. } | BaselineError::Folder { .. } => {
                Self::new(ExitCode::Usage, error)
            }
            _ => Self::new(ExitCode::Unreadable, error),
        }
    }
}

/// Compares, prints and, if asked, accepts.
pub(crate) fn diff(arguments: &DiffArguments, terminal: &Terminal) -> Result<ExitCode, Failure> {
    if arguments.accept && arguments.baseline.is_dir() {
        return Err(BaselineError::Folder { path: arguments.baseline.clone() }.into());
    }
    if arguments.accept && !arguments.baseline.exists() {
        let run = Baseline::read(&arguments.run)?;
        run.write(&arguments.baseline)?;
        if !arguments.json {
            terminal.print(&accepted(arguments, &run))?;
        }
        return Ok(ExitCode::Met);
    }
    let (before, after) = (Baseline::read(&arguments.baseline)?, Baseline::read(&arguments.run)?);
    // A new baseline may be about anything; what differs is said all the same.
    let allowed = if arguments.accept { &Aspect::ALL[..] } else { &arguments.allow_different };
    let comparison = Comparison::of(&before, &after, allowed)?;
    if arguments.json {
        terminal.print_as_is(&json(&comparison)?)?;
    } else {
        terminal.print(&text(&comparison))?;
    }
    if arguments.accept {
        after.write(&arguments.baseline)?;
        if !arguments.json {
            terminal.print(&accepted(arguments, &after))?;
        }
        return Ok(ExitCode::Met);
    }
    Ok(match comparison.verdict() {
        Change::Worse => ExitCode::NotMet,
        Change::Undecided => ExitCode::Undecided,
        Change::Better | Change::NotShown => ExitCode::Met,
    })
}

fn accepted(arguments: &DiffArguments, run: &Baseline) -> String {
    let model = short(&run.identity.model_sha256);
    let (inputs, data) = (run.inputs.len(), &run.identity.data);
    format!("{}: the baseline is now {inputs} inputs of {data} with model {model}\n", arguments.baseline.display())
}

fn json(comparison: &Comparison) -> std::io::Result<String> {
    let lines: std::io::Result<String> = comparison.pairs.iter().map(line_of).collect();
    Ok(lines? + &line_of(&ComparisonLine::from(comparison))?)
}

fn text(comparison: &Comparison) -> String {
    let mut text: String = comparison.differences.iter().map(difference_line).collect();
    if comparison.same_but_unequal() {
        text += "the same computation gave other numbers: the version, the machine or a file differs\n";
    }
    if comparison.other_radii() > 0 {
        text += &format!(
            "r, chosen for each model, differs on {} inputs: their bounds are about other distances\n",
            comparison.other_radii()
        );
    }
    let changed: Vec<&Pair> = comparison.pairs.iter().filter(|pair| pair.before != pair.after).collect();
    text += &format!("{} inputs in both, {} with other numbers\n", comparison.pairs.len(), changed.len());
    if !changed.is_empty() {
        text += &format!(
            "\n{:>5}  {:>20}  {:>20}  {:>20}  {:>17}  {:<22}  moved beyond its interval\n\
             {:>5}  {:>20}  {:>20}  {:>20}\n",
            "input", "r", "certified ≥", "margin ≤", "P ≥", "outcome", "", "output units", "input units", "input units"
        );
        text.extend(changed.into_iter().map(row));
    }
    text.push('\n');
    text.extend(comparison.changes.iter().map(change_line));
    text += &named("newly alarm or failed", &comparison.broken);
    text += &named("newly undecided", &comparison.newly_undecided);
    text += &named("newly bounded, which no mean sees", &comparison.newly_bounded);
    text + match comparison.verdict() {
        Change::Worse => "WORSE than the baseline\n",
        Change::Undecided => "UNDECIDED: too little in common to say whether this is worse than the baseline\n",
        Change::Better | Change::NotShown => "not shown to be worse than the baseline\n",
    }
}

fn difference_line(difference: &Difference) -> String {
    let Difference { aspect, before, after } = difference;
    if *aspect == Aspect::Model {
        return format!("another model: {} before, {} now\n", short(before), short(after));
    }
    format!("{difference}\n")
}

fn row(pair: &Pair) -> String {
    let Pair { before, after, margin_moved, probability_moved } = pair;
    let both = |cell: &dyn Fn(&BaselineInput) -> String| {
        let (before, after) = (cell(before), cell(after));
        if before == after {
            after
        } else {
            format!("{before} → {after}")
        }
    };
    let missing = || "-".to_owned();
    let word = |name: &str, moved: Option<Moved>| {
        moved.map(|moved| format!("{name} {}", if moved == Moved::Down { "down" } else { "up" }))
    };
    let moves = [word("margin", *margin_moved), word("P", *probability_moved)];
    let row = format!(
        "{:>5}  {:>20}  {:>20}  {:>20}  {:>17}  {:<22}  {}\n",
        after.input,
        both(&|input| input.radius.map_or_else(missing, |radius| radius.to_string())),
        both(&|input| input.certified.to_string()),
        both(&|input| input.margin.map_or_else(missing, |margin| margin.to_string())),
        both(&|input| input.probability.map_or_else(missing, |found| format!("{:.4}", found.lower))),
        both(&|input| input.outcome.word().to_owned()),
        moves.into_iter().flatten().collect::<Vec<_>>().join(", ")
    );
    row.trim_end().to_owned() + "\n"
}

fn change_line(change: &PairedChange) -> String {
    let PairedChange { quantity, unit, confidence, pairs, left_out, mean, median, change } = change;
    let left_out = match left_out {
        0 => String::new(),
        count => format!("; {count} inputs have it on one side only"),
    };
    let confidence = 100.0 * confidence;
    let Some(mean) = mean else {
        return format!("{quantity:<9}  UNDECIDED: {pairs} inputs have it before and after{left_out}\n");
    };
    let word = match change {
        Change::Worse => "WORSE",
        Change::Better => "better",
        Change::NotShown | Change::Undecided => "no change shown",
    };
    let median = median.map_or_else(
        || "no interval of the median from so few".to_owned(),
        |(low, high)| format!("of the median {} to {}", signed(low), signed(high)),
    );
    let (mean, lower, upper) = (signed(mean.mean), signed(mean.lower), signed(mean.upper));
    format!(
        "{quantity:<9}  {word}: mean change {mean}, {confidence:.1} % interval {lower} to {upper}, {median} ({unit}; {pairs} inputs){left_out}\n"
    )
}

/// Four significant digits and a sign, so that small changes do not look like none.
fn signed(value: f64) -> String {
    let size = Estimate::new(value.abs()).map_or_else(|_| value.to_string(), |size| size.to_string());
    match value.total_cmp(&0.0) {
        std::cmp::Ordering::Less if value < 0.0 => format!("-{size}"),
        std::cmp::Ordering::Greater => format!("+{size}"),
        _ => "0".to_owned(),
    }
}

fn named(what: &str, inputs: &[usize]) -> String {
    if inputs.is_empty() {
        return String::new();
    }
    let inputs: Vec<String> = inputs.iter().map(usize::to_string).collect();
    format!("{what}: inputs {}\n", inputs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_changes_keep_their_sign_and_digits() {
        for (value, text) in [(0.0, "0"), (-0.0, "0"), (-1.234_56, "-1.235"), (1.5e-9, "+1.50e-9"), (-2e-7, "-2.00e-7")]
        {
            assert_eq!(signed(value), text);
        }
    }
}
