//! Operators that move values: slices, transposes, padding and the like.

use super::constant;
use super::shape::resolve_axis;
use crate::import::onnx::call::{checked_width, count, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::formula::Step;
use crate::import::onnx::placement::{elements, identity, Placement};
use crate::import::onnx::tensor::{Numbers, Size, Tensor};
use crate::import::onnx::value::{Signal, Value};
use crate::model::layer::MAX_WIDTH;

type Sources = Vec<Option<usize>>;

/// Which part, and which place of it.
type Piece = (usize, usize);

fn moved(what: &str) -> NodeFault {
    NodeFault::Batch { what: what.to_owned() }
}

fn no_tensor(value: &Value) -> NodeFault {
    NodeFault::Input { position: 0, found: value.kind(), expected: "a constant or a value of the network" }
}

/// The tensor rearranged; where a place has no source, 0.
fn place(call: &mut Call<'_, '_>, value: Value, placement: &Placement) -> Result<Value, NodeFault> {
    // An index is two words.
    call.context.spend(2 * placement.index.len())?;
    match value {
        Value::Constant(tensor) => {
            let (shape, numbers) = (placement.shape.clone(), constant::place(&tensor.numbers, placement));
            let tensor = match numbers {
                Numbers::Sizes(values) => Tensor::sizes(shape, values),
                numbers => Tensor { shape, numbers },
            };
            Ok(Value::constant(tensor))
        }
        Value::Signal(signal) => {
            checked_width(&placement.shape)?;
            let signal = if placement.index.contains(&None) { plain(call, signal)? } else { signal };
            Ok(Value::Signal(signal.rearranged(placement)))
        }
        other => Err(no_tensor(&other)),
    }
}

/// The value with its formula made into layers.
fn plain(call: &mut Call<'_, '_>, signal: Signal) -> Result<Signal, NodeFault> {
    if signal.formula.is_identity() {
        return Ok(signal);
    }
    let shape = signal.shape.clone();
    match call.extend(signal, |_| Ok(()), shape)? {
        Value::Signal(signal) => Ok(signal),
        other => Err(no_tensor(&other)),
    }
}

/// Every place of every axis from itself.
fn unmoved(call: &Call<'_, '_>, shape: &[usize]) -> Result<Vec<Sources>, NodeFault> {
    call.context.spend(shape.iter().fold(0, |sum: usize, &size| sum.saturating_add(size)))?;
    Ok(shape.iter().map(|&size| identity(size)).collect())
}

/// Shape with the batch axis, if there is one, counted as an axis of size 1.
fn full_shape(value: &Value) -> Result<(bool, Vec<usize>), NodeFault> {
    let (batch, shape) = value.shape()?;
    Ok((batch, batch.then_some(1).into_iter().chain(shape.iter().copied()).collect()))
}

/// Rearranges along each axis of the full shape apart; the batch axis must stay.
fn axiswise(
    call: &mut Call<'_, '_>,
    value: Value,
    batch: bool,
    shape: &[usize],
    sources: &[Sources],
) -> Result<Value, NodeFault> {
    let from = usize::from(batch);
    let placement = Placement::axiswise(&shape[from..], &sources[from..])?;
    place(call, value, &placement)
}

pub(super) fn transpose(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = full_shape(&value)?;
    let rank = shape.len();
    let order = match call.ints("perm")? {
        Some(order) => order.iter().map(|&axis| resolve_axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().ne(0..rank) {
        return Err(Call::bad_attribute("perm", format!("{order:?}"), "every axis once"));
    }
    let order = match order.split_first() {
        Some((0, rest)) if batch => rest.iter().map(|axis| axis - 1).collect(),
        _ if batch => return Err(moved("it moves the batch to another axis")),
        _ => order,
    };
    let placement = Placement::transpose(if batch { &shape[1..] } else { &shape }, &order)?;
    place(call, value, &placement)
}

/// One axis of a slice.
struct Cut {
    axis: usize,
    start: i64,
    end: Size,
    step: i64,
}

pub(super) fn slice(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let (starts, ends, axes, steps) = if call.opset() < 10 {
        let list = |name: &str| call.ints(name);
        let missing = || Call::bad_attribute("starts", "missing", "starts and ends");
        let ends = list("ends")?.ok_or_else(missing)?.into_iter().map(Size::Known).collect();
        (list("starts")?.ok_or_else(missing)?, ends, list("axes")?, None)
    } else {
        let optional = |position, expected| -> Result<Option<Vec<i64>>, NodeFault> {
            call.has(position).then(|| call.integers(position, expected)).transpose()
        };
        let (starts, ends) = (call.integers(1, "constant starts")?, call.sizes(2, "constant ends")?);
        (starts, ends, optional(3, "constant axes")?, optional(4, "constant steps")?)
    };
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = full_shape(&value)?;
    let count = starts.len();
    let axes = match axes {
        Some(axes) => axes.iter().map(|&axis| resolve_axis(axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..count.min(shape.len())).collect(),
    };
    let steps = steps.unwrap_or_else(|| vec![1; count]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&length| length != count) {
        return Err(Call::bad_attribute(
            "starts",
            format!("of length {count}"),
            "as many starts, ends, axes and steps",
        ));
    }
    let mut sources = unmoved(call, &shape)?;
    for (place, &axis) in axes.iter().enumerate() {
        let cut = Cut { axis, start: starts[place], end: ends[place], step: steps[place] };
        if batch && axis == 0 {
            check_whole(&cut, call.context.batch)?;
        } else {
            sources[axis] = cut_places(&cut, shape[axis])?;
        }
    }
    axiswise(call, value, batch, &shape, &sources)
}

/// A slice of the batch axis must be all of it.
fn check_whole(cut: &Cut, batch: Option<i64>) -> Result<(), NodeFault> {
    let to_the_end = match cut.end {
        Size::Batch => true,
        Size::Known(end) => end >= i64::from(i32::MAX) || batch.is_some_and(|batch| end >= batch),
    };
    if cut.start == 0 && cut.step == 1 && to_the_end {
        return Ok(());
    }
    Err(moved(&format!("it cuts axis {} from {}", cut.axis, cut.start)))
}

fn cut_places(cut: &Cut, size: usize) -> Result<Sources, NodeFault> {
    let Size::Known(end) = cut.end else { return Err(moved("it cuts another axis at the size of the batch")) };
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let from_front = |place: i64| if place < 0 { place.saturating_add(size) } else { place };
    let (start, end) = (from_front(cut.start), from_front(end));
    let places: Vec<i64> = match cut.step {
        0 => return Err(Call::bad_attribute("steps", 0, "numbers other than 0")),
        step if step > 0 => {
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            (start.clamp(0, size)..end.clamp(0, size)).step_by(step).collect()
        }
        step => {
            let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
            let (start, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
            (end + 1..=start).rev().step_by(step).collect()
        }
    };
    Ok(places.into_iter().map(|place| usize::try_from(place).ok()).collect())
}

pub(super) fn gather(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let tensor = call.constant(1, "constant indices")?;
    let indices = call.integers(1, "constant indices")?;
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = full_shape(&value)?;
    let axis = resolve_axis(call.int("axis", 0)?, shape.len())?;
    if batch && axis == 0 {
        return Err(moved("it picks items of the batch"));
    }
    let size = i64::try_from(shape[axis]).unwrap_or(i64::MAX);
    let source = |index: i64| -> Result<Option<usize>, NodeFault> {
        let place = if index < 0 { index.saturating_add(size) } else { index };
        let place = usize::try_from(place).ok().filter(|&place| place < shape[axis]);
        place.map(Some).ok_or_else(|| Call::bad_attribute("index", index, "a place that the axis has"))
    };
    let mut sources = unmoved(call, &shape)?;
    sources[axis] = indices.into_iter().map(source).collect::<Result<_, _>>()?;
    let from = usize::from(batch);
    let mut placement = Placement::axiswise(&shape[from..], &sources[from..])?;
    // The axis is replaced by the axes of the indices: by none for a single number.
    placement.shape.splice(axis - from..=axis - from, tensor.shape.iter().copied());
    place(call, value, &placement)
}

pub(super) fn split(call: &mut Call<'_, '_>) -> Result<Vec<Value>, NodeFault> {
    let sizes = if call.has(1) { Some(call.integers(1, "constant sizes")?) } else { call.ints("split")? };
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = full_shape(&value)?;
    let axis = resolve_axis(call.int("axis", 0)?, shape.len())?;
    if batch && axis == 0 {
        return Err(moved("it splits the batch"));
    }
    let parts = call.node.output.len();
    let sizes = match sizes {
        Some(sizes) => sizes.iter().map(|&size| count(size, "split")).collect::<Result<Vec<_>, _>>()?,
        None => {
            // All parts are equal but the last, which may be smaller.
            let each = shape[axis].div_ceil(parts.max(1));
            (0..parts).map(|part| each.min(shape[axis].saturating_sub(part.saturating_mul(each)))).collect()
        }
    };
    if sizes.iter().fold(0, |sum: usize, &size| sum.saturating_add(size)) != shape[axis] || sizes.len() != parts {
        let found = format!("{sizes:?}");
        return Err(Call::bad_attribute("split", found, "one size per output that add up to the axis"));
    }
    let mut start = 0;
    let mut values = Vec::with_capacity(parts);
    for size in sizes {
        let mut sources = unmoved(call, &shape)?;
        sources[axis] = (start..start + size).map(Some).collect();
        start += size;
        values.push(axiswise(call, value.clone(), batch, &shape, &sources)?);
    }
    Ok(values)
}

pub(super) fn concat(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let mut values = Vec::with_capacity(call.inputs.len());
    for position in 0..call.inputs.len() {
        values.push(call.take(position, "a tensor")?);
    }
    let axis = call.int("axis", 0)?;
    if values.len() == 1 {
        return values.pop().ok_or(NodeFault::MissingInput { position: 0, expected: "a tensor" });
    }
    if values.iter().all(|value| matches!(value, Value::Constant(_))) {
        return concat_constants(call, &values, axis);
    }
    concat_signals(call, values, axis)
}

/// For each element of the result: which part it comes from, and from which place of it.
fn joined(shapes: &[&[usize]], axis: usize) -> Result<(Vec<usize>, Vec<Piece>), NodeFault> {
    let first = shapes.first().copied().unwrap_or_default();
    let mut shape = first.to_vec();
    let fits = |other: &[usize]| {
        other.len() == first.len() && (0..first.len()).all(|place| place == axis || other[place] == first[place])
    };
    if let Some(other) = shapes.iter().find(|other| !fits(other)) {
        let expected = format!("{first:?} except along axis {axis}");
        return Err(NodeFault::Shape { what: "a joined tensor", expected, found: other.to_vec() });
    }
    shape[axis] = shapes.iter().fold(0, |sum: usize, shape| sum.saturating_add(shape[axis]));
    let count = elements(&shape)?;
    let inner: usize = first[axis + 1..].iter().product();
    let outer: usize = first[..axis].iter().product();
    let mut sources = Vec::with_capacity(count);
    for row in 0..outer {
        for (part, shape) in shapes.iter().enumerate() {
            let length = shape[axis] * inner;
            sources.extend((0..length).map(|place| (part, row * length + place)));
        }
    }
    Ok((shape, sources))
}

fn concat_constants(call: &mut Call<'_, '_>, values: &[Value], axis: i64) -> Result<Value, NodeFault> {
    let tensors: Vec<&Tensor> = values
        .iter()
        .filter_map(|value| if let Value::Constant(tensor) = value { Some(&**tensor) } else { None })
        .collect();
    let shapes: Vec<&[usize]> = tensors.iter().map(|tensor| tensor.shape.as_slice()).collect();
    let axis = resolve_axis(axis, shapes.first().map_or(0, |shape| shape.len()))?;
    let (shape, sources) = joined(&shapes, axis)?;
    call.context.spend(sources.len())?;
    let sizes: Option<Vec<Vec<Size>>> = tensors.iter().map(|tensor| tensor.to_sizes()).collect();
    if let Some(sizes) = sizes {
        let values = sources.iter().map(|&(part, place)| sizes[part][place]).collect();
        return Ok(Value::constant(Tensor::sizes(shape, values)));
    }
    let floats: Option<Vec<Vec<f64>>> = tensors.iter().map(|tensor| tensor.to_floats()).collect();
    let floats = floats.ok_or_else(|| moved("it joins the size of the batch with real numbers"))?;
    let values = sources.iter().map(|&(part, place)| floats[part][place]).collect();
    Ok(Value::constant(Tensor::floats(shape, values)))
}

/// Parts of one value of the network, and zeros, put side by side.
fn concat_signals(call: &mut Call<'_, '_>, values: Vec<Value>, axis: i64) -> Result<Value, NodeFault> {
    let shapes = values.iter().map(full_shape).collect::<Result<Vec<_>, _>>()?;
    let shapes: Vec<&[usize]> = shapes.iter().map(|(_, shape)| shape.as_slice()).collect();
    let axis = resolve_axis(axis, shapes.first().map_or(0, |shape| shape.len()))?;
    if axis == 0 {
        return Err(moved("it joins batches"));
    }
    let (shape, sources) = joined(&shapes, axis)?;
    call.context.spend(checked_width(&shape)?)?;
    let mut base: Option<Signal> = None;
    let mut views = Vec::with_capacity(values.len());
    for value in values {
        let zeros = |width: usize| vec![None; width];
        match value {
            Value::Signal(signal) => {
                let same = base
                    .as_ref()
                    .is_none_or(|base| base.chain.number == signal.chain.number && base.formula == signal.formula);
                if !same {
                    return Err(NodeFault::SkipConnection);
                }
                views.push(signal.view.as_ref().map_or_else(|| identity(signal.width()), |view| view.to_vec()));
                base.get_or_insert(signal);
            }
            Value::Constant(tensor) if tensor.uniform() == Some(0.0) => views.push(zeros(tensor.len())),
            Value::Filled { value: 0.0, shape } => views.push(zeros(shape.iter().product())),
            other => return Err(no_tensor(&other)),
        }
    }
    let base = base.ok_or(NodeFault::SkipConnection)?;
    let index: Sources = sources.iter().map(|&(part, place)| views[part][place]).collect();
    if index.contains(&None) && !base.formula.is_identity() {
        return Err(NodeFault::SkipConnection);
    }
    let view = std::rc::Rc::new(index);
    Ok(Value::Signal(Signal { view: Some(view), shape: shape[1..].to_vec(), ..base }))
}

pub(super) fn pad(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let from_inputs = call.opset() >= 11;
    let pads = if from_inputs { call.integers(1, "constant pads")? } else { call.ints("pads")?.unwrap_or_default() };
    let filling = if !from_inputs {
        call.float("value", 0.0)?
    } else if call.has(2) {
        call.number(2, "one number")?
    } else {
        0.0
    };
    let axes = call.has(3).then(|| call.integers(3, "constant axes")).transpose()?;
    let mode = call.text("mode", "constant")?;
    let value = call.take(0, "a tensor")?;
    let (batch, shape) = full_shape(&value)?;
    let axes = match axes {
        Some(axes) => axes.iter().map(|&axis| resolve_axis(axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Call::bad_attribute("pads", format!("of length {}", pads.len()), "two numbers per axis"));
    }
    let mut sources = unmoved(call, &shape)?;
    for (place, &axis) in axes.iter().enumerate() {
        let (begin, end) = (pads[place], pads[place + axes.len()]);
        if batch && axis == 0 && (begin, end) != (0, 0) {
            return Err(moved("it pads the batch"));
        }
        sources[axis] = padded(shape[axis], begin, end, &mode)?;
    }
    let from = usize::from(batch);
    let placement = Placement::axiswise(&shape[from..], &sources[from..])?;
    match value {
        Value::Signal(signal) => {
            let signal = plain(call, signal)?;
            let padded = place(call, Value::Signal(signal), &placement)?;
            filled(call, padded, &placement, filling)
        }
        Value::Constant(_) if filling == 0.0 || !placement.index.contains(&None) => place(call, value, &placement),
        other => Err(no_tensor(&other)),
    }
}

/// The number that a padded constant is filled with, added where there was no source.
fn filled(call: &mut Call<'_, '_>, value: Value, placement: &Placement, filling: f64) -> Result<Value, NodeFault> {
    let Value::Signal(mut signal) = value else { return Ok(value) };
    if filling == 0.0 || !placement.index.contains(&None) {
        return Ok(Value::Signal(signal));
    }
    crate::import::onnx::call::finite(vec![filling])?;
    let shift: Vec<f64> = placement.index.iter().map(|source| if source.is_none() { filling } else { 0.0 }).collect();
    if !placement.index.iter().any(Option::is_some) {
        signal.formula.push(Step::Shift(filling))?;
        return Ok(Value::Signal(signal));
    }
    let shape = signal.shape.clone();
    call.extend(signal, |sequence| sequence.scale_and_shift(&[1.0], &shift), shape)
}

fn padded(size: usize, begin: i64, end: i64, mode: &str) -> Result<Sources, NodeFault> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let total = size.saturating_add(begin).saturating_add(end);
    let limit = i64::try_from(MAX_WIDTH).unwrap_or(i64::MAX);
    if total > limit || begin.saturating_abs() > limit {
        return Err(NodeFault::TooLarge { what: "a padded axis", limit: MAX_WIDTH });
    }
    let inside = |place: i64| (0..size).contains(&place);
    let source = |place: i64| -> Option<i64> {
        match mode {
            _ if inside(place) => Some(place),
            "edge" => Some(place.clamp(0, size - 1)),
            "wrap" => Some(place.rem_euclid(size)),
            "reflect" => {
                let period = 2 * (size - 1).max(1);
                let folded = place.rem_euclid(period);
                Some(folded.min(period - folded).min(size - 1))
            }
            _ => None,
        }
    };
    if !["constant", "edge", "wrap", "reflect"].contains(&mode) || (size == 0 && mode != "constant") {
        return Err(Call::bad_attribute("mode", mode, "constant, edge, reflect or wrap"));
    }
    Ok((0..total.max(0)).map(|place| source(place - begin).and_then(|place| usize::try_from(place).ok())).collect())
}

fn blocks(call: &mut Call<'_, '_>) -> Result<(Signal, [usize; 3], usize), NodeFault> {
    let signal = call.take_signal(0)?;
    let &[channels, height, width] = signal.shape.as_slice() else {
        let expected = "channels, height and width per item".to_owned();
        return Err(NodeFault::Shape { what: "its input", expected, found: signal.shape });
    };
    match count(call.int("blocksize", 0)?, "blocksize")? {
        block if block > 0 && block <= MAX_WIDTH => Ok((signal, [channels, height, width], block)),
        block => Err(Call::bad_attribute("blocksize", block, "a number from 1 to 2^22")),
    }
}

fn permuted(
    call: &mut Call<'_, '_>,
    signal: Signal,
    shape: &[usize],
    order: &[usize],
    out: [usize; 3],
) -> Result<Value, NodeFault> {
    let mut placement = Placement::transpose(shape, order)?;
    placement.shape = out.to_vec();
    place(call, Value::Signal(signal), &placement)
}

pub(super) fn depth_to_space(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let (signal, [channels, height, width], block) = blocks(call)?;
    let outputs = channels / (block * block);
    if outputs == 0 || !channels.is_multiple_of(block * block) {
        return Err(Call::bad_attribute("blocksize", block, "a number whose square divides the channels"));
    }
    let out = [outputs, height * block, width * block];
    match call.text("mode", "DCR")?.as_str() {
        "DCR" => permuted(call, signal, &[block, block, outputs, height, width], &[2, 3, 0, 4, 1], out),
        "CRD" => permuted(call, signal, &[outputs, block, block, height, width], &[0, 3, 1, 4, 2], out),
        other => Err(Call::bad_attribute("mode", other, "DCR or CRD")),
    }
}

pub(super) fn space_to_depth(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let (signal, [channels, height, width], block) = blocks(call)?;
    if !height.is_multiple_of(block) || !width.is_multiple_of(block) {
        return Err(Call::bad_attribute("blocksize", block, "a number that divides height and width"));
    }
    let (rows, columns) = (height / block, width / block);
    let out = [channels * block * block, rows, columns];
    permuted(call, signal, &[channels, rows, block, columns, block], &[2, 4, 0, 1, 3], out)
}
