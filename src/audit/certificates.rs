//! Every certificate of one input, side by side.

use candle_core::{DType, Device};
use nalgebra::DVector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::allowance::Allowance;
use crate::bounds::{
    a_priori_radius, CertificationProblem, CertifiedRadii, CertifiedRadius, LipschitzConstants, StdMovement,
};
use crate::certificate::{Entry, Evidence, Method};
use crate::linalg::rounded_up;
use crate::margin::Judge;
use crate::model::Vae;
use crate::quantity::{LowerBound, Probability, Radius, Threat};
use crate::sensitivity::rounded_network::RoundedCode;
use crate::sensitivity::slope_interval::Looseness;
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
    /// Why a norm had no bound, where one had none.
    pub obstacle: Option<ReachError>,
}

/// The radii alone, in input units; none where an argument proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
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

    /// Every certificate of an input. `probability_lower` bounds P(‖Δ(x, 0)‖ ≤ r) from below. Where `allowance` runs out,
    /// the radii are those found so far.
    ///
    /// # Errors
    /// [`ReachError`] where a number of the network is not finite.
    pub fn certificates(
        &self,
        judge: &Judge<'_>,
        requirement: &Requirement,
        probability_lower: LowerBound,
        allowance: &Allowance,
    ) -> Result<Certificates, ReachError> {
        let (rounded, input) = (&self.rounded, judge.victim().input());
        let movement = || StdMovement {
            head: SlopeInterval::new(&rounded.std, input, None),
            link: rounded.std_link,
            floor: rounded.std_floor,
        };
        let problem = CertificationProblem {
            mean: self.whitened_mean(input, judge.code())?,
            std: (requirement.threat == Threat::Joint).then(movement),
            probability_lower,
            level: requirement.level,
            allowance,
        };
        let CertifiedRadii { linear_region, slope_interval, obstacle } = problem.certify()?;
        let a_priori = self.a_priori(judge, requirement);
        Ok(Certificates { linear_region, slope_interval, a_priori, obstacle })
    }

    /// x ↦ S⁻¹μ(x), with lower bounds of σ(x) in S.
    fn whitened_mean(&self, input: &[f32], code: &RoundedCode) -> Result<SlopeInterval<'_>, ReachError> {
        let std_lower = DVector::from_iterator(code.std.len(), code.std.iter().map(|std| std.lower()));
        if !std_lower.iter().all(|std| *std > 0.0) {
            return Err(ReachError::NonFinite { layer: self.rounded.std.layers().len() });
        }
        Ok(SlopeInterval::new(&self.rounded.mean, input, Some(&std_lower)))
    }

    /// Where the bounds behind an entry's claim are loose: that of the mean, in standard deviations, and under the threat
    /// `joint` that of the standard-deviation head. None where no bound of the code was claimed.
    ///
    /// # Errors
    /// [`ReachError`] where the evidence is not one of this model.
    pub fn looseness(
        &self,
        entry: &Entry,
        input: &[f32],
    ) -> Result<Option<(Looseness, Option<Looseness>)>, ReachError> {
        let Some(Evidence::Reach { norm, mean, std }) = entry.claim.as_ref().map(|claim| &claim.evidence) else {
            return Ok(None);
        };
        let norm = norm.get().map_or(f64::NAN, LowerBound::get);
        let mean = self.whitened_mean(input, &self.rounded.code(input))?.looseness(norm, mean)?;
        let head = SlopeInterval::new(&self.rounded.std, input, None);
        let std = std.as_ref().map(|evidence| head.looseness(norm, evidence)).transpose()?;
        Ok(Some((mean, std)))
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
