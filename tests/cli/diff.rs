//! `vaecert diff`: runs against baselines.

use std::path::Path;

use crate::support::{files_below, vaecert, Answer};

fn audit(folder: &Path, out: &str, inputs: &str, more: &[&str]) {
    let effort = ["--draws", "600", "--decision-draws", "400", "--selection-draws", "300", "--steps", "6"];
    let run = ["audit", "--attack", "latent", "--attack-draws", "8", "--out", out, "--inputs", inputs];
    let answer = vaecert(folder, &[&run[..], &effort, more].concat());
    assert!(matches!(answer.code, 0 | 3), "{}", answer.stderr);
}

fn diff(folder: &Path, arguments: &[&str]) -> Answer {
    vaecert(folder, &[&["diff"], arguments].concat())
}

/// Scales every certified bound and margin of a baseline, as a worse or better model would.
fn scale(folder: &Path, from: &str, to: &str, factor: f64) {
    let text = std::fs::read_to_string(folder.join(from)).unwrap();
    let mut baseline: serde_json::Value = serde_json::from_str(&text).unwrap();
    for input in baseline["inputs"].as_array_mut().unwrap() {
        for key in ["certified", "margin"] {
            input[key] = (input[key].as_f64().unwrap() * factor).into();
        }
    }
    baseline["identity"]["model_sha256"] = "another".into();
    std::fs::write(folder.join(to), baseline.to_string()).unwrap();
}

#[test]
fn a_run_is_accepted_as_baseline_and_not_worse_than_itself() {
    let folder = tempfile::tempdir().unwrap();
    audit(folder.path(), "run", "3", &[]);
    let accepted = diff(folder.path(), &["b.json", "run", "--accept"]);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    assert!(accepted.stdout.contains("b.json: the baseline is now 3 inputs of digits"), "{}", accepted.stdout);
    for baseline in ["b.json", "run"] {
        let answer = diff(folder.path(), &[baseline, "run"]);
        assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
        assert!(answer.stdout.contains("3 inputs in both, 0 with other numbers"), "{}", answer.stdout);
    }
    // Accepting the same again changes no byte.
    let before = files_below(folder.path());
    assert_eq!(diff(folder.path(), &["b.json", "run", "--accept"]).code, 0);
    assert_eq!(files_below(folder.path()), before);
}

#[test]
fn a_worse_model_is_a_regression_a_better_one_is_not_and_accepting_moves_the_baseline() {
    let folder = tempfile::tempdir().unwrap();
    audit(folder.path(), "run", "8", &[]);
    assert_eq!(diff(folder.path(), &["same.json", "run", "--accept"]).code, 0);
    scale(folder.path(), "same.json", "better.json", 1.5);
    scale(folder.path(), "same.json", "worse.json", 0.5);
    let worse = diff(folder.path(), &["better.json", "run"]);
    assert_eq!(worse.code, 1, "{}", worse.stdout);
    assert!(
        worse.stdout.contains("another model: another before, ") && worse.stdout.contains("WORSE than the baseline")
    );
    let better = diff(folder.path(), &["worse.json", "run"]);
    assert_eq!(better.code, 0, "{}", better.stdout);
    assert!(better.stdout.contains("certified  better: mean change +"), "{}", better.stdout);
    let accepted = diff(folder.path(), &["better.json", "run", "--accept"]);
    assert_eq!(accepted.code, 0);
    assert!(accepted.stdout.contains("certified  WORSE: mean change -"), "what changed is said\n{}", accepted.stdout);
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("better.json"), bytes("same.json"));
}

#[test]
fn one_pair_is_undecided_and_other_numbers_of_the_same_computation_are_pointed_out() {
    let folder = tempfile::tempdir().unwrap();
    audit(folder.path(), "run", "1", &[]);
    assert_eq!(diff(folder.path(), &["b.json", "run"]).code, 5, "there is no baseline yet");
    assert_eq!(diff(folder.path(), &["b.json", "run", "--accept"]).code, 0);
    let undecided = diff(folder.path(), &["b.json", "run"]);
    assert_eq!(undecided.code, 3, "{}", undecided.stdout);
    let text = std::fs::read_to_string(folder.path().join("b.json")).unwrap();
    let changed = text.replacen("\"certified\":0.", "\"certified\":0.0", 1);
    assert_ne!(changed, text);
    std::fs::write(folder.path().join("b.json"), changed).unwrap();
    let answer = diff(folder.path(), &["b.json", "run"]);
    assert!(answer.stdout.contains("the same computation gave other numbers"), "{}", answer.stdout);
}

#[test]
fn json_has_a_line_per_input_and_one_for_the_comparison() {
    let folder = tempfile::tempdir().unwrap();
    audit(folder.path(), "run", "3", &[]);
    let answer = diff(folder.path(), &["run", "run", "--json"]);
    let lines: Vec<serde_json::Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["before"], lines[0]["after"]);
    assert_eq!(lines[3]["comparison"]["verdict"], "not_shown");
    assert_eq!(lines[3]["comparison"]["changes"][0]["pairs"], 3);
}

#[test]
fn what_must_agree_is_refused_by_name_and_may_be_allowed() {
    let folder = tempfile::tempdir().unwrap();
    audit(folder.path(), "one", "3", &[]);
    audit(folder.path(), "two", "3", &["--seed", "1", "--threat", "joint"]);
    let refused = diff(folder.path(), &["one", "two"]);
    assert_eq!(refused.code, 2);
    for expected in [
        "threat differs (baseline mean, run joint)",
        "seed differs (baseline 0, run 1)",
        "--allow-different threat,seed",
    ] {
        assert!(refused.stderr.contains(expected), "{expected:?} is missing from\n{}", refused.stderr);
    }
    let half = diff(folder.path(), &["one", "two", "--allow-different", "seed"]);
    assert!(half.code == 2 && !half.stderr.contains("seed differs"), "{}", half.stderr);
    let allowed = diff(folder.path(), &["one", "two", "--allow-different", "seed,threat"]);
    assert!(matches!(allowed.code, 0 | 1 | 3) && allowed.stdout.contains("threat differs"), "{}", allowed.stderr);
    // Accepting is how a baseline moves to another configuration.
    assert_eq!(diff(folder.path(), &["b.json", "one", "--accept"]).code, 0);
    let moved = diff(folder.path(), &["b.json", "two", "--accept"]);
    assert!(moved.code == 0 && moved.stdout.contains("seed differs"), "{}", moved.stderr);
    let misspelt = diff(folder.path(), &["one", "two", "--allow-different", "sed"]);
    assert!(misspelt.code == 2 && misspelt.stderr.contains("did you mean \"seed\"?"), "{}", misspelt.stderr);
}

#[test]
fn runs_that_are_not_finished_and_files_that_are_no_baselines_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    audit(folder.path(), "run", "3", &[]);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("notes.json", "[]");
    let refused = |arguments: &[&str], code: i32, fragment: &str| {
        let answer = diff(folder.path(), arguments);
        assert!(answer.code == code && answer.stderr.contains(fragment), "{arguments:?}: {}", answer.stderr);
    };
    refused(&["notes.json", "run"], 5, "expected a baseline");
    // Nothing but a baseline is replaced.
    refused(&["notes.json", "run", "--accept"], 5, "expected a baseline");
    assert_eq!(std::fs::read(folder.path().join("notes.json")).unwrap(), b"[]");
    refused(&["run", "run", "--accept"], 2, "name a file for the baseline");
    refused(&["run", "absent"], 5, "absent");
    let lines = std::fs::read_to_string(folder.path().join("run/inputs.jsonl")).unwrap();
    write("run/inputs.jsonl", &lines[..lines.len() - 5]);
    refused(&["b.json", "run", "--accept"], 2, "2 of 3 inputs are finished");
    assert!(!folder.path().join("b.json").exists());
    write("run/inputs.jsonl", &lines);
    std::fs::remove_file(folder.path().join("run/summary.json")).unwrap();
    refused(&["run", "run"], 2, "there is no summary");
}
