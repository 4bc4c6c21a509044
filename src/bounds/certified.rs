//! Certified lower bounds of the margin at one input: nothing is dropped.
//!
//! If the whitened code moves by at most V(ρ) = sup ‖S⁻¹(μ(x+δ) − μ(x))‖₂ over ‖δ‖₂ ≤ ρ, then P(‖Δ‖ ≤ r) stays at least
//! Φ(Φ⁻¹(p̲) − V(ρ)) under the threat `mean` (Neyman & Pearson; Cohen et al., ICML 2019). Under `joint` it loses at most
//! the total variation √(1 − Π 1/cosh ℓ_i) more, where ℓ_i bounds |Δ log σ_i|. Every ρ at which what is left exceeds m
//! is certified. `proofs/C-slope-interval.md`, `proofs/C-joint.md`.

use nalgebra::{DMatrix, DVector};

use crate::allowance::Allowance;
use crate::certificate::{Evidence, ExactBound, Method, NetworkEvidence};
use crate::linalg::{largest_eigenvalue_upper, rounded_up, scaled_on_both_sides};
use crate::model::architecture::StdLink;
use crate::model::Activation;
use crate::quantity::{LowerBound, Probability};
use crate::sensitivity::{find_scalings, Reach, ReachError, Rounds, SlopeInterval};
use crate::stats::normal;

/// Encoder and requirement at one input.
#[derive(Debug)]
pub struct CertificationProblem<'a> {
    /// x ↦ μ(x), its output divided by lower bounds of σ(x).
    pub mean: SlopeInterval<'a>,
    /// How σ moves; none under the threat `mean`.
    pub std: Option<StdMovement<'a>>,
    /// p̲: a lower bound of P(‖Δ(x, 0)‖ ≤ r).
    pub probability_lower: LowerBound,
    /// m.
    pub level: Probability,
    /// What the search may use; where that runs out, it ends with what it has found.
    pub allowance: &'a Allowance,
}

/// x ↦ the standard-deviation head's output s, and σ = link(s) + τ.
#[derive(Debug)]
pub struct StdMovement<'a> {
    /// x ↦ s.
    pub head: SlopeInterval<'a>,
    /// From s to a standard deviation.
    pub link: StdLink,
    /// τ.
    pub floor: f64,
}

/// A certified radius and what proves it.
#[derive(Debug, Clone, PartialEq)]
pub struct CertifiedRadius {
    /// No perturbation of at most this L2 norm breaks robustness; input units.
    pub radius: LowerBound,
    /// The argument.
    pub method: Method,
    /// What makes it checkable.
    pub evidence: Evidence,
}

/// The certificates at an input, each on its own.
#[derive(Debug, Clone, PartialEq)]
pub struct CertifiedRadii {
    /// From the ball in which the encoder is affine; none where it is a point.
    pub linear_region: Option<CertifiedRadius>,
    /// From slope intervals; never below the former.
    pub slope_interval: Option<CertifiedRadius>,
    /// Why the last norm had no bound, where one had none.
    pub obstacle: Option<ReachError>,
}

/// Errors of Φ and Φ⁻¹ as a share of the largest value involved, four times what was seen in [`normal`].
const NORMAL_ERROR: f64 = 4e-15;
/// The bound is computed for a norm that is larger by this share than the one certified, so that a checker whose
/// arithmetic rounds otherwise arrives at the same verdict.
const ROOM: f64 = 1e-8;
/// The same with wide layers, where more is rounded.
const WIDE_ROOM: f64 = 1e-6;
/// The same where every slope is certain and little is rounded.
const LINEAR_ROOM: f64 = 2e-10;
/// A norm that gains less, as a share, is the last that is tried.
const LAST_GAIN: f64 = 1e-7;
/// First norm tried, as a share of the first-order one.
const FIRST_SHARE: f64 = 0.95;

/// How hard to search.
#[derive(Debug)]
struct Effort {
    /// The search ends when its bracket is this narrow, or its next norm this near, relative to its lower end.
    bracket: f64,
    /// Norms visited at most, each with scalings of its own.
    norms: usize,
    /// Norms tried within the last bracket, with scalings kept.
    final_norms: usize,
    /// Rounds of improvement at the first norm.
    first: Rounds,
    /// The same at those after it, which start from known scalings.
    next: Rounds,
}

/// With full matrices throughout.
const NARROW_EFFORT: Effort = Effort {
    bracket: 5e-3,
    norms: 12,
    final_norms: 8,
    first: Rounds { output: 12, hidden: 4 },
    next: Rounds { output: 5, hidden: 1 },
};
/// With a wide layer, where every round takes a large part of a second.
const WIDE_EFFORT: Effort = Effort {
    bracket: 1e-2,
    norms: 6,
    final_norms: 2,
    first: Rounds { output: 4, hidden: 1 },
    next: Rounds { output: 2, hidden: 0 },
};

/// What is known at one norm.
#[derive(Clone)]
struct Visited {
    norm: f64,
    surplus: f64,
    mean: NetworkEvidence,
    std: Option<NetworkEvidence>,
}

impl StdMovement<'_> {
    /// κ_i ≥ d log σ_i/ds over s_i ± t_i, and t_i, from the shape of the head's output at this norm.
    fn slopes(&self, shape: &DMatrix<f64>, norm: f64) -> Option<(DVector<f64>, DVector<f64>)> {
        let output = self.head.output()?;
        let reach = shape.diagonal().map(|entry| rounded_up(norm * rounded_up(entry.max(0.0).sqrt())));
        let steepest = |value: f64, reach: f64| {
            let (low, high) = (value - output.error - reach, value + output.error + reach);
            let slope = match self.link {
                StdLink::HalfLogVariance if self.floor > 0.0 => 0.5 / (1.0 + self.floor * (-0.5 * high).exp()),
                StdLink::HalfLogVariance => 0.5,
                StdLink::Softplus => {
                    let steepest = Activation::Sigmoid.value(high);
                    (steepest / (Activation::Softplus.value(low) + self.floor)).min(1.0)
                }
            };
            slope * (1.0 + STD_SLOPE_ERROR)
        };
        Some((output.values.zip_map(&reach, steepest), reach))
    }

    /// A number not below Σ ln cosh Δlog σ_i over the ball: from each coordinate's own largest move, or from the largest
    /// move of all of them together, whichever is smaller (y ↦ ln cosh √y is concave, so equal shares are worst).
    fn divergence(&self, shape: &DMatrix<f64>, norm: f64) -> Option<f64> {
        let (slopes, reach) = self.slopes(shape, norm)?;
        let apart: f64 = slopes.iter().zip(&reach).map(|(slope, reach)| log_cosh_upper(slope * reach)).sum();
        let weighted = scaled_on_both_sides(shape, &slopes);
        // Rounding of the entries, twice each.
        let rounding = 4.0 * f64::EPSILON * weighted.norm();
        let together = norm * (largest_eigenvalue_upper(&weighted).ok()? + rounding).sqrt();
        let dimension = slopes.len() as f64;
        let shared = dimension * log_cosh_upper(together / dimension.sqrt() * (1.0 + STD_SLOPE_ERROR));
        // Every sum rounds once per term.
        let apart = apart * (1.0 + STD_SLOPE_ERROR + dimension * f64::EPSILON);
        Some(rounded_up(apart.min(shared)))
    }
}

/// Errors of a handful of functions of the system, four units in the last place each, as a share of their result.
const STD_SLOPE_ERROR: f64 = 1e-13;

/// A number not below ln cosh v for v ≥ 0.
fn log_cosh_upper(v: f64) -> f64 {
    // ln cosh v = v − ln 2 + ln(1 + e^(−2v)) = ½ ln(1 + sinh² v), and never above v²/2.
    let exact = if v < 300.0 { 0.5 * v.sinh().powi(2).ln_1p() } else { v };
    rounded_up((exact * (1.0 + STD_SLOPE_ERROR)).min(0.5 * v * v))
}

impl CertificationProblem<'_> {
    /// The largest radius that each argument proves.
    ///
    /// # Errors
    /// [`ReachError`] where a number of the network is not finite: nothing is known then.
    pub fn certify(&self) -> Result<CertifiedRadii, ReachError> {
        let (region, mean_shape) = self.mean.linear_region()?;
        let std_region = self.std.as_ref().map(|std| std.head.linear_region()).transpose()?;
        let std_shape = std_region.as_ref().map(|(_, shape)| shape);
        let mean_rate = largest_eigenvalue_upper(&mean_shape)?.sqrt();
        let nominal = |norm: f64| {
            let divergence = match (&self.std, std_shape) {
                (Some(std), Some(shape)) => std.divergence(shape, norm).unwrap_or(f64::INFINITY),
                _ => 0.0,
            };
            self.surplus(norm * mean_rate, divergence)
        };
        if nominal(0.0) <= 0.0 {
            return Ok(CertifiedRadii { linear_region: None, slope_interval: None, obstacle: None });
        }
        let first_order = largest_positive(&nominal);
        let region = std_region.as_ref().map_or(region, |(std, _)| region.min(*std)).min(first_order);
        let linear = self.linear_region(region);
        let (slope_interval, obstacle) = self.slope_interval(linear.as_ref(), first_order, std_shape)?;
        let linear_region = linear.map(|v| self.radius(v, Method::LinearRegion));
        Ok(CertifiedRadii { linear_region, slope_interval, obstacle })
    }

    /// What is left above the level when the whitened code moves by `moved` and log σ diverges by `divergence`; at least
    /// 0 only where the radius is certified. Under `mean` in standard deviations, under `joint` a probability.
    fn surplus(&self, moved: f64, divergence: f64) -> f64 {
        let quantile = normal::quantile(self.probability_lower.get());
        let quantile = quantile - NORMAL_ERROR * quantile.abs().max(1.0);
        let surplus = if self.std.is_none() {
            let level = normal::quantile(self.level.get());
            quantile - level - NORMAL_ERROR * level.abs().max(1.0) - moved
        } else {
            let left = normal::cdf(quantile - rounded_up(moved)) * (1.0 - NORMAL_ERROR);
            let variation = rounded_up((-(-divergence).exp_m1()).sqrt() * (1.0 + NORMAL_ERROR));
            left - variation - self.level.get() - NORMAL_ERROR
        };
        if surplus.is_nan() {
            f64::NEG_INFINITY
        } else {
            surplus
        }
    }

    /// The surplus at a norm with given scalings.
    fn surplus_at(&self, norm: f64, mean: &NetworkEvidence, std: Option<&NetworkEvidence>) -> Result<f64, ReachError> {
        let mean = self.mean.reach(norm, mean)?;
        let reach = |(movement, evidence): (&StdMovement<'_>, _)| movement.head.reach(norm, evidence);
        let std = self.std.as_ref().zip(std).map(reach).transpose()?;
        Ok(self.surplus_of(norm, &mean, std.as_ref()))
    }

    /// The surplus where mean and standard-deviation head move so far.
    fn surplus_of(&self, norm: f64, mean: &Reach, std: Option<&Reach>) -> f64 {
        let divergence = match (&self.std, std) {
            (Some(movement), Some(reach)) => movement.divergence(&reach.shape, norm).unwrap_or(f64::INFINITY),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        self.surplus(mean.norm, divergence)
    }

    /// The certificate for a norm at which no slope changes; smaller ones where rounding is in the way.
    fn linear_region(&self, region: f64) -> Option<Visited> {
        let mean = empty_evidence(&self.mean);
        let std = self.std.as_ref().map(|std| empty_evidence(&std.head));
        [0.0, 1e-9, 1e-7, 1e-5].iter().find_map(|less| {
            let norm = region * (1.0 - less) / (1.0 + 2.0 * LINEAR_ROOM);
            let surplus = self.surplus_at(norm * (1.0 + LINEAR_ROOM), &mean, std.as_ref()).ok()?;
            let found = Visited { norm, surplus, mean: mean.clone(), std: std.clone() };
            (norm > 0.0 && norm.is_finite() && surplus > 0.0).then_some(found)
        })
    }

    /// Brackets the largest norm that slope intervals certify, starting from the linear region. `std_shape`: Q of the
    /// standard-deviation head without a change of slope. Also returns why the last norm without a bound had none.
    fn slope_interval(
        &self,
        linear: Option<&Visited>,
        first_order: f64,
        std_shape: Option<&DMatrix<f64>>,
    ) -> Result<(Option<CertifiedRadius>, Option<ReachError>), ReachError> {
        let start = linear.map_or(0.0, |linear| linear.norm);
        let mut best: Option<Visited> = None;
        let (mut low, mut high) = (start, first_order);
        let (mut low_surplus, mut high_surplus) =
            (linear.map_or_else(|| self.surplus(0.0, 0.0), |linear| linear.surplus), f64::NEG_INFINITY);
        let (mut warm, mut obstacle): (Option<Visited>, _) = (None, None);
        let effort = self.effort();
        for visit in 0..effort.norms {
            if self.allowance.spent().is_some() {
                break;
            }
            if high <= low * (1.0 + if visit == 0 { 4.0 * LINEAR_ROOM } else { effort.bracket }) || !high.is_finite() {
                break;
            }
            let norm = if high_surplus.is_finite() {
                let norm = low + (high - low) * chord_root(low_surplus, high_surplus);
                if best.is_some() && norm <= low * (1.0 + effort.bracket) {
                    break;
                }
                norm
            } else if visit == 0 {
                (FIRST_SHARE * high).max(0.5 * (low + high))
            } else {
                low + 0.5 * (high - low)
            };
            match self.visit(norm, warm.as_ref(), std_shape) {
                Ok(visited) if visited.surplus > 0.0 => {
                    (low, low_surplus) = (norm, visited.surplus);
                    // From the same side once more: half the surplus at the other one, as the Illinois method has it.
                    if best.is_some() {
                        high_surplus *= 0.5;
                    }
                    best = Some(visited);
                }
                Ok(visited) => {
                    (high, high_surplus) = (norm, visited.surplus);
                    warm = Some(visited);
                }
                Err(ReachError::NonFinite { layer }) => return Err(ReachError::NonFinite { layer }),
                Err(error) => {
                    (high, high_surplus) = (norm, f64::NEG_INFINITY);
                    obstacle = Some(error);
                }
            }
            if warm.is_none() {
                warm.clone_from(&best);
            }
        }
        let Some(mut found) = best else {
            return Ok((linear.map(|linear| self.radius(linear.clone(), Method::LinearRegion)), obstacle));
        };
        for _ in 0..effort.final_norms {
            if high <= found.norm * (1.0 + self.room()) {
                break;
            }
            let norm = found.norm + (high - found.norm) * chord_root(found.surplus, high_surplus);
            match self.surplus_at(norm * (1.0 + self.room()), &found.mean, found.std.as_ref()) {
                Ok(surplus) if surplus > 0.0 => {
                    let gained = norm / found.norm - 1.0;
                    (found.norm, found.surplus) = (norm, surplus);
                    // The surplus bends downwards, so its chord meets 0 a little below it.
                    if high_surplus.is_finite() && gained < LAST_GAIN {
                        break;
                    }
                }
                Ok(surplus) => (high, high_surplus) = (norm, surplus),
                Err(_) => (high, high_surplus) = (norm, f64::NEG_INFINITY),
            }
        }
        Ok((Some(self.radius(found, Method::SlopeInterval)), obstacle))
    }

    fn has_wide_layers(&self) -> bool {
        self.mean.has_wide_layers() || self.std.as_ref().is_some_and(|std| std.head.has_wide_layers())
    }

    fn effort(&self) -> &'static Effort {
        if self.has_wide_layers() {
            &WIDE_EFFORT
        } else {
            &NARROW_EFFORT
        }
    }

    fn room(&self) -> f64 {
        if self.has_wide_layers() {
            WIDE_ROOM
        } else {
            ROOM
        }
    }

    /// Scalings for a norm, and the surplus that they give.
    fn visit(
        &self,
        norm: f64,
        warm: Option<&Visited>,
        std_shape: Option<&DMatrix<f64>>,
    ) -> Result<Visited, ReachError> {
        let roomy = norm * (1.0 + self.room());
        let rounds = if warm.is_some() { self.effort().next } else { self.effort().first };
        let none = NetworkEvidence::default();
        let start = warm.map_or(&none, |visited| &visited.mean);
        let alike = |problem: &SlopeInterval<'_>| DVector::from_element(problem.output_dim(), 1.0);
        let (mean, mean_reach) = find_scalings(&self.mean, roomy, start, &alike(&self.mean), rounds)?;
        let std = match &self.std {
            None => None,
            Some(movement) => {
                let start = warm.and_then(|visited| visited.std.as_ref()).unwrap_or(&none);
                let weights = std_shape.and_then(|shape| movement.slopes(shape, norm)).map(|(slopes, _)| slopes);
                let weights = weights.unwrap_or_else(|| alike(&movement.head));
                Some(find_scalings(&movement.head, roomy, start, &weights, rounds)?)
            }
        };
        let (std, std_reach) = std.unzip();
        let surplus = self.surplus_of(roomy, &mean_reach, std_reach.as_ref());
        Ok(Visited { norm, surplus, mean, std })
    }

    fn radius(&self, visited: Visited, method: Method) -> CertifiedRadius {
        // A norm that was visited is finite and not negative.
        let radius = LowerBound::new(visited.norm).unwrap_or(LowerBound::ZERO);
        let evidence = Evidence::Reach { norm: ExactBound::new(radius), mean: visited.mean, std: visited.std };
        CertifiedRadius { radius, method, evidence }
    }
}

/// Chains without a scaling.
fn empty_evidence(problem: &SlopeInterval<'_>) -> NetworkEvidence {
    let chains = problem.hidden_layers();
    NetworkEvidence { chains: (1..=chains).map(|layers| vec![Default::default(); layers]).collect() }
}

/// Where a chord from a positive to a negative surplus meets 0, as a share of its length; in the middle where the negative
/// one is infinite.
fn chord_root(low: f64, high: f64) -> f64 {
    if high.is_finite() {
        low / (low - high)
    } else {
        0.5
    }
}

/// Halvings and doublings that find the end of where a surplus is positive.
const STEPS: usize = 200;

/// The norm up to which `surplus`, which falls, stays positive; infinite where it never ends.
fn largest_positive(surplus: &impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while surplus(high) > 0.0 {
        (low, high) = (high, 4.0 * high);
        if high > 1e150 {
            return f64::INFINITY;
        }
    }
    for _ in 0..STEPS {
        let middle = if low > 0.0 { 0.5 * (low + high) } else { high / 16.0 };
        if middle < 1e-150 || middle <= low || middle >= high {
            break;
        }
        if surplus(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
