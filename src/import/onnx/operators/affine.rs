//! Matrix products and batch normalisation.

use crate::import::onnx::call::{checked_width, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::placement::Placement;
use crate::import::onnx::tensor::Tensor;
use crate::import::onnx::value::{Signal, Value};
use crate::model::layer::Windows;

use super::constant;

/// ε where a node gives none, in the single precision in which ONNX has it.
const DEFAULT_EPSILON: f32 = 1e-5;

/// α A B + β C with A a value of the network.
pub(super) fn gemm(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let signal = call.take_signal(0)?;
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    if call.int("transA", 0)? != 0 {
        return Err(NodeFault::Batch { what: "it transposes a value of the network".to_owned() });
    }
    let (shape, values) = call.floats(1, "a constant matrix")?;
    let transposed = call.int("transB", 0)? != 0;
    let (&[rows, columns], &[inputs]) = (shape.as_slice(), signal.shape.as_slice()) else {
        let expected = "one axis per item against a matrix".to_owned();
        return Err(NodeFault::Shape { what: "the factors", expected, found: signal.shape });
    };
    let (expected, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
    fits(inputs, expected, &shape)?;
    checked_width(&[outputs])?;
    let weight = if transposed { values } else { flipped(&values, rows, columns) };
    let weight: Vec<f64> = weight.into_iter().map(|weight| alpha * weight).collect();
    let bias = gemm_bias(call, outputs)?.into_iter().map(|bias| beta * bias).collect();
    dense(call, signal, &weight, bias)
}

fn gemm_bias(call: &mut Call<'_, '_>, outputs: usize) -> Result<Vec<f64>, NodeFault> {
    if !call.has(2) {
        return Ok(vec![0.0; outputs]);
    }
    let (shape, values) = call.floats(2, "a constant")?;
    // The first of two axes would be the batch.
    if shape.len() == 2 && shape[0] != 1 {
        return Err(NodeFault::Batch { what: format!("the constant of shape {shape:?} differs from item to item") });
    }
    let numbers = constant::broadcast(&Tensor::floats(shape, values), &[1, outputs])?;
    Ok(Tensor { shape: vec![1, outputs], numbers }.to_floats().unwrap_or_default())
}

fn fits(found: usize, expected: usize, weight: &[usize]) -> Result<(), NodeFault> {
    if found == expected {
        return Ok(());
    }
    let expected = format!("{expected} values, to meet the matrix of shape {weight:?}");
    Err(NodeFault::Shape { what: "the last axis of its input", expected, found: vec![found] })
}

fn dense(call: &mut Call<'_, '_>, signal: Signal, weight: &[f64], bias: Vec<f64>) -> Result<Value, NodeFault> {
    call.context.spend(weight.len())?;
    let outputs = bias.len();
    call.extend(signal, |sequence| sequence.dense(weight, &bias), vec![outputs])
}

fn flipped(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// A value of the network times a constant matrix, along its last axis.
pub(super) fn matmul(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    if matches!((call.inputs.first(), call.inputs.get(1)), (Some(Some(Value::Signal(_))), Some(Some(Value::Signal(_)))))
    {
        return Err(NodeFault::Product);
    }
    let signal = call.take_signal(0)?;
    let (shape, values) = call.floats(1, "a constant matrix")?;
    let (&[inputs, outputs], Some((&last, rest))) = (shape.as_slice(), signal.shape.split_last()) else {
        return Err(NodeFault::Shape { what: "the second factor", expected: "a matrix".to_owned(), found: shape });
    };
    fits(last, inputs, &shape)?;
    let weight = flipped(&values, inputs, outputs);
    let places = checked_width(rest)?;
    checked_width(&[places, outputs])?;
    if places == 1 {
        let out = rest.iter().copied().chain([outputs]).collect::<Vec<_>>();
        let Value::Signal(mut flat) = dense(call, signal, &weight, vec![0.0; outputs])? else {
            return Err(NodeFault::Product);
        };
        flat.shape = out;
        return Ok(Value::Signal(flat));
    }
    everywhere(call, signal, &weight, [inputs, outputs], places)
}

/// The same matrix at every place: a 1×1 convolution between two transposes.
fn everywhere(
    call: &mut Call<'_, '_>,
    mut signal: Signal,
    weight: &[f64],
    [inputs, outputs]: [usize; 2],
    places: usize,
) -> Result<Value, NodeFault> {
    let mut out = signal.shape.clone();
    if let Some(last) = out.last_mut() {
        *last = outputs;
    }
    signal.shape = vec![places, inputs];
    let signal = signal.rearranged(&Placement::transpose(&[places, inputs], &[1, 0])?);
    let windows = Windows {
        input: [inputs, 1, places],
        output: [outputs, 1, places],
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
        groups: 1,
    };
    call.context.spend(weight.len())?;
    let bias = vec![0.0; outputs];
    let value = call.extend(signal, |sequence| sequence.convolution(windows, weight, &bias), vec![outputs, places])?;
    let Value::Signal(signal) = value else { return Ok(value) };
    let mut signal = signal.rearranged(&Placement::transpose(&[outputs, places], &[1, 0])?);
    signal.shape = out;
    Ok(Value::Signal(signal))
}

/// (x − mean) / √(variance + ε) · scale + bias, channel by channel, with the statistics of training.
pub(super) fn batch_normalisation(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let signal = call.take_signal(0)?;
    if call.int("training_mode", 0)? != 0 {
        let what = "batch normalisation in training mode".to_owned();
        return Err(NodeFault::Unsupported { what, instead: "export the model after model.eval()" });
    }
    if call.opset() < 9 && call.int("spatial", 1)? != 1 {
        return Err(Call::bad_attribute("spatial", 0, "1: one mean and variance per channel"));
    }
    let epsilon = call.float("epsilon", f64::from(DEFAULT_EPSILON))?;
    let channels = signal.shape.first().copied().unwrap_or(0);
    let per_channel = |position, expected| -> Result<Vec<f64>, NodeFault> {
        let (shape, values) = call.floats(position, expected)?;
        if values.len() != channels {
            let expected = format!("one number for each of {channels} channels");
            return Err(NodeFault::Shape { what: "a parameter of batch normalisation", expected, found: shape });
        }
        Ok(values)
    };
    let (gain, bias) = (per_channel(1, "a constant scale")?, per_channel(2, "a constant bias")?);
    let (mean, variance) = (per_channel(3, "a constant mean")?, per_channel(4, "a constant variance")?);
    let scale: Vec<f64> =
        gain.iter().zip(&variance).map(|(gain, variance)| gain / (variance + epsilon).sqrt()).collect();
    let shift = bias.iter().zip(mean.iter().zip(&scale)).map(|(bias, (mean, scale))| bias - mean * scale).collect();
    let (scale, shift) = (crate::import::onnx::call::finite(scale)?, crate::import::onnx::call::finite(shift)?);
    let shape = signal.shape.clone();
    call.extend(signal, |sequence| sequence.scale_and_shift(&scale, &shift), shape)
}
