//! The probability that a shifted standard normal variable falls into a centred interval, and the shift at which
//! it falls to a level.
//!
//! P(u) = Φ(t − u) − Φ(−t − u) for half-width t and shift u ≥ 0. Both P and 1 − P come out with a small relative
//! error, so that levels close to 0 and to 1 are judged as safely as 1/2.

use crate::quantity::Probability;
use crate::stats::normal::{density, survival};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Relative error of both parts of [`ProbabilityInside`] for the exact t and u, either sign, wherever they are
/// normal numbers: the error of the normal tails, plus (37.5)² half units from rounding t − u and t + u.
pub const PROBABILITY_RELATIVE_ERROR: f64 = 2e-13;
/// Halvings of a bracket; it ends earlier where no double lies between its ends.
const MAX_HALVINGS: u32 = 200;

/// The probability of staying within the radius, and its complement, each with a small relative error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbabilityInside {
    /// P(‖Δ‖₂ ≤ r).
    pub inside: f64,
    /// P(‖Δ‖₂ > r), not computed as a difference from 1.
    pub outside: f64,
}

/// P(u) and 1 − P(u) for half-width t and shift u ≥ 0.
pub(super) fn probability_inside(half_width: f64, shift: f64) -> ProbabilityInside {
    let (near, far) = (survival(shift - half_width), survival(shift + half_width));
    let inside = if near >= 2.0 * far { near - far } else { narrow_interval(half_width, shift) };
    ProbabilityInside { inside, outside: survival(half_width - shift) + far }
}

/// ∫φ over [u − t, u + t] where the tails at both ends differ by less than a factor 2: their difference would
/// cancel, but φ is so smooth there that Gauss–Legendre quadrature with ten nodes is exact to rounding.
fn narrow_interval(half_width: f64, shift: f64) -> f64 {
    let pair = |(node, weight): &(f64, f64)| {
        weight * (density(shift - half_width * node) + density(shift + half_width * node))
    };
    half_width * GAUSS_LEGENDRE.iter().map(pair).sum::<f64>()
}

/// The positive nodes and weights of the ten-point rule on [−1, 1], from mpmath with 60 digits.
const GAUSS_LEGENDRE: [(f64, f64); 5] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_87),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// True only when P > m despite the error of P. The absolute term covers subnormal probabilities.
pub(super) fn certainly_above(level: Probability, p: ProbabilityInside) -> bool {
    let m = level.get();
    if m >= 0.5 {
        p.outside * (1.0 + PROBABILITY_RELATIVE_ERROR) < 1.0 - m // this difference is exact
    } else {
        p.inside * (1.0 - PROBABILITY_RELATIVE_ERROR) - f64::MIN_POSITIVE > m
    }
}

/// True only when P ≤ m despite the error of P.
pub(super) fn certainly_not_above(level: Probability, p: ProbabilityInside) -> bool {
    let m = level.get();
    if m >= 0.5 {
        p.outside * (1.0 - PROBABILITY_RELATIVE_ERROR) >= 1.0 - m
    } else {
        p.inside * (1.0 + PROBABILITY_RELATIVE_ERROR) + f64::MIN_POSITIVE <= m
    }
}

/// Where `holds` changes from true to false: the largest shift found with it and the smallest without. (0, 0)
/// where it does not even hold at 0. `holds` must be false from `beyond` + 40 on.
pub(super) fn boundary(beyond: f64, holds: impl Fn(f64) -> bool) -> (f64, f64) {
    if !holds(0.0) {
        return (0.0, 0.0);
    }
    let (mut low, mut high) = (0.0, beyond);
    while holds(high) {
        low = high;
        high *= 2.0;
    }
    for _ in 0..MAX_HALVINGS {
        let middle = low + 0.5 * (high - low);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;
    use proptest::prelude::*;

    #[derive(Deserialize)]
    struct Reference {
        margin: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        half_width: f64,
        probes: Vec<Probe>,
    }
    #[derive(Deserialize)]
    struct Probe {
        shift: f64,
        inside: String,
        outside: String,
    }

    #[test]
    fn both_probabilities_agree_with_sixty_digit_arithmetic() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../fixtures/reference/linear_gaussian.json")).unwrap();
        let close = |found: f64, truth: &str| {
            let truth: f64 = truth.parse().unwrap();
            (found - truth).abs() <= PROBABILITY_RELATIVE_ERROR * truth
        };
        assert!(reference.margin.len() > 10);
        for case in reference.margin {
            for probe in case.probes {
                let found = probability_inside(case.half_width, probe.shift);
                let place = format!("t = {}, u = {}: {found:?}", case.half_width, probe.shift);
                assert!(close(found.inside, &probe.inside), "{place}");
                assert!(close(found.outside, &probe.outside), "{place}");
            }
        }
    }

    #[test]
    fn a_level_within_the_error_of_the_probability_is_undecided() {
        for m in [0.3, 0.5, 0.9] {
            let (level, p) = (Probability::new(m).unwrap(), ProbabilityInside { inside: m, outside: 1.0 - m });
            assert!(!certainly_above(level, p));
            let nudge = 1e-14 * m.min(1.0 - m);
            let p = ProbabilityInside { inside: m + nudge, outside: 1.0 - m - nudge };
            assert!(!certainly_above(level, p) && !certainly_not_above(level, p));
        }
    }

    #[test]
    fn the_boundary_of_a_condition_lies_between_neighbouring_doubles() {
        let (low, high) = boundary(1.0, |shift| shift < 2.5);
        assert!(low < 2.5 && high >= 2.5 && low.next_up() >= high);
        assert_eq!(boundary(1.0, |_| false), (0.0, 0.0));
    }

    proptest! {
        #![proptest_config(seeded(64))]

        #[test]
        fn the_parts_add_up_to_one_and_shifting_lowers_the_first(t in 1e-3..20.0f64, u in 0.0..20.0f64) {
            let p = probability_inside(t, u);
            prop_assert!((p.inside + p.outside - 1.0).abs() <= 2e-15);
            let further = probability_inside(t, u + 0.1);
            prop_assert!(further.inside <= p.inside && further.outside >= p.outside);
        }
    }
}
