//! Inputs grouped by what was said about them, so that nothing is hidden and nothing is long.

use std::collections::BTreeMap;

use crate::audit::{InputRecord, Outcome};

/// Inputs about which the same was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// How they ended.
    pub(super) outcome: &'static str,
    /// Why.
    pub(super) reason: String,
    /// How many they are.
    pub(super) count: usize,
    /// Which ones: `3, 5–8`.
    pub(super) inputs: String,
}

/// Every input that is not simply bracketed, by outcome and reason: alarms first, then failures, then the undecided, then
/// remarks about bracketed ones.
pub(super) fn groups(records: &[InputRecord]) -> Vec<Group> {
    let mut found: BTreeMap<(u8, String), (&'static str, Vec<usize>)> = BTreeMap::new();
    for record in records.iter().filter(|r| r.outcome != Outcome::Bracketed || !r.reasons.is_empty()) {
        let reason = if record.reasons.is_empty() { "no reason given".to_owned() } else { record.reasons.join("; ") };
        let place = found.entry((rank(record.outcome), reason)).or_insert_with(|| (record.outcome.word(), vec![]));
        place.1.push(record.input);
    }
    let group = |((_, reason), (outcome, inputs)): ((u8, String), (&'static str, Vec<usize>))| Group {
        outcome,
        reason,
        count: inputs.len(),
        inputs: ranges(&inputs),
    };
    found.into_iter().map(group).collect()
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Alarm => 0,
        Outcome::Failed => 1,
        Outcome::Undecided => 2,
        Outcome::Bracketed => 3,
    }
}

/// Ascending numbers, runs of them as `5–8`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let text = |run: &[usize]| match *run {
        [first, .., last] if run.len() > 2 => format!("{first}–{last}"),
        _ => run.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    };
    runs.map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{bracketed, undecided};

    #[test]
    fn runs_of_inputs_are_shortened() {
        assert_eq!(ranges(&[1, 2, 3, 4, 7, 9, 10]), "1–4, 7, 9, 10");
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[usize::MAX]), usize::MAX.to_string());
    }

    #[test]
    fn every_input_that_is_not_simply_bracketed_is_listed_with_its_reason() {
        let failed = InputRecord { reasons: vec!["broke".to_owned()], ..InputRecord::empty(4) };
        let records = [bracketed(0, 0.1, 1.0), undecided(1), undecided(2), undecided(3), failed];
        let groups = groups(&records);
        let shown: Vec<_> = groups.iter().map(|g| (g.outcome, g.reason.as_str(), g.count, g.inputs.as_str())).collect();
        assert_eq!(shown, [("FAILED", "broke", 1, "4"), ("undecided", "no attack succeeded", 3, "1–3")]);
    }
}
