//! The normal distribution Φ and its inverse, enclosed.

use super::rounding::{lowered, raised};

/// 1/√(2π) to the nearest double.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;
/// Up to here the series at 0 is used, above it the continued fraction.
const NEAR: f64 = 1.5;
/// Beyond this the density leaves the range of normal doubles.
const FAR: f64 = 37.0;
/// Terms of the series at 0; the last is below 10⁻³⁰ up to [`NEAR`], and so is the sum of those left out.
const SERIES_TERMS: i32 = 40;
/// Levels of the continued fraction.
const LEVELS: i32 = 200;
/// Halvings of an interval of length 40 until it cannot be halved.
const HALVINGS: usize = 60;

/// Two numbers with a third between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Interval {
    const fn negated(self) -> Self {
        Self { lower: -self.upper, upper: -self.lower }
    }
}

/// φ(x) for 0 ≤ x ≤ [`FAR`], relative error at most (12 + x²)u: the exponent is off by u·x²/2, exp by eight units, two
/// factors by one each and their product by one.
fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() * DENSITY_AT_0
}

/// 1 − Φ(x) for x ≥ 0.
pub(super) fn upper_tail(x: f64) -> Interval {
    if x.is_nan() || x < 0.0 {
        Interval { lower: 0.0, upper: 1.0 }
    } else if x <= NEAR {
        near(x)
    } else if x <= FAR {
        far(x)
    } else {
        Interval { lower: 0.0, upper: far(FAR).upper }
    }
}

/// 1/2 − φ(x)·Σ x^{2k+1}/(2k+1)!!: positive terms, the k-th with 3k roundings, so all is within 200 units.
fn near(x: f64) -> Interval {
    let (mut term, mut sum) = (x, x);
    for k in 1..SERIES_TERMS {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    let half = density(x) * sum;
    Interval { lower: (0.5 - raised(half, 200.0)).next_down(), upper: (0.5 - lowered(half, 200.0)).next_up() }
}

/// φ(x)/(x + 1/(x + 2/(x + 3/…))): what is cut off lies between x and infinity, and each of these gives one end. A level
/// costs two roundings and damps those before it.
fn far(x: f64) -> Interval {
    let fraction = |levels: i32| density(x) / (1..=levels).rev().fold(x, |below, k| x + f64::from(k) / below);
    let (a, b) = (fraction(LEVELS - 1), fraction(LEVELS));
    let units = 2.0 * f64::from(LEVELS) + 16.0 + x * x;
    Interval { lower: lowered(a.min(b), units), upper: raised(a.max(b), units) }
}

/// Φ(x); both ends within [0, 1].
pub(super) fn cumulative(x: f64) -> Interval {
    let tail = upper_tail(x.abs());
    if x < 0.0 {
        tail
    } else {
        Interval { lower: (1.0 - tail.upper).next_down().max(0.0), upper: (1.0 - tail.lower).next_up().min(1.0) }
    }
}

/// Φ⁻¹(p) for 0 < p < 1; an end that cannot be bounded is infinite.
pub(super) fn quantile(p: f64) -> Interval {
    // 1 − p is exact for p ≥ 1/2.
    if p >= 0.5 {
        tail_quantile(1.0 - p)
    } else {
        tail_quantile(p).negated()
    }
}

/// The x ≥ 0 with 1 − Φ(x) = `tail`, for a tail of at most 1/2.
fn tail_quantile(tail: f64) -> Interval {
    let lower = bisect(|x| upper_tail(x).lower >= tail).0;
    let end = bisect(|x| upper_tail(x).upper > tail).1;
    let upper = if upper_tail(end).upper <= tail { end } else { f64::INFINITY };
    Interval { lower, upper }
}

/// The ends of a shortest interval in [0, 40] at whose lower end, unless that is 0, `holds` and at whose upper end,
/// unless that is 40, it does not.
fn bisect(holds: impl Fn(f64) -> bool) -> (f64, f64) {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low, high)
}
