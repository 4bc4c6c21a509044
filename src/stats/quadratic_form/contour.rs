//! The trapezoid rule along a hyperbola through the saddle point, with a bound on its error.
//!
//! A tail is (1/2πi)∫f(x)dx with f = e^{K(s) − st}/s·ds/dx along s = c + v(x), v(x) = w[sin(α + ix) − sin α]; the
//! hyperbola opens to the right, where e^{−st} decays, and leaves all singularities on the side where they are.
//! f is analytic in a strip about the real x, so the rule converges geometrically (Trefethen & Weideman, *The
//! exponentially convergent trapezoidal rule*, SIAM Review 2014, theorem 5.1): its error is at most
//! M/(e^{2πa/h} − 1) summed over the two edges of the strip, a their distances and M the integrals of |f| on them.

use super::product::{Factors, LANES};
use super::strip::{Edge, Hyperbola, Modulus};
use super::tilt::Tilt;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

/// Nodes before a value counts as out of reach.
const MAX_NODES: usize = 4000;
/// Discretisation and truncation each stay below about this share of the value.
const SHARE: f64 = 1e-17;
/// ln(M/error) of a typical strip, which sets the step where no bound is asked for.
const TYPICAL_RATIO: f64 = 42.0;
/// Up to this many different factors their modulus is bounded one by one.
const ALONE: usize = 24;
/// 2⁻⁵³, the relative error of one rounding.
pub(super) const ROUNDING: f64 = 0.5 * f64::EPSILON;
/// w is at most this many widths of the peak.
const PEAK_WIDTHS: f64 = 6.0;
/// Narrower right sides of the strip to try, as shares of the first one.
const RIGHT_SHARES: [f64; 4] = [0.7, 0.5, 0.35, 0.25];
/// They are tried while the right side allows steps shorter than this share of what the left one allows.
const ENOUGH: f64 = 0.7;
/// The contour stays this share of the way to a singularity on the left.
const LEFT_SHARE: f64 = 0.95;

/// The rule applied to one tail or density.
pub(super) struct Trapezoid<'a> {
    pub(super) tilt: &'a Tilt,
    pub(super) nodes: Vec<Node>,
    /// f at the nodes in units of e^{K(c) − ct}/|c| (the density: without |c|), the first one halved.
    pub(super) values: Vec<(f64, f64)>,
    /// h.
    step: f64,
    /// A bound on the error of [`value`](Self::value).
    pub(super) error: f64,
}

/// A point of the contour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// v.
    pub(super) real: f64,
    pub(super) imaginary: f64,
    /// |v|.
    pub(super) size: f64,
    /// Where on the contour.
    pub(super) x: f64,
    /// dv/dx.
    pub(super) speed: (f64, f64),
}

/// The strip on one side of the contour.
#[derive(Debug, Clone, Copy)]
struct StripSide {
    /// Its width in angle.
    distance: f64,
    /// A bound of the integral of |f| on its edge.
    integral: f64,
    /// The longest step it allows; 0 where the integral has no bound.
    step: f64,
}

/// A hyperbola and the strip about it.
pub(super) struct Geometry {
    pub(super) hyperbola: Hyperbola,
    angle: f64,
    cosine: f64,
    /// Distances of the strip's edges in angle.
    left: f64,
    right: f64,
}

impl<'a> Trapezoid<'a> {
    /// With an error bound; `None` where that takes too many nodes. With `pole` a tail, without the density.
    pub(super) fn certified(tilt: &'a Tilt, pole: bool) -> Option<Self> {
        let geometry = Geometry::new(tilt);
        let tolerance = tolerance(tilt);
        let mut modulus = Modulus::new(tilt, geometry.hyperbola, pole, ALONE);
        let [mut left, mut right] = geometry.sides(&modulus, tolerance);
        let joined = tilt.factors.len() > ALONE || tilt.shifts.len() > ALONE;
        if joined && (left.step <= 0.0 || right.step <= 0.0) {
            modulus = Modulus::new(tilt, geometry.hyperbola, pole, usize::MAX);
            [left, right] = geometry.sides(&modulus, tolerance);
        }
        let step = left.step.min(right.step);
        if step.is_nan() || step <= 0.0 {
            return None;
        }
        let aliases = [left, right].map(|side| side.integral / (2.0 * PI * side.distance / step).exp_m1());
        let contour = Edge::new(geometry.angle);
        let mut rule = Self::run(tilt, &geometry, pole, step, |x| {
            let rest = modulus.remainder(contour, x);
            (rest.decreasing && rest.integral < tolerance).then_some(rest.integral)
        })?;
        // The bounds are for the whole line, of which one arm is summed.
        rule.error = (rule.error + 0.5 * (aliases[0] + aliases[1]) / PI) * (1.0 + 1e-9);
        Some(rule)
    }

    /// Without a bound: a step and an end that serve as a rule, for iterations that are checked afterwards.
    pub(super) fn unchecked(tilt: &'a Tilt) -> Option<Self> {
        let geometry = Geometry::new(tilt);
        let step = 2.0 * PI * geometry.left.min(geometry.right) / TYPICAL_RATIO;
        Self::run(tilt, &geometry, true, step, |_| Some(0.0))
    }

    /// Sums until f is negligible and `rest` returns a bound for what is left out. `error` then covers truncation
    /// and rounding.
    fn run(
        tilt: &'a Tilt,
        geometry: &Geometry,
        pole: bool,
        step: f64,
        rest: impl Fn(f64) -> Option<f64>,
    ) -> Option<Self> {
        let factors = Factors::new(tilt);
        let tolerance = tolerance(tilt);
        let mut rule = Self { tilt, nodes: Vec::new(), values: Vec::new(), step, error: f64::INFINITY };
        let (mut sizes, mut rounding) = (0.0, 0.0);
        while rule.nodes.len() < MAX_NODES {
            let first = rule.nodes.len();
            let batch: [Node; LANES] = std::array::from_fn(|lane| Node::new(geometry, (first + lane) as f64 * step));
            let mut size = 0.0;
            for (lane, (value, error)) in factors.integrand(tilt, &batch, pole).into_iter().enumerate() {
                let weight = if first + lane == 0 { 0.5 } else { 1.0 };
                size = weight * (value.0 * value.0 + value.1 * value.1).sqrt();
                sizes += size;
                rounding += size * error;
                rule.nodes.push(batch[lane]);
                rule.values.push((weight * value.0, weight * value.1));
            }
            if size * step < tolerance {
                if let Some(rest) = rest((rule.nodes.len() - 1) as f64 * step) {
                    rounding += (rule.nodes.len() as f64 + 10.0) * ROUNDING * sizes;
                    rule.error = (step * rounding + rest) / PI;
                    return Some(rule);
                }
            }
        }
        None
    }

    /// The tail or the density, in units of e^{K(c) − ct}/|c| or e^{K(c) − ct}.
    pub(super) fn value(&self) -> f64 {
        self.step / PI * self.values.iter().map(|value| value.1).sum::<f64>()
    }

    /// The tail, in the same units, and the density, in units of e^{K(c) − ct}, at t + `distance`: every node's value
    /// takes the factor e^(−distance·v). Without a bound; accurate while the distance is small beside the spread of
    /// the tilted form and beside t.
    pub(super) fn moved(&self, distance: f64) -> (f64, f64) {
        let (mut tail, mut density) = (0.0, 0.0);
        for (node, value) in self.nodes.iter().zip(&self.values) {
            let modulus = (-distance * node.real).exp();
            let (sine, cosine) = (-distance * node.imaginary).sin_cos();
            let (real, imaginary) =
                (modulus * (value.0 * cosine - value.1 * sine), modulus * (value.0 * sine + value.1 * cosine));
            tail += imaginary;
            density += (real * node.imaginary + imaginary * node.real) / self.tilt.c + imaginary;
        }
        let unit = self.step / PI * (-distance * self.tilt.c).exp();
        (unit * tail, unit * density)
    }
}

/// What discretisation and truncation may contribute to ∫f dx, which is about √(2π) times the width of the peak.
fn tolerance(tilt: &Tilt) -> f64 {
    SHARE * (2.0 * PI).sqrt() * tilt.width
}

impl Geometry {
    /// Angles and shares that took the fewest nodes over a wide set of forms; any would be correct.
    pub(super) fn new(tilt: &Tilt) -> Self {
        let room = tilt.deviation * tilt.right_branch;
        // Beyond π/4 a Gaussian factor grows, and so does one of a shift with a small κ for a long while.
        let small_shift = tilt.shifts.iter().any(|shift| shift.kappa > 0.0 && shift.kappa * tilt.right_branch < 0.1);
        let smooth = tilt.variance > 0.0 || small_shift || (room >= 6.0 && !tilt.shifts.is_empty());
        let (angle, right) = if smooth {
            (PI / 8.0, 0.95 * (FRAC_PI_4 - PI / 8.0))
        } else if room < 3.0 {
            (PI / 4.0, 0.8 * FRAC_PI_4)
        } else if room < 6.0 {
            (PI / 5.0, 0.5 * (FRAC_PI_2 - PI / 5.0))
        } else {
            (PI / 6.0, 0.3 * (FRAC_PI_2 - PI / 6.0))
        };
        let (sine, cosine) = angle.sin_cos();
        let width = (tilt.right / (1.0 - sine)).min(PEAK_WIDTHS * tilt.width).min(LEFT_SHARE * tilt.left / sine);
        Self { hyperbola: Hyperbola { width, sine }, angle, cosine, left: 0.85 * angle, right }
    }

    /// The angles of the strip's edges.
    #[cfg(test)]
    pub(super) fn edges(&self) -> [f64; 2] {
        [self.angle - self.left, self.angle + self.right]
    }

    /// Both sides of the strip; the right one is narrowed where a few large κ beside many small ones make f grow so
    /// much on its edge that this allows longer steps.
    fn sides(&self, modulus: &Modulus, tolerance: f64) -> [StripSide; 2] {
        let side = |distance: f64, angle: f64| {
            let integral = modulus.integral(Edge::new(angle));
            StripSide { distance, integral, step: 2.0 * PI * distance / (2.0 * integral / tolerance).ln_1p() }
        };
        let left = side(self.left, self.angle - self.left);
        let mut right = side(self.right, self.angle + self.right);
        // Without any bound only the narrowest is worth its time.
        let shares = if right.step > 0.0 { &RIGHT_SHARES[..] } else { &RIGHT_SHARES[RIGHT_SHARES.len() - 1..] };
        for share in shares {
            if right.step >= ENOUGH * left.step {
                break;
            }
            let narrower = side(share * self.right, self.angle + share * self.right);
            if narrower.step < right.step {
                break;
            }
            right = narrower;
        }
        [left, right]
    }
}

impl Node {
    fn new(geometry: &Geometry, x: f64) -> Self {
        let (width, sine, cosine) = (geometry.hyperbola.width, geometry.hyperbola.sine, geometry.cosine);
        // cosh x − 1 = 2 sinh²(x/2) and sinh x = 2 sinh(x/2) cosh(x/2) lose nothing for small x.
        let grown = (0.5 * x).exp_m1();
        let shrunk = 1.0 / (1.0 + grown);
        let half_sinh = 0.5 * (grown + grown * shrunk);
        let half_cosh = half_sinh + shrunk;
        let (cosh_less_one, sinh) = (2.0 * half_sinh * half_sinh, 2.0 * half_sinh * half_cosh);
        let (real, imaginary) = (width * sine * cosh_less_one, width * cosine * sinh);
        let speed = (width * sine * sinh, width * cosine * (1.0 + cosh_less_one));
        Self { real, imaginary, size: (real * real + imaginary * imaginary).sqrt(), x, speed }
    }

    /// v².
    pub(super) fn square(&self) -> (f64, f64) {
        ((self.real - self.imaginary) * (self.real + self.imaginary), 2.0 * self.real * self.imaginary)
    }

    /// `value` times dv/dx.
    pub(super) fn times_speed(&self, value: (f64, f64)) -> (f64, f64) {
        let (a, b) = self.speed;
        (value.0 * a - value.1 * b, value.0 * b + value.1 * a)
    }
}
