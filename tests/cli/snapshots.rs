//! The formats that other programs and eyes rely on, on made-up figures: they show layout, not mathematics.

use vaecert::attack::{AscentNotes, AttackKind};
use vaecert::audit::certificates::CertifiedRecord;
use vaecert::audit::record::{AttackRecord, EncoderRecord, LinearizationRecord, ProbabilityRecord};
use vaecert::audit::{InputRecord, Outcome, Summary};
use vaecert::bounds::{FirstOrderLadder, Proposition1};
use vaecert::certificate::Method;
use vaecert::cli::gamma_sum::answer::{Answer, Question};
use vaecert::cli::gamma_sum::text;
use vaecert::cli::table;
use vaecert::margin::{DrawCounts, MinimumRadius};
use vaecert::quantity::{Estimate, LowerBound, Probability, Radius, UpperBound};
use vaecert::stats::quadratic_form::{Algorithm, Evaluation, QuadraticFormError, Tails};
use vaecert::stats::Enclosure;

fn estimate(value: f64) -> Estimate {
    Estimate::new(value).unwrap()
}

fn upper(value: f64) -> UpperBound {
    UpperBound::new(value).unwrap()
}

fn bracketed(input: usize, scale: f64) -> InputRecord {
    let attack = |attack, margin: Option<f64>| AttackRecord {
        attack,
        margin_upper: margin.map(upper),
        probability_upper: margin.map(|_| upper(0.4875)),
        withstood_estimate: estimate(0.375 * scale),
        decisions: 9,
        notes: AscentNotes::default(),
    };
    InputRecord {
        outcome: Outcome::Bracketed,
        radius: Some(Radius::new(1.25).unwrap()),
        probability: Some(ProbabilityRecord {
            counts: DrawCounts { draws: 1000, inside: 900, outside: 99 },
            estimate: estimate(0.9),
            lower: LowerBound::new(0.868_75).unwrap(),
            upper: upper(0.9275),
        }),
        minimum_radius: Some(MinimumRadius {
            estimate: estimate(0.75),
            lower: LowerBound::new(0.7).unwrap(),
            upper: upper(0.8),
        }),
        linearization: Some(LinearizationRecord {
            radii: Proposition1 {
                trace: estimate(0.64),
                effective_rank: estimate(2.5),
                printed: estimate(1.131_370_8),
                sufficient: Some(estimate(0.8)),
                envelope_lower: Some(estimate(0.54)),
                envelope_upper: Some(estimate(0.75)),
                exact: estimate(0.625),
            },
            probability: estimate(0.9375),
            minimum_radius_ratio: Some(estimate(1.2)),
            within_interval: false,
        }),
        encoder: Some(EncoderRecord {
            smallest_std: estimate(0.25),
            mean_std: estimate(0.5),
            jacobian_frobenius: estimate(4.0),
            jacobian_spectral: estimate(2.0),
        }),
        first_order: Some(FirstOrderLadder {
            theorem1: estimate(0.0625 * scale),
            operator: estimate(0.125 * scale),
            whitened: estimate(0.1875 * scale),
        }),
        linear_region: Some(estimate(0.000_031_25)),
        certified: Some(CertifiedRecord {
            linear_region: Some(LowerBound::new(0.000_031_25).unwrap()),
            slope_interval: Some(LowerBound::new(0.171_9 * scale).unwrap()),
            a_priori: None,
            best: LowerBound::new(0.171_9 * scale).unwrap(),
            method: Some(Method::SlopeInterval),
        }),
        attacks: vec![attack(AttackKind::MaxDamage, Some(0.4375 * scale)), attack(AttackKind::Random, None)],
        margin_upper: Some(upper(0.4375 * scale)),
        best_attack: Some(AttackKind::MaxDamage),
        ..InputRecord::empty(input)
    }
}

fn records() -> Vec<InputRecord> {
    let undecided = InputRecord {
        outcome: Outcome::Undecided,
        reasons: vec!["no attack succeeded up to norm 10".to_owned()],
        margin_upper: None,
        best_attack: None,
        first_order: Some(FirstOrderLadder {
            theorem1: estimate(f64::INFINITY),
            operator: estimate(f64::INFINITY),
            whitened: estimate(f64::INFINITY),
        }),
        ..bracketed(2, 1.0)
    };
    let alarm = InputRecord {
        outcome: Outcome::Alarm,
        reasons: vec!["whitened above the norm of a refuting perturbation".to_owned()],
        margin_upper: Some(upper(0.15)),
        ..bracketed(3, 1.0)
    };
    let failed = InputRecord {
        reasons: vec!["the radius: a radius must be a finite number above 0, found 0".to_owned()],
        ..InputRecord::empty(4)
    };
    vec![bracketed(0, 1.0), bracketed(1, 2.0), undecided, alarm, failed]
}

#[test]
fn the_table_of_inputs() {
    let rows: String = records().iter().map(|record| table::row(record, 10.0)).collect();
    insta::assert_snapshot!(format!("{}{rows}", table::row_titles(10.0)));
}

#[test]
fn the_table_of_minimum_radii() {
    let rows: String = records().iter().filter_map(table::minimum_radius_row).collect();
    insta::assert_snapshot!(format!("{}{rows}", table::minimum_radius_titles()));
    assert_eq!(table::minimum_radius_row(&InputRecord::empty(0)), None);
}

#[test]
fn the_summary() {
    insta::assert_snapshot!(table::summary(&Summary::of(&records())));
}

#[test]
fn a_record_as_json() {
    let lines: Vec<String> = records().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_summary_as_json() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&Summary::of(&records())).unwrap());
}

/// Made-up answers about a form.
fn answers() -> Vec<Answer> {
    let enclosure = |value, error| Enclosure { value, error };
    let tails = |error, algorithm, nodes| Tails {
        cdf: enclosure(0.762_345_678_901_234_5, error),
        survival: enclosure(0.237_654_321_098_765_5, error),
        algorithm,
        nodes,
    };
    let evaluation =
        |value, error| Evaluation { enclosure: enclosure(value, error), algorithm: Algorithm::Hyperbola, nodes: 44 };
    let out_of_reach = QuadraticFormError::NotConverged { relative_error: 0.025, nodes: 4000 };
    let point = |q, density, cross_check| Answer::Point {
        q,
        tails: Ok(tails(1.21e-15, Algorithm::Hyperbola, 52)),
        density,
        cross_check,
    };
    let probability = Probability::new(1e-12).unwrap();
    vec![
        Answer::Moments([
            Ok(enclosure(3.0, 0.0)),
            Ok(enclosure(6.25, 9.91e-15)),
            Ok(enclosure(-1e300, 1e285)),
            Err(out_of_reach.clone()),
        ]),
        point(2.5, Ok(evaluation(1e-7, 3e-22)), Some(Ok(tails(2e-10, Algorithm::Ruben, 120)))),
        point(0.0, Err(QuadraticFormError::UnboundedDensity(0.0)), Some(Err(out_of_reach.clone()))),
        Answer::Quantile { probability: Probability::HALF, quantile: Ok(evaluation(-0.125, 1e-13)) },
        Answer::SurvivalQuantile { probability, quantile: Err(out_of_reach) },
    ]
}

#[test]
fn the_table_of_a_gamma_sum() {
    let asked = [Question::Point(2.5), Question::SurvivalQuantile(Probability::new(1e-12).unwrap())];
    let width = text::label_width(&asked, true);
    let rows: String = answers().iter().map(|answer| text::rows(answer, width)).collect();
    let headings = [text::heading(&[1.0, -0.5], &[0.0, 2.0], 0.25), text::heading(&[0.5], &[0.0], 0.0)];
    insta::assert_snapshot!(format!("{}{}{rows}", headings.concat(), text::titles(width)));
}

#[test]
fn a_gamma_sum_as_json() {
    let id = serde_json::json!({ "row": 7 });
    let lines: String = answers().iter().map(|answer| answer.json(Some(&id)).unwrap()).collect();
    insta::assert_snapshot!(lines);
}
