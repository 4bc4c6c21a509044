//! Single operators against onnxruntime.

use serde::Deserialize;

use super::{assert_close, read_json, run};
use crate::import::onnx::{read_decoder, OnnxNames};

#[derive(Deserialize)]
struct Case {
    name: String,
    /// The file in hexadecimal digits.
    model: String,
    shape: Vec<usize>,
    input: Vec<f64>,
    output: Vec<f64>,
    output_shape: Vec<usize>,
}

fn bytes(digits: &str) -> Vec<u8> {
    let pair = |place: usize| u8::from_str_radix(&digits[place..place + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[test]
fn every_operator_computes_what_onnxruntime_computes() {
    let cases: Vec<Case> = read_json("operators.json");
    assert!(cases.len() > 200, "{}", cases.len());
    for case in cases {
        let read = read_decoder(&bytes(&case.model), None, &OnnxNames::default(), Some(&case.shape));
        let sequence = read.unwrap_or_else(|error| panic!("{}: {error}", case.name)).parts.decoder;
        assert_eq!(sequence.shape(), case.output_shape, "{}", case.name);
        assert_close(&run(&sequence, &case.input), &case.output, &case.name);
    }
}
