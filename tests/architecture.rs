//! Which module may depend on which, read off the source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules from the ground up; each may use those before it, and itself.
const ORDER: [&str; 23] = [
    "quantity",
    "seed",
    "progress",
    "files",
    "spelling",
    "markdown",
    "threads",
    "allowance",
    "certificate",
    "stats",
    "linalg",
    "data",
    "model",
    "import",
    "sensitivity",
    "bounds",
    "attack",
    "margin",
    "audit",
    "policy",
    "baseline",
    "report",
    "claims",
];
/// Modules that may name candle.
const CANDLE: [&str; 7] = ["model", "sensitivity", "attack", "margin", "audit", "claims", "cli"];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap();
                let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((module, path, text));
            }
        }
    }
    found
}

/// The part of a file that is not its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn is_test_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn dependencies_point_one_way() {
    for (module, path, text) in sources() {
        let Some(place) = ORDER.iter().position(|name| *name == module) else { continue };
        if is_test_file(&path) {
            continue;
        }
        for (line, text) in without_tests(&text).lines().enumerate() {
            for (later, name) in ORDER.iter().enumerate().skip(place + 1) {
                assert!(
                    !text.contains(&format!("crate::{name}::")) && !text.contains(&format!("crate::{name}]"))
                        || text.trim_start().starts_with("//"),
                    "{}:{}: {module} (place {place}) uses {name} (place {later})",
                    path.display(),
                    line + 1
                );
            }
        }
    }
}

/// What a file mentions as `crate::NAME`.
fn mentioned(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(name).collect()
}

#[test]
fn the_checker_sees_quantities_and_the_certificates_layout_and_nothing_else() {
    let allowed = BTreeSet::from(["quantity".to_owned(), "certificate".to_owned()]);
    let mut files = 0;
    for (_, path, text) in sources().into_iter().filter(|(module, ..)| module == "verify") {
        files += 1;
        let text = without_tests(&text);
        if is_test_file(&path) {
            continue;
        }
        let others: Vec<_> = mentioned(text).difference(&allowed).cloned().collect();
        assert!(others.is_empty(), "{} uses {others:?}", path.display());
        for kept in ["nalgebra", "candle", "gemm", "statrs"] {
            let used = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(kept));
            assert!(!used, "{} uses {kept}", path.display());
        }
    }
    assert!(files > 5);
}

#[test]
fn the_certificates_layout_computes_nothing() {
    let allowed = BTreeSet::from(["quantity".to_owned(), "files".to_owned()]);
    for (_, path, text) in sources().into_iter().filter(|(module, ..)| module == "certificate") {
        let others: Vec<_> = mentioned(without_tests(&text)).difference(&allowed).cloned().collect();
        assert!(others.is_empty(), "{} uses {others:?}", path.display());
    }
}

#[test]
fn nothing_but_the_command_line_uses_the_checker() {
    for (module, path, text) in sources() {
        let uses = mentioned(without_tests(&text)).contains("verify");
        assert!(!uses || module == "cli" || module == "verify", "{} uses verify", path.display());
    }
}

#[test]
fn candle_is_named_only_where_tensors_belong() {
    for (module, path, text) in sources() {
        if CANDLE.contains(&module.as_str()) || matches!(module.as_str(), "lib" | "main") || is_test_file(&path) {
            continue;
        }
        let code = without_tests(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        assert!(!code.into_iter().any(|line| line.contains("candle")), "{} names candle", path.display());
    }
}

#[test]
fn only_one_file_knows_the_feature_cuda() {
    let knowing: BTreeSet<_> = sources()
        .into_iter()
        .filter(|(_, _, text)| text.contains("feature = \"cuda\""))
        .map(|(_, path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(knowing, BTreeSet::from(["device.rs".to_owned()]));
}

#[test]
fn generators_are_made_in_one_file() {
    for (module, path, text) in sources() {
        // The checker makes its own, on purpose.
        if module == "verify" {
            continue;
        }
        let makes = ["from_seed(", "seed_from_u64(", "from_os_rng(", "rand::rng()"]
            .iter()
            .any(|call| without_tests(&text).contains(call));
        assert!(!makes || module == "seed", "{} makes a generator; use seed::Seed::stream", path.display());
    }
}

#[test]
fn the_module_map_names_every_module() {
    let front_page = include_str!("../src/lib.rs");
    for line in front_page.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let name = line.trim_end_matches(';');
        assert!(front_page.contains(&format!("[`{name}`]")), "the module map in lib.rs lacks {name}");
    }
}

#[test]
fn the_readmes_exit_codes_are_the_programs() {
    let readme = include_str!("../README.md");
    for code in vaecert::cli::ExitCode::ALL {
        let row = format!("| {} | {} |", code.number(), code.meaning());
        assert!(readme.contains(&row), "README.md lacks the row {row:?}");
    }
}
