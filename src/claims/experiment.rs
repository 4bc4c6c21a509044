//! Experiments behind one type: an instance is drawn and shrunk by proptest, and comes out as JSON.

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde::Deserialize;
use serde_json::Value;

use super::claim::{Experiment, Finding, Judgement, Obstacle, Trial};

/// Instances drawn for one case until one meets the claim's assumptions.
const MAX_DRAWN: usize = 200;

/// What came of one case.
pub(super) struct Tried {
    pub(super) finding: Finding,
    /// What kept it from being decided.
    pub(super) reason: String,
    /// How many instances were drawn before this one.
    pub(super) drawn: usize,
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

    /// An instance as drawn; none where the strategy's own filters reject too much.
    fn draw_value(&self, source: TestRng) -> Option<Value>;

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

    fn draw_value(&self, source: TestRng) -> Option<Value> {
        let tree = draw(&self.instances(), &mut runner(source))?;
        serde_json::to_value(tree.current()).ok()
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
