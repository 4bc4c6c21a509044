//! A naive evaluation of chains of layers, for tests.

use num_traits::ToPrimitive;

use super::piece::Piece;
use crate::model::layer::{Map, Windows};

/// The output of `pieces` at `input`, in double precision, by the definitions in [`Map`].
pub(crate) fn evaluate(pieces: &[Piece], input: &[f64]) -> Vec<f64> {
    pieces.iter().fold(input.to_vec(), |values, piece| {
        assert_eq!(values.len(), piece.map.inputs(), "{:?}", piece.map);
        let mapped = map(piece, &values);
        assert_eq!(mapped.len(), piece.map.outputs(), "{:?}", piece.map);
        mapped.into_iter().map(|value| piece.activation.value(value)).collect()
    })
}

fn map(piece: &Piece, input: &[f64]) -> Vec<f64> {
    let parameters = &piece.parameters;
    let expected: Vec<usize> = piece.map.parameters().iter().map(|(_, shape)| shape.iter().product()).collect();
    assert_eq!(parameters.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{:?}", piece.map);
    match piece.map {
        Map::Dense { inputs, .. } => {
            let product = |row: &[f64]| -> f64 { row.iter().zip(input).map(|(w, x)| w * x).sum() };
            parameters[0].chunks(inputs).zip(&parameters[1]).map(|(row, bias)| product(row) + bias).collect()
        }
        Map::Gather { .. } => {
            parameters[0].iter().map(|place| place.to_usize().map_or(0.0, |place| input[place])).collect()
        }
        Map::Convolution(windows) => {
            let mut output = biases(windows.output, &parameters[1]);
            for [small, large, weight] in pairs(&windows) {
                output[small] += parameters[0][weight] * input[large];
            }
            output
        }
        Map::TransposedConvolution(windows) => {
            let mut output = biases(windows.output, &parameters[1]);
            for [small, large, weight] in pairs(&windows.transposed()) {
                output[large] += parameters[0][weight] * input[small];
            }
            output
        }
        Map::MaxPool(windows) => {
            let mut output = vec![f64::NEG_INFINITY; piece.map.outputs()];
            for [small, large, _] in pairs(&windows) {
                output[small] = output[small].max(input[large]);
            }
            output
        }
    }
}

fn biases(output: [usize; 3], bias: &[f64]) -> Vec<f64> {
    bias.iter().flat_map(|&bias| std::iter::repeat_n(bias, output[1] * output[2])).collect()
}

/// Every (value of the output, value of the input, weight) that a convolution multiplies.
fn pairs(windows: &Windows) -> Vec<[usize; 3]> {
    let [outputs, rows, columns] = windows.output;
    let [inputs, height, width] = windows.input;
    let [kernel_rows, kernel_columns] = windows.kernel;
    let (inputs_each, outputs_each) = (inputs / windows.groups, outputs / windows.groups);
    let mut pairs = Vec::new();
    for (o, row, column, i) in quadruples(outputs, rows, columns, inputs_each) {
        for (k, l) in (0..kernel_rows).flat_map(|k| (0..kernel_columns).map(move |l| (k, l))) {
            let (Some(y), Some(x)) = (windows.place(0, row, k), windows.place(1, column, l)) else { continue };
            let channel = o / outputs_each * inputs_each + i;
            let weight = ((o * inputs_each + i) * kernel_rows + k) * kernel_columns + l;
            pairs.push([(o * rows + row) * columns + column, (channel * height + y) * width + x, weight]);
        }
    }
    pairs
}

fn quadruples(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |n| (n / (b * c * d), n / (c * d) % b, n / d % c, n % d))
}
