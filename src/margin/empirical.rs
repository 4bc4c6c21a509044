//! The empirical margin: the smallest perturbation found that breaks robustness, an upper bound of R(x).
//!
//! A perturbation refutes robustness at its norm if, on draws never used before, the Clopper–Pearson upper bound of
//! P(‖Δ‖ ≤ r) is at most the level. Each such decision spends an equal share of the search's failure probability,
//! so all refutations of a search hold together.
//!
//! Decisions cost many draws in double precision and failure probability. Bisection therefore steers by a few draws that
//! never change, and puts to a decision only the shortest perturbation it ends with. What a decision says differently from
//! the steering draws is much the same for perturbations nearby, so it corrects them, for a longer perturbation after a
//! decision that did not refute and for a shorter one after one that did.

use std::ops::Range;

use candle_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::trace;

use super::draws::{DrawCounts, Judge};
use crate::allowance::{Allowance, Spent};
use crate::attack::{
    scaled, AscentNotes, Attack, AttackKind, AttackedInput, Constraint, Effort, PixelBox, Task, Victim,
};
use crate::quantity::{Probability, Radius, UpperBound};
use crate::seed::{standard_normal, Seed};

/// How norms are visited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Bracket by rays, then bisect; every attack starts from the last one's result, and every perturbation that seems
    /// to refute is shortened along its ray. Decide on the shortest.
    Bisect {
        /// Stop when the smallest norm that seems refuted exceeds the largest that withstood by less than this fraction.
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
    /// The last norm at which the attack seemed to fail, not above the refutation. Proves nothing.
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
/// Searches make two on average.
const BISECT_DECISIONS: usize = 8;
/// Decisions after which less and less is risked.
const BOLD_DECISIONS: u64 = 3;
/// Draws on which candidates are compared before one is put to a decision: a few, then twice as many, and so on.
const STEERING_DRAWS: [usize; 5] = [32, 64, 128, 256, 512];
/// Candidates compared at once; bounds memory.
const STEERING_ROWS: usize = 64;
/// Norms tried on every ray while bracketing, each this fraction of the next larger one.
const RAY_RATIO: f64 = 0.75;
/// Number of norms tried on every ray while bracketing; 0.75^17 is below 1 %.
const RAY_NORMS: i32 = 18;
/// Halvings at most when shortening a perturbation.
const SHORTENING_STEPS: usize = 7;
/// Fewer suffice where a norm is known up to this fraction.
const SHORTENING_TOLERANCE: f64 = 0.005;
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
    // What a decision showed may be refuted below a norm that seemed to withstand.
    let refuted = search.best.as_ref().map_or(f64::INFINITY, |best| best.attacked.norm().get());
    Ok(MarginSearch {
        refutation: search.best,
        withstood: search.withstood.min(refuted),
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
    /// How much larger P(‖Δ‖ ≤ r) is than the fraction of the steering draws, as the last decision saw it.
    steering_bias: f64,
    decisions_allowed: usize,
    decisions: u64,
    attacks: u64,
    /// What seemed to refute by the steering draws and was not decided on, each shorter than the one before.
    promising: Vec<Promising>,
    best: Option<Refutation>,
    withstood: f64,
    notes: AscentNotes,
}

/// A perturbation with the fraction of the steering draws that are not outside the radius: of all where that is near what is
/// asked for, of the first where it is far.
#[derive(Clone)]
struct Steered {
    attacked: AttackedInput,
    inside: f64,
}

/// What an attack proposed and how far it can be shortened, both of which seem to refute.
struct Promising {
    proposed: Steered,
    shortened: Steered,
}

/// Whether a perturbation refutes, and the fraction of the fresh draws that were not outside the radius.
struct Decision {
    refutes: bool,
    inside: f64,
}

impl<'a> Search<'a> {
    fn new(target: &'a SearchTarget<'a>, plan: &'a SearchPlan, kind: AttackKind, seed: Seed, name: String) -> Self {
        let mut stream = seed.stream(&format!("{name}/steering"));
        let steering_noise =
            standard_normal(&mut stream, STEERING_DRAWS[STEERING_DRAWS.len() - 1] * target.victim.latent_dim());
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
            steering_bias: 0.0,
            decisions_allowed,
            decisions: 0,
            attacks: 0,
            promising: vec![],
            best: None,
            withstood: 0.0,
            notes: AscentNotes::default(),
        }
    }

    /// Brackets along rays, bisects with the attack and decides on the shortest perturbation that seems to refute; where
    /// it does not, goes on with what still seems to, the steering draws corrected.
    fn bisect(&mut self, tolerance: f64) -> Result<()> {
        if let Some(candidate) = self.best_on_rays()? {
            self.keep_shortened(candidate, 0.0)?;
        }
        loop {
            if self.promising.is_empty() {
                self.attack_at(self.plan.max_norm)?;
            }
            self.narrow(tolerance)?;
            let Some(Promising { proposed, shortened }) = self.promising.pop() else { return Ok(()) };
            let Some(decision) = self.decide(&shortened.attacked)? else { return Ok(()) };
            self.steering_bias = decision.inside - shortened.inside;
            if decision.refutes {
                return self.decide_on_shorter(&proposed, &shortened);
            }
            let target = self.steering_target();
            let mut longer = Some(proposed);
            while longer.as_ref().is_some_and(|proposed| proposed.inside > target) {
                longer = self.promising.pop().map(|promising| promising.proposed);
            }
            if let Some(proposed) = longer {
                self.keep_shortened(proposed, shortened.attacked.norm().get())?;
            }
        }
    }

    /// Bisects with the attack between the shortest perturbation that seems to refute and the norm that withstood.
    fn narrow(&mut self, tolerance: f64) -> Result<()> {
        while let Some(refuted) = self.promising.last().map(|shortest| shortest.shortened.attacked.norm().get()) {
            let floor = self.plan.max_norm * SMALLEST_FRACTION;
            if self.is_stopped() || refuted <= self.withstood * (1.0 + tolerance) || refuted <= floor {
                break;
            }
            self.attack_at(if self.withstood > 0.0 { (refuted * self.withstood).sqrt() } else { refuted * DESCENT })?;
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
                broken = self.decide(&candidate)?.is_some_and(|decision| decision.refutes);
                if broken || self.is_stopped() {
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

    fn is_stopped(&self) -> bool {
        self.target.allowance.spent().is_some()
    }

    /// Runs the attack at one norm, and keeps its best proposal if it seems to refute. Else the norm withstood, unless the
    /// attack was not carried through, which says nothing. At the largest norm, with nothing to correct the steering draws
    /// by, whatever may refute is kept.
    fn attack_at(&mut self, norm: f64) -> Result<()> {
        if self.is_stopped() {
            return Ok(());
        }
        let candidates = self.propose(norm)?;
        let is_last_resort = norm >= self.plan.max_norm && self.decisions == 0;
        let target = self.steering_target();
        let asked = if is_last_resort { target.max(self.target.level.get()) } else { target };
        match self.most_promising(candidates)? {
            Some(candidate) if candidate.inside <= asked => self.keep_shortened(candidate, self.withstood)?,
            _ if !self.is_stopped() => self.withstood = norm,
            _ => {}
        }
        Ok(())
    }

    fn propose(&mut self, norm: f64) -> Result<Vec<AttackedInput>> {
        let task = Task {
            victim: self.target.victim,
            radius: self.target.radius,
            constraint: self.constraint(norm),
            directions: &self.directions,
            gives_up_starts: matches!(self.plan.protocol, Protocol::Bisect { .. }),
            warm_start: match self.plan.protocol {
                Protocol::Bisect { .. } => self.promising.last().map(|shortest| &shortest.shortened.attacked),
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
    fn best_on_rays(&self) -> Result<Option<Steered>> {
        let input = self.target.victim.input();
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
            let best = self.most_promising(candidates)?.filter(|best| best.inside <= self.steering_target());
            if best.is_some() {
                return Ok(best);
            }
        }
        Ok(None)
    }

    /// The candidate with the fewest steering draws inside the radius. No more draws than show it where no candidate comes
    /// near the level.
    fn most_promising(&self, candidates: Vec<AttackedInput>) -> Result<Option<Steered>> {
        let hopeless = self.target.level.get().max(self.steering_target());
        self.race(candidates, |inside, doubt| inside > hopeless + doubt)
    }

    /// The candidate with the fewest steering draws inside the radius. The number of draws is doubled, and whoever is clearly
    /// behind left out, until `suffices` says yes to the smallest fraction inside and the doubt about it.
    fn race(&self, mut candidates: Vec<AttackedInput>, suffices: impl Fn(f64, f64) -> bool) -> Result<Option<Steered>> {
        let mut inside = vec![0; candidates.len()];
        let mut from = 0;
        for draws in STEERING_DRAWS {
            for (inside, more) in inside.iter_mut().zip(self.steer(&candidates, from..draws)?) {
                *inside += more;
            }
            from = draws;
            let Some(&fewest) = inside.iter().min() else { break };
            // Three standard deviations of a fraction; two candidates' differ by less, as they see the same draws.
            let doubt = 1.5 / (draws as f64).sqrt();
            if suffices(fewest as f64 / draws as f64, doubt) {
                break;
            }
            let mut ranked = inside.clone();
            ranked.sort_unstable();
            let middle = ranked[(ranked.len() - 1) / 2];
            let behind = (fewest as f64 + doubt * draws as f64).min(middle as f64);
            let racing = candidates.into_iter().zip(inside).filter(|(_, inside)| *inside as f64 <= behind);
            (candidates, inside) = racing.unzip();
        }
        let best = candidates.into_iter().zip(inside).min_by_key(|(_, inside)| *inside);
        Ok(best.map(|(attacked, inside)| Steered { attacked, inside: inside as f64 / from as f64 }))
    }

    /// How many of the given steering draws are not outside the radius, for every candidate.
    fn steer(&self, candidates: &[AttackedInput], draws: Range<usize>) -> Result<Vec<usize>> {
        let latent_dim = self.target.victim.latent_dim();
        let noise = &self.steering_noise[draws.start * latent_dim..draws.end * latent_dim];
        let mut counts = Vec::with_capacity(candidates.len());
        for block in candidates.chunks(STEERING_ROWS) {
            let values: Vec<f32> = block.iter().flat_map(|candidate| candidate.values()).copied().collect();
            let distances = self.target.victim.distances(&values, noise)?;
            for distances in distances.chunks_exact(draws.len()) {
                let outside = distances.iter().filter(|&&distance| distance > self.target.radius.get()).count();
                counts.push(draws.len() - outside);
            }
        }
        Ok(counts)
    }

    /// The fraction of the steering draws inside up to which a decision on fresh draws would refute, were it to see what
    /// they see. Asking for less would find longer perturbations; only the last decisions ask for one standard deviation
    /// less each, lest all of them end just above.
    fn steering_target(&self) -> f64 {
        let Some(most) = self.most_not_outside else { return f64::NEG_INFINITY };
        let draws = self.plan.decision_draws as f64;
        let most = most as f64 / draws;
        let deviations = self.decisions.saturating_sub(BOLD_DECISIONS) as f64;
        let caution = deviations * (most * (1.0 - most) / draws).sqrt();
        (most - caution - self.steering_bias).max(0.0)
    }

    /// Keeps a perturbation that seems to refute, shortened to no less than a norm.
    fn keep_shortened(&mut self, proposed: Steered, least: f64) -> Result<()> {
        let shortened = self.shorten(&proposed, least)?;
        self.promising.push(Promising { proposed, shortened });
        Ok(())
    }

    /// Bisects along the ray of a perturbation for the shortest one of at least a norm that still seems to refute.
    fn shorten(&self, proposed: &Steered, least: f64) -> Result<Steered> {
        let input = self.target.victim.input();
        let perturbation: Vec<f32> = proposed.attacked.values().iter().zip(input).map(|(a, x)| a - x).collect();
        let full = proposed.attacked.norm().get();
        let (mut low, mut high) = ((least / full).min(1.0), 1.0);
        let mut shortest = proposed.clone();
        let target = self.steering_target();
        for _ in 0..SHORTENING_STEPS {
            if high - low <= SHORTENING_TOLERANCE * high {
                break;
            }
            let middle = 0.5 * (low + high);
            let shorter = AttackedInput::new(input, &perturbation, self.constraint(middle * full));
            match self.race(vec![shorter], |inside, doubt| (inside - target).abs() > doubt)? {
                Some(shorter) if shorter.inside <= target => {
                    high = middle;
                    shortest = shorter;
                }
                _ => low = middle,
            }
        }
        Ok(shortest)
    }

    /// Decides on a shorter version of a perturbation that refuted, if the decision showed that the steering draws asked
    /// too much.
    fn decide_on_shorter(&mut self, proposed: &Steered, refuting: &Steered) -> Result<()> {
        let shorter = self.shorten(proposed, 0.0)?.attacked;
        let is_worth_it = shorter.norm().get() < (1.0 - WORTH_SHORTENING) * refuting.attacked.norm().get();
        if is_worth_it && !self.is_stopped() {
            self.decide(&shorter)?;
        }
        Ok(())
    }

    /// Decides on fresh draws whether a candidate breaks robustness; keeps the shortest that does. Draws end where those to
    /// come could not make it refute any more. None where the search may not decide any more. An input's time does not
    /// forbid it: it would otherwise be of no use to have found anything until then.
    fn decide(&mut self, attacked: &AttackedInput) -> Result<Option<Decision>> {
        let Search { target, plan, .. } = self;
        let may_not =
            self.decisions >= self.decisions_allowed as u64 || target.allowance.spent() == Some(Spent::RunTime);
        if may_not || !target.allowance.take_draws(plan.decision_draws) {
            return Ok(None);
        }
        let mut stream = self.seed.stream(&format!("{}/decision/{}", self.name, self.decisions));
        self.decisions += 1;
        let may_refute =
            |counts: &DrawCounts| self.most_not_outside.is_some_and(|most| counts.draws - counts.outside <= most);
        let draws = plan.decision_draws;
        let counts = target.judge.count_while(attacked.values(), target.radius, draws, &mut stream, may_refute)?;
        let probability_upper = counts.probability_upper(self.failure_per_decision).ok();
        let refuting = probability_upper
            .filter(|upper| counts.draws == draws as u64 && upper.get() <= target.level.get())
            .filter(|_| attacked.norm().get().is_finite());
        let inside = (counts.draws - counts.outside) as f64 / counts.draws as f64;
        let refutes = refuting.is_some();
        trace!(search = self.name, norm = attacked.norm().get(), inside, draws = counts.draws, refutes, "decision");
        let is_shortest = self.best.as_ref().is_none_or(|best| attacked.norm() < best.attacked.norm());
        if let Some(probability_upper) = refuting.filter(|_| is_shortest) {
            self.best = Some(Refutation { attacked: attacked.clone(), counts, probability_upper });
        }
        Ok(Some(Decision { refutes, inside }))
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
    use std::time::{Duration, Instant};

    use candle_core::{DType, Device};

    use super::*;
    use crate::model::{embedded, Vae};
    use crate::quantity::Threat;
    use crate::sensitivity::RoundedVae;

    const PLAN: SearchPlan = SearchPlan {
        protocol: Protocol::Bisect { tolerance: Protocol::DEFAULT_TOLERANCE },
        max_norm: 10.0,
        pixel_box: None,
        decision_draws: 2000,
        effort: Effort { restarts: 2, steps: 5, draws: 4 },
    };

    /// Lets `test` use a search for the margin of a grey image, at which robustness holds undisturbed.
    fn with_search<T>(allowance: &Allowance, test: impl FnOnce(Search<'_>) -> T) -> T {
        let found = embedded::digits().unwrap();
        let converted = |dtype| -> Vae { found.vae.converted(dtype, &Device::Cpu).unwrap() };
        let (single, double) = (converted(DType::F32), converted(DType::F64));
        let rounded = RoundedVae::of(&double).unwrap();
        let input = vec![0.25_f32; 64];
        let target = SearchTarget {
            victim: &Victim::new(&single, &input, Threat::Joint).unwrap(),
            judge: &Judge::new(&double, &rounded, &input, Threat::Joint).unwrap(),
            radius: Radius::new(1.5).unwrap(),
            level: Probability::HALF,
            failure_probability: Probability::new(1e-3).unwrap(),
            directions: &[],
            allowance,
        };
        test(Search::new(&target, &PLAN, AttackKind::Exceedance, Seed(7), "test".to_owned()))
    }

    /// The margin found where the steering draws are so much farther from the mean than they should be.
    fn margin_steered_by(scale: f32) -> f64 {
        with_search(&Allowance::default(), |mut search| {
            search.steering_noise.iter_mut().for_each(|draw| *draw *= scale);
            search.bisect(Protocol::DEFAULT_TOLERANCE).unwrap();
            assert!((1..=BISECT_DECISIONS as u64).contains(&search.decisions), "{scale}: {}", search.decisions);
            let best = search.best.unwrap();
            assert!(best.counts.draws == 2000 && best.probability_upper.get() <= 0.5, "{scale}: {:?}", best.counts);
            best.attacked.norm().get()
        })
    }

    #[test]
    fn decisions_correct_steering_draws_that_are_not_like_others() {
        let margin = margin_steered_by(1.0);
        for scale in [0.5, 0.7, 1.2, 1.4] {
            let steered = margin_steered_by(scale);
            assert!((0.8..1.25).contains(&(steered / margin)), "{scale}: {steered} instead of {margin}");
        }
    }

    #[test]
    fn what_was_found_is_decided_on_after_the_time_of_an_input_but_not_after_that_of_the_run() {
        let over = Instant::now();
        for (allowance, decides) in [
            (Allowance::starting_now(None, Some(Duration::ZERO), None), true),
            (Allowance::starting_now(Some(over), None, None), false),
            (Allowance::starting_now(None, None, Some(1999)), false),
        ] {
            with_search(&allowance, |mut search| {
                let input = search.target.victim.input();
                let opposite: Vec<f32> = (0..64).map(|i| if i % 8 < 4 { 1.0 } else { -1.0 }).collect();
                let far = AttackedInput::new(input, &opposite, search.constraint(8.0));
                assert_eq!(search.decide(&far).unwrap().is_some_and(|decision| decision.refutes), decides);
                assert_eq!((search.best.is_some(), search.decisions), (decides, u64::from(decides)));
                search.bisect(0.05).unwrap();
                assert_eq!((search.attacks, search.is_stopped()), (0, true), "nothing new is begun");
            });
        }
    }

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
