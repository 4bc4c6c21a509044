//! Numbers with a bound on their error, and arithmetic that keeps the bound true.
//!
//! Sums, products, quotients and square roots recover their rounding error exactly (Dekker, 1971; fused multiply-add),
//! so calculations on numbers with few binary digits stay exact. Logarithm and exponential are taken to be within four
//! units in the last place, twice what current libraries state.

use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number and a bound on its error: |truth − value| ≤ error. NaN, or an infinite error, encloses nothing known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Enclosure {
    /// The number.
    pub value: f64,
    /// The bound, not negative.
    pub error: f64,
}

/// Products below this size may have lost digits to underflow; its reciprocal is far above what is lost.
const SMALLEST_EXACT_PRODUCT: f64 = 1e-270;
/// Error of a logarithm or an exponential as a share of its size: four units in the last place.
const FUNCTION_ERROR: f64 = 4.0 * f64::EPSILON;

/// A number not below a sum or product of a few bounds that are not negative, each rounded once. NaN stays NaN.
fn up(bound: f64) -> f64 {
    if bound > 0.0 {
        (bound * (1.0 + 8.0 * f64::EPSILON)).next_up()
    } else {
        bound
    }
}

impl Enclosure {
    /// A number known exactly.
    #[must_use]
    pub const fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// Nothing is known.
    pub const UNKNOWN: Self = Self { value: f64::NAN, error: f64::INFINITY };

    /// The smallest enclosure of everything from `lower` to `upper`.
    #[must_use]
    pub fn between(lower: f64, upper: f64) -> Self {
        if lower.is_nan() || upper.is_nan() {
            return Self::UNKNOWN;
        }
        let value = 0.5 * lower + 0.5 * upper;
        Self { value, error: if lower < upper { up((upper - value).max(value - lower)) } else { 0.0 } }
    }

    /// Σ a_i·b_i for exact numbers; the longer list is cut.
    #[must_use]
    pub fn dot<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>) -> Self {
        a.into_iter().zip(b).map(|(a, b)| Self::exact(*a) * *b).sum()
    }

    /// A number not above the truth; NaN where nothing is known.
    #[must_use]
    pub fn lower(&self) -> f64 {
        if self.error == 0.0 {
            self.value
        } else {
            (self.value - self.error).next_down()
        }
    }

    /// A number not below the truth; NaN where nothing is known.
    #[must_use]
    pub fn upper(&self) -> f64 {
        if self.error == 0.0 {
            self.value
        } else {
            (self.value + self.error).next_up()
        }
    }

    /// The largest that the truth can be in size.
    fn size(&self) -> f64 {
        self.value.abs() + self.error
    }

    /// |self|.
    #[must_use]
    pub fn abs(self) -> Self {
        Self { value: self.value.abs(), ..self }
    }

    /// self².
    #[must_use]
    pub fn squared(self) -> Self {
        self * self
    }

    /// √self. Where the truth may be negative, the part below 0 is left out; certainly negative numbers have no root.
    #[must_use]
    pub fn sqrt(self) -> Self {
        if self.upper() < 0.0 || self.value.is_nan() {
            return Self::UNKNOWN;
        }
        let root = self.value.max(0.0).sqrt();
        let mut residual = (-root).mul_add(root, self.value).abs();
        if self.value > 0.0 && self.value < SMALLEST_EXACT_PRODUCT {
            residual += f64::MIN_POSITIVE;
        }
        let error = up(residual + self.error);
        if error <= 0.0 {
            return Self::exact(root);
        }
        // |√t − root| = |t − root²|/(√t + root) with t at least the lower end, and at most √|t − root²|.
        let least = self.lower().max(0.0).sqrt().next_down().max(0.0);
        Self { value: root, error: up((error / (root + least)).min(error.sqrt())) }
    }

    /// ln(self); unknown unless the truth is certainly positive.
    #[must_use]
    pub fn ln(self) -> Self {
        let lower = self.lower();
        if lower.is_nan() || lower <= 0.0 {
            return Self::UNKNOWN;
        }
        let value = self.value.ln();
        Self { value, error: up(self.error / lower + FUNCTION_ERROR * value.abs()) }
    }

    /// e^self.
    #[must_use]
    pub fn exp(self) -> Self {
        let value = self.value.exp();
        let growth = up(self.error * self.error.exp());
        Self { value, error: up(up(value * (1.0 + FUNCTION_ERROR)) * (growth + FUNCTION_ERROR) + f64::MIN_POSITIVE) }
    }

    /// The larger of two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let larger = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) };
        Self::between(larger(self.lower(), other.lower()), larger(self.upper(), other.upper()))
    }
}

impl From<f64> for Enclosure {
    fn from(value: f64) -> Self {
        Self::exact(value)
    }
}

impl Neg for Enclosure {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

impl<T: Into<Self>> Add<T> for Enclosure {
    type Output = Self;
    fn add(self, other: T) -> Self {
        let other = other.into();
        let value = self.value + other.value;
        let rounded = value - self.value;
        let rounding = ((self.value - (value - rounded)) + (other.value - rounded)).abs();
        Self { value, error: up(self.error + other.error + rounding) }
    }
}

impl<T: Into<Self>> Sub<T> for Enclosure {
    type Output = Self;
    fn sub(self, other: T) -> Self {
        self + -other.into()
    }
}

impl<T: Into<Self>> Mul<T> for Enclosure {
    type Output = Self;
    fn mul(self, other: T) -> Self {
        let other = other.into();
        let value = self.value * other.value;
        let mut rounding = self.value.mul_add(other.value, -value).abs();
        // Neither the product nor that of the errors may vanish unseen.
        let lost = value.abs() < SMALLEST_EXACT_PRODUCT && self.size() > 0.0 && other.size() > 0.0;
        if lost {
            rounding += f64::MIN_POSITIVE;
        }
        let carried = self.value.abs() * other.error + self.error * (other.value.abs() + other.error);
        Self { value, error: up(rounding + up(carried)) }
    }
}

impl<T: Into<Self>> Div<T> for Enclosure {
    type Output = Self;
    fn div(self, other: T) -> Self {
        let other = other.into();
        // The divisor is at least this far from 0.
        let least = other.abs().lower();
        if least.is_nan() || least <= 0.0 {
            return Self::UNKNOWN;
        }
        let value = self.value / other.value;
        let mut rest = (-value).mul_add(other.value, self.value).abs();
        if self.value.abs() > 0.0 && (self.value.abs() < SMALLEST_EXACT_PRODUCT || value.abs() < SMALLEST_EXACT_PRODUCT)
        {
            rest += f64::MIN_POSITIVE * (1.0 + other.value.abs());
        }
        Self { value, error: up(up(rest + self.error + value.abs() * other.error) / least) }
    }
}

impl Sum for Enclosure {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::exact(0.0), |sum, term| sum + term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;

    /// Whether `enclosure` holds numerator/denominator, decided in integers: its ends are doubles, that is integers over
    /// a power of two.
    fn holds(enclosure: Enclosure, numerator: i128, denominator: i128) -> bool {
        let (numerator, denominator) =
            if denominator < 0 { (-numerator, -denominator) } else { (numerator, denominator) };
        // end ≤ n/d in units of 2⁻⁴⁰, with room for |end| < 2²⁰: rounded outwards first.
        let unit = 2f64.powi(40);
        let (low, high) = ((enclosure.lower() * unit).floor(), (enclosure.upper() * unit).ceil());
        #[allow(clippy::cast_possible_truncation)]
        let (low, high) = (low as i128, high as i128);
        low * denominator <= (numerator << 40) && (numerator << 40) <= high * denominator
    }

    #[test]
    fn numbers_with_few_digits_stay_exact() {
        let (a, b) = (Enclosure::exact(0.375), Enclosure::exact(-1.5));
        for (found, value) in
            [(a + b, -1.125), (a - b, 1.875), (a * b, -0.5625), (b / a, -4.0), (a.squared(), 0.140_625)]
        {
            assert_eq!(found, Enclosure::exact(value));
        }
        assert_eq!(Enclosure::exact(2.25).sqrt(), Enclosure::exact(1.5));
        assert_eq!(Enclosure::exact(0.0).sqrt(), Enclosure::exact(0.0));
        assert_eq!([a, b].into_iter().sum::<Enclosure>(), Enclosure::exact(-1.125));
        assert_eq!((a.abs().lower(), b.abs().upper()), (0.375, 1.5));
        assert_eq!(Enclosure::dot(&[1.5, -2.0], &[0.5, 0.25]), Enclosure::exact(0.25));
    }

    #[test]
    fn one_third_is_enclosed_within_a_rounding() {
        let third = Enclosure::exact(1.0) / 3.0;
        assert!(third.error > 0.0 && third.error < 2e-17, "{third:?}");
        assert!(third.lower() < 1.0 / 3.0 && third.upper() > 1.0 / 3.0);
        assert!((third * 3.0).lower() < 1.0 && (third * 3.0).upper() > 1.0);
    }

    #[test]
    fn roots_logarithms_and_exponentials_have_the_digits_of_a_table() {
        use std::f64::consts::{E, LN_2, SQRT_2};
        // The constants are the truth rounded, off by less than 3e-16.
        let cases = [
            (Enclosure::exact(2.0).sqrt(), SQRT_2),
            (Enclosure::exact(2.0).ln(), LN_2),
            (Enclosure::exact(1.0).exp(), E),
        ];
        for (found, truth) in cases {
            assert!(found.lower() <= truth && truth <= found.upper() && found.error < 4e-15, "{found:?}");
        }
        assert_eq!(Enclosure::exact(1.0).ln(), Enclosure::exact(0.0));
    }

    #[test]
    fn what_is_not_defined_is_unknown() {
        let near_zero = Enclosure { value: 0.5, error: 0.5 };
        for unknown in [
            Enclosure::exact(1.0) / 0.0,
            Enclosure::exact(1.0) / near_zero,
            near_zero.ln(),
            Enclosure::exact(-1.0).ln(),
            Enclosure::exact(-1.0).sqrt(),
            Enclosure::exact(f64::NAN) + 1.0,
            Enclosure::exact(f64::INFINITY) - f64::INFINITY,
        ] {
            assert!(unknown.lower().is_nan() || unknown.error.is_infinite() || unknown.error.is_nan(), "{unknown:?}");
        }
        // Nothing known stays nothing known.
        let wide = Enclosure { value: 1.0, error: f64::INFINITY };
        for unknown in [
            Enclosure::exact(0.0) * wide,
            Enclosure { value: -800.0, error: 800.0 }.exp(),
            Enclosure::UNKNOWN.max(Enclosure::exact(1.0)),
            Enclosure::between(f64::NAN, 1.0),
            Enclosure { value: 1.0, error: f64::NAN },
        ] {
            let decided = unknown.upper() < 1e300 && unknown.lower() > -1e300;
            assert!(!decided, "{unknown:?}");
        }
        // Products and roots at the end of the range are not exact.
        let tiny = Enclosure { value: 0.0, error: 2e-308 };
        assert!((tiny * tiny).upper() > 0.0 && (Enclosure::exact(1e-200) * 1e-200).upper() > 0.0);
        assert!(Enclosure::exact(3e-310).sqrt().error > 0.0);
        // A root of what may be slightly negative.
        let root = Enclosure { value: 1e-20, error: 1e-18 }.sqrt();
        assert!(root.upper() >= 1.01e-18f64.sqrt() && root.error < 1e-8);
    }

    #[test]
    fn the_larger_of_two_is_enclosed() {
        let (a, b) = (Enclosure { value: 1.0, error: 0.5 }, Enclosure { value: 1.25, error: 0.01 });
        let larger = a.max(b);
        assert!(larger.lower() <= 1.24 && larger.upper() >= 1.5 && larger.upper() < 1.51);
        assert_eq!(Enclosure::exact(2.0).max(Enclosure::exact(3.0)).value, 3.0);
    }

    proptest! {
        #![proptest_config(seeded(256))]

        #[test]
        fn rational_arithmetic_stays_enclosed(a in -999..1000i32, b in 1..1000i32, c in -999..1000i32, d in 1..1000i32) {
            let wide = i128::from;
            let (x, y) = (Enclosure::from(f64::from(a)) / f64::from(b), Enclosure::from(f64::from(c)) / f64::from(d));
            prop_assert!(holds(x + y, wide(a) * wide(d) + wide(c) * wide(b), wide(b) * wide(d)));
            prop_assert!(holds(x - y, wide(a) * wide(d) - wide(c) * wide(b), wide(b) * wide(d)));
            prop_assert!(holds(x * y, wide(a) * wide(c), wide(b) * wide(d)));
            if c != 0 {
                prop_assert!(holds(x / y, wide(a) * wide(d), wide(b) * wide(c)));
            }
            prop_assert!((x * y).error <= 1e-10);
        }

        #[test]
        fn roots_and_logarithms_invert_squares_and_exponentials(x in 0.01..20.0f64, error in 0.0..1e-3f64) {
            let x = Enclosure { value: x, error };
            for back in [x.squared().sqrt(), x.exp().ln()] {
                prop_assert!(back.lower() <= x.lower() && back.upper() >= x.upper());
                prop_assert!(back.error <= 1.3 * error + 1e-13, "{:?} against {:?}", back, x);
            }
        }
    }
}
