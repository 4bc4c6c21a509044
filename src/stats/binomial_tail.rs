//! Binomial tail probabilities as logarithms, each with a bound on its own rounding error.
//!
//! P(X ≥ k) is the probability of k, by Loader's saddle-point expansion (*Fast and accurate computation of
//! binomial probabilities*, 2000), times 1 + r₁ + r₁r₂ + …, where rⱼ = (n−k−j+1)/(k+j) · p/(1−p) is the ratio of
//! neighbouring probabilities. Every term is positive, so nothing cancels: to the right of the mean the sum has
//! a relative error proportional to the number of terms, of order √n.

use std::f64::consts::TAU;

/// The natural logarithm of a probability and a bound on the error of that logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogProbability {
    /// ln P as computed.
    pub(super) value: f64,
    /// The exact ln P differs from `value` by at most this, in either direction.
    pub(super) error: f64,
}

impl LogProbability {
    /// True only when P ≤ `bound` is certain despite rounding. `bound` in (0, 1].
    pub(super) fn certainly_at_most(self, bound: f64) -> bool {
        let logarithm = bound.ln();
        self.value + self.error <= logarithm - f64::EPSILON * logarithm.abs()
    }

    /// True only when P ≥ `bound` is certain despite rounding. `bound` in (0, 1].
    pub(super) fn certainly_at_least(self, bound: f64) -> bool {
        let logarithm = bound.ln();
        self.value - self.error >= logarithm + f64::EPSILON * logarithm.abs()
    }
}

/// ln P(Bin(`trials`, `p`) ≥ `count`) for integers 1 ≤ `count` ≤ `trials` < 2⁵³ and 0 < `p` < 1 with
/// `trials`·`p` ≤ `count`; left of the mean the sum is still right but its error bound loses its sharpness.
pub(super) fn upper_tail(count: f64, trials: f64, p: f64) -> LogProbability {
    tail(count, trials, p, 1.0 - p)
}

/// ln P(Bin(`trials`, `p`) ≤ `count`) for integers 0 ≤ `count` < `trials` and `trials`·`p` ≥ `count`.
pub(super) fn lower_tail(count: f64, trials: f64, p: f64) -> LogProbability {
    tail(trials - count, trials, 1.0 - p, p)
}

/// The upper tail with both probabilities given; one of them is exact and the other rounded once.
fn tail(count: f64, trials: f64, p: f64, q: f64) -> LogProbability {
    let first = log_mass(count, trials, p, q);
    let odds = p / q;
    let (mut sum, mut term, mut terms) = (1.0, 1.0, 0.0);
    while count + terms < trials {
        terms += 1.0;
        let ratio = (trials - count - terms + 1.0) / (count + terms) * odds;
        term *= ratio;
        sum += term;
        // The ratios fall, so what is left is at most the geometric series term·ratio/(1 − ratio).
        if ratio < 1.0 && term * ratio < 0.5 * f64::EPSILON * (1.0 - ratio) * sum {
            break;
        }
    }
    // In half units in the last place: each factor costs at most 5 (two of them from the odds), each addition 1
    // and the cut 1, so the logarithm of the sum is off by at most (3·terms + 1)·ε; the rest is headroom.
    let value = first.value + sum.ln();
    LogProbability { value, error: first.error + (4.0 * terms + 4.0 + 2.0 * value.abs()) * f64::EPSILON }
}

/// ln P(Bin(`trials`, p) = `count`) for 1 ≤ `count` ≤ `trials`.
fn log_mass(count: f64, trials: f64, p: f64, q: f64) -> LogProbability {
    let rest = trials - count;
    if rest <= 0.0 {
        // Whichever of p and q is below 1/2 determines the other exactly or was itself exact.
        let value = trials * if q < 0.5 { (-q).ln_1p() } else { p.ln() };
        return LogProbability { value, error: 3.0 * f64::EPSILON * value.abs() };
    }
    let hits = deviance(count, trials * p);
    let misses = deviance(rest, trials * q);
    let stirling = stirling_error(trials) - stirling_error(count) - stirling_error(rest);
    let scale = 0.5 * (trials / (TAU * count) / rest).ln();
    LogProbability {
        value: stirling - hits.value - misses.value + scale,
        error: hits.error
            + misses.error
            + f64::EPSILON * (8.0 + 2.0 * (hits.value.abs() + misses.value.abs() + scale.abs())),
    }
}

/// Loader's deviance x ln(x/m) + m − x ≥ 0 for x > 0 and a mean m > 0 that is itself rounded twice.
fn deviance(x: f64, mean: f64) -> LogProbability {
    let gap = x - mean;
    // d/dm (x ln(x/m) + m − x) = 1 − x/m, so a relative error e of the mean costs e·|gap|.
    let from_mean = f64::EPSILON * gap.abs();
    if gap.abs() >= 0.1 * (x + mean) {
        let main = x * (x / mean).ln();
        let error = from_mean + f64::EPSILON * (x + 2.0 * main.abs() + 2.0 * gap.abs());
        return LogProbability { value: main - gap, error };
    }
    // With v = gap/(x + m): x ln(x/m) − gap = gap·v + 2x(v³/3 + v⁵/5 + …).
    let v = gap / (x + mean);
    let mut sum = gap * v;
    let mut power = 2.0 * x * v;
    let mut odd = 1.0;
    loop {
        power *= v * v;
        odd += 2.0;
        let next = sum + power / odd;
        if (next - sum).abs() <= 0.25 * f64::EPSILON * sum.abs() {
            break;
        }
        sum = next;
    }
    LogProbability { value: sum, error: from_mean + 8.0 * f64::EPSILON * sum.abs() }
}

/// ln(n!) − ln(√(2πn) (n/e)ⁿ) for an integer n ≥ 1; absolute error below 2e-16.
fn stirling_error(n: f64) -> f64 {
    for (index, &value) in (1u8..).zip(&SMALL_STIRLING_ERRORS) {
        if n <= f64::from(index) {
            return value;
        }
    }
    let square = (n * n).recip();
    let [a, b, c, d, e] = STIRLING_COEFFICIENTS;
    (a - (b - (c - (d - e * square) * square) * square) * square) / n
}

/// 1/12, 1/360, 1/1260, 1/1680, 1/1188: the Stirling series.
const STIRLING_COEFFICIENTS: [f64; 5] = [1.0 / 12.0, 1.0 / 360.0, 1.0 / 1260.0, 1.0 / 1680.0, 1.0 / 1188.0];

/// The error of Stirling's formula at 1, 2, …, 16, from mpmath with 60 digits.
const SMALL_STIRLING_ERRORS: [f64; 16] = [
    0.081_061_466_795_327_26,
    0.041_340_695_955_409_3,
    0.027_677_925_684_998_34,
    0.020_790_672_103_765_093,
    0.016_644_691_189_821_193,
    0.013_876_128_823_070_748,
    0.011_896_709_945_891_77,
    0.010_411_265_261_972_096,
    0.009_255_462_182_712_733,
    0.008_330_563_433_362_87,
    0.007_573_675_487_951_841,
    0.006_942_840_107_209_53,
    0.006_408_994_188_004_207,
    0.005_951_370_112_758_847_5,
    0.005_554_733_551_962_801,
    0.005_207_655_919_609_640_4,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_coins_show_at_least_two_heads_half_of_the_time() {
        let found = upper_tail(2.0, 3.0, 0.5);
        assert!((found.value - 0.5f64.ln()).abs() <= found.error && found.error < 1e-13);
        let found = lower_tail(0.0, 3.0, 0.5);
        assert!((found.value - 0.125f64.ln()).abs() <= found.error);
    }

    #[test]
    fn a_die_shows_no_six_in_four_throws_with_probability_625_in_1296() {
        let found = lower_tail(0.0, 4.0, 1.0 / 6.0);
        assert!((found.value - (625.0f64 / 1296.0).ln()).abs() <= found.error + 1e-16);
    }

    #[test]
    fn stirlings_series_continues_the_table_smoothly() {
        let [.., last] = SMALL_STIRLING_ERRORS;
        // ln(17!/16!) = ln 17 in terms of the two errors.
        let step = stirling_error(17.0) - last;
        let exact = 1.0 - 16.5 * (17.0f64 / 16.0).ln();
        assert!((step - exact).abs() < 1e-14, "{step} against {exact}");
    }

    #[test]
    fn certainty_needs_more_than_the_error() {
        let half = LogProbability { value: 0.5f64.ln(), error: 1e-12 };
        assert!(!half.certainly_at_most(0.5) && !half.certainly_at_least(0.5));
        assert!(half.certainly_at_most(0.500_000_001) && half.certainly_at_least(0.499_999_999));
    }
}
