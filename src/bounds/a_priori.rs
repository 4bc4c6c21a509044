//! A certificate without draws, from Lipschitz constants alone.
//!
//! With Lipschitz constants a of g, b of μ, and s = ‖σ(x)‖₂, Δ = g(z) − g(μ(x)) satisfies ‖Δ‖ ≤ a‖μ(x+δ) − μ(x) + σ∘η‖,
//! whose square has mean at most a²(b²ρ² + s²). A convex function of a normal vector has its median at or below its
//! mean (Kwapień, 1994), so P(‖Δ‖ ≤ r) > 1/2 wherever that is below r². Barrett et al. (AISTATS 2022) use Markov's
//! inequality here and lose a factor. `proofs/C-a-priori.md`.

use crate::model::architecture::StdLink;
use crate::quantity::{LowerBound, Probability, Radius, Threat};

/// What the argument needs; all numbers are upper bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LipschitzConstants {
    /// a, of z ↦ g(z).
    pub decoder: f64,
    /// b, of x ↦ μ(x).
    pub mean: f64,
    /// Of x ↦ the standard-deviation head's output.
    pub std_head: f64,
    /// s = ‖σ(x)‖₂.
    pub std_norm: f64,
}

/// Room for a checker whose arithmetic rounds otherwise, as a share of the radius.
const ROOM: f64 = 1e-9;

/// The largest ρ that the argument certifies; none where it certifies nothing, which includes every level above 1/2.
/// Rounded down.
#[must_use]
pub fn a_priori_radius(
    constants: &LipschitzConstants,
    radius: Radius,
    level: Probability,
    threat: Threat,
    link: StdLink,
) -> Option<LowerBound> {
    if level > Probability::HALF {
        return None;
    }
    let LipschitzConstants { decoder, mean, std_head, std_norm } = *constants;
    let allowed = (radius.get() / decoder).powi(2) * (1.0 - ROOM);
    let mean_square = |norm: f64| {
        let std = match (threat, link) {
            (Threat::Mean, _) => std_norm,
            (Threat::Joint, StdLink::Softplus) => std_norm + std_head * norm,
            (Threat::Joint, StdLink::HalfLogVariance) => std_norm * (0.5 * std_head * norm).exp(),
        };
        ((mean * norm).powi(2) + std * std) * (1.0 + ROOM)
    };
    let holds = |norm: f64| mean_square(norm) < allowed;
    if !holds(0.0) {
        return None;
    }
    let (mut low, mut high) = (0.0, f64::MAX.sqrt());
    while high > low {
        // The geometric mean where both are far apart.
        let middle = if low > 0.0 { (low * high).sqrt() } else { (high * 1e-6).min(high.sqrt()) };
        if middle <= low || middle >= high || middle < f64::MIN_POSITIVE {
            break;
        }
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
        if high <= low * (1.0 + 0.1 * ROOM) {
            break;
        }
    }
    LowerBound::new(low * (1.0 - ROOM)).ok().filter(|bound| bound.get() > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSTANTS: LipschitzConstants = LipschitzConstants { decoder: 2.0, mean: 3.0, std_head: 1.0, std_norm: 0.5 };

    fn found(threat: Threat, link: StdLink, radius: f64, level: f64) -> Option<f64> {
        let (radius, level) = (Radius::new(radius).unwrap(), Probability::new(level).unwrap());
        a_priori_radius(&CONSTANTS, radius, level, threat, link).map(LowerBound::get)
    }

    #[test]
    fn the_radius_is_the_one_found_by_hand() {
        // 9ρ² + 1/4 = (2/2)² gives ρ = √(3/4)/3.
        let mean = found(Threat::Mean, StdLink::Softplus, 2.0, 0.5).unwrap();
        let truth = 0.75_f64.sqrt() / 3.0;
        assert!(mean < truth && mean > truth * (1.0 - 1e-8), "{mean}");
        // 9ρ² + (1/2 + ρ)² = 1: ρ = (−1 + √(1 + 30))/20.
        let joint = found(Threat::Joint, StdLink::Softplus, 2.0, 0.5).unwrap();
        let truth = (31.0_f64.sqrt() - 1.0) / 20.0;
        assert!(joint < truth && joint > truth * (1.0 - 1e-8), "{joint}");
        let exponential = found(Threat::Joint, StdLink::HalfLogVariance, 2.0, 0.5).unwrap();
        let square = 9.0 * exponential * exponential + 0.25 * exponential.exp();
        assert!(square < 1.0 && square > 1.0 - 1e-7, "{square}");
    }

    #[test]
    fn nothing_is_certified_above_one_half_or_where_sigma_alone_is_too_large() {
        assert_eq!(found(Threat::Mean, StdLink::Softplus, 2.0, 0.6), None);
        assert_eq!(found(Threat::Mean, StdLink::Softplus, 0.9, 0.5), None);
        assert_eq!(found(Threat::Joint, StdLink::Softplus, 1.0, 0.5), None);
    }

    #[test]
    fn constants_that_are_unknown_certify_nothing() {
        for decoder in [f64::NAN, f64::INFINITY] {
            let constants = LipschitzConstants { decoder, ..CONSTANTS };
            let radius = Radius::new(2.0).unwrap();
            assert_eq!(a_priori_radius(&constants, radius, Probability::HALF, Threat::Mean, StdLink::Softplus), None);
        }
    }
}
