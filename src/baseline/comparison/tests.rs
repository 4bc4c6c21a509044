use proptest::prelude::*;

use super::*;
use crate::audit::record::ProbabilityRecord;
use crate::audit::RunIdentity;
use crate::baseline::testing::{baseline, input};
use crate::data::Split;
use crate::margin::DrawCounts;
use crate::quantity::{Estimate, LowerBound, Radius, RadiusRule, UpperBound};
use crate::seed::Seed;
use crate::testing::seeded;

fn compare(before: &Baseline, after: &Baseline) -> Comparison {
    Comparison::of(before, after, &[]).unwrap()
}

fn eight(lower: f64, upper: f64) -> Vec<(f64, Option<f64>)> {
    (0..8).map(|i| (lower + 0.01 * f64::from(i), Some(upper))).collect()
}

#[test]
fn a_run_is_not_worse_than_itself() {
    let run = baseline(&eight(0.1, 0.5));
    let found = compare(&run, &run);
    assert_eq!((found.verdict(), found.same_but_unequal()), (Change::NotShown, false));
    assert!(found.changes.iter().all(|change| change.change == Change::NotShown && change.pairs == 8));
    assert_eq!(found.changes[0].median, Some((0.0, 0.0)));
}

#[test]
fn the_interval_of_the_mean_difference_is_the_one_computed_by_hand() {
    // Differences −0.3 and −0.1: mean −0.2, s/√2 = 0.1, t(1 − 0.0125; 1) = tan(π(0.5 − 0.0125)) = 25.4517.
    let before = baseline(&[(0.5, Some(1.0)), (0.5, Some(1.0))]);
    let after = baseline(&[(0.2, Some(1.0)), (0.4, Some(1.0))]);
    let mean = compare(&before, &after).changes[0].mean.unwrap();
    assert!((mean.mean + 0.2).abs() < 1e-12);
    assert!((mean.upper - (-0.2 + 2.545_17)).abs() < 1e-5, "{mean:?}");
}

#[test]
fn a_drop_on_every_input_is_worse_and_a_rise_is_not() {
    let (low, high) = (baseline(&eight(0.1, 0.5)), baseline(&eight(0.2, 0.5)));
    assert_eq!(compare(&high, &low).verdict(), Change::Worse);
    assert_eq!(compare(&low, &high).verdict(), Change::NotShown);
    assert_eq!(compare(&low, &high).changes[0].change, Change::Better);
    // A gain in one quantity does not make up for a loss in the other.
    let traded = baseline(&eight(0.2, 0.4));
    assert_eq!(compare(&low, &traded).verdict(), Change::Worse);
}

#[test]
fn a_drop_within_the_interval_is_no_regression() {
    let before = baseline(&eight(0.1, 0.5));
    let mut after = before.clone();
    after.inputs[0].certified = LowerBound::new(0.0).unwrap();
    after.inputs[1].certified = LowerBound::new(0.2).unwrap();
    let found = compare(&before, &after);
    assert_eq!((found.verdict(), found.changes[0].change), (Change::NotShown, Change::NotShown));
    // The same computation gave other numbers.
    assert!(found.same_but_unequal());
}

#[test]
fn one_pair_decides_nothing() {
    let found = compare(&baseline(&[(0.5, Some(1.0))]), &baseline(&[(0.1, Some(0.2))]));
    assert_eq!(found.verdict(), Change::Undecided);
    assert_eq!(found.pairs[0].margin_moved, Some(Moved::Down));
}

#[test]
fn a_quantity_that_no_input_has_is_undecided() {
    let bounds: Vec<_> = eight(0.1, 0.5).into_iter().map(|(lower, _)| (lower, None)).collect();
    let found = compare(&baseline(&bounds), &baseline(&bounds));
    assert_eq!(found.changes[1].change, Change::Undecided);
    assert_eq!(found.verdict(), Change::Undecided);
}

#[test]
fn infinite_bounds_on_both_sides_are_no_change_and_on_one_side_are_left_out() {
    let mut before = baseline(&eight(0.1, 0.5));
    before.inputs[0].certified = LowerBound::new(f64::INFINITY).unwrap();
    before.inputs[0].margin = None;
    let same = compare(&before, &before);
    assert_eq!((same.changes[0].pairs, same.changes[0].left_out, same.changes[1].pairs), (8, 0, 7));
    let found = compare(&before, &baseline(&eight(0.1, 0.5)));
    assert_eq!((found.changes[0].pairs, found.changes[0].left_out), (7, 1));
    assert!(found.changes[0].mean.unwrap().mean.is_finite());
    // No mean sees the bound that is gone.
    assert_eq!((found.verdict(), found.newly_bounded), (Change::Undecided, vec![before.inputs[0].input]));
    assert_eq!((same.verdict(), same.newly_bounded), (Change::NotShown, vec![]));
}

#[test]
fn an_input_that_newly_is_an_alarm_or_failed_is_worse_and_a_newly_undecided_one_undecided() {
    let before = baseline(&eight(0.1, 0.5));
    let changed = |outcome| {
        let mut after = before.clone();
        after.inputs[2].outcome = outcome;
        compare(&before, &after)
    };
    for outcome in [Outcome::Alarm, Outcome::Failed] {
        assert_eq!((changed(outcome).verdict(), changed(outcome).broken), (Change::Worse, vec![5]));
    }
    let undecided = changed(Outcome::Undecided);
    assert_eq!((undecided.verdict(), undecided.newly_undecided), (Change::Undecided, vec![5]));
    // What was so before is not new.
    let mut bad = before.clone();
    bad.inputs[2].outcome = Outcome::Failed;
    assert_eq!(compare(&bad, &bad).verdict(), Change::NotShown);
    assert_eq!(compare(&bad, &before).verdict(), Change::NotShown);
}

#[test]
fn only_what_lies_beyond_the_interval_has_moved() {
    let of = |before: (f64, Option<f64>), after: (f64, Option<f64>)| {
        Pair::of(input(0, before.0, before.1), input(0, after.0, after.1)).margin_moved
    };
    assert_eq!(of((0.3, Some(0.5)), (0.1, Some(0.29))), Some(Moved::Down));
    assert_eq!(of((0.3, Some(0.5)), (0.1, Some(0.3))), None);
    assert_eq!(of((0.3, Some(0.5)), (0.51, None)), Some(Moved::Up));
    assert_eq!(of((0.3, None), (0.6, Some(0.7))), None);
    // A certificate above a refutation encloses nothing.
    assert_eq!(of((0.6, Some(0.5)), (0.1, Some(0.2))), None);
    let probability = |inside: u64| {
        let share = inside as f64 / 100.0;
        let record = ProbabilityRecord {
            counts: DrawCounts { draws: 100, inside, outside: 100 - inside },
            estimate: Estimate::new(share).unwrap(),
            lower: LowerBound::new(share - 0.05).unwrap(),
            upper: UpperBound::new(share + 0.05).unwrap(),
        };
        BaselineInput { probability: Some(record), ..input(0, 0.1, None) }
    };
    assert_eq!(Pair::of(probability(90), probability(79)).probability_moved, Some(Moved::Down));
    assert_eq!(Pair::of(probability(90), probability(85)).probability_moved, None);
}

type Edit = Box<dyn Fn(&mut RunIdentity)>;

#[test]
fn each_aspect_that_must_agree_is_named_and_may_be_allowed() {
    let before = baseline(&eight(0.1, 0.5));
    let changes: Vec<(Aspect, Edit)> = vec![
        (Aspect::Data, Box::new(|i| i.data_sha256 = "0".into())),
        (Aspect::Data, Box::new(|i| i.split = Split::Train)),
        (Aspect::Inputs, Box::new(|i| i.first = 4)),
        (Aspect::R, Box::new(|i| i.plan.radius = RadiusRule::Absolute(Radius::new(1.0).unwrap()))),
        (Aspect::Level, Box::new(|i| i.plan.level = Probability::new(0.6).unwrap())),
        (Aspect::Threat, Box::new(|i| i.plan.threat = crate::quantity::Threat::Joint)),
        (Aspect::Seed, Box::new(|i| i.plan.seed = Seed(1))),
        (Aspect::FailureProbability, Box::new(|i| i.plan.failure_probability = Probability::new(0.01).unwrap())),
        (Aspect::Draws, Box::new(|i| i.plan.estimation_draws = 1)),
        (Aspect::Attack, Box::new(|i| i.plan.search.effort.steps = 1)),
        (Aspect::Attack, Box::new(|i| i.plan.attacks.truncate(1))),
    ];
    for (aspect, change) in changes {
        let mut after = before.clone();
        change(&mut after.identity);
        let Err(BaselineError::Different { differences }) = Comparison::of(&before, &after, &[]) else {
            panic!("{aspect:?}")
        };
        assert_eq!(differences.iter().map(|found| found.aspect).collect::<Vec<_>>(), [aspect]);
        let allowed = Comparison::of(&before, &after, &[aspect]).unwrap();
        assert_eq!(allowed.differences.len(), 1);
    }
}

#[test]
fn another_model_device_or_version_is_compared_and_said() {
    let before = baseline(&eight(0.1, 0.5));
    let mut after = before.clone();
    after.identity.model_sha256 = "0".into();
    after.identity.device = "cuda".into();
    after.identity.vaecert_version = "9".into();
    // Where a file lies is no difference.
    after.identity.data = "elsewhere".into();
    let found = compare(&before, &after);
    let aspects: Vec<Aspect> = found.differences.iter().map(|difference| difference.aspect).collect();
    assert_eq!(aspects, [Aspect::Model, Aspect::Device, Aspect::Version]);
}

#[test]
fn other_choices_of_inputs_are_paired_by_index() {
    let before = baseline(&eight(0.1, 0.5));
    let mut after = before.clone();
    after.inputs.drain(..2);
    (after.identity.first, after.identity.inputs) = (5, 6);
    for (one, other) in [(&before, &after), (&after, &before)] {
        let found = Comparison::of(one, other, &[Aspect::Inputs]).unwrap();
        assert_eq!(found.pairs.len(), 6);
        assert!(found.pairs.iter().all(|pair| pair.before == pair.after));
    }
}

#[test]
fn names_of_aspects_read_back_and_near_ones_are_suggested() {
    for aspect in Aspect::ALL {
        assert_eq!(aspect.name().parse(), Ok(aspect));
    }
    assert!("sead".parse::<Aspect>().unwrap_err().contains("did you mean \"seed\"?"));
}

proptest! {
    #![proptest_config(seeded(400))]

    #[test]
    fn raising_a_certificate_by_the_same_everywhere_never_makes_a_run_worse(
        lower in prop::collection::vec(0.0..1.0f64, 2..12), change in prop::collection::vec(-0.5..0.5f64, 12), shift in 0.0..0.5f64,
    ) {
        let bounds = |shift: f64, changes: &[f64]| {
            let of = |(lower, change): (&f64, &f64)| (1.0 + lower + change + shift, Some(4.0));
            baseline(&lower.iter().zip(changes).map(of).collect::<Vec<_>>())
        };
        let before = bounds(0.0, &[0.0; 12]);
        let plain = compare(&before, &bounds(0.0, &change)).changes[0].change;
        let raised = compare(&before, &bounds(shift, &change)).changes[0].change;
        prop_assert!(raised != Change::Worse || plain == Change::Worse);
    }

    #[test]
    fn what_is_worse_one_way_is_better_the_other_way(pairs in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 2..12)) {
        let one = baseline(&pairs.iter().map(|pair| (pair.0, Some(4.0))).collect::<Vec<_>>());
        let other = baseline(&pairs.iter().map(|pair| (pair.1, Some(4.0))).collect::<Vec<_>>());
        let (there, back) = (compare(&one, &other).changes[0].change, compare(&other, &one).changes[0].change);
        prop_assert_eq!(there == Change::Worse, back == Change::Better);
    }
}
