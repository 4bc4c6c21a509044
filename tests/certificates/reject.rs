//! Ways of being wrong, one file each in `fixtures/certificates/reject`, and certificates that are right in `accept`.
//!
//! The files are about the embedded digits and the embedded model (`fixtures/models/digits.safetensors`), two inputs
//! each. They are made by
//! `cargo test --test integration -- --ignored write_the_certificate_fixtures`.

use std::path::{Path, PathBuf};

use vaecert::certificate::{encode, sha256, CertificateFile, Claim, Entry, Evidence, ExactBound, Method, Outcome};
use vaecert::model::embedded;
use vaecert::quantity::{LowerBound, Probability, Radius, RadiusRule, Threat};
use vaecert::verify::Verdict;

use super::{check, digits, plan, run_of, Case};

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/certificates").join(kind)
}

fn base(threat: Threat) -> Case {
    Case::new(&embedded::digits().unwrap(), digits(), 2, &plan(threat))
}

/// A case whose first entry was changed.
fn entry(change: impl FnOnce(&mut Entry)) -> Vec<u8> {
    let mut case = base(Threat::Mean);
    change(&mut case.entries[0]);
    reworded(case).bytes()
}

/// A forger also adapts the words to the numbers.
fn reworded(mut case: Case) -> Case {
    for entry in &mut case.entries {
        if let (Some(claim), Some(radius)) = (&mut entry.claim, entry.radius) {
            claim.words = Claim::words(&case.header, entry.input, radius, &claim.certified_radius);
        }
    }
    case
}

/// A case whose header was changed; entries are tied to it anew.
fn header(change: impl FnOnce(&mut vaecert::certificate::Header)) -> Vec<u8> {
    let mut case = base(Threat::Mean);
    change(&mut case.header);
    case.header.claim = case.header.words();
    reworded(case).bytes()
}

fn claim(change: impl FnOnce(&mut Claim)) -> Vec<u8> {
    entry(|entry| change(entry.claim.as_mut().unwrap()))
}

/// The evidence of the first entry: its norm and the scalings of the only chain.
fn evidence(change: impl FnOnce(&mut ExactBound, &mut Vec<Vec<vaecert::certificate::LayerScalings>>)) -> Vec<u8> {
    claim(|claim| match &mut claim.evidence {
        Evidence::Reach { norm, mean, .. } => change(norm, &mut mean.chains),
        Evidence::Norms => panic!("the fixture's evidence has changed its kind"),
    })
}

fn scaled(bound: &ExactBound, factor: f64) -> ExactBound {
    ExactBound::new(LowerBound::new(bound.get().unwrap().get() * factor).unwrap())
}

/// Text replaced in the lines as they are, without adapting anything.
fn text(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(base(Threat::Mean).bytes()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

fn lines(arrange: impl FnOnce(&[String]) -> Vec<String>) -> Vec<u8> {
    let text = String::from_utf8(base(Threat::Mean).bytes()).unwrap();
    let lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    arrange(&lines).concat().into_bytes()
}

/// Name, bytes, and what the reason must say.
type Wrong = (&'static str, Vec<u8>, &'static str);

fn wrong_files() -> Vec<Wrong> {
    let whole = base(Threat::Mean).bytes();
    let first_scaling = |value: f64| evidence(|_, chains| chains[0][0].scalings[0] = value);
    vec![
        ("empty", vec![], "empty"),
        ("truncated-in-the-header", whole[..200].to_vec(), "line 1 has no end"),
        ("truncated-in-an-entry", whole[..whole.len() - 10].to_vec(), "line 3 has no end"),
        ("unknown-version", text("\"format\":1", "\"format\":2"), "certificate format 2, expected 1"),
        ("no-json", b"certified\n".to_vec(), "line 1, column 1"),
        ("unknown-field", text("\"reasons\":[]", "\"reasons\":[],\"trust\":true"), "unknown field `trust`"),
        ("missing-field", text("\"reasons\":[],", ""), "missing field `reasons`"),
        ("not-canonical", text("\"reasons\":[]", "\"reasons\": []"), "not in canonical form"),
        ("duplicate-entry", lines(|l| vec![l[0].clone(), l[1].clone(), l[1].clone()]), "a second entry of input 0"),
        ("swapped-entries", lines(|l| vec![l[0].clone(), l[2].clone(), l[1].clone()]), "input 1, expected input 0"),
        ("missing-entry", lines(|l| vec![l[0].clone(), l[2].clone()]), "input 1, expected input 0"),
        ("one-entry-too-many", header(|header| header.inputs = 1), "announces 1 inputs"),
        (
            "header-changed-afterwards",
            text("\"failure_probability\":0.001", "\"failure_probability\":0.01"),
            "belongs to run",
        ),
        ("level-outside-its-range", text("\"level\":0.5", "\"level\":1.5"), "strictly between 0 and 1"),
        ("nan-evidence", text("\"scalings\":[", "\"scalings\":[NaN,"), "line 2"),
        ("null-evidence", text("\"scalings\":[", "\"scalings\":[null,"), "invalid type: null"),
        ("other-semantics", header(|header| header.semantics = "the deployed network".to_owned()), "semantics"),
        ("other-norm", header(|header| header.norm = "linf".to_owned()), "norm"),
        ("other-streams", header(|header| header.streams.estimation = "mine/{input}".to_owned()), "stream"),
        ("other-generator", header(|header| header.streams.generator = "xorshift".to_owned()), "generator"),
        (
            "claim-reworded",
            {
                let mut case = base(Threat::Mean);
                case.header.claim = "Everything is robust.".to_owned();
                case.bytes()
            },
            "claim",
        ),
        ("other-model-file", header(|header| header.model.file_sha256 = sha256(b"another model")), "model"),
        (
            "other-weights",
            header(|header| header.model.weights_sha256 = sha256(b"other weights")),
            "hash recorded in the model file",
        ),
        ("other-data", header(|header| header.data.sha256 = sha256(b"other data")), "data"),
        ("inputs-beyond-the-data", header(|header| header.inputs = 100_000), "data"),
        (
            "quantile-below-the-level",
            header(|header| header.radius_rule = RadiusRule::Quantile(Probability::new(0.4).unwrap())),
            "quantile",
        ),
        ("other-input", entry(|entry| entry.input_sha256 = sha256(b"another input")), "input"),
        (
            "radius-one-ulp-beyond-its-evidence",
            claim(|claim| {
                let bits = claim.certified_radius.get().unwrap().get();
                claim.certified_radius = ExactBound::new(LowerBound::new(bits.next_up()).unwrap());
            }),
            "norm",
        ),
        (
            "radius-and-evidence-raised",
            {
                claim(|claim| {
                    claim.certified_radius = scaled(&claim.certified_radius, 1.0001);
                    if let Evidence::Reach { norm, .. } = &mut claim.evidence {
                        *norm = claim.certified_radius.clone();
                    }
                })
            },
            "reach",
        ),
        (
            "probability-raised",
            entry(|entry| {
                let draws = entry.draws.as_mut().unwrap();
                draws.probability_lower = LowerBound::new(draws.probability_lower.get() + 1e-6).unwrap();
            }),
            "probability",
        ),
        ("more-inside-than-draws", entry(|entry| entry.draws.as_mut().unwrap().inside = 1_001), "inside"),
        ("more-inside-than-there-are", entry(|entry| entry.draws.as_mut().unwrap().inside += 1), "draws"),
        ("fewer-inside-than-there-are", entry(|entry| entry.draws.as_mut().unwrap().inside -= 5), "draws"),
        ("other-number-of-draws", entry(|entry| entry.draws.as_mut().unwrap().draws = 999), "draws"),
        ("wrong-seed", header(|header| header.seed = 8), "radius: r"),
        ("more-inputs-share-the-failure", header(|header| header.inputs = 200), "probability"),
        ("level-raised", header(|header| header.level = Probability::new(0.6).unwrap()), "reach"),
        ("radius-of-reconstructions-changed", entry(|entry| entry.radius = Some(Radius::new(1.5).unwrap())), "radius"),
        ("negative-scaling", first_scaling(-1.0), "evidence"),
        ("zero-scaling", first_scaling(0.0), "evidence"),
        ("scaling-too-small", first_scaling(1e-12), "not certainly positive definite"),
        (
            "scaling-missing",
            evidence(|_, chains| {
                chains[0][0].units.pop();
                chains[0][0].scalings.pop();
            }),
            "no scaling",
        ),
        (
            "scalings-and-units-of-different-number",
            evidence(|_, chains| {
                chains[0][0].scalings.pop();
            }),
            "evidence",
        ),
        ("units-out-of-order", evidence(|_, chains| chains[0][0].units.swap(0, 1)), "evidence"),
        ("unit-that-does-not-exist", evidence(|_, chains| *chains[0][0].units.last_mut().unwrap() = 64), "evidence"),
        ("a-chain-too-many", evidence(|_, chains| chains.push(chains[0].clone())), "evidence"),
        ("no-chain", evidence(|_, chains| chains.clear()), "evidence"),
        ("infinite-norm", evidence(|norm, _| "7ff0000000000000".clone_into(&mut norm.bits)), "norm"),
        (
            "digits-that-are-not-the-bits",
            claim(|claim| "9.999".clone_into(&mut claim.certified_radius.decimal)),
            "radius",
        ),
        ("uncertain-slopes-called-a-linear-region", claim(|claim| claim.method = Method::LinearRegion), "linear"),
        ("evidence-of-another-method", claim(|claim| claim.evidence = Evidence::Norms), "evidence"),
        (
            "lipschitz-constants-that-do-not-reach",
            claim(|claim| {
                (claim.method, claim.evidence) = (Method::APriori, Evidence::Norms);
            }),
            "reach",
        ),
        ("certified-without-a-claim", entry(|entry| entry.claim = None), "claim"),
        ("abstained-with-a-claim", entry(|entry| entry.outcome = Outcome::Abstained), "claim"),
        (
            "words-of-another-claim",
            {
                let mut case = base(Threat::Mean);
                case.entries[0].claim.as_mut().unwrap().words = "Input 0 is safe.".to_owned();
                case.bytes()
            },
            "words",
        ),
        ("joint-without-its-evidence", header(|header| header.threat = Threat::Joint), "evidence"),
        (
            "mean-with-evidence-for-the-standard-deviation",
            {
                let mut case = base(Threat::Joint);
                case.header.threat = Threat::Mean;
                case.header.claim = case.header.words();
                reworded(case).bytes()
            },
            "evidence",
        ),
    ]
}

/// Why a certificate about the embedded model and data is rejected; none if it is not.
fn rejection(bytes: &[u8], model: &[u8]) -> Option<String> {
    let certificate = match CertificateFile::parse(bytes) {
        Err(error) => return Some(error.to_string()),
        Ok(certificate) => certificate,
    };
    let data = digits().load(vaecert::data::Split::Test, vaecert::seed::Seed(0)).unwrap();
    match check(&certificate, model, &data) {
        Err(rejection) => Some(rejection.to_string()),
        Ok(reports) => {
            let rejected = reports.iter().find(|report| report.verdict == Verdict::Rejected)?;
            Some(format!("{}: {}", rejected.step.unwrap(), rejected.reason.as_ref().unwrap()))
        }
    }
}

#[test]
#[ignore = "writes the fixtures anew"]
fn write_the_certificate_fixtures() {
    for kind in ["accept", "reject"] {
        std::fs::create_dir_all(folder(kind)).unwrap();
    }
    for (name, bytes, _) in wrong_files() {
        std::fs::write(folder("reject").join(format!("{name}.jsonl")), bytes).unwrap();
    }
    for threat in [Threat::Mean, Threat::Joint] {
        std::fs::write(folder("accept").join(format!("digits-{threat}.jsonl")), base(threat).bytes()).unwrap();
    }
}

/// Fails with everything that is not rejected for its own reason.
fn assert_rejected(files: impl Iterator<Item = (&'static str, Vec<u8>, &'static str)>) {
    let unexpected: Vec<String> = files
        .filter_map(|(name, bytes, reason)| match rejection(&bytes, embedded::DIGITS) {
            None => Some(format!("{name} is not rejected")),
            Some(found) if found.to_lowercase().contains(reason) => None,
            Some(found) => Some(format!("{name}: {found:?} does not say {reason:?}")),
        })
        .collect();
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

#[test]
fn every_wrong_file_is_rejected_for_its_own_reason() {
    let wrong = wrong_files();
    assert!(wrong.len() >= 25);
    let read = |name: &str| std::fs::read(folder("reject").join(format!("{name}.jsonl"))).unwrap();
    assert_rejected(wrong.iter().map(|(name, _, reason)| (*name, read(name), *reason)));
    let files = std::fs::read_dir(folder("reject")).unwrap().count();
    assert_eq!(files, wrong.len(), "files in fixtures/certificates/reject");
}

#[test]
fn the_same_ways_of_being_wrong_are_rejected_when_made_on_the_spot() {
    assert_rejected(wrong_files().into_iter());
}

#[test]
fn certificates_that_are_right_are_accepted() {
    for threat in ["mean", "joint"] {
        let bytes = std::fs::read(folder("accept").join(format!("digits-{threat}.jsonl"))).unwrap();
        assert_eq!(rejection(&bytes, embedded::DIGITS), None, "{threat}");
    }
}

/// The embedded model with one bit of its last weight flipped.
fn flipped() -> Vec<u8> {
    let mut bytes = embedded::DIGITS.to_vec();
    let last = bytes.len() - 2;
    bytes[last] ^= 0x40;
    bytes
}

#[test]
fn a_flipped_weight_is_found_by_the_files_hash_and_without_it_by_what_it_changes() {
    let certificate = base(Threat::Mean);
    let found = rejection(&certificate.bytes(), &flipped()).unwrap();
    assert!(found.starts_with("model"), "{found}");
    // A forger adapts the hash of the file; the one of the weights inside is not recomputed.
    let mut forged = certificate;
    forged.header.model.file_sha256 = sha256(&flipped());
    let found = rejection(&forged.bytes(), &flipped()).unwrap();
    assert!(!found.starts_with("model"), "{found}");
}

#[test]
fn the_last_digits_of_the_radius_are_what_is_proved() {
    // The prover's radius can be raised by its room for other arithmetic, and by little more.
    let mut case = base(Threat::Mean);
    let bound = case.entries[0].claim.as_ref().unwrap().certified_radius.clone();
    for (factor, rejected) in [(1.0, false), (1.0 + 1e-4, true), (1.01, true)] {
        let raised = scaled(&bound, factor);
        let claim = case.entries[0].claim.as_mut().unwrap();
        claim.certified_radius = raised.clone();
        if let Evidence::Reach { norm, .. } = &mut claim.evidence {
            *norm = raised;
        }
        case = reworded(case);
        assert_eq!(rejection(&case.bytes(), embedded::DIGITS).is_some(), rejected, "{factor}");
    }
}

#[test]
fn fresh_draws_contradict_a_probability_that_is_too_high() {
    use vaecert::verify::{Checker, Data, Fresh};
    let case = base(Threat::Mean);
    let view = Data { item_shape: case.data.item_shape(), values: case.data.values() };
    let checker = Checker::new(&case.header, &case.model, &view).unwrap();
    let mut entry = Entry { run: run_of(&case.header), ..case.entries[0].clone() };
    let row = case.data.row(0).unwrap();
    let fresh = || Some(Fresh { seed: 99, draws: 4_000 });
    let report = checker.check(&entry, row, fresh());
    assert_eq!(report.verdict, Verdict::Verified, "{report:?}");
    assert_eq!(report.fresh.unwrap().1, 4_000);
    entry.draws.as_mut().unwrap().probability_lower = LowerBound::new(0.99).unwrap();
    assert_eq!(checker.check(&entry, row, fresh()).verdict, Verdict::Rejected);
    // The header's line is part of what is checked.
    assert!(encode(&case.header).unwrap().starts_with(b"{\"format\":1"));
}
