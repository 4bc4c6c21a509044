//! Killed at random moments, and again while resumed, a run ends with the bytes of an undisturbed one.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use tempfile::tempdir;
use vaecert::seed::Seed;

use super::{program, started, written, AUDIT, CERTIFY};

const KILLS: usize = 10;

/// Kills `command` at seeded moments until it got through [`KILLS`] of them, resuming it each time, and compares.
fn survives(command: &[&str], inputs: &str, name: &str) {
    let folder = tempdir().unwrap();
    let begin = Instant::now();
    let whole = program(folder.path(), command, inputs, "whole", &[]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let lines = lines_in(&folder.path().join("whole"));
    let time_per_line = begin.elapsed().div_f64(lines as f64);
    let mut survived = 0;
    for (round, (share, delay)) in moments(name).into_iter().enumerate() {
        // Two runs: one is killed again and again as it goes on, the other starts anew each time.
        let goes_on = round % 2 == 0;
        let out = if goes_on { "again" } else { "anew" };
        let flags = if goes_on { resuming(&folder.path().join(out)) } else { &["--overwrite"] };
        let file = folder.path().join(out);
        let there = if goes_on { lines_in(&file) } else { 0 };
        // One that goes on must have something left for the next kill.
        let more = (lines - there) * share / if goes_on { 200 } else { 100 };
        let mut child = started(folder.path(), &[command, &[inputs, "--out", out], flags].concat());
        if !goes_on {
            // What is there from before goes first.
            wait_until(&mut child, || lines_in(&file) < lines);
        }
        wait_until(&mut child, || lines_in(&file) >= there + more);
        std::thread::sleep(time_per_line.mul_f64(delay));
        child.kill().unwrap();
        survived += usize::from(!child.wait().unwrap().success());
        check_whole_lines(&folder.path().join(out));
        if !goes_on {
            finishes(folder.path(), command, inputs, out, &format!("after {more} lines"));
        }
    }
    finishes(folder.path(), command, inputs, "again", "at the end");
    assert!(survived >= KILLS / 2, "only {survived} of {KILLS} kills came before the end");
}

/// Resumes `out` to the bytes of the whole run.
fn finishes(folder: &Path, command: &[&str], inputs: &str, out: &str, when: &str) {
    let resumed = program(folder, command, inputs, out, resuming(&folder.join(out)));
    assert_eq!(resumed.code, 0, "{when}: {}", resumed.stderr);
    assert_eq!(written(folder, out), written(folder, "whole"), "{when}");
}

/// How to go on: a kill may come before there is anything to resume.
fn resuming(out: &Path) -> &'static [&'static str] {
    if out.exists() {
        &["--resume"]
    } else {
        &[]
    }
}

/// Shares of a run's lines, in percent and below 90, and of the time that one takes.
fn moments(name: &str) -> Vec<(usize, f64)> {
    use rand::RngExt;
    let mut stream = Seed(1).stream(name);
    (0..KILLS).map(|_| (stream.random_range(0..90_usize), stream.random_range(0.0..1.0))).collect()
}

/// The whole lines of a certificate, or of the records of a run.
fn lines_in(out: &Path) -> usize {
    let file = if out.is_dir() { out.join("inputs.jsonl") } else { out.to_owned() };
    std::fs::read(file).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// Waits for something that the child does; its end, too, ends the wait.
fn wait_until(child: &mut Child, done: impl Fn() -> bool) {
    while !done() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a kill leaves of an audit is whole records of consecutive inputs and at most one line without its end.
fn check_whole_lines(run: &Path) {
    let Ok(text) = std::fs::read_to_string(run.join("inputs.jsonl")) else { return };
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    for (index, line) in whole.enumerate() {
        let record: vaecert::audit::InputRecord = serde_json::from_str(line).unwrap();
        assert_eq!(record.input, index);
    }
}

#[test]
fn an_audit_killed_at_ten_moments_resumes_to_the_bytes_of_an_undisturbed_one() {
    survives(&AUDIT, "16", "kills/audit");
}

#[test]
fn a_certificate_killed_at_ten_moments_resumes_to_the_bytes_of_an_undisturbed_one() {
    survives(&CERTIFY, "24", "kills/certify");
}

#[test]
fn a_run_killed_before_it_was_named_is_begun_again_with_and_without_resume() {
    for flags in [&[][..], &["--resume"]] {
        let folder = tempdir().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir_all(run.join("perturbations")).unwrap();
        std::fs::write(run.join("inputs.jsonl"), b"").unwrap();
        std::fs::write(run.join("run.json.vaecert-partial"), b"{\"iden").unwrap();
        assert_eq!(program(folder.path(), &AUDIT, "2", "run", flags).code, 0);
        program(folder.path(), &AUDIT, "2", "whole", &[]);
        assert_eq!(written(folder.path(), "run"), written(folder.path(), "whole"));
    }
}

#[test]
fn a_half_line_is_cut_off_and_one_that_no_record_has_is_an_error() {
    let folder = tempdir().unwrap();
    program(folder.path(), &AUDIT, "2", "run", &[]);
    let whole = written(folder.path(), "run");
    let append = |bytes: &[u8]| {
        let mut inputs = std::fs::OpenOptions::new().append(true).open(folder.path().join("run/inputs.jsonl")).unwrap();
        std::io::Write::write_all(&mut inputs, bytes).unwrap();
    };
    append(b"{\"input\":2,");
    assert_eq!(program(folder.path(), &AUDIT, "2", "run", &["--resume"]).code, 0);
    assert_eq!(written(folder.path(), "run"), whole);
    append(&vec![b' '; 1 << 24]);
    let refused = program(folder.path(), &AUDIT, "2", "run", &["--resume"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("inputs.jsonl, line 3: longer than any record"), "{}", refused.stderr);
}

#[test]
fn a_folder_of_other_files_is_not_taken_for_a_run_that_was_just_begun() {
    let folder = tempdir().unwrap();
    std::fs::create_dir(folder.path().join("photos")).unwrap();
    std::fs::write(folder.path().join("photos/a.png"), b"a").unwrap();
    let refused = program(folder.path(), &AUDIT, "2", "photos", &["--resume"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("no run to continue"), "{}", refused.stderr);
}

#[test]
fn every_stage_of_finishing_a_run_resumes_to_the_same_bytes() {
    let folder = tempdir().unwrap();
    program(folder.path(), &AUDIT, "3", "whole", &[]);
    let whole = written(folder.path(), "whole");
    let run = folder.path().join("run");
    let lines = std::fs::read(folder.path().join("whole/inputs.jsonl")).unwrap();
    let second = lines.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    type Stage = (&'static str, Box<dyn Fn(&Path)>);
    let cut = lines[..second].to_vec();
    let stages: [Stage; 5] = [
        (
            "the summary half-written",
            Box::new(|run| {
                std::fs::remove_file(run.join("summary.json")).unwrap();
                std::fs::write(run.join("summary.json.vaecert-partial"), b"{").unwrap();
            }),
        ),
        ("all records, no summary", Box::new(|run| std::fs::remove_file(run.join("summary.json")).unwrap())),
        (
            "a perturbation half-written beside the records",
            Box::new(move |run| {
                std::fs::write(run.join("inputs.jsonl"), &cut).unwrap();
                std::fs::remove_file(run.join("perturbations/000001.safetensors")).unwrap();
                std::fs::write(run.join("perturbations/000001.safetensors.vaecert-partial"), b"x").unwrap();
            }),
        ),
        (
            "an old summary of records that were cut off",
            Box::new(move |run| {
                std::fs::write(run.join("inputs.jsonl"), &lines[..second + 7]).unwrap();
            }),
        ),
        (
            "nothing but its name",
            Box::new(|run| {
                std::fs::remove_file(run.join("summary.json")).unwrap();
                std::fs::write(run.join("inputs.jsonl"), b"").unwrap();
            }),
        ),
    ];
    for (name, stage) in &stages {
        program(folder.path(), &AUDIT, "3", "run", &["--overwrite"]);
        stage(&run);
        let resumed = program(folder.path(), &AUDIT, "3", "run", &["--resume"]);
        assert_eq!(resumed.code, 0, "{name}: {}", resumed.stderr);
        assert_eq!(written(folder.path(), "run"), whole, "{name}");
    }
}
