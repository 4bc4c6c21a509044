//! Convolutions and their transposes.

use super::windows::{halves, image, pair, shaped, Automatic, Geometry};
use crate::import::onnx::call::{checked_width, count, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::value::Value;
use crate::model::layer::MAX_WIDTH;

fn bias(call: &Call<'_, '_>, channels: usize) -> Result<Vec<f64>, NodeFault> {
    if !call.has(2) {
        return Ok(vec![0.0; channels]);
    }
    let (shape, bias) = call.floats(2, "a constant bias")?;
    if bias.len() == channels {
        return Ok(bias);
    }
    let expected = format!("one number for each of {channels} channels");
    Err(NodeFault::Shape { what: "the bias", expected, found: shape })
}

fn groups(call: &Call<'_, '_>) -> Result<usize, NodeFault> {
    match count(call.int("group", 1)?, "group")? {
        0 => Err(Call::bad_attribute("group", 0, "a number of at least 1")),
        groups => Ok(groups),
    }
}

fn weight_axes(shape: &[usize], image_axes: usize) -> Result<(usize, usize, &[usize]), NodeFault> {
    match shape {
        [first, second, kernel @ ..] if kernel.len() == image_axes => Ok((*first, *second, kernel)),
        _ => {
            let expected = format!("{} axes", image_axes + 2);
            Err(NodeFault::Shape { what: "the weights", expected, found: shape.to_vec() })
        }
    }
}

fn channels_fit(expected: usize, found: usize, weight: &[usize]) -> Result<(), NodeFault> {
    if expected == found {
        return Ok(());
    }
    let expected = format!("{expected}, to meet weights of shape {weight:?}");
    Err(NodeFault::Shape { what: "the number of input channels", expected, found: vec![found] })
}

pub(super) fn convolution(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let signal = call.take_signal(0)?;
    let input = image(&signal.shape)?;
    let axes = signal.shape.len() - 1;
    let (shape, weight) = call.floats(1, "constant weights")?;
    let (outputs, inputs_each, kernel) = weight_axes(&shape, axes)?;
    let groups = groups(call)?;
    channels_fit(inputs_each.saturating_mul(groups), input[0], &shape)?;
    let geometry = Geometry::of(call, axes, Some(kernel))?.padded(input);
    let output = [outputs, geometry.windows(0, input[1], false)?, geometry.windows(1, input[2], false)?];
    checked_width(&output)?;
    let bias = bias(call, outputs)?;
    call.context.spend(weight.len())?;
    let windows = geometry.into_windows(input, output, groups);
    let out = shaped(output, &signal.shape);
    call.extend(signal, |sequence| sequence.convolution(windows, &weight, &bias), out)
}

pub(super) fn transposed(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let signal = call.take_signal(0)?;
    let input = image(&signal.shape)?;
    let axes = signal.shape.len() - 1;
    let (shape, weight) = call.floats(1, "constant weights")?;
    let (inputs, outputs_each, kernel) = weight_axes(&shape, axes)?;
    channels_fit(inputs, input[0], &shape)?;
    let groups = groups(call)?;
    let outputs = outputs_each.saturating_mul(groups);
    let mut geometry = Geometry::of(call, axes, Some(kernel))?;
    let sizes = transposed_sizes(call, &mut geometry, input, axes)?;
    let output = [outputs, sizes[0], sizes[1]];
    checked_width(&output)?;
    let bias = bias(call, outputs)?;
    call.context.spend(weight.len())?;
    let windows = geometry.into_windows(input, output, groups);
    let out = shaped(output, &signal.shape);
    call.extend(signal, |sequence| sequence.transposed_convolution(windows, &weight, &bias), out)
}

/// Height and width of the output; sets the padding where the output's size is given and not the padding.
fn transposed_sizes(
    call: &Call<'_, '_>,
    geometry: &mut Geometry,
    input: [usize; 3],
    axes: usize,
) -> Result<[usize; 2], NodeFault> {
    let attribute = |name: &str, neutral| -> Result<Option<[usize; 2]>, NodeFault> {
        let Some(values) = call.ints(name)? else { return Ok(None) };
        // Some writers put batch and channels in front of the sizes.
        let values = if values.len() == axes + 2 { &values[2..] } else { &values[..] };
        pair(name, values, axes, neutral).map(Some)
    };
    let extra = attribute("output_padding", 0)?.unwrap_or([0, 0]);
    let wanted = attribute("output_shape", 1)?;
    let mut sizes = [0; 2];
    for axis in 0..2 {
        let (size, stride) = (input[axis + 1], geometry.stride[axis]);
        let full = size.saturating_sub(1).saturating_mul(stride);
        let full = full.saturating_add(extra[axis]).saturating_add(geometry.extent(axis));
        let same = matches!(geometry.automatic, Automatic::SameUpper | Automatic::SameLower);
        let fixed = wanted.map(|wanted| wanted[axis]).or_else(|| same.then(|| size.saturating_mul(stride)));
        sizes[axis] = if let Some(fixed) = fixed {
            (geometry.begin[axis], geometry.end[axis]) = halves(full.saturating_sub(fixed), geometry.automatic);
            fixed
        } else {
            full.checked_sub(geometry.begin[axis] + geometry.end[axis]).ok_or_else(|| NodeFault::Shape {
                what: "the output without its padding",
                expected: "at least one place".to_owned(),
                found: vec![full],
            })?
        };
        if sizes[axis] > MAX_WIDTH || geometry.begin[axis] > MAX_WIDTH {
            return Err(NodeFault::TooLarge { what: "the output of the transposed convolution", limit: MAX_WIDTH });
        }
    }
    Ok(sizes)
}
