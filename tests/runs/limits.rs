//! Limits of time and draws: what they change, what they do not, and what the records say.

use tempfile::tempdir;
use vaecert::audit::{InputRecord, Outcome};

use super::{program, written, AUDIT, CERTIFY};

fn records(json: &str) -> Vec<InputRecord> {
    json.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_run_whose_time_is_up_is_unfinished_and_resumes_to_the_bytes_of_one_without_a_limit() {
    let folder = tempdir().unwrap();
    for (command, inputs, out) in [(&AUDIT[..], "12", "run"), (&CERTIFY, "12", "c.jsonl")] {
        let whole = format!("whole-{out}");
        assert_eq!(program(folder.path(), command, inputs, &whole, &[]).code, 0);
        let stopped = program(folder.path(), command, inputs, out, &["--time", "1ms"]);
        assert_eq!(stopped.code, 3, "{}", stopped.stderr);
        let expected = "the time is up: 0 of 12 inputs are finished; continue with the same command and --resume";
        assert!(stopped.stderr.contains(expected), "{}", stopped.stderr);
        assert!(!folder.path().join(out).join("summary.json").exists());
        // However often the time is up on the way.
        let mut last = stopped;
        for milliseconds in [300, 400, 500, 600_000] {
            last = program(folder.path(), command, inputs, out, &["--resume", "--time", &format!("{milliseconds}ms")]);
        }
        assert_eq!(last.code, 0, "{}", last.stderr);
        assert_eq!(written(folder.path(), out), written(folder.path(), &whole));
    }
}

#[test]
fn inputs_that_use_up_their_time_are_undecided_and_say_that_this_depends_on_the_machine() {
    let folder = tempdir().unwrap();
    let answer = program(folder.path(), &AUDIT, "2", "run", &["--time-per-input", "1ms", "--json"]);
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    for record in records(&answer.stdout) {
        assert_eq!(record.outcome, Outcome::Undecided);
        let reason = "gave up: the 1ms allowed per input are used up, which depends on the machine";
        assert!(record.reasons.iter().any(|found| found.contains(reason)), "{:?}", record.reasons);
        assert!(record.reasons.iter().all(|found| !found.contains("no attack succeeded")), "{:?}", record.reasons);
        assert!(record.probability.is_some());
    }
    let run = std::fs::read_to_string(folder.path().join("run/run.json")).unwrap();
    assert!(run.contains("\"machine_dependent_milliseconds_per_input\": 1"), "{run}");
    let other = program(folder.path(), &AUDIT, "2", "run", &["--time-per-input", "2ms", "--resume"]);
    assert_eq!(other.code, 2, "{}", other.stderr);

    let answer = program(folder.path(), &CERTIFY, "2", "c.jsonl", &["--time-per-input", "1ms"]);
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    assert!(answer.stdout.contains("UNDECIDED: gave up: the 1ms allowed per input"), "{}", answer.stdout);
    let header = std::fs::read_to_string(folder.path().join("c.jsonl")).unwrap();
    assert!(header.contains("\"machine_dependent_milliseconds_per_input\":1"), "{header}");
    let checked = crate::support::vaecert(folder.path(), &["verify", "c.jsonl"]);
    assert_eq!(checked.code, 3, "{}{}", checked.stdout, checked.stderr);
}

#[test]
fn a_generous_limit_of_time_changes_no_record() {
    let folder = tempdir().unwrap();
    program(folder.path(), &AUDIT, "2", "free", &[]);
    program(folder.path(), &AUDIT, "2", "limited", &["--time-per-input", "1h", "--time", "1h"]);
    let lines = |name: &str| std::fs::read(folder.path().join(name).join("inputs.jsonl")).unwrap();
    assert_eq!(lines("free"), lines("limited"));
}

#[test]
fn draws_are_limited_alike_on_any_number_of_threads() {
    let folder = tempdir().unwrap();
    // 400 draws before the attacks, then 200 for each decision, at least one for each of two attacks: room for one.
    let limited =
        |out: &str, more: &[&str]| program(folder.path(), &AUDIT, "3", out, &[&["--attack", "random"], more].concat());
    let one = limited("one", &["--draws-per-input", "799", "--threads", "1", "--json"]);
    assert_eq!(one.code, 3, "{}", one.stderr);
    let two = limited("two", &["--draws-per-run", "2399", "--threads", "2", "--json"]);
    assert_eq!(one.stdout, two.stdout);
    assert_eq!(written(folder.path(), "one"), written(folder.path(), "two"));
    for record in records(&one.stdout) {
        assert_eq!(record.outcome, Outcome::Undecided);
        assert!(record.attacks.iter().map(|attack| attack.decisions).sum::<u64>() <= 1);
        let reason =
            "gave up: the 799 draws allowed per input are used up; what is stated was found until then and holds";
        assert!(record.reasons.iter().any(|found| found == reason), "{:?}", record.reasons);
    }
    let free = limited("free", &["--draws-per-input", "1000000", "--json"]);
    let unlimited = limited("unlimited", &["--json"]);
    assert_eq!(free.stdout, unlimited.stdout);
}

#[test]
fn limits_that_make_no_sense_are_refused_with_what_would() {
    let folder = tempdir().unwrap();
    for (more, expected) in [
        (&["--draws-per-input", "599"][..], "599 draws per input are not enough: 600"),
        (&["--draws-per-run", "1198"], "599 draws per input are not enough: 600"),
        (&["--draws-per-run", "9999", "--draws-per-input", "9999"], "cannot be used with"),
        (&["--time", "5"], "such as 90s, 15m, 2h"),
        (&["--time-per-input", "0s"], "such as 90s, 15m, 2h"),
    ] {
        let refused = program(folder.path(), &AUDIT, "2", "run", more);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
    assert!(!folder.path().join("run").exists());
}
