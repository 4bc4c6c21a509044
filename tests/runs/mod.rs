//! Long runs and several machines: kills, full disks, limits of time and draws, shards joined to the bytes of one run, and
//! the job files that do it.

mod disk;
mod jobs;
mod kills;
mod limits;
mod shards;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{files_below, vaecert, Answer};

/// An audit of few draws, one cheap attack, and as many inputs as a test has patience for.
const AUDIT: [&str; 12] = [
    "audit",
    "--draws",
    "300",
    "--decision-draws",
    "200",
    "--selection-draws",
    "100",
    "--steps",
    "2",
    "--attack",
    "latent",
    "--inputs",
];

/// A certificate of few draws.
const CERTIFY: [&str; 6] = ["certify", "--draws", "300", "--selection-draws", "100", "--inputs"];

/// Runs `command` for `inputs` inputs into `out`.
fn program(folder: &Path, command: &[&str], inputs: &str, out: &str, more: &[&str]) -> Answer {
    vaecert(folder, &[command, &[inputs, "--out", out], more].concat())
}

/// Whatever a command wrote to `out`: the files of a folder, or one file.
fn written(folder: &Path, out: &str) -> Vec<(String, Vec<u8>)> {
    let path = folder.join(out);
    if path.is_dir() {
        files_below(&path)
    } else {
        vec![(String::new(), std::fs::read(path).unwrap())]
    }
}

/// The program as a process that can be killed.
fn started(folder: &Path, arguments: &[&str]) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaecert"));
    command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
