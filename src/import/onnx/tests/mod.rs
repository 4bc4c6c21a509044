//! Tests of whole files: networks as exporters write them and single operators, against what onnxruntime computes; and
//! files that must be refused.

mod build;
mod networks;
mod operators;
mod refused;
mod survival;

use serde::Deserialize;

use crate::import::sequence::Sequence;
use crate::import::testing::evaluate;

/// Where the files lie that `fixtures/import/make_onnx_files.py` has made.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/import/onnx");

/// onnxruntime computes in single precision; values are of order 1 and sums have at most a few hundred terms.
const SINGLE_PRECISION: f64 = 1e-5;

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / expected.abs().max(1.0);
        assert!(error < SINGLE_PRECISION, "{what}, value {place}: {found}, expected {expected}");
    }
}

fn run(sequence: &Sequence, input: &[f64]) -> Vec<f64> {
    evaluate(sequence.pieces(), input)
}

fn read_json<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = format!("{FOLDER}/{name}");
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
}
