//! `vaecert linearization`: Proposition 1's Gamma sum against draws of the decoder, as σ shrinks.

use std::fmt::Write;

use candle_core::{DType, Device};

use super::args::LinearizationArguments;
use super::audit::named_model;
use super::exit_code::ExitCode;
use super::failure::Failure;
use super::json::{line_of, LinearizationTable};
use super::terminal::Terminal;
use crate::audit::linearization::{LinearizationPlan, LinearizationRow};
use crate::progress::Progress;
use crate::seed::Seed;
use crate::threads::Workers;

/// Compares and prints a table over the factors of σ.
pub(crate) fn linearization(arguments: &LinearizationArguments, mut terminal: Terminal) -> Result<ExitCode, Failure> {
    let plan = LinearizationPlan {
        scales: arguments.scales.clone(),
        probabilities: arguments.probabilities.clone(),
        draws: arguments.draws,
        seed: Seed(arguments.seed),
    };
    plan.check()?;
    let (model, name) = named_model(arguments.model.as_deref())?;
    let choice = arguments.chosen.choice()?;
    let dataset = choice.source.load(choice.split, choice.seed)?;
    choice.check(&model, &dataset)?;
    let vae = model.vae.converted(DType::F64, &Device::Cpu)?;

    let workers = Workers::new(arguments.threads)?;
    let inputs: Vec<usize> = (choice.first..choice.first + choice.inputs).collect();
    terminal.begin("inputs", inputs.len(), 0);
    let mut compared = Vec::with_capacity(inputs.len());
    let outcome = workers.stream(
        &inputs,
        |&input| plan.compare(&vae, dataset.row(input).unwrap_or_default(), input),
        |input| {
            let input = input?;
            terminal.step("");
            if arguments.json {
                terminal.print_as_is(&line_of(&input)?)?;
            }
            compared.push(input);
            Ok::<(), Failure>(())
        },
    );
    terminal.end();
    outcome?;
    let rows = plan.rows(&compared);
    if arguments.json {
        let rates: Vec<_> = plan.probabilities.iter().map(|&p| (p, LinearizationPlan::rate(&rows, p))).collect();
        terminal.print_as_is(&line_of(&LinearizationTable { rows: &rows, rates })?)?;
    } else {
        let heading = format!(
            "model   {name}\ndata    {} {}, inputs {} to {}",
            dataset.name(),
            choice.split,
            choice.first,
            choice.first + choice.inputs - 1
        );
        terminal.print(&format!("{heading}\n{}", table(&plan, &rows)))?;
    }
    Ok(ExitCode::Met)
}

/// The table over probabilities and factors of σ, with the rate at which the difference vanishes.
fn table(plan: &LinearizationPlan, rows: &[LinearizationRow]) -> String {
    let mut text = format!(
        "draws   {} per input, the same for the decoder, its tangent and every factor of σ; seed {}\n\n\
         P(‖Δ(x,0)‖ ≤ r), r chosen so that the first-order probability is the Gamma sum's; decoder − tangent is the mean over\n\
         inputs with the draws' standard error, rms its root mean square over inputs with the draws' variance taken out\n\n\
         {:>9} {:>9} {:>11} {:>11} {:>12} {:>10} {:>10}\n{:>9} {:>9} {:>11} {:>11} {:>12} {:>10} {:>10}\n",
        plan.draws,
        plan.seed.0,
        "P 1st",
        "factor",
        "P tangent",
        "P decoder",
        "decoder −",
        "standard",
        "rms over",
        "Gamma sum",
        "of σ",
        "sampled",
        "sampled",
        "tangent",
        "error",
        "inputs",
    );
    for &probability in &plan.probabilities {
        for row in rows.iter().filter(|row| row.first_order == probability) {
            let _ = writeln!(
                text,
                "{:>9} {:>9} {:>11.5} {:>11.5} {:>+12.5} {:>10.5} {:>10.5}",
                row.first_order,
                row.scale,
                row.tangent_share,
                row.decoder_share,
                row.mean_difference,
                row.standard_error,
                row.rms_difference,
            );
        }
        let rate = LinearizationPlan::rate(rows, probability);
        let _ = match rate {
            Some(rate) => writeln!(text, "{:>9} rms difference ∝ σ^{rate:.2}\n", ""),
            None => writeln!(text, "{:>9} too few factors of σ show a difference for a rate\n", ""),
        };
    }
    text
}
