//! The search for counterexamples: random instances, then proptest's shrinking to a minimal one.
//!
//! Every case draws from its own stream, `claims/<id>/<case>`, so instances depend neither on the number of threads nor
//! on which other claims are searched; claims decided by draws share the failure probability of those that are. All cases are tried even after a contradiction; a number of contradictions are
//! shrunk, each from its own start, and of the instance with the fewest and simplest numbers whatever can still be left
//! out or made simpler is.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claim::{Claim, Cost, Expectation, Finding, Trial};
use super::counterexample::Counterexample;
use super::experiment::Tried;
use super::simplify::{complexity, simpler};
use super::theory::Theory;
use crate::quantity::Probability;
use crate::seed::Seed;
use crate::threads::Workers;

/// Everything that decides the verdicts, beside the theory and a limit of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Contradictions that are shrunk, each from its own start.
    starts: usize,
    /// Instances tried for each.
    steps: usize,
}
/// Where a case costs little.
const FULL_EFFORT: Effort = Effort { starts: 16, steps: 4_000 };
/// Where every instance is decided by draws.
const SAMPLED_EFFORT: Effort = Effort { starts: 4, steps: 40 };
/// Instances tried even where each is as dear as it gets.
const LEAST_STEPS: usize = 8;

impl Effort {
    /// Dear claims are shrunk from fewer starts and in fewer steps, as they are tried on fewer cases.
    fn of(cost: Cost) -> Self {
        match cost {
            Cost::Full => FULL_EFFORT,
            Cost::Sampled(_) => SAMPLED_EFFORT,
            Cost::OneIn(share) => Self {
                starts: (FULL_EFFORT.starts / share.max(1)).max(1),
                steps: (FULL_EFFORT.steps / share.max(1).pow(2)).max(LEAST_STEPS),
            },
        }
    }
}
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
        /// The simplest instance found that does.
        counterexample: Box<Counterexample>,
        /// Whether all cases were tried and shrinking came to its end, or the time was spent before.
        complete: bool,
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
    /// With a `deadline`, each claim gets an equal share of the time that is left; work that has not begun when that is
    /// spent is left out, and what it was needed for is undecided.
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
        for (done, claim) in claims.iter().enumerate() {
            let begun = Instant::now();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(begun));
            let share = left.zip(u32::try_from(claims.len() - done).ok()).map(|(left, claims)| left / claims);
            let deadline = share.and_then(|share| begun.checked_add(share));
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
            return match self.shrink(&cases, workers) {
                Some(counterexample) => Verdict::Refuted {
                    tried: tried.len(),
                    contradicting,
                    counterexample: Box::new(counterexample),
                    complete: tried.len() == planned && !self.is_over(),
                },
                None => {
                    let reason = format!("{contradicting} cases contradict, but none of them when judged again");
                    Verdict::Undecided { agreeing, planned, reason }
                }
            };
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

    /// The simplest of the instances to which the first contradictions shrink.
    fn shrink(&self, cases: &[Option<Tried>], workers: &Workers) -> Option<Counterexample> {
        let Effort { starts, steps } = Effort::of(self.claim.cost);
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
            let shrunk =
                smallest.map(|(instance, judgement)| Counterexample::new(self.claim, &trial, instance, judgement));
            Ok(if self.claim.cost.is_sampled() { shrunk } else { shrunk.map(|shrunk| self.simplify(shrunk)) })
        }));
        found.into_iter().flatten().min_by_key(|found| (complexity(&found.instance), found.instance.to_string()))
    }

    /// Takes one step after another to a simpler instance, until nothing can be left out and no number made simpler.
    fn simplify(&self, start: Counterexample) -> Counterexample {
        let mut smallest = start;
        let mut left = Effort::of(self.claim.cost).steps;
        loop {
            let stream = smallest.stream.clone();
            let trial = self.trial(&stream);
            let contradicting = simpler(&smallest.instance).take(left).find_map(|instance| {
                left = left.saturating_sub(1);
                if self.is_over() {
                    return None;
                }
                let judged = self.claim.experiment.judge_value(&instance, &trial).ok()?.ok()?;
                (judged.finding == Finding::Contradicts)
                    .then(|| Counterexample::new(self.claim, &trial, instance, judged))
            });
            match contradicting {
                Some(simpler) => smallest = simpler,
                None => return smallest,
            }
        }
    }

    fn stream(&self, case: usize) -> String {
        format!("claims/{}/{case}", self.claim.id)
    }

    fn trial<'b>(&'b self, stream: &'b str) -> Trial<'b> {
        Trial { theory: self.theory, seed: self.plan.seed, stream, failure_probability: self.failure_probability }
    }
}

/// Work that cannot fail, spread over threads.
fn infallible<T>(outcome: Result<Vec<T>, std::convert::Infallible>) -> Vec<T> {
    match outcome {
        Ok(results) => results,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::claim::{Experiment, Form, Judgement, Number, Obstacle};
    use crate::claims::experiment::AnyExperiment;
    use crate::claims::theory::Stated;
    use proptest::prelude::*;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    /// Lists of numbers from 0 to 99; the claim is about the largest.
    struct Largest(fn(u32) -> Result<Finding, Obstacle>);

    impl Experiment for Largest {
        type Instance = Vec<u32>;

        fn instances(&self) -> BoxedStrategy<Vec<u32>> {
            prop::collection::vec(0..100u32, 1..6).boxed()
        }

        fn judge(&self, numbers: &Vec<u32>, _: &Trial<'_>) -> Result<Judgement, Obstacle> {
            let largest = numbers.iter().copied().max().unwrap_or(0);
            (self.0)(largest).map(|finding| Judgement::new(finding, format!("largest {largest}"), &[]))
        }
    }

    fn claim(cost: Cost, experiment: &'static dyn AnyExperiment) -> Claim {
        Claim {
            id: "toy",
            form: Form::Printed,
            source: "",
            statement: "",
            assumptions: "",
            drawn: "",
            computed: "",
            refuted_by: "",
            expected: Expectation::Holds,
            cost,
            page: "",
            experiment,
        }
    }

    fn plan() -> SearchPlan {
        SearchPlan::standard(Seed(5)).unwrap()
    }

    fn searched_on(threads: usize, cases: usize, claim: Claim, deadline: Option<Instant>) -> Verdict {
        let plan = SearchPlan { cases, ..plan() };
        let workers = Workers::new(NonZeroUsize::new(threads)).unwrap();
        let mut verdicts = Vec::new();
        plan.run(&[claim], &Stated, deadline, &workers, |searched| {
            verdicts.push(searched.verdict);
            Ok::<(), ()>(())
        })
        .unwrap();
        verdicts.remove(0)
    }

    fn searched(experiment: &'static dyn AnyExperiment) -> Verdict {
        searched_on(2, 100, claim(Cost::Full, experiment), None)
    }

    #[test]
    fn a_false_claim_shrinks_to_the_smallest_number_that_refutes_it() {
        static BELOW_17: Largest = Largest(|n| Ok(if n < 17 { Finding::Agrees } else { Finding::Contradicts }));
        let verdict = searched(&BELOW_17);
        let Verdict::Refuted { tried: 100, contradicting, counterexample, complete: true } = &verdict else {
            panic!("{verdict:?}")
        };
        assert!(*contradicting > 50);
        assert_eq!(
            (counterexample.instance.to_string().as_str(), counterexample.line.as_str()),
            ("[17]", "largest 17")
        );
        assert_eq!(counterexample.numbers, Vec::<Number>::new());
        assert_eq!(verdict.is(Expectation::Refuted), Some(true));
    }

    #[test]
    fn verdicts_and_counterexamples_do_not_depend_on_the_number_of_threads() {
        static ODD: Largest = Largest(|n| Ok(if n % 7 == 0 { Finding::Agrees } else { Finding::Contradicts }));
        let on = |threads| searched_on(threads, 60, claim(Cost::Full, &ODD), None);
        assert_eq!(on(1), on(5));
    }

    #[test]
    fn a_true_claim_holds_and_the_first_unclear_case_is_kept() {
        static TRUE: Largest = Largest(|_| Ok(Finding::Agrees));
        assert_eq!(searched(&TRUE), Verdict::Holds { agreeing: 100, unclear: 0, first_unclear: None });
        static RARELY: Largest = Largest(|n| Ok(if n == 98 { Finding::TooClose } else { Finding::Agrees }));
        let Verdict::Holds { agreeing, unclear, first_unclear: Some(first) } = searched(&RARELY) else { panic!() };
        assert_eq!((agreeing + unclear, first.as_str()), (100, "largest 98"));
    }

    #[test]
    fn too_many_unclear_cases_or_obstacles_leave_it_undecided() {
        static CLOSE: Largest = Largest(|n| Ok(if n % 2 == 0 { Finding::TooClose } else { Finding::Agrees }));
        static BROKEN: Largest = Largest(|_| Err(Obstacle("no disk".to_owned())));
        for (experiment, part) in
            [(&CLOSE, "largest"), (&BROKEN, "100 of 100 cases could not be decided; the first: no disk")]
        {
            let verdict = searched(experiment);
            let Verdict::Undecided { planned: 100, reason, .. } = &verdict else { panic!("{verdict:?}") };
            assert!(reason.contains(part), "{reason}");
            assert_eq!(verdict.is(Expectation::Holds), None);
        }
    }

    #[test]
    fn instances_outside_the_assumptions_are_drawn_again() {
        static LARGE_ONLY: Largest = Largest(|n| Ok(if n < 60 { Finding::Vacuous } else { Finding::Agrees }));
        assert_eq!(searched(&LARGE_ONLY), Verdict::Holds { agreeing: 100, unclear: 0, first_unclear: None });
        static NEVER: Largest = Largest(|_| Ok(Finding::Vacuous));
        let Verdict::Undecided { agreeing: 0, reason, .. } = searched(&NEVER) else { panic!() };
        assert!(reason.contains("no instance met the assumptions"), "{reason}");
        // A counterexample beyond several instances that do not count is found again for shrinking.
        static LATE: Largest = Largest(|n| Ok(if n < 95 { Finding::Vacuous } else { Finding::Contradicts }));
        let Verdict::Refuted { counterexample, .. } = searched(&LATE) else { panic!() };
        assert_eq!(counterexample.instance.to_string(), "[95]");
    }

    #[test]
    fn a_spent_time_is_undecided_never_a_pass() {
        static TRUE: Largest = Largest(|_| Ok(Finding::Agrees));
        let verdict = searched_on(2, 50, claim(Cost::Full, &TRUE), Some(Instant::now()));
        let Verdict::Undecided { agreeing: 0, planned: 50, reason } = verdict else { panic!("{verdict:?}") };
        assert_eq!(reason, "the time was spent after 0 of 50 cases");
        let later = Instant::now() + Duration::from_secs(600);
        assert_eq!(searched_on(2, 50, claim(Cost::Full, &TRUE), Some(later)).name(), "holds");
    }

    #[test]
    fn claims_share_the_time_that_is_left() {
        static SLOW: Largest = Largest(|_| {
            std::thread::sleep(Duration::from_millis(5));
            Ok(Finding::Agrees)
        });
        let (plan, workers) = (SearchPlan { cases: 100_000, ..plan() }, Workers::new(NonZeroUsize::new(2)).unwrap());
        let slow = claim(Cost::Full, &SLOW);
        let mut agreeing = Vec::new();
        let deadline = Some(Instant::now() + Duration::from_millis(400));
        plan.run(&[slow, slow], &Stated, deadline, &workers, |searched| {
            agreeing.push(searched.verdict.cases());
            Ok::<(), ()>(())
        })
        .unwrap();
        assert!(agreeing.len() == 2 && agreeing.iter().all(|cases| *cases > 0), "{agreeing:?}");
    }

    #[test]
    fn a_contradiction_counts_even_where_no_time_is_left_to_shrink_it() {
        static SLOW: Largest = Largest(|_| {
            std::thread::sleep(Duration::from_millis(20));
            Ok(Finding::Contradicts)
        });
        let soon = Instant::now() + Duration::from_millis(50);
        let verdict = searched_on(1, 1_000, claim(Cost::Full, &SLOW), Some(soon));
        let Verdict::Refuted { tried, complete: false, .. } = verdict else { panic!("{verdict:?}") };
        assert!(tried < 1_000);
    }

    #[test]
    fn decisions_by_draws_share_the_failure_probability() {
        static TRUE: Largest = Largest(|_| Ok(Finding::Agrees));
        let plan = SearchPlan { cases: 100, ..SearchPlan::standard(Seed(0)).unwrap() };
        let sampled = claim(Cost::Sampled(10), &TRUE);
        let shrinking = SAMPLED_EFFORT.starts * SAMPLED_EFFORT.steps;
        assert_eq!(plan.sampled_decisions(&[claim(Cost::Full, &TRUE)]), 0);
        assert_eq!(plan.sampled_decisions(&[sampled, claim(Cost::Full, &TRUE), sampled]), 2 * (10 + shrinking));
    }
}
