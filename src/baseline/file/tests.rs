use super::*;
use crate::baseline::testing::baseline;

fn three() -> Baseline {
    baseline(&[(0.1, Some(0.5)), (0.0, None), (f64::INFINITY, None)])
}

fn write(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.json");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_baseline_reads_back_infinities_included_with_one_line_per_input() {
    let (_folder, path) = write("something else");
    three().write(&path).unwrap();
    assert_eq!(Baseline::read(&path).unwrap(), three());
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 5);
}

#[test]
fn text_that_is_no_baseline_is_refused_with_its_line() {
    let good = three().to_json().unwrap();
    let wrong_kind = good.replacen("\"input\":4", "\"input\":\"four\"", 1);
    for (text, line) in [
        ("", 1),
        ("[]", 1),
        (&good[..good.len() / 2], 1),
        (&good.replacen("\"certified\":0.1", "\"certified\":-0.1", 1), 2),
        (&good.replacen("\"certified\":0.1", "\"certified\":\"nan\"", 1), 2),
        (&good.replacen("\"margin\":0.5", "\"margin\":0.5,\"extra\":1", 1), 2),
        (&wrong_kind, 3),
    ] {
        let (_folder, path) = write(text);
        let found = Baseline::read(&path).unwrap_err();
        assert!(
            matches!(&found, BaselineError::Malformed { line: at, .. } if *at == line || line == 1),
            "{text}: {found}"
        );
    }
}

#[test]
fn a_baseline_that_contradicts_itself_is_refused() {
    let refused = |change: &dyn Fn(&mut Baseline), reason: &str| {
        let mut changed = three();
        change(&mut changed);
        let (_folder, path) = write(&changed.to_json().unwrap());
        let found = Baseline::read(&path).unwrap_err();
        assert!(matches!(&found, BaselineError::Inconsistent { reason: at, .. } if at.contains(reason)), "{found}");
    };
    refused(&|b| b.format = 2, "format 2 is not known");
    refused(&|b| b.inputs.truncate(2), "2 inputs are there, 3 of a whole run");
    refused(&|b| b.identity.inputs = usize::MAX, "3 inputs are there");
    refused(&|b| b.inputs.swap(0, 1), "input 4 stands where input 3 should");
    refused(&|b| b.inputs[1].input = 3, "input 3 stands where input 4 should");
    let counts = |draws, inside, outside| ProbabilityRecord {
        counts: crate::margin::DrawCounts { draws, inside, outside },
        estimate: crate::quantity::Estimate::new(0.5).unwrap(),
        lower: LowerBound::new(0.4).unwrap(),
        upper: UpperBound::new(0.6).unwrap(),
    };
    refused(&|b| b.inputs[1].probability = Some(counts(9, 5, 5)), "draws of input 4");
    refused(&|b| b.inputs[1].probability = Some(counts(9, u64::MAX, 5)), "draws of input 4");
    let crossed = ProbabilityRecord { lower: LowerBound::new(0.7).unwrap(), ..counts(9, 4, 5) };
    refused(&|b| b.inputs[1].probability = Some(crossed), "draws of input 4");
}

#[test]
fn what_cannot_be_read_or_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Baseline::read(&folder.path().join("absent")), Err(BaselineError::Unreadable { .. })));
    // A folder without a run.
    assert!(matches!(Baseline::read(folder.path()), Err(BaselineError::Run(_))));
    assert!(matches!(three().write(folder.path()), Err(BaselineError::Folder { .. })));
    assert!(matches!(three().write(&folder.path().join("absent/b.json")), Err(BaselineError::Io { .. })));
}
