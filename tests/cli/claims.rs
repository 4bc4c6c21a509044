//! `vaecert claims` and `vaecert explain` as users and CI see them.

use std::time::Duration;

use vaecert::claims::{registry, Claim, Counterexample, Expectation, SearchPlan, Searched, Stated, Verdict, REGISTRY};
use vaecert::cli::claims::report::{self, Format};
use vaecert::seed::Seed;
use vaecert::threads::Workers;

use crate::support::{files_below, vaecert};

/// Claims whose results are the same on every machine: decided in few operations or by exact arithmetic.
const EXACT: [&str; 6] =
    ["T1-eq22", "T1-eq22-reversed", "P1-necessary", "P1-invertible", "T2-limit", "D1-r-grows-small"];

fn plan() -> SearchPlan {
    SearchPlan { cases: 40, ..SearchPlan::standard(Seed(0)).unwrap() }
}

/// A fixed seed, and times set to a fixed value.
fn results() -> Vec<Searched> {
    let claims: Vec<Claim> = EXACT.iter().map(|id| registry::find(id).unwrap()).collect();
    let mut results = Vec::new();
    let take = |searched| {
        results.push(Searched { elapsed: Duration::from_millis(1_250), ..searched });
        Ok::<(), ()>(())
    };
    plan().run(&claims, &Stated, None, &Workers::new(None).unwrap(), take).unwrap();
    // The kinds of verdict that these claims do not have.
    let with = |id: &str, verdict| {
        let claim = registry::find(id).unwrap();
        Searched { claim, verdict, elapsed: Duration::from_secs(75) }
    };
    let unclear = Some("β = 2 | made up: 1.0 against 1.0".to_owned());
    results.push(with("T2-posterior", Verdict::Holds { agreeing: 38, unclear: 2, first_unclear: unclear }));
    results.push(with("T2-variance", Verdict::Holds { agreeing: 40, unclear: 0, first_unclear: None }));
    let reason = "the time was spent after 3 of 40 cases".to_owned();
    results.push(with("T1-linear", Verdict::Undecided { agreeing: 3, planned: 40, reason }));
    results
}

fn printed(format: Format) -> String {
    let (plan, results) = (plan(), results());
    let rows: String = results.iter().map(|result| report::row(result, format).unwrap()).collect();
    let summary = report::summary(&plan, &results, "evidence".as_ref(), format).unwrap();
    format!("{}{rows}{summary}", report::heading(&plan, format))
}

#[test]
fn the_table_of_claims() {
    insta::assert_snapshot!(printed(Format::Table));
}

#[test]
fn claims_as_json() {
    insta::assert_snapshot!(printed(Format::Json));
}

#[test]
fn claims_as_markdown() {
    insta::assert_snapshot!(printed(Format::Markdown));
}

#[test]
fn the_list_of_claims() {
    insta::assert_snapshot!(report::list(REGISTRY, Format::Table).unwrap());
    for format in [Format::Json, Format::Markdown] {
        let list = report::list(REGISTRY, format).unwrap();
        assert!(REGISTRY.iter().all(|claim| list.contains(claim.id) && list.contains(claim.source)));
    }
}

#[test]
fn an_explanation_is_the_page_and_the_search() {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert(folder.path(), &["explain", "T2-variance"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stdout.starts_with("# T2-variance: "));
    let page = include_str!("../../proofs/T2-variance.md");
    for line in page.lines().filter(|line| !line.contains("](")) {
        assert!(answer.stdout.contains(line), "{line}");
    }
    assert!(page.contains("](T2-variance-linear.md)") && !answer.stdout.contains("]("), "links are for files");
    for part in ["## The search", "* Recorded verdict: refuted (printed)", "* Drawn: ", "* Refuted by: "] {
        assert!(answer.stdout.contains(part), "{part}");
    }
    let amended = vaecert(folder.path(), &["explain", "T2-variance-linear"]);
    assert!(amended.stdout.contains("(amended, belongs to T2-variance)"), "{}", amended.stdout);
}

#[test]
fn a_search_saves_counterexamples_that_replay() {
    let folder = tempfile::tempdir().unwrap();
    let search = ["claims", "--only", "T1-eq22,P1", "--cases", "40", "--out", "evidence"];
    let answer = vaecert(folder.path(), &search);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let saved: Vec<String> = files_below(&folder.path().join("evidence")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(saved, ["P1-invertible.json", "P1-necessary.json", "T1-eq22.json"]);
    for name in &saved {
        let replayed = vaecert(folder.path(), &["claims", "--replay", &format!("evidence/{name}")]);
        assert_eq!(replayed.code, 0, "{}{}", replayed.stdout, replayed.stderr);
        assert!(replayed.stdout.contains("outcome   contradicts the claim"), "{}", replayed.stdout);
    }
    let json = vaecert(folder.path(), &["claims", "--replay", "evidence/T1-eq22.json", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((value["claim"].as_str(), value["finding"].as_str()), (Some("T1-eq22"), Some("contradicts")));

    let again = vaecert(folder.path(), &search);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("exists; replace counterexamples with --overwrite"), "{}", again.stderr);
    let before = files_below(&folder.path().join("evidence"));
    assert_eq!(vaecert(folder.path(), &[&search[..], &["--overwrite"]].concat()).code, 0);
    assert_eq!(files_below(&folder.path().join("evidence")), before);

    // A harmless instance in the file's place: the replay says so.
    let path = folder.path().join("evidence/P1-necessary.json");
    let mut counterexample: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    counterexample["instance"]["radius_factor"] = serde_json::json!(3.0);
    std::fs::write(&path, counterexample.to_string()).unwrap();
    let harmless = vaecert(folder.path(), &["claims", "--replay", "evidence/P1-necessary.json"]);
    assert_eq!(harmless.code, 1);
    assert!(harmless.stdout.contains("does not contradict the claim"), "{}", harmless.stdout);
    assert!(harmless.stdout.contains("note      the line or the numbers saved"), "{}", harmless.stdout);
    // Just above √2, where the printed claim is right: never a contradiction.
    counterexample["instance"]["radius_factor"] = serde_json::json!(1.414_213_563);
    std::fs::write(&path, counterexample.to_string()).unwrap();
    assert_eq!(vaecert(folder.path(), &["claims", "--replay", "evidence/P1-necessary.json"]).code, 1);
    // A search that finds nothing leaves no counterexample of an earlier one behind.
    let fruitless = ["claims", "--only", "P1-sufficient,T1-eq22", "--cases", "40", "--out", "evidence", "--overwrite"];
    std::fs::write(folder.path().join("evidence/P1-sufficient.json"), b"stale").unwrap();
    assert_eq!(vaecert(folder.path(), &fruitless).code, 0);
    assert!(!folder.path().join("evidence/P1-sufficient.json").exists() && path.exists());
}

#[test]
fn an_instance_written_by_hand_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let instance = r#"{"format": 1, "claim": "T1-eq22", "instance": {"jacobian": [[1, 0]], "perturbation": [0, 2]}}"#;
    std::fs::write(folder.path().join("mine.json"), instance).unwrap();
    let answer = vaecert(folder.path(), &["claims", "--replay", "mine.json"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stdout.contains("‖δ‖ = 2") && !answer.stdout.contains("note "), "{}", answer.stdout);
    let vacuous = instance.replace("[[1, 0]]", "[[0, 0]]");
    std::fs::write(folder.path().join("mine.json"), vacuous).unwrap();
    let answer = vaecert(folder.path(), &["claims", "--replay", "mine.json"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.contains("found     J = 0\n"), "{}", answer.stdout);
}

#[test]
fn two_searches_at_once_in_one_folder_both_end_well() {
    let folder = tempfile::tempdir().unwrap();
    let search = || vaecert(folder.path(), &["claims", "--only", "P1,T1-eq22", "--cases", "30"]);
    std::thread::scope(|scope| {
        let both = [scope.spawn(search), scope.spawn(search)].map(|thread| thread.join().unwrap());
        for answer in both {
            assert_eq!(answer.code, 0, "{}", answer.stderr);
        }
    });
    assert_eq!(files_below(&folder.path().join("vaecert-runs")).len(), 3);
}

#[test]
fn one_thread_and_three_print_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let on = |threads: &str| {
        let answer = vaecert(folder.path(), &["claims", "--cases", "24", "--json", "--threads", threads]);
        assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
        answer.stdout
    };
    let one = on("1");
    assert_eq!(one, on("3"));
    let lines: Vec<serde_json::Value> = one.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), REGISTRY.len() + 1);
    assert_eq!(lines[REGISTRY.len()]["summary"]["as_recorded"], REGISTRY.len());
    for (line, claim) in lines.iter().zip(REGISTRY) {
        assert_eq!(line["claim"], claim.id);
        assert_eq!(line["counterexample"].is_object(), claim.expected == Expectation::Refuted);
    }
    // What is saved by default is what is printed.
    let runs = files_below(&folder.path().join("vaecert-runs"));
    let saved: Counterexample = serde_json::from_slice(&runs[0].1).unwrap();
    assert!(lines.iter().any(|line| line["counterexample"] == serde_json::to_value(&saved).unwrap()));
}

#[test]
fn a_spent_time_ends_as_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let limited = ["claims", "--only", "T1-linear", "--cases", "100000", "--time-limit", "0.2"];
    let answer = vaecert(folder.path(), &limited);
    assert_eq!(answer.code, 3, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stdout.contains("the time was spent after"), "{}", answer.stdout);
    assert!(answer.stdout.contains("1 undecided (T1-linear)"), "{}", answer.stdout);
    assert!(!folder.path().join("vaecert-runs").exists(), "no folder without a counterexample");
}

#[test]
fn another_seed_draws_other_instances() {
    let folder = tempfile::tempdir().unwrap();
    let contradicting = |seed: &str| {
        let answer = vaecert(folder.path(), &["claims", "--only", "T2-limit", "--json", "--seed", seed]);
        let line: serde_json::Value = serde_json::from_str(answer.stdout.lines().next().unwrap()).unwrap();
        line["contradicting"].as_u64().unwrap()
    };
    assert_ne!(contradicting("0"), contradicting("1"));
}
