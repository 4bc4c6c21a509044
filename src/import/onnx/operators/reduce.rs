//! Sums and means over whole axes.

use super::constant;
use crate::import::onnx::call::{checked_width, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::placement::Placement;
use crate::import::onnx::tensor::{Numbers, Tensor};
use crate::import::onnx::value::{Signal, Value};
use crate::model::layer::Windows;

use super::shape::resolve_axes;

pub(super) fn global_average(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let signal = call.take_signal(0)?;
    let axes: Vec<usize> = (1..signal.shape.len()).collect();
    over(call, signal, &axes, true, true)
}

/// Means and sums of values of the network; of constants also products and extremes.
pub(super) fn reduce(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let operator = call.node.op_type.clone();
    let axes = if call.has(1) { Some(call.integers(1, "constant axes")?) } else { call.ints("axes")? };
    let keep = call.int("keepdims", 1)? != 0;
    let none_means_none = call.int("noop_with_empty_axes", 0)? != 0;
    let axes = axes.filter(|axes| !axes.is_empty());
    match call.take(0, "a tensor")? {
        value if axes.is_none() && none_means_none => Ok(value),
        Value::Constant(tensor) => constants(call, &operator, &tensor, axes, keep),
        Value::Signal(signal) => {
            let axes = axes.ok_or_else(|| NodeFault::Batch { what: "it reduces over all axes".to_owned() })?;
            let mut axes = resolve_axes(&axes, signal.shape.len() + 1)?;
            if axes.contains(&0) {
                return Err(NodeFault::Batch { what: "it reduces over axis 0".to_owned() });
            }
            axes.iter_mut().for_each(|axis| *axis -= 1);
            match operator.as_str() {
                "ReduceMean" => over(call, signal, &axes, keep, true),
                "ReduceSum" => over(call, signal, &axes, keep, false),
                _ => Err(NodeFault::Unsupported {
                    what: format!("{operator} of a value of the network"),
                    instead: "only ReduceMean and ReduceSum are read",
                }),
            }
        }
        other => Err(NodeFault::Input { position: 0, found: other.kind(), expected: "a value of the network" }),
    }
}

/// The mean or sum over some axes (batch not counted): a convolution whose one window is all of them.
fn over(call: &mut Call<'_, '_>, signal: Signal, axes: &[usize], keep: bool, mean: bool) -> Result<Value, NodeFault> {
    let shape = signal.shape.clone();
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let order: Vec<usize> = kept.iter().copied().chain((0..shape.len()).filter(|axis| axes.contains(axis))).collect();
    let channels: usize = kept.iter().map(|&axis| shape[axis]).product();
    let places = checked_width(&shape)? / channels.max(1);
    call.context.spend(signal.width())?;
    let signal = signal.rearranged(&Placement::transpose(&shape, &order)?);
    let windows = Windows {
        input: [channels, 1, places],
        output: [channels, 1, 1],
        kernel: [1, places],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
        groups: channels,
    };
    let weight = vec![if mean { 1.0 / places as f64 } else { 1.0 }; channels * places];
    let out: Vec<usize> = if keep {
        (0..shape.len()).map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] }).collect()
    } else {
        kept.iter().map(|&axis| shape[axis]).collect()
    };
    let bias = vec![0.0; channels];
    call.extend(signal, |sequence| sequence.convolution(windows, &weight, &bias), out)
}

fn constants(
    call: &mut Call<'_, '_>,
    operator: &str,
    tensor: &Tensor,
    axes: Option<Vec<i64>>,
    keep: bool,
) -> Result<Value, NodeFault> {
    let rank = tensor.shape.len();
    let axes = axes.map_or_else(|| Ok((0..rank).collect()), |axes| resolve_axes(&axes, rank))?;
    call.context.spend(tensor.len())?;
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let order: Vec<usize> = kept.iter().chain(&axes).copied().collect();
    let placement = Placement::transpose(&tensor.shape, &order)?;
    let count: usize = axes.iter().map(|&axis| tensor.shape[axis]).product();
    if count == 0 {
        let expected = "axes that are not empty".to_owned();
        return Err(NodeFault::Shape { what: "what is reduced", expected, found: tensor.shape.clone() });
    }
    let shape: Vec<usize> = if keep {
        (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { tensor.shape[axis] }).collect()
    } else {
        kept.iter().map(|&axis| tensor.shape[axis]).collect()
    };
    let numbers = match constant::place(&tensor.numbers, &placement) {
        Numbers::Float(values) => Numbers::Float(values.chunks(count).map(|part| floats(operator, part)).collect()),
        Numbers::Int(values) => {
            let results: Option<Vec<i64>> = values.chunks(count).map(|part| integers(operator, part)).collect();
            Numbers::Int(results.ok_or_else(|| NodeFault::Unsupported {
                what: "integer arithmetic beyond 64 bits".to_owned(),
                instead: "export the model again with constant folding",
            })?)
        }
        Numbers::Sizes(_) => {
            return Err(NodeFault::Batch { what: "it computes with the size of the batch".to_owned() })
        }
    };
    Ok(Value::constant(Tensor { shape, numbers }))
}

fn floats(operator: &str, part: &[f64]) -> f64 {
    match operator {
        "ReduceSum" => part.iter().sum(),
        "ReduceProd" => part.iter().product(),
        "ReduceMax" => part.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "ReduceMin" => part.iter().copied().fold(f64::INFINITY, f64::min),
        _ => part.iter().sum::<f64>() / part.len() as f64,
    }
}

fn integers(operator: &str, part: &[i64]) -> Option<i64> {
    match operator {
        "ReduceProd" => part.iter().try_fold(1_i64, |product, &value| product.checked_mul(value)),
        "ReduceMax" => part.iter().copied().max(),
        "ReduceMin" => part.iter().copied().min(),
        _ => {
            let sum = part.iter().try_fold(0_i64, |sum, &value| sum.checked_add(value))?;
            Some(if operator == "ReduceMean" { sum / i64::try_from(part.len()).ok()? } else { sum })
        }
    }
}
