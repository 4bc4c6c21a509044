//! Operators that change shapes and no values.

use std::rc::Rc;

use super::constant;
use crate::import::onnx::call::{checked_width, count, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::placement::{common_shape, elements, Placement, MAX_AXES};
use crate::import::onnx::tensor::{Size, Tensor};
use crate::import::onnx::value::Value;

/// Axes counted from the front, sorted, each once.
pub(super) fn resolve_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, NodeFault> {
    if axes.len() > MAX_AXES {
        return Err(NodeFault::TooLarge { what: "the number of axes", limit: MAX_AXES });
    }
    let mut resolved = axes.iter().map(|&axis| resolve_axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    resolved.sort_unstable();
    resolved.dedup();
    Ok(resolved)
}

/// An axis counted from the front; negative ones are counted from the back.
pub(super) fn resolve_axis(axis: i64, rank: usize) -> Result<usize, NodeFault> {
    let size = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_front = if axis < 0 { axis.saturating_add(size) } else { axis };
    let resolved = usize::try_from(from_front).ok().filter(|&axis| axis < rank);
    resolved.ok_or_else(|| Call::bad_attribute("axis", axis, "an axis that the value has"))
}

fn no_batch(what: &str) -> NodeFault {
    NodeFault::Batch { what: what.to_owned() }
}

/// The value with another shape (batch axis not counted) and as many elements.
fn with_shape(value: Value, shape: Vec<usize>) -> Value {
    match value {
        Value::Constant(tensor) => {
            let numbers = Rc::try_unwrap(tensor).map_or_else(|shared| shared.numbers.clone(), |tensor| tensor.numbers);
            Value::constant(Tensor { shape, numbers })
        }
        Value::Signal(mut signal) => {
            signal.shape = shape;
            Value::Signal(signal)
        }
        Value::Filled { value, .. } => Value::Filled { value, shape },
        Value::Noise { .. } => Value::Noise { shape },
        Value::Disturbance { mut std } => {
            std.shape = shape;
            Value::Disturbance { std }
        }
        other => other,
    }
}

/// The full shape as sizes, the batch axis included.
fn full_sizes(value: &Value) -> Result<Vec<Size>, NodeFault> {
    let (batch, shape) = value.shape()?;
    let known = shape.iter().map(|&size| Size::Known(i64::try_from(size).unwrap_or(i64::MAX)));
    Ok(batch.then_some(Size::Batch).into_iter().chain(known).collect())
}

pub(super) fn shape(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let sizes = full_sizes(&call.take(0, "a tensor")?)?;
    let rank = i64::try_from(sizes.len()).unwrap_or(i64::MAX);
    let bound = |value: i64| -> usize {
        let value = if value < 0 { value.saturating_add(rank) } else { value };
        usize::try_from(value.clamp(0, rank)).unwrap_or(0)
    };
    let (start, end) = (bound(call.int("start", 0)?), bound(call.int("end", i64::MAX)?));
    let sizes = sizes.get(start..end).unwrap_or_default().to_vec();
    Ok(Value::constant(Tensor::sizes(vec![sizes.len()], sizes)))
}

pub(super) fn size(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    match call.take(0, "a tensor")? {
        Value::Constant(tensor) => {
            let length = i64::try_from(tensor.len()).unwrap_or(i64::MAX);
            Ok(Value::constant(Tensor::integers(vec![], vec![length])))
        }
        _ => Err(no_batch("it computes with the size of the batch")),
    }
}

/// Nothing happens outside of training.
pub(super) fn dropout(call: &mut Call<'_, '_>) -> Result<Vec<Value>, NodeFault> {
    if call.has(2) && call.number(2, "whether the model is in training")? != 0.0 {
        let what = "dropout in training mode".to_owned();
        return Err(NodeFault::Unsupported { what, instead: "export the model after model.eval()" });
    }
    Ok(vec![call.take(0, "a tensor")?, Value::Absent("the mask of a dropout, which is not supported")])
}

pub(super) fn flatten(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = value.shape()?;
    let rank = shape.len() + usize::from(batch);
    let axis = call.int("axis", 1)?;
    // One past the last axis is allowed here.
    let axis = if usize::try_from(axis).ok() == Some(rank) { rank } else { resolve_axis(axis, rank)? };
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    if !batch {
        let new = vec![product(&shape[..axis]), product(&shape[axis..])];
        return Ok(with_shape(value, new));
    }
    if axis == 0 || product(&shape[..axis - 1]) != 1 {
        return Err(no_batch("it flattens the batch axis and others together"));
    }
    let new = vec![product(&shape[axis - 1..])];
    Ok(with_shape(value, new))
}

pub(super) fn reshape(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let target = if call.opset() < 5 || !call.has(1) {
        let shape = call.ints("shape")?.unwrap_or_default();
        shape.into_iter().map(Size::Known).collect()
    } else {
        call.sizes(1, "a shape that is constant, apart from the batch")?
    };
    let zero_copies = call.int("allowzero", 0)? == 0;
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = value.shape()?;
    let new = if batch {
        reshaped_items(shape, &target, zero_copies, call.context.batch)?
    } else {
        reshaped(shape, &target, zero_copies)?
    };
    Ok(with_shape(value, new))
}

/// The shape of one item after a reshape that keeps items apart.
fn reshaped_items(
    shape: &[usize],
    target: &[Size],
    zero_copies: bool,
    batch: Option<i64>,
) -> Result<Vec<usize>, NodeFault> {
    let mixes = || no_batch("it reshapes the batch axis together with others");
    let (first, rest) = target.split_first().ok_or_else(mixes)?;
    // An exporter that saw one item at a time writes 1 for the batch.
    let (keeps, open) = match *first {
        Size::Batch => (true, false),
        Size::Known(0) => (zero_copies, false),
        Size::Known(-1) => (true, true),
        Size::Known(size) => (size == 1 || Some(size) == batch, false),
    };
    let inferred = rest.contains(&Size::Known(-1));
    if !keeps || (open && inferred) {
        return Err(mixes());
    }
    let new = fill(rest, zero_copies.then_some(shape), elements(shape)?)?;
    new.ok_or_else(mixes)
}

fn reshaped(shape: &[usize], target: &[Size], zero_copies: bool) -> Result<Vec<usize>, NodeFault> {
    let new = fill(target, zero_copies.then_some(shape), elements(shape)?)?;
    new.ok_or_else(|| NodeFault::Shape {
        what: "the shape of a constant",
        expected: format!("one that can be reshaped to {target:?}"),
        found: shape.to_vec(),
    })
}

/// Sizes with 0 and −1 resolved; none if they do not hold `count` elements.
fn fill(target: &[Size], copied: Option<&[usize]>, count_of_elements: usize) -> Result<Option<Vec<usize>>, NodeFault> {
    let mut open = None;
    let mut new = Vec::with_capacity(target.len());
    for (place, size) in target.iter().enumerate() {
        new.push(match *size {
            Size::Batch => return Err(no_batch("it moves the batch to another axis")),
            Size::Known(0) => match copied {
                Some(shape) => match shape.get(place) {
                    Some(&size) => size,
                    None => return Ok(None),
                },
                None => 0,
            },
            Size::Known(-1) if open.is_none() => {
                open = Some(place);
                1
            }
            Size::Known(size) => count(size, "shape")?,
        });
    }
    let product = new.iter().fold(1_usize, |product, &size| product.saturating_mul(size));
    if let Some(place) = open {
        if product == 0 || !count_of_elements.is_multiple_of(product) {
            return Ok(None);
        }
        new[place] = count_of_elements / product;
        elements(&new)?;
        return Ok(Some(new));
    }
    elements(&new)?;
    Ok((product == count_of_elements).then_some(new))
}

fn axes_of(call: &Call<'_, '_>) -> Result<Option<Vec<i64>>, NodeFault> {
    if call.has(1) {
        return call.integers(1, "constant axes").map(Some);
    }
    call.ints("axes")
}

pub(super) fn squeeze(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let axes = axes_of(call)?;
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = value.shape()?;
    let offset = usize::from(batch);
    let axes = match axes {
        Some(axes) => resolve_axes(&axes, shape.len() + offset)?,
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).map(|axis| axis + offset).collect(),
    };
    if batch && axes.contains(&0) {
        return Err(no_batch("it drops the batch axis"));
    }
    if let Some(&axis) = axes.iter().find(|&&axis| shape[axis - offset] != 1) {
        let expected = format!("size 1 at axis {}", axis - offset);
        return Err(NodeFault::Shape { what: "the squeezed value", expected, found: shape.to_vec() });
    }
    let new = (0..shape.len()).filter(|axis| !axes.contains(&(axis + offset))).map(|axis| shape[axis]).collect();
    Ok(with_shape(value, new))
}

pub(super) fn unsqueeze(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let axes = axes_of(call)?.ok_or(NodeFault::MissingInput { position: 1, expected: "axes" })?;
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = value.shape()?;
    let offset = usize::from(batch);
    let rank = shape.len() + offset + axes.len();
    let axes = resolve_axes(&axes, rank)?;
    if batch && axes.contains(&0) {
        return Err(no_batch("it puts an axis in front of the batch"));
    }
    let mut sizes = shape.iter().copied();
    let new = (offset..rank).map(|axis| if axes.contains(&axis) { 1 } else { sizes.next().unwrap_or(1) }).collect();
    Ok(with_shape(value, new))
}

/// Broadcasting to a given shape.
pub(super) fn expand(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let target = call.sizes(1, "a constant shape")?;
    let value = call.take(0, "a tensor")?;
    let known = |sizes: &[Size]| -> Result<Vec<usize>, NodeFault> {
        sizes
            .iter()
            .map(|size| match size {
                Size::Known(size) => count(*size, "shape"),
                Size::Batch => Err(no_batch("it expands another axis to the size of the batch")),
            })
            .collect()
    };
    let misfit = |shape: &[usize]| NodeFault::Shape {
        what: "the expanded value",
        expected: format!("a shape that broadcasts with {target:?}"),
        found: shape.to_vec(),
    };
    match value {
        Value::Constant(tensor) => {
            if let (Some((Size::Batch, rest)), Some(number)) = (target.split_first(), tensor.uniform()) {
                let shape = known(rest)?;
                let items = if tensor.shape.len() > rest.len() { &tensor.shape[1..] } else { &tensor.shape[..] };
                let shape = common_shape(items, &shape).ok_or_else(|| misfit(&tensor.shape))?;
                checked_width(&shape)?;
                return Ok(Value::Filled { value: number, shape });
            }
            let shape = common_shape(&tensor.shape, &known(&target)?).ok_or_else(|| misfit(&tensor.shape))?;
            call.context.spend(elements(&shape)?)?;
            let numbers = constant::broadcast(&tensor, &shape)?;
            Ok(Value::constant(Tensor { shape, numbers }))
        }
        Value::Signal(signal) => {
            let rest = match target.get(..target.len().saturating_sub(signal.shape.len())) {
                Some([]) => &target[..],
                Some([Size::Batch | Size::Known(1)]) => &target[1..],
                Some([Size::Known(size)]) if Some(*size) == call.context.batch => &target[1..],
                _ => return Err(no_batch("it repeats items")),
            };
            let shape = common_shape(&signal.shape, &known(rest)?).ok_or_else(|| misfit(&signal.shape))?;
            call.context.spend(checked_width(&shape)?)?;
            let placement = Placement::broadcast(&signal.shape, &shape)?.ok_or_else(|| misfit(&signal.shape))?;
            Ok(Value::Signal(signal.rearranged(&placement)))
        }
        other => Ok(other),
    }
}
