//! One bad input per way of being bad: what the user reads, and the exit status. The errors' variants are matched
//! beside the code that makes them.

use std::path::Path;

mod claims;
mod data;
mod gamma_sum;
mod policies;

use crate::support::{npy, quick, vaecert, Answer};

fn refused(folder: &Path, arguments: &[&str], code: i32, fragments: &[&str]) {
    let Answer { code: found, stdout, stderr } = vaecert(folder, arguments);
    assert_eq!(found, code, "{arguments:?}\n{stdout}{stderr}");
    for fragment in fragments {
        assert!(stderr.contains(fragment), "{arguments:?}: {fragment:?} is missing from\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// An idx file of 2 images of 3×3 pixels.
fn idx(magic: u8) -> Vec<u8> {
    [&[0, 0, 8, magic, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3][..], &[7; 18]].concat()
}

fn mnist_folder(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t10k-images-idx3-ubyte"), bytes).unwrap();
    folder
}

fn mnist(folder: &Path, code: i32, fragments: &[&str]) {
    refused(folder, &quick(&["--data", "mnist", "--data-dir", "."]), code, fragments);
}

#[test]
fn a_linearisation_that_makes_no_sense() {
    let folder = mnist_folder(&idx(3));
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--scales", "1,-2"], &["factor of σ", "above 0", "-2"]),
        (&["--scales", "1,nan"], &["factor of σ", "NaN"]),
        (&["--probabilities", "0.5,1"], &["strictly between 0 and 1"]),
        (&["--draws", "1"], &["number of draws", "found 1"]),
        (&["--first", "1000"], &["inputs 1000 to 1019", "360"]),
        (&["--inputs", "0"], &["--inputs must be at least 1"]),
        (&["--data", "mnist"], &["--data-dir"]),
        (&["--data", "mnist", "--data-dir", ".", "--inputs", "2"], &["9 values per input", "model expects 64"]),
        (&["--scales", "x"], &["expected a number"]),
    ];
    for (arguments, fragments) in cases {
        refused(folder.path(), &[&["linearization"], arguments].concat(), 2, fragments);
    }
    refused(folder.path(), &["linearization", "--model", "absent.safetensors"], 5, &["absent.safetensors"]);
}

#[test]
fn a_truncated_idx_file() {
    let folder = mnist_folder(&idx(3)[..20]);
    mnist(folder.path(), 5, &["t10k-images-idx3-ubyte", "34", "20"]);
}

#[test]
fn an_idx_file_with_the_wrong_magic() {
    let folder = mnist_folder(&idx(1));
    mnist(folder.path(), 5, &["t10k-images-idx3-ubyte", "[00, 00, 08, 01]", "[00, 00, 08, 03] was expected"]);
}

#[test]
fn images_of_another_size_than_the_model_expects() {
    let folder = mnist_folder(&idx(3));
    mnist(folder.path(), 2, &["the data have 9 values per input, the model expects 64"]);
}

#[test]
fn a_folder_without_the_files() {
    let folder = tempfile::tempdir().unwrap();
    mnist(folder.path(), 5, &["t10k-images-idx3-ubyte"]);
}

#[test]
fn mnist_without_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &quick(&["--data", "mnist"]), 2, &["--data-dir"]);
}

#[test]
fn a_misspelt_data_set() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &quick(&["--data", "mnsit"]), 2, &["mnsit", "mnist", "fashion-mnist"]);
}

fn npy_refused(bytes: &[u8], code: i32, fragments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.npy"), bytes).unwrap();
    refused(folder.path(), &quick(&["--data", "x.npy"]), code, fragments);
}

#[test]
fn an_npy_array_of_the_wrong_type() {
    npy_refused(&npy("<i8", "(1, 64)", &[0; 512]), 5, &["x.npy", "<i8"]);
}

#[test]
fn an_npy_array_without_items() {
    npy_refused(&npy("<f4", "(0, 64)", &[]), 5, &["x.npy has no items"]);
}

#[test]
fn an_npy_array_with_a_value_that_is_not_a_number() {
    let mut data = vec![0; 256];
    data[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
    npy_refused(&npy("<f4", "(1, 64)", &data), 5, &["x.npy", "NaN"]);
}

#[test]
fn numbers_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 13] = [
        (&["--r", "0"], "a finite number above 0, found 0"),
        (&["--r-quantile", "1"], "strictly between 0 and 1, found 1"),
        (&["--r-quantile", "-0.1"], "strictly between 0 and 1, found -0.1"),
        (&["--level", "nan"], "strictly between 0 and 1, found NaN"),
        (&["--inputs", "0"], "at least 1"),
        (&["--first", "359"], "the data hold 360"),
        (&["--draws", "0"], "must lie between 1 and"),
        (&["--decrement", "0.2"], "--decrement means nothing with --protocol bisect"),
        (&["--r-quantile", "0.3"], "the quantile 0.3 that chooses r must exceed the level 0.5"),
        (&["--threads", "100000"], "expected a number from 1 to 1024"),
        (&["--max-norm", "inf"], "the largest norm must be a finite number above 0"),
        (&["--attack", "latent,latent"], "name at least one attack, and each at most once"),
        (&["--attack", "fgsm"], "known: random, max-damage, exceedance, latent"),
    ];
    for (arguments, fragment) in cases {
        let arguments: Vec<&str> = ["audit"].iter().chain(arguments).copied().collect();
        refused(folder.path(), &arguments, 2, &[fragment]);
    }
    refused(folder.path(), &["audit", "--r", "4", "--r-quantile", "0.9"], 2, &["cannot be used with"]);
    refused(folder.path(), &["audit", "--device", "tpu"], 2, &["expected cpu, cuda:N or auto"]);
    assert!(!folder.path().join("vaecert-runs").exists(), "nothing is written before the arguments make sense");
}

#[test]
fn training_numbers_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["--batch-size", "0"], "the batch size must be at least 1"),
        (&["--beta", "nan"], "beta must be"),
        (&["--learning-rate", "0"], "the learning rate must be"),
        (&["--std-floor", "nan"], "the floor of the standard deviation"),
        (&["--latent-dim", "0"], "the latent size of the architecture is 0"),
        (&["--architecture", "resnet"], "known: digits, paper-mnist"),
        (&["--data", "gaussian:9,1", "--architecture", "digits"], "needs values in [0, 1]"),
    ];
    for (arguments, fragment) in cases {
        let arguments: Vec<&str> = ["train", "--out", "m"].iter().chain(arguments).copied().collect();
        refused(folder.path(), &arguments, 2, &[fragment]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_model_file_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.safetensors"), b"weights, honestly").unwrap();
    refused(folder.path(), &quick(&["--model", "m.safetensors"]), 5, &["m.safetensors", "safetensors file"]);
    refused(folder.path(), &quick(&["--model", "absent"]), 5, &["absent"]);
}

#[test]
fn a_model_with_a_weight_that_is_not_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/digits.safetensors")).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(folder.path().join("m.safetensors"), bytes).unwrap();
    refused(folder.path(), &quick(&["--model", "m.safetensors"]), 5, &["tensor encoder.trunk.0.weight holds NaN"]);
}

#[test]
fn outputs_that_cannot_be_written_are_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), b"").unwrap();
    refused(
        folder.path(),
        &["train", "--out", "absent/m.safetensors", "--epochs", "100000"],
        5,
        &["absent/m.safetensors", "cannot be written"],
    );
    refused(folder.path(), &["train", "--out", ".", "--epochs", "100000"], 5, &["is a directory"]);
    refused(folder.path(), &quick(&["--out", "file/run"]), 5, &["file/run"]);
}

#[test]
fn a_run_folder_with_a_malformed_line() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(vaecert(folder.path(), &quick(&["--out", "run", "--attack", "latent"])).code, 0);
    let inputs = folder.path().join("run/inputs.jsonl");
    let text = std::fs::read_to_string(&inputs).unwrap();
    let resume = quick(&["--out", "run", "--attack", "latent", "--resume"]);
    std::fs::write(&inputs, text.replacen("{\"input\":1", "{\"input\":7", 1)).unwrap();
    refused(folder.path(), &resume, 5, &["inputs.jsonl, line 2", "input 7, expected input 1"]);
    std::fs::write(&inputs, text.replacen("\"outcome\"", "\"out\"", 1)).unwrap();
    refused(folder.path(), &resume, 5, &["inputs.jsonl, line 1", "out"]);
    std::fs::write(folder.path().join("run/run.json"), b"{").unwrap();
    refused(folder.path(), &resume, 5, &["run.json"]);
    refused(folder.path(), &["replay", "run"], 5, &["run.json"]);
    refused(folder.path(), &["replay", "nowhere"], 5, &["nowhere"]);
}

#[test]
fn a_replay_with_another_model() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(vaecert(folder.path(), &quick(&["--out", "run", "--attack", "latent"])).code, 0);
    let train = ["train", "--epochs", "1", "--out", "other.safetensors"];
    assert_eq!(vaecert(folder.path(), &train).code, 0);
    refused(folder.path(), &["replay", "run", "--model", "other.safetensors"], 2, &["the run audited"]);
    refused(folder.path(), &["replay", "run", "--input", "99"], 2, &["no perturbation of input 99"]);
}

#[test]
fn a_checkpoint_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.checkpoint"), b"no").unwrap();
    refused(folder.path(), &["train", "--epochs", "1", "--out", "m", "--resume"], 5, &["m.checkpoint"]);
    refused(
        folder.path(),
        &["train", "--epochs", "1", "--out", "n", "--resume"],
        5,
        &["n.checkpoint", "cannot be read"],
    );
}
