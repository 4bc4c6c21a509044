//! Every output that programs read is valid by the schema that the program prints of it, and by no looser one.

use std::collections::BTreeSet;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{json, Value};

use crate::support::{quick, vaecert, vaecert_where, Answer};

fn schema(name: &str) -> Value {
    let answer = vaecert(Path::new("."), &["schema", name]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    serde_json::from_str(&answer.stdout).unwrap()
}

fn validator(name: &str) -> Validator {
    jsonschema::validator_for(&schema(name)).unwrap()
}

/// Every value is valid. Then none is any longer once it has a field more somewhere, or a field of the wrong kind.
fn hold(name: &str, values: &[Value]) {
    let validator = validator(name);
    assert!(!values.is_empty(), "{name}: nothing to validate");
    for value in values {
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}\n{value:#}");
        for pointer in objects(value) {
            // Free form: whatever decides an instance, and what a question called itself.
            if pointer.contains("/instance") || pointer.starts_with("/id") {
                continue;
            }
            let mut more = value.clone();
            more.pointer_mut(&pointer).unwrap()["unheard_of"] = json!(1);
            assert!(!validator.is_valid(&more), "{name}: a field too much at {pointer:?} is valid\n{value:#}");
        }
        let first = value.as_object().and_then(|fields| fields.keys().next()).unwrap().clone();
        let mut wrong = value.clone();
        wrong[&first] = json!({ "wrong": true });
        assert!(!validator.is_valid(&wrong), "{name}: {first} may be anything");
    }
}

/// Where a value has objects.
fn objects(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                open.extend(fields.iter().map(|(key, value)| (format!("{pointer}/{key}"), value)));
                found.push(pointer);
            }
            Value::Array(values) => {
                open.extend(values.iter().enumerate().map(|(place, value)| (format!("{pointer}/{place}"), value)));
            }
            _ => {}
        }
    }
    found
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run(folder: &Path, arguments: &[&str], codes: &[i32]) -> Answer {
    let answer = vaecert(folder, arguments);
    assert!(codes.contains(&answer.code), "{arguments:?}: {}\n{}", answer.code, answer.stderr);
    answer
}

fn file(folder: &Path, name: &str) -> Vec<Value> {
    lines(&std::fs::read_to_string(folder.join(name)).unwrap())
}

fn document(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

const FEW_DRAWS: [&str; 4] = ["--selection-draws", "300", "--draws", "600"];

/// The outputs validated below, and in `a_fetched_data_set` where the program can fetch.
const VALIDATED: [&str; 18] = [
    "audit",
    "run",
    "summary",
    "certificate",
    "certificate-summary",
    "verify",
    "check",
    "diff",
    "baseline",
    "report",
    "replay",
    "linearization",
    "gamma-sum",
    "claims",
    "claims-list",
    "claims-replay",
    "counterexample",
    "training",
];

#[test]
fn every_output_has_a_schema_that_is_one_and_is_tested_here() {
    let listed = vaecert(Path::new("."), &["schema"]).stdout;
    let names: BTreeSet<&str> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let mut expected = BTreeSet::from(VALIDATED);
    if cfg!(feature = "fetch") {
        expected.insert("data-fetch");
    }
    assert_eq!(names, expected);
    for name in names {
        let schema = schema(name);
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(schema["title"], format!("vaecert {name}"));
    }
    let unknown = vaecert(Path::new("."), &["schema", "adit"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("did you mean \"audit\"? known: audit, run"), "{}", unknown.stderr);
}

#[test]
fn runs_their_reports_and_baselines() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let audit = run(at, &quick(&["--json", "--out", "run", "--box", "-1,2"]), &[0, 3]);
    // A limit, a failure outside the box, an affine model: fields that are rarely there.
    let limited = run(at, &quick(&["--json", "--out", "limited", "--draws-per-input", "1400", "--shard", "0/2"]), &[3]);
    let outside = run(at, &quick(&["--json", "--out", "outside", "--box", "0,0.5"]), &[3]);
    let train = ["train", "--data", "gaussian:4,1", "--architecture", "linear", "--latent-dim", "1", "--epochs", "2"];
    run(at, &[&train[..], &["--out", "linear.safetensors"]].concat(), &[0]);
    let linear = ["--model", "linear.safetensors", "--data", "gaussian:4,1", "--protocol", "paper", "--r", "2"];
    let affine = run(at, &quick(&[&linear[..], &["--json", "--out", "affine"]].concat()), &[0, 1, 3]);
    let all = [&audit, &limited, &outside, &affine].map(|answer| lines(&answer.stdout)).concat();
    assert!(all.iter().any(|record| record["gave_up"] == true && record["exact_margin"].is_null()));
    assert!(
        all.iter().any(|record| record["outcome"] == "failed") && all.iter().any(|r| r["exact_margin"].is_object())
    );
    hold("audit", &all);
    hold("training", &file(at, "linear.safetensors.metrics.jsonl"));
    let folders = ["run", "limited", "outside", "affine"];
    hold("run", &folders.map(|name| document(at, &format!("{name}/run.json"))));
    hold("summary", &folders.map(|name| document(at, &format!("{name}/summary.json"))));
    hold("report", &folders.map(|name| lines(&run(at, &["report", name, "--format", "json"], &[0]).stdout)).concat());
    hold("replay", &lines(&run(at, &["replay", "run", "--draws", "500", "--json"], &[0, 1, 3]).stdout));
    run(at, &["diff", "base.json", "run", "--accept"], &[0]);
    hold("baseline", &[document(at, "base.json")]);
    let other = run(at, &quick(&["--json", "--out", "other", "--seed", "5", "--box", "-1,2"]), &[0, 3]);
    assert!(!other.stdout.is_empty());
    let diff = run(at, &["diff", "base.json", "other", "--allow-different", "seed", "--json"], &[0, 1, 3]);
    hold("diff", &lines(&diff.stdout));
}

#[test]
fn certificates_and_what_is_said_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let certify = |more: &[&str], codes: &[i32]| {
        run(at, &[&["certify", "--inputs", "2", "--json"][..], &FEW_DRAWS, more].concat(), codes)
    };
    let whole = certify(&["--out", "c.jsonl"], &[0]);
    // Nothing is claimed for an r that is never met.
    let abstained = certify(&["--out", "a.jsonl", "--r", "0.001", "--time-per-input", "1h"], &[3]);
    certify(&["--out", "0.jsonl", "--shard", "0/2"], &[0]);
    certify(&["--out", "1.jsonl", "--shard", "1/2"], &[0]);
    hold("certificate", &[lines(&whole.stdout), lines(&abstained.stdout), file(at, "0.jsonl")].concat());
    assert_eq!(file(at, "c.jsonl"), lines(&whole.stdout));
    let merged = run(at, &["merge", "0.jsonl", "1.jsonl", "--out", "m.jsonl", "--json"], &[0]);
    hold("certificate-summary", &lines(&merged.stdout));
    let verified = run(at, &["verify", "c.jsonl", "--fresh", "3", "--json"], &[0]);
    let nothing = run(at, &["verify", "a.jsonl", "--json"], &[3]);
    hold("verify", &[lines(&verified.stdout), lines(&nothing.stdout)].concat());
}

#[test]
fn policies_and_their_findings() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["passing", "failing"] {
        let policy = format!("{}/fixtures/policies/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let answer = vaecert(folder.path(), &["check", "--policy", &policy, "--json"]);
        hold("check", &lines(&answer.stdout));
    }
}

#[test]
fn answers_about_gamma_sums() {
    let here = Path::new(".");
    let form = ["gamma-sum", "--json", "--eigenvalues", "1,0.5"];
    let asked = ["--at", "0,2.3", "--quantile", "0.5", "--survival-quantile", "1e-6", "--moments", "--cross-check"];
    let answers = run(here, &[&form[..], &asked].concat(), &[0]);
    // A density without a bound, and a cross-check out of reach.
    let chi = run(here, &["gamma-sum", "--json", "--eigenvalues", "1", "--at", "0", "--cross-check"], &[0]);
    let questions = b"{\"id\": {\"a\": 1}, \"lambdas\": [1], \"q\": 1}\nnonsense\n";
    let lines_of_stdin = crate::support::vaecert_reading(&["gamma-sum"], questions);
    assert_eq!(lines_of_stdin.code, 5);
    hold("gamma-sum", &[&answers, &chi, &lines_of_stdin].map(|answer| lines(&answer.stdout)).concat());
}

#[test]
fn claims_and_the_linearisation() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let some = run(at, &["claims", "--only", "P1,Q", "--cases", "40", "--out", "e", "--json"], &[0, 1, 3]);
    let spent = run(at, &["claims", "--only", "P1", "--time-limit", "1e-9", "--runs-dir", "r", "--json"], &[1, 3]);
    let all = [lines(&some.stdout), lines(&spent.stdout)].concat();
    for verdict in ["holds", "refuted", "undecided"] {
        assert!(all.iter().any(|line| line["verdict"] == verdict), "{verdict}");
    }
    hold("claims", &all);
    hold("claims-list", &lines(&run(at, &["claims", "--list", "--json"], &[0]).stdout));
    hold("counterexample", &[document(at, "e/P1-necessary.json")]);
    let replayed = run(at, &["claims", "--replay", "e/P1-necessary.json", "--json"], &[0]);
    hold("claims-replay", &lines(&replayed.stdout));
    let linearization = ["linearization", "--inputs", "2", "--draws", "200", "--scales", "1,0.5", "--json"];
    hold("linearization", &lines(&run(at, &linearization, &[0]).stdout));
}

#[cfg(feature = "fetch")]
#[test]
fn a_fetched_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    std::fs::create_dir(&from).unwrap();
    let record = [&[3][..], &[52; 3072]].concat();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        std::fs::write(from.join(format!("{name}.bin")), &record).unwrap();
    }
    let arguments = ["data", "fetch", "cifar10", "--base-url", "from", "--json"];
    let answer = vaecert_where(folder.path(), &arguments, &[]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    hold("data-fetch", &lines(&answer.stdout));
}
