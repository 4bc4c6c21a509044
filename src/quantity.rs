//! Numbers that say what they are: a radius, a probability, a lower bound, an upper bound, an estimate; and the terms of
//! every claim, threat and rule of the radius.
//!
//! [`LowerBound`], [`UpperBound`] and [`Estimate`] never convert into each other. Their `Display` rounds
//! towards safety: a lower bound downwards, an upper bound upwards, an estimate to nearest, so that a printed
//! figure never claims more than was computed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value outside the range of its quantity. The offending value is handed back.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// A radius must be a finite positive number.
    #[error("a radius must be a finite number above 0, found {0}")]
    Radius(f64),
    /// A probability must lie strictly between 0 and 1.
    #[error("a probability must lie strictly between 0 and 1, found {0}")]
    Probability(f64),
    /// A bound or an estimate of a non-negative quantity must be a number that is not negative.
    #[error("a bound or an estimate must be a number that is not negative, found {0}")]
    Magnitude(f64),
}

/// An L2 distance between reconstructions, in output units; finite and above 0 (`r` in the paper).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Radius(f64);

/// A probability strictly between 0 and 1: a level, a quantile's order, a failure probability.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

impl JsonSchema for Radius {
    fn schema_name() -> Cow<'static, str> {
        "Radius".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "An L2 distance, above 0", "type": "number", "exclusiveMinimum": 0 })
    }
}

impl JsonSchema for Probability {
    fn schema_name() -> Cow<'static, str> {
        "Probability".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 })
    }
}

impl Radius {
    /// Accepts a finite value above 0.
    ///
    /// # Errors
    /// [`QuantityError::Radius`] with the value found.
    pub fn new(value: f64) -> Result<Self, QuantityError> {
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(QuantityError::Radius(value))
        }
    }

    /// The value, in output units.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Probability {
    /// The level of the paper: a reconstruction counts as kept when that is more likely than not.
    pub const HALF: Self = Self(0.5);

    /// Accepts a value strictly between 0 and 1.
    ///
    /// # Errors
    /// [`QuantityError::Probability`] with the value found.
    pub fn new(value: f64) -> Result<Self, QuantityError> {
        if value > 0.0 && value < 1.0 {
            Ok(Self(value))
        } else {
            Err(QuantityError::Probability(value))
        }
    }

    /// The value, in (0, 1).
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// An equal share of a failure probability: `self / parts`, so that `parts` decisions together fail with
    /// at most this probability (union bound). Zero parts count as one.
    #[must_use]
    pub fn split(self, parts: usize) -> Self {
        Self((self.0 / parts.max(1) as f64).max(f64::MIN_POSITIVE))
    }
}

impl TryFrom<f64> for Radius {
    type Error = QuantityError;
    fn try_from(value: f64) -> Result<Self, QuantityError> {
        Self::new(value)
    }
}

impl TryFrom<f64> for Probability {
    type Error = QuantityError;
    fn try_from(value: f64) -> Result<Self, QuantityError> {
        Self::new(value)
    }
}

impl From<Radius> for f64 {
    fn from(radius: Radius) -> Self {
        radius.0
    }
}

impl From<Probability> for f64 {
    fn from(probability: Probability) -> Self {
        probability.0
    }
}

impl fmt::Display for Radius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_padded(f, &decimal(self.0, f.precision(), Rounding::Nearest))
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_padded(f, &decimal(self.0, f.precision(), Rounding::Nearest))
    }
}

/// Which part of the code an attacker reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Threat {
    /// Only the mean sees the perturbation: Δ = g(μ(x+δ) + σ(x)∘η) − g(μ(x)). The one Theorem 1 is about.
    Mean,
    /// Mean and standard deviation see it: Δ = g(μ(x+δ) + σ(x+δ)∘η) − g(μ(x)). What a real attacker gets.
    Joint,
}

impl fmt::Display for Threat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mean => "mean",
            Self::Joint => "joint",
        })
    }
}

impl FromStr for Threat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" => Ok(Self::Mean),
            "joint" => Ok(Self::Joint),
            _ => Err(format!("unknown threat model {text:?}; expected mean or joint")),
        }
    }
}

/// Where r comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RadiusRule {
    /// The same r for every input.
    Absolute(Radius),
    /// Per input the quantile of this order of ‖Δ(x, 0)‖, from draws that serve no other purpose.
    Quantile(Probability),
}

/// Fills up to the width asked for. (`Formatter::pad` would cut the text at the precision.)
fn write_padded(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match (f.width(), f.align()) {
        (None, _) => f.write_str(text),
        (Some(width), Some(fmt::Alignment::Left)) => write!(f, "{text:<width$}"),
        (Some(width), Some(fmt::Alignment::Center)) => write!(f, "{text:^width$}"),
        (Some(width), _) => write!(f, "{text:>width$}"),
    }
}

/// Which way a printed figure may differ from the number it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Down,
    Nearest,
    Up,
}

macro_rules! magnitude {
    ($(#[$docs:meta])* $name:ident, $rounding:expr) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// Accepts any number that is not negative, infinity included.
            ///
            /// # Errors
            /// [`QuantityError::Magnitude`] for NaN and for negative numbers.
            pub fn new(value: f64) -> Result<Self, QuantityError> {
                if value >= 0.0 {
                    Ok(Self(value))
                } else {
                    Err(QuantityError::Magnitude(value))
                }
            }

            /// The value; may be infinite.
            #[must_use]
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            /// Without a precision: four significant digits. With one: that many decimals.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_padded(f, &decimal(self.0, f.precision(), $rounding))
            }
        }

        impl fmt::LowerExp for $name {
            /// Scientific notation with the precision asked for, or two decimals.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_padded(f, &scientific(self.0, f.precision().unwrap_or(DEFAULT_SCIENTIFIC_DECIMALS), $rounding))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                extended::serialize(&self.0, serializer)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": concat!(stringify!($name), ": a number, 0 or more, or \"infinity\""),
                    "anyOf": [{ "type": "number", "minimum": 0 }, { "const": extended::INFINITY }]
                })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(extended::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Numbers that may be infinite, in JSON: a number that reads back as the same `f64`, or the string `"infinity"`.
pub(crate) mod extended {
    use std::borrow::Cow;

    use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
    use serde::{Deserialize, Deserializer, Serializer};

    /// The text that stands for infinity.
    pub(super) const INFINITY: &str = "infinity";

    /// Stands for such a number in schemas.
    pub(crate) struct Extended;

    impl JsonSchema for Extended {
        fn schema_name() -> Cow<'static, str> {
            "Extended".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "anyOf": [{ "type": "number" }, { "const": INFINITY }] })
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Number(f64),
        Text(String),
    }

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_infinite() {
            serializer.serialize_str(INFINITY)
        } else {
            serializer.serialize_f64(*value)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Stored::deserialize(deserializer)? {
            Stored::Number(value) => Ok(value),
            Stored::Text(text) if text == INFINITY => Ok(f64::INFINITY),
            Stored::Text(text) => {
                Err(serde::de::Error::custom(format!("expected a number or {INFINITY:?}, found {text:?}")))
            }
        }
    }
}

magnitude!(
    /// The quantity is at least this. Prints rounded down.
    LowerBound,
    Rounding::Down
);
magnitude!(
    /// The quantity is at most this. Prints rounded up.
    UpperBound,
    Rounding::Up
);
magnitude!(
    /// Neither bound: nothing is proved about the side on which the quantity lies. Prints rounded to nearest.
    Estimate,
    Rounding::Nearest
);

impl LowerBound {
    /// Nothing is bounded.
    pub const ZERO: Self = Self(0.0);
}

impl UpperBound {
    /// The quantity is 0.
    pub const ZERO: Self = Self(0.0);
    /// The quantity may be anything.
    pub const INFINITE: Self = Self(f64::INFINITY);
}

/// Significant digits printed where the caller asks for no precision.
const DEFAULT_SIGNIFICANT_DIGITS: i32 = 4;
/// Decimals printed in scientific notation where the caller asks for no precision.
const DEFAULT_SCIENTIFIC_DECIMALS: usize = 2;
/// No finite `f64` has more decimals than this, so formatting with as many is exact.
const EXACT_DECIMALS: usize = 1074;

/// Below this, figures without a precision are printed in scientific notation.
const SMALLEST_PLAIN: f64 = 1e-4;
/// From here on likewise.
const LARGEST_PLAIN: f64 = 1e8;

/// `value` (not negative) in decimal, with `precision` decimals or four significant digits, rounded as asked.
fn decimal(value: f64, precision: Option<usize>, rounding: Rounding) -> String {
    if value.is_infinite() {
        return "inf".to_owned();
    }
    if precision.is_none() && value > 0.0 && !(SMALLEST_PLAIN..LARGEST_PLAIN).contains(&value) {
        return scientific(value, DEFAULT_SCIENTIFIC_DECIMALS, rounding);
    }
    let decimals = precision.unwrap_or_else(|| decimals_for_significant_digits(value));
    if rounding == Rounding::Nearest {
        return format!("{value:.decimals$}");
    }
    rounded(&format!("{value:.EXACT_DECIMALS$}"), decimals, rounding)
}

/// `value` (not negative) as d.dde-n with this many decimals, rounded as asked.
fn scientific(value: f64, decimals: usize, rounding: Rounding) -> String {
    if value.is_infinite() {
        return "inf".to_owned();
    }
    if rounding == Rounding::Nearest {
        return format!("{value:.decimals$e}");
    }
    let exact = format!("{value:.EXACT_DECIMALS$e}");
    let (mantissa, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    match rounded(mantissa, decimals, rounding) {
        // 9.99… rounded up is 10.00, which is 1.00 with the next exponent.
        carried if carried.starts_with("10") => {
            format!("{:.decimals$}e{}", 1.0, exponent.parse::<i32>().map_or(0, |exponent| exponent + 1))
        }
        mantissa => format!("{mantissa}e{exponent}"),
    }
}

/// An exact plain decimal cut to `decimals` places, upwards where that is asked and something was cut off.
fn rounded(exact: &str, decimals: usize, rounding: Rounding) -> String {
    let point = exact.find('.').unwrap_or(exact.len());
    let kept = if decimals == 0 { point } else { point + 1 + decimals };
    let truncated = exact.get(..kept).unwrap_or(exact);
    let dropped_something = exact.get(kept..).is_some_and(|rest| rest.bytes().any(|b| b.is_ascii_digit() && b != b'0'));
    if rounding == Rounding::Up && dropped_something {
        increment_last_digit(truncated)
    } else {
        truncated.to_owned()
    }
}

fn decimals_for_significant_digits(value: f64) -> usize {
    if value <= 0.0 {
        return 1;
    }
    // A magnitude beyond 10^300 either way still fits: log10 of a finite f64 lies in (-324, 309).
    #[allow(clippy::cast_possible_truncation)]
    let magnitude = value.log10().floor() as i32;
    usize::try_from(DEFAULT_SIGNIFICANT_DIGITS - 1 - magnitude).unwrap_or(0)
}

/// Adds one unit in the last printed place to a plain decimal number.
fn increment_last_digit(text: &str) -> String {
    let mut carried = Vec::with_capacity(text.len() + 1);
    let mut carry = true;
    for byte in text.bytes().rev() {
        let next = match (carry, byte) {
            (true, b'9') => b'0',
            (true, b'0'..=b'8') => {
                carry = false;
                byte + 1
            }
            _ => byte,
        };
        carried.push(next);
    }
    if carry {
        carried.push(b'1');
    }
    carried.iter().rev().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_lower_bound_prints_rounded_down_and_an_upper_bound_up() {
        assert_eq!(format!("{:.3}", LowerBound::new(0.123_99).unwrap()), "0.123");
        assert_eq!(format!("{:.3}", UpperBound::new(0.123_01).unwrap()), "0.124");
        assert_eq!(format!("{:.3}", Estimate::new(0.123_99).unwrap()), "0.124");
        assert_eq!(format!("{:.2}", UpperBound::new(9.999).unwrap()), "10.00");
        assert_eq!(format!("{:.0}", UpperBound::new(9.5).unwrap()), "10");
    }

    #[test]
    fn a_figure_that_is_exact_in_binary_is_not_moved() {
        assert_eq!(format!("{:.3}", LowerBound::new(0.5).unwrap()), "0.500");
        assert_eq!(format!("{:.3}", UpperBound::new(0.5).unwrap()), "0.500");
    }

    #[test]
    fn the_nearest_double_to_three_tenths_lies_below_it_and_prints_so() {
        // 0.3 as an f64 is 0.299999999999999988897769753748…
        assert_eq!(format!("{:.1}", LowerBound::new(0.3).unwrap()), "0.2");
        assert_eq!(format!("{:.1}", UpperBound::new(0.3).unwrap()), "0.3");
    }

    #[test]
    fn the_default_shows_four_significant_digits() {
        assert_eq!(LowerBound::new(0.012_345_6).unwrap().to_string(), "0.01234");
        assert_eq!(UpperBound::new(12.345_6).unwrap().to_string(), "12.35");
        assert_eq!(Estimate::new(f64::INFINITY).unwrap().to_string(), "inf");
        assert_eq!(Estimate::new(0.0).unwrap().to_string(), "0.0");
        assert_eq!(format!("{:>7}", Estimate::new(12.0).unwrap()), "  12.00");
    }

    #[test]
    fn tiny_figures_are_short_and_still_rounded_the_safe_way() {
        assert_eq!(LowerBound::new(1.239e-7).unwrap().to_string(), "1.23e-7");
        assert_eq!(UpperBound::new(1.231e-7).unwrap().to_string(), "1.24e-7");
        assert_eq!(UpperBound::new(9.999e-7).unwrap().to_string(), "1.00e-6");
        assert_eq!(Estimate::new(3.249e-7).unwrap().to_string(), "3.25e-7");
        assert_eq!(UpperBound::new(f64::from_bits(1)).unwrap().to_string(), "4.95e-324");
        assert_eq!(UpperBound::ZERO.to_string(), "0.0");
        assert_eq!(UpperBound::new(1.231e300).unwrap().to_string(), "1.24e300");
    }

    #[test]
    fn scientific_notation_rounds_the_safe_way_at_any_precision() {
        assert_eq!(format!("{:.1e}", UpperBound::new(1.21e-15).unwrap()), "1.3e-15");
        assert_eq!(format!("{:.1e}", UpperBound::new(9.91e-10).unwrap()), "1.0e-9");
        assert_eq!(format!("{:.0e}", UpperBound::new(9.1).unwrap()), "1e1");
        assert_eq!(format!("{:.1e}", LowerBound::new(1.29).unwrap()), "1.2e0");
        assert_eq!(format!("{:>9.1e}", UpperBound::new(0.5).unwrap()), "   5.0e-1");
        assert_eq!(format!("{:e}", Estimate::new(f64::INFINITY).unwrap()), "inf");
        assert_eq!(format!("{:.1e}", UpperBound::ZERO), "0.0e0");
    }

    #[test]
    fn radii_and_probabilities_keep_their_decimals() {
        assert_eq!(format!("{:.3}", Radius::new(0.123_45).unwrap()), "0.123");
        assert_eq!(format!("{:>8.3}", Probability::new(0.123_45).unwrap()), "   0.123");
    }

    #[test]
    fn values_outside_their_range_are_handed_back() {
        assert_eq!(Radius::new(0.0), Err(QuantityError::Radius(0.0)));
        assert!(Radius::new(f64::INFINITY).is_err());
        assert_eq!(Probability::new(1.0), Err(QuantityError::Probability(1.0)));
        assert!(Probability::new(f64::NAN).is_err());
        assert!(LowerBound::new(f64::NAN).is_err());
        assert_eq!(Estimate::new(-1.0), Err(QuantityError::Magnitude(-1.0)));
    }

    #[test]
    fn infinity_survives_json() {
        let text = serde_json::to_string(&Estimate::new(f64::INFINITY).unwrap()).unwrap();
        assert_eq!(text, "\"infinity\"");
        assert!(serde_json::from_str::<Estimate>(&text).unwrap().get().is_infinite());
        assert!(serde_json::from_str::<UpperBound>("-1").is_err());
        assert!(serde_json::from_str::<UpperBound>("\"nan\"").is_err());
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(256))]

        #[test]
        fn printed_bounds_enclose_the_value(value in 0.0..1e6f64, decimals in 0..9usize) {
            let low: f64 = format!("{:.decimals$}", LowerBound::new(value).unwrap()).parse().unwrap();
            let high: f64 = format!("{:.decimals$}", UpperBound::new(value).unwrap()).parse().unwrap();
            prop_assert!(low <= value && value <= high);
            // One unit in the last place printed, and one rounding each when the texts are read back.
            let unit = 10f64.powi(-i32::try_from(decimals).unwrap());
            prop_assert!(high - low <= unit + 2.0 * value.max(1.0) * f64::EPSILON);
        }

        #[test]
        fn json_gives_back_the_same_bits(value in 0.0..1e300f64) {
            let text = serde_json::to_string(&UpperBound::new(value).unwrap()).unwrap();
            prop_assert_eq!(serde_json::from_str::<UpperBound>(&text).unwrap().get().to_bits(), value.to_bits());
        }
    }
}
