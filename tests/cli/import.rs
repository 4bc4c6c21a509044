//! `vaecert import`, from outside: from a framework's export to a verified certificate, and what is refused.

use std::path::{Path, PathBuf};

use crate::support::{vaecert, Answer};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import").join(name)
}

fn run(folder: &Path, arguments: &[&str]) -> Answer {
    vaecert(folder, arguments)
}

/// Imports the digits' VAE as ONNX or as a state dict; more arguments may follow.
fn import(folder: &Path, kind: &str, more: &[&str]) -> Answer {
    let [onnx, weights, description] =
        ["vae.onnx", "vae.pt", "vae.toml"].map(|name| fixture("digits-vae").join(name).display().to_string());
    let source = match kind {
        "onnx" => vec!["--onnx", &onnx],
        _ => vec!["--weights", &weights, "--architecture", &description],
    };
    run(folder, &[&["import", "--out", "vae.safetensors"][..], &source, more].concat())
}

#[test]
fn an_exported_model_is_imported_certified_and_verified() {
    let reference = fixture("digits-vae/reconstructions.npy").display().to_string();
    for kind in ["onnx", "state dict"] {
        let folder = tempfile::tempdir().unwrap();
        let answer = import(folder.path(), kind, &["--check", &reference]);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{kind}");
        for text in
            ["convolution 3, stride 2, relu", "latent   6", "likelihood Bernoulli", "within 1.0e-4", "of 50 inputs"]
        {
            assert!(answer.stdout.contains(text), "{kind}: {text} in\n{}", answer.stdout);
        }
        let model = ["--model", "vae.safetensors"];
        let certify = ["certify", "--inputs", "2", "--draws", "2000", "--out", "c.jsonl"];
        let answer = run(folder.path(), &[&certify[..], &model].concat());
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let answer = run(folder.path(), &[&["verify", "c.jsonl"][..], &model].concat());
        assert_eq!(answer.code, 0, "{}", answer.stdout);
        assert!(answer.stdout.contains("2 verified"), "{}", answer.stdout);
    }
}

#[test]
fn outputs_that_are_not_the_frameworks_are_an_exit_status_of_1() {
    let folder = tempfile::tempdir().unwrap();
    let reference = fixture("digits-vae/reconstructions.npy").display().to_string();
    let answer = import(folder.path(), "onnx", &["--check", &reference, "--split", "train"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(answer.stdout.contains("NOT within"), "{}", answer.stdout);
    // A check of nothing is no check.
    assert_eq!(import(folder.path(), "onnx", &["--check", &reference, "--inputs", "0", "--overwrite"]).code, 2);
}

#[test]
fn an_audit_of_an_imported_model_brackets_its_inputs() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(import(folder.path(), "onnx", &[]).code, 0);
    let effort = ["--draws", "1000", "--decision-draws", "500", "--restarts", "1", "--steps", "10"];
    let audit = ["audit", "--model", "vae.safetensors", "--inputs", "1", "--out", "run"];
    let answer = run(folder.path(), &[&audit[..], &effort].concat());
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stdout.contains("1 bracketed, 0 undecided, 0 alarms"), "{}", answer.stdout);
}

/// Every message names what is wrong and says what to do.
#[test]
fn what_gives_no_model_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("alone.onnx");
    std::fs::copy(fixture("digits-vae/vae.onnx"), &alone).unwrap();
    let alone = alone.display().to_string();
    std::fs::write(folder.path().join("garbage.onnx"), b"\x08\x09garbage").unwrap();
    let weights = fixture("digits-vae/vae.pt").display().to_string();
    let text = std::fs::read_to_string(fixture("digits-vae/vae.toml")).unwrap();
    for (name, from, to) in [
        ("misspelt.toml", "encoder.4", "encoder.5"),
        ("latent.toml", "latent_dim = 6", "latent_dim = 7"),
        ("kernel.toml", "shape = [8, 4, 4]", "shape = [4, 8, 4]"),
        ("unknown.toml", "\"batch_norm\"", "\"group_norm\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        std::fs::write(folder.path().join(name), changed).unwrap();
    }
    let malicious = fixture("torch/malicious.pt").display().to_string();
    let torch = |description| ["--weights", weights.as_str(), "--architecture", description];
    let cases: [(&[&str], i32, &str); 9] = [
        (&["--onnx", &alone], 5, "vae.onnx.data"),
        (&["--onnx", "garbage.onnx"], 5, "garbage.onnx"),
        (&["--onnx", "absent.onnx"], 5, "absent.onnx"),
        (&torch("misspelt.toml"), 5, "encoder.5"),
        (&torch("latent.toml"), 5, "7"),
        (&torch("kernel.toml"), 5, "decoder"),
        (&torch("unknown.toml"), 5, "group_norm"),
        (&["--weights", &malicious, "--architecture", "latent.toml"], 5, "malicious.pt"),
        (&[], 2, "--encoder"),
    ];
    for (arguments, code, text) in cases {
        let answer = run(folder.path(), &[&["import", "--out", "m.safetensors"][..], arguments].concat());
        assert_eq!((answer.code, answer.stdout.as_str()), (code, ""), "{arguments:?}: {}", answer.stderr);
        assert!(
            answer.stderr.starts_with("error: ") && answer.stderr.contains(text),
            "{arguments:?}: {}",
            answer.stderr
        );
        assert!(!folder.path().join("m.safetensors").exists());
    }
}

#[test]
fn data_that_do_not_fit_an_imported_model_explain_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let answer = import(folder.path(), "onnx", &["--data", "gaussian:1,2,3"]);
    assert_eq!(answer.code, 2, "{}", answer.stdout);
    assert!(answer.stderr.contains("[3]") && answer.stderr.contains("[1, 8, 8]"), "{}", answer.stderr);
    assert_eq!(import(folder.path(), "onnx", &[]).code, 0);
    let again = import(folder.path(), "onnx", &[]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("--overwrite"), "{}", again.stderr);
    let audit = run(folder.path(), &["certify", "--model", "vae.safetensors", "--resize", "16x16"]);
    assert_eq!(audit.code, 2);
    assert!(audit.stderr.contains("--resize 8x8"), "{}", audit.stderr);
}
