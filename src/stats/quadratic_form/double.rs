//! Numbers carried as an unevaluated sum of two doubles, for the few places where everything cancels.
//!
//! With δ² = Σb² large, the tilted mean Σλδ²/(1 − 2λc)² agrees with t in as many digits as the form's spread is
//! small beside its mean; what is left must still be accurate. Products use a fused multiply-add, so a product
//! and a sum are exact; every operation below is within about 4·2⁻¹⁰⁶ relative of the larger operand.

/// hi + lo with |lo| ≤ ulp(hi)/2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Double {
    hi: f64,
    lo: f64,
}

/// Relative error allowed for one operation; four times what is proved in the literature (Joldes, Muller &
/// Popescu, 2017).
pub(super) const ROUNDING: f64 = 5e-31;

impl Double {
    /// a + b exactly.
    fn exact_sum(a: f64, b: f64) -> Self {
        let hi = a + b;
        let b_rounded = hi - a;
        Self { hi, lo: (a - (hi - b_rounded)) + (b - b_rounded) }
    }

    /// a·b exactly, while nothing underflows.
    pub(super) fn product(a: f64, b: f64) -> Self {
        let hi = a * b;
        Self { hi, lo: a.mul_add(b, -hi) }
    }

    pub(super) fn get(self) -> f64 {
        self.hi + self.lo
    }

    /// The two parts: the nearest double and what it leaves.
    pub(super) fn parts(self) -> (f64, f64) {
        (self.hi, self.lo)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let high = Self::exact_sum(self.hi, other.hi);
        let low = Self::exact_sum(self.lo, other.lo);
        let first = Self::exact_sum(high.hi, high.lo + low.hi);
        Self::exact_sum(first.hi, first.lo + low.lo)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self { hi: -other.hi, lo: -other.lo })
    }

    pub(super) fn times(self, other: Self) -> Self {
        let high = Self::product(self.hi, other.hi);
        let low = self.hi.mul_add(other.lo, self.lo * other.hi);
        Self::exact_sum(high.hi, high.lo + low)
    }

    pub(super) fn over(self, other: Self) -> Self {
        let quotient = Self::from(self.hi / other.hi);
        let rest = self.minus(other.times(quotient));
        quotient.plus(Self::from(rest.get() / other.hi))
    }
}

impl From<f64> for Double {
    fn from(value: f64) -> Self {
        Self { hi: value, lo: 0.0 }
    }
}
