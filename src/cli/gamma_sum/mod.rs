//! `vaecert gamma-sum`: the distribution of a sum of Gamma variables, the tool by itself.
//!
//! [`answer`] asks the library and writes answers as JSON, [`text`] writes them for eyes, and `lines` serves a stream
//! of questions.

pub mod answer;
mod lines;
pub mod text;

use std::io::{self, IsTerminal, Write};

use super::args::GammaSumArguments;
use super::exit_code::ExitCode;
use super::failure::Failure;
use crate::quantity::Probability;
use crate::stats::quadratic_form::{QuadraticForm, QuadraticFormError, LARGEST_SHIFT};
pub(super) use answer::AnswerLine;
use answer::Question;
pub(super) use lines::BadLine;

/// More eigenvalues than this would only take memory.
const MAX_EIGENVALUES: usize = 1_000_000;

/// What ends the command before its work is done.
enum Stop {
    Failure(Failure),
    /// An answer cannot be written.
    Output(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Answers the questions of the command line, or those of stdin.
pub(crate) fn gamma_sum(arguments: &GammaSumArguments) -> Result<ExitCode, Failure> {
    let mut output = io::stdout().lock();
    let outcome = match &arguments.eigenvalues {
        Some(eigenvalues) => answer_arguments(&eigenvalues.0, arguments, &mut output),
        None if io::stdin().is_terminal() => Err(usage(format!(
            "there is no --eigenvalues, and stdin is a terminal; name the form with --eigenvalues and ask with --at, \
             --quantile, --survival-quantile or --moments, or send lines such as {} to stdin",
            lines::EXAMPLE
        ))
        .into()),
        None => lines::answer_lines(io::stdin().lock(), &mut output, arguments.cross_check),
    };
    match outcome {
        Ok(code) => Ok(code),
        // Whoever closed the pipe has read enough.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Met),
        Err(Stop::Output(error)) => Err(error.into()),
        Err(Stop::Failure(failure)) => Err(failure),
    }
}

fn answer_arguments(
    eigenvalues: &[f64],
    arguments: &GammaSumArguments,
    output: &mut impl Write,
) -> Result<ExitCode, Stop> {
    let coefficients = Coefficients::new(eigenvalues, arguments)?;
    let form = coefficients.form()?;
    let questions = questions(arguments)?;
    let width = text::label_width(&questions, arguments.cross_check);
    if !arguments.json {
        let Coefficients { eigenvalues, shifts, sigma } = &coefficients;
        output.write_all(text::heading(eigenvalues, shifts, *sigma).as_bytes())?;
        output.write_all(text::titles(width).as_bytes())?;
    }
    let mut code = ExitCode::Met;
    for question in questions {
        let answer = question.ask(&form, arguments.cross_check);
        let answered = if arguments.json { answer.json(None)? } else { text::rows(&answer, width) };
        output.write_all(answered.as_bytes())?;
        output.flush()?;
        if let Some(disagreement) = answer.disagreement() {
            return Err(Failure::new(ExitCode::Bug, disagreement).into());
        }
        code = worse(code, answer.exit_code());
    }
    Ok(code)
}

/// The exit status that says more about what went wrong.
fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    if one.number() >= other.number() {
        one
    } else {
        other
    }
}

fn usage(message: impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Usage, message)
}

/// λ, b and σ, each eigenvalue as often as it occurs.
struct Coefficients {
    eigenvalues: Vec<f64>,
    shifts: Vec<f64>,
    sigma: f64,
}

impl Coefficients {
    fn new(eigenvalues: &[f64], arguments: &GammaSumArguments) -> Result<Self, Failure> {
        let count = eigenvalues.len();
        let one_each = |option: &str, found: usize| match found == count {
            true => Ok(()),
            false => Err(usage(format!(
                "{option} has {}, --eigenvalues has {count}; expected one for each eigenvalue",
                counted(found)
            ))),
        };
        let shifts = match (&arguments.shifts, &arguments.noncentrality) {
            (Some(shifts), _) => {
                one_each("--shifts", shifts.0.len())?;
                shifts.0.clone()
            }
            (None, Some(squares)) => {
                one_each("--noncentrality", squares.0.len())?;
                squares.0.iter().map(|square| square.sqrt()).collect()
            }
            (None, None) => vec![0.0; count],
        };
        let multiplicities = match &arguments.multiplicities {
            Some(multiplicities) => {
                one_each("--multiplicities", multiplicities.0.len())?;
                multiplicities.0.clone()
            }
            None => vec![1; count],
        };
        let total = multiplicities.iter().fold(0usize, |sum, &multiplicity| sum.saturating_add(multiplicity));
        if total > MAX_EIGENVALUES {
            return Err(usage(format!(
                "--eigenvalues and --multiplicities make {total} eigenvalues; expected at most {MAX_EIGENVALUES}"
            )));
        }
        let mut repeated = Self {
            eigenvalues: Vec::with_capacity(total),
            shifts: Vec::with_capacity(total),
            sigma: arguments.sigma.unwrap_or(0.0),
        };
        for ((&eigenvalue, shift), multiplicity) in eigenvalues.iter().zip(shifts).zip(multiplicities) {
            repeated.eigenvalues.extend(std::iter::repeat_n(eigenvalue, multiplicity));
            // Only Σb² over equal eigenvalues matters.
            repeated.shifts.push(shift);
            repeated.shifts.resize(repeated.eigenvalues.len(), 0.0);
        }
        Ok(repeated)
    }

    fn form(&self) -> Result<QuadraticForm, Failure> {
        QuadraticForm::new(&self.eigenvalues, &self.shifts, self.sigma).map_err(|error| match error {
            QuadraticFormError::AllZero(_) => {
                usage(format!("--eigenvalues: {error}; expected one that is not 0, or --sigma above 0"))
            }
            QuadraticFormError::Shift { index, value } => usage(format!(
                "--shifts or --noncentrality: the shift of eigenvalue {} is {value:e}; its size must be at most {LARGEST_SHIFT:e}",
                index + 1
            )),
            _ => usage(format!("--eigenvalues: {error}")),
        })
    }
}

fn counted(entries: usize) -> String {
    format!("{entries} {}", if entries == 1 { "entry" } else { "entries" })
}

fn questions(arguments: &GammaSumArguments) -> Result<Vec<Question>, Failure> {
    let mut questions = Vec::new();
    if arguments.moments {
        questions.push(Question::Moments);
    }
    let all =
        |lists: &[super::args::List<Probability>]| lists.iter().flat_map(|list| list.0.clone()).collect::<Vec<_>>();
    questions.extend(arguments.at.iter().flat_map(|list| list.0.clone()).map(Question::Point));
    questions.extend(all(&arguments.quantile).into_iter().map(Question::Quantile));
    questions.extend(all(&arguments.survival_quantile).into_iter().map(Question::SurvivalQuantile));
    if questions.is_empty() {
        return Err(usage("nothing is asked of the form; ask with --at, --quantile, --survival-quantile or --moments"));
    }
    if arguments.cross_check && arguments.at.is_empty() {
        return Err(usage("--cross-check means nothing without --at: it computes probabilities a second time"));
    }
    Ok(questions)
}
