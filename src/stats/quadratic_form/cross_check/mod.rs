//! Tails by other ways than a contour through the saddle point, to check it: Ruben's mixture of chi-squares for forms
//! of one sign, and Davies' inversion along a vertical line, exponentially tilted, for the others.
//!
//! They share nothing with the first algorithm but the scaling and merging of eigenvalues and plain arithmetic.
//! Rounding is counted in u = 2⁻⁵³ per operation; exp, ln, ln_1p, sin, cos and atan of the standard library are taken
//! to be within two units in the last place, 4u.

mod davies;
mod ruben;

use super::form::{Form, Term};
use super::tilt::Side;
use super::{Algorithm, Enclosure, QuadraticFormError, Tails, LARGEST_RELATIVE_ERROR};

/// A group of equal eigenvalues, its three numbers taken as exact.
#[derive(Debug, Clone, Copy)]
struct Component {
    /// λ ≠ 0.
    eigenvalue: f64,
    /// m ≥ 1, how often λ occurs.
    multiplicity: u32,
    /// δ² = Σb² over the group.
    noncentrality: f64,
}

/// The tails at t of a form in its own units.
pub(super) fn tails_at(form: &Form, t: f64) -> Result<Tails, QuadraticFormError> {
    // δ² is rounded in either direction: P(Q ≤ t) lies between the two, as a larger |shift| moves |λ|(U + b)² up
    // in distribution (Anderson).
    let larger = rounded_tails(form, t, true)?;
    if form.terms.iter().all(|term| term.noncentrality.parts().1.abs() <= 0.0) {
        return Ok(larger);
    }
    let smaller = rounded_tails(form, t, false)?;
    let hull = |a: Enclosure, b: Enclosure| Enclosure {
        value: a.value,
        error: a.error.max((b.value - a.value).abs() + b.error).next_up(),
    };
    Ok(Tails { cdf: hull(larger.cdf, smaller.cdf), survival: hull(larger.survival, smaller.survival), ..larger })
}

/// The tails for a form not below Q (`larger`) or not above it in distribution, whose δ² are doubles.
fn rounded_tails(form: &Form, t: f64, larger: bool) -> Result<Tails, QuadraticFormError> {
    let component = |term: &Term| {
        let (rounded, rest) = term.noncentrality.parts();
        let noncentrality = if larger == (term.eigenvalue > 0.0) {
            if rest > 0.0 {
                rounded.next_up()
            } else {
                rounded
            }
        } else if rest < 0.0 {
            rounded.next_down()
        } else {
            rounded
        };
        Component { eigenvalue: term.eigenvalue, multiplicity: term.multiplicity, noncentrality }
    };
    let components: Vec<Component> = form.terms.iter().map(component).collect();
    if form.is_nonnegative() {
        ruben::ruben(&components, t).or_else(|_| davies::tilted_davies(&components, form.sigma, t))
    } else if form.is_nonpositive() {
        let negated: Vec<Component> =
            components.iter().rev().map(|c| Component { eigenvalue: -c.eigenvalue, ..*c }).collect();
        let tails = ruben::ruben(&negated, -t).or_else(|_| davies::tilted_davies(&negated, form.sigma, -t))?;
        Ok(tails.reflected())
    } else {
        davies::tilted_davies(&components, form.sigma, t)
    }
}

/// Both tails from the one computed; the other is one minus it.
fn tails(algorithm: Algorithm, side: Side, tail: Enclosure, nodes: usize) -> Result<Tails, QuadraticFormError> {
    let other = tail.complement();
    // A NaN fails each of these comparisons and is refused.
    let good = |x: Enclosure| x.value >= f64::MIN_POSITIVE && x.error <= LARGEST_RELATIVE_ERROR * x.value;
    if !(good(tail) && good(other)) {
        return Err(not_converged(tail.error / tail.value.min(other.value), nodes));
    }
    let (cdf, survival) = if side == Side::Lower { (tail, other) } else { (other, tail) };
    Ok(Tails { cdf, survival, algorithm, nodes })
}

/// A t outside the support: the tail on `side` is exactly 0.
fn outside(side: Side) -> Tails {
    let (zero, one) = (Enclosure::exact(0.0), Enclosure::exact(1.0));
    let (cdf, survival) = if side == Side::Lower { (zero, one) } else { (one, zero) };
    Tails { cdf, survival, algorithm: Algorithm::Exact, nodes: 0 }
}

/// A bound that is not a number bounds nothing.
fn not_converged(relative_error: f64, nodes: usize) -> QuadraticFormError {
    let relative_error = if relative_error.is_nan() { f64::INFINITY } else { relative_error };
    QuadraticFormError::NotConverged { relative_error, nodes }
}

/// Σx carried as high + low (Neumaier, 1974): of N < 2²¹ summands, `value` is within u|Σx| + N²u²Σ|x| ≤ 2uΣ|x| of the
/// exact sum.
#[derive(Debug, Clone, Copy, Default)]
struct Compensated {
    high: f64,
    low: f64,
    /// Σ|x|.
    magnitude: f64,
}

impl Compensated {
    fn add(&mut self, x: f64) {
        let sum = self.high + x;
        let shadow = sum - self.high;
        self.low += (self.high - (sum - shadow)) + (x - shadow);
        self.high = sum;
        self.magnitude += x.abs();
    }

    fn value(&self) -> f64 {
        self.high + self.low
    }
}
