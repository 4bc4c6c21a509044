//! Runs: same bytes on any number of threads, kept through interruptions, replayable.

use std::path::Path;

use candle_core::{DType, Device};
use vaecert::attack::{Threat, Victim};
use vaecert::margin::draws::DISTANCE_TOLERANCE;
use vaecert::model::embedded;
use vaecert::seed::{standard_normal, Seed};

use crate::support::{files_below, quick, vaecert};

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
fn a_run_without_a_folder_gets_one_named_after_it_and_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let first = vaecert(folder.path(), &quick(&["--attack", "latent"]));
    let second = vaecert(folder.path(), &quick(&["--attack", "latent"]));
    assert_eq!(first.stdout, second.stdout);
    assert!(second.stderr.contains("3 of 3 inputs taken from vaecert-runs/"), "{}", second.stderr);
    assert_eq!(std::fs::read_dir(folder.path().join("vaecert-runs")).unwrap().count(), 1);
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
        assert!(values.iter().all(|v| (-1e-6..=1.000_001).contains(v)), "{name}");
    }
}

#[test]
fn single_precision_distances_stay_far_inside_their_tolerance() {
    let single = embedded::digits().unwrap().vae;
    let double = single.converted(DType::F64, &Device::Cpu).unwrap();
    let input: Vec<f32> = (0u8..64).map(|i| f32::from(i % 9) / 8.0).collect();
    let noise = standard_normal(&mut Seed(0).stream("noise"), 500 * 8);
    let distances = |vae| Victim::new(vae, &input, Threat::Joint).unwrap().distances(&input, &noise).unwrap();
    let worst = distances(&single).iter().zip(distances(&double)).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
    assert!(worst < DISTANCE_TOLERANCE / 20.0, "relative error {worst}");
}
