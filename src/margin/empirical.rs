//! The empirical margin: the smallest perturbation found that breaks robustness, an upper bound of R(x).
//!
//! A perturbation refutes robustness at its norm if, on draws never used before, the Clopper–Pearson upper bound of
//! P(‖Δ‖ ≤ r) is at most the level. Each such decision spends an equal share of the search's failure probability,
//! so all refutations of a search hold together.

use candle_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::trace;

use super::draws::{DrawCounts, Judge};
use crate::allowance::Allowance;
use crate::attack::{
    scaled, AscentNotes, Attack, AttackKind, AttackedInput, Constraint, Effort, PixelBox, Task, Victim,
};
use crate::quantity::{Probability, Radius, UpperBound};
use crate::seed::{standard_normal, Seed};
use crate::stats::normal;

/// How norms are visited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Bracket by rays, then bisect; every attack starts from the last one's result, and every refuting perturbation
    /// is shortened along its ray.
    Bisect {
        /// Stop when the smallest refuted norm exceeds the largest norm that withstood by less than this fraction.
        tolerance: f64,
    },
    /// The paper's Algorithm 2: walk down from the largest norm by a fixed step, one perturbation per restart, until
    /// no restart breaks robustness.
    Paper {
        /// Step between norms, in input units.
        decrement: f64,
    },
}

impl Protocol {
    /// Relative width at which bisection stops where nobody names one.
    pub const DEFAULT_TOLERANCE: f64 = 0.05;
    /// Algorithm 2's step where nobody names one, in input units.
    pub const DEFAULT_DECREMENT: f64 = 0.1;
}

/// How to search for one input's margin with one attack.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchPlan {
    /// How norms are visited.
    pub protocol: Protocol,
    /// Largest norm tried, in input units.
    pub max_norm: f64,
    /// Optional range of the perturbed input's coordinates.
    pub pixel_box: Option<PixelBox>,
    /// Fresh draws per decision.
    pub decision_draws: usize,
    /// Work per attack and norm.
    pub effort: Effort,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct MarginSearch {
    /// The smallest refuting perturbation; none if none was found up to the largest norm.
    pub refutation: Option<Refutation>,
    /// The last norm at which the attack failed, up to rounding below the refutation. Proves nothing.
    pub withstood: f64,
    /// Decisions made on fresh draws.
    pub decisions: u64,
    /// What went wrong inside the attacks.
    pub notes: AscentNotes,
}

/// A perturbation that breaks robustness, with its evidence.
#[derive(Debug, Clone)]
pub struct Refutation {
    /// The perturbed input; its norm is an upper bound of the margin.
    pub attacked: AttackedInput,
    /// Fresh draws at it.
    pub counts: DrawCounts,
    /// P(‖Δ‖ ≤ r) is at most this, and this is at most the level.
    pub probability_upper: UpperBound,
}

/// What a search works on.
#[derive(Debug, Clone, Copy)]
pub struct SearchTarget<'a> {
    /// The input, in the precision and on the device that attack.
    pub victim: &'a Victim<'a>,
    /// The same input in double precision on the processor, for decisions.
    pub judge: &'a Judge<'a>,
    /// r.
    pub radius: Radius,
    /// m.
    pub level: Probability,
    /// Failure probability of all refutations of this search together.
    pub failure_probability: Probability,
    /// Unit directions worth trying first.
    pub directions: &'a [Vec<f32>],
    /// What the search may use; where that runs out, it ends with what it has found.
    pub allowance: &'a Allowance,
}

/// Decisions that a bisecting search may make; fixed beforehand because each spends a share of the failure probability.
const BISECT_DECISIONS: usize = 48;
/// Draws on which candidates are compared before one is put to a decision.
const STEERING_DRAWS: usize = 512;
/// The first of them, which tell who takes part in the comparison.
const FIRST_STEERING_DRAWS: usize = 64;
/// Who is behind by a larger fraction on the first draws stays behind: three standard deviations of a fraction of them.
const CLEARLY_BEHIND: f64 = 0.19;
/// Candidates compared at once; bounds memory.
const STEERING_ROWS: usize = 64;
/// Norms tried on every ray while bracketing, each this fraction of the next larger one.
const RAY_RATIO: f64 = 0.75;
/// Number of norms tried on every ray while bracketing; 0.75^17 is below 1 %.
const RAY_NORMS: i32 = 18;
/// Halvings when shortening a refuting perturbation.
const SHORTENING_STEPS: usize = 7;
/// A shortened perturbation is put to a decision if it saves at least this fraction.
const WORTH_SHORTENING: f64 = 0.01;
/// Below a refuted norm with nothing known further down, the next norm is this fraction of it.
const DESCENT: f64 = 0.8;
/// Norms below this fraction of the largest one are not searched.
const SMALLEST_FRACTION: f64 = 1e-6;

/// Searches for the smallest perturbation that breaks robustness. `name` is the prefix of the streams used.
///
/// # Errors
/// If a tensor operation fails.
pub fn search_margin(
    target: &SearchTarget<'_>,
    plan: &SearchPlan,
    kind: AttackKind,
    seed: Seed,
    name: &str,
) -> Result<MarginSearch> {
    let mut search = Search::new(target, plan, kind, seed, format!("{name}/{kind}"));
    match plan.protocol {
        Protocol::Bisect { tolerance } => search.bisect(tolerance)?,
        Protocol::Paper { decrement } => search.walk_down(decrement)?,
    }
    Ok(MarginSearch {
        refutation: search.best,
        withstood: search.withstood,
        decisions: search.decisions,
        notes: search.notes,
    })
}

struct Search<'a> {
    target: &'a SearchTarget<'a>,
    plan: &'a SearchPlan,
    attack: Box<dyn Attack>,
    directions: Vec<Vec<f32>>,
    seed: Seed,
    name: String,
    steering_noise: Vec<f32>,
    failure_per_decision: Probability,
    /// The largest number of a decision's draws that may not be outside the radius if it is to refute; none where even 0
    /// are too many.
    most_not_outside: Option<u64>,
    decisions_allowed: usize,
    decisions: u64,
    attacks: u64,
    best: Option<Refutation>,
    withstood: f64,
    notes: AscentNotes,
}

impl<'a> Search<'a> {
    fn new(target: &'a SearchTarget<'a>, plan: &'a SearchPlan, kind: AttackKind, seed: Seed, name: String) -> Self {
        let mut stream = seed.stream(&format!("{name}/steering"));
        let steering_noise = standard_normal(&mut stream, STEERING_DRAWS * target.victim.latent_dim());
        let directions = kind.directions(
            target.directions,
            plan.effort,
            &mut seed.stream(&format!("{name}/directions")),
            target.victim.input().len(),
        );
        let decisions_allowed = match plan.protocol {
            Protocol::Bisect { .. } => BISECT_DECISIONS,
            Protocol::Paper { decrement } => {
                paper_norms(plan.max_norm, decrement) * kind.proposals(directions.len(), plan.effort)
            }
        };
        let failure_per_decision = target.failure_probability.split(decisions_allowed);
        Self {
            target,
            plan,
            attack: kind.attack(),
            directions,
            seed,
            name,
            steering_noise,
            failure_per_decision,
            most_not_outside: most_not_outside(plan.decision_draws as u64, failure_per_decision, target.level),
            decisions_allowed,
            decisions: 0,
            attacks: 0,
            best: None,
            withstood: 0.0,
            notes: AscentNotes::default(),
        }
    }

    /// Brackets along rays, then bisects with the attack.
    fn bisect(&mut self, tolerance: f64) -> Result<()> {
        if let Some(candidate) = self.best_on_rays()? {
            self.decide_and_shorten(candidate)?;
        }
        if self.best.is_none() && !self.attack_at(self.plan.max_norm)? {
            if !self.is_stopped() {
                self.withstood = self.plan.max_norm;
            }
            return Ok(());
        }
        while let Some(refuted) = self.best.as_ref().map(|best| best.attacked.norm().get()) {
            let floor = self.plan.max_norm * SMALLEST_FRACTION;
            if self.exhausted() || refuted <= self.withstood * (1.0 + tolerance) || refuted <= floor {
                break;
            }
            let norm = if self.withstood > 0.0 { (refuted * self.withstood).sqrt() } else { refuted * DESCENT };
            // An attack that was not carried through says nothing about its norm.
            if !self.attack_at(norm)? && !self.is_stopped() {
                self.withstood = norm;
            }
        }
        Ok(())
    }

    /// Algorithm 2: down from the largest norm until no restart breaks robustness.
    fn walk_down(&mut self, decrement: f64) -> Result<()> {
        for index in 0..paper_norms(self.plan.max_norm, decrement) {
            let norm = self.plan.max_norm - index as f64 * decrement;
            if self.is_stopped() {
                break;
            }
            let mut broken = false;
            for candidate in self.propose(norm)? {
                broken = self.decide(candidate)?;
                if broken {
                    break;
                }
            }
            if !broken {
                if !self.is_stopped() {
                    self.withstood = norm;
                }
                break;
            }
        }
        Ok(())
    }

    fn exhausted(&self) -> bool {
        self.decisions >= self.decisions_allowed as u64 || self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.target.allowance.spent().is_some()
    }

    /// Runs the attack at one norm; whether its best proposal was refuting.
    fn attack_at(&mut self, norm: f64) -> Result<bool> {
        if self.is_stopped() {
            return Ok(false);
        }
        let candidates = self.propose(norm)?;
        match self.most_promising(candidates)? {
            Some((candidate, inside)) if inside <= self.target.level.get() => self.decide_and_shorten(candidate),
            _ => Ok(false),
        }
    }

    fn propose(&mut self, norm: f64) -> Result<Vec<AttackedInput>> {
        let task = Task {
            victim: self.target.victim,
            radius: self.target.radius,
            constraint: self.constraint(norm),
            directions: &self.directions,
            gives_up_starts: matches!(self.plan.protocol, Protocol::Bisect { .. }),
            warm_start: match self.plan.protocol {
                Protocol::Bisect { .. } => self.best.as_ref().map(|best| &best.attacked),
                Protocol::Paper { .. } => None,
            },
            effort: self.plan.effort,
        };
        let mut stream = self.seed.stream(&format!("{}/attack/{}", self.name, self.attacks));
        let proposals = self.attack.propose(&task, &mut stream)?;
        self.attacks += 1;
        self.notes.add(proposals.notes);
        Ok(proposals.candidates)
    }

    fn constraint(&self, norm: f64) -> Constraint {
        Constraint { norm, pixel_box: self.plan.pixel_box }
    }

    /// The shortest perturbation on any given ray that seems to break robustness.
    fn best_on_rays(&self) -> Result<Option<AttackedInput>> {
        let input = self.target.victim.input();
        let target = self.steering_target();
        for exponent in (0..RAY_NORMS).rev() {
            if self.is_stopped() {
                break;
            }
            let constraint = self.constraint(self.plan.max_norm * RAY_RATIO.powi(exponent));
            let on_ray = |direction: &Vec<f32>| {
                let perturbation: Vec<f32> = direction.iter().map(|&d| scaled(d, constraint.norm)).collect();
                AttackedInput::new(input, &perturbation, constraint)
            };
            let candidates: Vec<AttackedInput> = self.directions.iter().map(on_ray).collect();
            match self.most_promising(candidates)? {
                Some((candidate, inside)) if inside <= target => return Ok(Some(candidate)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The candidate with the fewest steering draws inside the radius, and that fraction. Where the first draws show that
    /// no candidate comes near the level, it is the fraction of those.
    fn most_promising(&self, candidates: Vec<AttackedInput>) -> Result<Option<(AttackedInput, f64)>> {
        let fewest = |candidates: Vec<AttackedInput>, inside: Vec<f64>| {
            candidates.into_iter().zip(inside).min_by(|a, b| a.1.total_cmp(&b.1))
        };
        let first = self.steer(&candidates, FIRST_STEERING_DRAWS)?;
        let best = first.iter().copied().fold(f64::INFINITY, f64::min);
        if best > self.target.level.get() + CLEARLY_BEHIND {
            return Ok(fewest(candidates, first));
        }
        let near = |(candidate, inside)| (inside <= best + CLEARLY_BEHIND).then_some(candidate);
        let candidates: Vec<AttackedInput> = candidates.into_iter().zip(first).filter_map(near).collect();
        let inside = self.steer(&candidates, STEERING_DRAWS)?;
        Ok(fewest(candidates, inside))
    }

    /// Fraction of the first steering draws inside the radius for every candidate; 1 where a distance is not a number.
    fn steer(&self, candidates: &[AttackedInput], draws: usize) -> Result<Vec<f64>> {
        let mut fractions = Vec::with_capacity(candidates.len());
        let noise = &self.steering_noise[..draws * self.target.victim.latent_dim()];
        for block in candidates.chunks(STEERING_ROWS) {
            let values: Vec<f32> = block.iter().flat_map(|candidate| candidate.values()).copied().collect();
            let distances = self.target.victim.distances(&values, noise)?;
            for distances in distances.chunks_exact(draws) {
                let outside = distances.iter().filter(|&&distance| distance > self.target.radius.get()).count();
                fractions.push(1.0 - outside as f64 / draws as f64);
            }
        }
        Ok(fractions)
    }

    /// The fraction inside at which a decision on fresh draws is likely to refute: the level less the width of the
    /// Clopper–Pearson bound and one standard deviation.
    fn steering_target(&self) -> f64 {
        let deviations = 1.0 - normal::quantile(self.failure_per_decision.get());
        let m = self.target.level.get();
        m - deviations * (m * (1.0 - m) / self.plan.decision_draws as f64).sqrt()
    }

    /// Decides on a candidate and, if it refutes, on shorter versions of it. Whether it refuted.
    fn decide_and_shorten(&mut self, candidate: AttackedInput) -> Result<bool> {
        if !self.decide(candidate.clone())? {
            return Ok(false);
        }
        let shortened = self.shorten(&candidate)?;
        if shortened.norm().get() < (1.0 - WORTH_SHORTENING) * candidate.norm().get() && !self.exhausted() {
            self.decide(shortened)?;
        }
        Ok(true)
    }

    /// Bisects along the ray of a refuting perturbation for the shortest one that still seems to refute.
    fn shorten(&self, candidate: &AttackedInput) -> Result<AttackedInput> {
        let input = self.target.victim.input();
        let perturbation: Vec<f32> = candidate.values().iter().zip(input).map(|(a, x)| a - x).collect();
        let full = candidate.norm().get();
        let (mut low, mut high) = ((self.withstood / full).min(1.0), 1.0);
        let mut shortest = candidate.clone();
        for _ in 0..SHORTENING_STEPS {
            let middle = 0.5 * (low + high);
            let shorter = AttackedInput::new(input, &perturbation, self.constraint(middle * full));
            if self.steer(std::slice::from_ref(&shorter), STEERING_DRAWS)?[0] <= self.steering_target() {
                high = middle;
                shortest = shorter;
            } else {
                low = middle;
            }
        }
        Ok(shortest)
    }

    /// Decides on fresh draws whether a candidate breaks robustness; keeps the shortest that does. Draws end where those to
    /// come could not make it refute any more.
    fn decide(&mut self, attacked: AttackedInput) -> Result<bool> {
        if self.exhausted() || !self.target.allowance.take_draws(self.plan.decision_draws) {
            return Ok(false);
        }
        let mut stream = self.seed.stream(&format!("{}/decision/{}", self.name, self.decisions));
        self.decisions += 1;
        let Search { target, plan, .. } = self;
        let may_refute =
            |counts: &DrawCounts| self.most_not_outside.is_some_and(|most| counts.draws - counts.outside <= most);
        let radius = target.radius;
        let counts =
            target.judge.count_while(attacked.values(), radius, plan.decision_draws, &mut stream, may_refute)?;
        if counts.draws < plan.decision_draws as u64 {
            trace!(
                search = self.name,
                norm = attacked.norm().get(),
                counts.inside,
                counts.draws,
                "decision without refutation"
            );
            return Ok(false);
        }
        let Ok(probability_upper) = counts.probability_upper(self.failure_per_decision) else { return Ok(false) };
        let refutes = probability_upper.get() <= self.target.level.get();
        trace!(
            search = self.name,
            norm = attacked.norm().get(),
            inside = counts.inside,
            draws = counts.draws,
            refutes,
            "decision"
        );
        let shortest = self.best.as_ref().is_none_or(|best| attacked.norm() < best.attacked.norm());
        if refutes && shortest && attacked.norm().get().is_finite() {
            self.best = Some(Refutation { attacked, counts, probability_upper });
        }
        Ok(refutes)
    }
}

/// The largest number of `draws` not outside the radius with which a decision refutes.
fn most_not_outside(draws: u64, failure_probability: Probability, level: Probability) -> Option<u64> {
    let refutes = |not_outside: u64| {
        let counts = DrawCounts { draws, inside: not_outside, outside: draws - not_outside };
        counts.probability_upper(failure_probability).is_ok_and(|upper| upper.get() <= level.get())
    };
    if !refutes(0) {
        return None;
    }
    // The bound rises with the count.
    let (mut low, mut high) = (0, draws);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if refutes(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Some(low)
}

/// A quotient that misses a whole number by no more than this is one.
const DECREMENT_SLACK: f64 = 1e-9;

/// Norms visited by Algorithm 2: from the largest down to above 0.
fn paper_norms(max_norm: f64, decrement: f64) -> usize {
    // Settings guarantee a quotient between 1 and a few thousand.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = (max_norm / decrement - DECREMENT_SLACK).ceil() as usize;
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_end_where_the_bound_cannot_fall_to_the_level_any_more() {
        let upper = |draws: u64, not_outside: u64, failure: Probability| {
            let counts = DrawCounts { draws, inside: not_outside, outside: draws - not_outside };
            counts.probability_upper(failure).unwrap().get()
        };
        for (draws, failure, level) in [(1000, 1e-3, 0.5), (4000, 1e-5, 0.5), (50, 0.1, 0.9), (1, 0.4, 0.7)] {
            let (failure, level) = (Probability::new(failure).unwrap(), Probability::new(level).unwrap());
            let most = most_not_outside(draws, failure, level).unwrap();
            assert!(upper(draws, most, failure) <= level.get(), "{draws}");
            assert!(most == draws || upper(draws, most + 1, failure) > level.get(), "{draws}");
        }
        // Ten draws outside leave P ≤ 1 − 0.001^(1/10) = 0.499 at best; nine do not suffice.
        let (failure, level) = (Probability::new(1e-3).unwrap(), Probability::HALF);
        assert_eq!((most_not_outside(10, failure, level), most_not_outside(9, failure, level)), (Some(0), None));
    }
}
