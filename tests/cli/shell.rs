//! The program as a citizen of a shell: settings, messages, colours, completions, manual pages.

use std::io::Write;
use std::process::Command;

use crate::support::{quick, vaecert, vaecert_where};

#[test]
fn settings_are_options_that_need_not_be_typed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join(".vaecert.toml"), "runs_dir = 'elsewhere'\n[audit]\ninputs = 1\nseed = 3\n").unwrap();
    let line: Vec<&str> = quick(&["--json"]).into_iter().filter(|word| !["--inputs", "3"].contains(word)).collect();
    let answer = vaecert_where(at, &line, &[("VAECERT_AUDIT_INPUTS", "2")]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let used =
        "settings: --inputs=2 (VAECERT_AUDIT_INPUTS), --seed=3 (.vaecert.toml), --runs-dir=elsewhere (.vaecert.toml)";
    assert_eq!(answer.stderr.trim_end(), used);
    let run = std::fs::read_dir(at.join("elsewhere")).unwrap().next().unwrap().unwrap().path();
    let run: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!((&run["identity"]["inputs"], &run["identity"]["plan"]["seed"]), (&2.into(), &3.into()));
    // The same as typed.
    let typed = [&line[..], &["--inputs", "2", "--seed", "3", "--out", "typed"]].concat();
    assert_eq!(vaecert_where(at, &typed, &[]).stdout, answer.stdout);
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_and_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert_where(folder.path(), &["audit"], &[("VAECERT_AUDIT_INPUTS", "many")]);
    assert_eq!(answer.code, 2);
    for expected in ["invalid value 'many' for '--inputs <N>'", "--inputs=many (VAECERT_AUDIT_INPUTS)"] {
        assert!(answer.stderr.contains(expected), "{}", answer.stderr);
    }
    let named = vaecert(folder.path(), &["--settings", "absent.toml", "explain", "T2-variance"]);
    assert_eq!(named.code, 5);
    assert!(named.stderr.contains("settings file absent.toml: "), "{}", named.stderr);
    let misspelt = vaecert_where(folder.path(), &["explain", "T2-variance"], &[("VAECERT_QUEIT", "true")]);
    assert_eq!(misspelt.code, 0);
    assert!(
        misspelt.stderr.contains("VAECERT_QUEIT is no setting; did you mean VAECERT_QUIET?"),
        "{}",
        misspelt.stderr
    );
}

#[test]
fn quiet_says_nothing_and_verbose_logs_without_changing_results() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let audit = |more: &[&str], variables: &[(&str, &str)]| {
        vaecert_where(at, &quick(&[&["--json", "--overwrite", "--out", "run"][..], more].concat()), variables)
    };
    let plain = audit(&[], &[]);
    assert_eq!(plain.stderr, "");
    let quiet = audit(&["--quiet"], &[("VAECERT_AUDIT_SEED", "0"), ("VAECERT_LOG", "trace")]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), (plain.stdout.as_str(), ""));
    let levels: Vec<_> = ["-v", "-vv", "-vvv"].map(|verbose| audit(&[verbose], &[])).into_iter().collect();
    for (answer, (has, has_not)) in levels.iter().zip([
        (&["INFO", "audited input=2 outcome=\"bracketed\"", "data read"][..], "DEBUG"),
        (&["DEBUG", "attack search=\"input/0\""], "TRACE"),
        (&["TRACE", "decision"], "\u{1b}"),
    ]) {
        assert_eq!(answer.stdout, plain.stdout);
        assert!(has.iter().all(|text| answer.stderr.contains(text)), "{}", answer.stderr);
        assert!(!answer.stderr.contains(has_not), "{}", answer.stderr);
    }
    let chosen = audit(&[], &[("VAECERT_LOG", "vaecert::data=info")]);
    assert!(chosen.stderr.contains("data read") && !chosen.stderr.contains("audited"), "{}", chosen.stderr);
    let senseless = audit(&[], &[("VAECERT_LOG", "vaecert=loud")]);
    assert_eq!(senseless.code, 2);
    assert!(
        senseless.stderr.contains("VAECERT_LOG: ") && senseless.stderr.contains("MODULE=LEVEL"),
        "{}",
        senseless.stderr
    );
    let both = audit(&["-q", "-v"], &[]);
    assert_eq!(both.code, 2);
}

#[test]
fn colours_are_for_people_and_only_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let green = "\u{1b}[32m";
    let audit = |more: &[&str], variables: &[(&str, &str)]| {
        vaecert_where(at, &quick(&[&["--overwrite", "--out", "run"][..], more].concat()), variables).stdout
    };
    let plain = audit(&[], &[]);
    assert!(!plain.contains('\u{1b}'), "a pipe has no colours");
    let colored = audit(&["--color", "always"], &[]);
    assert!(colored.contains(&format!("3 {green}bracketed\u{1b}[0m, 0 undecided")), "{colored}");
    assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
    assert!(audit(&[], &[("VAECERT_COLOR", "always")]).contains(green));
    assert!(!audit(&["--color=always", "--json"], &[]).contains('\u{1b}'), "JSON has no colours");
    let error = vaecert(at, &["--color", "always", "explain", "X"]);
    assert!(error.stderr.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m no claim is called"), "{:?}", error.stderr);
    assert_eq!(vaecert(at, &["--color", "sometimes", "explain", "X"]).code, 2);
}

#[test]
fn misspelt_words_are_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["audti"][..], "'audit'"),
        (&["audit", "--inptus", "3"], "'--inputs'"),
        (&["audit", "--threat", "jiont"], "a similar value exists: 'joint'"),
        (&["audit", "--layout", "nwhc"], "a similar value exists: 'nhwc'"),
        (&["audit", "--attack", "max-damge"], "did you mean \"max-damage\"?"),
        (&["audit", "--device", "cdua:0"], "did you mean \"cuda:0\"?"),
        (&["audit", "--data", "minst", "--data-dir", "d"], "mnist"),
        (&["audit", "--protocol", "bisct"], "a similar value exists: 'bisect'"),
        (&["train", "--architecture", "paper-minst", "--out", "m"], "did you mean \"paper-mnist\"?"),
        (&["data", "fetch", "cifar"], "did you mean \"cifar10\"?"),
        (&["diff", "a", "b", "--allow-different", "sede"], "did you mean \"seed\"?"),
        (&["report", "run", "--format", "htlm"], "a similar value exists: 'html'"),
    ] {
        if !cfg!(feature = "fetch") && arguments.contains(&"fetch") {
            continue;
        }
        let answer = vaecert(folder.path(), arguments);
        assert_eq!(answer.code, 2, "{arguments:?} {}", answer.stderr);
        assert!(answer.stderr.contains(expected), "{arguments:?}: {expected} is missing from\n{}", answer.stderr);
    }
}

#[test]
fn completions_know_every_command_and_bash_can_read_them() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = vaecert(folder.path(), &["completions", shell]);
        assert_eq!(answer.code, 0);
        for word in ["gamma-sum", "linearization", "draws-per-input"] {
            assert!(answer.stdout.contains(word), "{shell}: {word}");
        }
        if shell == "bash" {
            std::fs::write(folder.path().join("c.bash"), answer.stdout).unwrap();
        }
    }
    let script =
        "source ./c.bash && COMP_WORDS=(vaecert audit --sel) && COMP_CWORD=2 && _vaecert vaecert --sel audit && \
                  echo \"${COMPREPLY[@]}\"";
    let Ok(bash) = Command::new("bash").args(["-c", script]).current_dir(folder.path()).output() else {
        let _ = writeln!(std::io::stderr(), "no bash: its completions are not tried out");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "--selection-draws", "{bash:?}");
    assert_eq!(vaecert(folder.path(), &["completions", "cmd"]).code, 2);
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let page = vaecert(at, &["man"]);
    assert!(page.stdout.contains(".TH vaecert 1") && page.stdout.contains("gamma\\-sum"), "{}", page.stdout);
    let answer = vaecert(at, &["man", "--out", "man/man1"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let mut names: Vec<String> = std::fs::read_dir(at.join("man/man1"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.contains(&"vaecert.1".to_owned()) && names.contains(&"vaecert-data-fetch.1".to_owned()), "{names:?}");
    let audit = std::fs::read_to_string(at.join("man/man1/vaecert-audit.1")).unwrap();
    assert!(
        audit.contains("vaecert\\-audit") && audit.contains("Examples:") && audit.contains("\\-\\-max\\-norm"),
        "{audit}"
    );
    let again = vaecert(at, &["man", "--out", "man/man1"]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("already exists") && again.stderr.contains("--overwrite"), "{}", again.stderr);
    assert_eq!(vaecert(at, &["man", "--out", "man/man1", "--overwrite"]).code, 0);
    std::fs::write(at.join("file"), "").unwrap();
    assert_eq!(vaecert(at, &["man", "--out", "file/man1"]).code, 5);
}
