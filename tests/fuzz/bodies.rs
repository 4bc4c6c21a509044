// What the fuzz targets do with arbitrary bytes; also run on mutated files by the ordinary tests.

use std::path::Path;
use std::sync::LazyLock;

use vaecert::certificate::{encode, sha256, CertificateFile, Claim, Entry, Header};
use vaecert::data::{DataSource, Dataset, Split};
use vaecert::import::onnx::{read_decoder, read_encoder, read_whole, ConcatenatedHeads, OnnxNames, StdKind};
use vaecert::import::state_dict::{read_description, read_state_dict, Tensors};
use vaecert::model::{embedded, Model, ModelError};
use vaecert::quantity::RadiusRule;
use vaecert::seed::Seed;
use vaecert::verify::{Checker, Data, Fresh, Verdict};

/// An entry with more draws than this would only take time.
const MOST_DRAWS: u64 = 256;

/// A file that is a certificate is exactly what its parts are written as; one that is not is refused without a panic.
pub(crate) fn certificate(bytes: &[u8]) {
    let Ok(certificate) = CertificateFile::parse(bytes) else { return };
    let mut again = encode(&certificate.header).unwrap();
    certificate.entries.iter().for_each(|entry| again.extend(encode(entry).unwrap()));
    assert_eq!(again, bytes[..certificate.length]);
}

/// The prover's reader of model files, and once more with the hash that it expects, which no chance gets right. Whether
/// there is a model in the end.
pub(crate) fn model(bytes: &[u8]) -> bool {
    let path = Path::new("fuzz");
    let model = match Model::from_bytes(bytes, path) {
        Err(ModelError::Hash { recorded, found, .. }) if recorded.len() == found.len() => {
            let (recorded, mut bytes) = (recorded.as_bytes(), bytes.to_vec());
            let Some(at) = bytes.windows(recorded.len()).position(|window| window == recorded) else { return false };
            bytes[at..at + recorded.len()].copy_from_slice(found.as_bytes());
            Model::from_bytes(&bytes, path)
        }
        first => first,
    };
    let Ok(model) = model else { return false };
    let again = Model::from_bytes(&model.to_bytes().unwrap(), path).unwrap();
    assert_eq!(again.sha256, model.sha256);
    true
}

/// The three readers of ONNX files, with and without heads to divide. Whether there is a network in the end.
pub(crate) fn onnx(bytes: &[u8]) -> bool {
    let heads = Some(ConcatenatedHeads { kind: StdKind::Std, mean_first: true });
    [OnnxNames::default(), OnnxNames { heads, ..OnnxNames::default() }].iter().any(|names| {
        let encoder = read_encoder(bytes, None, names, None).is_ok();
        let decoder = read_decoder(bytes, None, names, None).is_ok();
        let whole = read_whole(bytes, None, names, None).is_ok();
        encoder || decoder || whole
    })
}

/// The readers of safetensors files and of what torch.save writes. Whether there are tensors in the end.
pub(crate) fn state_dict(bytes: &[u8]) -> bool {
    read_state_dict(bytes, Path::new("fuzz")).is_ok()
}

/// A state dict for the descriptions.
static TENSORS: LazyLock<Tensors> = LazyLock::new(|| {
    read_state_dict(include_bytes!("../../fixtures/import/digits-vae/vae.pt"), Path::new("vae.pt")).unwrap()
});

/// The reader of descriptions, for one state dict. Whether they fit each other.
pub(crate) fn description(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    read_description(text, Path::new("fuzz"), &TENSORS).is_ok()
}

/// The checker's reader of model files, past the hash that would stop it: `header` is changed to match.
pub(crate) fn checker_model(header: &Header, bytes: &[u8]) {
    let mut header = header.clone();
    header.model.file_sha256 = sha256(bytes);
    if let Ok(model) = Model::from_bytes(bytes, Path::new("fuzz")) {
        header.model.weights_sha256 = model.sha256;
    }
    let _ = Checker::new(&header, bytes, &Data { item_shape: ITEMS.item_shape(), values: ITEMS.values() });
}

/// The hash that the embedded model records about itself.
static WEIGHTS: LazyLock<String> =
    LazyLock::new(|| Model::from_bytes(embedded::DIGITS, Path::new("digits")).unwrap().sha256);

/// The data that the entries are about: the first test images, so that a certificate about them is verified.
static ITEMS: LazyLock<Dataset> =
    LazyLock::new(|| DataSource::digits().load(Split::Test, Seed(0)).unwrap().take(0..2).unwrap());

/// The checker on every entry of a file that is almost a certificate: hashes, words and indices, which no chance gets
/// right, are made to fit the embedded model and these data, so that everything behind them is reached. What came of
/// each entry.
pub(crate) fn checker_entry(bytes: &[u8]) -> Vec<Verdict> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let header = lines.next().and_then(|line| serde_json::from_slice::<Header>(line).ok());
    let Some(mut header) = header else { return Vec::new() };
    if header.selection_draws.max(header.estimation_draws) > MOST_DRAWS {
        return Vec::new();
    }
    (header.first, header.inputs) = (0, header.inputs.clamp(1, ITEMS.len()));
    header.claim = header.words();
    header.model.file_sha256 = sha256(embedded::DIGITS);
    header.model.weights_sha256 = WEIGHTS.clone();
    header.data.sha256 = ITEMS.sha256();
    let data = Data { item_shape: ITEMS.item_shape(), values: ITEMS.values() };
    let Ok(checker) = Checker::new(&header, embedded::DIGITS, &data) else { return Vec::new() };
    let line = encode(&header).unwrap();
    let run = sha256(&line[..line.len() - 1]);
    let items = ITEMS.values().chunks_exact(ITEMS.dim()).take(header.inputs).enumerate();
    let entries = lines.filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
    let mut verdicts = Vec::new();
    for (mut entry, (input, item)) in entries.zip(items) {
        (entry.run, entry.input) = (run.clone(), input);
        entry.input_sha256 = sha256(&item.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        if let RadiusRule::Absolute(given) = header.radius_rule {
            entry.radius = Some(given);
        }
        if let (Some(claim), Some(radius)) = (&mut entry.claim, entry.radius) {
            claim.words = Claim::words(&header, input, radius, &claim.certified_radius);
        }
        let fresh = Fresh { seed: header.seed ^ 1, draws: 16 };
        let report = checker.check(&entry, item, Some(fresh));
        assert_eq!(report.certified_radius.is_some(), report.verdict == Verdict::Verified && entry.claim.is_some());
        verdicts.push(report.verdict);
    }
    verdicts
}
