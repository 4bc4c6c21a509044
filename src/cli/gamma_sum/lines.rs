//! Questions as JSON lines: each is answered before the next is read, and one that makes no sense does not end the run.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use schemars::JsonSchema;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::Value;

use super::super::exit_code::ExitCode;
use super::super::failure::Failure;
use super::super::json::line_of;
use super::answer::Question;
use super::{worse, Stop};
use crate::quantity::Probability;
use crate::stats::quadratic_form::{QuadraticForm, QuadraticFormError};

/// A line as it should be.
pub(super) const EXAMPLE: &str = r#"{"lambdas": [1, 0.5, 0.1], "q": 2.3}"#;
/// Bytes of the longest line that is read; longer ones are refused without being kept.
const LONGEST_LINE: usize = 1 << 26;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    id: Option<Value>,
    lambdas: Vec<f64>,
    b: Option<Vec<f64>>,
    sigma: Option<f64>,
    q: Option<OneOrMany>,
    p: Option<OneOrMany>,
    p_upper: Option<OneOrMany>,
}

/// A number or an array of numbers.
struct OneOrMany(Vec<f64>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or an array of numbers")
    }

    fn visit_f64<E>(self, value: f64) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![value]))
    }

    fn visit_u64<E>(self, value: u64) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![value as f64]))
    }

    fn visit_i64<E>(self, value: i64) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![value as f64]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<OneOrMany, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(OneOrMany(values))
    }
}

/// What is wrong with a line.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct BadLine<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    error: String,
}

/// Answers every line of `input`. The exit status is that of the worst line.
pub(super) fn answer_lines(
    mut input: impl BufRead,
    output: &mut impl Write,
    cross_check: bool,
) -> Result<ExitCode, Stop> {
    let mut code = ExitCode::Met;
    let mut line = Vec::new();
    for number in 1.. {
        let unreadable =
            |error| Failure::new(ExitCode::Unreadable, format!("stdin, line {number}, cannot be read: {error}"));
        let Some(length) = next_line(&mut input, &mut line).map_err(unreadable)? else { break };
        // Some editors begin a file with a byte-order mark.
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line).trim_ascii();
        if text.is_empty() && length <= LONGEST_LINE {
            continue;
        }
        let request = match length <= LONGEST_LINE {
            true => parse(text),
            false => Err((None, format!("a line longer than {LONGEST_LINE} bytes; split its questions over several"))),
        };
        let request = request.and_then(|request| match prepare(&request) {
            Ok((form, questions)) => Ok((request.id, form, questions)),
            Err(error) => Err((request.id, error)),
        });
        match request {
            Ok((id, form, questions)) => {
                for question in questions {
                    let answer = question.ask(&form, cross_check);
                    output.write_all(answer.json(id.as_ref())?.as_bytes())?;
                    code = worse(code, answer.exit_code());
                }
            }
            Err((id, error)) => {
                let bad = BadLine { line: number, id: id.as_ref(), error };
                output.write_all(line_of(&bad)?.as_bytes())?;
                code = worse(code, ExitCode::Unreadable);
            }
        }
        output.flush()?;
    }
    Ok(code)
}

/// Reads a line into `line` and returns its length, or more than [`LONGEST_LINE`] for one that is not kept. `None` at
/// the end.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<usize>> {
    line.clear();
    let limit = LONGEST_LINE as u64 + 1;
    let length = input.by_ref().take(limit).read_until(b'\n', line)?;
    if length > LONGEST_LINE && line.last() != Some(&b'\n') {
        line.clear();
        line.shrink_to_fit();
        input.skip_until(b'\n')?;
    }
    Ok((length > 0).then_some(length))
}

/// The request, or what is wrong with it and what it calls itself.
fn parse(text: &[u8]) -> Result<Request, (Option<Value>, String)> {
    // Objects only: an array of the fields' values would be taken as well.
    if !text.starts_with(b"{") {
        let start: String = String::from_utf8_lossy(text).chars().take(20).collect();
        return Err((None, format!("not a JSON object, it begins with {start:?}; write lines such as {EXAMPLE}")));
    }
    serde_json::from_slice(text).map_err(|error| {
        let object: Option<Value> = serde_json::from_slice(text).ok();
        (object.and_then(|mut object| object.get_mut("id").map(Value::take)), explain(&error))
    })
}

/// The error without its line, which is always the first.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = text.strip_suffix(&place).unwrap_or(&text).replace("expected f64", "expected a number");
    let column = error.column();
    if reason.contains("number out of range") {
        return format!(
            "column {column}: a number beyond the range of doubles; expected at most 1.7976931348623157e308"
        );
    }
    match error.classify() {
        Category::Data => format!("column {column}: {reason}; write lines such as {EXAMPLE}"),
        _ => format!("column {column}: not JSON: {reason}; write lines such as {EXAMPLE}"),
    }
}

/// The form and what is asked of it.
fn prepare(request: &Request) -> Result<(QuadraticForm, Vec<Question>), String> {
    let Request { lambdas, b, sigma, q, p, p_upper, .. } = request;
    let zeros = vec![0.0; lambdas.len()];
    let form = QuadraticForm::new(lambdas, b.as_deref().unwrap_or(&zeros), sigma.unwrap_or(0.0));
    let form = form.map_err(|error| match error {
        QuadraticFormError::LengthMismatch { eigenvalues, shifts } => {
            format!("b has length {shifts}, lambdas has length {eigenvalues}; expected the same")
        }
        QuadraticFormError::Sigma(_) => format!("sigma: {error}"),
        QuadraticFormError::AllZero(_) => format!("lambdas: {error}; expected one that is not 0, or sigma above 0"),
        _ => format!("lambdas: {error}"),
    })?;
    let mut questions: Vec<Question> = entries(q.as_ref()).iter().copied().map(Question::Point).collect();
    questions.extend(probabilities("p", p.as_ref())?.into_iter().map(Question::Quantile));
    questions.extend(probabilities("p_upper", p_upper.as_ref())?.into_iter().map(Question::SurvivalQuantile));
    match questions.is_empty() {
        true => Err("nothing is asked: expected q, p or p_upper, each a number or an array of numbers".to_owned()),
        false => Ok((form, questions)),
    }
}

fn entries(field: Option<&OneOrMany>) -> &[f64] {
    field.map_or(&[], |OneOrMany(values)| values)
}

fn probabilities(name: &str, field: Option<&OneOrMany>) -> Result<Vec<Probability>, String> {
    let probability = |(index, &value): (usize, &f64)| {
        Probability::new(value).map_err(|error| format!("{name}, entry {}: {error}", index + 1))
    };
    entries(field).iter().enumerate().map(probability).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_too_long_to_keep_is_refused_and_the_next_one_answered() {
        let long = io::repeat(b'x').take(3 * LONGEST_LINE as u64);
        let input = long.chain(&b"\n{\"lambdas\": [1], \"q\": -1}"[..]);
        let mut output = Vec::new();
        let outcome = answer_lines(io::BufReader::new(input), &mut output, false);
        assert!(matches!(outcome, Ok(ExitCode::Unreadable)));
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("{\"line\":1,\"error\":\"a line longer than 67108864 bytes"), "{text}");
        assert!(lines[1].starts_with("{\"q\":-1.0,\"cdf\":0.0,"), "{text}");
    }

    #[test]
    fn a_reader_that_went_away_and_a_writer_that_fails_are_told_apart() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no disk"))
            }
        }
        let outcome = answer_lines(io::BufReader::new(Broken), &mut Vec::new(), false);
        assert!(
            matches!(outcome, Err(Stop::Failure(failure)) if failure.to_string().contains("line 1, cannot be read"))
        );
        let mut full: &mut [u8] = &mut [0; 4];
        assert!(matches!(answer_lines(&b"{}"[..], &mut full, false), Err(Stop::Output(_))));
    }
}
