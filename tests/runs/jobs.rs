//! The job files do what they say: run as their schedulers would run them, with the variables that those set.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::tempdir;

use super::{program, written, AUDIT};
use crate::support::vaecert;

fn job(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/jobs").join(name)
}

/// The arguments of [`AUDIT`] behind its name.
fn arguments() -> String {
    [&AUDIT[1..], &["6"]].concat().join(" ")
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg(unix)]
fn a_slurm_array_and_the_job_behind_it_write_the_bytes_of_one_run() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    // What stands in for sbatch notes how it was called.
    let sbatch = folder.path().join("sbatch");
    std::fs::write(&sbatch, "#!/bin/sh\necho \"$@\" >> sbatch.log\n").unwrap();
    std::fs::set_permissions(&sbatch, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let script = |more: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new("sh");
        command.arg(job("slurm.sh")).args(more).current_dir(folder.path()).env("PATH", &path);
        command.env("VAECERT", env!("CARGO_BIN_EXE_vaecert")).env("ARGUMENTS", arguments());
        command.envs(variables.iter().copied()).output().unwrap()
    };
    for task in ["3", "0", "1", "2", "1"] {
        // Task 1 comes again, as after a requeue, and continues what is there.
        succeeded(&script(&[], &[("SLURM_ARRAY_TASK_ID", task), ("SLURM_ARRAY_JOB_ID", "77")]));
    }
    let queued = std::fs::read_to_string(folder.path().join("sbatch.log")).unwrap();
    assert_eq!(queued.lines().count(), 1, "one job joins the shards: {queued}");
    assert!(queued.contains("--dependency=afterany:77") && queued.ends_with("merge\n"), "{queued}");
    succeeded(&script(&["merge"], &[]));
    program(folder.path(), &AUDIT, "6", "one", &[]);
    assert_eq!(written(folder.path(), "vaecert-run"), written(folder.path(), "one"));
}

/// The shell script of the container in the Kubernetes job.
fn container_script(yaml: &str) -> String {
    let lines = yaml.lines().skip_while(|line| line.trim() != "- |").skip(1);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let first = lines.clone().next().map(indent).unwrap();
    let block = lines.take_while(|line| line.trim().is_empty() || indent(line) >= first);
    block.map(|line| line.get(first..).unwrap_or("").to_owned() + "\n").collect()
}

#[test]
#[cfg(unix)]
fn an_indexed_kubernetes_job_writes_shards_that_join_to_the_bytes_of_one_run() {
    let folder = tempdir().unwrap();
    let yaml = std::fs::read_to_string(job("kubernetes.yaml")).unwrap();
    assert!(yaml.contains("completionMode: Indexed\n  completions: 4\n"), "{yaml}");
    let script = container_script(&yaml);
    // Its volumes, its image's program and what is audited are this test's; the rest runs as it stands.
    let subject = "--model /models/mnist.safetensors --data mnist --data-dir /data/mnist --inputs 1000";
    assert!(script.contains(subject) && script.contains("\nvaecert audit "), "{script}");
    let runs = folder.path().display().to_string();
    let script = script.replace(subject, &arguments()).replace("/runs/", &format!("{runs}/"));
    let script = script.replace("vaecert audit", &format!("{} audit", env!("CARGO_BIN_EXE_vaecert")));
    for index in ["2", "0", "3", "1", "3"] {
        let mut shell = Command::new("sh");
        succeeded(&shell.args(["-c", &script]).env("JOB_COMPLETION_INDEX", index).output().unwrap());
    }
    let shards = ["shard-0", "shard-1", "shard-2", "shard-3"];
    let joined = vaecert(folder.path(), &[&["merge"], &shards[..], &["--out", "run"]].concat());
    assert_eq!(joined.code, 0, "{}", joined.stderr);
    program(folder.path(), &AUDIT, "6", "one", &[]);
    assert_eq!(written(folder.path(), "run"), written(folder.path(), "one"));
}
