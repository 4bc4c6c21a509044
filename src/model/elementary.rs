//! exp, exp − 1, ln(1 + ·) and tanh without branches, so that compilers can compute many at once.
//!
//! Every step is a sum, a product, a quotient or a fused product, each rounded once, so results are the same bits on every
//! processor, however wide its vectors.
//!
//! **Error.** With u = 2⁻⁵³ (2⁻²⁴ in single precision) and r = x − n ln 2, |r| ≤ ½ ln 2 + 2u, the polynomial
//! p(r) = r(1 + r/2! + … ) misses eʳ − 1 by less than u·|r|/4 where it is cut off, and Horner's scheme in fused products
//! rounds it to within 1.5 u|r|, as all but the last step are halved at least. r itself is exact but for the part of
//! ln 2 that two numbers leave out, below u²·|n|, and one rounding of a product of |n|·2⁻³³ (2⁻¹⁵). So eˣ = 2ⁿ(1 + p) is within
//! 1.8 u, and eˣ − 1 = (2ⁿ − 1) + 2ⁿp within 2.5 u of its own size: for n = 0 it is p, for n = −1 it is −½ + ½p, of
//! which no more than half is cancelled, below it is nearly −1. ln(1 + e) = 2 artanh(e/(2 + e)) is within 3 u: one
//! quotient of a rounded sum, and a series with leading term 1. tanh a = −m/(2 + m), m = e^(−2|a|) − 1, is within 7 u: the
//! relative error of m counts at most twice, the sum and the quotient once. As shares of the value all of these are below
//! 8u = 4ε, which is what error bounds elsewhere allow to functions of the system, too; results too small to be normal
//! numbers are within two units of the smallest of these.

use num_traits::Float;

/// A floating-point type with these functions.
pub trait Elementary: Float {
    /// exp x for x ≤ 0; may underflow.
    #[must_use]
    fn exp_of_negative(self) -> Self;
    /// exp(x) − 1 for x ≤ 0.
    #[must_use]
    fn exp_m1_of_negative(self) -> Self;
    /// ln(1 + x) for 0 ≤ x ≤ 1.
    #[must_use]
    fn ln_1p_of_fraction(self) -> Self;
    /// tanh x.
    #[must_use]
    fn tanh_of_any(self) -> Self;
}

/// Σ cᵢxⁱ, the coefficient of the highest power first.
macro_rules! horner {
    ($x:expr, $first:expr $(, $rest:expr)*) => {{
        let value = $first;
        $(let value = value.mul_add($x, $rest);)*
        value
    }};
}

macro_rules! elementary {
    (
        $t:ident, $int:ident,
        round: $round:expr, lowest: $lowest:expr, mantissa: $mantissa:expr, bias: $bias:expr,
        ln_2: ($high:expr, $low:expr),
        exp: [$($exp:expr),*], artanh: [$($artanh:expr),*]
    ) => {
        const _: () = {
            /// Adding and taking this away rounds to whole numbers, which stand in its last bits in between.
            const ROUND: $t = $round;
            /// exp of anything below is 0.
            const LOWEST: $t = $lowest;

            /// 2ⁿ for any n of a normal number.
            #[inline(always)]
            fn power_of_two(n: $int) -> $t {
                $t::from_bits(((n + $bias) << $mantissa).cast_unsigned())
            }

            /// p and two factors of 2ⁿ with exp x = (1 + p)2ⁿ.
            #[inline(always)]
            fn parts(x: $t) -> ($t, $t, $t) {
                // A comparison, so that NaN stays NaN.
                let x = if x < LOWEST { LOWEST } else { x };
                let shifted = x.mul_add(std::$t::consts::LOG2_E, ROUND);
                let n = shifted - ROUND;
                let r = n.mul_add(-$low, n.mul_add(-$high, x));
                let p = r * horner!(r, $($exp),*);
                let whole = shifted.to_bits().cast_signed().wrapping_sub(ROUND.to_bits().cast_signed());
                // Of NaN it is anything.
                let whole = whole.clamp(2 - 2 * $bias, 0);
                let half = whole / 2;
                (p, power_of_two(half), power_of_two(whole - half))
            }

            impl Elementary for $t {
                #[inline(always)]
                fn exp_of_negative(self) -> Self {
                    let (p, first, second) = parts(self);
                    (1.0 + p) * first * second
                }

                #[inline(always)]
                fn exp_m1_of_negative(self) -> Self {
                    let (p, first, second) = parts(self);
                    let scale = first * second;
                    scale.mul_add(p, scale - 1.0)
                }

                #[inline(always)]
                fn ln_1p_of_fraction(self) -> Self {
                    let s = self / (2.0 + self);
                    let square = s * s;
                    let series = square * horner!(square, $($artanh),*);
                    (2.0 * s).mul_add(series, 2.0 * s)
                }

                #[inline(always)]
                fn tanh_of_any(self) -> Self {
                    let m = (-2.0 * self.abs()).exp_m1_of_negative();
                    (-m / (2.0 + m)).copysign(self)
                }
            }
        };
    };
}

elementary!(
    f32, i32,
    round: 12_582_912.0, lowest: -104.0, mantissa: 23, bias: 127,
    // The first has nine zero bits at its end: its product with any n is exact.
    ln_2: (0.693_145_75, 1.428_606_8e-6),
    exp: [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0],
    artanh: [1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0]
);
elementary!(
    f64, i64,
    round: 6_755_399_441_055_744.0, lowest: -746.0, mantissa: 52, bias: 1023,
    // Likewise, with 21 zero bits.
    ln_2: (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10),
    exp: [
        1.0 / 6_227_020_800.0, 1.0 / 479_001_600.0, 1.0 / 39_916_800.0, 1.0 / 3_628_800.0, 1.0 / 362_880.0, 1.0 / 40_320.0,
        1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0
    ],
    artanh: [
        1.0 / 35.0, 1.0 / 33.0, 1.0 / 31.0, 1.0 / 29.0, 1.0 / 27.0, 1.0 / 25.0, 1.0 / 23.0, 1.0 / 21.0, 1.0 / 19.0, 1.0 / 17.0,
        1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0
    ]
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Distance in units of the last place of the truth.
    fn units(found: f64, truth: f64, epsilon: f64, smallest: f64) -> f64 {
        let exponent = truth.abs().log2().floor();
        (found - truth).abs() / (epsilon * exponent.exp2()).max(smallest)
    }

    /// One figure that holds for all four, of which two are exp's and ln's own.
    const MOST_UNITS: f64 = 4.0;

    #[test]
    fn single_precision_is_within_its_error_of_double_precision_on_a_dense_grid() {
        let worst = |what: &str, from: f32, to: f32, ours: fn(f32) -> f32, truth: fn(f64) -> f64| {
            let mut worst: f64 = 0.0;
            // Every 257th number between the two.
            let (mut bits, last) = (from.to_bits(), to.to_bits());
            while bits <= last {
                let x = f32::from_bits(bits);
                let distance = units(
                    f64::from(ours(x)),
                    truth(f64::from(x)),
                    f64::from(f32::EPSILON),
                    f64::from(f32::from_bits(1)),
                );
                worst = worst.max(distance);
                bits += 257;
            }
            assert!(worst <= MOST_UNITS, "{what}: {worst}");
            worst
        };
        worst("exp", -1e-30, -120.0, |x| x.exp_of_negative(), f64::exp);
        worst("exp - 1", -1e-30, -120.0, |x| x.exp_m1_of_negative(), f64::exp_m1);
        worst("ln(1 + x)", 1e-30, 1.0, |x| x.ln_1p_of_fraction(), f64::ln_1p);
        worst("tanh", 1e-30, 30.0, |x| x.tanh_of_any(), f64::tanh);
        worst("tanh", -1e-30, -30.0, |x| x.tanh_of_any(), f64::tanh);
    }

    #[test]
    fn what_is_no_number_stays_none_and_limits_are_met() {
        assert!(f32::NAN.exp_of_negative().is_nan() && f64::NAN.exp_m1_of_negative().is_nan());
        assert!(f32::NAN.ln_1p_of_fraction().is_nan() && f64::NAN.tanh_of_any().is_nan());
        assert_eq!((f32::NEG_INFINITY.exp_of_negative(), f64::NEG_INFINITY.exp_of_negative()), (0.0, 0.0));
        assert_eq!((0.0_f32.exp_of_negative(), (-0.0_f64).exp_of_negative()), (1.0, 1.0));
        assert_eq!((f64::NEG_INFINITY.exp_m1_of_negative(), f64::INFINITY.tanh_of_any()), (-1.0, 1.0));
        assert_eq!(((-0.0_f64).tanh_of_any().to_bits(), 0.0_f64.ln_1p_of_fraction()), ((-0.0_f64).to_bits(), 0.0));
        // The smallest number above 0, and half of it.
        assert!((-744.0_f64).exp_of_negative() > 0.0 && (-103.0_f32).exp_of_negative() > 0.0);
    }

    proptest! {
        #![proptest_config(crate::testing::seeded(20_000))]

        /// The system's functions, which are good to a unit here, stand for the truth.
        #[test]
        fn double_precision_is_within_its_error_of_the_system(exponent in -40.0..9.6f64, fraction in 0.0..=1.0f64, near_half in -1e-3..1e-3f64) {
            for x in [exponent.exp2(), std::f64::consts::LN_2 * (0.5 + near_half), std::f64::consts::LN_2 * (1.5 + near_half)] {
                let near = |found: f64, truth: f64| units(found, truth, f64::EPSILON, f64::from_bits(1)) <= MOST_UNITS - 1.0;
                prop_assert!(near((-x).exp_of_negative(), (-x).exp()), "exp {x}");
                prop_assert!(near((-x).exp_m1_of_negative(), (-x).exp_m1()), "exp - 1 {x}");
                prop_assert!(near(x.tanh_of_any(), x.tanh()), "tanh {x}");
                prop_assert!(near((-x).tanh_of_any(), (-x).tanh()), "tanh {x}");
            }
            let f = fraction * (exponent.exp2() / 1000.0).min(1.0);
            for e in [fraction, f] {
                prop_assert!(units(e.ln_1p_of_fraction(), e.ln_1p(), f64::EPSILON, f64::from_bits(1)) <= MOST_UNITS - 1.0, "ln {e}");
            }
        }
    }
}
