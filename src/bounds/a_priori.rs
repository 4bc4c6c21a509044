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
