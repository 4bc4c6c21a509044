//! Tails of the binomial distribution, bounded from above.

use super::rounding::{raised, SYSTEM, UNIT};

/// More trials than this are refused: every count up to here and every bound below holds in doubles.
pub(super) const MOST_TRIALS: u64 = 1 << 32;
/// Below this ln n! is computed from n!, which is an exact double; from here on by Stirling's series.
const SMALL: u64 = 16;
/// Absolute error of [`stirling_remainder`]. For n < 16: eight units of ln n! ≤ 28, nine of n·ln n ≤ 41, and a few of n
/// make 700u < 10⁻¹³. From 16 on the series envelops: less than 1/(1188·16⁹) is left out.
const REMAINDER_ERROR: f64 = 1e-13;
/// Closer to its mean than this a count is not told apart from it.
const CLOSEST: f64 = 1e-3;
/// Terms below this share of a tail are bounded together.
const NEGLIGIBLE: f64 = 1e-18;

/// At least P(Bin(n, p) ≥ k). Sharp for k above the mean n·p, 1 otherwise.
pub(super) fn at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 || n > MOST_TRIALS || p.is_nan() || p >= 1.0 {
        1.0
    } else if k > n || p <= 0.0 {
        0.0
    } else if k == n {
        // ln p and n·ln p: nine units of the exponent.
        let log = n as f64 * if p < 0.5 { p.ln() } else { (-(1.0 - p)).ln_1p() };
        raised(log.exp(), (SYSTEM + 1.0) * (log.abs() + 1.0)).min(1.0)
    } else {
        (mass(k, n, p) * ratios(k, n, p) * (1.0 + 8.0 * UNIT)).min(1.0)
    }
}

/// At least P(Bin(n, p) ≤ k): at least n − k failures, which are not less likely for more likely failures.
pub(super) fn at_most(k: u64, n: u64, p: f64) -> f64 {
    at_least(n.saturating_sub(k), n, (1.0 - p).next_up())
}

/// At least P(Bin(n, p) = k) for 0 < k < n and k above n·p; infinite otherwise.
///
/// √(n/(2πk(n−k)))·exp(δ(n) − δ(k) − δ(n−k) − D) with the remainders δ of Stirling's formula and the deviance
/// D = k ln(k/np) + (n−k) ln((n−k)/(n(1−p))).
fn mass(k: u64, n: u64, p: f64) -> f64 {
    let (count, total, rest) = (k as f64, n as f64, (n - k) as f64);
    // n·p exactly, in two parts; the small one is below 10⁻⁶, so the excess is off by at most 2.1u of itself.
    let mean = total * p;
    let excess = (count - mean) - total.mul_add(p, -mean);
    if excess.is_nan() || excess < CLOSEST {
        return f64::INFINITY;
    }
    let deviance = deviance(count, mean, excess) + deviance(rest, total * (1.0 - p), -excess);
    let exponent = stirling_remainder(n) - stirling_remainder(k) - stirling_remainder(n - k) - deviance;
    let units = SYSTEM + 4.0 * (deviance.abs() + 1.0) + 3.1 * REMAINDER_ERROR / UNIT + 12.0;
    raised((total / (2.0 * std::f64::consts::PI * count * rest)).sqrt() * exponent.exp(), units)
}

/// At most x ln(x/M) + M − x, where x − M = `excess` (off by 2.1u) and M by 2u.
fn deviance(x: f64, mean: f64, excess: f64) -> f64 {
    let share = excess / mean;
    if share.abs() > 0.1 {
        let product = x * (x / mean).ln();
        // Four units of x from x/M, nine of the product, three and the sum's one of the excess.
        return product - excess - 14.0 * UNIT * (x + product.abs() + excess.abs());
    }
    // M·Σ_{j≥2} (−ε)^j/(j(j−1)): ε is off by 5.1u, which is 12u of the sum; 30 terms down to 10⁻³⁰ with at most 12u more
    // before they are negligible.
    let (mut power, mut sum) = (-share, 0.0);
    for j in 2..32 {
        power *= -share;
        sum += power / f64::from(j * (j - 1));
    }
    mean * sum * (1.0 - 40.0 * UNIT)
}

/// ln n! − (½ ln(2πn) + n ln n − n) for n ≥ 1, up to [`REMAINDER_ERROR`].
fn stirling_remainder(n: u64) -> f64 {
    let x = n as f64;
    if n < SMALL {
        let factorial: f64 = (1..=n).map(|i| i as f64).product();
        return factorial.ln() - (0.5 * (2.0 * std::f64::consts::PI * x).ln() + x * x.ln() - x);
    }
    let square = 1.0 / (x * x);
    (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x
}

/// At least P(Bin(n, p) ≥ k)/P(Bin(n, p) = k) for k above n·p: the terms fall faster and faster, so those left out are
/// bounded by a geometric series. A term meets six more roundings than the one before.
fn ratios(k: u64, n: u64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let (mut term, mut sum) = (1.0, 1.0);
    for j in k..n {
        let ratio = (n - j) as f64 / (j + 1) as f64 * odds;
        let left = term * ratio / (1.0 - ratio);
        if left < NEGLIGIBLE * sum || ratio.is_nan() || ratio >= 1.0 {
            let left = if ratio < 1.0 { left } else { f64::INFINITY };
            return raised(sum + 2.0 * left, 7.0 * (j - k) as f64 + 16.0);
        }
        term *= ratio;
        sum += term;
    }
    raised(sum, 7.0 * (n - k) as f64 + 16.0)
}
