//! Ranges of the slopes of an activation's secants from one uncertain point to all points within a distance.

use super::activation::Activation;
use super::rounding::{lowered, raised, UNIT};

/// Halvings in the search for a tangent.
const HALVINGS: usize = 60;
/// At least sup|tanh″| = 4/(3√3).
const TANH_CURVATURE: f64 = 0.77;

/// Every secant slope is within `half_width` of `centre`, and none exceeds `largest`; no activation has slopes below 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    pub(super) centre: f64,
    /// 0 exactly where the slope is certain.
    pub(super) half_width: f64,
    pub(super) largest: f64,
}

impl Slope {
    /// The middle of a range and, rounded upwards, half its width.
    pub(super) fn new((low, high): (f64, f64)) -> Self {
        let centre = 0.5 * (low + high);
        let half_width = (high - centre).max(centre - low);
        // The differences are off by u of themselves.
        Self { centre, half_width: if half_width > 0.0 { half_width.next_up() } else { 0.0 }, largest: high }
    }
}

/// The slopes (φ(b) − φ(a))/(b − a) for a within `error` of `anchor` and b within `reach` of a.
///
/// Secants of a convex function rise with either end, so two of them bound all. tanh and what is neither convex nor concave
/// are treated by their shapes, and the sigmoid is half of tanh at half the argument.
pub(super) fn slope(activation: Activation, anchor: f64, error: f64, reach: f64) -> Slope {
    let (low, high) = ((anchor - error).next_down(), (anchor + error).next_up());
    let range = if reach <= 0.0 {
        // Nothing moves: any slope will do.
        (0.0, 0.0)
    } else {
        match activation {
            Activation::Identity => (1.0, 1.0),
            Activation::Relu => hinge(low, high, reach),
            Activation::LeakyRelu { slope } if slope >= 1.0 => (1.0, 1.0),
            Activation::LeakyRelu { slope } => {
                let (a, b) = hinge(low, high, reach);
                (mixed(slope, a, -2.0), mixed(slope, b, 2.0))
            }
            Activation::Elu { alpha } => elu(alpha, low, high, reach),
            Activation::Softplus => convex(softplus_secant, low, high, reach),
            Activation::Clip { low: least, high: most } => clip(least, most, (low, high), reach),
            Activation::Tanh => tanh(anchor, error, reach),
            Activation::Sigmoid => {
                let (a, b) = tanh(0.5 * anchor, 0.5 * error, 0.5 * reach);
                (0.25 * a, 0.25 * b)
            }
        }
    };
    Slope::new(range)
}

/// The secants of max(a, 0): exactly (0, 0) or (1, 1) where the kink is out of reach; (0, 1) for arguments that are no
/// numbers.
fn hinge(low: f64, high: f64, reach: f64) -> (f64, f64) {
    let within = |value: f64, otherwise| if value.is_nan() { otherwise } else { value.clamp(0.0, 1.0) };
    let lower = if low >= reach { 1.0 } else { within((low / reach).next_down(), 0.0) };
    let upper = if high <= -reach { 0.0 } else { within((1.0 + (high / reach).next_up()).next_up(), 1.0) };
    (lower, upper)
}

/// slope + (1 − slope)·s, moved by `units`·u unless s is 0 or 1.
fn mixed(slope: f64, s: f64, units: f64) -> f64 {
    if s <= 0.0 {
        slope
    } else if s >= 1.0 {
        1.0
    } else {
        (slope + (1.0 - slope) * s + units * 2.0 * UNIT).clamp(0.0, 1.0)
    }
}

/// From the secant down from the lowest anchor to the one up from the highest. Slopes below exp(−700) count as 0 from
/// below and as those at −700 from above.
fn convex(secant: impl Fn(f64, f64) -> f64, low: f64, high: f64, reach: f64) -> (f64, f64) {
    let (below, above) = (secant(low - reach, reach), secant(high.max(-700.0), reach));
    let units = units(low.abs().max(high.abs()), reach);
    let lower = if below.is_finite() && low - reach > -700.0 { lowered(below, units).min(1.0) } else { 0.0 };
    let upper = if above.is_finite() { raised(above, units).min(1.0) } else { 1.0 };
    (lower, upper)
}

/// The relative error of every secant formula here, in units u: two system functions and some ten operations, and the
/// rounding of a sum of point and distance, which changes ln φ′ and the logarithm of any secant by at most twice as much.
fn units(anchor: f64, reach: f64) -> f64 {
    40.0 + 8.0 * (anchor.abs() + reach)
}

/// The mean of ELU's slope over [p, p + d], d > 0: α(e^q − e^p)/(q − p) below 0 and (q − α(e^p − 1))/(q − p) across 0.
fn elu_secant(alpha: f64, p: f64, d: f64) -> f64 {
    let q = p + d;
    if p >= 0.0 {
        1.0
    } else if q <= 0.0 {
        alpha * (p.exp() * (d.exp_m1() / d))
    } else {
        (q - alpha * p.exp_m1()) / d
    }
}

/// The secants of ELU, by its shape: the slope rises to α below 0 and is 1 above.
///
/// *α ≤ 1* (convex): the secant down from the lowest anchor and the one up from the highest.
///
/// *α > 1, least.* Down from a < 0 the secant is the mean of a rising slope over [a − d, a], smallest for d = reach; up from
/// there it rises until 0 and then tends to 1, from above or below; down from a ≥ 0 it first rises, to a tangent, and then
/// falls. So the least is at an end, d = ±reach. As a function of a the mean of the slope over an interval of length `reach`
/// that ends in a, or begins there, rises and then falls to 1: over a range of anchors it is least at one of its ends.
///
/// *Largest.* Up from a < 0, the mean over [a, a + d], d = reach or as far as 0; it rises with a, to α. From a > 0 the
/// largest secant goes down to where it is tangent, or as far as allowed, and falls with a.
///
/// The rounding of a + d moves a secant across the jump at 0 by some units times α.
fn elu(alpha: f64, low: f64, high: f64, reach: f64) -> (f64, f64) {
    let steepest = alpha.max(1.0);
    let jump = if (alpha - 1.0).abs() > 0.0 { 32.0 * UNIT * steepest } else { 0.0 };
    if low >= reach {
        return (1.0, 1.0);
    }
    if alpha <= 1.0 {
        let (lower, upper) = convex(|p, d| elu_secant(alpha, p, d), low, high, reach);
        return ((lower - jump).max(0.0), (upper + jump).min(1.0));
    }
    let units = units(low.abs().max(high.abs()), reach);
    let mean = |p: f64, d: f64| elu_secant(alpha, p.max(-700.0), d);
    // Of what begins below −700, and of what is no number, the mean is taken for 0 from below.
    let from = |p: f64| if p > -700.0 { lowered(mean(p, reach), units) } else { 0.0 };
    let least = [low - reach, high - reach, low, high].map(from).into_iter();
    let least = least.fold(steepest, |least, other| if other.is_nan() { 0.0 } else { least.min(other) });
    let most = if high < 0.0 {
        raised(mean(high, reach.min(-high)), units).max(raised(mean(high, reach), units))
    } else if low > 0.0 {
        raised(elu_tangent(alpha, low, reach), units)
    } else {
        steepest
    };
    ((least - jump).max(0.0), if most.is_nan() { steepest } else { (most + jump).min(steepest) })
}

/// At least the largest secant of ELU, α > 1, from a > 0 down to points within `reach`. It rises with the distance as long
/// as the slope αe^y at its far end y < 0 exceeds it; any y at which that is so bounds it by αe^y.
fn elu_tangent(alpha: f64, a: f64, reach: f64) -> f64 {
    let end = a - reach;
    if end >= 0.0 {
        return 1.0;
    }
    let secant = |y: f64| (a - alpha * y.exp_m1()) / (a - y);
    let slope = |y: f64| alpha * y.exp();
    let rising = |y: f64| lowered(slope(y), 60.0) >= raised(secant(y), 60.0);
    if rising(end) {
        return secant(end);
    }
    let (mut beyond, mut tangent) = (end, 0.0);
    for _ in 0..HALVINGS {
        let y = 0.5 * (beyond + tangent);
        if rising(y) {
            tangent = y;
        } else {
            beyond = y;
        }
    }
    slope(tangent)
}

/// The secants of the identity cut off below `least` and above `most`: the part of [a, a + d] that lies between both. From
/// an a between both it is 1 until a limit is passed and falls then; as a function of a that part of either end is concave
/// there. From an a outside it is 0 on one side; on the other it rises until the farther limit, and with a.
fn clip(least: f64, most: f64, (low, high): (f64, f64), reach: f64) -> (f64, f64) {
    let within = |value: f64, otherwise| if value.is_nan() { otherwise } else { value.clamp(0.0, 1.0) };
    let (below, above) = ((low - least).next_down(), (most - high).next_down());
    let room = if below <= above { below } else { above };
    let lower = if room >= reach { 1.0 } else { within((room / reach).next_down(), 0.0) };
    // How far outside every anchor lies.
    let outside = (least - high).max(low - most).next_down();
    let upper = if outside >= reach {
        0.0
    } else if outside <= 0.0 || outside.is_nan() {
        1.0
    } else {
        let width = (most - least).next_up();
        let (near, far) = (1.0 - outside / reach, width / (width + outside));
        within(near.min(far) + 8.0 * UNIT, 1.0)
    };
    (lower, upper)
}

/// ln((1 + e^q)/(1 + e^p))/(q − p) = ln(1 + s(p)(e^d − 1))/d with the sigmoid s, q = p + d, d > 0.
fn softplus_secant(p: f64, d: f64) -> f64 {
    (sigmoid(p) * d.exp_m1()).ln_1p() / d
}

/// 1/(1 + e^−a), relative error at most 12u.
pub(super) fn sigmoid(a: f64) -> f64 {
    let e = (-a.abs()).exp();
    if a >= 0.0 {
        1.0 / (1.0 + e)
    } else {
        e / (1.0 + e)
    }
}

/// (tanh(a + d) − tanh a)/d = sinh d/(d·cosh a·cosh(a + d)) without cancellation or overflow; tanh′(a) for d = 0.
fn tanh_secant(a: f64, d: f64) -> f64 {
    let (end, d) = ((a + d).abs(), d.abs());
    let a = a.abs();
    let shape = if d > 0.0 { -(-2.0 * d).exp_m1() / (2.0 * d) } else { 1.0 };
    4.0 * shape * (d - a - end).exp() / ((1.0 + (-2.0 * a).exp()) * (1.0 + (-2.0 * end).exp()))
}

/// The secants of tanh from a point within `error` of `anchor`, to every point within `reach`.
///
/// With a ≥ 0: the mean of the even, falling tanh′ over [a, a + d] is smallest for d = reach. Over [a − d, a] it rises
/// with d until the secant is tangent at its far end y < 0, where it equals tanh′(y), and falls afterwards. Any y ≤ 0
/// at which tanh′ is not below the secant lies right of that tangent, and tanh′(y) is a bound.
fn tanh(anchor: f64, error: f64, reach: f64) -> (f64, f64) {
    let a = anchor.abs();
    let units = units(a, reach);
    let (least, most) = (|d| lowered(tanh_secant(a, d), units), |d| raised(tanh_secant(a, d), units));
    let (derivative_least, derivative_most) =
        (|y: f64| lowered(tanh_secant(y, 0.0), units), |y: f64| raised(tanh_secant(y, 0.0), units));
    let upper = if a >= reach || derivative_least(a - reach) >= most(-reach) {
        most(-reach)
    } else {
        let (mut beyond, mut tangent) = (-a, 0.0);
        for _ in 0..HALVINGS {
            let y = 0.5 * (beyond + tangent);
            if derivative_least(y) >= most(y - a) {
                tangent = y;
            } else {
                beyond = y;
            }
        }
        derivative_most(tangent)
    };
    let spread = (TANH_CURVATURE * error * 1.01).next_up();
    ((least(reach) - spread).next_down().max(0.0), (upper + spread).next_up().min(1.0))
}
