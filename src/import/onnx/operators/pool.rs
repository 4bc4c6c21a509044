//! Maxima and means over windows.

use super::windows::{image, shaped, Automatic, Geometry};
use crate::import::onnx::call::{checked_width, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::value::{Signal, Value};
use crate::model::layer::{LayerShape, Map, Windows};
use crate::model::Activation;

struct Pool {
    signal: Signal,
    geometry: Geometry,
    windows: Windows,
    shape: Vec<usize>,
}

fn pool(call: &mut Call<'_, '_>) -> Result<Pool, NodeFault> {
    let signal = call.take_signal(0)?;
    let input = image(&signal.shape)?;
    let geometry = Geometry::of(call, signal.shape.len() - 1, None)?.padded(input);
    let ceil = call.int("ceil_mode", 0)? != 0 && geometry.automatic == Automatic::No;
    let output = [input[0], geometry.windows(0, input[1], ceil)?, geometry.windows(1, input[2], ceil)?];
    checked_width(&output)?;
    let windows = geometry.into_windows(input, output, input[0]);
    let shape = shaped(output, &signal.shape);
    Ok(Pool { signal, geometry, windows, shape })
}

pub(super) fn maximum(call: &mut Call<'_, '_>) -> Result<Vec<Value>, NodeFault> {
    let Pool { signal, windows, shape, .. } = pool(call)?;
    let value = call.extend(signal, |sequence| sequence.max_pool(windows), shape)?;
    Ok(vec![value, Value::Absent("the places of maxima, which are not supported")])
}

pub(super) fn global_maximum(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let signal = call.take_signal(0)?;
    let input = image(&signal.shape)?;
    let [channels, height, width] = input;
    let windows = Windows {
        input,
        output: [channels, 1, 1],
        kernel: [height, width],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
        groups: channels,
    };
    let shape = shaped([channels, 1, 1], &signal.shape);
    call.extend(signal, |sequence| sequence.max_pool(windows), shape)
}

/// A convolution that adds up each window, and a factor for each.
pub(super) fn average(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let Pool { signal, geometry, windows, shape } = pool(call)?;
    let with_padding = call.int("count_include_pad", 0)? != 0;
    let map = Map::Convolution(windows);
    LayerShape { map, activation: Activation::Identity }
        .check()
        .map_err(crate::import::sequence::SequenceError::from)?;
    let area = windows.kernel[0] * windows.kernel[1];
    call.context.spend(windows.input[0] * area)?;
    let rows = counted(&geometry, &windows, 0, with_padding);
    let columns = counted(&geometry, &windows, 1, with_padding);
    if rows.iter().chain(&columns).any(|&places| places == 0) {
        let expected = "at least one place of the image in every window".to_owned();
        return Err(NodeFault::Shape { what: "a mean over windows", expected, found: windows.output.to_vec() });
    }
    let of_image = rows.iter().flat_map(|row| columns.iter().map(move |column| area as f64 / (row * column) as f64));
    let factors: Vec<f64> = of_image.collect();
    let (weight, bias) = (vec![1.0 / area as f64; windows.input[0] * area], vec![0.0; windows.output[0]]);
    let append = |sequence: &mut crate::import::sequence::Sequence| {
        sequence.convolution(windows, &weight, &bias)?;
        if factors.iter().all(|factor| (factor - 1.0).abs() == 0.0) {
            return Ok(());
        }
        let factors: Vec<f64> = (0..windows.output[0]).flat_map(|_| factors.iter().copied()).collect();
        sequence.scale_and_shift(&factors, &[0.0])
    };
    call.extend(signal, append, shape)
}

/// How many places of each window count along an axis: those inside the image, or also those of its padding.
fn counted(geometry: &Geometry, windows: &Windows, axis: usize, with_padding: bool) -> Vec<usize> {
    let padded = windows.input[axis + 1] + geometry.begin[axis] + geometry.end[axis];
    let counts = |window: usize, offset: usize| {
        if with_padding {
            window * windows.stride[axis] + offset * windows.dilation[axis] < padded
        } else {
            windows.place(axis, window, offset).is_some()
        }
    };
    (0..windows.output[axis + 1])
        .map(|window| (0..windows.kernel[axis]).filter(|&offset| counts(window, offset)).count())
        .collect()
}
