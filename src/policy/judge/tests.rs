use proptest::prelude::*;

use super::*;
use crate::policy::finding::unlimited;
use crate::policy::requirement::Fraction;
use crate::testing::seeded;

fn evidence(input: usize, lower: f64, upper: f64) -> Evidence {
    let outcome = if upper.is_finite() { Outcome::Bracketed } else { Outcome::Undecided };
    // Attacks failed up to just below what they found.
    Evidence { input, outcome, lower, upper, complete: true, withstood: 0.99 * upper.min(10.0) }
}

fn failed(input: usize) -> Evidence {
    let outcome = Outcome::Failed;
    Evidence { input, outcome, lower: 0.0, upper: f64::INFINITY, complete: false, withstood: 0.0 }
}

fn audited(evidence: &[Evidence]) -> Audited {
    Audited { asked: evidence.len(), evidence: evidence.to_vec() }
}

fn norm(value: f64) -> Norm {
    Norm::try_from(value).unwrap()
}

fn at(radius: f64, fraction: f64) -> AtNorm {
    AtNorm { radius: norm(radius), fraction: Fraction::try_from(fraction).unwrap() }
}

fn certified(evidence: &Audited, radius: f64, fraction: f64) -> Verdict {
    Requirement::Certified(at(radius, fraction)).evaluate(evidence).verdict
}

fn refuted(evidence: &Audited, radius: f64, fraction: f64) -> Verdict {
    Requirement::Refuted(at(radius, fraction)).evaluate(evidence).verdict
}

/// Certified up to 0.3 and 0.1, refuted at 0.4, 0.2 and 0.5; the last one never refuted.
fn three() -> Audited {
    audited(&[evidence(4, 0.3, 0.4), evidence(5, 0.1, 0.2), evidence(6, 0.0, f64::INFINITY)])
}

#[test]
fn a_certified_fraction_is_passed_failed_or_undecided_by_hand() {
    // At 0.2: one certified, one refuted (its perturbation has this norm), one neither.
    let found = Requirement::Certified(at(0.2, 0.5)).evaluate(&three());
    assert_eq!((found.lowest, found.highest), (1.0 / 3.0, 2.0 / 3.0));
    assert_eq!((found.against, found.open, found.unreached), (vec![5], vec![6], 0));
    assert_eq!(found.found, "1 of 3 certified, 1 refuted, 1 neither");
    assert_eq!(certified(&three(), 0.2, 0.33), Verdict::Passed);
    assert_eq!(certified(&three(), 0.2, 0.34), Verdict::Undecided);
    assert_eq!(certified(&three(), 0.2, 0.66), Verdict::Undecided);
    assert_eq!(certified(&three(), 0.2, 0.67), Verdict::Failed);
    // A certificate counts at its own radius.
    assert_eq!(certified(&three(), 0.1, 2.0 / 3.0), Verdict::Passed);
}

#[test]
fn fractions_written_in_decimal_are_met_by_as_many_inputs() {
    for count in 1..=10_usize {
        let inputs: Vec<Evidence> = (0..10).map(|i| evidence(i, if i < count { 1.0 } else { 0.0 }, 2.0)).collect();
        let fraction: f64 = format!("{}.{}", count / 10, count % 10).parse().unwrap();
        assert_eq!(certified(&audited(&inputs), 1.0, fraction), Verdict::Passed, "{fraction}");
    }
}

#[test]
fn inputs_that_failed_or_were_not_reached_are_never_certified() {
    let failed = audited(&[evidence(0, 0.3, 0.4), failed(1)]);
    let found = Requirement::Certified(at(0.2, 1.0)).evaluate(&failed);
    assert_eq!((found.verdict, found.broken), (Verdict::Undecided, vec![1]));
    let stopped = Audited { asked: 4, evidence: vec![evidence(0, 0.3, 0.4)] };
    assert_eq!(certified(&stopped, 0.2, 0.25), Verdict::Passed);
    assert_eq!(certified(&stopped, 0.2, 0.5), Verdict::Undecided);
    assert_eq!(Requirement::Certified(at(0.2, 0.5)).evaluate(&stopped).unreached, 3);
}

#[test]
fn attacks_that_were_cut_short_or_not_tried_there_speak_for_nothing() {
    let median = |evidence: &Audited, at| Requirement::MedianMargin(norm(at)).evaluate(evidence).verdict;
    let alarms = |evidence: &Audited| Requirement::AtMost(Ending::Alarm, 0).evaluate(evidence).verdict;
    let whole = audited(&[evidence(0, 0.1, 0.5)]);
    assert_eq!(
        (refuted(&whole, 0.2, 0.0), median(&whole, 0.4), alarms(&whole)),
        (Verdict::Passed, Verdict::Passed, Verdict::Passed)
    );
    let cut = audited(&[Evidence { outcome: Outcome::Undecided, complete: false, ..evidence(0, 0.1, 0.5) }]);
    assert_eq!(
        (refuted(&cut, 0.2, 0.0), median(&cut, 0.4), alarms(&cut)),
        (Verdict::Undecided, Verdict::Undecided, Verdict::Undecided)
    );
    // What is certified or refuted stays so.
    assert_eq!((refuted(&cut, 0.1, 0.0), refuted(&cut, 0.5, 0.0)), (Verdict::Passed, Verdict::Failed));
    assert_eq!((median(&cut, 0.1), median(&cut, 0.6)), (Verdict::Passed, Verdict::Failed));
    let broke_down = audited(&[Evidence { outcome: Outcome::Failed, complete: false, ..evidence(0, 0.0, 0.5) }]);
    assert_eq!((refuted(&broke_down, 0.2, 0.0), median(&broke_down, 0.4)), (Verdict::Undecided, Verdict::Undecided));
    // Algorithm 2 with a coarse step tried nothing below 5.
    let coarse = audited(&[Evidence { withstood: 0.0, ..evidence(0, 0.0, 5.0) }]);
    assert_eq!(refuted(&coarse, 0.2, 0.0), Verdict::Undecided);
}

#[test]
fn a_refuted_fraction_counts_inputs_that_no_attack_broke_as_open() {
    // At 0.2: input 5 is refuted, 4 is certified, 6 was never broken and never certified.
    assert_eq!(refuted(&three(), 0.2, 0.67), Verdict::Passed);
    assert_eq!(refuted(&three(), 0.2, 0.5), Verdict::Undecided);
    assert_eq!(refuted(&three(), 0.2, 0.3), Verdict::Failed);
    // Broken only further out.
    assert_eq!(refuted(&audited(&[evidence(0, 0.0, 0.4)]), 0.2, 0.0), Verdict::Passed);
}

#[test]
fn medians_are_the_ones_found_by_hand() {
    let median = |evidence: &Audited, value| Requirement::MedianCertified(norm(value)).evaluate(evidence).verdict;
    // Lower bounds 0, 0.1, 0.3; upper bounds 0.2, 0.4, ∞.
    let found = Requirement::MedianCertified(norm(0.2)).evaluate(&three());
    assert_eq!((found.lowest, found.highest), (0.1, 0.4));
    assert_eq!(median(&three(), 0.1), Verdict::Passed);
    assert_eq!(median(&three(), 0.3), Verdict::Undecided);
    // Half of the inputs are refuted at 0.4: they are not certified there.
    assert_eq!(median(&three(), 0.4), Verdict::Failed);
    // Of an even number, the one that half of the inputs reach for certain.
    let even = audited(&[evidence(0, 0.1, 0.5), evidence(1, 0.3, 0.5)]);
    assert_eq!((median(&even, 0.1), median(&even, 0.2)), (Verdict::Passed, Verdict::Undecided));
}

#[test]
fn the_median_margin_of_attacks_leaves_open_what_they_did_not_break() {
    let median = |evidence: &Audited, value| Requirement::MedianMargin(norm(value)).evaluate(evidence).verdict;
    // Possible margins 0.2, 0.4 and anything: the median lies between 0.2 and 0.4.
    let found = Requirement::MedianMargin(norm(0.3)).evaluate(&three());
    assert_eq!((found.lowest, found.highest, found.verdict), (0.2, 0.4, Verdict::Undecided));
    assert_eq!((median(&three(), 0.2), median(&three(), 0.41)), (Verdict::Passed, Verdict::Failed));
    // Certificates alone are no margins found by attacks.
    let unbroken = audited(&[evidence(0, 0.3, f64::INFINITY), evidence(1, 0.3, f64::INFINITY)]);
    assert_eq!(median(&unbroken, 0.1), Verdict::Undecided);
}

#[test]
fn counts_leave_open_what_failed_or_was_not_reached() {
    let count = |evidence: &Audited, ending, most| Requirement::AtMost(ending, most).evaluate(evidence).verdict;
    let alarm = Evidence { outcome: Outcome::Alarm, ..evidence(1, 0.1, 0.2) };
    let all = audited(&[evidence(0, 0.3, 0.4), alarm, failed(2), evidence(3, 0.0, f64::INFINITY)]);
    assert_eq!(count(&all, Ending::Alarm, 0), Verdict::Failed);
    assert_eq!(count(&all, Ending::Alarm, 1), Verdict::Undecided);
    assert_eq!(count(&all, Ending::Alarm, 2), Verdict::Passed);
    assert_eq!(count(&all, Ending::Undecided, 0), Verdict::Failed);
    assert_eq!(count(&all, Ending::Undecided, 1), Verdict::Undecided);
    assert_eq!((count(&all, Ending::Failed, 0), count(&all, Ending::Failed, 1)), (Verdict::Failed, Verdict::Passed));
    let stopped = Audited { asked: 2, evidence: vec![evidence(0, 0.3, 0.4)] };
    assert_eq!(count(&stopped, Ending::Failed, 0), Verdict::Undecided);
}

#[test]
fn alarms_and_failures_that_nothing_limits_are_pointed_out() {
    let alarm = Evidence { outcome: Outcome::Alarm, ..evidence(1, 0.1, 0.2) };
    let all = Audited { asked: 3, evidence: vec![alarm, failed(2)] };
    let notes = unlimited(&[Requirement::AtMost(Ending::Failed, 3)], &all);
    assert_eq!(notes, ["alarms: 1, which no requirement limits; add alarms_at_most = 0", "inputs not reached: 1"]);
}

#[test]
fn one_failed_requirement_fails_all_and_none_passes_nothing() {
    let finding = |verdict| Finding { verdict, ..Requirement::AtMost(Ending::Alarm, 0).evaluate(&three()) };
    let all = |verdicts: &[Verdict]| Verdict::of_all(&verdicts.iter().map(|v| finding(*v)).collect::<Vec<_>>());
    assert_eq!(all(&[Verdict::Undecided, Verdict::Failed, Verdict::Passed]), Verdict::Failed);
    assert_eq!(all(&[Verdict::Passed, Verdict::Undecided]), Verdict::Undecided);
    assert_eq!(all(&[Verdict::Passed]), Verdict::Passed);
    assert_eq!(all(&[]), Verdict::Undecided);
}

#[test]
fn long_lists_of_inputs_are_cut() {
    let many: Vec<Evidence> = (0..25).map(|i| evidence(i, 0.0, 0.1)).collect();
    let found = Requirement::Certified(at(0.2, 0.5)).evaluate(&audited(&many));
    assert!(found.inputs_in_words().ends_with("18, 19 and 5 more"), "{}", found.inputs_in_words());
}

/// An input's evidence: a certificate not above a refutation, which may be missing.
fn any_evidence() -> impl Strategy<Value = Vec<Evidence>> {
    let input = (0..6_u8, 0..8_u8, 0..6_u8).prop_map(|(low, gap, kind)| {
        let lower = f64::from(low) / 8.0;
        let upper = if gap == 7 { f64::INFINITY } else { lower + f64::from(gap) / 8.0 };
        match kind {
            0 => failed(0),
            1 => Evidence { outcome: Outcome::Alarm, ..evidence(0, 0.0, upper) },
            _ => evidence(0, lower, upper),
        }
    });
    prop::collection::vec(input, 1..12)
}

fn any_requirement() -> impl Strategy<Value = Requirement> {
    let number = (1..9_u8).prop_map(|eighth| f64::from(eighth) / 8.0);
    (0..7_usize, number.clone(), number).prop_map(|(kind, radius, fraction)| match kind {
        0 => Requirement::Certified(at(radius, fraction)),
        1 => Requirement::Refuted(at(radius, fraction)),
        2 => Requirement::MedianCertified(norm(radius)),
        3 => Requirement::MedianMargin(norm(radius)),
        4 => Requirement::AtMost(Ending::Alarm, 1),
        5 => Requirement::AtMost(Ending::Undecided, 1),
        _ => Requirement::AtMost(Ending::Failed, 1),
    })
}

proptest! {
    #![proptest_config(seeded(2000))]

    #[test]
    fn a_larger_certificate_never_worsens_a_verdict(mut inputs in any_evidence(), requirement in any_requirement(), which: prop::sample::Index, gain in 0..9_u8) {
        let before = requirement.evaluate(&audited(&inputs));
        let chosen = which.index(inputs.len());
        if inputs[chosen].outcome != Outcome::Failed {
            inputs[chosen].lower = (inputs[chosen].lower + f64::from(gain) / 8.0).min(inputs[chosen].upper);
        }
        let after = requirement.evaluate(&audited(&inputs));
        prop_assert!(before.verdict != Verdict::Passed || after.verdict == Verdict::Passed);
        prop_assert!(before.verdict == Verdict::Failed || after.verdict != Verdict::Failed);
    }

    #[test]
    fn evidence_about_inputs_not_reached_never_overturns_a_verdict(inputs in any_evidence(), requirement in any_requirement(), reached: prop::sample::Index) {
        // Whatever the rest shows, what was decided without it stays so.
        let part = Audited { asked: inputs.len(), evidence: inputs[..reached.index(inputs.len() + 1)].to_vec() };
        let (before, after) = (requirement.evaluate(&part).verdict, requirement.evaluate(&audited(&inputs)).verdict);
        prop_assert!(before == Verdict::Undecided || before == after, "{before:?} became {after:?}");
    }

    #[test]
    fn a_smaller_refutation_never_turns_a_failure_about_certificates_into_a_pass(mut inputs in any_evidence(), radius in 1..9_u8, fraction in 1..9_u8, which: prop::sample::Index) {
        let requirement = Requirement::Certified(at(f64::from(radius) / 8.0, f64::from(fraction) / 8.0));
        let before = requirement.evaluate(&audited(&inputs)).verdict;
        let chosen = which.index(inputs.len());
        inputs[chosen].upper = inputs[chosen].lower;
        let after = requirement.evaluate(&audited(&inputs)).verdict;
        prop_assert!(before != Verdict::Failed || after == Verdict::Failed);
    }

    #[test]
    fn the_range_encloses_what_it_is_about(inputs in any_evidence(), requirement in any_requirement()) {
        let found = requirement.evaluate(&audited(&inputs));
        prop_assert!(found.lowest <= found.highest, "{found:?}");
    }
}
