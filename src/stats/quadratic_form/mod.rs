//! The distribution of a quadratic form in normal variables, Q = Σλᵢ(Uᵢ + bᵢ)² + σZ with U and Z standard normal.
//!
//! To first order the squared damage of a decoder is such a form (Proposition 1's sum of Gamma variables). Every
//! value here is an [`Enclosure`]: a number and a bound on its error that covers discretisation, truncation and
//! rounding. What cannot be bounded is [`QuadraticFormError::NotConverged`], never a number.
//!
//! A tail is an inverse Laplace transform, taken by the trapezoid rule on a hyperbola through the saddle point
//! (`contour`), whose error follows from bounds of the integrand on the edges of a strip (`strip`).
//! [`QuadraticForm::cross_check`] computes the same by a second, independent algorithm.

mod contour;
mod cross_check;
mod double;
mod error;
mod form;
mod product;
mod quantile;
mod scaled;
mod strip;
#[cfg(test)]
mod tests;
mod tilt;

pub use error::{QuadraticFormError, LARGEST_SHIFT};

use super::enclosure::Enclosure;
use crate::quantity::Probability;
use contour::{Trapezoid, ROUNDING};
use form::Form;
use scaled::{exponent, ldexp, Scaled};
use tilt::{Side, Tilt};

/// Values with a larger relative error bound are not returned.
const LARGEST_RELATIVE_ERROR: f64 = 1e-6;
/// Below this share of the scale a lower tail is computed in its own units.
const FAR_BELOW: f64 = 1e-18;
/// Points closer to 0 than this share of the largest eigenvalue are out of reach.
const CLOSEST_POINT: f64 = 1e-300;
/// The largest order of a cumulant whose factorial is a double.
const MAX_ORDER: u32 = 170;
/// The smallest positive double: the error of a result that underflows.
const SMALLEST: f64 = f64::from_bits(1);

/// Q = Σλᵢ(Uᵢ + bᵢ)² + σZ, U and Z independent standard normal.
#[derive(Debug, Clone)]
pub struct QuadraticForm {
    form: Form,
}

/// How a value was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Nothing to compute: the point lies outside the support, or a closed form holds.
    Exact,
    /// The trapezoid rule on a hyperbola through the saddle point.
    Hyperbola,
    /// Ruben's mixture of chi-squares, for forms of one sign.
    Ruben,
    /// Davies' inversion along a vertical line, exponentially tilted.
    TiltedDavies,
}

/// P(Q ≤ q) and P(Q > q), the smaller of which is accurate in relative terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tails {
    /// P(Q ≤ q).
    pub cdf: Enclosure,
    /// P(Q > q).
    pub survival: Enclosure,
    /// How they were computed.
    pub algorithm: Algorithm,
    /// Nodes spent.
    pub nodes: usize,
}

/// A density or a quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The value.
    pub enclosure: Enclosure,
    /// How it was computed.
    pub algorithm: Algorithm,
    /// Nodes spent.
    pub nodes: usize,
}

impl Enclosure {
    fn scaled(self, exponent: i64) -> Self {
        let underflow = if self.error > 0.0 { SMALLEST } else { 0.0 };
        Self { value: ldexp(self.value, exponent), error: ldexp(self.error, exponent) + underflow }
    }

    /// 1 − self, for a probability.
    fn complement(self) -> Self {
        Self { value: 1.0 - self.value, error: self.error + ROUNDING }
    }
}

impl Tails {
    /// Those of −Q at −q.
    fn reflected(self) -> Self {
        Self { cdf: self.survival, survival: self.cdf, ..self }
    }
}

impl QuadraticForm {
    /// Σλᵢ Uᵢ², the central form with these `eigenvalues`, of either sign. Zeros are allowed and change nothing.
    ///
    /// # Errors
    /// [`Empty`](QuadraticFormError::Empty), [`NotFinite`](QuadraticFormError::NotFinite),
    /// [`AllZero`](QuadraticFormError::AllZero), [`Spread`](QuadraticFormError::Spread).
    pub fn central(eigenvalues: &[f64]) -> Result<Self, QuadraticFormError> {
        Self::new(eigenvalues, &vec![0.0; eigenvalues.len()], 0.0)
    }

    /// Σλᵢ(Uᵢ + bᵢ)² + σZ for `eigenvalues` λ, as many `shifts` b and a normal term with standard deviation `sigma`.
    ///
    /// # Errors
    /// As for [`central`](Self::central), and [`LengthMismatch`](QuadraticFormError::LengthMismatch),
    /// [`Shift`](QuadraticFormError::Shift), [`Sigma`](QuadraticFormError::Sigma).
    pub fn new(eigenvalues: &[f64], shifts: &[f64], sigma: f64) -> Result<Self, QuadraticFormError> {
        if eigenvalues.is_empty() {
            return Err(QuadraticFormError::Empty);
        }
        if eigenvalues.len() != shifts.len() {
            return Err(QuadraticFormError::LengthMismatch { eigenvalues: eigenvalues.len(), shifts: shifts.len() });
        }
        for (what, values) in [("eigenvalue", eigenvalues), ("shift", shifts)] {
            if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
                return Err(QuadraticFormError::NotFinite { what, index, value: *value });
            }
        }
        if let Some((index, value)) = shifts.iter().enumerate().find(|(_, shift)| shift.abs() > LARGEST_SHIFT) {
            return Err(QuadraticFormError::Shift { index, value: *value });
        }
        if !sigma.is_finite() || sigma < 0.0 {
            return Err(QuadraticFormError::Sigma(sigma));
        }
        if sigma <= 0.0 && eigenvalues.iter().all(|eigenvalue| eigenvalue.abs() <= 0.0) {
            return Err(QuadraticFormError::AllZero(eigenvalues.len()));
        }
        Form::new(eigenvalues, shifts, sigma).map(|form| Self { form }).ok_or(QuadraticFormError::Spread)
    }

    /// E Q = Σλ(1 + b²).
    ///
    /// # Errors
    /// As for [`cumulant`](Self::cumulant).
    pub fn mean(&self) -> Result<Enclosure, QuadraticFormError> {
        self.cumulant(1)
    }

    /// Var Q = 2Σλ²(1 + 2b²) + σ².
    ///
    /// # Errors
    /// As for [`cumulant`](Self::cumulant).
    pub fn variance(&self) -> Result<Enclosure, QuadraticFormError> {
        self.cumulant(2)
    }

    /// The cumulant of an `order` k from 1: 2^(k−1)(k−1)!·Σλ^k(1 + kb²), and σ² more for k = 2.
    ///
    /// # Errors
    /// [`NotConverged`](QuadraticFormError::NotConverged) for order 0 or above 170 (whose factorial is no double) and
    /// where the cumulant exceeds the range of doubles.
    pub fn cumulant(&self, order: u32) -> Result<Enclosure, QuadraticFormError> {
        if !(1..=MAX_ORDER).contains(&order) {
            return Err(QuadraticFormError::OUT_OF_REACH);
        }
        let factor = (1..order).fold(1.0, |product, i| 2.0 * product * f64::from(i));
        let (mut sum, mut size) = (0.0, 0.0);
        for term in &self.form.terms {
            let weight = f64::from(term.multiplicity) + f64::from(order) * term.noncentrality.get();
            let part = factor * (0..order).fold(weight, |product, _| product * term.eigenvalue);
            sum += part;
            size += part.abs();
        }
        if order == 2 {
            sum += self.form.sigma * self.form.sigma;
            size += self.form.sigma * self.form.sigma;
        }
        // Each part takes 2·order + 5 roundings; powers of eigenvalues may underflow.
        let roundings = (self.form.terms.len() as f64) + 3.0 * f64::from(order) + 10.0;
        let error = roundings * ROUNDING * size * (1.0 + 1e-6) + roundings * factor * f64::MIN_POSITIVE;
        let enclosure = Enclosure { value: sum, error }.scaled(self.form.exponent * i64::from(order));
        if enclosure.value.is_finite() && enclosure.error.is_finite() {
            Ok(enclosure)
        } else {
            Err(QuadraticFormError::OUT_OF_REACH)
        }
    }

    /// P(Q ≤ q) and P(Q > q).
    ///
    /// # Errors
    /// [`Point`](QuadraticFormError::Point) for NaN, [`NotConverged`](QuadraticFormError::NotConverged) where no
    /// relative error below 1e-6 of the smaller tail can be guaranteed.
    pub fn tails(&self, q: f64) -> Result<Tails, QuadraticFormError> {
        if q.is_nan() {
            return Err(QuadraticFormError::Point);
        }
        tails(&self.form, self.scaled_point(q)?)
    }

    /// The tails by a second algorithm that shares nothing with that of [`tails`](Self::tails) but arithmetic: Ruben's
    /// mixture of chi-squares (1962) where all eigenvalues have one sign and σ = 0, else, and where that takes too many
    /// terms, Davies' inversion (1980), exponentially tilted. Much slower, and often out of reach: condition numbers
    /// beyond about 1e5 for the one, fewer than four eigenvalues for the other.
    ///
    /// # Errors
    /// As for [`tails`](Self::tails).
    pub fn cross_check(&self, q: f64) -> Result<Tails, QuadraticFormError> {
        if q.is_nan() {
            return Err(QuadraticFormError::Point);
        }
        let t = self.scaled_point(q)?;
        if t.is_infinite() {
            tails(&self.form, t)
        } else {
            cross_check::tails_at(&self.form, t)
        }
    }

    /// P(Q ≤ q), the distribution function.
    ///
    /// # Errors
    /// As for [`tails`](Self::tails).
    pub fn cdf(&self, q: f64) -> Result<Enclosure, QuadraticFormError> {
        Ok(self.tails(q)?.cdf)
    }

    /// P(Q > q), the survival function.
    ///
    /// # Errors
    /// As for [`tails`](Self::tails).
    pub fn survival(&self, q: f64) -> Result<Enclosure, QuadraticFormError> {
        Ok(self.tails(q)?.survival)
    }

    /// The density of Q at q. At the end of the support it is the limit from inside.
    ///
    /// # Errors
    /// As for [`tails`](Self::tails), and [`UnboundedDensity`](QuadraticFormError::UnboundedDensity) where the form has
    /// one eigenvalue, or one of either sign, and q = 0. Beyond about 1e15 times the largest eigenvalue, where it is far
    /// below the smallest double, the density is not converged.
    pub fn density(&self, q: f64) -> Result<Evaluation, QuadraticFormError> {
        if q.is_nan() {
            return Err(QuadraticFormError::Point);
        }
        let t = self.scaled_point(q)?;
        let density = density(&self.form, t)?;
        if density.enclosure.value.is_finite() {
            Ok(density)
        } else {
            Err(QuadraticFormError::OUT_OF_REACH)
        }
    }

    /// The q with P(Q ≤ q) = `probability`.
    ///
    /// # Errors
    /// [`NotConverged`](QuadraticFormError::NotConverged) where no bracket of it is found, or only one wider than
    /// 1e-6 of its size and of the scale on which the tail changes there.
    pub fn quantile(&self, probability: Probability) -> Result<Evaluation, QuadraticFormError> {
        quantile::quantile(&self.form, Side::Lower, probability.get())
    }

    /// The q with P(Q > q) = `probability`, for upper tails too small to be written as one minus something.
    ///
    /// # Errors
    /// As for [`quantile`](Self::quantile).
    pub fn survival_quantile(&self, probability: Probability) -> Result<Evaluation, QuadraticFormError> {
        quantile::quantile(&self.form, Side::Upper, probability.get())
    }

    /// q in the form's own units.
    fn scaled_point(&self, q: f64) -> Result<f64, QuadraticFormError> {
        let t = ldexp(q, -self.form.exponent);
        if q.abs() > 0.0 && t.abs() < CLOSEST_POINT {
            return Err(QuadraticFormError::OUT_OF_REACH);
        }
        // Beyond the range the tail is that at its end, as far as doubles can tell.
        Ok(if q.is_finite() { t.clamp(-f64::MAX, f64::MAX) } else { q })
    }
}

/// The tails of a form in its own units.
fn tails(form: &Form, t: f64) -> Result<Tails, QuadraticFormError> {
    let exact = |cdf: f64| Tails {
        cdf: Enclosure::exact(cdf),
        survival: Enclosure::exact(1.0 - cdf),
        algorithm: Algorithm::Exact,
        nodes: 0,
    };
    if t == f64::INFINITY || (form.is_nonpositive() && t >= 0.0) {
        return Ok(exact(1.0));
    }
    if t == f64::NEG_INFINITY || (form.is_nonnegative() && t <= 0.0) {
        return Ok(exact(0.0));
    }
    if t < 0.0 {
        return Ok(tails(&form.reflected(), -t)?.reflected());
    }
    if form.is_negligible_above(t) {
        let survival = Enclosure { value: 0.0, error: SMALLEST };
        return Ok(Tails { cdf: survival.complement(), survival, algorithm: Algorithm::Exact, nodes: 0 });
    }
    let Tilted { side, tilt, .. } = tilted(form, t)?;
    // P(Q > t) ≤ e^{K(c) − ct} for c > 0, and the same on the other side (Chernoff).
    let (direct, nodes) = if tilt.peak.is_negligible() && tilt.peak_error < 1.0 {
        (Enclosure { value: 0.0, error: SMALLEST }, 0)
    } else {
        let rule = Trapezoid::certified(&tilt, true).ok_or(QuadraticFormError::OUT_OF_REACH)?;
        (scaled_value(&tilt, &rule, tilt.c.abs(), 0)?, rule.nodes.len())
    };
    let (cdf, survival) = match side {
        Side::Upper => (direct.complement(), direct),
        Side::Lower => (direct, direct.complement()),
    };
    Ok(Tails { cdf, survival, algorithm: Algorithm::Hyperbola, nodes })
}

/// A form tilted about a point t ≥ 0, perhaps in other units.
struct Tilted {
    side: Side,
    tilt: Tilt,
    /// The tilt is that of Q·2^`by` about t·2^`by`.
    by: i64,
}

/// The form tilted on the side of its mean where t ≥ 0 lies.
fn tilted(form: &Form, t: f64) -> Result<Tilted, QuadraticFormError> {
    let side = if t >= form.mean() { Side::Upper } else { Side::Lower };
    let far_below = t < FAR_BELOW && form.is_nonnegative();
    let by = if far_below { -exponent(t).max(-800) } else { 0 };
    let tilt = if far_below { Tilt::new(&form.magnified(by), ldexp(t, by), side) } else { Tilt::new(form, t, side) };
    Ok(Tilted { side, tilt: tilt.ok_or(QuadraticFormError::OUT_OF_REACH)?, by })
}

/// The rule's value times e^{K(c) − ct}·2^`exponent`/`divisor`.
fn scaled_value(tilt: &Tilt, rule: &Trapezoid, divisor: f64, exponent: i64) -> Result<Enclosure, QuadraticFormError> {
    let value = rule.value();
    let relative_error = rule.error / value.abs() + tilt.peak_error + 10.0 * ROUNDING;
    if !(value > 0.0 && relative_error <= LARGEST_RELATIVE_ERROR) {
        return Err(QuadraticFormError::NotConverged { relative_error, nodes: rule.nodes.len() });
    }
    let value = tilt.peak.times(Scaled::new(value / divisor)).shifted(exponent).get();
    Ok(Enclosure { value, error: value * relative_error * (1.0 + 1e-5) + 2.0 * SMALLEST })
}

/// The density, in the units of the form as it was given, at t in its own.
fn density(form: &Form, t: f64) -> Result<Evaluation, QuadraticFormError> {
    let exact = |enclosure| Ok(Evaluation { enclosure, algorithm: Algorithm::Exact, nodes: 0 });
    let outside = t.is_infinite() || (form.is_nonpositive() && t > 0.0) || (form.is_nonnegative() && t < 0.0);
    if outside {
        return exact(Enclosure::exact(0.0));
    }
    if t.abs() <= 0.0 && form.sigma <= 0.0 {
        let sided = form.is_nonnegative() || form.is_nonpositive();
        return match form.size() {
            1 => Err(QuadraticFormError::UnboundedDensity(0.0)),
            2 if sided => exact(density_of_two_at_zero(form)),
            2 => Err(QuadraticFormError::UnboundedDensity(0.0)),
            _ if sided => exact(Enclosure::exact(0.0)),
            _ => integrated_density(form, t),
        };
    }
    if t < 0.0 {
        return density(&form.reflected(), -t);
    }
    integrated_density(form, t)
}

fn integrated_density(form: &Form, t: f64) -> Result<Evaluation, QuadraticFormError> {
    let Tilted { tilt, by, .. } = tilted(form, t)?;
    let rule = Trapezoid::certified(&tilt, false).ok_or(QuadraticFormError::OUT_OF_REACH)?;
    let enclosure = scaled_value(&tilt, &rule, 1.0, by - form.exponent)?;
    Ok(Evaluation { enclosure, algorithm: Algorithm::Hyperbola, nodes: rule.nodes.len() })
}

/// e^(−Σδ²/2)/(2√(|λ₁λ₂|)), the limit at the end of the support.
fn density_of_two_at_zero(form: &Form) -> Enclosure {
    let noncentrality: f64 = form.terms.iter().map(|term| term.noncentrality.get()).sum();
    // One group of two or two of one.
    let product = form.terms[0].eigenvalue.abs() * form.terms[form.terms.len() - 1].eigenvalue.abs();
    let value = (-0.5 * noncentrality).exp() / (2.0 * product.sqrt());
    Enclosure { value, error: value * (20.0 + 2.0 * noncentrality) * ROUNDING + SMALLEST }.scaled(-form.exponent)
}
