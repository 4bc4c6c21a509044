//! Certificates as files: the two commands, interruption, exit codes.

use std::path::Path;

use tempfile::tempdir;

use crate::support::vaecert;

const CERTIFY: [&str; 9] =
    ["certify", "--inputs", "3", "--draws", "800", "--selection-draws", "300", "--out", "c.jsonl"];

fn certify(folder: &Path, more: &[&str]) -> crate::support::Answer {
    vaecert(folder, &[&CERTIFY, more].concat())
}

#[test]
fn what_certify_writes_verify_verifies() {
    let folder = tempdir().unwrap();
    let written = certify(folder.path(), &["--explain"]);
    assert_eq!(written.code, 0, "{}", written.stderr);
    assert!(written.stdout.contains("3 inputs: 3 certified, 0 abstained, 0 undecided"), "{}", written.stdout);
    assert!(written.stdout.contains("slopes uncertain"), "{}", written.stdout);
    let checked = vaecert(folder.path(), &["verify", "c.jsonl", "--fresh", "5"]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    assert!(checked.stdout.contains("3 verified"), "{}", checked.stdout);
    assert!(checked.stdout.contains("fresh draws within r"), "{}", checked.stdout);
    assert!(checked.stdout.contains("still trusted"), "{}", checked.stdout);
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads_and_json_prints_them() {
    let folder = tempdir().unwrap();
    let read = || std::fs::read_to_string(folder.path().join("c.jsonl")).unwrap();
    let printed = certify(folder.path(), &["--threads", "1", "--json"]).stdout;
    let one = read();
    assert_eq!(printed, one);
    assert_eq!(certify(folder.path(), &["--threads", "3", "--overwrite"]).code, 0);
    assert_eq!(read(), one);
}

#[test]
fn a_file_that_is_there_is_neither_replaced_nor_mistaken_for_another_run() {
    let folder = tempdir().unwrap();
    assert_eq!(certify(folder.path(), &[]).code, 0);
    let again = certify(folder.path(), &[]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let other = certify(folder.path(), &["--seed", "1", "--resume"]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("another run"), "{}", other.stderr);
}

#[test]
fn an_interrupted_certificate_is_valid_and_is_continued_to_the_same_bytes() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    assert_eq!(certify(folder.path(), &[]).code, 0);
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    // A kill leaves whole lines, or behind them a line whose first byte is not yet written.
    let mut unfinished = whole[..ends[2]].to_vec();
    unfinished[ends[1]] = 0;
    let mut half = whole[..ends[1] + 40].to_vec();
    half[ends[1]] = 0;
    for (left, entries) in [(whole[..ends[1]].to_vec(), 1), (unfinished, 1), (half, 1), (whole[..ends[0]].to_vec(), 0)]
    {
        std::fs::write(&path, &left).unwrap();
        let checked = vaecert(folder.path(), &["verify", "c.jsonl"]);
        assert_eq!(checked.code, 3, "{}{}", checked.stdout, checked.stderr);
        assert!(checked.stdout.contains(&format!("{entries} verified")), "{}", checked.stdout);
        assert!(checked.stdout.contains("have no entry"), "{}", checked.stdout);
        assert_eq!(certify(folder.path(), &["--resume"]).code, 0);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_certificate_killed_at_any_moment_is_continued_to_the_same_bytes() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let eight = ["certify", "--inputs", "8", "--draws", "800", "--out", "c.jsonl"];
    assert_eq!(vaecert(folder.path(), &eight).code, 0);
    let whole = std::fs::read(&path).unwrap();
    for milliseconds in [5, 20, 60, 120] {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_vaecert"))
            .current_dir(folder.path())
            .args(eight)
            .arg("--overwrite")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        program.kill().unwrap();
        program.wait().unwrap();
        // Before the header is written there is nothing to continue.
        let bytes = std::fs::read(&path).unwrap();
        let flag =
            if vaecert::certificate::CertificateFile::parse(&bytes).is_ok() { "--resume" } else { "--overwrite" };
        let continued = vaecert(folder.path(), &[&eight[..], &[flag]].concat());
        assert_eq!(continued.code, 0, "{}", continued.stderr);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_certificate_that_nobody_named_is_continued_by_the_same_command() {
    let folder = tempdir().unwrap();
    let again = ["certify", "--inputs", "3", "--draws", "300"];
    let first = vaecert(folder.path(), &again);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let (name, whole) = crate::support::files_below(folder.path()).remove(0);
    let header = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let path = folder.path().join(name);
    // Killed between entries, while the header was written, and before.
    for left in [whole[..header].to_vec(), [&[0][..], &whole[1..header]].concat(), vec![], whole.clone()] {
        std::fs::write(&path, &left).unwrap();
        let next = vaecert(folder.path(), &again);
        assert_eq!((next.code, &next.stdout), (0, &first.stdout), "{}", next.stderr);
        assert_eq!(next.stderr.contains("3 of 3 inputs taken"), left.len() == whole.len(), "{}", next.stderr);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn exit_codes_tell_rejected_from_unreadable_and_undecided() {
    let folder = tempdir().unwrap();
    let fixture = |name: &str| format!("{}/fixtures/certificates/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let code = |arguments: &[&str]| vaecert(folder.path(), arguments).code;
    assert_eq!(code(&["verify", &fixture("accept/digits-joint")]), 0);
    assert_eq!(code(&["verify", &fixture("reject/probability-raised"), "--json"]), 4);
    assert_eq!(code(&["verify", &fixture("reject/not-canonical")]), 4);
    assert_eq!(code(&["verify", "absent.jsonl"]), 5);
    assert_eq!(code(&["verify", &fixture("accept/digits-mean"), "--model", "absent.safetensors"]), 5);
    // Another model and other data than those certified.
    assert_eq!(code(&["verify", &fixture("accept/digits-mean"), "--data", "gaussian:1,1"]), 4);
    let abstained = vaecert(folder.path(), &["certify", "--inputs", "1", "--r", "0.001", "--draws", "100"]);
    assert_eq!(abstained.code, 3);
    assert!(abstained.stdout.contains("abstained"), "{}", abstained.stdout);
    // An entry that claims nothing is in order, and still no pass.
    let nothing = ["certify", "--inputs", "1", "--r", "0.001", "--draws", "100", "--out", "nothing.jsonl"];
    assert_eq!(code(&nothing), 3);
    let checked = vaecert(folder.path(), &["verify", "nothing.jsonl"]);
    assert_eq!(checked.code, 3);
    assert!(checked.stdout.contains("verified: claims nothing"), "{}", checked.stdout);
    assert_eq!(code(&["certify", "--inputs", "0"]), 2);
    assert_eq!(code(&["certify", "--inputs", "1", "--out", "/proc/none/c.jsonl"]), 5);
}
