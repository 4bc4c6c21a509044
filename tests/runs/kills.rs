//! Killed at random moments, and again while resumed, a run ends with the bytes of an undisturbed one.

use std::path::Path;
use std::time::Instant;

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
    let time = begin.elapsed();
    let mut survived = 0;
    for (round, moment) in moments(name).into_iter().enumerate() {
        // Two runs: one is killed again and again as it goes on, the other starts anew each time.
        let goes_on = round % 2 == 0;
        let out = if goes_on { "again" } else { "anew" };
        let flags = if goes_on { resuming(&folder.path().join(out)) } else { &["--overwrite"] };
        let mut child = started(folder.path(), &[command, &[inputs, "--out", out], flags].concat());
        std::thread::sleep(time.mul_f64(moment));
        child.kill().unwrap();
        survived += usize::from(!child.wait().unwrap().success());
        check_whole_lines(&folder.path().join(out));
        if !goes_on {
            finishes(folder.path(), command, inputs, out, &format!("after {moment} of {time:?}"));
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

/// Shares of a run's time, from 0 to 0.9.
fn moments(name: &str) -> Vec<f64> {
    use rand::RngExt;
    let mut stream = Seed(1).stream(name);
    (0..KILLS).map(|_| stream.random_range(0.0..0.9)).collect()
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
