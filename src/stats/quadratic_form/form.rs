//! The form in the shape the algorithms want: scaled by a power of two, zeros dropped, equal eigenvalues merged.

use super::double::Double;
use super::scaled::{exponent, ldexp};

/// Eigenvalues, and σ, further below the largest would have squares that underflow.
pub(super) const SMALLEST_RATIO: f64 = 1e-140;

/// A group of equal eigenvalues.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// λ, not zero.
    pub(super) eigenvalue: f64,
    /// m, the number of eigenvalues in the group.
    pub(super) multiplicity: u32,
    /// δ² = Σb² over the group.
    pub(super) noncentrality: Double,
}

/// Q/2^exponent with the largest of |λ| and σ in [1, 2).
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// By increasing λ.
    pub(super) terms: Vec<Term>,
    pub(super) sigma: f64,
    pub(super) exponent: i64,
}

/// e^(−2000) is 10^(−869).
const NEGLIGIBLE: f64 = 2000.0;

impl Form {
    /// `None` where some |λ| or σ is more than 1e140 times smaller than the largest. Expects finite numbers, not
    /// all of them zero, and one shift for each eigenvalue.
    pub(super) fn new(eigenvalues: &[f64], shifts: &[f64], sigma: f64) -> Option<Self> {
        let largest = eigenvalues.iter().fold(sigma, |largest, eigenvalue| largest.max(eigenvalue.abs()));
        let exponent = exponent(largest);
        let scale = |x: f64| ldexp(x, -exponent);
        let sigma = scale(sigma);
        let mut pairs: Vec<(f64, f64)> = eigenvalues
            .iter()
            .zip(shifts)
            .filter(|(eigenvalue, _)| **eigenvalue != 0.0)
            .map(|(&eigenvalue, &shift)| (scale(eigenvalue), shift))
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.abs().total_cmp(&b.1.abs())));
        let too_small = |x: f64| x.abs() < SMALLEST_RATIO;
        if pairs.iter().any(|(eigenvalue, _)| too_small(*eigenvalue)) || (sigma > 0.0 && too_small(sigma)) {
            return None;
        }
        let mut terms: Vec<Term> = Vec::with_capacity(pairs.len());
        for (eigenvalue, shift) in pairs {
            let square = Double::product(shift, shift);
            match terms.last_mut() {
                Some(term) if term.eigenvalue.total_cmp(&eigenvalue).is_eq() => {
                    term.multiplicity += 1;
                    term.noncentrality = term.noncentrality.plus(square);
                }
                _ => terms.push(Term { eigenvalue, multiplicity: 1, noncentrality: square }),
            }
        }
        Some(Self { terms, sigma, exponent })
    }

    /// −Q.
    pub(super) fn reflected(&self) -> Self {
        let reflect = |term: &Term| Term { eigenvalue: -term.eigenvalue, ..term.clone() };
        Self { terms: self.terms.iter().rev().map(reflect).collect(), ..*self }
    }

    /// Whether P(Q > t) is certainly far below the smallest double, by Chernoff's bound halfway to the end of the
    /// moment generating function.
    pub(super) fn is_negligible_above(&self, t: f64) -> bool {
        let s = 0.5 * self.right_end();
        if s.is_infinite() {
            // Q ≤ σZ, and P(σZ > t) ≤ exp(−t²/(2σ²)).
            return t / self.sigma > 64.0;
        }
        let normal = 0.5 * (self.sigma * s).powi(2);
        let (mut sum, mut size) = (normal - s * t, normal + s * t);
        for term in &self.terms {
            let distance = 1.0 - 2.0 * term.eigenvalue * s;
            let shift = term.eigenvalue * term.noncentrality.get() * s / distance;
            let logarithm = 0.5 * f64::from(term.multiplicity) * distance.ln();
            sum += shift - logarithm;
            size += shift.abs() + logarithm.abs();
        }
        // Terms of either sign may cancel; an infinite size decides nothing.
        sum < -NEGLIGIBLE - 1e-9 * size
    }

    /// Q·2^`by`, which is meant in the same units.
    pub(super) fn magnified(&self, by: i64) -> Self {
        let magnify = |term: &Term| Term { eigenvalue: ldexp(term.eigenvalue, by), ..term.clone() };
        Self {
            terms: self.terms.iter().map(magnify).collect(),
            sigma: ldexp(self.sigma, by),
            exponent: self.exponent - by,
        }
    }

    /// Whether Q cannot be negative.
    pub(super) fn is_nonnegative(&self) -> bool {
        self.sigma == 0.0 && self.left_end().is_infinite()
    }

    /// Whether Q cannot be positive.
    pub(super) fn is_nonpositive(&self) -> bool {
        self.sigma == 0.0 && self.right_end().is_infinite()
    }

    /// Σλ(m + δ²).
    pub(super) fn mean(&self) -> f64 {
        self.terms.iter().map(|term| term.eigenvalue * (f64::from(term.multiplicity) + term.noncentrality.get())).sum()
    }

    /// Σ2λ²(m + 2δ²) + σ².
    pub(super) fn variance(&self) -> f64 {
        let variance = |term: &Term| {
            2.0 * term.eigenvalue.powi(2) * (f64::from(term.multiplicity) + 2.0 * term.noncentrality.get())
        };
        self.terms.iter().map(variance).sum::<f64>() + self.sigma * self.sigma
    }

    /// Σ8λ³(m + 3δ²).
    pub(super) fn third_cumulant(&self) -> f64 {
        let cumulant = |term: &Term| {
            8.0 * term.eigenvalue.powi(3) * (f64::from(term.multiplicity) + 3.0 * term.noncentrality.get())
        };
        self.terms.iter().map(cumulant).sum()
    }

    /// The number of eigenvalues, each counted as often as it occurs.
    pub(super) fn size(&self) -> u32 {
        self.terms.iter().map(|term| term.multiplicity).sum()
    }

    /// 1/(2λ) for the largest eigenvalue: where the moment generating function ends on the right. Infinite
    /// without positive eigenvalues.
    pub(super) fn right_end(&self) -> f64 {
        self.terms.last().filter(|term| term.eigenvalue > 0.0).map_or(f64::INFINITY, |term| 0.5 / term.eigenvalue)
    }

    /// The same on the left, negative; −∞ without negative eigenvalues.
    pub(super) fn left_end(&self) -> f64 {
        self.terms.first().filter(|term| term.eigenvalue < 0.0).map_or(f64::NEG_INFINITY, |term| 0.5 / term.eigenvalue)
    }
}
