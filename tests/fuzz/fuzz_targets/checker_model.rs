#![no_main]

#[path = "../bodies.rs"]
#[allow(dead_code)]
mod bodies;

use std::sync::LazyLock;

use vaecert::certificate::{CertificateFile, Header};

static HEADER: LazyLock<Header> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../fixtures/certificates/accept/digits-mean.jsonl");
    CertificateFile::parse(bytes).unwrap().header
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::checker_model(&HEADER, bytes));
