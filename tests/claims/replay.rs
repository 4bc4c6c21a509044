//! Counterexamples as files: written, read back, judged again, refused when they make no sense.

use serde_json::{json, Value};
use vaecert::claims::{registry, Counterexample, CounterexampleError, Expectation, Finding, Stated, Verdict, REGISTRY};
use vaecert::seed::Seed;

use super::{file, search, CASES};

fn write(value: &Value) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counterexample.json");
    std::fs::write(&path, value.to_string()).unwrap();
    (folder, path)
}

fn found(id: &str) -> Counterexample {
    match search(&[registry::find(id).unwrap()], &Stated, 0, CASES).remove(0).verdict {
        Verdict::Refuted { counterexample, .. } => *counterexample,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn every_counterexample_reads_back_and_contradicts_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut refuted = 0;
    for searched in search(REGISTRY, &Stated, 3, 64) {
        let Verdict::Refuted { counterexample, .. } = searched.verdict else { continue };
        refuted += 1;
        let path = folder.path().join(searched.claim.id);
        counterexample.write(&path).unwrap();
        let read = Counterexample::read(&path).unwrap();
        assert_eq!(read, *counterexample);
        let (claim, judgement) = read.replay(&path).unwrap();
        assert_eq!((claim.id, judgement.finding), (searched.claim.id, Finding::Contradicts));
        assert_eq!((&judgement.line, &judgement.numbers), (&read.line, &read.numbers));
    }
    assert_eq!(refuted, REGISTRY.iter().filter(|claim| claim.expected == Expectation::Refuted).count());
}

#[test]
fn an_instance_changed_to_a_harmless_one_no_longer_contradicts() {
    let mut value = serde_json::to_value(found("P1-necessary")).unwrap();
    value["instance"]["radius_factor"] = json!(2.0);
    let (_folder, path) = write(&value);
    let (_, judgement) = Counterexample::read(&path).unwrap().replay(&path).unwrap();
    assert_eq!(judgement.finding, Finding::Agrees);
}

#[test]
fn files_that_are_no_counterexample_are_refused_with_the_reason() {
    let good = serde_json::to_value(found("T1-eq22")).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        let (_folder, path) = write(&value);
        Counterexample::read(&path).and_then(|read| read.replay(&path).map(drop)).unwrap_err()
    };
    use CounterexampleError::{Format, Instance, Malformed, Obstacle, OtherStatement, UnknownClaim};
    assert!(matches!(changed(&|v| v["format"] = json!(2)), Format { found: 2, .. }));
    assert!(matches!(changed(&|v| v["claim"] = json!("T9")), UnknownClaim { .. }));
    assert!(matches!(changed(&|v| v["statement"] = json!("other")), OtherStatement { .. }));
    assert!(matches!(changed(&|v| v["extra"] = json!(1)), Malformed { .. }));
    assert!(matches!(changed(&|v| v["numbers"] = json!(null)), Malformed { .. }));
    assert!(matches!(changed(&|v| v["failure_probability"] = json!(0)), Malformed { .. }));
    assert!(matches!(changed(&|v| drop(v.as_object_mut().unwrap().remove("instance"))), Malformed { .. }));
    assert!(matches!(changed(&|v| v["instance"] = json!([1])), Instance { .. }));
    assert!(matches!(changed(&|v| v["instance"]["unknown"] = json!(1)), Instance { .. }));
    assert!(matches!(changed(&|v| v["instance"]["jacobian"] = json!([[1.0], [1.0, 2.0]])), Obstacle { .. }));
    assert!(matches!(changed(&|v| v["instance"]["jacobian"] = json!([])), Obstacle { .. }));
    assert!(matches!(changed(&|v| v["instance"]["perturbation"] = json!([1e300, 1.0])), Obstacle { .. }));
}

/// Numbers and shapes that no drawn instance has, in every field of every claim's instances: an error or a judgement,
/// never a panic.
#[test]
fn no_instance_makes_a_claim_panic() {
    let hostile =
        [json!(0.0), json!(-1.0), json!(1e308), json!(5e-324), json!([]), json!([1.0]), json!({}), json!("x")];
    for claim in REGISTRY {
        let template = file(claim.id, &claim.instance(Seed(1)).unwrap());
        // Training on each of these would take long: only what is refused before it.
        let hostile = if claim.id == "S5-trained" { &hostile[4..] } else { &hostile[..] };
        for pointer in pointers(&template["instance"], "/instance") {
            for value in hostile {
                let mut changed = template.clone();
                *changed.pointer_mut(&pointer).unwrap() = value.clone();
                let (_folder, path) = write(&changed);
                if let Ok(read) = Counterexample::read(&path) {
                    let _ = read.replay(&path);
                }
            }
        }
    }
}

/// JSON pointers to every value below this one.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Array(entries) => entries.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, v)| (name.clone(), v)).collect(),
        _ => vec![],
    };
    let below = children.iter().flat_map(|(name, child)| pointers(child, &format!("{at}/{name}")));
    std::iter::once(at.to_owned()).chain(below).collect()
}
