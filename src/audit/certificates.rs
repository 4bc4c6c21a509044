//! Every certificate of one input, side by side.

use candle_core::{DType, Device};
use nalgebra::DVector;
use serde::{Deserialize, Serialize};

use crate::bounds::{
    a_priori_radius, CertificationProblem, CertifiedRadii, CertifiedRadius, LipschitzConstants, StdMovement,
};
use crate::certificate::{Entry, Evidence, Header, Method};
use crate::linalg::rounded_up;
use crate::margin::{sample_distances, Judge, RadiusRule};
use crate::model::Vae;
use crate::quantity::{LowerBound, Probability, QuantityError, Radius, Threat};
use crate::seed::Seed;
use crate::sensitivity::slope_interval::{LayerLooseness, Looseness};
use crate::sensitivity::{ReachError, RoundedVae, SlopeInterval};

/// A model in double precision with what bounds its rounding.
#[derive(Debug)]
pub struct JudgedModel {
    pub(super) vae: Vae,
    pub(super) rounded: RoundedVae,
}

/// What is certified about one input: no perturbation of at most the L2 norm breaks robustness.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificates {
    /// From the ball in which the encoder is affine.
    pub linear_region: Option<CertifiedRadius>,
    /// From slope intervals.
    pub slope_interval: Option<CertifiedRadius>,
    /// From global Lipschitz constants, without draws.
    pub a_priori: Option<CertifiedRadius>,
}

/// The radii alone, in input units; none where an argument proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedRecord {
    /// From the ball in which the encoder is affine.
    pub linear_region: Option<LowerBound>,
    /// From slope intervals.
    pub slope_interval: Option<LowerBound>,
    /// From global Lipschitz constants, without draws.
    pub a_priori: Option<LowerBound>,
    /// The largest of them: R(x) is at least this. 0 where nothing is proved.
    pub best: LowerBound,
    /// The argument behind the largest.
    pub method: Option<Method>,
}

/// What is asked of an input's reconstruction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requirement {
    /// Which part of the code the perturbation reaches.
    pub threat: Threat,
    /// r.
    pub radius: Radius,
    /// m.
    pub level: Probability,
}

impl JudgedModel {
    /// Prepares a model on the processor.
    ///
    /// # Errors
    /// If a tensor cannot be converted.
    pub fn new(vae: &Vae) -> candle_core::Result<Self> {
        let vae = vae.converted(DType::F64, &Device::Cpu)?;
        let rounded = RoundedVae::of(&vae)?;
        Ok(Self { vae, rounded })
    }

    /// The judge of one input (d_x values).
    ///
    /// # Errors
    /// If the input has another length than the model expects.
    pub fn judge(&self, input: &[f32], threat: Threat) -> candle_core::Result<Judge<'_>> {
        Judge::new(&self.vae, &self.rounded, input, threat)
    }

    /// Every certificate of an input. `probability_lower` bounds P(‖Δ(x, 0)‖ ≤ r) from below.
    ///
    /// # Errors
    /// [`ReachError`] where a number of the network is not finite.
    pub fn certificates(
        &self,
        judge: &Judge<'_>,
        requirement: &Requirement,
        probability_lower: LowerBound,
    ) -> Result<Certificates, ReachError> {
        let (rounded, input) = (&self.rounded, judge.victim().input());
        let std_lower = DVector::from_iterator(judge.code().std.len(), judge.code().std.iter().map(|std| std.lower()));
        if !std_lower.iter().all(|std| *std > 0.0) {
            return Err(ReachError::NonFinite { layer: rounded.std.layers().len() });
        }
        let movement = || StdMovement {
            head: SlopeInterval::new(&rounded.std, input, None),
            link: rounded.std_link,
            floor: rounded.std_floor,
        };
        let problem = CertificationProblem {
            mean: SlopeInterval::new(&rounded.mean, input, Some(&std_lower)),
            std: (requirement.threat == Threat::Joint).then(movement),
            probability_lower,
            level: requirement.level,
        };
        let CertifiedRadii { linear_region, slope_interval } = problem.certify()?;
        let a_priori = self.a_priori(judge, requirement);
        Ok(Certificates { linear_region, slope_interval, a_priori })
    }

    /// Where the bound behind an entry's claim is loose, as lines for people; empty where nothing was bounded.
    #[must_use]
    pub fn explain(&self, entry: &Entry, input: &[f32]) -> String {
        let Some(Evidence::Reach { norm, mean, std }) = entry.claim.as_ref().map(|claim| &claim.evidence) else {
            return String::new();
        };
        let norm = norm.get().map_or(0.0, |norm| norm.get());
        let std_lower = self.rounded.code(input).std.iter().map(|std| std.lower()).collect::<Vec<_>>();
        let mean_problem = SlopeInterval::new(&self.rounded.mean, input, Some(&DVector::from_vec(std_lower)));
        let mut text = loose_lines("mean, in standard deviations", mean_problem.looseness(norm, mean));
        if let Some(evidence) = std {
            let problem = SlopeInterval::new(&self.rounded.std, input, None);
            text += &loose_lines("standard-deviation head", problem.looseness(norm, evidence));
        }
        text
    }

    fn a_priori(&self, judge: &Judge<'_>, requirement: &Requirement) -> Option<CertifiedRadius> {
        let squares: f64 = judge.code().std.iter().map(|std| rounded_up(std.upper() * std.upper())).sum();
        let constants = LipschitzConstants {
            decoder: self.rounded.decoder.lipschitz(),
            mean: self.rounded.mean.lipschitz(),
            std_head: self.rounded.std.lipschitz(),
            std_norm: rounded_up(squares.sqrt() * (1.0 + judge.code().std.len() as f64 * f64::EPSILON)),
        };
        let Requirement { threat, radius, level } = *requirement;
        let radius = a_priori_radius(&constants, radius, level, threat, self.rounded.std_link)?;
        Some(CertifiedRadius { radius, method: Method::APriori, evidence: Evidence::Norms })
    }
}

impl Certificates {
    /// The certificate with the largest radius.
    #[must_use]
    pub fn best(&self) -> Option<&CertifiedRadius> {
        let all = [&self.slope_interval, &self.linear_region, &self.a_priori];
        let larger = |best: &CertifiedRadius, other: &CertifiedRadius| other.radius > best.radius;
        all.into_iter().flatten().reduce(|best, other| if larger(best, other) { other } else { best })
    }

    /// The radii alone.
    #[must_use]
    pub fn record(&self) -> CertifiedRecord {
        let radius = |certificate: &Option<CertifiedRadius>| certificate.as_ref().map(|found| found.radius);
        CertifiedRecord {
            linear_region: radius(&self.linear_region),
            slope_interval: radius(&self.slope_interval),
            a_priori: radius(&self.a_priori),
            best: self.best().map_or(LowerBound::ZERO, |best| best.radius),
            method: self.best().map(|best| best.method),
        }
    }
}

/// A bound's looseness in words.
fn loose_lines(what: &str, looseness: Result<Looseness, ReachError>) -> String {
    let Ok(Looseness { first_order, norm, layers }) = looseness else { return String::new() };
    let mut text = format!("        {what}: moves by at most {norm}; {first_order} if no slope changed\n");
    for (layer, LayerLooseness { units, uncertain, worst }) in layers.iter().enumerate() {
        let named: Vec<String> = worst.iter().map(|(unit, share)| format!("{unit} ({:.1} %)", 100.0 * share)).collect();
        let named = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
        text += &format!("        layer {layer}: {uncertain} of {units} slopes uncertain; worst units, share of the square: {named}\n");
    }
    text
}

/// Name of the stream that chooses an input's r, with `{input}` for its index.
pub(super) const SELECTION_STREAM: &str = "input/{input}/selection";
/// Name of the stream that estimates an input's probability, likewise.
pub(super) const ESTIMATION_STREAM: &str = "input/{input}/estimation";

/// Why r could not be chosen.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelectionError {
    #[error("the radius: {0}")]
    Radius(#[from] QuantityError),
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// r of one input, from draws that serve no other purpose.
pub(super) fn select_radius(
    judge: &Judge<'_>,
    rule: RadiusRule,
    draws: usize,
    seed: Seed,
    input: usize,
) -> Result<Radius, SelectionError> {
    let draws = if matches!(rule, RadiusRule::Quantile(_)) { draws } else { 0 };
    let distances = undisturbed_distances(judge, draws, seed, SELECTION_STREAM, input)?;
    Ok(rule.radius(&distances)?)
}

/// Draws of ‖Δ(x, 0)‖ that serve the estimate and nothing else.
pub(super) fn estimation_distances(
    judge: &Judge<'_>,
    draws: usize,
    seed: Seed,
    input: usize,
) -> candle_core::Result<Vec<f64>> {
    undisturbed_distances(judge, draws, seed, ESTIMATION_STREAM, input)
}

fn undisturbed_distances(
    judge: &Judge<'_>,
    draws: usize,
    seed: Seed,
    stream: &str,
    input: usize,
) -> candle_core::Result<Vec<f64>> {
    let mut stream = seed.stream(&Header::stream(stream, input));
    sample_distances(judge.victim(), judge.victim().input(), draws, &mut stream)
}
