// What the fuzz targets do with arbitrary bytes; also run on mutated files by the ordinary tests.

use std::path::Path;

use vaecert::certificate::{encode, sha256, CertificateFile, Header};
use vaecert::model::{embedded, Model};
use vaecert::verify::{Checker, Data};

/// An entry with more draws than this would only take time.
const MOST_DRAWS: u64 = 256;

/// A file that is a certificate is exactly what its parts are written as; one that is not is refused without a panic.
pub(crate) fn certificate(bytes: &[u8]) {
    let Ok(certificate) = CertificateFile::parse(bytes) else { return };
    let mut again = encode(&certificate.header).unwrap();
    certificate.entries.iter().for_each(|entry| again.extend(encode(entry).unwrap()));
    assert_eq!(again, bytes[..certificate.length]);
}

/// The prover's reader of model files.
pub(crate) fn model(bytes: &[u8]) {
    if let Ok(model) = Model::from_bytes(bytes, Path::new("fuzz")) {
        assert!(model.to_bytes().is_ok());
    }
}

/// The checker's reader of model files, past the hash that would stop it: `header` is changed to match.
pub(crate) fn checker_model(header: &Header, bytes: &[u8]) {
    let mut header = header.clone();
    header.model.file_sha256 = sha256(bytes);
    if let Ok(model) = Model::from_bytes(bytes, Path::new("fuzz")) {
        header.model.weights_sha256 = model.sha256;
    }
    let values = vec![0.5; 64];
    let _ = Checker::new(&header, bytes, &Data { item_shape: &[8, 8], values: &values });
}

/// The checker on every entry of a certificate, as if it were about the embedded model and one input of zeros.
pub(crate) fn checker_entry(bytes: &[u8]) {
    let Ok(certificate) = CertificateFile::parse(bytes) else { return };
    let mut header = certificate.header.clone();
    if header.selection_draws.max(header.estimation_draws) > MOST_DRAWS {
        return;
    }
    let values = vec![0.0; 64 * (header.first.min(7) + header.inputs.min(8))];
    let data = Data { item_shape: &[8, 8], values: &values };
    header.model.file_sha256 = sha256(embedded::DIGITS);
    let Ok(checker) = Checker::new(&header, embedded::DIGITS, &data) else { return };
    for entry in &certificate.entries {
        let _ = checker.check(entry, &values[..64], None);
    }
}
