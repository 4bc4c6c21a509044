//! From the numbers in a file to the inputs of a model: layout, size, scale, mean and standard deviation.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::array::{Array, MAX_VALUES};
use super::{DataError, Dataset, Layout, Resize};

/// What is done to every item, in this order: layout, size, then x ← (x · scale − mean) / std. Part of a source's
/// identity, and so of every result. The default does nothing but divide bytes by 255.
///
/// `Display` writes what is given, as in `resize pad:32x32, mean 0.1307, std 0.3081`, and `FromStr` reads it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// How the file stores its items. None: as the data set does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The size images are brought to, before anything else is done to their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// What the raw numbers are multiplied by. None: 1/255 for bytes and pixels, 1 for numbers with a fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Subtracted after scaling: nothing, one number for all channels, or one per channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f64>,
    /// Divided by at the end: nothing, one number for all channels, or one per channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<f64>,
}

impl Preprocessing {
    /// Whether nothing is given.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether every part means something by itself.
    ///
    /// # Errors
    /// [`DataError::BadOption`] for a scale or a standard deviation that is 0 or not finite, a mean that is not finite,
    /// or a size out of range.
    pub fn check(&self) -> Result<(), DataError> {
        self.resize.map_or(Ok(()), Resize::check)?;
        let bad = |option, value: &f64, expected| DataError::BadOption { option, found: value.to_string(), expected };
        if let Some(scale) = self.scale.filter(|scale| !scale.is_finite() || *scale == 0.0) {
            return Err(bad("--scale", &scale, "a finite number other than 0"));
        }
        if let Some(mean) = self.mean.iter().find(|mean| !mean.is_finite()) {
            return Err(bad("--mean", mean, "finite numbers"));
        }
        if let Some(std) = self.std.iter().find(|std| !std.is_finite() || **std <= 0.0) {
            return Err(bad("--std", std, "finite numbers above 0"));
        }
        Ok(())
    }

    /// The data set made of `array`.
    pub(super) fn apply(&self, array: Array) -> Result<Dataset, DataError> {
        self.check()?;
        let item_shape = array.item_shape();
        let Array { name, shape, values, full_scale } = array;
        if values.is_empty() {
            return Dataset::new(name, item_shape, values);
        }
        let (item_shape, values) = match self.layout {
            Some(layout) => layout.arrange(&name, &shape, values)?,
            None => (item_shape, values),
        };
        let (item_shape, mut values) = match self.resize {
            Some(resize) => self.resized(&name, resize, item_shape, values)?,
            None => (item_shape, values),
        };
        self.rescale(&name, &item_shape, full_scale, &mut values)?;
        Dataset::new(name, item_shape, values)
    }

    fn resized(
        &self,
        name: &str,
        resize: Resize,
        item_shape: Vec<usize>,
        values: Vec<f32>,
    ) -> Result<(Vec<usize>, Vec<f32>), DataError> {
        let unsuitable =
            |reason| DataError::Unsuitable { name: name.to_owned(), option: format!("--resize {resize}"), reason };
        let (rows, columns) = match *item_shape.as_slice() {
            [first, .., last] if self.layout.is_none() && item_shape.len() == 3 && channels_come_last(first, last) => {
                let reason = format!("items of shape {item_shape:?} may be channels last; say --layout nhwc or nchw");
                return Err(unsuitable(reason));
            }
            [rows, columns] | [_, rows, columns] => (rows, columns),
            _ => return Err(unsuitable(format!("its items have shape {item_shape:?}, which is no image"))),
        };
        resize.fits(name, rows, columns)?;
        let (height, width) = resize.size();
        // The values fill the shape and there are some: no side is 0.
        let planes = values.len() / (rows * columns);
        let total = height.checked_mul(width).and_then(|plane| plane.checked_mul(planes));
        let Some(total) = total.filter(|&total| total <= MAX_VALUES) else {
            return Err(unsuitable(format!("{planes} planes of that size are more than 2^30 values")));
        };
        let mut into = Vec::with_capacity(total);
        for plane in values.chunks_exact(rows * columns) {
            resize.plane(plane, rows, columns, &mut into);
        }
        let channels = item_shape.first().filter(|_| item_shape.len() == 3);
        Ok((channels.copied().into_iter().chain([height, width]).collect(), into))
    }

    /// x ← (x · scale − mean) / std in double precision, rounded once.
    fn rescale(&self, name: &str, item_shape: &[usize], full_scale: f64, values: &mut [f32]) -> Result<(), DataError> {
        let channels = if let [channels, _, _] = item_shape { *channels } else { 1 };
        let mean = per_channel(name, "--mean", &self.mean, 0.0, item_shape, channels)?;
        let std = per_channel(name, "--std", &self.std, 1.0, item_shape, channels)?;
        let dim: usize = item_shape.iter().product();
        for item in values.chunks_mut(dim.max(1)) {
            let planes = item.chunks_mut((dim / channels.max(1)).max(1));
            for ((plane, mean), std) in planes.zip(&mean).zip(&std) {
                for value in plane {
                    let raw = f64::from(*value);
                    // Dividing is exact to the last bit where multiplying by 1/255 is not.
                    let scaled = self.scale.map_or(raw / full_scale, |scale| raw * scale);
                    // What does not fit becomes infinite, which `Dataset::new` rejects.
                    #[allow(clippy::cast_possible_truncation)]
                    let single = ((scaled - mean) / std) as f32;
                    *value = single;
                }
            }
        }
        Ok(())
    }
}

/// Whether a shape `[first, ..., last]` of three axes looks like rows, columns, channels.
pub(super) fn channels_come_last(first: usize, last: usize) -> bool {
    matches!(last, 1 | 3) && !matches!(first, 1 | 3)
}

fn per_channel(
    name: &str,
    option: &str,
    given: &[f64],
    default: f64,
    item_shape: &[usize],
    channels: usize,
) -> Result<Vec<f64>, DataError> {
    match given {
        [] => Ok(vec![default; channels]),
        [all] => Ok(vec![*all; channels]),
        _ if given.len() == channels => Ok(given.to_vec()),
        _ => Err(DataError::Unsuitable {
            name: name.to_owned(),
            option: option.to_owned(),
            reason: format!(
                "it has {} numbers, but items of shape {item_shape:?} have {channels} channel{}; give one number or one \
                 per channel (channels that come last in the file need --layout nhwc)",
                given.len(),
                if channels == 1 { "" } else { "s" }
            ),
        }),
    }
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |name: &str, numbers: &[f64]| {
            (!numbers.is_empty())
                .then(|| numbers.iter().fold(name.to_owned(), |text, number| format!("{text} {number}")))
        };
        let parts = [
            self.layout.map(|layout| format!("layout {layout}")),
            self.resize.map(|resize| format!("resize {resize}")),
            self.scale.map(|scale| format!("scale {scale}")),
            list("mean", &self.mean),
            list("std", &self.std),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl FromStr for Preprocessing {
    type Err = DataError;

    /// What `Display` writes; each part once.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let bad = |part: &str| DataError::BadOption {
            option: "the preprocessing",
            found: part.to_owned(),
            expected: "layout, resize, scale, mean or std, each at most once and with its value",
        };
        let mut parsed = Self::default();
        for part in text.split(", ") {
            let (name, value) = part.split_once(' ').ok_or_else(|| bad(part))?;
            let numbers = || value.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>().map_err(|_| bad(part));
            match name {
                "layout" if parsed.layout.is_none() => parsed.layout = Some(value.parse()?),
                "resize" if parsed.resize.is_none() => parsed.resize = Some(value.parse()?),
                "scale" if parsed.scale.is_none() => parsed.scale = Some(value.parse().map_err(|_| bad(part))?),
                "mean" if parsed.mean.is_empty() => parsed.mean = numbers()?,
                "std" if parsed.std.is_empty() => parsed.std = numbers()?,
                _ => return Err(bad(part)),
            }
        }
        parsed.check()?;
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests;
