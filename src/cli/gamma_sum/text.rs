//! Answers as a table: a row per value, with the bound on its error.

use std::fmt::Write;

use super::answer::{algorithm_name, is_unbounded, Answer, Question, Reached, CUMULANTS};
use crate::quantity::UpperBound;
use crate::stats::quadratic_form::{Algorithm, QuadraticFormError, Tails};
use crate::stats::Enclosure;

/// Characters of the longest double.
const VALUE_WIDTH: usize = 24;

/// Which form is asked.
#[must_use]
pub fn heading(eigenvalues: &[f64], shifts: &[f64], sigma: f64) -> String {
    let range = |values: &[f64]| {
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
        if low < high {
            format!("from {} to {}", number(low), number(high))
        } else {
            format!("= {}", number(low))
        }
    };
    let shifts = match shifts.iter().any(|shift| shift.abs() > 0.0) {
        true => format!("shifts b {}", range(shifts)),
        false => "no shifts".to_owned(),
    };
    let noun = if eigenvalues.len() == 1 { "eigenvalue" } else { "eigenvalues" };
    format!(
        "Q = Σλ(U + b)² + σZ: {} {noun} λ {}, {shifts}, σ = {}\n\n",
        eigenvalues.len(),
        range(eigenvalues),
        number(sigma)
    )
}

/// A number as short as reads back the same.
fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn below(q: f64) -> String {
    format!("P(Q ≤ {})", number(q))
}

fn above(q: f64) -> String {
    format!("P(Q > {})", number(q))
}

fn density_at(q: f64) -> String {
    format!("density at {}", number(q))
}

fn checked(label: &str) -> String {
    format!("  cross-check {label}")
}

fn quantile_of(probability: f64) -> String {
    format!("quantile of {}", number(probability))
}

fn survival_quantile_of(probability: f64) -> String {
    format!("upper quantile of {}", number(probability))
}

/// How wide the first column must be.
#[must_use]
pub fn label_width(questions: &[Question], cross_check: bool) -> usize {
    let labels = |question: &Question| match *question {
        Question::Moments => CUMULANTS.map(str::to_owned).to_vec(),
        Question::Point(q) if cross_check => vec![density_at(q), checked(&below(q))],
        Question::Point(q) => vec![density_at(q)],
        Question::Quantile(probability) => vec![quantile_of(probability.get())],
        Question::SurvivalQuantile(probability) => vec![survival_quantile_of(probability.get())],
    };
    questions.iter().flat_map(labels).map(|label| label.chars().count()).max().unwrap_or(0)
}

/// Titles of the columns of [`rows`].
#[must_use]
pub fn titles(width: usize) -> String {
    format!("{:<width$}  {:>VALUE_WIDTH$}  {:>8}  {:<13}  {:>5}\n", "", "value", "error ≤", "algorithm", "nodes")
}

/// An answer, a row for each value. Values read back as the same doubles; bounds are rounded up.
#[must_use]
pub fn rows(answer: &Answer, width: usize) -> String {
    match answer {
        Answer::Moments(cumulants) => CUMULANTS
            .iter()
            .zip(cumulants)
            .map(|(name, cumulant)| row(name, width, &cumulant.clone().map(|cumulant| (cumulant, Algorithm::Exact, 0))))
            .collect(),
        Answer::Point { q, tails, density, cross_check } => {
            let (below, above) = (below(*q), above(*q));
            let mut text = tail_rows(&below, &above, width, tails);
            if let Some(tails) = cross_check {
                text += &tail_rows(&checked(&below), &checked(&above), width, tails);
            }
            let density = density.clone().map(|density| (density.enclosure, density.algorithm, density.nodes));
            text + &row(&density_at(*q), width, &density)
        }
        Answer::Quantile { probability, quantile } => {
            let quantile = quantile.clone().map(|found| (found.enclosure, found.algorithm, found.nodes));
            row(&quantile_of(probability.get()), width, &quantile)
        }
        Answer::SurvivalQuantile { probability, quantile } => {
            let quantile = quantile.clone().map(|found| (found.enclosure, found.algorithm, found.nodes));
            row(&survival_quantile_of(probability.get()), width, &quantile)
        }
    }
}

fn tail_rows(below: &str, above: &str, width: usize, tails: &Reached<Tails>) -> String {
    let tail =
        |choose: fn(&Tails) -> Enclosure| tails.clone().map(|tails| (choose(&tails), tails.algorithm, tails.nodes));
    row(below, width, &tail(|tails| tails.cdf)) + &row(above, width, &tail(|tails| tails.survival))
}

fn row(label: &str, width: usize, found: &Reached<(Enclosure, Algorithm, usize)>) -> String {
    let mut text = format!("{label:<width$}  ");
    let _ = match found {
        Ok((Enclosure { value, error }, algorithm, nodes)) => writeln!(
            text,
            "{:>VALUE_WIDTH$}  {:>8}  {:<13}  {nodes:>5}",
            number(*value),
            bound(*error),
            algorithm_name(*algorithm)
        ),
        Err(error) => writeln!(text, "{:>VALUE_WIDTH$}", reason(error)),
    };
    text
}

fn reason(error: &QuadraticFormError) -> String {
    if is_unbounded(error) {
        "unbounded".to_owned()
    } else {
        error.to_string()
    }
}

/// A bound with two digits, rounded up.
fn bound(error: f64) -> String {
    match UpperBound::new(error) {
        Ok(error) if error == UpperBound::ZERO => "0".to_owned(),
        Ok(error) => format!("{error:.1e}"),
        Err(_) => "inf".to_owned(),
    }
}
