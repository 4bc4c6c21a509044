//! Ranks in a sorted sample that enclose a quantile of the distribution it came from.

use super::binomial_tail::{lower_tail, upper_tail};
use crate::quantity::Probability;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Two ranks, counted from 1 in ascending order, between which a quantile lies; `None` where even the smallest
/// or the largest observation is not extreme enough for its half of the failure probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderStatisticInterval {
    /// The observation of this rank exceeds the quantile with at most half the failure probability.
    pub lower_rank: Option<usize>,
    /// The observation of this rank falls short of the quantile with at most half the failure probability.
    pub upper_rank: Option<usize>,
}

/// The narrowest exact interval of order statistics for the q-quantile x_q = inf{x : F(x) ≥ q}, q =
/// `quantile_order`, from `sample_size` independent draws of any distribution F, continuous or not.
///
/// `lower_rank` is the largest l with P(Bin(n, q) ≤ l − 1) ≤ a/2 and `upper_rank` the smallest u with
/// P(Bin(n, q) ≥ u) ≤ a/2, a = `failure_probability` (David & Nagaraja, *Order Statistics*, 7.1). A rank
/// counts only when its tail is small enough despite rounding, so the interval may come out one rank wide of
/// the exact one, never inside it.
#[must_use]
pub fn order_statistic_interval(
    sample_size: usize,
    quantile_order: Probability,
    failure_probability: Probability,
) -> OrderStatisticInterval {
    let (n, q) = (sample_size as f64, quantile_order.get());
    let side = 0.5 * failure_probability.get();
    // Beyond the mean on the wrong side a tail is at least 1/2 and therefore too large.
    let low_enough = |rank: usize| {
        let count = rank as f64 - 1.0;
        count <= n * q && side > 0.0 && lower_tail(count, n, q).certainly_at_most(side)
    };
    let high_enough = |rank: usize| {
        let count = rank as f64;
        count >= n * q && side > 0.0 && upper_tail(count, n, q).certainly_at_most(side)
    };
    let lower = first_rank(sample_size, |rank| !low_enough(rank)) - 1;
    let upper = first_rank(sample_size, high_enough);
    OrderStatisticInterval {
        lower_rank: (lower >= 1).then_some(lower),
        upper_rank: (upper <= sample_size).then_some(upper),
    }
}

/// The smallest rank in 1..=`size` from which `holds` stays true; `size` + 1 where it never does.
fn first_rank(size: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut below, mut from) = (0, size + 1);
    while from - below > 1 {
        let middle = below + (from - below) / 2;
        if holds(middle) {
            from = middle;
        } else {
            below = middle;
        }
    }
    from
}

/// The smallest rank k, counted from 1, with k/n > q: the smallest r in a sorted sample at which the empirical
/// P(X ≤ r) exceeds q is its k-th value. `sample_size` where no rank does, which makes it 0 for an empty sample.
///
/// k/n is rounded to the nearest double before it is compared, so that 7/10 does not exceed a q written as 0.7.
#[must_use]
pub fn quantile_rank(sample_size: usize, quantile_order: Probability) -> usize {
    let share = |rank: usize| rank as f64 / sample_size as f64;
    first_rank(sample_size, |rank| share(rank) > quantile_order.get()).min(sample_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;

    #[derive(Deserialize)]
    struct Reference {
        order_statistics: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        sample_size: usize,
        quantile_order: f64,
        failure_probability: f64,
        lower_rank: Option<usize>,
        upper_rank: Option<usize>,
    }

    fn interval(n: usize, q: f64, a: f64) -> OrderStatisticInterval {
        order_statistic_interval(n, Probability::new(q).unwrap(), Probability::new(a).unwrap())
    }

    #[test]
    fn ranks_agree_with_exact_binomial_tails() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../fixtures/reference/binomial.json")).unwrap();
        for case in reference.order_statistics {
            let found = interval(case.sample_size, case.quantile_order, case.failure_probability);
            let expected = OrderStatisticInterval { lower_rank: case.lower_rank, upper_rank: case.upper_rank };
            assert_eq!(found, expected, "n = {}, q = {}", case.sample_size, case.quantile_order);
        }
    }

    #[test]
    fn six_draws_enclose_the_median_between_their_extremes_at_five_percent() {
        // Both tails are 1/64 = 0.0156 at the extremes and 7/64 one rank further in.
        let found = interval(6, 0.5, 0.05);
        assert_eq!((found.lower_rank, found.upper_rank), (Some(1), Some(6)));
        let found = interval(5, 0.5, 0.05);
        assert_eq!((found.lower_rank, found.upper_rank), (None, None));
    }

    #[test]
    fn an_empty_sample_encloses_nothing() {
        assert_eq!(interval(0, 0.5, 0.5), OrderStatisticInterval { lower_rank: None, upper_rank: None });
        assert_eq!(quantile_rank(0, Probability::HALF), 0);
    }

    #[test]
    fn the_rank_of_a_quantile_is_the_first_whose_share_exceeds_it() {
        for (n, q, rank) in [(10, 0.5, 6), (11, 0.5, 6), (1, 0.5, 1), (10, 0.7, 8), (10, 0.1, 2), (10, 0.99, 10)] {
            assert_eq!(quantile_rank(n, Probability::new(q).unwrap()), rank, "n = {n}, q = {q}");
        }
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_ranks_of_q_mirror_those_of_its_complement(n in 1..400usize, eighth in 1..8u8, a in 1e-6..0.5f64) {
            let q = f64::from(eighth) / 8.0;
            let (one, other) = (interval(n, q, a), interval(n, 1.0 - q, a));
            prop_assert_eq!(one.lower_rank.map(|rank| n + 1 - rank), other.upper_rank);
            if let (Some(low), Some(high)) = (one.lower_rank, one.upper_rank) {
                prop_assert!(low <= high);
            }
        }
    }
}
