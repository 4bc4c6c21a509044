//! Ruben's (1962) mixture for positive definite forms, in the O(nK) recursion of Farebrother (1984, AS 204).
//!
//! With β = λ_min, γ_j = 1 − β/λ_j, θ = 1/(1 − 2βs):  1 − 2λ_j s = (1 − γ_jθ) / ((1 − γ_j) θ), so
//!   E e^{sQ} = θ^{n/2} G(θ),   G(θ) = Π_j [(1−γ_j)/(1−γ_jθ)]^{m_j/2} exp{(δ_j²/2)[(1−γ_j)θ/(1−γ_jθ) − 1]} = Σ_k c_k θ^k,
//! and θ^{n/2+k} belongs to βχ²_{n+2k}: Q is a mixture with weights c_k ≥ 0, Σ c_k = 1.  From (ln G)′,
//!   k c_k = ½ Σ_j [ m_j S_j + δ_j²(1−γ_j) T_j ],  S_j = Σ_{r<k} γ_j^{k−r} c_r,  T_j = Σ_{r<k} (k−r) γ_j^{k−r−1} c_r,
//!   W_j = S_j + c_{k−1},  T_j ← γ_j T_j + W_j,  S_j ← γ_j W_j.
//! With x = t/(2β), a = n/2, π_i = x^{a+i} e^{−x}/Γ(a+i+1), C_i = Σ_{k≤i} c_k:
//!   P(Q ≤ t) = Σ_i π_i C_i,     P(Q > t) = Σ_k c_k Q_k,   Q_{k+1} = Q_k + π_k,   Q_0 = Γ(a,x)/Γ(a).
//! Nothing is ever subtracted, so both tails keep relative accuracy.

use super::super::contour::ROUNDING;
use super::super::scaled::{ldexp, Scaled};
use super::super::tilt::Side;
use super::super::{Algorithm, Enclosure, QuadraticFormError, Tails, LARGEST_RELATIVE_ERROR};
use super::{not_converged, outside, tails, Compensated, Component};
use num_traits::ToPrimitive;
use std::f64::consts::PI;

/// Most mixture components, and most multiply-adds (components × groups).
const MOST_COMPONENTS: usize = 200_000;
const MOST_WORK: usize = 200_000_000;
/// Beyond x or ½Σδ² = 10⁶, what the first 200 000 components add to either tail is below 10⁻³⁰⁸.
const LARGEST_MEAN: f64 = 1e6;
/// Truncation is driven down to this fraction of the tail.
const TARGET: f64 = ROUNDING / 2.0;

/// P(Q ≤ t) and P(Q > t) for Q = Σ λ_j χ²_{m_j}(δ_j²), all λ_j > 0.
///
/// The smaller tail is summed directly; its error covers truncation and rounding (first order in counts N of u with
/// N u < 10⁻⁶, and 1% on top for the higher orders).  Not converged: the budget is spent (roughly, t/(2 λ_min) or the
/// mean mixture index beyond 2·10⁵), or the tail is below the range of `f64`.
pub(super) fn ruben(terms: &[Component], t: f64) -> Result<Tails, QuadraticFormError> {
    if terms.is_empty() && t >= 0.0 {
        return Ok(outside(Side::Upper));
    }
    let definite = terms.iter().all(|term| term.eigenvalue > 0.0);
    if definite && t <= 0.0 {
        return Ok(outside(Side::Lower));
    }
    let start = definite.then(|| Some((Mixture::new(terms)?, ChiSquares::new(terms, t)?)));
    let Some((mixture, gamma)) = start.flatten() else {
        return Err(not_converged(f64::INFINITY, 0));
    };
    let most = MOST_COMPONENTS.min(MOST_WORK / terms.len());
    // Neither bound can become small within the budget: π has not peaked by then, nor has c died out.
    let reached = mixture.tail(most);
    if gamma.remainder_factor(most).is_infinite() && reached > LARGEST_RELATIVE_ERROR {
        return Err(not_converged(f64::INFINITY, 0));
    }
    mix(mixture, gamma, most)
}

/// Adds components up to k = `most`, or until the smaller tail has settled.
fn mix(mut mixture: Mixture, mut gamma: ChiSquares, most: usize) -> Result<Tails, QuadraticFormError> {
    let mut sums = Sums::default();
    let mut check = 0;
    loop {
        sums.add(&mixture, &gamma);
        let k = mixture.k;
        if k >= check || k == most {
            check = k + 8 + k / 16;
            let (side, tail, settled) = sums.best(&mixture, &gamma);
            if settled || k == most {
                return tails(Algorithm::Ruben, side, tail, k + 1);
            }
        }
        mixture.step();
        gamma.step();
    }
}

/// What the recursion and the bound on its tail need of one eigenvalue.
struct Group {
    /// γ = gamma + gamma_low; an error of u in γ would grow to k u in γ^k.
    gamma: f64,
    gamma_low: f64,
    half_multiplicity: f64,
    /// ½ δ² (1 − γ)
    shift: f64,
    /// λ/β, q = λ/β − 1 and ½ δ², for G(1 + s)
    ratio: f64,
    excess: f64,
    half_noncentrality: f64,
    s: f64,
    t: f64,
}

/// The weights c_k; c, S_j and T_j share the factor 2^exponent.
struct Mixture {
    groups: Vec<Group>,
    k: usize,
    c: f64,
    exponent: i64,
    dimension: f64,
}

impl Mixture {
    /// c_0 = Π (β/λ_j)^{m_j/2} e^{−½Σδ²}, within (n + 10) u: two roundings per factor, halved by the root.
    /// Nothing if there is no form, or ½Σδ² > 10⁶.
    fn new(terms: &[Component]) -> Option<Mixture> {
        let beta = terms.iter().map(|term| term.eigenvalue).reduce(f64::min)?;
        let mut product = Scaled::ONE;
        let (mut shift, mut dimension) = (Compensated::default(), 0.0);
        for term in terms {
            let ratio = Scaled::new(beta / term.eigenvalue);
            (0..term.multiplicity).for_each(|_| product = product.times(ratio));
            shift.add(0.5 * term.noncentrality);
            dimension += f64::from(term.multiplicity);
        }
        if shift.value() > LARGEST_MEAN {
            return None;
        }
        let c = product.square_root().times(Scaled::exp_sum(-shift.high, -shift.low));
        let groups = terms.iter().map(|term| Group::new(term, beta)).collect();
        Some(Mixture { groups, k: 0, c: c.mantissa(), exponent: c.exponent(), dimension })
    }

    /// From c_{k−1} to c_k.
    fn step(&mut self) {
        self.k += 1;
        let mut lanes = [0.0; 8];
        for (j, group) in self.groups.iter_mut().enumerate() {
            let w = group.s + self.c;
            group.t = group.gamma * group.t + (group.gamma_low * group.t + w);
            group.s = group.gamma * w + group.gamma_low * w;
            lanes[j % 8] += group.half_multiplicity * group.s + group.shift * group.t;
        }
        self.c = lanes.iter().sum::<f64>() / self.k as f64; // k ≤ 2·10⁵
        self.rescale();
    }

    /// Keeps c within 2^±400.  S_j and T_j are within a factor k²/γ ≤ 2⁸⁹ of it, so they stay normal too
    /// (but for T_j whose δ_j² is so small that it does not matter).
    fn rescale(&mut self) {
        let shift = match self.c {
            c if c > ldexp(1.0, 400) => -400,
            c if c > 0.0 && c < ldexp(1.0, -400) => 400,
            _ => return,
        };
        self.c *= ldexp(1.0, shift);
        self.exponent -= shift;
        for group in &mut self.groups {
            group.s *= ldexp(1.0, shift);
            group.t *= ldexp(1.0, shift);
        }
    }

    fn weight(&self) -> Scaled {
        Scaled::new(self.c).shifted(self.exponent)
    }

    /// Roundings c_k can have gathered per step.  W: 1, S or T: 2 (γ_low brings only u² in), ½δ²(1−γ): 2, its product and
    /// their sum: 2, eight lanes: J/8 + 8, division: 1; everything is positive, so counts only add.
    fn roundings_per_step(&self) -> f64 {
        17.0 + self.groups.len() as f64 / 8.0
    }

    /// Bound on Σ_{k>K} c_k ≤ (1+s)^{−(K+1)} G(1+s) for the best s (Chernoff; any s > 0 below min 1/q_j is valid):
    ///   ln G(1+s) = Σ_j −(m_j/2) ln(1 − s q_j) + (δ_j²/2) s (λ_j/β) / (1 − s q_j),  q_j = λ_j/β − 1, all terms ≥ 0.
    /// 1 − s q_j ≥ 2⁻²⁰ is good to 10⁻⁹, which the slack turns into a bound on the logarithm.
    fn tail(&self, last: usize) -> f64 {
        let next = (last + 1) as f64; // ≤ 2·10⁵ + 1
        let largest = self.groups.iter().map(|group| group.excess).fold(0.0, f64::max);
        let shift: f64 = self.groups.iter().map(|group| group.half_noncentrality).sum();
        if largest == 0.0 && shift == 0.0 {
            return 0.0;
        }
        let end = if largest > 0.0 { (1.0 - ldexp(1.0, -20)) / largest } else { next / shift };
        let s = self.tilt(next, end);
        let log_g: f64 = self.groups.iter().map(|group| group.log_g(s)).sum();
        let decay = next * s.ln_1p();
        let slack = 1e-8 * (self.dimension + log_g) + 1e-12 * decay;
        (log_g - decay + slack).exp().min(1.0) + f64::MIN_POSITIVE
    }

    /// The s in [0, end) that makes the convex ln G(1+s) − power·ln(1+s) least, from below.
    fn tilt(&self, power: f64, end: f64) -> f64 {
        let slope = |s: f64| self.groups.iter().map(|group| group.slope(s)).sum::<f64>() - power / (1.0 + s);
        let (mut low, mut high) = (0.0, end);
        for _ in 0..40 {
            let s = 0.5 * (low + high);
            *(if slope(s) < 0.0 { &mut low } else { &mut high }) = s;
        }
        low
    }
}

impl Group {
    fn new(term: &Component, beta: f64) -> Group {
        let Component { eigenvalue, multiplicity, noncentrality } = *term;
        let difference = eigenvalue - beta;
        let difference_low = (eigenvalue - difference) - beta;
        let gamma = difference / eigenvalue;
        Group {
            gamma,
            gamma_low: ((-gamma).mul_add(eigenvalue, difference) + difference_low) / eigenvalue,
            half_multiplicity: 0.5 * f64::from(multiplicity),
            shift: 0.5 * noncentrality * (beta / eigenvalue),
            ratio: eigenvalue / beta,
            excess: difference / beta,
            half_noncentrality: 0.5 * noncentrality,
            s: 0.0,
            t: 0.0,
        }
    }

    /// This group's part of ln G(1 + s), and of its derivative.
    fn log_g(&self, s: f64) -> f64 {
        let gap = 1.0 - s * self.excess;
        -self.half_multiplicity * (-s * self.excess).ln_1p() + self.half_noncentrality * s * self.ratio / gap
    }

    fn slope(&self, s: f64) -> f64 {
        let gap = 1.0 - s * self.excess;
        (self.half_multiplicity * self.excess + self.half_noncentrality * self.ratio / gap) / gap
    }
}

/// π_i and Q_i = Γ(a+i, x)/Γ(a+i) for running i.
struct ChiSquares {
    x: f64,
    /// (t/(2β) − x)/x, the rounding of x relative to it
    residual: f64,
    /// a + i
    index: f64,
    /// π_i but for a factor (1 + residual)^{a+i}
    rough: Scaled,
    upper: Scaled,
    /// Counts of u in π_0 and Q_0.
    pi_roundings: f64,
    upper_roundings: f64,
}

impl ChiSquares {
    /// π_0 and Q_0, by Q(y+1) = Q(y) + x^y e^{−x}/Γ(y+1) upwards from y = 0 (n even) or y = ½ (n odd).
    /// The residual of x = t/(2β) is carried along: otherwise its rounding would cost x u or (a+i) u.
    /// Nothing if x is not in [10⁻²⁹⁰, 10⁶].
    fn new(terms: &[Component], t: f64) -> Option<ChiSquares> {
        let scale = 2.0 * terms.iter().map(|term| term.eigenvalue).reduce(f64::min)?;
        let x = t / scale;
        if !(1e-290..=LARGEST_MEAN).contains(&x) {
            return None;
        }
        let low = -scale.mul_add(x, -t) / scale;
        let density = Scaled::exp_sum(-x, -low);
        let n: u32 = terms.iter().map(|term| term.multiplicity).sum();
        let a = 0.5 * f64::from(n);
        let (index, rough, upper, upper_roundings) = match n % 2 {
            0 => (0.0, density, Scaled::ZERO, 0.0),
            _ => {
                let root = Scaled::new(2.0 * (x / PI).sqrt());
                let (upper, roundings) = half_gamma_upper(x, density);
                (0.5, density.times(root), upper, roundings)
            }
        };
        let pi_roundings = 14.0 + 2.0 * a;
        let mut start = ChiSquares { x, residual: low / x, index, rough, upper, pi_roundings, upper_roundings };
        while start.index < a {
            start.step();
        }
        start.upper_roundings = upper_roundings.max(pi_roundings) + a;
        Some(start)
    }

    /// π_i; (1 + r)^{a+i} = 1 + (a+i) r to within (10⁶ u)².
    fn pi(&self) -> Scaled {
        self.rough.scaled(1.0 + self.index * self.residual)
    }

    fn step(&mut self) {
        self.upper = self.upper.plus(self.pi());
        self.index += 1.0;
        self.rough = self.rough.scaled(self.x / self.index);
    }

    /// F with Σ_{i>K} π_i ≤ F π_K, a geometric series: π_{i+1} = π_i x/(a+i+1) and the ratios decrease.
    fn remainder_factor_at(&self, index: f64) -> f64 {
        let (first, ratio) = (self.x / (index + 1.0), self.x / (index + 2.0));
        if ratio < 1.0 {
            first / (1.0 - ratio)
        } else {
            f64::INFINITY
        }
    }

    fn remainder_factor(&self, ahead: usize) -> f64 {
        self.remainder_factor_at(self.index + ahead as f64) // ≤ 2·10⁵
    }
}

/// Q(½, x) = erfc √x from `density` = e^{−x}, and its error in u relative to it.
fn half_gamma_upper(x: f64, density: Scaled) -> (Scaled, f64) {
    let root = (x / PI).sqrt();
    if x < 0.5 {
        // 1 − P(½, x), P = 2√(x/π) e^{−x} (1 + x/(3/2) (1 + x/(5/2) (1 + …))).  Component i is at most 3^{−i} and carries at most
        // 4i roundings, so the bracket has at most 4 Σ i 3^{−i} = 3 of them, P 20 and Q ≥ P/2.2, rounded once more, 46.
        let series = (1..30).rev().fold(1.0, |sum, i| 1.0 + sum * x / (f64::from(i) + 0.5));
        return (Scaled::new(1.0 - density.get() * 2.0 * root * series), 46.0);
    }
    // √(x/π) e^{−x} / F_0,  F_{k−1} = x + (k−½)/(1 + k/F_k) (Legendre's fraction), increasing in F_k ∈ (x, ∞): the two
    // ends bracket it.  Four roundings a level, damped by ∂ ln F_{k−1}/∂ ln F_k.
    let depth = 20 + (120.0 / x).to_i32().unwrap_or(240); // ≤ 260
    let (mut lower, mut upper, mut roundings) = (x, f64::INFINITY, 1.0);
    for k in (1..=depth).rev().map(f64::from) {
        let inner = k / lower;
        let next = x + (k - 0.5) / (1.0 + inner);
        roundings = 4.0 + roundings * (next - x) / next * inner / (1.0 + inner);
        upper = x + (k - 0.5) / (1.0 + k / upper);
        lower = next;
    }
    // The damping is itself evaluated in floating point and at the lower end: 10% more.
    let width = (upper - lower).abs() / lower / ROUNDING;
    (density.scaled(root / lower), 1.1 * roundings + width + 12.0)
}

/// The two partial sums, each with its first moment in the index (which weighs the rounding counts).
struct Sums {
    total: Scaled,
    cdf: [Scaled; 2],
    survival: [Scaled; 2],
}

impl Default for Sums {
    fn default() -> Sums {
        Sums { total: Scaled::ZERO, cdf: [Scaled::ZERO; 2], survival: [Scaled::ZERO; 2] }
    }
}

impl Sums {
    fn add(&mut self, mixture: &Mixture, gamma: &ChiSquares) {
        let k = mixture.k as f64; // ≤ 2·10⁵
        self.total = self.total.plus(mixture.weight());
        let products = [gamma.pi().times(self.total), mixture.weight().times(gamma.upper)];
        for (sum, product) in [&mut self.cdf, &mut self.survival].into_iter().zip(products) {
            sum[0] = sum[0].plus(product);
            sum[1] = sum[1].plus(product.scaled(k));
        }
    }

    /// The tail to report at the present truncation, and whether it is the smaller one and fully settled.
    /// S_K ≤ P(Q ≤ t) ≤ S_K + Σ_{i>K} π_i  and  S_K ≤ P(Q > t) ≤ S_K + Σ_{k>K} c_k, as C_i ≤ 1 and Q_k ≤ 1.
    fn best(&self, mixture: &Mixture, gamma: &ChiSquares) -> (Side, Enclosure, bool) {
        let remainder = 1.01 * gamma.pi().get() * gamma.remainder_factor(0) + f64::MIN_POSITIVE;
        let choices = [
            (Side::Lower, self.cdf, remainder, gamma.pi_roundings),
            (Side::Upper, self.survival, mixture.tail(mixture.k), gamma.upper_roundings),
        ];
        let [cdf, survival] = choices.map(|(side, sum, remainder, roundings)| {
            let value = sum[0].get();
            let settled = value <= 0.6 && remainder <= TARGET * value;
            (side, Enclosure { value, error: remainder + mixture.rounding(sum, roundings) }, settled)
        });
        let survival_first = survival.2 || (!cdf.2 && survival.1.error <= cdf.1.error);
        if survival_first {
            survival
        } else {
            cdf
        }
    }
}

impl Mixture {
    /// Rounding of Σ_k (term k): c_k has n + 10 + (per step) k of them, π_k and Q_k their start + 3k, C_k another k,
    /// the product one and the summation at most K + 1.
    fn rounding(&self, sum: [Scaled; 2], start: f64) -> f64 {
        let fixed = self.dimension + 12.0 + start + self.k as f64;
        1.01 * ROUNDING * (fixed * sum[0].get() + (self.roundings_per_step() + 5.0) * sum[1].get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<Component> {
        let term = |eigenvalue, multiplicity, noncentrality| Component { eigenvalue, multiplicity, noncentrality };
        vec![term(1.0, 2, 0.0), term(0.25, 1, 3.0), term(0.0625, 3, 1.5), term(0.05, 1, 4.0)]
    }

    /// c_k are probabilities, and what is left of them is below Chernoff's bound but not hopelessly.
    #[test]
    fn weights_sum_to_one() {
        let mut mixture = Mixture::new(&example()).unwrap();
        let mut weights = vec![];
        for _ in 0..2000 {
            weights.push(mixture.weight().get());
            mixture.step();
        }
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-13);
        for last in [60, 200, 600, 1200] {
            let (left, bound) = (weights[last + 1..].iter().sum::<f64>(), mixture.tail(last));
            assert!(left <= bound && bound < 1e3 * left, "{last}: {left:e} {bound:e}");
        }
    }
}
