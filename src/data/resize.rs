//! Images of another size, by one method each for stretching and for padding.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DataError;

/// Longest side of a resized image.
const MAX_SIDE: usize = 1 << 14;
const EXPECTED: &str = "HxW or pad:HxW with sides of 1 to 16384, as in 32x32 or pad:32x32";

/// How images are brought to another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Resize {
    /// Stretched: bilinear interpolation with half-pixel centres, the outermost pixels continued, no antialiasing.
    Bilinear {
        /// Rows of the result.
        height: usize,
        /// Columns of the result.
        width: usize,
    },
    /// Zeros around the image, which is in the middle; an odd row or column more comes below or to the right.
    Pad {
        /// Rows of the result.
        height: usize,
        /// Columns of the result.
        width: usize,
    },
}

impl Resize {
    /// Rows and columns of the result.
    #[must_use]
    pub fn size(self) -> (usize, usize) {
        match self {
            Self::Bilinear { height, width } | Self::Pad { height, width } => (height, width),
        }
    }

    /// Whether the sides are in range.
    pub(super) fn check(self) -> Result<(), DataError> {
        let (height, width) = self.size();
        if [height, width].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return Ok(());
        }
        Err(DataError::BadOption { option: "--resize", found: self.to_string(), expected: EXPECTED })
    }

    /// Whether images of `rows` x `columns` pixels can be brought to the size; `name` serves messages.
    pub(super) fn fits(self, name: &str, rows: usize, columns: usize) -> Result<(), DataError> {
        match self {
            Self::Pad { height, width } if height < rows || width < columns => Err(DataError::Unsuitable {
                name: name.to_owned(),
                option: format!("--resize {self}"),
                reason: format!(
                    "its images have {rows}x{columns} pixels and padding only adds; use --resize {height}x{width}"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Appends the resized form of one plane of `rows` x `columns` pixels, row by row; [`Self::fits`] holds.
    pub(super) fn plane(self, plane: &[f32], rows: usize, columns: usize, into: &mut Vec<f32>) {
        match self {
            Self::Bilinear { height, width } => {
                let across = taps(width, columns);
                for down in taps(height, rows) {
                    into.extend(across.iter().map(|across| interpolate(plane, columns, &down, across)));
                }
            }
            Self::Pad { height, width } => {
                let (above, left) = (height.saturating_sub(rows) / 2, width.saturating_sub(columns) / 2);
                into.extend(std::iter::repeat_n(0.0, above * width));
                for row in plane.chunks_exact(columns.max(1)) {
                    into.extend(std::iter::repeat_n(0.0, left));
                    into.extend(row);
                    into.extend(std::iter::repeat_n(0.0, width - left - columns));
                }
                into.extend(std::iter::repeat_n(0.0, (height - above - rows) * width));
            }
        }
    }
}

/// Two neighbouring pixels on one axis and the weight of the second.
struct Tap {
    first: usize,
    second: usize,
    weight: f64,
}

/// For each of `to` pixels, where its centre lies among `from` pixels.
fn taps(to: usize, from: usize) -> Vec<Tap> {
    let last = from.saturating_sub(1);
    let tap = |i: usize| {
        let centre = ((i as f64 + 0.5) * (from as f64 / to as f64) - 0.5).clamp(0.0, last as f64);
        // Between 0 and `last`.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let first = centre.floor() as usize;
        Tap { first, second: (first + 1).min(last), weight: centre - first as f64 }
    };
    (0..to).map(tap).collect()
}

/// Rounds once, at the end.
#[allow(clippy::cast_possible_truncation)]
fn interpolate(plane: &[f32], columns: usize, down: &Tap, across: &Tap) -> f32 {
    let pixel = |row: usize, column: usize| plane.get(row * columns + column).copied().map_or(0.0, f64::from);
    let row = |row: usize| pixel(row, across.first) * (1.0 - across.weight) + pixel(row, across.second) * across.weight;
    (row(down.first) * (1.0 - down.weight) + row(down.second) * down.weight) as f32
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bilinear { height, width } => write!(f, "{height}x{width}"),
            Self::Pad { height, width } => write!(f, "pad:{height}x{width}"),
        }
    }
}

impl FromStr for Resize {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let bad = || DataError::BadOption { option: "--resize", found: text.to_owned(), expected: EXPECTED };
        let (pad, size) = text.strip_prefix("pad:").map_or((false, text), |size| (true, size));
        let (height, width) = size.split_once('x').ok_or_else(bad)?;
        let (height, width) = (height.parse().map_err(|_| bad())?, width.parse().map_err(|_| bad())?);
        let resize = if pad { Self::Pad { height, width } } else { Self::Bilinear { height, width } };
        resize.check().map_err(|_| bad())?;
        Ok(resize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resized(text: &str, plane: &[f32], rows: usize) -> Vec<f32> {
        let mut into = Vec::new();
        text.parse::<Resize>().unwrap().plane(plane, rows, plane.len() / rows, &mut into);
        into
    }

    #[test]
    fn pixels_between_two_are_their_weighted_means() {
        // Centres at -1/4, 1/4, 3/4, 5/4 of the old pixels, the outer two continued.
        assert_eq!(resized("1x4", &[0.0, 8.0], 1), [0.0, 2.0, 6.0, 8.0]);
        assert_eq!(resized("4x1", &[0.0, 8.0], 2), [0.0, 2.0, 6.0, 8.0]);
        // A half in size takes the mean of the two middle pixels of each pair, without looking further.
        assert_eq!(resized("1x2", &[0.0, 2.0, 4.0, 8.0], 1), [1.0, 6.0]);
        assert_eq!(resized("1x1", &[1.0, 2.0, 3.0, 6.0], 2), [3.0]);
    }

    #[test]
    fn enlarging_a_picture_gives_what_torch_gives() {
        // torch.nn.functional.interpolate(torch.arange(6.).reshape(1, 1, 2, 3).double(), (3, 5), mode="bilinear")
        let expected = [[0.0, 0.4, 1.0, 1.6, 2.0], [1.5, 1.9, 2.5, 3.1, 3.5], [3.0, 3.4, 4.0, 4.6, 5.0]];
        let found = resized("3x5", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 2);
        for (found, expected) in found.iter().zip(expected.concat()) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn padding_puts_the_image_in_the_middle() {
        assert_eq!(resized("pad:3x4", &[1.0, 2.0], 1), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        // The odd column goes to the right.
        assert_eq!(resized("pad:1x4", &[7.0], 1), [0.0, 7.0, 0.0, 0.0]);
        assert_eq!(resized("pad:2x1", &[7.0], 1), [7.0, 0.0]);
    }

    #[test]
    fn padding_to_a_smaller_size_is_rejected() {
        let resize: Resize = "pad:28x20".parse().unwrap();
        let error = resize.fits("a", 28, 28).unwrap_err();
        assert!(error.to_string().contains("28x28 pixels") && error.to_string().contains("--resize 28x20"), "{error}");
        assert!(resize.fits("a", 28, 20).is_ok());
    }

    #[test]
    fn sizes_without_meaning_are_rejected() {
        for text in ["", "32", "32x", "x32", "0x32", "32x0", "-1x4", "32X32", "32x32x3", "16385x1", "crop:2x2", "pad:"]
        {
            let error = text.parse::<Resize>().unwrap_err();
            assert!(matches!(&error, DataError::BadOption { found, .. } if found == text), "{error}");
        }
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(256))]

        #[test]
        fn a_stretched_image_stays_within_its_range_and_the_same_size_changes_nothing(
            (rows, columns) in (1..6_usize, 1..6_usize),
            (height, width) in (1..12_usize, 1..12_usize),
            seed: u8,
        ) {
            let plane: Vec<f32> = (0..rows * columns).map(|i| ((i * 37 + usize::from(seed)) % 101) as f32).collect();
            let mut into = Vec::new();
            Resize::Bilinear { height, width }.plane(&plane, rows, columns, &mut into);
            prop_assert_eq!(into.len(), height * width);
            let (low, high) = plane.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
            prop_assert!(into.iter().all(|value| (low..=high).contains(value)));
            into.clear();
            Resize::Bilinear { height: rows, width: columns }.plane(&plane, rows, columns, &mut into);
            prop_assert_eq!(into, plane);
        }

        #[test]
        fn padding_keeps_every_pixel_and_its_text_reads_back(
            (rows, columns) in (1..6_usize, 1..6_usize),
            (more, wider) in (0..6_usize, 0..6_usize),
        ) {
            let plane: Vec<f32> = (1..=rows * columns).map(|i| i as f32).collect();
            let resize = Resize::Pad { height: rows + more, width: columns + wider };
            prop_assert_eq!(resize.to_string().parse::<Resize>().unwrap(), resize);
            let mut into = Vec::new();
            resize.plane(&plane, rows, columns, &mut into);
            prop_assert_eq!(into.len(), (rows + more) * (columns + wider));
            into.retain(|&value| value > 0.0);
            prop_assert_eq!(into, plane);
        }
    }
}
