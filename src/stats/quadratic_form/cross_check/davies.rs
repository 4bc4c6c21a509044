//! Davies' (1980) inversion, exponentially tilted: the trapezoid along the vertical line through the saddle point.
//!
//! K(s) = Σ_j [−(m_j/2) ln(1−2λ_j s) + λ_jδ_j² s/(1−2λ_j s)] + σ²s²/2 is finite for s below s₊ = 1/(2 max λ).
//! For 0 < c < s₊:  P(Q > t) = (1/2π) ∫ F(u) du,  F(u) = e^{K(s)−st}/s, s = c + iu; F is the Fourier transform of
//! g(z) = e^{cz} P(Q > t+z).  Poisson summation gives, with L = 2π/h, the trapezoid sum as
//!   T_h = (h/2π) Σ_k F(kh) = Σ_m g(mL) = P(Q > t) + Σ_{m≠0} e^{cmL} P(Q > t+mL).
//! Chernoff's P(Q > y) ≤ e^{K(s)−sy} for any s in [0, s₊) turns each half of the aliases into a geometric series:
//!   0 ≤ T_h − P ≤ e^{K(c″)−c″t} / (e^{(c−c″)L} − 1) + e^{K(c′)−c′t} / (e^{(c′−c)L} − 1),   0 ≤ c″ < c < c′ < s₊.
//! c″ = 0 is the plain bound P ≤ 1; c″ > 0 keeps far tails relatively accurate without a smaller h.
//! P(Q ≤ t) is the same for −Q and −t.

use super::super::contour::ROUNDING;
use super::super::tilt::Side;
use super::super::{Algorithm, Enclosure, QuadraticFormError, Tails, LARGEST_RELATIVE_ERROR};
use super::{not_converged, outside, tails, Compensated, Component};
use std::f64::consts::{LN_2, PI};

/// Most evaluations of one factor at one node.
const MOST_WORK: usize = 2_000_000;

/// P(Q ≤ t) and P(Q > t) for Q = Σ λ_j χ²_{m_j}(δ_j²) + σZ, eigenvalues of any sign.
///
/// The tail with the smaller saddle-point estimate is integrated; its error covers aliasing, truncation and rounding.
/// Not converged: F decays like u^{−n/2−1} only, so forms of few terms (n ≤ 3 or so, σ = 0) exceed the budget.
pub(super) fn tilted_davies(terms: &[Component], sigma: f64, t: f64) -> Result<Tails, QuadraticFormError> {
    let bounded_by_zero = |sign: f64| sigma == 0.0 && terms.iter().all(|term| sign * term.eigenvalue <= 0.0);
    if bounded_by_zero(1.0) && t >= 0.0 {
        return Ok(outside(Side::Upper));
    }
    if bounded_by_zero(-1.0) && t <= 0.0 {
        return Ok(outside(Side::Lower));
    }
    let upper = Line::new(TiltedForm { terms: terms.to_vec(), sigma, t });
    let negated = terms.iter().map(|term| Component { eigenvalue: -term.eigenvalue, ..*term }).collect();
    let lower = Line::new(TiltedForm { terms: negated, sigma, t: -t });
    let (side, line) =
        if upper.log_estimate <= lower.log_estimate { (Side::Upper, upper) } else { (Side::Lower, lower) };
    let (tail, nodes) = line.tail()?;
    tails(Algorithm::TiltedDavies, side, tail, nodes)
}

/// The form whose upper tail P(Q > t) is wanted.
struct TiltedForm {
    terms: Vec<Component>,
    sigma: f64,
    t: f64,
}

impl TiltedForm {
    /// s₊, up to rounding.
    fn pole(&self) -> f64 {
        0.5 / self.terms.iter().map(|term| term.eigenvalue).fold(0.0, f64::max)
    }

    /// 1 − 2λs with one rounding; the caller checks that it is positive.
    fn gap(term: &Component, s: f64) -> f64 {
        (-2.0 * term.eigenvalue).mul_add(s, 1.0)
    }

    /// K(s) − st and a bound on its error; +∞ where K is infinite or nothing is known.
    /// ln(1−2λs): the logarithm of the gap where that is off one by half, ln_1p otherwise; either way the rounded argument
    /// moves it by at most 2.5u relative.  With the function's 4u, products and the sum: 10u Σ|terms|.
    fn exponent(&self, s: f64) -> (f64, f64) {
        let mut sum = Compensated::default();
        for term in &self.terms {
            let (gap, x) = (TiltedForm::gap(term, s), -2.0 * term.eigenvalue * s);
            if gap <= 0.0 {
                return (f64::INFINITY, f64::INFINITY);
            }
            let log = if x.abs() < 0.5 { x.ln_1p() } else { gap.ln() };
            sum.add(-0.5 * f64::from(term.multiplicity) * log);
            sum.add(term.eigenvalue * term.noncentrality * s / gap);
        }
        sum.add(0.5 * (self.sigma * s) * (self.sigma * s));
        sum.add(-s * self.t);
        let error = 10.0 * ROUNDING * sum.magnitude;
        // Beyond 10⁻³ the slack of 1% on the bounds below would no longer cover it.
        if error < 1e-3 {
            (sum.value(), error)
        } else {
            (f64::INFINITY, f64::INFINITY)
        }
    }

    /// First derivative of K(s) − st − ln s.
    fn slope(&self, s: f64) -> f64 {
        let mut sum = self.sigma * self.sigma * s - self.t - 1.0 / s;
        for term in &self.terms {
            let gap = TiltedForm::gap(term, s);
            if gap <= 0.0 {
                return f64::INFINITY;
            }
            sum += term.eigenvalue / gap * (f64::from(term.multiplicity) + term.noncentrality / gap);
        }
        sum
    }

    /// Its second derivative.
    fn curvature(&self, s: f64) -> f64 {
        let mut sum = self.sigma * self.sigma + 1.0 / (s * s);
        for term in &self.terms {
            let (gap, ratio) = (TiltedForm::gap(term, s), term.eigenvalue / TiltedForm::gap(term, s));
            sum += 2.0 * ratio * ratio * (f64::from(term.multiplicity) + 2.0 * term.noncentrality / gap);
        }
        sum
    }

    /// The minimum of the convex K(s) − st − ln s on (0, s₊), from below.  Any c there is valid, so no error matters.
    fn saddle(&self) -> f64 {
        let mut high = self.pole();
        if high.is_infinite() {
            high = 1.0;
            while self.slope(high) < 0.0 && high < 1e300 {
                high *= 2.0;
            }
        }
        let mut low = high;
        while self.slope(low) >= 0.0 && low > 1e-300 {
            (low, high) = (0.5 * low, low);
        }
        for _ in 0..50 {
            let s = 0.5 * (low + high);
            *(if self.slope(s) < 0.0 { &mut low } else { &mut high }) = s;
        }
        low
    }
}

/// One factor along the line: 1 − 2λ(c+iu) = A (1 − iv), A = 1 − 2λc, v = slope·u.
struct Factor {
    /// 2λ/A
    slope: f64,
    half_multiplicity: f64,
    /// δ²/(2A)
    weight: f64,
}

/// The line Re s = c.
struct Line {
    form: TiltedForm,
    c: f64,
    factors: Vec<Factor>,
    /// K(c) − ct and its error
    peak: (f64, f64),
    /// ln of the saddle-point approximation to the tail, e^{K(c)−ct}/(c √(2π ψ″(c)))
    log_estimate: f64,
}

impl Line {
    fn new(form: TiltedForm) -> Line {
        let c = form.saddle();
        let factor = |term: &Component| {
            let gap = TiltedForm::gap(term, c);
            let half_multiplicity = 0.5 * f64::from(term.multiplicity);
            Factor { slope: 2.0 * term.eigenvalue / gap, half_multiplicity, weight: 0.5 * term.noncentrality / gap }
        };
        let factors = form.terms.iter().map(factor).collect();
        let peak = form.exponent(c);
        let log_estimate = peak.0 - c.ln() - 0.5 * (2.0 * PI * form.curvature(c)).ln();
        Line { form, c, factors, peak, log_estimate }
    }

    /// P(Q > t), and the nodes used.
    fn tail(&self) -> Result<(Enclosure, usize), QuadraticFormError> {
        // A tail below the range of f64, or a line that rounding has spoilt.
        if !(self.log_estimate > -690.0 && self.log_estimate < 5.0 && self.peak.1.is_finite()) {
            return Err(not_converged(f64::INFINITY, 0));
        }
        let estimate = self.log_estimate.exp();
        let (h, aliasing) = self.step(self.log_estimate - 56.0 * LN_2);
        let most = MOST_WORK / self.factors.len().max(1);
        let (nodes, truncation) = self.nodes(h, most, 0.5 * ROUNDING * estimate);
        let reached = aliasing + truncation;
        // The estimate is within a few tenths of the tail; `tails` judges the result itself.
        if reached.is_nan() || reached > 2.0 * LARGEST_RELATIVE_ERROR * estimate {
            return Err(not_converged(reached / estimate, 0));
        }
        let sum = self.trapezoid(h, nodes);
        Ok((Enclosure { value: sum.value, error: sum.error + reached }, nodes))
    }

    /// The step h and a bound on its aliases: the longest h for which some c″ and some c′ make either half less than
    /// e^log_target.  h keeps 30 bits, so that every node kh, k < 2²¹, is exact.
    fn step(&self, log_target: f64) -> (f64, f64) {
        let (left, right) = (self.lefts(), self.rights());
        let period = shortest(&left, log_target).max(shortest(&right, log_target));
        let h = f64::from_bits((2.0 * PI / period).to_bits() & !((1 << 23) - 1));
        let period = 2.0 * PI / h * (1.0 - 4.0 * ROUNDING);
        (h, 1.01 * (least(&left, period) + least(&right, period)))
    }

    /// Candidates for c″ as (c − c″, K(c″) − c″t).
    fn lefts(&self) -> Vec<(f64, f64)> {
        self.candidates((0..16).map(|i| self.c * f64::from(i) / 16.0))
    }

    /// Candidates for c′ as (c′ − c, K(c′) − c′t).
    fn rights(&self) -> Vec<(f64, f64)> {
        let (c, pole) = (self.c, self.form.pole());
        self.candidates((0..24).map(|i| {
            let factor = (0.5 * f64::from(i)).exp2();
            if pole.is_finite() {
                pole - (pole - c) / (1.125 * factor)
            } else {
                c * (1.0 + factor / 16.0)
            }
        }))
    }

    fn candidates(&self, tilts: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
        let pair = |s: f64| ((s - self.c).abs(), self.form.exponent(s).0);
        tilts.map(pair).filter(|&(distance, exponent)| distance > 0.0 && exponent.is_finite()).collect()
    }

    /// ln |F(u)/F(0)| (with its 1/|s|), and p with |F(ru)| ≤ |F(u)| r^{−p} for every r ≥ 1.
    /// 1 + r²v² ≥ (1+v²) r^{2w}, w = v²/(1+v²) (weighted means), likewise |s|², and r² − 1 ≥ 2 ln r for the normal part;
    /// the noncentral part only decreases.
    fn decay(&self, u: f64) -> (f64, f64) {
        let (c, normal) = (self.c, self.form.sigma * u);
        let (mut log, mut power) = (-0.5 * (u / c).powi(2).ln_1p() - 0.5 * normal * normal, normal * normal);
        power += u * u / (c * c + u * u);
        for factor in &self.factors {
            let square = (factor.slope * u).powi(2);
            let w = square / (1.0 + square);
            log -= 0.5 * factor.half_multiplicity * square.ln_1p() + factor.weight * w;
            power += factor.half_multiplicity * w;
        }
        (log, power)
    }

    /// Bound on (h/π) Σ_{k>N} |F(kh)| ≤ (1/π) ∫_U^∞ |F| ≤ |F(U)| U / (π (p−1)), U = Nh: |F| decreases.
    fn truncation(&self, u: f64) -> f64 {
        let (log, power) = self.decay(u);
        if power > 1.0 + 1e-6 {
            1.01 * (self.peak.0 + log).exp() * (u / self.c) / (PI * (power - 1.0)) + f64::MIN_POSITIVE
        } else {
            f64::INFINITY
        }
    }

    /// The least N ≤ most with truncation ≤ target, or most; and the bound there.
    fn nodes(&self, h: f64, most: usize, target: f64) -> (usize, f64) {
        let bound = |nodes: usize| self.truncation(nodes as f64 * h); // ≤ 2·10⁶
        let (mut low, mut high) = (0, 1);
        while high < most && bound(high) > target {
            (low, high) = (high, (2 * high).min(most));
        }
        while high - low > 1 && bound(high) <= target {
            let middle = low + (high - low) / 2;
            *(if bound(middle) <= target { &mut high } else { &mut low }) = middle;
        }
        (high, bound(high))
    }

    /// (h/π) [½ F(0) + Σ_{k=1}^N Re F(kh)] and a bound on its rounding.
    fn trapezoid(&self, h: f64, nodes: usize) -> Enclosure {
        let mut sum = Compensated::default();
        let mut error = 0.0;
        sum.add(0.5 / self.c);
        for k in 1..=nodes {
            let (value, bound) = self.integrand(k as f64 * h); // exact: k < 2²¹
            sum.add(value);
            error += bound;
        }
        let scale = self.peak.0.exp() * h / PI;
        let value = scale * sum.value();
        // Scale 7u, and twice u per unit of Σ|F| for summation; the peak's error enters relatively.  1% for higher orders.
        let relative = self.peak.1 + 10.0 * ROUNDING;
        Enclosure { value, error: 1.01 * (relative * value.abs() + scale * (error + 2.0 * ROUNDING * sum.magnitude)) }
    }

    /// Re e^{K(s)−st−(K(c)−ct)}/s at s = c + iu, and a bound on its rounding.
    ///
    /// Modulus and argument are sums over the factors: (1−iv)^{−m/2} has the argument (m/2) atan v, continuous in u as each
    /// atan v is principal in (−π/2, π/2).  v carries 3u; x/(1+x) ≤ ln(1+x) and v/(1+v²) ≤ atan v make that at most 7u and
    /// 3u relative in ln(1+v²) and atan v; with the functions' 4u, products and sum every term is within 18u of itself.
    /// The errors of logarithm and argument move e^{ρ+iφ} by their sum; sin, cos, exp and the quotient by 24u |F|.
    fn integrand(&self, u: f64) -> (f64, f64) {
        let (c, sigma2) = (self.c, self.form.sigma * self.form.sigma);
        let (mut log, mut argument) = (Compensated::default(), Compensated::default());
        for factor in &self.factors {
            let v = factor.slope * u;
            let square = v * v;
            log.add(-0.5 * factor.half_multiplicity * square.ln_1p());
            log.add(-factor.weight * (square / (1.0 + square)));
            argument.add(factor.half_multiplicity * v.atan());
            argument.add(factor.weight * (v / (1.0 + square)));
        }
        log.add(-0.5 * sigma2 * u * u);
        argument.add(sigma2 * c * u);
        argument.add(-u * self.form.t);
        let (modulus, (sin, cos)) = (log.value().exp(), argument.value().sin_cos());
        let square = c * c + u * u;
        let count = 18.0 * (log.magnitude + argument.magnitude) + 24.0;
        (modulus * (c * cos + u * sin) / square, ROUNDING * count * modulus / square.sqrt())
    }
}

/// The shortest period L for which one of the series e^E/(e^{dL} − 1), (d, E) listed, is at most e^target.
fn shortest(candidates: &[(f64, f64)], log_target: f64) -> f64 {
    let period = |&(distance, exponent): &(f64, f64)| {
        let y = exponent - log_target;
        (y.max(0.0) + (-y.abs()).exp().ln_1p()) / distance
    };
    candidates.iter().map(period).fold(f64::INFINITY, f64::min)
}

/// The least of them for period L.
fn least(candidates: &[(f64, f64)], period: f64) -> f64 {
    let series =
        |&(distance, exponent): &(f64, f64)| (exponent - distance * period).exp() / -(-distance * period).exp_m1();
    candidates.iter().map(series).fold(f64::INFINITY, f64::min) + f64::MIN_POSITIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// λ = 1, 1, −1, −1: P(Q > t) = ½ e^{−t/2} for t ≥ 0.
    fn laplace(t: f64) -> Line {
        let term = |eigenvalue| Component { eigenvalue, multiplicity: 2, noncentrality: 0.0 };
        Line::new(TiltedForm { terms: vec![term(1.0), term(-1.0)], sigma: 0.0, t })
    }

    /// Σ_{m≠0} e^{cmL} P(Q > t+mL), each product in one exponential.
    fn laplace_aliases(t: f64, c: f64, period: f64) -> f64 {
        let alias = |m: i32| {
            let shift = f64::from(m) * period;
            let (y, tilt) = (t + shift, c * shift);
            if y >= 0.0 {
                0.5 * (tilt - 0.5 * y).exp()
            } else {
                tilt.exp() - 0.5 * (tilt + 0.5 * y).exp()
            }
        };
        (1..2000).map(|m| alias(m) + alias(-m)).sum()
    }

    /// With steps far too long the error of the trapezoid sum is visible: it is the sum of the aliases, and they are
    /// within their bound.
    #[test]
    fn aliases_are_what_they_are_said_to_be() {
        for t in [0.5_f64, 4.0, 40.0, 300.0] {
            for nats in [1.0, 3.0] {
                let line = laplace(t);
                let (h, bound) = line.step(line.log_estimate - nats);
                let aliases = laplace_aliases(t, line.c, 2.0 * PI / h);
                let sum = line.trapezoid(h, 200_000);
                let off = sum.value - 0.5 * (-0.5 * t).exp() - aliases;
                let fuzz = sum.error + line.truncation(200_000.0 * h) + 1e-13 * sum.value;
                assert!(off.abs() < fuzz && off.abs() < 1e-3 * aliases, "{t} {nats}: {aliases:e} {off:e} {fuzz:e}");
                assert!(aliases <= bound, "{t} {nats}: {aliases:e} {bound:e}");
            }
        }
    }

    /// Cutting the sum short moves it by less than the bound.
    #[test]
    fn truncation_is_bounded() {
        let line = laplace(3.0);
        let (h, aliasing) = line.step(line.log_estimate - 56.0 * LN_2);
        for nodes in [1, 3, 10, 100, 1000, 10_000] {
            let sum = line.trapezoid(h, nodes);
            let bound = line.truncation(nodes as f64 * h) + aliasing + sum.error;
            assert!((sum.value - 0.5 * (-1.5_f64).exp()).abs() < bound);
        }
    }
}
