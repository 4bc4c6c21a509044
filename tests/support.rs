//! What several tests need: the program, and folders to work in.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// Property tests draw the same `cases` cases in every run and leave no files behind.
pub(crate) fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(0), failure_persistence: None, ..ProptestConfig::default() }
}

/// The program's answer to a command line.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the program in `folder`.
pub(crate) fn vaecert(folder: &Path, arguments: &[&str]) -> Answer {
    vaecert_where(folder, arguments, &[])
}

/// Runs the program in `folder` with these variables, and without those that change what it does: its settings, those by
/// which it knows that it runs on GitHub, and those about colours.
pub(crate) fn vaecert_where(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaecert"));
    for (name, _) in std::env::vars() {
        let known = ["GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"];
        if name.starts_with("VAECERT_") || known.contains(&name.as_str()) {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    command.current_dir(folder).args(arguments).output().unwrap().into()
}

/// The program with pipes for stdin and stdout.
pub(crate) fn piped(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaecert"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs the program with `input` on stdin. It must be short enough for a pipe, and so must the answer.
pub(crate) fn vaecert_reading(arguments: &[&str], input: &[u8]) -> Answer {
    let mut program = piped(arguments);
    program.stdin.take().unwrap().write_all(input).unwrap();
    program.wait_with_output().unwrap().into()
}

/// An audit small enough for a test: few inputs, few draws, one cheap attack.
pub(crate) const QUICK: [&str; 13] = [
    "audit",
    "--inputs",
    "3",
    "--draws",
    "600",
    "--decision-draws",
    "400",
    "--selection-draws",
    "300",
    "--steps",
    "6",
    "--attack-draws",
    "8",
];

/// [`QUICK`] with further arguments.
pub(crate) fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&QUICK, more].concat()
}

/// Every file below `folder`, by relative name, with its bytes.
pub(crate) fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A version 1 npy file.
pub(crate) fn npy(description: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{description}', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}
