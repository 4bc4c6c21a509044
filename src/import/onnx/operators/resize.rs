//! Nearest neighbours.

use crate::import::onnx::call::{checked_width, Call};
use crate::import::onnx::error::NodeFault;
use crate::import::onnx::placement::{identity, Placement};
use crate::import::onnx::value::Value;
use crate::model::layer::MAX_WIDTH;

use super::shape::resolve_axis;

/// How a place of the output becomes a coordinate of the input, and that a place.
struct Rule {
    coordinates: String,
    rounding: String,
}

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    size: usize,
    resized: usize,
    scale: f64,
    /// Part of the axis that is kept, for `tf_crop_and_resize`.
    region: [f64; 2],
}

impl Axis {
    /// Whether nothing is cut off, nothing added.
    fn is_whole(&self) -> bool {
        let [start, end] = self.region;
        start.abs() == 0.0 && (end - 1.0).abs() == 0.0
    }
}

pub(super) fn nearest(call: &mut Call<'_, '_>) -> Result<Value, NodeFault> {
    let mode = call.text("mode", "nearest")?;
    if mode != "nearest" {
        let what = format!("interpolation of the kind {mode:?}");
        return Err(NodeFault::Unsupported { what, instead: "only nearest neighbours are read" });
    }
    let new_style = call.node.op_type == "Resize" && call.opset() >= 11;
    let rule = if new_style {
        Rule {
            coordinates: call.text("coordinate_transformation_mode", "half_pixel")?,
            rounding: call.text("nearest_mode", "round_prefer_floor")?,
        }
    } else {
        Rule { coordinates: "asymmetric".to_owned(), rounding: "floor".to_owned() }
    };
    let signal = call.take_signal(0)?;
    let shape: Vec<usize> = std::iter::once(1).chain(signal.shape.iter().copied()).collect();
    let axes = axes(call, &shape, new_style, &rule)?;
    if axes[0].resized != 1 || !axes[0].is_whole() {
        return Err(NodeFault::Batch { what: "it resizes the batch".to_owned() });
    }
    checked_width(&axes.iter().map(|axis| axis.resized).collect::<Vec<_>>())?;
    let outside = call.float("extrapolation_value", 0.0)?;
    let sources = axes[1..].iter().map(|axis| places(axis, &rule)).collect::<Result<Vec<_>, _>>()?;
    if outside != 0.0 && sources.iter().flatten().any(Option::is_none) {
        return Err(Call::bad_attribute("extrapolation_value", outside, "0"));
    }
    let placement = Placement::axiswise(&shape[1..], &sources)?;
    call.context.spend(placement.index.len())?;
    if placement.index.contains(&None) && !signal.formula.is_identity() {
        let out = signal.shape.clone();
        let Value::Signal(signal) = call.extend(signal, |_| Ok(()), out)? else { return Err(NodeFault::Product) };
        return Ok(Value::Signal(signal.rearranged(&placement)));
    }
    Ok(Value::Signal(signal.rearranged(&placement)))
}

/// Sizes and scales of all axes, the batch's too.
fn axes(call: &mut Call<'_, '_>, shape: &[usize], new_style: bool, rule: &Rule) -> Result<Vec<Axis>, NodeFault> {
    let given = |call: &Call<'_, '_>, position: usize| -> Result<Option<Vec<f64>>, NodeFault> {
        if !call.has(position) {
            return Ok(None);
        }
        let (_, values) = call.floats(position, "constant numbers")?;
        Ok(Some(values).filter(|values| !values.is_empty()))
    };
    let which = match call.ints("axes")? {
        Some(axes) => axes.iter().map(|&axis| resolve_axis(axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    let policy = call.text("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return Err(Call::bad_attribute("keep_aspect_ratio_policy", policy, "stretch"));
    }
    let (scales, sizes, region) = if new_style {
        let sizes = if call.has(3) { Some(call.sizes(3, "constant sizes")?) } else { None };
        (given(call, 2)?, sizes, given(call, 1)?)
    } else if call.has(1) {
        (given(call, 1)?, None, None)
    } else {
        (call.float_list("scales")?, None, None)
    };
    let region = region.filter(|_| rule.coordinates == "tf_crop_and_resize");
    let mut axes: Vec<Axis> =
        shape.iter().map(|&size| Axis { size, resized: size, scale: 1.0, region: [0.0, 1.0] }).collect();
    let count = scales.as_ref().map(Vec::len).or(sizes.as_ref().map(Vec::len)).unwrap_or(0);
    if count != which.len() || region.as_ref().is_some_and(|region| region.len() != 2 * count) {
        return Err(Call::bad_attribute("scales", format!("{count} numbers"), "one scale or size per axis"));
    }
    for (place, &axis) in which.iter().enumerate() {
        let part = region.as_ref().map_or([0.0, 1.0], |region| [region[place], region[place + count]]);
        let size = shape[axis];
        let sized = sizes.as_ref().filter(|_| scales.is_none()).map(|sizes| sizes[place]);
        axes[axis] = match (sized, &scales) {
            (Some(resized), _) => of_size(size, resized, part, call.context.batch.filter(|_| axis == 0))?,
            (None, Some(scales)) => of_scale(size, scales[place], part)?,
            (None, None) => axes[axis],
        };
    }
    Ok(axes)
}

fn of_size(
    size: usize,
    resized: crate::import::onnx::tensor::Size,
    region: [f64; 2],
    batch: Option<i64>,
) -> Result<Axis, NodeFault> {
    use crate::import::onnx::tensor::Size;
    let resized = match resized {
        Size::Batch => size,
        Size::Known(resized) if Some(resized) == batch => size,
        Size::Known(resized) => crate::import::onnx::call::count(resized, "sizes")?,
    };
    if resized > MAX_WIDTH {
        return Err(NodeFault::TooLarge { what: "a resized axis", limit: MAX_WIDTH });
    }
    Ok(Axis { size, resized, scale: resized as f64 / size.max(1) as f64, region })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn of_scale(size: usize, scale: f64, region: [f64; 2]) -> Result<Axis, NodeFault> {
    if scale <= 0.0 {
        return Err(Call::bad_attribute("scales", scale, "numbers above 0"));
    }
    let resized = (size as f64 * (region[1] - region[0]) * scale).floor();
    if resized > MAX_WIDTH as f64 {
        return Err(NodeFault::TooLarge { what: "a resized axis", limit: MAX_WIDTH });
    }
    Ok(Axis { size, resized: resized as usize, scale, region })
}

/// The place of the input that each place of the output shows.
fn places(axis: &Axis, rule: &Rule) -> Result<Vec<Option<usize>>, NodeFault> {
    if axis.resized == axis.size && axis.is_whole() && (axis.scale - 1.0).abs() == 0.0 {
        return Ok(identity(axis.size));
    }
    (0..axis.resized)
        .map(|place| {
            let coordinate = coordinate(axis, place, &rule.coordinates)?;
            let last = axis.size.saturating_sub(1) as f32;
            if rule.coordinates == "tf_crop_and_resize" && !(0.0..=last).contains(&coordinate) {
                return Ok(None);
            }
            rounded(coordinate, last, &rule.rounding).map(Some)
        })
        .collect()
}

/// Resize's formulas, as its specification has them, in the single precision of runtimes: at a tie the last bit decides
/// which neighbour is the nearest, and the model was trained and judged with theirs.
#[allow(clippy::cast_possible_truncation)]
fn coordinate(axis: &Axis, place: usize, rule: &str) -> Result<f32, NodeFault> {
    let (place, size, resized, scale) = (place as f32, axis.size as f32, axis.resized as f32, axis.scale as f32);
    let half_pixel = (place + 0.5) / scale - 0.5;
    Ok(match rule {
        "half_pixel" => half_pixel,
        "half_pixel_symmetric" => {
            let adjustment = resized / (scale * size);
            let centre = size / 2.0;
            centre * (1.0 - adjustment) + half_pixel
        }
        "pytorch_half_pixel" => {
            if resized > 1.0 {
                half_pixel
            } else {
                0.0
            }
        }
        "align_corners" => {
            if resized > 1.0 {
                place * (size - 1.0) / (resized - 1.0)
            } else {
                0.0
            }
        }
        "asymmetric" => place / scale,
        "tf_half_pixel_for_nn" => (place + 0.5) / scale,
        "tf_crop_and_resize" => {
            let [start, end] = axis.region.map(|bound| bound as f32);
            if resized > 1.0 {
                start * (size - 1.0) + place * (end - start) * (size - 1.0) / (resized - 1.0)
            } else {
                0.5 * (start + end) * (size - 1.0)
            }
        }
        other => {
            let expected = "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric, \
                            tf_half_pixel_for_nn or tf_crop_and_resize";
            return Err(Call::bad_attribute("coordinate_transformation_mode", other, expected));
        }
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(coordinate: f32, last: f32, rounding: &str) -> Result<usize, NodeFault> {
    let place = match rounding {
        "floor" => coordinate.floor(),
        "ceil" => coordinate.ceil(),
        "round_prefer_floor" => (coordinate - 0.5).ceil(),
        "round_prefer_ceil" => (coordinate + 0.5).floor(),
        other => {
            let expected = "floor, ceil, round_prefer_floor or round_prefer_ceil";
            return Err(Call::bad_attribute("nearest_mode", other, expected));
        }
    };
    Ok(place.clamp(0.0, last) as usize)
}
