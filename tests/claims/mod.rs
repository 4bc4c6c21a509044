//! The paper's claims: every verdict, minimal counterexamples, and wrong formulas that must be noticed.

use vaecert::claims::{registry, Claim, Counterexample, Judgement, SearchPlan, Searched, Stated, Theory, Verdict};
use vaecert::seed::Seed;
use vaecert::threads::Workers;

mod broken;
mod pages;
mod replay;
mod verdicts;

/// Cases that are enough for a verdict in a test.
const CASES: usize = 128;

/// These claims, searched.
fn search(claims: &[Claim], theory: &dyn Theory, seed: u64, cases: usize) -> Vec<Searched> {
    // As the program does; results do not depend on it, training's speed does.
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(vaecert::threads::run_products_on_one_thread);
    let plan = SearchPlan { cases, ..SearchPlan::standard(Seed(seed)).unwrap() };
    let mut searched = Vec::new();
    let take = |result| {
        searched.push(result);
        Ok::<(), ()>(())
    };
    plan.run(claims, theory, None, &Workers::new(None).unwrap(), take).unwrap();
    searched
}

/// The verdict on one claim.
fn verdict(id: &str) -> Verdict {
    search(&[registry::find(id).unwrap()], &Stated, 0, CASES).remove(0).verdict
}

fn holds(id: &str) {
    let verdict = verdict(id);
    assert!(matches!(verdict, Verdict::Holds { .. }), "{id}: {verdict:?}");
}

/// A counterexample's file as it would be for this instance.
fn file(id: &str, instance: &serde_json::Value) -> serde_json::Value {
    let statement = registry::find(id).unwrap().statement;
    serde_json::json!({
        "format": 1, "vaecert_version": "0", "claim": id, "statement": statement, "line": "", "numbers": [],
        "instance": instance, "seed": 0, "stream": "x", "failure_probability": 0.01,
    })
}

/// The judgement on an instance made by hand.
fn judged(id: &str, instance: serde_json::Value) -> Judgement {
    let counterexample: Counterexample = serde_json::from_value(file(id, &instance)).unwrap();
    counterexample.replay("by hand".as_ref()).unwrap().1
}

/// The counterexamples of a claim for several seeds: what is minimal must not be luck.
fn counterexamples(id: &str) -> Vec<Counterexample> {
    let counterexample = |seed| match search(&[registry::find(id).unwrap()], &Stated, seed, CASES).remove(0).verdict {
        Verdict::Refuted { counterexample, .. } => *counterexample,
        verdict => panic!("{id}, seed {seed}: {verdict:?}"),
    };
    (0..4).map(counterexample).collect()
}
