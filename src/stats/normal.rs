//! The standard normal distribution, with a small relative error in both tails.
//!
//! Every tail is φ(x)·R(x) with R = (1 − Φ)/φ, Mills' ratio: up to 3 from its Taylor series about
//! the nearest of seven tabulated points (Marsaglia, *Evaluating the normal distribution*, 2004), beyond from its
//! continued fraction (Abramowitz & Stegun 26.2.14). The exponent of φ is split so that squaring loses nothing.
//! The `erfc` of statrs 0.19 does not serve: its relative error reaches 8e-11 between 0.7 and 3.

use statrs::function::erf::erfc_inv;
use std::f64::consts::SQRT_2;

/// Largest relative error seen in [`cdf`] and [`survival`] against 60-digit values, rounded up; either sign.
/// It applies wherever the result is a normal number, that is for |x| ≤ 37.5.
pub const CDF_RELATIVE_ERROR: f64 = 1e-15;

/// Largest error seen in [`quantile`] against 60-digit values as a share of max(1, |Φ⁻¹(p)|), rounded up; either
/// sign.
pub const QUANTILE_ERROR: f64 = 1e-15;

/// From here on Mills' ratio comes from the continued fraction.
const TAIL_START: f64 = 3.0;
/// Terms of the continued fraction; with the rest estimated the error at [`TAIL_START`] is below 1e-17 relative.
const TAIL_TERMS: u32 = 48;
/// Mills' ratio at 0, 1/2, …, 3, from mpmath with 60 digits.
const MILLS_RATIOS: [f64; 7] = [
    1.253_314_137_315_500_3,
    0.876_364_456_453_692_3,
    0.655_679_542_418_798_4,
    0.515_815_638_217_963_4,
    0.421_369_229_288_054_5,
    0.354_265_111_329_793_66,
    0.304_590_298_710_103_3,
];
/// Terms of its Taylor series; the remainder at a quarter from the centre is below 1e-17 relative.
const TAYLOR_TERMS: u32 = 22;
/// φ(0) = 1/√(2π).
const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
/// From here on φ is below the smallest double.
const UNDERFLOW: f64 = 40.0;
/// Below this a quantile is refined on the logarithm, where nothing becomes subnormal.
const FAR_TAIL: f64 = 1e-290;

/// Φ(x) = P(N(0,1) ≤ x). Takes infinities; NaN gives NaN. Relative error: [`CDF_RELATIVE_ERROR`], either sign.
#[must_use]
pub fn cdf(x: f64) -> f64 {
    survival(-x)
}

/// 1 − Φ(x) = P(N(0,1) > x), without the cancellation of that difference. Error as for [`cdf`].
#[must_use]
pub fn survival(x: f64) -> f64 {
    if x.is_infinite() {
        return if x > 0.0 { 0.0 } else { 1.0 };
    }
    let tail = density(x) * mills_ratio(x.abs());
    if x < 0.0 {
        1.0 - tail
    } else {
        tail
    }
}

/// φ(x) = exp(−x²/2)/√(2π). Relative error about 5e-16, either sign, for |x| ≤ 37.5.
#[must_use]
pub fn density(x: f64) -> f64 {
    if x.abs() > UNDERFLOW {
        return 0.0; // Far out the two exponentials would be 0 and infinity.
    }
    // head has so few bits that its square is exact; x²/2 = head²/2 + (x − head)(x + head)/2.
    let head = (x * 16.0).round() / 16.0;
    let rest = if head.is_finite() { (x - head) * (x + head) } else { 0.0 };
    DENSITY_AT_ZERO * (-0.5 * head * head).exp() * (-0.5 * rest).exp()
}

/// Φ⁻¹(p): −∞ at 0, +∞ at 1, NaN outside [0, 1]. One Newton step on Φ follows statrs' `erfc_inv`.
/// Error: [`QUANTILE_ERROR`], either sign; exact at 1/2. Note that above 1/2 a `p` resolves only 1 − p to 1e-16.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p > 0.5 {
        return -lower_quantile(1.0 - p); // this difference is exact
    }
    lower_quantile(p)
}

/// Φ⁻¹(p) for p in [0, 1/2].
fn lower_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 0.5 {
        return 0.0;
    }
    // Twice a subnormal is exact, so the start is good everywhere.
    let start = -SQRT_2 * erfc_inv(2.0 * p);
    if p >= FAR_TAIL {
        return start - (cdf(start) - p) / density(start);
    }
    let ratio = mills_ratio(-start);
    let logarithm = DENSITY_AT_ZERO.ln() - 0.5 * start * start + ratio.ln();
    start - (logarithm - p.ln()) * ratio
}

/// R(x) = (1 − Φ(x))/φ(x) for finite x ≥ 0; relative error below 1e-15.
fn mills_ratio(x: f64) -> f64 {
    for (index, &ratio) in (0u8..).zip(&MILLS_RATIOS) {
        let centre = 0.5 * f64::from(index);
        if x <= centre + 0.25 && x < TAIL_START {
            return mills_ratio_near(x - centre, centre, ratio);
        }
    }
    // 1/(x + 1/(x + 2/(x + 3/(x + …)))) from the inside out. What follows term n is close to the y that solves
    // y = x + (n + 1)/y.
    let rest = 0.5 * (x + x.hypot(2.0 * f64::from(TAIL_TERMS + 1).sqrt()));
    (1..=TAIL_TERMS).rev().fold(rest, |inner, term| x + f64::from(term) / inner).recip()
}

/// The Taylor series of R about `centre`, from R′ = xR − 1 and R⁽ᵏ⁺¹⁾ = xR⁽ᵏ⁾ + kR⁽ᵏ⁻¹⁾. A rounding error at the
/// centre grows by exp((x² − centre²)/2) only, which is at most 2.2 a quarter away from 3.
fn mills_ratio_near(step: f64, centre: f64, ratio: f64) -> f64 {
    // Holds R⁽ᵏ⁾hᵏ/k! rather than the derivatives.
    let mut before = ratio;
    let mut term = step * (centre * ratio - 1.0);
    let mut sum = ratio + term;
    for k in (1..TAYLOR_TERMS).map(f64::from) {
        let next = step * (centre * term + step * before) / (k + 1.0);
        (before, term) = (term, next);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Reference {
        cdf: Vec<CdfCase>,
        quantile: Vec<QuantileCase>,
    }
    #[derive(Deserialize)]
    struct CdfCase {
        x: f64,
        cdf: String,
        survival: String,
    }
    #[derive(Deserialize)]
    struct QuantileCase {
        p: f64,
        quantile: String,
    }

    fn reference() -> Reference {
        serde_json::from_str(include_str!("../../fixtures/reference/normal.json")).unwrap()
    }

    fn relative_error(found: f64, truth: &str) -> f64 {
        let truth: f64 = truth.parse().unwrap();
        if found.to_bits() == truth.to_bits() {
            0.0
        } else {
            ((found - truth) / truth).abs()
        }
    }

    #[test]
    fn both_tails_agree_with_sixty_digit_arithmetic() {
        let mut worst = 0.0f64;
        for case in reference().cdf {
            let error = relative_error(cdf(case.x), &case.cdf).max(relative_error(survival(case.x), &case.survival));
            assert!(error <= CDF_RELATIVE_ERROR, "x = {}: relative error {error:e}", case.x);
            worst = worst.max(error);
        }
        assert!(worst > CDF_RELATIVE_ERROR / 10.0, "the stated error {CDF_RELATIVE_ERROR:e} is far above {worst:e}");
    }

    #[test]
    fn quantiles_agree_with_sixty_digit_arithmetic() {
        for case in reference().quantile {
            let truth: f64 = case.quantile.parse().unwrap();
            let error = (quantile(case.p) - truth).abs() / truth.abs().max(1.0);
            assert!(error <= QUANTILE_ERROR, "p = {}: error {error:e}", case.p);
        }
    }

    #[test]
    fn the_ends_of_the_unit_interval_are_infinite_and_its_outside_is_nan() {
        assert!(quantile(0.0).is_infinite() && quantile(0.0) < 0.0);
        assert!(quantile(1.0).is_infinite() && quantile(1.0) > 0.0);
        assert!(quantile(-0.1).is_nan() && quantile(1.1).is_nan() && quantile(f64::NAN).is_nan());
        assert!(quantile(5e-324) < -38.0 && quantile(5e-324) > -39.0);
        assert!(quantile(0.5).abs() <= 0.0);
    }

    #[test]
    fn infinities_have_probability_zero_and_one() {
        assert!(cdf(f64::INFINITY) >= 1.0 && cdf(f64::NEG_INFINITY) <= 0.0);
        assert!(survival(f64::INFINITY) <= 0.0 && survival(f64::NEG_INFINITY) >= 1.0);
        assert!(density(f64::INFINITY) <= 0.0 && density(1e300) <= 0.0);
        // Not a multiple of 1/16, and far enough for the rest of the exponent to overflow by itself.
        assert!(
            density(32_000.03) <= 0.0 && survival(32_000.03) <= 0.0 && cdf(32_000.03) >= 1.0 && density(38.5) > 0.0
        );
        assert!(cdf(f64::NAN).is_nan() && cdf(1e300) >= 1.0 && cdf(-1e300) <= 0.0);
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_distribution_function_increases(x in -37.0..8.0f64, step in 0.001..1.0f64) {
            prop_assert!(cdf(x) < cdf(x + step) || cdf(x) >= 1.0 - 1e-15);
        }

        #[test]
        fn the_quantile_of_the_distribution_function_is_where_it_started(x in -37.0..0.0f64) {
            prop_assert!((quantile(cdf(x)) - x).abs() <= 1e-14 * (1.0 - x));
        }
    }
}
