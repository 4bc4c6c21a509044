//! A certified number twice: in decimal digits for people, and as the exact bits that were proved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::LowerBound;

/// A certified lower bound, finite and at least 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExactBound {
    /// Decimal digits, rounded down.
    pub decimal: String,
    /// The bits of the double that was proved, as 16 hexadecimal digits.
    pub bits: String,
}

impl ExactBound {
    /// Both forms of `bound`.
    #[must_use]
    pub fn new(bound: LowerBound) -> Self {
        Self { decimal: bound.to_string(), bits: format!("{:016x}", bound.get().to_bits()) }
    }

    /// The number, if both forms are well-formed and the decimal digits are those of the bits; none otherwise.
    #[must_use]
    pub fn get(&self) -> Option<LowerBound> {
        let bits = u64::from_str_radix(&self.bits, 16).ok()?;
        let bound = LowerBound::new(f64::from_bits(bits)).ok().filter(|bound| bound.get().is_finite())?;
        (Self::new(bound) == *self).then_some(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decimal_digits_never_exceed_the_bits() {
        let exact = ExactBound::new(LowerBound::new(0.123_456_789).unwrap());
        assert_eq!(exact.decimal, "0.1234");
        assert_eq!(exact.get().unwrap().get(), 0.123_456_789);
    }

    #[test]
    fn forms_that_disagree_and_numbers_that_bound_nothing_are_refused() {
        let bits = |value: f64| format!("{:016x}", value.to_bits());
        let refused = |decimal: &str, bits: String| ExactBound { decimal: decimal.to_owned(), bits }.get().is_none();
        assert!(refused("0.1235", bits(0.123_456_789)));
        assert!(refused("0.123456789", bits(0.123_456_789)));
        assert!(refused("-1.000", bits(-1.0)));
        assert!(refused("NaN", bits(f64::NAN)));
        assert!(refused("inf", bits(f64::INFINITY)));
        assert!(refused("0.0", bits(-0.0)));
        assert!(refused("0.0", "0".to_owned()));
        assert!(refused("1.000", "+ff0000000000000".to_owned()));
    }
}
