//! The range of an activation's secant slope: between a unit's pre-activation a and a + d, φ changes by s·d with s in
//! this range, for every |d| ≤ t.
//!
//! For a convex φ (identity, ReLU, leaky ReLU, ELU with α ≤ 1, softplus) the secant slope anchored at a grows with d, so the range
//! is [s(−t), s(t)]. For tanh and the sigmoid, whose slope is even and falls away from 0, take a ≥ 0: to the right the
//! secant slope falls from φ′(a); to the left it rises until the chord is a tangent and falls from there. So its minimum
//! is at an end, and its maximum is s(−t) or the slope of the tangent through a. ELU with α > 1 is ELU with α = 1 plus
//! (α − 1)(e^min(a, 0) − 1), and the range of a sum lies within the sum of the ranges. See `proofs/C-slope-interval.md`.

use crate::model::Activation;
use crate::stats::Enclosure;

/// An interval of slopes, ends included; rounded outwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecantRange {
    /// No secant slope is below this.
    pub low: f64,
    /// No secant slope is above this.
    pub high: f64,
}

impl SecantRange {
    /// The midpoint, as a double.
    #[must_use]
    pub fn centre(&self) -> f64 {
        0.5 * self.low + 0.5 * self.high
    }

    /// How far any slope can be from [`SecantRange::centre`], rounded up; 0 only where the slope is certain.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        let width = self.high - self.low;
        if width > 0.0 {
            let centre = self.centre();
            (self.high - centre).max(centre - self.low).next_up()
        } else {
            // 0, or not a number: an interval without its ends in order holds no slope.
            width.sqrt()
        }
    }
}

/// Beyond this size the slopes of tanh, sigmoid and softplus are taken at it: their exponentials would overflow.
const FAR: f64 = 300.0;
/// Halvings of the interval that holds the tangent point: as many as a double has digits.
const HALVINGS: u32 = 60;

/// The range of secant slopes of `activation` anchored anywhere in `anchor` (a and its error), for steps of at most
/// `reach` = t in size. NaN where nothing is known.
#[must_use]
pub fn secant_range(activation: Activation, anchor: Enclosure, reach: f64) -> SecantRange {
    let (from, to) = (anchor.lower(), anchor.upper());
    if from.is_nan() || to.is_nan() || reach.is_nan() {
        return SecantRange { low: f64::NAN, high: f64::NAN };
    }
    match activation {
        Activation::Identity => SecantRange { low: 1.0, high: 1.0 },
        Activation::Relu => kinked(0.0, from, to, reach),
        Activation::LeakyRelu { slope } => kinked(slope, from, to, reach),
        Activation::Elu { alpha } if alpha > 1.0 => {
            let SecantRange { low, high } = convex(Activation::Elu { alpha: 1.0 }, from, to, reach);
            let more = bounded_exponential(from, to, reach);
            let sum = |slope: f64, more: f64| Enclosure::exact(more) * (Enclosure::exact(alpha) - 1.0) + slope;
            SecantRange { low: sum(low, more.low).lower().max(0.0), high: sum(high, more.high).upper().min(alpha) }
        }
        Activation::Elu { .. } | Activation::Softplus => convex(activation, from, to, reach),
        Activation::Clip { low, high } => clipped([low, high], from, to, reach),
        Activation::Tanh | Activation::Sigmoid => sigmoidal(activation, from, to, reach),
    }
}

/// Slope `below` left of 0 and 1 right of it.
fn kinked(below: f64, from: f64, to: f64, reach: f64) -> SecantRange {
    if from >= reach && from > 0.0 {
        return SecantRange { low: 1.0, high: 1.0 };
    }
    if to <= -reach && to < 0.0 {
        return SecantRange { low: below, high: below };
    }
    // With a > 0 the secant to a − t has slope below + (1 − below)·a/t; with a < 0 that to a + t misses 1 likewise.
    let share = |distance: f64| if distance > 0.0 { (distance / reach).next_down().max(0.0) } else { 0.0 };
    let low = (below + ((1.0 - below) * share(from)).next_down().max(0.0)).next_down().max(below);
    let high = (1.0 - ((1.0 - below) * share(-to)).next_down().max(0.0)).next_up().min(1.0);
    if from > 0.0 {
        SecantRange { low, high: 1.0 }
    } else if to < 0.0 {
        SecantRange { low: below, high }
    } else {
        SecantRange { low: below, high: 1.0 }
    }
}

/// a ↦ e^min(a, 0) − 1: convex with slopes up to 1 left of 0, constant right of it.
fn bounded_exponential(from: f64, to: f64, reach: f64) -> SecantRange {
    let (left, right) = ((from - reach).next_down(), (to + reach).next_up());
    if from > 0.0 {
        // 1 − e^b ≤ −b: a step to b < 0 has slope (1 − e^b)/(a − b) ≤ −b/(a − b) ≤ (t − a)/t.
        let share = if left >= 0.0 { 0.0 } else { (-left / reach).next_up().next_up() };
        return SecantRange { low: 0.0, high: share.min(1.0) };
    }
    if to >= 0.0 {
        return SecantRange { low: 0.0, high: 1.0 };
    }
    let value = |at: f64| Enclosure::exact(at.min(0.0)).exp() - 1.0;
    let chord = |from: f64, to: f64| (value(to) - value(from)) / (Enclosure::exact(to) - from);
    let backward = chord(left, from).lower().max(Enclosure::exact(left).exp().lower());
    // To the right the slope grows up to 0 and falls after it.
    let forward = if right > 0.0 { chord(to, right).lower() } else { f64::INFINITY };
    let steepest = Enclosure::exact(right.min(0.0)).exp().upper().min(1.0);
    SecantRange { low: backward.min(forward).max(0.0), high: steepest }
}

/// The nearest number in [`limits`].
fn clipped([lowest, highest]: [f64; 2], from: f64, to: f64, reach: f64) -> SecantRange {
    let (left, right) = ((from - reach).next_down(), (to + reach).next_up());
    // The part of a step of at most t from `distance` outside that lies inside, whose width is `inside`.
    let share = |distance: f64| {
        let inside = (reach - distance).next_up().min((highest - lowest).next_up());
        if inside > 0.0 {
            (inside / (inside + distance).next_down()).next_up().min(1.0)
        } else {
            0.0
        }
    };
    if left >= lowest && right <= highest {
        SecantRange { low: 1.0, high: 1.0 }
    } else if right <= lowest || left >= highest {
        SecantRange { low: 0.0, high: 0.0 }
    } else if from > lowest && to < highest {
        // The whole step to the farther side, stopped on its way.
        let room = (from - lowest).next_down().min((highest - to).next_down()).max(0.0);
        SecantRange { low: (room / reach).next_down().clamp(0.0, 1.0), high: 1.0 }
    } else if to < lowest {
        SecantRange { low: 0.0, high: share((lowest - to).next_down()) }
    } else if from > highest {
        SecantRange { low: 0.0, high: share((from - highest).next_down()) }
    } else {
        SecantRange { low: 0.0, high: 1.0 }
    }
}

/// ELU and softplus: the secant slope grows with its anchor and with its step.
fn convex(activation: Activation, from: f64, to: f64, reach: f64) -> SecantRange {
    let (left, right) = ((from - reach).next_down(), (to + reach).next_up());
    // The slope at the far end serves where a short step leaves no digits.
    let low = chord(activation, left, from).lower().max(slope(activation, left).lower());
    let high = chord(activation, to, right).upper().min(slope(activation, right).upper());
    SecantRange { low: low.max(0.0), high: high.min(1.0) }
}

/// Tanh and the sigmoid.
fn sigmoidal(activation: Activation, from: f64, to: f64, reach: f64) -> SecantRange {
    let anchor = (0.5 * from + 0.5 * to).abs();
    let (left, right) = ((anchor - reach).next_down(), (anchor + reach).next_up());
    let [backward, forward] = [chord(activation, left, anchor), chord(activation, anchor, right)];
    let low = backward.lower().min(forward.lower()).max(slope(activation, right.max(-left)).lower());
    let high = if left >= 0.0 {
        backward.upper().min(slope(activation, left).upper())
    } else {
        largest_chord(activation, left, anchor)
    };
    // A secant slope moves by at most max|φ″| < 1 per unit of its anchor.
    let spread = (to - from).next_up();
    let steepest = slope(activation, 0.0).upper();
    SecantRange { low: (low - spread).next_down().max(0.0), high: (high + spread).next_up().min(steepest) }
}

/// The largest slope of a chord that ends at `anchor` ≥ 0 and starts right of `left` < 0. Where the chord from y ≤ 0 is
/// not steeper than the curve at y, the tangent through the anchor touches at or left of y, and φ′(y) is at least its
/// slope.
fn largest_chord(activation: Activation, left: f64, anchor: f64) -> f64 {
    let is_past_tangent = |y: f64| slope(activation, y).lower() >= chord(activation, y, anchor).upper();
    if is_past_tangent(left) {
        // No chord reaches the tangent point, so the longest one is the steepest; the slope at 0 serves a short one.
        return chord(activation, left, anchor).upper().min(slope(activation, 0.0).upper());
    }
    let (mut outside, mut inside) = (left, 0.0_f64);
    for _ in 0..HALVINGS {
        let middle = 0.5 * outside + 0.5 * inside;
        if is_past_tangent(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    slope(activation, inside).upper()
}

/// (φ(to) − φ(from)) / (to − from) for from < to.
fn chord(activation: Activation, from: f64, to: f64) -> Enclosure {
    (value(activation, to) - value(activation, from)) / (Enclosure::exact(to) - from)
}

/// φ, for curved activations.
fn value(activation: Activation, at: f64) -> Enclosure {
    let exact = Enclosure::exact(at);
    match activation {
        Activation::Elu { .. } if at > 0.0 => exact,
        Activation::Elu { alpha } => (exact.exp() - 1.0) * alpha,
        Activation::Softplus if at > 0.0 => exact + ((-exact).exp() + 1.0).ln(),
        Activation::Softplus => (exact.exp() + 1.0).ln(),
        Activation::Tanh if at < 0.0 => -value(activation, -at),
        Activation::Tanh => Enclosure::exact(1.0) - Enclosure::exact(2.0) / ((exact * 2.0).exp() + 1.0),
        Activation::Sigmoid if at < 0.0 => Enclosure::exact(1.0) - value(activation, -at),
        Activation::Sigmoid => Enclosure::exact(1.0) / ((-exact).exp() + 1.0),
        _ => Enclosure::UNKNOWN,
    }
}

/// φ′, for curved activations.
fn slope(activation: Activation, at: f64) -> Enclosure {
    let exact = Enclosure::exact(at);
    match activation {
        Activation::Elu { .. } if at > 0.0 => Enclosure::exact(1.0),
        Activation::Elu { alpha } => exact.exp() * alpha,
        Activation::Softplus => value(Activation::Sigmoid, at),
        Activation::Tanh => bell(at) * 4.0,
        Activation::Sigmoid => bell(0.5 * at),
        _ => Enclosure::UNKNOWN,
    }
}

/// 1 / (eˣ + e⁻ˣ)², which falls away from 0.
fn bell(at: f64) -> Enclosure {
    let size = Enclosure::exact(at.abs().min(FAR));
    let value = Enclosure::exact(1.0) / (size.exp() + (-size).exp()).squared();
    if at.abs() > FAR {
        Enclosure::between(0.0, value.upper())
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::activation::ALL_ACTIVATIONS;
    use crate::testing::seeded;
    use proptest::prelude::*;

    fn range(activation: Activation, anchor: f64, reach: f64) -> SecantRange {
        secant_range(activation, Enclosure::exact(anchor), reach)
    }

    #[test]
    fn a_relu_that_cannot_reach_its_kink_has_one_slope() {
        assert_eq!(range(Activation::Relu, 2.0, 1.0), SecantRange { low: 1.0, high: 1.0 });
        assert_eq!(range(Activation::Relu, 2.0, 2.0), SecantRange { low: 1.0, high: 1.0 });
        assert_eq!(range(Activation::Relu, -2.0, 1.0), SecantRange { low: 0.0, high: 0.0 });
        assert_eq!(range(Activation::LeakyRelu { slope: 0.25 }, -2.0, 1.0), SecantRange { low: 0.25, high: 0.25 });
        assert_eq!(range(Activation::Relu, 2.0, 1.0).half_width(), 0.0);
        assert_eq!(range(Activation::Identity, 2.0, 1e9).half_width(), 0.0);
    }

    #[test]
    fn a_relu_half_way_to_its_kink_loses_half_its_slope() {
        let close = |found: SecantRange, low: f64, high: f64| {
            assert!((found.low - low).abs() < 1e-15 && (found.high - high).abs() < 1e-15, "{found:?}");
            assert!(found.low <= low && found.high >= high);
        };
        close(range(Activation::Relu, 1.0, 2.0), 0.5, 1.0);
        close(range(Activation::Relu, -1.0, 2.0), 0.0, 0.5);
        close(range(Activation::Relu, 0.0, 2.0), 0.0, 1.0);
        close(range(Activation::LeakyRelu { slope: 0.2 }, 1.0, 2.0), 0.6, 1.0);
        close(range(Activation::LeakyRelu { slope: 0.2 }, -1.0, 2.0), 0.2, 0.6);
        // An anchor known to ±1/2 takes the worse end.
        close(secant_range(Activation::Relu, Enclosure { value: 1.0, error: 0.5 }, 2.0), 0.25, 1.0);
    }

    #[test]
    fn a_sigmoid_anchored_at_its_centre_is_steepest_there() {
        let found = range(Activation::Tanh, 0.0, 1.0);
        assert!((found.high - 1.0).abs() < 1e-12 && (found.low - 1.0_f64.tanh()).abs() < 1e-12, "{found:?}");
        let found = range(Activation::Sigmoid, 0.0, 1.0);
        assert!((found.high - 0.25).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn the_steepest_chord_of_a_saturated_sigmoid_is_its_tangent() {
        let found = range(Activation::Tanh, 2.0, 50.0);
        let brute = (1..200_000).map(|i| f64::from(i) * 1e-4).map(|d| (2f64.tanh() - (2.0 - d).tanh()) / d);
        let brute = brute.fold(0.0, f64::max);
        assert!(found.high >= brute && found.high - brute < 1e-8, "{} against {brute}", found.high);
    }

    #[test]
    fn what_is_not_a_number_has_no_slope() {
        for activation in ALL_ACTIVATIONS {
            assert!(range(activation, f64::NAN, 1.0).half_width().is_nan());
            assert!(range(activation, 0.0, f64::NAN).half_width().is_nan());
            let width = range(activation, 1e300, f64::INFINITY).half_width();
            assert!(width.is_nan() || width >= 0.0);
        }
    }

    proptest! {
        #![proptest_config(seeded(2000))]

        #[test]
        fn every_secant_slope_lies_inside_and_the_ends_are_nearly_reached(
            kind in 0..ALL_ACTIVATIONS.len(), anchor in -6.0..6.0f64, logarithm in -4.0..1.2f64,
        ) {
            let activation = ALL_ACTIVATIONS[kind];
            let reach = 10f64.powf(logarithm);
            let found = range(activation, anchor, reach);
            // Rounding of the secants computed here.
            let tolerance = 1e-15 * (1.0 + anchor.abs() + reach) / reach * 2000.0;
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for i in (-1000..=1000).filter(|&i| i != 0) {
                let step = reach * f64::from(i) / 1000.0;
                let secant = (activation.value(anchor + step) - activation.value(anchor)) / step;
                prop_assert!(found.low - tolerance <= secant && secant <= found.high + tolerance, "{} at {}", activation.value(anchor), step);
                (low, high) = (low.min(secant), high.max(secant));
            }
            // The range of ELU with α > 1 is that of a sum.
            if matches!(activation, Activation::Elu { alpha } if alpha > 1.0) {
                return Ok(());
            }
            prop_assert!(low - found.low < 1e-3 * reach.min(1.0) + tolerance && found.high - high < 1e-3 * reach.min(1.0) + tolerance, "{found:?} against {low} to {high}");
        }

        #[test]
        fn a_longer_reach_or_a_less_certain_anchor_never_narrows_the_range(
            kind in 0..ALL_ACTIVATIONS.len(), anchor in -3.0..3.0f64, reach in 1e-3..5.0f64, error in 0.0..0.5f64,
        ) {
            let activation = ALL_ACTIVATIONS[kind];
            let narrow = range(activation, anchor, reach);
            let longer = range(activation, anchor, 1.5 * reach);
            let vaguer = secant_range(activation, Enclosure { value: anchor, error }, reach);
            for wide in [longer, vaguer] {
                prop_assert!(wide.low <= narrow.low + 1e-12 && narrow.high <= wide.high + 1e-12, "{wide:?} {narrow:?}");
            }
        }
    }
}
