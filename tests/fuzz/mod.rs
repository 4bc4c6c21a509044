//! The bodies of the fuzz targets on mutated files, without a fuzzer: seeded, and as many as `VAECERT_FUZZ_CASES` says.

mod bodies;

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use vaecert::certificate::{CertificateFile, Header};
use vaecert::model::embedded;
use vaecert::verify::Verdict;

use crate::support::seeded;

/// What can happen to a file.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// Eight bytes as a length would be: huge, small, or just off.
    Length(Index, u64),
    Truncate(Index),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let text = prop::sample::select(vec![
        "null",
        "-1",
        "1e999",
        "NaN",
        "[]",
        "{}",
        "\"",
        "\n",
        "18446744073709551615",
        "0.5",
        "[[[[",
        "\\u0000",
        "7fefffffffffffff",
    ]);
    let inserted =
        prop_oneof![text.prop_map(|text| text.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 1..9)];
    let one = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (any::<Index>(), inserted).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<Index>(), 1..40usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (any::<Index>(), 1..200usize).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        (any::<Index>(), prop_oneof![any::<u64>(), Just(u64::MAX), 0..1000u64])
            .prop_map(|(at, n)| Mutation::Length(at, n)),
        any::<Index>().prop_map(Mutation::Truncate),
    ];
    prop::collection::vec(one, 0..6)
}

fn mutated(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match mutation {
            Mutation::Flip(at, bits) => bytes[at.index(length)] ^= bits,
            Mutation::Insert(at, more) => drop(bytes.splice(at.index(length)..at.index(length), more.iter().copied())),
            Mutation::Remove(at, count) => drop(bytes.drain(at.index(length)..(at.index(length) + count).min(length))),
            Mutation::Repeat(at, count) => {
                let piece = bytes[at.index(length)..(at.index(length) + count).min(length)].to_vec();
                drop(bytes.splice(at.index(length)..at.index(length), piece));
            }
            Mutation::Length(at, number) => {
                let start = at.index(length).min(length.saturating_sub(8));
                let place = bytes.iter_mut().skip(start);
                place.zip(number.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
            Mutation::Truncate(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

/// The corpus of a target, and the fixtures that serve it.
fn corpus(folders: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn certificates() -> Vec<Vec<u8>> {
    corpus(&["tests/fuzz/corpus/certificate", "fixtures/certificates/reject"])
}

fn header() -> Header {
    let bytes = include_bytes!("../../fixtures/certificates/accept/digits-mean.jsonl");
    CertificateFile::parse(bytes).unwrap().header
}

/// Every file of a target's corpus as it is: those that once failed, and those that lead far into the code.
#[test]
fn the_corpus_is_read_or_refused() {
    corpus(&["tests/fuzz/corpus/certificate", "fixtures/certificates/reject"])
        .iter()
        .for_each(|bytes| bodies::certificate(bytes));
    for bytes in corpus(&["tests/fuzz/corpus/model"]) {
        bodies::model(&bytes);
        bodies::checker_model(&header(), &bytes);
    }
    corpus(&["tests/fuzz/corpus/checker_model"]).iter().for_each(|bytes| bodies::checker_model(&header(), bytes));
    corpus(&["tests/fuzz/corpus/checker_entry"]).iter().for_each(|bytes| drop(bodies::checker_entry(bytes)));
    for (body, folder) in IMPORTED {
        // Every file goes through, whatever came of the ones before.
        let read = corpus(&[folder]).iter().filter(|bytes| body(bytes)).count();
        assert!(read > 0, "a file of {folder} is read");
    }
}

/// A body and the folder of files to begin with.
type Imported = (fn(&[u8]) -> bool, &'static str);

const IMPORTED: [Imported; 3] = [
    (bodies::onnx, "fixtures/import/onnx"),
    (bodies::state_dict, "fixtures/import/torch"),
    (bodies::description, "tests/fuzz/corpus/description"),
];

/// The target of entries reaches the checker, and what it changes keeps true claims true.
#[test]
fn entries_reach_the_checker() {
    for (name, entries) in [("mean", 2), ("joint", 1)] {
        let path = format!("tests/fuzz/corpus/certificate/{name}.jsonl");
        let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        assert_eq!(bodies::checker_entry(&bytes), vec![Verdict::Verified; entries], "{name}");
    }
}

/// The target of models gets past the recorded hash when a weight changes.
#[test]
fn changed_weights_are_read() {
    let mut bytes = corpus(&["tests/fuzz/corpus/model"]).remove(0);
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    assert!(bodies::model(&bytes));
}

fn cases() -> u32 {
    std::env::var("VAECERT_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(seeded(cases()))]

    #[test]
    fn mutated_certificates_are_read_or_refused(which in any::<Index>(), mutations in mutations()) {
        let files = certificates();
        let bytes = mutated(files[which.index(files.len())].clone(), &mutations);
        bodies::certificate(&bytes);
        bodies::checker_entry(&bytes);
    }

    #[test]
    fn mutated_imports_are_read_or_refused(
        target in 0..IMPORTED.len(), which in any::<Index>(), mutations in mutations(),
    ) {
        let (body, folder) = IMPORTED[target];
        let files = corpus(&[folder]);
        body(&mutated(files[which.index(files.len())].clone(), &mutations));
    }

    #[test]
    fn mutated_models_are_read_or_refused(which in any::<Index>(), mutations in mutations(), large in any::<bool>()) {
        let small = corpus(&["tests/fuzz/corpus/model"]);
        let original = if large { embedded::DIGITS.to_vec() } else { small[which.index(small.len())].clone() };
        let bytes = mutated(original, &mutations);
        bodies::model(&bytes);
        bodies::checker_model(&header(), &bytes);
    }
}
