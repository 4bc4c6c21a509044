//! Policies that make no sense: the message and the exit status. Every kind is matched beside the code that reads them.

use super::refused;

#[test]
fn a_policy_that_makes_no_sense_names_the_place_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let require = "[require]\nalarms_at_most = 0\n";
    let cases: [(String, i32, &[&str]); 10] = [
        (
            format!("input = 3\n{require}"),
            2,
            &["vaecert.toml:1:1", "unknown key \"input\"", "did you mean \"inputs\"?"],
        ),
        ("inputs = 3\n".to_owned(), 2, &["nothing is required", "[require]", "certified"]),
        (format!("r = -1\n{require}"), 2, &["vaecert.toml:1:5", "above 0, found -1"]),
        (format!("steps = 0\n{require}"), 2, &["vaecert.toml", "number of steps", "found 0"]),
        ("inputs = 0\n[require]\nmedian_margin = 1\n".to_owned(), 2, &["--inputs must be at least 1"]),
        (format!("data = 'mnist'\n{require}"), 2, &["vaecert.toml", "--data-dir"]),
        (format!("model = 'absent.safetensors'\n{require}"), 5, &["absent.safetensors"]),
        (format!("{require}[budget]\ntime = 'soon'\n"), 2, &["vaecert.toml:4", "90s, 15m, 2h", "\"soon\""]),
        ("[require]\nmedian_margin = 20\n".to_owned(), 2, &["vaecert.toml:2", "max_norm = 10"]),
        ("inputs = \n".to_owned(), 5, &["vaecert.toml:1", "expected TOML"]),
    ];
    for (text, code, fragments) in cases {
        std::fs::write(folder.path().join("vaecert.toml"), text).unwrap();
        refused(folder.path(), &["check"], code, fragments);
    }
}

#[test]
fn a_policy_that_is_not_there_and_reports_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["check"], 5, &["vaecert.toml: cannot be read", "check --example"]);
    refused(folder.path(), &["check", "--example", "--json"], 2, &["--example"]);
    std::fs::write(folder.path().join("vaecert.toml"), "[require]\nalarms_at_most = 0\n").unwrap();
    for option in ["--junit", "--summary"] {
        refused(folder.path(), &["check", option, "absent/file"], 5, &["absent/file: cannot be written"]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was audited");
}
