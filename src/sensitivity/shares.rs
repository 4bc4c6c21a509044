//! The secant slopes of a maximum over windows: the share of the way on which each place leads.
//!
//! On the segment from a window's values a to a + Δa the maximum changes by ∫Δa_{k(u)} du, k(u) a place that is largest at
//! a + uΔa; so by Σ s_k Δa_k, s_k ≥ 0 the share of the segment on which k leads. With |Δa_k| ≤ t_k, k* the place that leads
//! at a and g_k = a_k* − a_k, a place k cannot lead before u = g_k/(t_k + t_k*): its share is at most 1 − that, and that of
//! k* at least the smallest of these numbers. Proof: `proofs/C-slope-interval.md`.

use super::secant::SecantRange;

/// What a place is certain not to win before: the gap to the leader, rounded down, and how far it can close, rounded up.
struct Gap {
    place: usize,
    gap: f64,
    closing: f64,
}

impl Gap {
    fn never_leads(&self) -> bool {
        self.gap >= self.closing && self.gap >= 0.0
    }

    /// The share of the segment on which the place cannot lead, rounded down.
    fn before(&self) -> f64 {
        if self.gap > 0.0 {
            (self.gap / self.closing).next_down().clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

const NEVER: SecantRange = SecantRange { low: 0.0, high: 0.0 };
const UNKNOWN: SecantRange = SecantRange { low: f64::NAN, high: f64::NAN };

/// The place with the largest value, the first of several.
fn leader(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, place| if values[place] > values[best] { place } else { best })
}

fn gaps(values: &[f64], error: f64, reaches: &[f64]) -> (usize, Vec<Gap>) {
    let first = leader(values);
    let others = (0..values.len()).filter(|&place| place != first);
    let gap = |place: usize| Gap {
        place,
        gap: ((values[first] - values[place]).next_down() - 2.0 * error).next_down(),
        closing: (reaches[first] + reaches[place]).next_up(),
    };
    (first, others.map(gap).collect())
}

/// The range of every place's share in one window, for values known up to `error` that move by at most `reaches`. NaN
/// where nothing is known.
pub(crate) fn share_ranges(values: &[f64], error: f64, reaches: &[f64]) -> Vec<SecantRange> {
    if values.iter().chain(reaches).chain([&error]).any(|value| !value.is_finite()) {
        return vec![UNKNOWN; values.len()];
    }
    let (first, gaps) = gaps(values, error, reaches);
    let mut ranges = vec![NEVER; values.len()];
    let rivals = || gaps.iter().filter(|gap| !gap.never_leads());
    for rival in rivals() {
        ranges[rival.place] = SecantRange { low: 0.0, high: (1.0 - rival.before()).next_up().min(1.0) };
    }
    if let Some(range) = ranges.get_mut(first) {
        *range = SecantRange { low: rivals().map(Gap::before).fold(1.0, f64::min), high: 1.0 };
    }
    ranges
}

/// The shares at the input: 1 for the leader, 0 for the others.
pub(crate) fn shares(values: &[f64]) -> Vec<f64> {
    let first = leader(values);
    (0..values.len()).map(|place| f64::from(u8::from(place == first))).collect()
}

/// Up to which norm of the perturbation the leader stays the same, for values known up to `error` that move by at most
/// `rates` times that norm; rounded down.
pub(crate) fn certain_up_to(values: &[f64], error: f64, rates: &[f64]) -> f64 {
    let (_, gaps) = gaps(values, error, rates);
    gaps.iter().map(|gap| (gap.gap.max(0.0) / gap.closing).next_down().max(0.0)).fold(f64::INFINITY, f64::min)
}

/// About how far each place may move, the others moving as far, before its share becomes uncertain.
pub(crate) fn distances(values: &[f64]) -> Vec<f64> {
    let first = leader(values);
    let mut distances: Vec<f64> = values.iter().map(|value| 0.5 * (values[first] - value)).collect();
    let others = (0..values.len()).filter(|&place| place != first).map(|place| distances[place]);
    let nearest = others.fold(f64::INFINITY, f64::min);
    if let Some(distance) = distances.get_mut(first) {
        *distance = nearest;
    }
    distances
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::seeded;

    fn pairs(ranges: &[SecantRange]) -> Vec<(f64, f64)> {
        ranges.iter().map(|range| (range.low, range.high)).collect()
    }

    #[test]
    fn two_places_are_the_kink_of_their_difference() {
        // Gap 2, closing at most 4: the leader leads on at least half of the way.
        let ranges = share_ranges(&[3.0, 1.0], 0.0, &[3.0, 1.0]);
        for (found, expected) in pairs(&ranges).into_iter().zip([(0.5, 1.0), (0.0, 0.5)]) {
            assert!((found.0 - expected.0).abs() < 1e-14 && (found.1 - expected.1).abs() < 1e-14, "{found:?}");
        }
    }

    #[test]
    fn a_gap_that_cannot_close_leaves_no_doubt_and_one_that_might_does() {
        assert_eq!(
            pairs(&share_ranges(&[3.0, 1.0, 1.5], 1e-12, &[0.5, 1.0, 0.5])),
            [(1.0, 1.0), (0.0, 0.0), (0.0, 0.0)]
        );
        let tie = pairs(&share_ranges(&[1.0, 1.0], 0.0, &[0.0, 0.0]));
        assert_eq!(tie, [(0.0, 1.0), (0.0, 1.0)], "which of two equal values leads is not known");
        let vague = pairs(&share_ranges(&[3.0, 1.0], 2.0, &[0.1, 0.1]));
        assert_eq!(vague, [(0.0, 1.0), (0.0, 1.0)], "the values are not known well enough");
        assert_eq!(pairs(&share_ranges(&[7.0], 0.1, &[100.0])), [(1.0, 1.0)]);
    }

    #[test]
    fn what_is_not_finite_is_not_certain() {
        for (values, error, reaches) in [
            ([f64::NAN, 1.0], 0.0, [0.1, 0.1]),
            ([2.0, f64::NEG_INFINITY], 0.0, [0.1, 0.1]),
            ([2.0, 1.0], f64::NAN, [0.1, 0.1]),
            ([2.0, 1.0], 0.0, [f64::INFINITY, 0.1]),
        ] {
            assert!(share_ranges(&values, error, &reaches).iter().all(|range| range.half_width().is_nan()));
        }
    }

    proptest! {
        #![proptest_config(seeded(2000))]

        #[test]
        fn shares_of_sampled_segments_lie_in_their_ranges_and_explain_the_maximum(
            window in prop::collection::vec((-2.0..2.0f64, 0.0..2.0f64, -1.0..1.0f64), 1..6),
        ) {
            let values: Vec<f64> = window.iter().map(|place| place.0).collect();
            let reaches: Vec<f64> = window.iter().map(|place| place.1).collect();
            let steps: Vec<f64> = window.iter().map(|place| place.1 * place.2).collect();
            let ranges = share_ranges(&values, 0.0, &reaches);
            let at = |u: f64| values.iter().zip(&steps).map(|(value, step)| value + u * step).collect::<Vec<f64>>();
            let count = 2000;
            let mut found = vec![0.0; values.len()];
            for i in 0..count {
                found[leader(&at((f64::from(i) + 0.5) / f64::from(count)))] += 1.0 / f64::from(count);
            }
            for (share, range) in found.iter().zip(&ranges) {
                prop_assert!(*share >= range.low - 1e-3 && *share <= range.high + 1e-3, "{found:?} {ranges:?}");
            }
            let largest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let explained: f64 = found.iter().zip(&steps).map(|(share, step)| share * step).sum();
            prop_assert!((largest(&at(1.0)) - largest(&values) - explained).abs() < 0.02);
            let certain = certain_up_to(&values, 0.0, &reaches);
            let still = share_ranges(&values, 0.0, &reaches.iter().map(|reach| 0.999 * certain.min(1e6) * reach).collect::<Vec<_>>());
            prop_assert!(still.iter().zip(shares(&values)).all(|(a, b)| (a.low, a.high) == (b, b)) || certain == 0.0, "{still:?}");
        }
    }
}
