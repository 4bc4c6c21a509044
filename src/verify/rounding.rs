//! Rounding: units, sums of errors, norms rounded upwards.

/// u, the largest relative error of one rounding to nearest.
pub(super) const UNIT: f64 = f64::EPSILON / 2.0;
/// What the system's exp, ln, ln_1p, exp_m1 and sinh may be off by, in units u: four units in the last place.
pub(super) const SYSTEM: f64 = 8.0;
/// Factor on every bound of an error: covers products of errors with each other and the rounding of the bound itself.
pub(super) const GUARD: f64 = 1.01;
/// Added for everything lost to underflow, per operation; 2⁵² times what one operation can lose.
pub(super) const TINY: f64 = f64::MIN_POSITIVE;

/// γ_k = k·u / (1 − k·u): the relative error of k roundings in a row (Higham, *Accuracy and Stability*, 3.1).
pub(super) fn gamma(roundings: usize) -> f64 {
    let product = roundings as f64 * UNIT;
    if product < 0.5 {
        product / (1.0 - product)
    } else {
        f64::INFINITY
    }
}

/// At least x̃ for every x̃ ≥ 0 that `value` approximates with a relative error of `units`·u, `units` at most 10⁷.
///
/// Four units more pay for the three roundings of this function; nothing below the normal range is returned.
pub(super) fn raised(value: f64, units: f64) -> f64 {
    (value * (1.0 + (units + 4.0) * UNIT)).max(if value.is_nan() { f64::NAN } else { TINY })
}

/// At most x̃ for every x̃ ≥ 0 that `value` approximates with a relative error of `units`·u; never below 0.
pub(super) fn lowered(value: f64, units: f64) -> f64 {
    let low = value * (1.0 - (units + 4.0) * UNIT);
    if low < TINY {
        0.0
    } else {
        low
    }
}

/// At least the Euclidean norm: n products, n sums and a root are off by (n/2 + 2)u; squares that underflow count TINY.
pub(super) fn norm(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let sum: f64 = values.iter().map(|value| value * value).sum();
    raised((sum + count * TINY).sqrt(), count + 4.0)
}
