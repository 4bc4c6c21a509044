//! Networks as exporters write them, against onnxruntime.

use std::path::Path;

use serde::Deserialize;

use super::{assert_close, read_json, run, FOLDER};
use crate::import::assemble::EncoderParts;
use crate::import::onnx::{read_decoder, read_encoder, read_whole, OnnxNames};
use crate::model::architecture::StdLink;
use crate::model::Activation;

#[derive(Deserialize)]
struct Record {
    kind: String,
    input_shape: Vec<usize>,
    inputs: Vec<Vec<f64>>,
    #[serde(default)]
    mean: Vec<Vec<f64>>,
    #[serde(default)]
    sigma: Vec<Vec<f64>>,
    #[serde(default)]
    codes: Vec<Vec<f64>>,
    #[serde(default)]
    outputs: Vec<Vec<f64>>,
}

fn check_encoder(parts: &EncoderParts, record: &Record, name: &str) {
    assert_eq!(parts.input_shape, record.input_shape, "{name}");
    for (row, input) in record.inputs.iter().enumerate() {
        assert_close(&run(&parts.mean, input), &record.mean[row], name);
        let link = |s: f64| match parts.std_link {
            StdLink::HalfLogVariance => (s / 2.0).exp(),
            StdLink::Softplus => Activation::Softplus.value(s),
        };
        let sigma: Vec<f64> = run(&parts.std, input).into_iter().map(|s| link(s) + parts.std_floor).collect();
        assert_close(&sigma, &record.sigma[row], name);
    }
}

#[test]
fn every_network_computes_what_onnxruntime_computes() {
    let mut seen = 0;
    let folder = Path::new(FOLDER);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let record: Record = read_json(&format!("{name}.json"));
        let (bytes, names) = (std::fs::read(&path).unwrap(), OnnxNames::default());
        let decoder = match record.kind.as_str() {
            "encoder" => {
                let read = read_encoder(&bytes, Some(folder), &names, None);
                check_encoder(&read.unwrap_or_else(|error| panic!("{name}: {error}")).parts, &record, name);
                None
            }
            "decoder" => {
                let read = read_decoder(&bytes, Some(folder), &names, None);
                Some((read.unwrap_or_else(|error| panic!("{name}: {error}")).parts, &record.inputs))
            }
            _ => {
                let read = read_whole(&bytes, Some(folder), &names, None);
                let (encoder, decoder) = read.unwrap_or_else(|error| panic!("{name}: {error}")).parts;
                check_encoder(&encoder, &record, name);
                Some((decoder, &record.codes))
            }
        };
        if let Some((decoder, codes)) = decoder {
            for (code, expected) in codes.iter().zip(&record.outputs) {
                assert_close(&run(&decoder.decoder, code), expected, name);
            }
        }
        seen += 1;
    }
    assert!(seen >= 30, "{seen} networks");
}
