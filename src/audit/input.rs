//! The audit of one input.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, DVector};
use tracing::{debug, info};

use super::certificates::{JudgedModel, Requirement};
use super::plan::AuditPlan;
use super::record::{AttackRecord, EncoderRecord, InputRecord, LinearizationRecord, Outcome, ProbabilityRecord};
use super::undisturbed::{estimation_counts, estimation_distances, select_radius, SelectionError};
use crate::allowance::{Allowance, Spent};
use crate::attack::{structured_directions, AttackKind, AttackedInput, PixelBox, Threat, Victim};
use crate::bounds::{first_order_ladder, BoundError, ExactMargin, FirstOrderDamage, LadderOutcome, LinearGaussian};
use crate::linalg::{frobenius_norm, spectral_norm, LinalgError};
use crate::margin::empirical::SearchTarget;
use crate::margin::{minimum_radius, search_margin, DrawCounts, MinimumRadius};
use crate::model::Vae;
use crate::quantity::{Estimate, Probability, QuantityError, Radius, UpperBound};
use crate::sensitivity::{decoder_gram, decoder_jacobian, encoder_jacobian, linear_region_radius};
use crate::stats::BinomialError;

/// The same network twice: single precision on the device that attacks, double precision on the processor for whatever
/// decides.
#[derive(Debug)]
pub struct AuditedModel {
    single: Vae,
    judged: JudgedModel,
}

/// A record and the smallest refuting perturbation behind it.
#[derive(Debug, Clone)]
pub struct AuditedInput {
    /// What is written down.
    pub record: InputRecord,
    /// The perturbed input that gives `record.margin_upper`.
    pub attacked: Option<AttackedInput>,
}

/// Why an input's audit broke down. Ends as a `failed` record, never as a pass.
#[derive(Debug, thiserror::Error)]
enum Breakdown {
    #[error("{0}")]
    Selection(#[from] SelectionError),
    #[error("{0}")]
    Quantity(#[from] QuantityError),
    #[error("{0}")]
    Binomial(#[from] BinomialError),
    #[error("{0}")]
    Linalg(#[from] LinalgError),
    #[error("{0}")]
    Bound(#[from] BoundError),
    #[error("coordinate {coordinate} of the input is {value}, outside the box {low} to {high}; choose a box that holds the data", low = pixel_box.low, high = pixel_box.high)]
    OutsideBox { coordinate: usize, value: f32, pixel_box: PixelBox },
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// How many statements about one input share its failure probability: the bounds of P from below and from above, the
/// interval of the minimum radius, and the refutations.
const STATEMENTS: usize = 4;

/// Relative rounding of the ladder against the exact margin, with which it coincides for one latent coordinate and small r.
const LADDER_ROUNDING: f64 = 1e-9;
/// Relative width asked of the exact margin of an affine model, and probabilities computed for it at most.
const EXACT_TOLERANCE: f64 = 0.005;
const EXACT_BUDGET: usize = 5_000;

impl AuditedModel {
    /// Prepares a model for audits on `device`.
    ///
    /// # Errors
    /// If the device refuses the tensors.
    pub fn new(vae: &Vae, device: &Device) -> candle_core::Result<Self> {
        Ok(Self { single: vae.converted(DType::F32, device)?, judged: JudgedModel::new(vae)? })
    }

    /// Audits one input (d_x values). `index` names it and its random streams; `inputs` is how many inputs share the
    /// plan's failure probability. Never fails: what goes wrong is in the record.
    #[must_use]
    pub fn audit(&self, input: &[f32], index: usize, inputs: usize, plan: &AuditPlan) -> AuditedInput {
        self.audit_within(input, index, inputs, plan, &plan.allowance(None))
    }

    /// [`AuditedModel::audit`] within an allowance. An input for which it did not suffice is undecided and holds what was
    /// found until then.
    #[must_use]
    pub fn audit_within(
        &self,
        input: &[f32],
        index: usize,
        inputs: usize,
        plan: &AuditPlan,
        allowance: &Allowance,
    ) -> AuditedInput {
        let mut audited = AuditedInput { record: InputRecord::empty(index), attacked: None };
        // Nothing of an input is kept that begins after the end of the run.
        if allowance.spent() == Some(Spent::RunTime) {
            return audited;
        }
        let begin = Instant::now();
        if let Err(breakdown) = self.fill(input, inputs, plan, allowance, &mut audited) {
            audited.record.outcome = Outcome::Failed;
            audited.record.reasons.push(breakdown.to_string());
        }
        let InputRecord { outcome, certified, margin_upper, .. } = &audited.record;
        let certified = certified.map_or(0.0, |certified| certified.best.get());
        let margin = margin_upper.map_or(f64::INFINITY, |margin| margin.get());
        info!(input = index, outcome = outcome.word(), certified, margin, time = ?begin.elapsed(), "audited");
        audited
    }

    fn fill(
        &self,
        input: &[f32],
        inputs: usize,
        plan: &AuditPlan,
        allowance: &Allowance,
        audited: &mut AuditedInput,
    ) -> Result<(), Breakdown> {
        let record = &mut audited.record;
        let name = format!("input/{}", record.input);
        let failure_probability = plan.failure_probability.split(inputs).split(STATEMENTS);
        if let Some(pixel_box) = plan.search.pixel_box {
            if let Some((coordinate, value)) = pixel_box.first_outside(input) {
                return Err(Breakdown::OutsideBox { coordinate, value, pixel_box });
            }
        }
        let victim = Victim::new(&self.single, input, plan.threat)?;
        let judge = self.judged.judge(input, plan.threat)?;

        let radius = select_radius(&judge, plan.radius, plan.selection_draws, plan.seed, record.input)?;
        record.radius = Some(radius);
        let distances = estimation_distances(&judge, plan.estimation_draws, plan.seed, record.input)?;
        let tolerance = judge.tolerance(input, radius);
        let counts = estimation_counts(&judge, radius, &distances, plan.seed, record.input);
        let probability = estimate_probability(counts, failure_probability)?;
        record.probability = Some(probability);
        debug!(
            input = record.input,
            r = radius.get(),
            at_least = probability.lower.get(),
            at_most = probability.upper.get(),
            "probability of staying within r"
        );
        let minimum = minimum_radius(&distances, plan.level, failure_probability, tolerance)?;
        record.minimum_radius = Some(minimum);

        let first_order = self.first_order(input, &probability, plan, record)?;
        match linearization(&first_order, radius, plan.level, &minimum) {
            Ok(linearization) => record.linearization = Some(linearization),
            Err(error) => record.reasons.push(format!("no first-order damage: {error}")),
        }
        if plan.threat == Threat::Mean && self.is_affine() {
            match self.exact_margin(&first_order, radius, plan.level) {
                Ok(exact) => record.exact_margin = Some(exact),
                Err(error) => record.reasons.push(format!("no exact margin: {error}")),
            }
        }
        let requirement = Requirement { threat: plan.threat, radius, level: plan.level };
        match self.judged.certificates(&judge, &requirement, probability.lower, allowance) {
            Ok(certificates) => record.certified = Some(certificates.record()),
            Err(error) => record.reasons.push(format!("nothing is certified: {error}")),
        }
        debug!(input = record.input, certified = record.certified.map(|found| found.best.get()), "certificates");
        let FirstOrder { jacobian, std, decoder_gram, .. } = first_order;
        let directions = structured_directions(&jacobian, &std, &decoder_gram)?;
        if probability.upper.get() <= plan.level.get() {
            record.margin_upper = Some(UpperBound::ZERO);
            record.reasons.push("robustness fails without any perturbation: the margin is 0".to_owned());
        } else {
            let target = SearchTarget {
                victim: &victim,
                judge: &judge,
                radius,
                level: plan.level,
                failure_probability: failure_probability.split(plan.attacks.len()),
                directions: &directions,
                allowance,
            };
            for &kind in &plan.attacks {
                if allowance.spent().is_some() {
                    break;
                }
                let (attack, attacked) = run_attack(&target, plan, kind, &name)?;
                if attack.margin_upper.is_some_and(|found| record.margin_upper.is_none_or(|best| found < best)) {
                    record.margin_upper = attack.margin_upper;
                    record.best_attack = Some(kind);
                    audited.attacked = attacked;
                }
                record.attacks.push(attack);
            }
        }
        conclude(record, plan, allowance.was_spent());
        Ok(())
    }

    /// Fills in the encoder's figures, the ladder and the linear region.
    fn first_order(
        &self,
        input: &[f32],
        probability: &ProbabilityRecord,
        plan: &AuditPlan,
        record: &mut InputRecord,
    ) -> Result<FirstOrder, Breakdown> {
        let vae = &self.judged.vae;
        let input = Tensor::from_slice(input, (1, input.len()), &Device::Cpu)?.to_dtype(DType::F64)?;
        let code = vae.encoder().forward(&input)?;
        let std = DVector::from_vec(code.std.squeeze(0)?.to_vec1::<f64>()?);
        let jacobian = encoder_jacobian(vae, &input)?;
        record.encoder = Some(EncoderRecord {
            smallest_std: Estimate::new(std.min())?,
            mean_std: Estimate::new(std.mean())?,
            jacobian_frobenius: Estimate::new(frobenius_norm(&jacobian)?)?,
            jacobian_spectral: Estimate::new(spectral_norm(&jacobian)?)?,
        });
        record.linear_region = Some(Estimate::new(linear_region_radius(&vae.encoder().mean_network(), &input)?)?);
        match first_order_ladder(&jacobian, &std, probability.lower, plan.level)? {
            LadderOutcome::Ladder(ladder) => record.first_order = Some(ladder),
            LadderOutcome::Abstained { .. } => {}
        }
        let decoder_gram = decoder_gram(vae, &code.mean)?;
        Ok(FirstOrder { jacobian, std, decoder_gram, latent: code.mean })
    }

    fn is_affine(&self) -> bool {
        self.judged.vae.encoder().mean_network().is_affine() && self.judged.vae.decoder_mean().is_affine()
    }

    /// The margin of an affine model whose standard deviation does not see the perturbation.
    fn exact_margin(
        &self,
        first_order: &FirstOrder,
        radius: Radius,
        level: Probability,
    ) -> Result<ExactMargin, Breakdown> {
        let decoder = decoder_jacobian(&self.judged.vae, &first_order.latent)?;
        let model = LinearGaussian::new(&first_order.jacobian, &first_order.std, &decoder)?;
        let bracket = model.margin(radius, level, EXACT_TOLERANCE, EXACT_BUDGET)?;
        Ok(ExactMargin { lower: bracket.lower, upper: bracket.upper })
    }
}

/// Encoder and decoder at one input, to first order.
struct FirstOrder {
    /// J, `[d_z, d_x]`.
    jacobian: DMatrix<f64>,
    /// σ(x), `[d_z]`.
    std: DVector<f64>,
    /// J_gᵀJ_g at μ(x), `[d_z, d_z]`.
    decoder_gram: DMatrix<f64>,
    /// μ(x), [1, d_z].
    latent: Tensor,
}

fn linearization(
    first_order: &FirstOrder,
    radius: Radius,
    level: Probability,
    minimum: &MinimumRadius,
) -> Result<LinearizationRecord, BoundError> {
    let damage = FirstOrderDamage::new(&first_order.decoder_gram, &first_order.std)?;
    let radii = damage.radii(level)?;
    let exact = radii.exact.get();
    let ratio = if exact > 0.0 { Some(Estimate::new(minimum.estimate.get() / exact)?) } else { None };
    Ok(LinearizationRecord {
        radii,
        probability: Estimate::new(damage.probability_inside(radius)?.value.clamp(0.0, 1.0))?,
        minimum_radius_ratio: ratio,
        within_interval: (minimum.lower.get()..=minimum.upper.get()).contains(&exact),
    })
}

fn estimate_probability(counts: DrawCounts, failure_probability: Probability) -> Result<ProbabilityRecord, Breakdown> {
    Ok(ProbabilityRecord {
        counts,
        estimate: Estimate::new(counts.inside as f64 / counts.draws as f64)?,
        lower: counts.probability_lower(failure_probability)?,
        upper: counts.probability_upper(failure_probability)?,
    })
}

fn run_attack(
    target: &SearchTarget<'_>,
    plan: &AuditPlan,
    kind: AttackKind,
    name: &str,
) -> Result<(AttackRecord, Option<AttackedInput>), Breakdown> {
    let found = search_margin(target, &plan.search, kind, plan.seed, name)?;
    let record = AttackRecord {
        attack: kind,
        margin_upper: found.refutation.as_ref().map(|refutation| refutation.attacked.norm()),
        probability_upper: found.refutation.as_ref().map(|refutation| refutation.probability_upper),
        withstood_estimate: Estimate::new(found.withstood)?,
        decisions: found.decisions,
        notes: found.notes,
    };
    let margin = record.margin_upper.map(|margin| margin.get());
    debug!(
        search = name,
        attack = kind.name(),
        margin,
        withstood = found.withstood,
        decisions = found.decisions,
        "attack"
    );
    Ok((record, found.refutation.map(|refutation| refutation.attacked)))
}

/// Decides the outcome from what is in the record, and says why.
fn conclude(record: &mut InputRecord, plan: &AuditPlan, spent: Option<Spent>) {
    record.gave_up = spent.is_some();
    let abstained = record.first_order.is_none();
    let enclosed = record.exact_margin.is_some_and(|exact| exact.upper.get().is_finite());
    let already_broken = record.margin_upper.is_some_and(|upper| upper.get() <= 0.0);
    if abstained && !already_broken {
        record.reasons.push("abstained: P(‖Δ(x,0)‖ ≤ r) is not shown to exceed the level".to_owned());
    }
    if let Some(limit) = spent.and_then(|spent| plan.limit(spent)) {
        record.reasons.push(format!("gave up: {limit}; what is stated was found until then and holds"));
    } else if record.margin_upper.is_none() {
        record.reasons.push(format!("no attack succeeded up to norm {}", plan.search.max_norm));
    }
    for attack in record.attacks.iter().filter(|attack| attack.notes.non_finite > 0) {
        let steps = attack.notes.non_finite;
        record.reasons.push(format!("{}: objective or gradient not a number in {steps} steps", attack.attack));
    }
    let contradictions = contradictions(record, plan.threat);
    record.outcome = if !contradictions.is_empty() {
        record.reasons.extend(contradictions);
        Outcome::Alarm
    } else if spent.is_some() || (record.margin_upper.is_none() && !enclosed) || (abstained && !already_broken) {
        Outcome::Undecided
    } else {
        Outcome::Bracketed
    };
}

/// Bounds from below that lie above one from above. Theorem 1 speaks of the `mean` threat only; a certificate of the
/// threat that was attacked.
fn contradictions(record: &InputRecord, threat: Threat) -> Vec<String> {
    let mut below = Vec::new();
    if let Some(certified) = record.certified {
        below.push(("certificate", certified.best.get()));
    }
    if let Some(ladder) = record.first_order.filter(|_| threat == Threat::Mean) {
        let named = [("theorem1", ladder.theorem1), ("operator", ladder.operator), ("whitened", ladder.whitened)];
        below.extend(named.map(|(name, bound)| (name, bound.get())));
    }
    let exceeding = |below: &[(&str, f64)], upper: f64| {
        let names: Vec<&str> = below.iter().filter(|(_, bound)| *bound > upper).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let mut found = Vec::new();
    if let Some(exact) = record.exact_margin {
        // The ladder is rounded and may coincide with the margin.
        let upper = exact.upper.get() * (1.0 + LADDER_ROUNDING);
        found.extend(exceeding(&below, upper).map(|names| format!("{names} above the exact margin")));
        below.push(("exact margin", exact.lower.get()));
    }
    if let Some(upper) = record.margin_upper {
        let names = exceeding(&below, upper.get());
        found.extend(names.map(|names| format!("{names} above the norm of a refuting perturbation")));
    }
    found
}
