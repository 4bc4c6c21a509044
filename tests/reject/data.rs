//! Data files that are not what they should be, and preprocessing that means nothing.

use std::path::Path;

use super::refused;
use crate::support::{npy, quick};

fn file(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    folder
}

fn audit(folder: &Path, data: &[&str], code: i32, fragments: &[&str]) {
    refused(folder, &quick(data), code, fragments);
}

#[test]
fn preprocessing_without_meaning_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--scale", "0"], &["--scale", "other than 0"]),
        (&["--scale", "nan"], &["--scale", "finite"]),
        (&["--mean", "0.1,x"], &["--mean", "entry 2 of 2"]),
        (&["--mean", "0.1,0.2"], &["--mean does not fit", "2 numbers", "1 channel"]),
        (&["--std", "0"], &["--std", "above 0"]),
        (&["--layout", "chw"], &["--layout", "nchw, nhwc, nhw, flat"]),
        (&["--layout", "nchw"], &["--layout nchw does not fit", "[n, C, H, W]"]),
        (&["--resize", "0x8"], &["--resize", "32x32"]),
        (&["--resize", "pad:4x4"], &["--resize pad:4x4 does not fit", "8x8"]),
        (&["--data", "gaussian:1", "--resize", "2x2"], &["--resize 2x2 does not fit", "no image"]),
    ];
    for (arguments, fragments) in cases {
        audit(folder.path(), arguments, 2, fragments);
    }
}

#[test]
fn archives_that_are_none() {
    audit(file("a.npz", b"PK\x03\x04").path(), &["--data", "a.npz"], 5, &["a.npz is not usable"]);
    audit(file("a.safetensors", b"\xff").path(), &["--data", "a.safetensors:x"], 5, &["a.safetensors is not usable"]);
    let empty = [&2_u64.to_le_bytes()[..], b"{}"].concat();
    audit(
        file("a.safetensors", &empty).path(),
        &["--data", "a.safetensors:x"],
        2,
        &["holds no array \"x\"", "no array"],
    );
}

#[test]
fn files_named_by_path_with_other_contents() {
    audit(file("a.idx", b"\x00\x00\x08\x01").path(), &["--data", "a.idx"], 5, &["a.idx", "[00, 00, 08, 03]"]);
    audit(file("a.bin", &[0; 3072]).path(), &["--data", "a.bin"], 5, &["a.bin", "3073 were expected"]);
    let nan = npy("<f4", "(1, 1)", &f32::NAN.to_le_bytes());
    audit(file("a.npy", &nan).path(), &["--data", "a.npy", "--mean", "1"], 5, &["a.npy (mean 1)", "NaN"]);
}

#[test]
fn folders_without_readable_images() {
    audit(file("f/notes.txt", b"").path(), &["--data", "f/"], 5, &["f/ holds no .png"]);
    audit(file("f/0.png", b"\x89PNG\r\n\x1a\n").path(), &["--data", "f/"], 5, &["f/0.png", "expected a PNG or JPEG"]);
    let folder = tempfile::tempdir().unwrap();
    audit(folder.path(), &["--data", "absent/"], 5, &["absent/"]);
}
