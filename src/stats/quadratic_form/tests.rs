//! Hand-checked values, properties, and 30-digit reference values.

use super::*;
use crate::stats::{median, normal};
use crate::testing::seeded;
use proptest::prelude::*;
use serde::Deserialize;

/// Rounding of a 30-digit reference value to a double, relative.
const REFERENCE_ROUNDING: f64 = 2.3e-16;
/// Largest relative error of the smaller tail for forms with eigenvalues of one sign and no normal term.
const DEFINITE_ERROR: f64 = 1e-12;
/// The same for the others.
const INDEFINITE_ERROR: f64 = 1e-11;
/// Reference values below this underflow or lose digits.
const UNDERFLOW: f64 = 1e-300;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    lambdas: Vec<String>,
    b: Option<Vec<String>>,
    sigma: Option<String>,
    points: Vec<ReferencePoint>,
    quantiles: Vec<ReferenceQuantile>,
}

#[derive(Deserialize)]
struct ReferencePoint {
    q: String,
    cdf: String,
    sf: String,
    pdf: String,
}

#[derive(Deserialize)]
struct ReferenceQuantile {
    p: String,
    quantile: String,
}

impl Case {
    fn form(&self) -> QuadraticForm {
        let eigenvalues: Vec<f64> = self.lambdas.iter().map(|text| number(text)).collect();
        let shifts = match &self.b {
            Some(shifts) => shifts.iter().map(|text| number(text)).collect(),
            None => vec![0.0; eigenvalues.len()],
        };
        QuadraticForm::new(&eigenvalues, &shifts, self.sigma.as_deref().map_or(0.0, number)).unwrap()
    }

    fn is_definite(&self) -> bool {
        let signs: Vec<bool> =
            self.lambdas.iter().map(|text| number(text)).filter(|x| *x != 0.0).map(|x| x > 0.0).collect();
        self.sigma.is_none() && signs.iter().all(|sign| *sign == signs[0])
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn reference() -> Vec<Case> {
    let text = include_str!("../../../fixtures/reference/quadratic_form.json");
    serde_json::from_str::<Reference>(text).unwrap().cases
}

fn holds(enclosure: Enclosure, truth: f64) -> bool {
    (enclosure.value - truth).abs() <= enclosure.error + REFERENCE_ROUNDING * truth.abs()
}

#[test]
fn tails_agree_with_reference_values_within_their_own_bounds() {
    let (mut bounds, mut points) = (Vec::new(), 0);
    for case in reference() {
        let form = case.form();
        let largest = if case.is_definite() { DEFINITE_ERROR } else { INDEFINITE_ERROR };
        for point in &case.points {
            let (q, cdf, survival) = (number(&point.q), number(&point.cdf), number(&point.sf));
            let tails = form.tails(q).unwrap();
            assert!(holds(tails.cdf, cdf) && holds(tails.survival, survival), "{} at {q}: {tails:?}", case.name);
            let (tail, truth) = if cdf < survival { (tails.cdf, cdf) } else { (tails.survival, survival) };
            if truth >= UNDERFLOW {
                let error = (tail.value - truth).abs() / truth;
                assert!(error <= largest, "{} at {q}: relative error {error:e}", case.name);
                bounds.push(tail.error / truth);
                points += 1;
            }
        }
    }
    assert!(points > 600, "{points}");
    assert!(median(&bounds).unwrap() <= 1e-12);
}

#[test]
fn densities_agree_with_reference_values_within_their_own_bounds() {
    for case in reference() {
        let form = case.form();
        for point in &case.points {
            let (q, truth) = (number(&point.q), number(&point.pdf));
            match form.density(q) {
                Ok(density) => {
                    assert!(holds(density.enclosure, truth), "{} at {q}: {density:?}, not {truth}", case.name);
                    assert!(
                        density.enclosure.error <= 1e-11 * truth + 8.0 * SMALLEST,
                        "{} at {q}: {density:?}",
                        case.name
                    );
                }
                Err(error) => {
                    assert_eq!(error, QuadraticFormError::UnboundedDensity(0.0));
                    assert!(truth.is_infinite(), "{} at {q}: {truth}", case.name);
                }
            }
        }
    }
}

#[test]
fn quantiles_agree_with_reference_values_within_their_own_bounds() {
    for case in reference() {
        let form = case.form();
        let spread = ldexp(form.form.variance().sqrt(), form.form.exponent);
        for ReferenceQuantile { p, quantile } in &case.quantiles {
            let truth = number(quantile);
            let found = match p.as_str() {
                "0.999" => form.survival_quantile(Probability::new(0.001).unwrap()),
                p => form.quantile(Probability::new(number(p)).unwrap()),
            }
            .unwrap_or_else(|error| panic!("{} at {p}: {error}", case.name));
            assert!(holds(found.enclosure, truth), "{} at {p}: {found:?}, not {truth}", case.name);
            // Decimal p as a double is within 1.2e-16 of itself; quantiles move with the inverse density.
            assert!(found.enclosure.error <= 1e-11 * truth.abs().max(spread), "{} at {p}: {found:?}", case.name);
        }
    }
}

/// Reference cases with more eigenvalues than this take the second algorithm too long for a test.
const SLOW: usize = 60;

#[test]
fn the_second_algorithm_agrees_with_reference_values_within_its_own_bounds() {
    let mut algorithms = Vec::new();
    for case in reference().iter().filter(|case| case.lambdas.len() <= SLOW) {
        let form = case.form();
        for point in &case.points {
            let (q, cdf, survival) = (number(&point.q), number(&point.cdf), number(&point.sf));
            match form.cross_check(q) {
                Ok(tails) => {
                    assert!(
                        holds(tails.cdf, cdf) && holds(tails.survival, survival),
                        "{} at {q}: {tails:?}",
                        case.name
                    );
                    algorithms.push(tails.algorithm);
                }
                Err(error) => assert!(matches!(error, QuadraticFormError::NotConverged { .. }), "{error}"),
            }
        }
    }
    let count = |wanted| algorithms.iter().filter(|algorithm| **algorithm == wanted).count();
    assert!(count(Algorithm::Ruben) > 200 && count(Algorithm::TiltedDavies) > 50, "{}", algorithms.len());
}

#[test]
fn the_second_algorithm_knows_closed_forms() {
    let exponential = QuadraticForm::central(&[0.5, 0.5]).unwrap();
    let hypoexponential = QuadraticForm::central(&[2.0, 2.0, 1.0, 1.0]).unwrap();
    let laplace = QuadraticForm::central(&[0.5, -0.5, -0.5, 0.5]).unwrap();
    for q in [0.1, 3.0, 50.0f64] {
        let cases = [
            (&exponential, (-q).exp()),
            (&hypoexponential, 2.0 * (-0.25 * q).exp() - (-0.5 * q).exp()),
            (&laplace, 0.5 * (-q).exp()),
        ];
        for (form, truth) in cases {
            let found = form.cross_check(q).unwrap().survival;
            assert!((found.value - truth).abs() <= found.error + 4.0 * f64::EPSILON * truth, "{q}: {found:?}");
        }
    }
    // Of negative eigenvalues the upper tail is the lower one of their opposites.
    let found = QuadraticForm::central(&[-0.5, -0.5]).unwrap().cross_check(-2.0).unwrap();
    assert!((found.cdf.value - (-2.0f64).exp()).abs() <= found.cdf.error + 1e-16);
    assert!(
        (found.algorithm, exponential.cross_check(-1.0).unwrap().algorithm) == (Algorithm::Ruben, Algorithm::Exact)
    );
}

#[test]
fn one_eigenvalue_is_the_chi_square_closed_form() {
    let form = QuadraticForm::central(&[2.5]).unwrap();
    for q in [1e-12, 0.01, 0.3, 2.5, 7.0, 100.0] {
        let z = (q / 2.5f64).sqrt();
        let tails = form.tails(q).unwrap();
        let survival = 2.0 * normal::survival(z);
        assert!((tails.survival.value - survival).abs() <= tails.survival.error + 4e-15 * survival, "{q}");
        let density = normal::density(z) / z / 2.5;
        assert!((form.density(q).unwrap().enclosure.value - density).abs() < 1e-14 * density, "{q}");
    }
}

#[test]
fn the_median_of_one_eigenvalue_is_not_what_statrs_says() {
    use statrs::statistics::Median;
    let median = QuadraticForm::central(&[1.0]).unwrap().quantile(Probability::HALF).unwrap().enclosure;
    assert!((median.value - 0.454_936_423_119_572_8).abs() <= median.error + 1e-16, "{median:?}");
    let approximation = statrs::distribution::ChiSquared::new(1.0).unwrap().median();
    assert!((approximation - 1.0 / 3.0).abs() < 1e-12, "{approximation}");
}

#[test]
fn two_equal_eigenvalues_are_an_exponential_distribution() {
    let form = QuadraticForm::central(&[0.5, 0.5]).unwrap();
    for q in [1e-9, 0.1, 1.0, 30.0, 600.0] {
        let tails = form.tails(q).unwrap();
        assert!((tails.survival.value - (-q).exp()).abs() <= tails.survival.error + 1e-15 * (-q).exp(), "{q}");
        assert!((tails.cdf.value + (-q).exp_m1()).abs() <= tails.cdf.error + 1e-15 * tails.cdf.value, "{q}");
    }
    assert_eq!(form.density(0.0).unwrap().enclosure.value, 1.0);
}

#[test]
fn pairs_of_either_sign_are_a_laplace_distribution() {
    let form = QuadraticForm::central(&[0.5, 0.5, -0.5, -0.5]).unwrap();
    for q in [-40.0, -1.0, -1e-9, 0.0, 1e-9, 0.5, 25.0f64] {
        let tail = 0.5 * (-q.abs()).exp();
        let tails = form.tails(q).unwrap();
        let smaller = if q < 0.0 { tails.cdf } else { tails.survival };
        assert!((smaller.value - tail).abs() <= smaller.error + 1e-15 * tail, "{q}");
        let density = form.density(q).unwrap().enclosure;
        assert!((density.value - tail).abs() <= density.error + 1e-15 * tail, "{q}");
    }
    assert!(form.quantile(Probability::HALF).unwrap().enclosure.value.abs() < 1e-15);
}

#[test]
fn scales_at_the_ends_of_the_range_change_nothing() {
    let unit = QuadraticForm::central(&[1.0, 0.25]).unwrap();
    for scale in [1e-160, 1e150] {
        let form = QuadraticForm::central(&[scale, 0.25 * scale]).unwrap();
        let (expected, found) = (unit.tails(3.0).unwrap(), form.tails(3.0 * scale).unwrap());
        assert!((found.survival.value / expected.survival.value - 1.0).abs() < 1e-13);
        let quantile = form.quantile(Probability::new(0.9).unwrap()).unwrap().enclosure.value / scale;
        let expected = unit.quantile(Probability::new(0.9).unwrap()).unwrap().enclosure.value;
        assert!((quantile / expected - 1.0).abs() < 1e-13);
    }
}

#[test]
fn points_far_away_underflow_within_their_bounds() {
    let form = QuadraticForm::new(&[1.0, 0.5], &[0.0, 3.0], 0.0).unwrap();
    for q in [1e4, 1e100, 1e300, f64::MAX, f64::INFINITY] {
        let tails = form.tails(q).unwrap();
        assert!(tails.survival.value == 0.0 && tails.survival.error <= 1e-320, "{tails:?}");
        assert!(tails.cdf.upper() >= 1.0);
    }
    for q in [0.0, -1.0, f64::NEG_INFINITY] {
        assert_eq!(form.tails(q).unwrap().cdf, Enclosure { value: 0.0, error: 0.0 });
    }
    // P(χ²₁ ≤ q) is about √(2q/π).
    let tiny = QuadraticForm::central(&[1.0]).unwrap().tails(1e-280).unwrap().cdf;
    assert!((tiny.value / (2e-280 / std::f64::consts::PI).sqrt() - 1.0).abs() < 1e-13);
    // A thousand eigenvalues at 1e-3: far below the smallest double.
    let low = QuadraticForm::central(&vec![1.0; 1000]).unwrap().tails(1e-3).unwrap().cdf;
    assert!(low.value == 0.0 && low.error > 0.0);
}

#[test]
fn a_few_large_eigenvalues_beside_many_small_ones() {
    // From mpmath with 60 digits, by a hyperbola of its own with step halving.
    let cases = [
        (1, 0.012_067_837_635_796_934, 999, 13.339_540_832_557_278, 0.287_803_580_348_205_72),
        (1, 0.167_890_367_354_732_12, 900, 202.970_586_820_329_4, 1.245_868_408_451_258_4e-9),
        (2, 0.263_912_277_441_434_8, 300, 115.700_429_701_858_34, 5.965_382_747_557_048_8e-6),
    ];
    for (large, small, count, q, survival) in cases {
        let eigenvalues = [vec![1.0; large], vec![small; count]].concat();
        let found = QuadraticForm::central(&eigenvalues).unwrap().tails(q).unwrap().survival;
        assert!(holds(found, survival) && found.error < 1e-12 * survival, "{found:?}, not {survival}");
    }
}

#[test]
fn far_quantiles_are_accurate_in_relative_terms() {
    // Two eigenvalues 1/2 are exponential: −ln p above, −ln(1 − p) ≈ p below.
    let exponential = QuadraticForm::central(&[0.5, 0.5]).unwrap();
    for exponent in [-12, -100, -300] {
        let p = 10f64.powi(exponent);
        let upper = exponential.survival_quantile(Probability::new(p).unwrap()).unwrap().enclosure;
        assert!((upper.value + p.ln()).abs() <= upper.error + 1e-15 * upper.value && upper.error < 1e-11 * upper.value);
        let lower = exponential.quantile(Probability::new(p).unwrap()).unwrap().enclosure;
        let truth = -(-p).ln_1p();
        assert!((lower.value - truth).abs() <= lower.error + 1e-15 * truth && lower.error < 1e-11 * truth, "{lower:?}");
    }
    let nearly_one = Probability::new(1.0 - f64::EPSILON / 2.0).unwrap();
    let found = exponential.quantile(nearly_one).unwrap().enclosure;
    assert!((found.value - 53.0 * std::f64::consts::LN_2).abs() <= found.error + 1e-14);
}

#[test]
fn shifts_that_cancel_do_not_fool_the_test_for_far_points() {
    let (tiny, shift) = (2f64.powi(-66), 2f64.powi(73));
    let parts = [0.5 + 2f64.powi(-53), 0.25 + 2f64.powi(-54), 0.25 - 3.0 * 2f64.powi(-54)];
    let eigenvalues = [1.0, -tiny, tiny * parts[0], tiny * parts[1], tiny * parts[2]];
    let form = QuadraticForm::new(&eigenvalues, &[0.0, shift, shift, shift, shift], 0.0).unwrap();
    // The mean of the shifted part is exactly 0 and its spread 1e3 and more, so both tails are near one half.
    if let Ok(tails) = form.tails(0.0) {
        assert!(tails.survival.upper() >= 0.5 && tails.cdf.upper() >= 0.49, "{tails:?}");
    }
}

#[test]
fn moments_of_a_shifted_form_follow_by_hand() {
    // 2(U + 1)² − (V)² + 3Z.
    let form = QuadraticForm::new(&[2.0, -1.0], &[1.0, 0.0], 3.0).unwrap();
    assert_eq!(form.mean().unwrap().value, 3.0);
    assert_eq!(form.variance().unwrap().value, 2.0 * 4.0 * 3.0 + 2.0 + 9.0);
    assert_eq!(form.cumulant(3).unwrap().value, 8.0 * (8.0 * 4.0 - 1.0));
    assert!(form.cumulant(0).is_err() && form.cumulant(u32::MAX).is_err());
    let large = QuadraticForm::central(&[1e150]).unwrap();
    assert!(matches!(large.cumulant(3), Err(QuadraticFormError::NotConverged { .. })));
}

#[test]
fn bad_input_is_named() {
    type E = QuadraticFormError;
    assert_eq!(QuadraticForm::central(&[]).unwrap_err(), E::Empty);
    assert_eq!(QuadraticForm::central(&[0.0, 0.0]).unwrap_err(), E::AllZero(2));
    let error = QuadraticForm::central(&[1.0, f64::INFINITY]).unwrap_err();
    assert_eq!(error, E::NotFinite { what: "eigenvalue", index: 1, value: f64::INFINITY });
    let error = QuadraticForm::new(&[1.0], &[f64::NAN], 0.0).unwrap_err();
    assert!(matches!(error, E::NotFinite { what: "shift", index: 0, value } if value.is_nan()));
    let error = QuadraticForm::new(&[1.0, 2.0], &[0.0], 0.0).unwrap_err();
    assert_eq!(error, E::LengthMismatch { eigenvalues: 2, shifts: 1 });
    for sigma in [-1.0, f64::INFINITY] {
        assert_eq!(QuadraticForm::new(&[1.0], &[0.0], sigma).unwrap_err(), E::Sigma(sigma));
    }
    assert!(matches!(QuadraticForm::new(&[1.0], &[0.0], f64::NAN).unwrap_err(), E::Sigma(_)));
    assert_eq!(QuadraticForm::central(&[1.0, 1e-200]).unwrap_err(), E::Spread);
    assert_eq!(QuadraticForm::new(&[1.0], &[1e80], 0.0).unwrap_err(), E::Shift { index: 0, value: 1e80 });
    let huge = QuadraticForm::central(&[1e308; 10]).unwrap();
    assert!(matches!(huge.quantile(Probability::HALF).unwrap_err(), E::NotConverged { .. }));
    let form = QuadraticForm::central(&[1.0]).unwrap();
    assert_eq!(form.tails(f64::NAN).unwrap_err(), E::Point);
    assert_eq!(form.density(f64::NAN).unwrap_err(), E::Point);
    assert_eq!(form.density(0.0).unwrap_err(), E::UnboundedDensity(0.0));
    assert!(matches!(form.tails(1e-310).unwrap_err(), E::NotConverged { .. }));
}

/// Eigenvalues over six orders of magnitude, a share of them negative, shifts and a normal term now and then.
fn any_form() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, f64)> {
    let eigenvalue = (-6.0..0.0f64, prop::bool::weighted(0.25)).prop_map(|(log, negative)| {
        let size = 10f64.powf(log);
        if negative {
            -size
        } else {
            size
        }
    });
    let shift = prop_oneof![3 => Just(0.0), 1 => -4.0..4.0f64];
    (prop::collection::vec((eigenvalue, shift), 1..9), prop_oneof![3 => Just(0.0), 1 => 0.01..1.0f64]).prop_map(
        |(pairs, sigma)| (pairs.iter().map(|pair| pair.0).collect(), pairs.iter().map(|p| p.1).collect(), sigma),
    )
}

/// Positive eigenvalues over six orders of magnitude, without shifts.
fn positive_eigenvalues() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-6.0..0.0f64).prop_map(|log| 10f64.powf(log)), 1..40)
}

fn overlap(a: Enclosure, b: Enclosure) -> bool {
    a.lower() <= b.upper() && b.lower() <= a.upper()
}

/// A point that is neither far out nor at the centre.
fn point(form: &QuadraticForm, z: f64) -> f64 {
    form.mean().unwrap().value + z * form.variance().unwrap().value.sqrt()
}

proptest! {
    #![proptest_config(seeded(200))]

    #[test]
    fn tails_add_up_to_one_and_grow_with_the_point((eigenvalues, shifts, sigma) in any_form(), z in -3.0..6.0f64, step in 0.0..1.0f64) {
        let form = QuadraticForm::new(&eigenvalues, &shifts, sigma).unwrap();
        let (q, later) = (point(&form, z), point(&form, z + step));
        let (first, second) = (form.tails(q).unwrap(), form.tails(later).unwrap());
        let sum = first.cdf.value + first.survival.value;
        prop_assert!((sum - 1.0).abs() <= first.cdf.error + first.survival.error + f64::EPSILON);
        prop_assert!(first.cdf.lower() <= second.cdf.upper());
        prop_assert!(first.survival.upper() >= second.survival.lower());
    }

    #[test]
    fn scaling_permuting_and_padding_change_nothing((eigenvalues, shifts, sigma) in any_form(), z in -2.0..4.0f64, log in -40.0..40.0f64) {
        let scale = 10f64.powf(log);
        let form = QuadraticForm::new(&eigenvalues, &shifts, sigma).unwrap();
        let q = point(&form, z);
        let expected = form.tails(q).unwrap();
        let scaled: Vec<f64> = eigenvalues.iter().rev().map(|x| x * scale).chain([0.0]).collect();
        let reversed: Vec<f64> = shifts.iter().rev().map(|b| -b).chain([7.0]).collect();
        let found = QuadraticForm::new(&scaled, &reversed, sigma * scale).unwrap().tails(q * scale).unwrap();
        // The products round, which moves the point by as much.
        let slack = 8.0 * f64::EPSILON * form.density(q).unwrap().enclosure.upper()
            * (q.abs() + form.variance().unwrap().value.sqrt() + eigenvalues.iter().zip(&shifts).map(|(x, b)| x.abs() * b * b).sum::<f64>());
        let widened = Enclosure { error: expected.cdf.error + slack, ..expected.cdf };
        prop_assert!(overlap(widened, found.cdf), "{expected:?} {found:?}");
    }

    #[test]
    fn equal_eigenvalues_merge(eigenvalue in 0.1..1.0f64, count in 1usize..12, other in -1.0..1.0f64, z in -2.0..4.0f64) {
        // A group of equal eigenvalues against the same with every second one moved by one unit in the last place.
        let equal = vec![eigenvalue; count];
        let moved: Vec<f64> = (0..count).map(|i| if i % 2 == 0 { eigenvalue } else { eigenvalue.next_up() }).collect();
        let with = |values: &[f64]| QuadraticForm::central(&[values, &[other]].concat()).unwrap();
        let q = point(&with(&equal), z);
        let (merged, apart) = (with(&equal).tails(q).unwrap(), with(&moved).tails(q).unwrap());
        prop_assert!((merged.cdf.value - apart.cdf.value).abs() <= merged.cdf.error + apart.cdf.error + 1e-14);
    }

    #[test]
    fn quantiles_invert_the_distribution_function((eigenvalues, shifts, sigma) in any_form(), log in -8.0..-0.31f64, upper: bool) {
        let form = QuadraticForm::new(&eigenvalues, &shifts, sigma).unwrap();
        let p = Probability::new(10f64.powf(log)).unwrap();
        let quantile = if upper { form.survival_quantile(p) } else { form.quantile(p) }.unwrap().enclosure;
        let (below, above) = (form.tails(quantile.lower()).unwrap(), form.tails(quantile.upper()).unwrap());
        if upper {
            prop_assert!(below.survival.upper() >= p.get() && above.survival.lower() <= p.get());
        } else {
            prop_assert!(below.cdf.lower() <= p.get() && above.cdf.upper() >= p.get());
        }
        let spread = form.variance().unwrap().value.sqrt();
        prop_assert!(quantile.error <= 1e-9 * spread.max(quantile.value.abs()), "{quantile:?}");
    }

    #[test]
    fn the_median_lies_in_the_envelope(eigenvalues in positive_eigenvalues()) {
        let form = QuadraticForm::central(&eigenvalues).unwrap();
        let median = form.quantile(Probability::HALF).unwrap().enclosure;
        let total = form.mean().unwrap();
        let equal = QuadraticForm::central(&vec![1.0; eigenvalues.len()]).unwrap();
        let largest = equal.quantile(Probability::HALF).unwrap().enclosure.upper() / eigenvalues.len() as f64;
        prop_assert!(median.upper() >= 0.454_936_423_119_572_7 * total.lower());
        prop_assert!(median.lower() <= largest * total.upper() * (1.0 + f64::EPSILON));
    }

    #[test]
    fn densities_integrate_to_differences(eigenvalues in prop::collection::vec(0.05..1.0f64, 3..8), z in -1.0..2.0f64) {
        let form = QuadraticForm::central(&eigenvalues).unwrap();
        let (q, width) = (point(&form, z).max(0.1), 1e-3);
        // Simpson's rule over a width where the density's fourth derivative is below 1e4.
        let [a, b, c] = [0.0, 0.5, 1.0].map(|share| form.density(q + share * width).unwrap().enclosure.value);
        let difference = form.tails(q + width).unwrap().cdf.value - form.tails(q).unwrap().cdf.value;
        prop_assert!(((a + 4.0 * b + c) / 6.0 * width - difference).abs() < 1e-13);
    }
}

proptest! {
    // The second algorithm is slow.
    #![proptest_config(seeded(40))]

    #[test]
    fn the_two_algorithms_agree((eigenvalues, shifts, sigma) in any_form(), z in -1.5..6.0f64) {
        let form = QuadraticForm::new(&eigenvalues, &shifts, sigma).unwrap();
        let q = point(&form, z);
        let first = form.tails(q).unwrap();
        if let Ok(second) = form.cross_check(q) {
            prop_assert!(overlap(first.cdf, second.cdf) && overlap(first.survival, second.survival), "{first:?} {second:?}");
        }
    }
}
