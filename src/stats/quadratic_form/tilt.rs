//! The exponential tilt: the saddle point c of the inversion integral and everything taken about it.

use super::contour::ROUNDING;
use super::double::{self, Double};
use super::form::{Form, Term};
use super::scaled::Scaled;

/// Newton steps for the saddle point; each at least halves a bracket, so this is never reached in practice.
const MAX_STEPS: usize = 200;
/// The saddle point is found to this share of the width of the peak there: its place costs nodes, not accuracy.
const PLACE: f64 = 0.1;

/// Which probability, or that of a density, is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// P(Q > t), with c > 0.
    Upper,
    /// P(Q ≤ t), with c < 0.
    Lower,
}

impl Side {
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Upper => Self::Lower,
            Self::Lower => Self::Upper,
        }
    }
}

/// A factor (1 − κv)^(−m/2) of the integrand, κ = 2λ/(1 − 2λc).
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    pub(super) kappa: f64,
    pub(super) multiplicity: u32,
}

/// A factor exp(ηκv²/(1 − κv)), η = λδ²/(1 − 2λc)²; the part ηv is in [`Tilt::slope`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    pub(super) kappa: f64,
    pub(super) eta: f64,
}

/// The integrand e^{K(s) − st} about s = c: with v = s − c it is
/// `peak`·Π(1 − κv)^(−m/2)·exp(−`slope`·v + Σηκv²/(1 − κv) + σ²v²/2), the pole 1/s apart.
#[derive(Debug, Clone)]
pub(super) struct Tilt {
    pub(super) c: f64,
    pub(super) t: f64,
    /// From negative to positive κ.
    pub(super) factors: Vec<Factor>,
    pub(super) shifts: Vec<Shift>,
    /// σ².
    pub(super) variance: f64,
    /// t − Ση − σ²c, accurate although its parts nearly cancel.
    pub(super) slope: f64,
    /// A bound on the error of `slope`.
    pub(super) slope_error: f64,
    /// (K''(c) + 1/c²)^(−1/2), the width of the peak.
    pub(super) width: f64,
    /// √K''(c), the standard deviation of the tilted form.
    pub(super) deviation: f64,
    /// Distance from c to the nearest singularity on the right: the branch point, or for the lower side the pole.
    pub(super) right: f64,
    /// Distance from c to the branch point on the right.
    pub(super) right_branch: f64,
    /// The same on the left; infinite where there is none.
    pub(super) left: f64,
    /// e^{K(c) − ct}.
    pub(super) peak: Scaled,
    /// A bound on the relative error of `peak`.
    pub(super) peak_error: f64,
}

impl Tilt {
    /// About the minimum of K(s) − st − ln|s| on the given side. `None` where no saddle point is found.
    pub(super) fn new(form: &Form, t: f64, side: Side) -> Option<Self> {
        let c = saddle_point(form, t, side)?;
        Some(Self::about(form, t, side, c))
    }

    fn about(form: &Form, t: f64, side: Side, c: f64) -> Self {
        let count = form.terms.len();
        let (mut factors, mut shifts) = (Vec::with_capacity(count), Vec::new());
        let mut product = Scaled::ONE;
        // exponent = Σλδ²c/(1 − 2λc) + σ²c²/2 − ct and the slope are sums in which much cancels.
        let tilt = Double::from(c);
        let variance = Double::product(form.sigma, form.sigma);
        let half = Double::from(0.5);
        let mut exponent = variance.times(tilt).times(half).minus(Double::from(t));
        let mut slope = Double::from(t).minus(variance.times(tilt));
        let mut magnitude = t.abs() + variance.get() * c.abs();
        let mut curvature = variance.get();
        for Term { eigenvalue, multiplicity, noncentrality } in &form.terms {
            let distance = (-2.0 * eigenvalue).mul_add(c, 1.0);
            let kappa = 2.0 * eigenvalue / distance;
            let m = f64::from(*multiplicity);
            factors.push(Factor { kappa, multiplicity: *multiplicity });
            product = product.times(Scaled::new(distance).power(*multiplicity));
            curvature += 0.5 * m * kappa * kappa;
            if noncentrality.get() > 0.0 {
                let distance = Double::from(1.0).minus(Double::product(2.0 * eigenvalue, c));
                let first = noncentrality.times(Double::from(*eigenvalue)).over(distance);
                let eta = first.over(distance);
                exponent = exponent.plus(first);
                slope = slope.minus(eta);
                magnitude += eta.get().abs() + first.get().abs();
                curvature += 2.0 * eta.get() * kappa;
                shifts.push(Shift { kappa, eta: eta.get() });
            }
        }
        let (high, low) = exponent.times(tilt).parts();
        let peak = product.square_root().inverse().times(Scaled::exp_sum(high, low));
        let size = f64::from(form.size());
        let sums = 40.0 * double::ROUNDING * (count as f64 + 10.0) * magnitude;
        let (right_end, left_end) = (form.right_end(), form.left_end());
        Self {
            c,
            t,
            factors,
            shifts,
            variance: variance.get(),
            slope: slope.get(),
            slope_error: sums + ROUNDING * slope.get().abs(),
            width: 1.0 / (curvature + 1.0 / (c * c)).sqrt(),
            deviation: curvature.sqrt(),
            right: if side == Side::Lower { -c } else { right_end - c },
            right_branch: right_end - c,
            left: if side == Side::Upper { c } else { c - left_end },
            peak,
            // Each 1 − 2λc is rounded once and its power rounds once per factor; the root halves both.
            peak_error: 2.0 * ROUNDING * (size + 10.0) + sums * c.abs(),
        }
    }
}

/// First and second derivative of K(s) − st − ln|s|.
fn derivatives(form: &Form, t: f64, s: f64) -> (f64, f64) {
    let (mut first, mut second) = (form.sigma * form.sigma * s - t - 1.0 / s, form.sigma * form.sigma + 1.0 / (s * s));
    for Term { eigenvalue, multiplicity, noncentrality } in &form.terms {
        let ratio = eigenvalue / (1.0 - 2.0 * eigenvalue * s);
        let shift = noncentrality.get() * ratio / (1.0 - 2.0 * eigenvalue * s);
        first += f64::from(*multiplicity) * ratio + shift;
        second += 2.0 * ratio * (f64::from(*multiplicity) * ratio + 2.0 * shift);
    }
    (first, second)
}

/// Newton's method on a convex function, kept inside a bracket of its minimum.
fn saddle_point(form: &Form, t: f64, side: Side) -> Option<f64> {
    let (mut low, mut high) = match side {
        Side::Upper => (0.0, form.right_end()),
        Side::Lower => (form.left_end(), 0.0),
    };
    let mut s = start(form, t, side);
    let mut growth = 4.0;
    for _ in 0..MAX_STEPS {
        if !(s > low && s < high) {
            s = inside(low, high);
        }
        let (first, second) = derivatives(form, t, s);
        if first.is_nan() || second.is_nan() {
            return None;
        }
        let step = first / second;
        if first.abs() <= PLACE * second.sqrt() {
            return Some(s);
        }
        if first < 0.0 {
            low = s;
        } else {
            high = s;
        }
        let next = s - step;
        // Far inside, the function is a logarithm of s, on which Newton's method only doubles s: leap instead, the
        // farther the longer it lasts, and halve the bracket's logarithm once there is one.
        let ratio = if s > 0.0 { high / s } else { low / s };
        s = if next / s <= 1.5 || ratio <= 16.0 {
            next
        } else if ratio > growth {
            growth *= growth;
            s * growth.sqrt()
        } else {
            s * ratio.sqrt()
        };
    }
    None
}

/// A point well inside a bracket that may reach to infinity on either side of 0.
fn inside(low: f64, high: f64) -> f64 {
    if low == f64::NEG_INFINITY {
        return 2.0 * high.min(-f64::MIN_POSITIVE);
    }
    if high == f64::INFINITY {
        return 2.0 * low.max(f64::MIN_POSITIVE);
    }
    let (inner, outer) = if low >= 0.0 { (low, high) } else { (high, low) };
    if inner == 0.0 || inner / outer > 0.1 {
        // Half, in the distance to whichever end is nearer to being reached.
        if inner == 0.0 {
            0.1 * outer
        } else {
            0.5 * (low + high)
        }
    } else {
        inner.signum() * (inner * outer).sqrt()
    }
}

/// Where a normal distribution with the form's moments has the saddle point, or for the far lower side a gamma
/// distribution.
fn start(form: &Form, t: f64, side: Side) -> f64 {
    let (mean, variance) = (form.mean(), form.variance());
    let excess = t - mean;
    let root = (excess * excess + 4.0 * variance).sqrt();
    match side {
        Side::Upper => {
            let normal = (excess + root) / (2.0 * variance);
            let end = form.right_end();
            if normal < 0.5 * end {
                normal
            } else {
                end * (1.0 - 0.25 / (0.5 + normal / end))
            }
        }
        Side::Lower if form.is_nonnegative() => {
            let shape = 0.5 * f64::from(form.size());
            let gamma = -(shape + 1.0) / t;
            // Far below the mean its moments say nothing, and may not even be finite.
            if variance.is_finite() {
                ((excess - root) / (2.0 * variance)).min(gamma + mean / variance)
            } else {
                gamma
            }
        }
        Side::Lower => (excess - root) / (2.0 * variance),
    }
}
