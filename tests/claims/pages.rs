//! Every claim has its page and its test, every page its claim, and pages name commands and tests that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use vaecert::claims::{Expectation, REGISTRY};

use crate::support::files_below;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn pages() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("proofs")).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.to_str().unwrap().strip_suffix(".md").unwrap().to_owned()).collect()
}

/// The names of the test functions in verdicts.rs.
fn tests() -> BTreeSet<String> {
    let text = include_str!("verdicts.rs");
    let names = text.lines().filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("() {"));
    names.map(str::to_owned).collect()
}

/// Text of the project's sources and tests, to look a test's name up in.
fn sources() -> String {
    let files = ["src", "tests"].into_iter().flat_map(|folder| files_below(&root().join(folder)));
    let rust = files.filter(|(name, _)| name.ends_with(".rs"));
    rust.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn every_claim_has_its_page_and_every_page_its_claim() {
    let ids: BTreeSet<String> = REGISTRY.iter().map(|claim| claim.id.to_owned()).collect();
    assert_eq!(ids, pages());
}

#[test]
fn every_claim_has_its_test_and_every_test_its_claim() {
    // The longest id that a test's name starts with is the claim that it is about.
    let snake = |id: &str| id.to_lowercase().replace('-', "_");
    let about = |name: &str| {
        let fits = REGISTRY.iter().filter(|claim| {
            let stem = snake(claim.id);
            name == format!("{stem}_holds") || name.starts_with(&format!("{stem}_is_refuted"))
        });
        fits.map(|claim| claim.id).collect::<Vec<_>>()
    };
    let mut covered = BTreeSet::new();
    for name in tests() {
        match about(&name)[..] {
            [id] => assert!(covered.insert(id), "two tests of {id}"),
            ref ids => panic!("{name} is about {ids:?}"),
        }
    }
    assert_eq!(covered, REGISTRY.iter().map(|claim| claim.id).collect());
}

#[test]
fn pages_state_the_verdict_on_record_and_name_their_command_and_tests() {
    let (tests, sources) = (tests(), sources());
    for claim in REGISTRY {
        let page = claim.page;
        assert!(page.starts_with(&format!("# {}: ", claim.id)), "{}: the title", claim.id);
        for heading in ["## Statement", "## Assumptions", "## Checked by"] {
            assert!(page.contains(&format!("\n{heading}\n")), "{}: no {heading}", claim.id);
        }
        let verdict = match claim.expected {
            Expectation::Holds => "\nVerdict: holds",
            Expectation::Refuted => "\nVerdict: refuted",
        };
        assert!(page.contains(verdict), "{}: not{verdict}", claim.id);
        if claim.expected == Expectation::Refuted {
            assert!(page.contains("\n## Counterexample"), "{}", claim.id);
            assert!(page.contains("\n## Amended statement"), "{}", claim.id);
        }
        let checked = page.split("## Checked by").nth(1).unwrap();
        assert!(checked.contains(&format!("`vaecert claims --only {}`", claim.id)), "{}: the command", claim.id);
        let named: Vec<&str> =
            checked.split('`').filter_map(|part| part.strip_prefix("cargo test --test integration ")).collect();
        assert!(named.iter().any(|name| tests.contains(*name)), "{}: no test of it among {named:?}", claim.id);
        for name in named {
            assert!(sources.contains(&format!("fn {name}")), "{}: no test is called {name}", claim.id);
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let pages = pages();
    for claim in REGISTRY {
        for link in claim.page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.strip_suffix(".md").unwrap_or_else(|| panic!("{}: a link to {link}", claim.id));
            assert!(pages.contains(target), "{}: no page {target}", claim.id);
        }
    }
}
