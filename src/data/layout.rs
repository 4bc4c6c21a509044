//! How a file stores its items, and the way from there to channels, rows, columns.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DataError;

/// What the axes of a file's array mean. In a data set the order is always `[C, H, W]`, `[H, W]` or `[d]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[n, C, H, W]`: one plane per channel.
    Nchw,
    /// `[n, H, W, C]`: the channels of a pixel together.
    Nhwc,
    /// `[n, H, W]`: no channels.
    Nhw,
    /// `[n, ...]`: items without inner structure.
    Flat,
}

impl Layout {
    const ALL: [Self; 4] = [Self::Nchw, Self::Nhwc, Self::Nhw, Self::Flat];

    /// The item shape and the values in the order of a data set, for an array of shape `shape` in this layout. `name`
    /// serves messages.
    pub(super) fn arrange(
        self,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> Result<(Vec<usize>, Vec<f32>), DataError> {
        match (self, shape) {
            (Self::Nchw, [_, item @ ..]) if item.len() == 3 => Ok((item.to_vec(), values)),
            (Self::Nhw, [_, item @ ..]) if item.len() == 2 => Ok((item.to_vec(), values)),
            (Self::Nhwc, &[_, height, width, channels]) => {
                Ok((vec![channels, height, width], channels_first(&values, height * width, channels)))
            }
            (Self::Flat, [_, item @ ..]) if !item.is_empty() => Ok((vec![item.iter().product()], values)),
            _ => Err(DataError::Unsuitable {
                name: name.to_owned(),
                option: format!("--layout {self}"),
                reason: format!("its shape is {shape:?}; expected {}", self.axes()),
            }),
        }
    }

    fn axes(self) -> &'static str {
        match self {
            Self::Nchw => "[n, C, H, W]",
            Self::Nhwc => "[n, H, W, C]",
            Self::Nhw => "[n, H, W]",
            Self::Flat => "[n, ...]",
        }
    }
}

/// Gathers the values of each channel: `[n, pixels, channels]` to `[n, channels, pixels]`.
pub(super) fn channels_first(values: &[f32], pixels: usize, channels: usize) -> Vec<f32> {
    let mut planes = Vec::with_capacity(values.len());
    for item in values.chunks_exact((pixels * channels).max(1)) {
        for channel in 0..channels {
            planes.extend(item.iter().skip(channel).step_by(channels));
        }
    }
    planes
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
            Self::Nhw => "nhw",
            Self::Flat => "flat",
        })
    }
}

impl FromStr for Layout {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let found = Self::ALL.into_iter().find(|layout| layout.to_string() == text);
        found.ok_or_else(|| DataError::BadOption {
            option: "--layout",
            found: text.to_owned(),
            expected: "nchw, nhwc, nhw or flat",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrange(layout: Layout, shape: &[usize]) -> Result<(Vec<usize>, Vec<f32>), DataError> {
        let count: u8 = shape.iter().product::<usize>().try_into().unwrap();
        layout.arrange("a", shape, (0..count).map(f32::from).collect())
    }

    #[test]
    fn channels_that_come_last_are_gathered_into_planes() {
        // Two items of 1 x 2 pixels with three channels.
        let (shape, values) = arrange(Layout::Nhwc, &[2, 1, 2, 3]).unwrap();
        assert_eq!(shape, [3, 1, 2]);
        assert_eq!(values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 6.0, 9.0, 7.0, 10.0, 8.0, 11.0]);
    }

    #[test]
    fn the_other_layouts_keep_the_order() {
        for (layout, shape, expected) in [
            (Layout::Nchw, &[1, 3, 1, 2][..], &[3, 1, 2][..]),
            (Layout::Nhw, &[2, 1, 3], &[1, 3]),
            (Layout::Flat, &[2, 1, 3], &[3]),
            (Layout::Flat, &[2, 3], &[3]),
            (Layout::Flat, &[1, 3, 1, 2], &[6]),
        ] {
            assert_eq!(arrange(layout, shape).unwrap(), (expected.to_vec(), (0..6).map(|i| i as f32).collect()));
        }
    }

    #[test]
    fn a_layout_with_another_number_of_axes_is_rejected_with_both() {
        for (layout, shape) in [(Layout::Nchw, &[2, 3][..]), (Layout::Nhwc, &[2, 2, 2]), (Layout::Nhw, &[1, 1, 2, 3])] {
            let error = arrange(layout, shape).unwrap_err();
            assert!(matches!(error, DataError::Unsuitable { .. }));
            assert!(error.to_string().contains(layout.axes()), "{error}");
        }
    }

    #[test]
    fn layouts_are_given_back_as_text_and_unknown_ones_are_rejected() {
        for layout in Layout::ALL {
            assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
            assert_eq!(serde_json::to_string(&layout).unwrap(), format!("\"{layout}\""));
        }
        let error = "chw".parse::<Layout>().unwrap_err();
        assert!(matches!(&error, DataError::BadOption { option: "--layout", found, .. } if found == "chw"), "{error}");
    }
}
