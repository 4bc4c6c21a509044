//! Clopper–Pearson bounds for a probability, moved outwards by the rounding error of their computation.
//!
//! Clopper & Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*,
//! Biometrika 1934. The end points are quantiles of beta distributions, but are found here as what they are
//! defined to be, the probabilities at which a binomial tail reaches the failure probability: the bracket keeps
//! a side on which the tail, *plus the bound on its rounding error*, is proved to be small enough, and that
//! side is returned.

use super::binomial_tail::{lower_tail, upper_tail};
use crate::quantity::{LowerBound, Probability, QuantityError, UpperBound};

/// More trials than this are refused: the work per bound grows as their square root.
pub const MAX_TRIALS: u64 = 1 << 32;

/// Counts that bound no probability.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BinomialError {
    /// No trial was made.
    #[error("a probability cannot be bounded from 0 trials")]
    NoTrials,
    /// There were more successes than trials.
    #[error("{successes} successes in {trials} trials")]
    TooManySuccesses {
        /// Successes claimed.
        successes: u64,
        /// Trials they are said to come from.
        trials: u64,
    },
    /// There were more than [`MAX_TRIALS`] trials.
    #[error("{trials} trials are more than the {MAX_TRIALS} that a bound is computed for")]
    TooManyTrials {
        /// Trials made.
        trials: u64,
    },
    /// The bound came out as no bound at all; a defect of this module.
    #[error("the computed bound is invalid: {0}")]
    Bound(#[from] QuantityError),
}

/// The Clopper–Pearson lower bound p̲ = Beta⁻¹(a; k, n−k+1) of the success probability; 0 for k = 0.
///
/// A p below the returned bound would give `successes` or more of `trials` with probability at most
/// `failure_probability` = a, so the bound exceeds the true p with probability at most a, for any true p.
/// It is below the exact Clopper–Pearson value by rounding only: by less than 1e-12 relative up to 10⁷ trials.
///
/// # Errors
/// [`BinomialError`] for no trials, more than [`MAX_TRIALS`], or more successes than trials.
pub fn clopper_pearson_lower(
    successes: u64,
    trials: u64,
    failure_probability: Probability,
) -> Result<LowerBound, BinomialError> {
    check(successes, trials)?;
    Ok(LowerBound::new(lower_end(successes as f64, trials as f64, failure_probability.get()))?)
}

/// The Clopper–Pearson upper bound p̄ = Beta⁻¹(1−a; k+1, n−k) of the success probability; 1 for k = n.
///
/// The bound falls short of the true p with probability at most `failure_probability` = a. It is one minus the
/// lower bound for the failures, rounded up; it exceeds the exact value by less than 1e-12 absolute up to 10⁷
/// trials.
///
/// # Errors
/// [`BinomialError`] for no trials, more than [`MAX_TRIALS`], or more successes than trials.
pub fn clopper_pearson_upper(
    successes: u64,
    trials: u64,
    failure_probability: Probability,
) -> Result<UpperBound, BinomialError> {
    check(successes, trials)?;
    let failures = (trials - successes) as f64;
    let upper = (1.0 - lower_end(failures, trials as f64, failure_probability.get())).next_up();
    Ok(UpperBound::new(upper.min(1.0))?)
}

fn check(successes: u64, trials: u64) -> Result<(), BinomialError> {
    match trials {
        0 => Err(BinomialError::NoTrials),
        _ if trials > MAX_TRIALS => Err(BinomialError::TooManyTrials { trials }),
        _ if successes > trials => Err(BinomialError::TooManySuccesses { successes, trials }),
        _ => Ok(()),
    }
}

/// A p, as large as rounding allows, at which P(Bin(n, p) ≥ k) ≤ a is certain.
fn lower_end(k: f64, n: f64, a: f64) -> f64 {
    if k <= 0.0 {
        return 0.0;
    }
    // At p = k/n the tail is at least 1/2, because then the median is at most one away from the mean.
    let mut high = if a < 0.5 { k / n } else { 1.0 };
    let mut low = 0.5 * high;
    while !tail_is_certainly_small(k, n, low, a) {
        high = low;
        low *= 0.5;
        if low < f64::MIN_POSITIVE {
            return 0.0;
        }
    }
    // 53 halvings exhaust the precision of a bracket whose ends differ by a factor 2.
    for _ in 0..53 {
        let middle = low + 0.5 * (high - low);
        if middle <= low || middle >= high {
            break;
        }
        if tail_is_certainly_small(k, n, middle, a) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// True only when P(Bin(n, p) ≥ k) ≤ a despite rounding. Right of k/n the complement is summed instead.
fn tail_is_certainly_small(k: f64, n: f64, p: f64, a: f64) -> bool {
    if n * p <= k {
        upper_tail(k, n, p).certainly_at_most(a)
    } else {
        a >= 0.5 && lower_tail(k - 1.0, n, p).certainly_at_least(1.0 - a) // exact from 1/2 on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Reference {
        clopper_pearson: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        successes: u64,
        trials: u64,
        failure_probability: f64,
        /// Digits of the exact lower bound, and of one minus it: no double can hold a bound close to 1.
        lower: String,
        one_minus_lower: String,
        upper: String,
        one_minus_upper: String,
    }

    fn probability(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }
    fn lower(k: u64, n: u64, a: f64) -> f64 {
        clopper_pearson_lower(k, n, probability(a)).unwrap().get()
    }
    fn upper(k: u64, n: u64, a: f64) -> f64 {
        clopper_pearson_upper(k, n, probability(a)).unwrap().get()
    }

    /// How far `found` lies below the truth, from whichever of the truth and its complement is more precise.
    fn shortfall(found: f64, truth: &str, complement: &str) -> f64 {
        let (truth, complement): (f64, f64) = (truth.parse().unwrap(), complement.parse().unwrap());
        if truth < 0.5 {
            truth - found
        } else {
            (1.0 - found) - complement
        }
    }

    #[test]
    fn bounds_lie_outside_the_exact_ones_by_less_than_1e_minus_12() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../fixtures/reference/binomial.json")).unwrap();
        assert!(reference.clopper_pearson.len() > 100);
        for case in reference.clopper_pearson {
            let (k, n, a) = (case.successes, case.trials, case.failure_probability);
            let found = lower(k, n, a);
            let below = shortfall(found, &case.lower, &case.one_minus_lower);
            assert!((0.0..=1e-12 * found).contains(&below), "lower {k}/{n} at {a:e}: below by {below:e}");
            let found = upper(k, n, a);
            let above = -shortfall(found, &case.upper, &case.one_minus_upper);
            assert!((0.0..=1e-12).contains(&above), "upper {k}/{n} at {a:e}: above by {above:e}");
        }
    }

    #[test]
    fn all_successes_give_the_nth_root_of_the_failure_probability() {
        assert!((lower(10, 10, 0.05) - 0.05f64.powf(0.1)).abs() < 1e-14);
        assert!((upper(0, 10, 0.05) - (1.0 - 0.05f64.powf(0.1))).abs() < 1e-14);
    }

    #[test]
    fn one_success_in_one_trial_is_bounded_by_the_failure_probability() {
        assert!(lower(1, 1, 0.3) <= 0.3 && lower(1, 1, 0.3) > 0.3 - 4e-15);
        assert!(upper(0, 1, 0.3) >= 0.7 && upper(0, 1, 0.3) < 0.7 + 4e-15);
    }

    #[test]
    fn no_successes_bound_nothing_from_below_and_no_failures_nothing_from_above() {
        assert!(lower(0, 1_000_000, 1e-12) <= 0.0 && upper(1_000_000, 1_000_000, 1e-12) >= 1.0);
    }

    #[test]
    fn extreme_failure_probabilities_still_give_probabilities() {
        for a in [f64::MIN_POSITIVE, 5e-324, 1.0 - 1e-16] {
            for (k, n) in [(1, 1), (1, 1_000_000_000), (500, 1000), (1000, 1000)] {
                let (low, high) = (lower(k, n, a), upper(k, n, a));
                assert!((0.0..1.0).contains(&low) && (0.0..=1.0).contains(&high), "{k}/{n} at {a:e}: {low}, {high}");
            }
        }
    }

    #[test]
    fn impossible_counts_are_handed_back() {
        let a = probability(0.1);
        assert_eq!(clopper_pearson_lower(0, 0, a), Err(BinomialError::NoTrials));
        let excess = BinomialError::TooManySuccesses { successes: 3, trials: 2 };
        assert_eq!(clopper_pearson_upper(3, 2, a), Err(excess));
        let trials = MAX_TRIALS + 1;
        assert_eq!(clopper_pearson_lower(3, trials, a), Err(BinomialError::TooManyTrials { trials }));
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_bounds_enclose_the_frequency(n in 1..3000u64, share in 0.0..=1.0f64, a in 1e-12..0.4f64) {
            let k = (0..=n).min_by_key(|&k| (k as f64 - share * n as f64).abs().to_bits()).unwrap();
            let frequency = k as f64 / n as f64;
            prop_assert!(lower(k, n, a) <= frequency && frequency <= upper(k, n, a));
        }

        #[test]
        fn more_successes_never_lower_a_bound(n in 2..2000u64, k in 0..2000u64, a in 1e-12..0.99f64) {
            let k = k % n;
            prop_assert!(lower(k, n, a) <= lower(k + 1, n, a));
            prop_assert!(upper(k, n, a) <= upper(k + 1, n, a));
        }

        #[test]
        fn a_smaller_failure_probability_widens_the_interval(k in 0..500u64, a in 1e-9..0.5f64) {
            prop_assert!(lower(k, 500, a / 2.0) <= lower(k, 500, a));
            prop_assert!(upper(k, 500, a) <= upper(k, 500, a / 2.0));
        }
    }
}
