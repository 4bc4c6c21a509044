//! Forms and questions that `vaecert gamma-sum` refuses, on the command line and in lines of stdin.

use serde_json::Value;

use super::refused;
use crate::support::vaecert_reading;

#[test]
fn arguments_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 19] = [
        (&["--eigenvalues", "1,abc", "--at", "1"], &["--eigenvalues", "entry 2 of 2", "finite number", "\"abc\""]),
        (&["--eigenvalues", "1,", "--at", "1"], &["--eigenvalues", "entry 2 of 2", "\"\""]),
        (&["--eigenvalues", "1e400", "--at", "1"], &["--eigenvalues", "entry 1 of 1", "finite number"]),
        (&["--eigenvalues", "0,0", "--at", "1"], &["--eigenvalues", "every eigenvalue is 0", "--sigma above 0"]),
        (&["--eigenvalues", "1,1e-200", "--at", "1"], &["--eigenvalues", "1e140"]),
        (&["--eigenvalues", "1", "--at", "0,nan"], &["--at", "entry 2 of 2", "finite number"]),
        (&["--eigenvalues", "1", "--at", "--json"], &["--at", "entry 1 of 1", "\"--json\""]),
        (&["--eigenvalues", "1,2", "--shifts", "1", "--at", "1"], &["--shifts has 1 entry", "has 2", "one for each"]),
        (&["--eigenvalues", "1", "--noncentrality", "-4", "--at", "1"], &["--noncentrality", "0 or more", "\"-4\""]),
        (&["--eigenvalues", "1", "--noncentrality", "1,2", "--at", "1"], &["--noncentrality has 2 entries"]),
        (&["--eigenvalues", "1", "--noncentrality", "4", "--shifts", "2", "--at", "1"], &["cannot be used with"]),
        (&["--eigenvalues", "1,2", "--multiplicities", "2,0.5", "--at", "1"], &["entry 2 of 2", "whole number"]),
        (&["--eigenvalues", "1", "--multiplicities", "9999999999", "--at", "1"], &["9999999999", "at most 1000000"]),
        (&["--eigenvalues", "1", "--sigma", "-1", "--at", "1"], &["--sigma", "0 or more", "\"-1\""]),
        (&["--eigenvalues", "1", "--quantile", "0.5,1"], &["--quantile", "entry 2 of 2", "strictly between 0 and 1"]),
        (&["--eigenvalues", "1", "--survival-quantile", "0"], &["--survival-quantile", "strictly between 0 and 1"]),
        (&["--eigenvalues", "1"], &["--at", "--quantile", "--survival-quantile", "--moments"]),
        (&["--eigenvalues", "1", "--moments", "--cross-check"], &["--cross-check means nothing without --at"]),
        (&["--at", "1"], &["--eigenvalues"]),
    ];
    for (arguments, fragments) in cases {
        refused(folder.path(), &[&["gamma-sum"], arguments].concat(), 2, fragments);
    }
}

#[test]
fn lines_that_make_no_sense_are_named_and_do_not_end_the_run() {
    let cases: [(&[u8], &str); 19] = [
        (b"\xff\xfe\x00", "not a JSON object"),
        (b"{\"lambdas\": \"\xff\"}", "column"),
        (b"[1, 2]", "not a JSON object"),
        (b"{\"lambdas\": [1], \"q\": 2", "not JSON: EOF"),
        (b"{\"lambdas\": [1], \"q\": NaN}", "not JSON"),
        (b"{\"lambdas\": [1], \"q\": 1e400}", "beyond the range of doubles"),
        (b"{\"lambda\": [1], \"q\": 2}", "unknown field `lambda`"),
        (b"{\"lambdas\": [1], \"q\": 2, \"q\": 3}", "duplicate field `q`"),
        (b"{\"q\": 2}", "missing field `lambdas`"),
        (b"{\"lambdas\": [\"1\"], \"q\": 2}", "expected a number"),
        (b"{\"lambdas\": [1], \"q\": true}", "a number or an array of numbers"),
        (b"{\"lambdas\": [1]}", "expected q, p or p_upper"),
        (b"{\"lambdas\": [1], \"q\": []}", "expected q, p or p_upper"),
        (b"{\"lambdas\": [], \"q\": 2}", "at least one eigenvalue"),
        (b"{\"lambdas\": [0], \"q\": 2}", "expected one that is not 0, or sigma above 0"),
        (b"{\"lambdas\": [1], \"b\": [1, 2], \"q\": 2}", "b has length 2, lambdas has length 1"),
        (b"{\"lambdas\": [1], \"sigma\": -1, \"q\": 2}", "it must be a finite number, 0 or more"),
        (b"{\"lambdas\": [1], \"q\": 1, \"p\": [0.5, 1.5]}", "p, entry 2: a probability must lie strictly between"),
        (b"{\"lambdas\": [1], \"p_upper\": 0}", "p_upper, entry 1"),
    ];
    let good = &b"{\"lambdas\": [1], \"q\": -1}\n"[..];
    for (bad, fragment) in cases {
        let answer = vaecert_reading(&["gamma-sum"], &[b"\n", bad, b"\n", good].concat());
        let shown = String::from_utf8_lossy(bad);
        assert_eq!((answer.code, answer.stderr.as_str()), (5, ""), "{shown}");
        let lines: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (lines.len(), &lines[0]["line"], &lines[1]["cdf"]),
            (2, &Value::from(2), &Value::from(0.0)),
            "{shown}"
        );
        assert!(lines[0]["error"].as_str().unwrap().contains(fragment), "{shown}: {}", lines[0]);
    }
}

#[test]
fn a_bad_line_keeps_its_name_and_outweighs_what_was_not_reached() {
    let input = b"{\"lambdas\": [1], \"q\": 1e-310}\n{\"id\": \"x\", \"lambda\": [1]}\n{\"id\": 3, \"lambdas\": [1], \"p\": 2}\n";
    let answer = vaecert_reading(&["gamma-sum"], input);
    assert_eq!(answer.code, 5);
    let ids: Vec<Value> =
        answer.stdout.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, [Value::from("x"), Value::from(3)]);
}
