//! Disks that are full or may only be read: one clear error, exit status 5, and what was finished is kept.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::{program, written, AUDIT, CERTIFY};
use crate::support::Answer;

/// Runs the program where no file may grow beyond `blocks` of 512 bytes, which looks like a full disk.
fn with_small_files(folder: &Path, blocks: &str, arguments: &[&str]) -> Answer {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let program = env!("CARGO_BIN_EXE_vaecert");
    Command::new("sh").current_dir(folder).args(["-c", &script, program]).args(arguments).output().unwrap().into()
}

fn says_so(answer: &Answer, file: &str) {
    assert_eq!(answer.code, 5, "{}", answer.stderr);
    let errors: Vec<&str> = answer.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{}", answer.stderr);
    assert!(errors[0].contains(file) && errors[0].contains("--resume"), "{}", answer.stderr);
}

#[test]
#[cfg(unix)]
fn a_full_disk_keeps_what_is_finished_and_the_rest_is_continued() {
    for (command, inputs, blocks, file) in [(&AUDIT[..], "8", "12", "inputs.jsonl"), (&CERTIFY, "8", "8", "full")] {
        let folder = tempdir().unwrap();
        program(folder.path(), command, inputs, "whole", &[]);
        let arguments = [command, &[inputs, "--out", "full"]].concat();
        let full = with_small_files(folder.path(), blocks, &arguments);
        says_so(&full, file);
        // The same disk again: nothing is lost by trying.
        let again = with_small_files(folder.path(), blocks, &[&arguments[..], &["--resume"]].concat());
        says_so(&again, file);
        let taken = |answer: &Answer| answer.stderr.contains("of 8 inputs taken from full");
        let more = program(folder.path(), command, inputs, "full", &["--resume"]);
        assert_eq!(more.code, 0, "{}", more.stderr);
        assert!(taken(&more) && !more.stderr.contains("0 of 8"), "{}", more.stderr);
        assert_eq!(written(folder.path(), "full"), written(folder.path(), "whole"));
    }
}

/// Mounts a file system on `folder/disk` for a test; none where this machine does not allow that.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(folder: &Path, options: &str) -> Option<Self> {
        let path = folder.join("disk");
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        let _ = writeln!(std::io::stderr(), "skipped: this test mounts a file system, which needs root");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_small_file_system_that_fills_up_keeps_what_is_finished() {
    for (command, size) in [(&AUDIT[..], "size=48k"), (&CERTIFY, "size=32k")] {
        let folder = tempdir().unwrap();
        let Some(disk) = Mounted::new(folder.path(), size) else { return };
        let full = program(folder.path(), command, "40", "disk/run", &[]);
        assert_eq!(full.code, 5, "{}", full.stderr);
        assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
        // More room, and it goes on.
        let more = Command::new("mount").args(["-o", "remount,size=8m"]).arg(&disk.0).status().unwrap();
        assert!(more.success());
        let resumed = program(folder.path(), command, "40", "disk/run", &["--resume"]);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        assert!(resumed.stderr.contains("of 40 inputs taken"), "{}", resumed.stderr);
        program(folder.path(), command, "40", "whole", &[]);
        assert_eq!(written(folder.path(), "disk/run"), written(folder.path(), "whole"));
    }
}

#[test]
fn a_file_system_that_may_only_be_read_is_an_error_before_any_work() {
    let folder = tempdir().unwrap();
    let Some(disk) = Mounted::new(folder.path(), "size=1m") else { return };
    program(folder.path(), &AUDIT, "2", "disk/run", &[]);
    let before = written(folder.path(), "disk/run");
    assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap().success());
    for (command, out) in [(&AUDIT[..], "disk/run"), (&AUDIT, "disk/new"), (&CERTIFY, "disk/c.jsonl")] {
        let refused = program(folder.path(), command, "2", out, &["--overwrite"]);
        assert_eq!(refused.code, 5, "{}", refused.stderr);
        assert!(refused.stderr.contains("Read-only file system"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    assert_eq!(written(folder.path(), "disk/run"), before);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_behind_stdout_is_an_error_and_the_files_are_kept() {
    let folder = tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let arguments = [&AUDIT[..], &["2", "--out", "run"]].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaecert"));
    let status = command.current_dir(folder.path()).args(arguments).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(5));
    assert_eq!(program(folder.path(), &AUDIT, "2", "run", &["--resume"]).code, 0);
}
