//! `vaecert check`: policies as a job of continuous integration runs them.

use std::path::Path;

use super::junit::{read, TestCase};
use crate::support::{quick, vaecert, vaecert_where, Answer};

fn fixture(name: &str) -> String {
    format!("{}/fixtures/policies/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

fn check(folder: &Path, name: &str, more: &[&str]) -> Answer {
    vaecert(folder, &[&["check", "--policy", &fixture(name)], more].concat())
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_passing_a_failing_and_an_undecided_policy_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, code, expected) in [
        ("passing", 0, "7 requirements: 7 passed, 0 failed, 0 undecided"),
        ("failing", 1, "FAILED     certified at radius 2    ≥ 0.75 of inputs  0 of 4 certified, 4 refuted, 0 neither"),
        (
            "undecided",
            3,
            "UNDECIDED  certified at radius 0.3  ≥ 0.75 of inputs  0 of 4 certified, 0 refuted, 4 neither",
        ),
    ] {
        let answer = check(folder.path(), name, &[]);
        assert_eq!(answer.code, code, "{name}\n{}{}", answer.stdout, answer.stderr);
        assert!(answer.stdout.contains(expected), "{expected:?} is missing from\n{}", answer.stdout);
        assert!(!answer.stdout.contains("::"), "no annotations outside GitHub");
    }
}

#[test]
fn the_example_is_printed_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let example = vaecert(folder.path(), &["check", "--example"]);
    assert_eq!((example.code, example.stderr.as_str()), (0, ""));
    std::fs::write(folder.path().join("vaecert.toml"), example.stdout).unwrap();
    let answer = vaecert(folder.path(), &["check"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn a_check_audits_as_an_audit_does() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "inputs = 3\ndraws = 600\ndecision_draws = 400\nselection_draws = 300\nsteps = 6\nattack_draws = 8\n\
                  [require]\nalarms_at_most = 0\n";
    std::fs::write(folder.path().join("vaecert.toml"), policy).unwrap();
    assert_eq!(vaecert(folder.path(), &["check", "--out", "a"]).code, 0);
    assert_eq!(vaecert(folder.path(), &quick(&["--out", "b"])).code, 0);
    for name in ["run.json", "inputs.jsonl", "summary.json"] {
        assert_eq!(text(folder.path(), &format!("a/{name}")), text(folder.path(), &format!("b/{name}")), "{name}");
    }
    // A finished run is judged again without computing, by other requirements too.
    std::fs::write(folder.path().join("vaecert.toml"), policy.replace("alarms", "failed")).unwrap();
    let again = vaecert(folder.path(), &["check", "--out", "b", "--resume"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("3 of 3 inputs taken from b"), "{}", again.stderr);
    let refused = vaecert(folder.path(), &["check", "--out", "b"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("already holds a run"), "{}", refused.stderr);
    assert_eq!(vaecert(folder.path(), &["check", "--out", "b", "--overwrite"]).code, 0);
}

#[test]
fn paths_in_a_policy_are_found_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("ci/models")).unwrap();
    std::fs::create_dir_all(folder.path().join("elsewhere")).unwrap();
    let model = format!("{}/fixtures/models/digits.safetensors", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(model, folder.path().join("ci/models/m.safetensors")).unwrap();
    let policy = format!("model = 'models/m.safetensors'\n{}", std::fs::read_to_string(fixture("passing")).unwrap());
    std::fs::write(folder.path().join("ci/p.toml"), policy).unwrap();
    let answer = vaecert(&folder.path().join("elsewhere"), &["check", "--policy", "../ci/p.toml", "--out", "run"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    // And the perturbations can be replayed from yet another one.
    assert_eq!(vaecert(folder.path(), &["replay", "elsewhere/run", "--draws", "2000"]).code, 0);
}

#[test]
fn junit_reports_are_valid_and_say_which_requirement_is_not_met() {
    let folder = tempfile::tempdir().unwrap();
    let report = |name: &str| {
        check(folder.path(), name, &["--junit", "j.xml"]);
        read(&text(folder.path(), "j.xml"))
    };
    assert!(report("passing").iter().all(|case| case.problem.is_none()));
    let problem = |kind: &str, of: &str, name: &str, message: &str| TestCase {
        name: name.to_owned(),
        problem: Some((kind.to_owned(), of.to_owned(), message.to_owned())),
    };
    let passed = |name: &str| TestCase { name: name.to_owned(), problem: None };
    let failed = "certified at radius 2: required ≥ 0.75 of inputs, found 0 of 4 certified, 4 refuted, 0 neither";
    let expected = [
        passed("certified at radius 0.1 ≥ 0.75 of inputs"),
        problem("failure", "failed", "certified at radius 2 ≥ 0.75 of inputs", failed),
        passed("alarms ≤ 0"),
    ];
    assert_eq!(report("failing"), expected);
    let undecided = report("undecided");
    assert_eq!(undecided[0].problem.as_ref().map(|problem| (&*problem.0, &*problem.1)), Some(("error", "undecided")));
    // The same findings, the same bytes.
    let before = text(folder.path(), "j.xml");
    report("undecided");
    assert_eq!(text(folder.path(), "j.xml"), before);
}

#[test]
fn inputs_whose_computation_fails_count_against_and_are_said_to_have_failed() {
    let folder = tempfile::tempdir().unwrap();
    // Pixels lie outside this box, so that no input can be audited.
    let policy = std::fs::read_to_string(fixture("passing")).unwrap().replace("inputs = 4", "inputs = 2\nbox = [2, 3]");
    std::fs::write(folder.path().join("vaecert.toml"), policy).unwrap();
    let answer = vaecert(folder.path(), &["check", "--junit", "j.xml"]);
    let reason = "note: input 0 failed: coordinate 0 of the input is ";
    assert!(answer.stdout.contains(reason), "{}", answer.stdout);
    // failed_at_most = 0 is failed; nothing else can be decided, and nothing passes.
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    let cases = read(&text(folder.path(), "j.xml"));
    let kinds: Vec<&str> = cases.iter().map(|case| case.problem.as_ref().map_or("", |problem| &problem.1)).collect();
    let broken = "computation failed";
    assert_eq!(kinds, [broken, broken, broken, broken, broken, broken, "failed"], "{}", answer.stdout);
}

#[test]
fn an_audit_that_ends_early_leaves_no_old_report_standing() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "data = 'mnist'\ndata_dir = 'absent'\n[require]\nalarms_at_most = 0\n";
    std::fs::write(folder.path().join("vaecert.toml"), policy).unwrap();
    std::fs::write(folder.path().join("j.xml"), "an old report").unwrap();
    assert_eq!(vaecert(folder.path(), &["check", "--junit", "j.xml"]).code, 5);
    let cases = read(&text(folder.path(), "j.xml"));
    let (element, kind, message) = cases[0].problem.as_ref().unwrap();
    assert_eq!((cases.len(), element.as_str(), kind.as_str()), (1, "error", "not audited"));
    assert!(message.contains("absent"), "{message}");
    // A policy that makes no sense has no requirements to list.
    std::fs::write(folder.path().join("vaecert.toml"), "").unwrap();
    let github = vaecert_where(folder.path(), &["check", "--junit", "j.xml"], &[("GITHUB_ACTIONS", "true")]);
    assert_eq!(github.code, 2);
    assert!(github
        .stdout
        .starts_with("::error file=vaecert.toml,title=vaecert check::vaecert.toml: nothing is required"));
    let cases = read(&text(folder.path(), "j.xml"));
    assert!(cases.len() == 1 && cases[0].name == "policy" && cases[0].problem.is_some(), "{cases:?}");
}

#[test]
fn on_github_findings_are_annotations_and_a_summary_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a,b:c.toml");
    std::fs::copy(fixture("failing"), &path).unwrap();
    let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "page.md")];
    std::fs::write(folder.path().join("page.md"), "above\n").unwrap();
    let answer = vaecert_where(folder.path(), &["check", "--policy", "a,b:c.toml", "--summary", "s.md"], &github);
    assert_eq!(answer.code, 1);
    let commands: Vec<&str> = answer.stdout.lines().filter(|line| line.starts_with("::")).collect();
    let expected = "::error file=a%2Cb%3Ac.toml,line=12,title=failed%3A certified at radius 2 ≥ 0.75 of inputs::certified at \
                    radius 2: required ≥ 0.75 of inputs, found 0 of 4 certified, 4 refuted, 0 neither%0Aagainst: inputs 0, 1, 2, 3";
    assert_eq!(commands, [expected]);
    let summary = text(folder.path(), "s.md");
    assert!(summary.starts_with("### vaecert check: failed\n\na,b:c.toml · "), "{summary}");
    assert!(summary.contains(
        "| certified at radius 2 | ≥ 0.75 of inputs | 0 of 4 certified, 4 refuted, 0 neither | **failed** |\n"
    ));
    assert_eq!(text(folder.path(), "page.md"), format!("above\n{summary}"));
    std::fs::copy(fixture("undecided"), &path).unwrap();
    let json = vaecert_where(folder.path(), &["check", "--policy", "a,b:c.toml", "--json"], &github);
    assert_eq!(json.code, 3);
    assert!(json.stderr.contains("::warning file="), "{}", json.stderr);
    for line in json.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!(json.stdout.lines().count(), 2);
}
