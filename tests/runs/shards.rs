//! Shards: parts of one run that are joined to its bytes, and refused where they are not all of one run.

use std::path::Path;

use tempfile::tempdir;

use super::{program, written, AUDIT, CERTIFY};
use crate::support::{vaecert, Answer};

/// Runs every shard of `count` into `NAME-K` and returns their names, the last one first.
fn shards(folder: &Path, command: &[&str], inputs: &str, name: &str, count: usize) -> Vec<String> {
    let run = |index: usize| {
        let (out, shard) = (format!("{name}-{index}"), format!("{index}/{count}"));
        let answer = program(folder, command, inputs, &out, &["--shard", &shard]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        out
    };
    (0..count).rev().map(run).collect()
}

fn merge(folder: &Path, shards: &[&str], out: &str) -> Answer {
    vaecert(folder, &[&["merge"], shards, &["--out", out]].concat())
}

fn names(shards: &[String]) -> Vec<&str> {
    shards.iter().map(String::as_str).collect()
}

#[test]
fn four_shards_and_three_join_to_the_bytes_of_one_run() {
    let folder = tempdir().unwrap();
    for (command, kind) in [(&AUDIT[..], "audit"), (&CERTIFY, "certify")] {
        let one = format!("{kind}-one");
        let alone = program(folder.path(), command, "10", &one, &[]);
        assert_eq!(alone.code, 0, "{}", alone.stderr);
        for count in [4, 3] {
            let shards = shards(folder.path(), command, "10", &format!("{kind}-{count}"), count);
            let out = format!("{kind}-{count}-joined");
            let joined = merge(folder.path(), &names(&shards), &out);
            assert_eq!(joined.code, 0, "{}", joined.stderr);
            assert_eq!(written(folder.path(), &out), written(folder.path(), &one), "{count} shards of {kind}");
            // It says what the run itself says.
            let last = |text: &str| text.lines().filter(|line| line.contains("inputs:")).collect::<String>();
            assert!(!last(&joined.stdout).is_empty());
            assert_eq!(last(&joined.stdout), last(&alone.stdout));
        }
    }
    // What was joined is a run like any other.
    assert_eq!(vaecert(folder.path(), &["replay", "audit-4-joined"]).code, 0);
    assert_eq!(vaecert(folder.path(), &["verify", "certify-3-joined"]).code, 0);
}

#[test]
fn a_shard_on_its_own_can_be_replayed_verified_and_resumed() {
    let folder = tempdir().unwrap();
    shards(folder.path(), &AUDIT, "5", "run", 2);
    let replayed = vaecert(folder.path(), &["replay", "run-1"]);
    assert_eq!(replayed.code, 0, "{}{}", replayed.stdout, replayed.stderr);
    shards(folder.path(), &CERTIFY, "5", "c", 2);
    let verified = vaecert(folder.path(), &["verify", "c-1"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    assert!(verified.stdout.contains("3 verified"), "{}", verified.stdout);
    for (command, out, shard) in [(&AUDIT[..], "run-1", "1/2"), (&CERTIFY, "c-1", "1/2")] {
        let resumed = program(folder.path(), command, "5", out, &["--resume", "--shard", shard]);
        assert!(resumed.stderr.contains("3 of 3 inputs taken"), "{}", resumed.stderr);
        assert!(resumed.stdout.contains("shard 1/2 of 5 inputs"), "{}", resumed.stdout);
        let other = program(folder.path(), command, "5", out, &["--resume", "--shard", "0/2"]);
        assert_eq!(other.code, 2, "{}", other.stderr);
    }
    // Each input's share of the failure probability is that of the whole run.
    program(folder.path(), &AUDIT, "5", "one", &[]);
    let lines = |name: &str| std::fs::read_to_string(folder.path().join(name).join("inputs.jsonl")).unwrap();
    assert_eq!(lines("run-0") + &lines("run-1"), lines("one"));
}

#[test]
fn shards_that_are_not_all_of_one_run_are_refused_by_name_and_nothing_is_written() {
    let folder = tempdir().unwrap();
    for (command, kind) in [(&AUDIT[..], "audit"), (&CERTIFY, "certify")] {
        let found = shards(folder.path(), command, "4", kind, 3);
        let [two, one, zero] = names(&found)[..] else { panic!() };
        let other = |more: &[&str], out: &str| {
            program(folder.path(), command, "4", &format!("{kind}-{out}"), more);
            format!("{kind}-{out}")
        };
        let seed = other(&["--shard", "1/3", "--seed", "9"], "seed");
        let count = other(&["--shard", "1/2"], "count");
        let whole = other(&[], "whole");
        let limited = other(&["--shard", "1/3", "--time-per-input", "1h"], "limited");
        let unfinished = other(&["--shard", "1/3", "--time", "1ms"], "unfinished");
        let refuses = |shards: &[&str], code: i32, expected: &[&str]| {
            let refused = merge(folder.path(), shards, "out");
            assert_eq!(refused.code, code, "{shards:?}: {}", refused.stderr);
            assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
            for text in expected {
                assert!(refused.stderr.contains(text), "{text:?} is missing from {}", refused.stderr);
            }
            assert!(!folder.path().join("out").exists());
        };
        refuses(&[zero, two], 2, &["shard 1/3 is missing", "2 of 3"]);
        refuses(&[zero, one, two, one], 2, &["are both shard 1/3"]);
        refuses(&[zero, &seed, two], 2, &[&seed, zero, "seed is 9, not 0"]);
        refuses(&[zero, &count, two], 2, &[&count, "shard.count is 2, not 3"]);
        refuses(
            &[zero, &limited, two],
            2,
            &[&limited, "machine_dependent_milliseconds_per_input is 3600000, not null"],
        );
        refuses(&[zero, &whole, two], 2, &[&whole, "is a whole run, not a shard"]);
        refuses(&[zero, &unfinished, two], 3, &[&unfinished, "shard 1/3 is unfinished: 0 of 1 inputs", "--resume"]);
        refuses(&[zero, "absent", two], 5, &["absent"]);
        let into_itself = vaecert(folder.path(), &["merge", zero, one, two, "--out", one, "--overwrite"]);
        assert_eq!(into_itself.code, 2, "{}", into_itself.stderr);
        assert!(into_itself.stderr.contains("is one of the shards"), "{}", into_itself.stderr);
    }
}

#[test]
fn a_damaged_shard_is_not_joined() {
    let folder = tempdir().unwrap();
    let found = shards(folder.path(), &AUDIT, "4", "run", 2);
    let path = folder.path().join("run-1/perturbations/000003.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let refused = merge(folder.path(), &names(&found), "out");
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("1 of 2 inputs") && refused.stderr.contains("000003"), "{}", refused.stderr);
    std::fs::write(&path, &bytes).unwrap();
    let held = std::fs::File::open(folder.path().join("run-0/inputs.jsonl")).unwrap();
    held.lock().unwrap();
    let busy = merge(folder.path(), &names(&found), "out");
    assert_eq!(busy.code, 2, "{}", busy.stderr);
    assert!(busy.stderr.contains("run-0") && busy.stderr.contains("another process"), "{}", busy.stderr);
}

#[test]
fn a_merge_does_not_replace_a_run_unasked_and_is_repeated_with_overwrite() {
    let folder = tempdir().unwrap();
    let found = shards(folder.path(), &CERTIFY, "3", "c", 3);
    assert_eq!(merge(folder.path(), &names(&found), "out").code, 0);
    let whole = written(folder.path(), "out");
    let again = merge(folder.path(), &names(&found), "out");
    assert_eq!(again.code, 2, "{}", again.stderr);
    assert!(again.stderr.contains("--overwrite"), "{}", again.stderr);
    std::fs::write(folder.path().join("out"), &whole[0].1[..200]).unwrap();
    let replaced = vaecert(folder.path(), &[&["merge"], &names(&found)[..], &["--out", "out", "--overwrite"]].concat());
    assert_eq!(replaced.code, 0, "{}", replaced.stderr);
    assert_eq!(written(folder.path(), "out"), whole);
}

#[test]
fn a_merge_as_json_prints_the_summary_of_the_run() {
    let folder = tempdir().unwrap();
    let found = shards(folder.path(), &AUDIT, "3", "run", 2);
    let json =
        |shards: &[&str], out: &str| vaecert(folder.path(), &[&["merge", "--json", "--out", out], shards].concat());
    let joined = json(&names(&found), "joined");
    let alone = program(folder.path(), &AUDIT, "3", "one", &["--json"]);
    assert_eq!(joined.stdout.trim_end(), alone.stdout.lines().last().unwrap());
    let found = shards(folder.path(), &CERTIFY, "3", "c", 2);
    let joined = json(&names(&found), "c-joined");
    assert_eq!(joined.stdout, "{\"summary\":{\"inputs\":3,\"certified\":3,\"abstained\":0,\"undecided\":0}}\n");
}

#[test]
fn a_part_that_is_none_is_refused() {
    let folder = tempdir().unwrap();
    for (shard, expected) in [
        ("4/4", "counted from 0"),
        ("1", "expected K/N"),
        ("0/0", "counted from 0"),
        ("0/3", "3 shards of 2 inputs: some would be empty"),
    ] {
        for command in [&AUDIT[..], &CERTIFY] {
            let refused = program(folder.path(), command, "2", "out", &["--shard", shard]);
            assert_eq!(refused.code, 2, "{}", refused.stderr);
            assert!(refused.stderr.contains(expected), "{}", refused.stderr);
        }
    }
    assert!(!folder.path().join("out").exists());
}
