//! The search for counterexamples: random instances, then proptest's shrinking to a minimal one.
//!
//! Every case draws from its own stream, `claims/<id>/<case>`, so verdicts depend neither on the number of threads nor
//! on which other claims are searched. All cases are tried even after a contradiction; a number of contradictions are
//! shrunk, each from its own start, and the instance with the fewest and simplest numbers is kept.

use std::time::{Duration, Instant};

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claim::{Claim, Expectation, Experiment, Finding, Judgement, Obstacle, Trial};
use super::counterexample::Counterexample;
use super::theory::Theory;
use crate::quantity::Probability;
use crate::seed::Seed;
use crate::threads::Workers;

/// Everything that decides the verdicts, beside the theory and a limit of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchPlan {
    /// Seed of instances and draws.
    pub seed: Seed,
    /// Cases per claim; dear claims get a share of it.
    pub cases: usize,
    /// All decisions of the run that rest on draws are right together, except with this probability.
    pub failure_probability: Probability,
}

/// Cases per claim unless asked otherwise.
pub const DEFAULT_CASES: usize = 1000;
/// Most cases per claim.
pub const MAX_CASES: usize = 10_000_000;
/// How far contradictions are shrunk.
struct Effort {
    /// Contradictions that are shrunk, each from its own start.
    starts: usize,
    /// Instances tried for each.
    steps: usize,
}
const EFFORT: Effort = Effort { starts: 64, steps: 4_000 };
/// The same where every instance is decided by draws.
const SAMPLED_EFFORT: Effort = Effort { starts: 4, steps: 40 };
/// Instances drawn for one case until one meets the claim's assumptions.
const MAX_DRAWN: usize = 200;
/// A claim is undecided if more than one case in this many cannot be decided.
const LARGEST_UNCLEAR_SHARE: usize = 10;

/// What a search says of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// No case contradicts it.
    Holds {
        /// Cases that agree.
        agreeing: usize,
        /// Cases whose difference is smaller than its error bound, or that met an obstacle.
        unclear: usize,
        /// The first of them.
        first_unclear: Option<String>,
    },
    /// A case contradicts it.
    Refuted {
        /// Cases tried.
        tried: usize,
        /// How many of them contradict.
        contradicting: usize,
        /// The shortest instance found that does.
        counterexample: Box<Counterexample>,
    },
    /// Nothing contradicts it, but too little was decided.
    Undecided {
        /// Cases that agree.
        agreeing: usize,
        /// Cases that were to be tried.
        planned: usize,
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// `holds`, `refuted` or `undecided`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Holds { .. } => "holds",
            Self::Refuted { .. } => "refuted",
            Self::Undecided { .. } => "undecided",
        }
    }

    /// Whether it is the one on record; none where undecided.
    #[must_use]
    pub fn is(&self, expected: Expectation) -> Option<bool> {
        match self {
            Self::Holds { .. } => Some(expected == Expectation::Holds),
            Self::Refuted { .. } => Some(expected == Expectation::Refuted),
            Self::Undecided { .. } => None,
        }
    }

    /// Cases behind it.
    #[must_use]
    pub fn cases(&self) -> usize {
        match self {
            Self::Holds { agreeing, .. } | Self::Undecided { agreeing, .. } => *agreeing,
            Self::Refuted { tried, .. } => *tried,
        }
    }
}

/// A claim and what became of it.
#[derive(Debug, Clone)]
pub struct Searched {
    /// The claim.
    pub claim: Claim,
    /// The verdict.
    pub verdict: Verdict,
    /// How long it took; not part of the result.
    pub elapsed: Duration,
}

impl SearchPlan {
    /// The default number of cases and a failure probability of 0.001.
    ///
    /// # Errors
    /// None in practice.
    pub fn standard(seed: Seed) -> Result<Self, crate::quantity::QuantityError> {
        Ok(Self { seed, cases: DEFAULT_CASES, failure_probability: Probability::new(0.001)? })
    }

    /// Searches `claims`, which share the failure probability, and hands each result to `sink` as soon as it is there.
    /// Work that has not begun at `deadline` is left out, and what it was needed for is undecided.
    ///
    /// # Errors
    /// The first error of `sink`.
    pub fn run<E>(
        &self,
        claims: &[Claim],
        theory: &dyn Theory,
        deadline: Option<Instant>,
        workers: &Workers,
        mut sink: impl FnMut(Searched) -> Result<(), E>,
    ) -> Result<(), E> {
        let failure_probability = self.failure_probability.split(self.sampled_decisions(claims));
        for claim in claims {
            let begun = Instant::now();
            let search = Search { plan: self, claim, theory, failure_probability, deadline };
            let verdict = search.verdict(workers);
            sink(Searched { claim: *claim, verdict, elapsed: begun.elapsed() })?;
        }
        Ok(())
    }

    /// How many decisions by draws the claims may need together.
    fn sampled_decisions(&self, claims: &[Claim]) -> usize {
        let sampled = claims.iter().filter(|claim| claim.cost.is_sampled());
        let shrinking = SAMPLED_EFFORT.starts * SAMPLED_EFFORT.steps;
        sampled.map(|claim| claim.cost.cases(self.cases) + shrinking).sum()
    }
}

/// The search for one claim.
struct Search<'a> {
    plan: &'a SearchPlan,
    claim: &'a Claim,
    theory: &'a dyn Theory,
    failure_probability: Probability,
    deadline: Option<Instant>,
}

impl Search<'_> {
    fn verdict(&self, workers: &Workers) -> Verdict {
        let planned = self.claim.cost.cases(self.plan.cases);
        let cases: Vec<Option<Tried>> = infallible(workers.map(planned, |case| Ok(self.try_case(case))));
        let tried: Vec<&Tried> = cases.iter().flatten().collect();
        let count = |finding| tried.iter().filter(|case| case.finding == finding).count();
        let (agreeing, contradicting) = (count(Finding::Agrees), count(Finding::Contradicts));
        if contradicting > 0 {
            let shrunk = self.shrink(&cases, workers);
            if let Some(counterexample) = shrunk {
                return Verdict::Refuted {
                    tried: tried.len(),
                    contradicting,
                    counterexample: Box::new(counterexample),
                };
            }
        }
        let unclear = tried.len() - agreeing;
        let first_unclear = tried.iter().find(|case| case.finding != Finding::Agrees).map(|case| case.reason.clone());
        let reason = if tried.len() < planned {
            format!("the time was spent after {} of {planned} cases", tried.len())
        } else if unclear > planned / LARGEST_UNCLEAR_SHARE {
            let first = first_unclear.unwrap_or_default();
            format!("{unclear} of {planned} cases could not be decided; the first: {first}")
        } else {
            return Verdict::Holds { agreeing, unclear, first_unclear };
        };
        Verdict::Undecided { agreeing, planned, reason }
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// None where there is no time left.
    fn try_case(&self, case: usize) -> Option<Tried> {
        if self.is_over() {
            return None;
        }
        let stream = self.stream(case);
        let trial = self.trial(&stream);
        Some(self.claim.experiment.try_case(self.plan.seed.instances(&stream), &trial))
    }

    /// The shortest of the instances to which the first contradictions shrink.
    fn shrink(&self, cases: &[Option<Tried>], workers: &Workers) -> Option<Counterexample> {
        let Effort { starts, steps } = if self.claim.cost.is_sampled() { SAMPLED_EFFORT } else { EFFORT };
        let contradicting: Vec<(usize, usize)> = (0..)
            .zip(cases)
            .filter_map(|(case, tried)| tried.as_ref().map(|tried| (case, tried)))
            .filter(|(_, tried)| tried.finding == Finding::Contradicts)
            .map(|(case, tried)| (case, tried.drawn))
            .take(starts)
            .collect();
        let found: Vec<Option<Counterexample>> = infallible(workers.map(contradicting.len(), |i| {
            let (case, drawn) = contradicting[i];
            let stream = self.stream(case);
            let mut left = steps;
            let mut go_on = || {
                left = left.saturating_sub(1);
                // The first is the contradiction itself: without time it is kept as it is.
                left + 1 == steps || (left > 0 && !self.is_over())
            };
            let trial = self.trial(&stream);
            let smallest = self.claim.experiment.shrink(self.plan.seed.instances(&stream), drawn, &trial, &mut go_on);
            Ok(smallest.map(|(instance, judgement)| Counterexample::new(self.claim, &trial, instance, judgement)))
        }));
        found.into_iter().flatten().min_by_key(|found| (complexity(&found.instance), found.instance.to_string()))
    }

    fn stream(&self, case: usize) -> String {
        format!("claims/{}/{case}", self.claim.id)
    }

    fn trial<'b>(&'b self, stream: &'b str) -> Trial<'b> {
        Trial { theory: self.theory, seed: self.plan.seed, stream, failure_probability: self.failure_probability }
    }
}

/// How much there is to read in an instance: every number counts by its characters, then by its size.
fn complexity(instance: &Value) -> usize {
    match instance {
        Value::Array(entries) => entries.iter().map(complexity).sum(),
        Value::Object(fields) => fields.values().map(complexity).sum(),
        Value::Number(number) => {
            let value = number.as_f64().unwrap_or(f64::MAX);
            let size =
                (0..LARGEST_COUNTED_SIZE).find(|size| value.abs() <= *size as f64).unwrap_or(LARGEST_COUNTED_SIZE);
            LARGEST_COUNTED_SIZE * value.to_string().len() + size
        }
        Value::Null | Value::Bool(_) | Value::String(_) => 1,
    }
}

/// Sizes of numbers from here on count the same; a further character counts more than any size.
const LARGEST_COUNTED_SIZE: usize = 16;

/// Work that cannot fail, spread over threads.
fn infallible<T>(outcome: Result<Vec<T>, std::convert::Infallible>) -> Vec<T> {
    match outcome {
        Ok(results) => results,
        Err(never) => match never {},
    }
}

/// What came of one case.
pub(super) struct Tried {
    finding: Finding,
    /// What kept it from being decided.
    reason: String,
    /// How many instances were drawn before this one.
    drawn: usize,
}

/// An experiment whose instances are JSON.
pub(super) trait AnyExperiment: Sync {
    /// Draws an instance that meets the assumptions and judges it.
    fn try_case(&self, source: TestRng, trial: &Trial<'_>) -> Tried;

    /// The simplest instance that contradicts, as far as `go_on` lets the search go, from the one drawn after `drawn`
    /// others; none where not even that one does.
    fn shrink(
        &self,
        source: TestRng,
        drawn: usize,
        trial: &Trial<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<(Value, Judgement)>;

    /// Judges an instance read from a file.
    fn judge_value(
        &self,
        instance: &Value,
        trial: &Trial<'_>,
    ) -> Result<Result<Judgement, Obstacle>, serde_json::Error>;
}

impl<E: Experiment> AnyExperiment for E {
    fn try_case(&self, source: TestRng, trial: &Trial<'_>) -> Tried {
        let strategy = self.instances();
        let mut runner = runner(source);
        for drawn in 0..MAX_DRAWN {
            let Some(tree) = draw(&strategy, &mut runner) else { break };
            let (finding, reason) = match self.judge(&tree.current(), trial) {
                Ok(judgement) if judgement.finding == Finding::Vacuous => continue,
                Ok(judgement) => (judgement.finding, judgement.line),
                Err(Obstacle(reason)) => (Finding::TooClose, reason),
            };
            return Tried { finding, reason, drawn };
        }
        Tried { finding: Finding::Vacuous, reason: "no instance met the assumptions".to_owned(), drawn: MAX_DRAWN }
    }

    fn shrink(
        &self,
        source: TestRng,
        drawn: usize,
        trial: &Trial<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<(Value, Judgement)> {
        let strategy = self.instances();
        let mut runner = runner(source);
        for _ in 0..drawn {
            draw(&strategy, &mut runner);
        }
        let mut tree = draw(&strategy, &mut runner)?;
        let mut smallest = None;
        while go_on() {
            let instance = tree.current();
            let contradicts =
                self.judge(&instance, trial).ok().filter(|judgement| judgement.finding == Finding::Contradicts);
            let moved = match contradicts {
                Some(judgement) => {
                    smallest = Some((instance, judgement));
                    tree.simplify()
                }
                None => tree.complicate(),
            };
            if !moved {
                break;
            }
        }
        let (instance, judgement) = smallest?;
        Some((serde_json::to_value(instance).ok()?, judgement))
    }

    fn judge_value(
        &self,
        instance: &Value,
        trial: &Trial<'_>,
    ) -> Result<Result<Judgement, Obstacle>, serde_json::Error> {
        Ok(self.judge(&E::Instance::deserialize(instance)?, trial))
    }
}

fn runner(source: TestRng) -> TestRunner {
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, source)
}

/// None where the strategy's own filters reject too much.
fn draw<T: std::fmt::Debug>(
    strategy: &BoxedStrategy<T>,
    runner: &mut TestRunner,
) -> Option<Box<dyn ValueTree<Value = T>>> {
    strategy.new_tree(runner).ok()
}
