//! `vaecert gamma-sum`: known values, and JSON in and out.

use std::io::{BufRead, BufReader, Write};

use serde_json::Value;
use vaecert::stats::quadratic_form::QuadraticForm;

use crate::support::{piped, vaecert, vaecert_reading, Answer};

fn gamma_sum(arguments: &[&str]) -> Answer {
    vaecert(&std::env::temp_dir(), &[&["gamma-sum"], arguments].concat())
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(line: &Value, field: &str) -> f64 {
    line[field].as_f64().unwrap_or_else(|| panic!("{field} is missing from {line}"))
}

/// Whether the truth lies within the line's bound, which must be small.
fn assert_holds(line: &Value, value: &str, truth: f64) {
    let error = number(line, &format!("{value}_error"));
    assert!(
        (number(line, value) - truth).abs() <= error + 2e-15 * truth.abs() && error <= 1e-12 * (1.0 + truth.abs()),
        "{line}"
    );
}

#[test]
fn an_exponential_distribution() {
    let answer = gamma_sum(&["--eigenvalues", "0.5,0.5", "--at", "0.1,1", "--at", "30", "--quantile", "0.5", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let found = lines(&answer);
    assert_eq!(found.len(), 4);
    for (line, q) in found.iter().zip([0.1f64, 1.0, 30.0]) {
        assert_eq!(number(line, "q"), q);
        assert_holds(line, "cdf", -(-q).exp_m1());
        assert_holds(line, "sf", (-q).exp());
        assert_holds(line, "density", (-q).exp());
        assert!(line["algorithm"].is_string() && line["nodes"].is_u64(), "{line}");
    }
    assert_holds(&found[3], "quantile", 2f64.ln());
}

#[test]
fn the_table_names_the_form_and_bounds_every_value() {
    let arguments = ["--eigenvalues", "1", "--quantile", "0.5", "--at", "0,2", "--moments"];
    let answer = gamma_sum(&arguments);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    for expected in [
        "1 eigenvalue λ = 1, no shifts, σ = 0",
        "error ≤",
        "algorithm",
        "variance",
        "P(Q ≤ 2)",
        "P(Q > 2)",
        "density at 0",
        "unbounded",
        "quantile of 0.5",
        "0.45493642311957",
    ] {
        assert!(answer.stdout.contains(expected), "{expected:?} is missing from\n{}", answer.stdout);
    }
}

#[test]
fn numbers_may_be_negative() {
    let answer = gamma_sum(&["--eigenvalues", "-0.5,-0.5,0.5,0.5", "--shifts", "-0,0,0,0", "--at", "-1.5", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_holds(&lines(&answer)[0], "cdf", 0.5 * (-1.5f64).exp());
}

#[test]
fn noncentrality_and_multiplicities_are_those_of_compquadform() {
    let grouped = gamma_sum(&[
        "--eigenvalues",
        "3,1",
        "--multiplicities",
        "2,3",
        "--noncentrality",
        "4,0",
        "--sigma",
        "0.5",
        "--at",
        "20",
        "--json",
    ]);
    // The group's noncentrality 4 as the shift 2 of one of its members.
    let spelt_out =
        gamma_sum(&["--eigenvalues", "1,3,1,3,1", "--shifts", "0,2,0,0,0", "--sigma", "0.5", "--at", "20", "--json"]);
    assert_eq!((grouped.code, spelt_out.code), (0, 0), "{}{}", grouped.stderr, spelt_out.stderr);
    assert_eq!(grouped.stdout, spelt_out.stdout);
    // Q5 of Imhof (1961), to four digits.
    let form = ["--eigenvalues", "7,3", "--multiplicities", "6,2", "--noncentrality", "6,2", "--json"];
    let found = lines(&gamma_sum(&[&form[..], &["--at", "20,100,200"]].concat()));
    for (line, survival) in found.iter().zip([0.9939, 0.4087, 0.0221]) {
        assert!((number(line, "sf") - survival).abs() <= 5e-5, "{line}");
    }
}

#[test]
fn moments_follow_by_hand() {
    // 2(U + 1)² − V² + 3Z.
    let form = ["--eigenvalues", "2,-1", "--shifts", "1,0", "--sigma", "3", "--moments", "--json"];
    let line = &lines(&gamma_sum(&form))[0];
    let expected = [("mean", 3.0), ("variance", 35.0), ("third_cumulant", 248.0), ("fourth_cumulant", 3888.0)];
    for (name, truth) in expected {
        assert_holds(line, name, truth);
    }
}

#[test]
fn a_second_algorithm_confirms_the_first() {
    let form = ["--eigenvalues", "1,0.5,0.1", "--at", "2.3", "--cross-check"];
    let table = gamma_sum(&form);
    assert_eq!(table.code, 0, "{}", table.stderr);
    assert!(table.stdout.contains("  cross-check P(Q ≤ 2.3)") && table.stdout.contains("  cross-check P(Q > 2.3)"));
    let line = &lines(&gamma_sum(&[&form[..], &["--json"]].concat()))[0];
    for tail in ["cdf", "sf"] {
        let bound = number(line, &format!("{tail}_error")) + number(line, &format!("cross_check_{tail}_error"));
        assert!((number(line, tail) - number(line, &format!("cross_check_{tail}"))).abs() <= bound, "{line}");
    }
    assert!(line["cross_check_algorithm"].is_string(), "{line}");
}

#[test]
fn json_lines_are_answered_in_order_with_the_same_bits() {
    let input = "{\"lambdas\": [1, 0.5], \"b\": [0, -2], \"sigma\": 0.1, \"q\": [0.30000000000000004, 2], \"p\": 0.5, \
                 \"p_upper\": [0.25], \"id\": \"a\"}\r\n\n{\"id\": 2, \"lambdas\": [0.1], \"q\": 1e-5}\n";
    let answer = vaecert_reading(&["gamma-sum"], input.as_bytes());
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let found = lines(&answer);
    let ids: Vec<&Value> = found.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids, ["a", "a", "a", "a"].map(Value::from).iter().chain([&Value::from(2)]).collect::<Vec<_>>());
    let form = QuadraticForm::new(&[1.0, 0.5], &[0.0, -2.0], 0.1).unwrap();
    for (line, q) in found.iter().zip([0.300_000_000_000_000_04, 2.0]) {
        let (tails, density) = (form.tails(q).unwrap(), form.density(q).unwrap());
        assert_eq!(number(line, "q"), q);
        assert_eq!((number(line, "cdf"), number(line, "cdf_error")), (tails.cdf.value, tails.cdf.error));
        assert_eq!((number(line, "sf"), number(line, "sf_error")), (tails.survival.value, tails.survival.error));
        let enclosure = density.enclosure;
        assert_eq!((number(line, "density"), number(line, "density_error")), (enclosure.value, enclosure.error));
    }
    assert_eq!((number(&found[2], "p"), number(&found[3], "p_upper")), (0.5, 0.25));
    assert!(number(&found[2], "quantile") < number(&found[3], "quantile"));
}

#[test]
fn a_line_is_answered_before_the_next_is_read() {
    let mut program = piped(&["gamma-sum"]);
    let (mut stdin, mut stdout) = (program.stdin.take().unwrap(), BufReader::new(program.stdout.take().unwrap()));
    for q in [1, 2] {
        writeln!(stdin, "{{\"lambdas\": [1], \"q\": {q}}}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("{{\"q\":{q}.0,\"cdf\":")), "{line}");
    }
    drop(stdin);
    assert_eq!(program.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let mut program = piped(&["gamma-sum"]);
    drop(program.stdout.take());
    // The program may be gone before everything is written.
    let _ = program.stdin.take().unwrap().write_all(&b"{\"lambdas\": [1], \"q\": -1}\n".repeat(100));
    let answer = Answer::from(program.wait_with_output().unwrap());
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
}

#[test]
fn what_cannot_be_reached_is_said_and_the_rest_answered() {
    let answer = gamma_sum(&["--eigenvalues", "1", "--at", "1e-310,2"]);
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    assert!(answer.stdout.contains("not converged") && answer.stdout.contains("P(Q > 2)"), "{}", answer.stdout);
    let answer = vaecert_reading(&["gamma-sum"], b"{\"lambdas\": [1], \"q\": [1e-310, 2]}");
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    let found = lines(&answer);
    assert!(found[0]["cdf"].is_null() && found[0]["undecided"].as_str().unwrap().contains("not converged"));
    assert!(found[1]["cdf"].is_f64() && found[1].get("undecided").is_none());
}
