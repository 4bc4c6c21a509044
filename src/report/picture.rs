//! Inputs as pictures: PNG inside a data URI, or bars where an input is no image.

use std::fmt::Write;
use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder};

use super::svg::{number, Figure};
use crate::data::Preprocessing;

/// Longest flat input that is drawn as bars.
const MOST_BARS: usize = 128;
/// Most values of an image that is drawn.
const MOST_VALUES: usize = 1 << 20;

/// How the values of an input are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Grey (1) or RGB (3) planes.
    Image { channels: usize, rows: usize, columns: usize },
    /// A list of numbers.
    Bars(usize),
}

impl Form {
    /// The form of inputs with these axes; in words why there is none.
    pub(super) fn of(shape: &[usize]) -> Result<Self, String> {
        let form = match *shape {
            [rows, columns] | [1, rows, columns] => Self::Image { channels: 1, rows, columns },
            [3, rows, columns] => Self::Image { channels: 3, rows, columns },
            [length] if length <= MOST_BARS => Self::Bars(length),
            _ => {
                return Err(format!(
                    "Inputs of shape {shape:?} are neither images nor at most {MOST_BARS} numbers, so none is drawn."
                ))
            }
        };
        let size = shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        match size {
            Some(1..=MOST_VALUES) => Ok(form),
            _ => Err(format!("Inputs of shape {shape:?} are too large to be drawn.")),
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::Image { channels, rows, columns } => channels * rows * columns,
            Self::Bars(length) => length,
        }
    }
}

/// Undoes x ← (x · scale − mean) / std as far as mean and standard deviation go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Undone {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Undone {
    pub(super) fn new(preprocessing: &Preprocessing) -> Self {
        Self { mean: preprocessing.mean.clone(), std: preprocessing.std.clone() }
    }

    pub(super) fn does_anything(&self) -> bool {
        !self.mean.is_empty() || !self.std.is_empty()
    }

    /// The values before mean and standard deviation were taken out.
    pub(super) fn apply(&self, values: &[f32], form: Form) -> Vec<f64> {
        let channels = if let Form::Image { channels, .. } = form { channels } else { 1 };
        let plane = (values.len() / channels).max(1);
        let of = |given: &[f64], channel: usize| given.get(channel).or(given.first()).copied();
        let undo = |(index, value): (usize, &f32)| {
            let channel = index / plane;
            f64::from(*value) * of(&self.std, channel).unwrap_or(1.0) + of(&self.mean, channel).unwrap_or(0.0)
        };
        values.iter().enumerate().map(undo).collect()
    }
}

/// An element that shows `values`, of which `range` is drawn from black to white, or bars from 0.
pub(super) fn element(values: &[f64], form: Form, range: (f64, f64), description: &str) -> String {
    match form {
        Form::Image { channels, rows, columns } => {
            let png = png(values, (channels, rows, columns), range).unwrap_or_default();
            let (width, height) = (columns, rows);
            format!(
                "<img class=\"px\" width=\"{width}\" height=\"{height}\" alt=\"{}\" src=\"data:image/png;base64,{}\">",
                super::svg::escaped(description),
                base64(&png)
            )
        }
        Form::Bars(_) => bars(values, range, description).inline(),
    }
}

/// An 8-bit PNG of row-major planes.
fn png(values: &[f64], (channels, rows, columns): (usize, usize, usize), range: (f64, f64)) -> Option<Vec<u8>> {
    let plane = rows * columns;
    let mut bytes = Vec::with_capacity(values.len());
    for pixel in 0..plane {
        bytes.extend((0..channels).map(|channel| level(*values.get(channel * plane + pixel).unwrap_or(&0.0), range)));
    }
    let colour = if channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let (width, height) = (u32::try_from(columns).ok()?, u32::try_from(rows).ok()?);
    let mut file = Cursor::new(Vec::new());
    image::codecs::png::PngEncoder::new(&mut file).write_image(&bytes, width, height, colour).ok()?;
    Some(file.into_inner())
}

/// The byte of a value in a range.
fn level(value: f64, (low, high): (f64, f64)) -> u8 {
    let share = (value - low) / (high - low);
    // Between 0 and 255; what is not a number becomes 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let level = (255.0 * share.clamp(0.0, 1.0)).round() as u8;
    level
}

/// Bars above and below 0.
fn bars(values: &[f64], (low, high): (f64, f64), title: &str) -> Figure {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let span = if high > low { high - low } else { 1.0 };
    let place = |value: f64| 60.0 * (high - value.clamp(low, high)) / span;
    let width = 100.0 / values.len().max(1) as f64;
    let mut data = String::new();
    for (index, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let x = number(width * (index as f64 + 0.1));
        let _ = write!(data, "M{x} {}h{}V{}H{x}Z", number(place(0.0)), number(0.8 * width), number(place(*value)));
    }
    let zero = number(place(0.0));
    let body = format!("<path class=\"hl\" d=\"{data}\"/><path class=\"ax\" d=\"M0 {zero}H100\"/>");
    Figure { width: 100, height: 60, title: title.to_owned(), body }
}

/// RFC 4648, section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = ALPHABET[(bits >> shift & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_rfcs_examples() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn a_picture_decodes_to_its_values() {
        let grey = png(&[0.0, 1.0, 0.5, -3.0, f64::NAN, 9.0], (1, 2, 3), (0.0, 1.0)).unwrap();
        let decoded = image::load_from_memory(&grey).unwrap().to_luma8();
        assert_eq!((decoded.dimensions(), decoded.into_raw()), ((3, 2), vec![0, 255, 128, 0, 0, 255]));
        // Planes become pixels.
        let colour = png(&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0], (3, 1, 2), (0.0, 1.0)).unwrap();
        assert_eq!(image::load_from_memory(&colour).unwrap().to_rgb8().into_raw(), [255, 0, 0, 0, 255, 0]);
    }

    #[test]
    fn shapes_that_are_no_image_are_bars_or_a_sentence() {
        assert_eq!(Form::of(&[28, 28]), Ok(Form::Image { channels: 1, rows: 28, columns: 28 }));
        assert_eq!(Form::of(&[3, 32, 16]), Ok(Form::Image { channels: 3, rows: 32, columns: 16 }));
        assert_eq!(Form::of(&[4]), Ok(Form::Bars(4)));
        for shape in [&[4096][..], &[2, 8, 8], &[], &[1 << 12, 1 << 12], &[usize::MAX, 2], &[0, 3]] {
            assert!(Form::of(shape).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn mean_and_standard_deviation_are_undone_per_channel() {
        let undone = Undone { mean: vec![1.0, 2.0, 3.0], std: vec![0.5] };
        let form = Form::Image { channels: 3, rows: 1, columns: 1 };
        assert_eq!(undone.apply(&[0.0, 2.0, -2.0], form), [1.0, 3.0, 2.0]);
    }

    #[test]
    fn bars_of_nothing_and_of_what_is_no_number_are_still_a_drawing() {
        assert!(bars(&[], (0.0, 0.0), "t").inline().ends_with("</svg>"));
        assert!(!bars(&[f64::NAN, f64::INFINITY, 1.0], (0.0, 1.0), "t").body.contains("NaN"));
    }
}
