//! The geometry of windows: kernels, strides, dilations and padding along one or two axes.

use crate::import::onnx::call::{count, Call};
use crate::import::onnx::error::NodeFault;
use crate::model::layer::{Windows, MAX_WIDTH};

/// Everything about windows but the image; a missing first axis has size 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Rows at the top, columns on the left.
    pub(super) begin: [usize; 2],
    /// Rows at the bottom, columns on the right.
    pub(super) end: [usize; 2],
    pub(super) automatic: Automatic,
}

/// How padding is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Automatic {
    No,
    Valid,
    SameUpper,
    SameLower,
}

/// Channels, height and width of a value with one or two axes behind the channels.
pub(super) fn image(shape: &[usize]) -> Result<[usize; 3], NodeFault> {
    match *shape {
        [channels, width] => Ok([channels, 1, width]),
        [channels, height, width] => Ok([channels, height, width]),
        _ => Err(NodeFault::Shape {
            what: "its input",
            expected: "channels and one or two axes per item".to_owned(),
            found: shape.to_vec(),
        }),
    }
}

/// The same image with as many axes as `like` has.
pub(super) fn shaped(image: [usize; 3], like: &[usize]) -> Vec<usize> {
    let [channels, height, width] = image;
    if like.len() == 2 {
        vec![channels, width]
    } else {
        vec![channels, height, width]
    }
}

impl Geometry {
    /// From the attributes of a node; `kernel` of the weights, where there are any.
    pub(super) fn of(call: &Call<'_, '_>, axes: usize, kernel: Option<&[usize]>) -> Result<Self, NodeFault> {
        let sizes = |name: &str| -> Result<Option<[usize; 2]>, NodeFault> {
            call.ints(name)?.map(|values| pair(name, &values, axes, 1)).transpose()
        };
        let from_attribute = sizes("kernel_shape")?;
        let from_weight = kernel.map(|kernel| match *kernel {
            [width] => [1, width],
            [height, width] => [height, width],
            _ => [0, 0],
        });
        let kernel = match (from_attribute, from_weight) {
            (Some(a), Some(b)) if a != b => {
                return Err(Call::bad_attribute(
                    "kernel_shape",
                    format!("{a:?}"),
                    "the size of the weights' last axes",
                ));
            }
            (Some(kernel), _) | (None, Some(kernel)) => kernel,
            (None, None) => return Err(Call::bad_attribute("kernel_shape", "missing", "one size per axis")),
        };
        let automatic = match call.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" => Automatic::No,
            "VALID" => Automatic::Valid,
            "SAME_UPPER" => Automatic::SameUpper,
            "SAME_LOWER" => Automatic::SameLower,
            other => {
                return Err(Call::bad_attribute("auto_pad", other, "NOTSET, VALID, SAME_UPPER or SAME_LOWER"));
            }
        };
        let (begin, end) = match call.ints("pads")? {
            Some(pads) if automatic == Automatic::No => {
                let (begin, end) = pads.split_at(pads.len() / 2);
                (pair("pads", begin, axes, 0)?, pair("pads", end, axes, 0)?)
            }
            _ => ([0; 2], [0; 2]),
        };
        let stride = sizes("strides")?.unwrap_or([1, 1]);
        let dilation = sizes("dilations")?.unwrap_or([1, 1]);
        for (name, values) in [("kernel_shape", kernel), ("strides", stride), ("dilations", dilation)] {
            if values.iter().any(|&value| value == 0 || value > MAX_WIDTH) {
                return Err(Call::bad_attribute(name, format!("{values:?}"), "numbers from 1 to 2^22"));
            }
        }
        if begin.iter().chain(&end).any(|&pad| pad > MAX_WIDTH) {
            return Err(NodeFault::TooLarge { what: "the padding", limit: MAX_WIDTH });
        }
        Ok(Self { kernel, stride, dilation, begin, end, automatic })
    }

    /// From the first to one past the last place of a window.
    pub(super) fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1).saturating_mul(self.dilation[axis]).saturating_add(1)
    }

    /// Padding decided for an image of that size, where it is left to be found.
    pub(super) fn padded(mut self, image: [usize; 3]) -> Self {
        if !matches!(self.automatic, Automatic::SameUpper | Automatic::SameLower) {
            return self;
        }
        for axis in 0..2 {
            let size = image[axis + 1];
            let windows = size.div_ceil(self.stride[axis]);
            let reach = windows.saturating_sub(1).saturating_mul(self.stride[axis]).saturating_add(self.extent(axis));
            let total = reach.saturating_sub(size);
            (self.begin[axis], self.end[axis]) = halves(total, self.automatic);
        }
        self
    }

    /// The number of windows along an axis; `ceil` keeps a last one that is only partly inside.
    pub(super) fn windows(&self, axis: usize, size: usize, ceil: bool) -> Result<usize, NodeFault> {
        let padded = size.saturating_add(self.begin[axis]).saturating_add(self.end[axis]);
        let steps = padded.checked_sub(self.extent(axis)).ok_or_else(|| NodeFault::Shape {
            what: "the image with its padding",
            expected: format!("at least the {} places that a window spans", self.extent(axis)),
            found: vec![padded],
        })?;
        let stride = self.stride[axis];
        let count = if ceil { steps.div_ceil(stride) + 1 } else { steps / stride + 1 };
        // A window that starts behind the image and its padding on the left is dropped.
        let starts_outside = ceil && (count - 1).saturating_mul(stride) >= size.saturating_add(self.begin[axis]);
        Ok(if starts_outside { count - 1 } else { count })
    }

    pub(super) fn into_windows(self, input: [usize; 3], output: [usize; 3], groups: usize) -> Windows {
        let Self { kernel, stride, dilation, begin, .. } = self;
        Windows { input, output, kernel, stride, dilation, padding: begin, groups }
    }
}

/// Padding at the beginning and at the end; the odd one goes to the end, or to the beginning.
pub(super) fn halves(total: usize, automatic: Automatic) -> (usize, usize) {
    let small = total / 2;
    if automatic == Automatic::SameUpper {
        (small, total - small)
    } else {
        (total - small, small)
    }
}

/// One number per axis; a missing first axis gets `neutral`.
pub(super) fn pair(name: &str, values: &[i64], axes: usize, neutral: usize) -> Result<[usize; 2], NodeFault> {
    match *values {
        [one] if axes == 1 => Ok([neutral, count(one, name)?]),
        [first, second] if axes == 2 => Ok([count(first, name)?, count(second, name)?]),
        _ => Err(Call::bad_attribute(name, format!("{values:?}"), "one number per axis of the image (pads: two)")),
    }
}
