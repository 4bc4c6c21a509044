//! Runs: same bytes on any number of threads, kept through interruptions, replayable.

use std::path::Path;

use crate::support::{files_below, npy, quick, vaecert};

fn run_into(folder: &Path, name: &str, more: &[&str]) -> i32 {
    let answer = vaecert(folder, &quick(&[&["--out", name], more].concat()));
    assert!(answer.code == 0 || answer.code == 3, "{}", answer.stderr);
    answer.code
}

#[test]
fn one_thread_and_two_write_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "one", &["--threads", "1"]);
    run_into(folder.path(), "two", &["--threads", "2"]);
    let (one, two) = (files_below(&folder.path().join("one")), files_below(&folder.path().join("two")));
    assert_eq!(one.len(), 3 + 3);
    assert_eq!(one, two);
}

#[test]
fn another_seed_gives_other_draws() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "a", &["--attack", "latent"]);
    run_into(folder.path(), "b", &["--attack", "latent", "--seed", "1"]);
    let lines = |name: &str| std::fs::read_to_string(folder.path().join(name).join("inputs.jsonl")).unwrap();
    assert_ne!(lines("a"), lines("b"));
}

#[test]
fn a_killed_run_resumes_to_the_bytes_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "run", &[]);
    let whole = files_below(&folder.path().join("run"));
    let inputs = folder.path().join("run/inputs.jsonl");
    let text = std::fs::read_to_string(&inputs).unwrap();
    // What a kill leaves: one finished line, a second one half-written, no summary, a half-written perturbation.
    let second = text.find('\n').unwrap() + 1;
    std::fs::write(&inputs, &text[..second + 40]).unwrap();
    std::fs::remove_file(folder.path().join("run/summary.json")).unwrap();
    std::fs::write(folder.path().join("run/perturbations/000001.safetensors"), b"half").unwrap();

    let refused = vaecert(folder.path(), &quick(&["--out", "run"]));
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);

    let resumed = vaecert(folder.path(), &quick(&["--out", "run", "--resume"]));
    assert!(resumed.stderr.contains("1 of 3 inputs taken from run"), "{}", resumed.stderr);
    assert_eq!(files_below(&folder.path().join("run")), whole);

    let other = vaecert(folder.path(), &quick(&["--out", "run", "--resume", "--seed", "9"]));
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("another plan"), "{}", other.stderr);
}

#[test]
fn a_run_without_a_folder_gets_one_named_after_it_and_continues_there_only_if_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let audit = || vaecert(folder.path(), &quick(&["--attack", "latent"]));
    let first = audit();
    let again = audit();
    assert_eq!(first.stdout, again.stdout);
    assert!(!again.stderr.contains("taken from"), "a complete run is computed anew: {}", again.stderr);
    let runs: Vec<_> = std::fs::read_dir(folder.path().join("vaecert-runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
    let run = runs[0].as_ref().unwrap().path();
    let whole = files_below(&run);
    let text = std::fs::read_to_string(run.join("inputs.jsonl")).unwrap();
    std::fs::write(run.join("inputs.jsonl"), &text[..=text.find('\n').unwrap()]).unwrap();
    std::fs::remove_file(run.join("summary.json")).unwrap();
    let continued = audit();
    assert!(continued.stderr.contains("1 of 3 inputs taken from vaecert-runs"), "{}", continued.stderr);
    assert_eq!(files_below(&run), whole);
}

#[test]
fn a_lost_or_altered_result_is_computed_again_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "run", &["--attack", "latent"]);
    let run = folder.path().join("run");
    let whole = files_below(&run);
    let resume = || vaecert(folder.path(), &quick(&["--out", "run", "--attack", "latent", "--resume"]));
    std::fs::remove_file(run.join("perturbations/000001.safetensors")).unwrap();
    assert!(resume().stderr.contains("1 of 3 inputs taken"));
    assert_eq!(files_below(&run), whole);
    let lines = std::fs::read_to_string(run.join("inputs.jsonl")).unwrap();
    let second = lines.find("{\"input\":1").unwrap();
    let altered = lines[second..].replacen("\"draws\":600", "\"draws\":601", 1);
    std::fs::write(run.join("inputs.jsonl"), format!("{}{altered}", &lines[..second])).unwrap();
    assert!(resume().stderr.contains("1 of 3 inputs taken"));
    assert_eq!(files_below(&run), whole);
}

#[test]
fn data_outside_the_box_fail_instead_of_being_attacked_there() {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert(folder.path(), &quick(&["--box", "0.2,0.8"]));
    assert_eq!(answer.code, 3);
    assert!(
        answer.stdout.contains("FAILED: coordinate 0 of the input is 0, outside the box 0.2 to 0.8"),
        "{}",
        answer.stdout
    );
}

#[test]
fn overwriting_a_run_leaves_nothing_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "run", &["--attack", "latent"]);
    assert_eq!(run_into(folder.path(), "run", &["--attack", "latent", "--max-norm", "0.01", "--overwrite"]), 3);
    assert_eq!(files_below(&folder.path().join("run/perturbations")), vec![]);
    let replayed = vaecert(folder.path(), &["replay", "run"]);
    assert_eq!(replayed.code, 3);
    assert!(replayed.stderr.contains("found no perturbation"), "{}", replayed.stderr);
}

#[test]
fn files_that_belong_to_somebody_else_are_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("summary.json"), b"precious").unwrap();
    assert_eq!(vaecert(folder.path(), &quick(&["--out", "."])).code, 2);
    assert_eq!(std::fs::read(folder.path().join("summary.json")).unwrap(), b"precious");
    let nothing = vaecert(folder.path(), &quick(&["--out", "typo", "--resume"]));
    assert_eq!(nothing.code, 2);
    assert!(nothing.stderr.contains("no run to continue"), "{}", nothing.stderr);
    assert!(!folder.path().join("typo").exists());
}

#[test]
fn two_processes_cannot_write_one_run() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "run", &["--attack", "latent"]);
    let held = std::fs::File::open(folder.path().join("run/inputs.jsonl")).unwrap();
    held.lock().unwrap();
    let refused = vaecert(folder.path(), &quick(&["--out", "run", "--attack", "latent", "--resume"]));
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("another process is writing"), "{}", refused.stderr);
}

#[test]
fn saved_perturbations_replay_and_altered_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "run", &[]);
    let replayed = vaecert(folder.path(), &["replay", "run", "--draws", "4000"]);
    assert_eq!(replayed.code, 0, "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(replayed.stdout.matches("confirmed").count(), 3);

    // The input itself in place of the perturbed one: nothing breaks there.
    let path = folder.path().join("run/perturbations/000000.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (data, half) = (bytes.len() - 2 * 64 * 4, 64 * 4);
    let mut harmless = bytes.clone();
    harmless.copy_within(data + half.., data);
    std::fs::write(&path, harmless).unwrap();
    let contradicted = vaecert(folder.path(), &["replay", "run", "--input", "0"]);
    assert_eq!(contradicted.code, 1, "{}{}", contradicted.stdout, contradicted.stderr);
    assert!(contradicted.stdout.contains("CONTRADICTED"));

    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let truncated = vaecert(folder.path(), &["replay", "run", "--input", "0"]);
    assert_eq!(truncated.code, 5);
    assert!(truncated.stderr.contains("000000.safetensors"), "{}", truncated.stderr);

    std::fs::copy(folder.path().join("run/perturbations/000001.safetensors"), &path).unwrap();
    let swapped = vaecert(folder.path(), &["replay", "run", "--input", "0"]);
    assert_eq!(swapped.code, 5);
    assert!(swapped.stderr.contains("another input"), "{}", swapped.stderr);

    // A record inside the perturbation's file that claims a smaller radius.
    let needle = b"\\\"radius\\\":";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap() + needle.len();
    let mut easier = bytes.clone();
    easier[at] = if easier[at] == b'1' { b'2' } else { b'1' };
    std::fs::write(&path, easier).unwrap();
    let claimed = vaecert(folder.path(), &["replay", "run", "--input", "0"]);
    assert_eq!(claimed.code, 5);
    assert!(claimed.stderr.contains("is not the run's"), "{}", claimed.stderr);

    std::fs::remove_file(&path).unwrap();
    assert_eq!(vaecert(folder.path(), &["replay", "run"]).code, 5, "a missing perturbation is not a confirmed one");
}

#[test]
fn a_box_is_respected_by_every_saved_perturbation() {
    let folder = tempfile::tempdir().unwrap();
    run_into(folder.path(), "run", &["--box", "0,1", "--threat", "joint"]);
    for (name, bytes) in files_below(&folder.path().join("run/perturbations")) {
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let attacked = tensors.tensor("attacked").unwrap();
        let values: Vec<f32> =
            attacked.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert!(values.iter().all(|v| (0.0..=1.0).contains(v)), "{name}");
    }
}

#[test]
fn a_run_is_replayed_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<u8> = (0u16..192).flat_map(|i| (f32::from(i % 11) / 10.0).to_le_bytes()).collect();
    std::fs::write(folder.path().join("x.npy"), npy("<f4", "(3, 64)", &values)).unwrap();
    run_into(folder.path(), "run", &["--data", "x.npy"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert_eq!(vaecert(elsewhere.path(), &["replay", run.to_str().unwrap()]).code, 0);
    std::fs::rename(folder.path().join("x.npy"), folder.path().join("y.npy")).unwrap();
    assert_eq!(vaecert(folder.path(), &["replay", "run"]).code, 5);
    assert_eq!(vaecert(folder.path(), &["replay", "run", "--data", "y.npy"]).code, 0);
}
