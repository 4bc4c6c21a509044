//! Products that would leave the range of doubles on the way: a mantissa and a power of two.

use num_traits::ToPrimitive;

/// mantissa·2^exponent, zero or with the mantissa in [1, 2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Scaled {
    mantissa: f64,
    exponent: i64,
}

impl Scaled {
    pub(super) const ONE: Self = Self { mantissa: 1.0, exponent: 0 };

    pub(super) const ZERO: Self = Self { mantissa: 0.0, exponent: 0 };

    /// A finite number, 0 or more.
    pub(super) fn new(value: f64) -> Self {
        Self { mantissa: value, exponent: 0 }.normalized()
    }

    pub(super) fn mantissa(self) -> f64 {
        self.mantissa
    }

    pub(super) fn exponent(self) -> i64 {
        self.exponent
    }

    /// Times 2^`exponent`.
    pub(super) fn shifted(self, exponent: i64) -> Self {
        Self { mantissa: self.mantissa, exponent: self.exponent + exponent }
    }

    /// e^(high + low) for a low so small that e^low is 1 + low to a double's precision.
    pub(super) fn exp_sum(high: f64, low: f64) -> Self {
        Self::exp(high).scaled(1.0 + low)
    }

    /// e^x, accurate for |x| below 2²⁰·ln 2: so far the multiple of ln 2 taken out is exact. Below that the result
    /// is 2⁻¹⁰⁰⁰⁰⁰⁰ or less.
    pub(super) fn exp(x: f64) -> Self {
        /// The leading 33 bits of ln 2, so that multiples below 2²⁰ are exact.
        const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
        const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        let multiple = (x * std::f64::consts::LOG2_E).round();
        let rest = (x - multiple * LN_2_HIGH) - multiple * LN_2_LOW;
        if multiple < -1e6 {
            return Self { mantissa: 1.0, exponent: -1_000_000 };
        }
        Self { mantissa: rest.exp(), exponent: multiple.to_i64().unwrap_or(0) }.normalized()
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { mantissa: self.mantissa * other.mantissa, exponent: self.exponent + other.exponent }.normalized()
    }

    pub(super) fn scaled(self, factor: f64) -> Self {
        self.times(Self::new(factor))
    }

    pub(super) fn plus(self, other: Self) -> Self {
        if self.mantissa <= 0.0 {
            return other;
        }
        if other.mantissa <= 0.0 {
            return self;
        }
        let (large, small) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let mantissa = large.mantissa + ldexp(small.mantissa, small.exponent - large.exponent);
        Self { mantissa, exponent: large.exponent }.normalized()
    }

    /// The `power`-th power by repeated squaring.
    pub(super) fn power(self, mut power: u32) -> Self {
        let (mut result, mut square) = (Self::ONE, self);
        while power > 0 {
            if power & 1 == 1 {
                result = result.times(square);
            }
            square = square.times(square);
            power >>= 1;
        }
        result
    }

    pub(super) fn square_root(self) -> Self {
        let odd = self.exponent & 1;
        let mantissa = self.mantissa * if odd == 0 { 1.0 } else { 2.0 };
        Self { mantissa: mantissa.sqrt(), exponent: (self.exponent - odd) / 2 }.normalized()
    }

    /// Of a number that is not 0.
    pub(super) fn inverse(self) -> Self {
        Self { mantissa: 1.0 / self.mantissa, exponent: -self.exponent }.normalized()
    }

    /// Whether the value is below 2⁻¹²⁰⁰, far beyond the smallest double.
    pub(super) fn is_negligible(self) -> bool {
        self.exponent < -1200
    }

    /// The value as a double: 0 or infinite beyond the range, rounded among the subnormal numbers.
    pub(super) fn get(self) -> f64 {
        ldexp(self.mantissa, self.exponent)
    }

    /// Moves the exponent of the mantissa over, leaving it in [1, 2).
    fn normalized(self) -> Self {
        if self.mantissa <= 0.0 {
            return Self::ZERO;
        }
        let shift = exponent(self.mantissa);
        Self { mantissa: ldexp(self.mantissa, -shift), exponent: self.exponent + shift }
    }
}

/// The e with 2^e ≤ |x| < 2^(e+1), for a finite x that is not zero.
pub(super) fn exponent(x: f64) -> i64 {
    let field = |x: f64| ((x.to_bits() >> 52) & 0x7ff) as i64;
    match field(x) {
        0 => field(x * power_of_two(64)) - 1023 - 64,
        normal => normal - 1023,
    }
}

/// x·2^e, exact unless the result is subnormal (it may then be rounded twice) or overflows.
pub(super) fn ldexp(mut x: f64, e: i64) -> f64 {
    const STEP: i64 = 1000;
    let mut e = e.clamp(-3 * STEP, 3 * STEP);
    while e.abs() > STEP {
        x *= power_of_two(e.signum() * STEP);
        e -= e.signum() * STEP;
    }
    x * power_of_two(e)
}

/// 2^e for |e| ≤ 1022.
fn power_of_two(e: i64) -> f64 {
    f64::from_bits((e + 1023).unsigned_abs() << 52)
}
