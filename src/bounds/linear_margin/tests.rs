//! Checks of the brackets against closed forms and brute force.

use super::*;
use crate::bounds::{one_dimensional_margin, BoundError};
use crate::linalg::LinalgError;
use crate::quantity::{Probability, Radius};
use crate::seed::{standard_normal, Seed};
use crate::stats::quadratic_form::QuadraticForm;
use crate::testing::seeded;
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;

/// How far two computations of the same margin may differ, relative.
const SAME: f64 = 1e-9;

/// P(Σ λ_i (N_i + u_i)² ≤ 1).
fn kept(eigenvalues: &[f64], shifts: &[f64]) -> f64 {
    QuadraticForm::new(eigenvalues, shifts, 0.0).unwrap().cdf(1.0).unwrap().value
}

/// Standard normal numbers.
fn spread(index: u64, length: usize) -> DVector<f64> {
    DVector::from_vec(standard_normal(&mut Seed(index).stream("linear margin"), length))
}

fn random_matrix(seed: u64, rows: usize, columns: usize) -> DMatrix<f64> {
    DMatrix::from_column_slice(rows, columns, spread(seed, rows * columns).as_slice())
}

/// A question about a model.
struct Problem<'a> {
    model: LinearGaussian<'a>,
    radius: Radius,
    level: Probability,
}

impl<'a> Problem<'a> {
    fn new(model: LinearGaussian<'a>, radius: f64, level: f64) -> Self {
        Self { model, radius: Radius::new(radius).unwrap(), level: Probability::new(level).unwrap() }
    }

    /// Lower and upper end.
    fn along(&self, direction: &DVector<f64>) -> (f64, f64) {
        let found = self.model.margin_along(direction, self.radius, self.level).unwrap();
        (found.lower.get(), found.upper.get())
    }

    fn margin(&self, tolerance: f64, budget: usize) -> Found {
        let found = self.model.margin(self.radius, self.level, tolerance, budget).unwrap();
        Found {
            lower: found.lower.get(),
            upper: found.upper.get(),
            direction: found.direction,
            evaluations: found.evaluations,
        }
    }
}

#[derive(Debug)]
struct Found {
    lower: f64,
    upper: f64,
    direction: DVector<f64>,
    evaluations: usize,
}

/// The radius with P(0) about `kept`.
fn radius_for(model: &LinearGaussian<'_>, kept: f64) -> f64 {
    let size = model.whitened(1.0).unwrap().high.iter().sum::<f64>().sqrt();
    let (mut low, mut high) = (0.05 * size, 20.0 * size);
    for _ in 0..80 {
        let middle = f64::sqrt(low * high);
        let whitened = model.whitened(middle).unwrap();
        if super::tests::kept(&whitened.high, &vec![0.0; whitened.high.len()]) < kept {
            low = middle
        } else {
            high = middle
        }
    }
    high
}

/// The u with P(λχ²_n(u²) ≤ 1) = m by bisection, from the second algorithm for quadratic forms.
fn equal_eigenvalue_root(eigenvalue: f64, size: usize, level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        let mut shifts = vec![0.0; size];
        shifts[0] = middle;
        let form = QuadraticForm::new(&vec![eigenvalue; size], &shifts, 0.0).unwrap();
        if form.cross_check(1.0).unwrap().cdf.value > level {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

fn vector(entries: &[f64]) -> DVector<f64> {
    DVector::from_column_slice(entries)
}

/// The smallest upper end over many directions of the rows' span.
fn brute_force(problem: &Problem<'_>, a: &DMatrix<f64>, directions: u64) -> f64 {
    let along = |index| problem.along(&a.tr_mul(&spread(index, a.nrows()))).1;
    (0..directions).map(along).fold(f64::INFINITY, f64::min)
}

#[test]
fn one_latent_coordinate_has_the_closed_form() {
    for (a, s, w, r, m) in [(2.0, 0.5, 1.5, 1.0, 0.5), (0.3, 1.0, 1.0, 2.5, 0.5), (1.0, 0.2, 3.0, 2.0, 0.1)] {
        let (gain, std, decoder) = (DMatrix::from_element(1, 1, a), vector(&[s]), DMatrix::from_element(1, 1, w));
        let problem = Problem::new(LinearGaussian::new(&gain, &std, &decoder).unwrap(), r, m);
        let truth = one_dimensional_margin(&vector(&[a]), s, &vector(&[w]), problem.radius, problem.level).unwrap();
        let (low, high) = (truth.lower.get(), truth.upper.get());
        let along = problem.along(&vector(&[1.0]));
        assert!(along.0 <= high && low <= along.1, "{along:?} {truth:?}");
        assert!(along.1 - along.0 < 1e-10 * low);
        let all = problem.margin(1e-3, 1000);
        assert!(all.lower <= high && low <= all.upper && all.upper <= along.1 * (1.0 + SAME));
        assert!(all.lower >= all.upper * (1.0 - 1e-3));
    }
}

#[test]
fn an_isotropic_model_has_the_margin_of_a_noncentral_chi_square() {
    for size in [2usize, 3, 5, 8] {
        // A rotated identity on either side changes nothing.
        let turn = random_matrix(3, size, size).qr().q();
        let (a, s, w) = (&turn * 2.0, DVector::from_element(size, 0.5), turn.transpose());
        let problem = Problem::new(LinearGaussian::new(&a, &s, &w).unwrap(), 1.2 * (size as f64).sqrt() * 0.5, 0.5);
        let eigenvalue = 0.25 / (1.44 * size as f64 * 0.25);
        let truth = equal_eigenvalue_root(eigenvalue, size, 0.5) * 0.5 / 2.0;
        let found = problem.margin(1e-3, 20_000);
        assert!(found.lower <= truth && truth <= found.upper * (1.0 + 1e-9), "{found:?} {truth}");
        assert!(found.lower >= found.upper * (1.0 - 1e-3), "{found:?}");
    }
}

#[test]
fn a_diagonal_model_agrees_with_a_grid_of_directions() {
    let cases = [(vec![1.0, 0.6], vec![1.0, 2.1]), (vec![1.0, 0.7, 0.4], vec![1.0, 1.5, 2.9])];
    for (w, a) in cases {
        let size = w.len();
        let (a, w) = (DMatrix::from_diagonal(&vector(&a)), DMatrix::from_diagonal(&vector(&w)));
        let s = DVector::from_element(size, 1.0);
        let model = LinearGaussian::new(&a, &s, &w).unwrap();
        let problem = Problem::new(model, radius_for(&model, 0.9), 0.5);
        let found = problem.margin(2e-3, 20_000);
        let mut least = f64::INFINITY;
        let steps = if size == 2 { 400 } else { 30 };
        for i in 0..=steps {
            for j in 0..=(if size == 2 { 0 } else { steps }) {
                let (theta, phi) = (
                    i as f64 / steps as f64 * std::f64::consts::FRAC_PI_2,
                    j as f64 / steps as f64 * std::f64::consts::FRAC_PI_2,
                );
                let direction = match size {
                    2 => vector(&[theta.cos(), theta.sin()]),
                    _ => vector(&[theta.cos(), theta.sin() * phi.cos(), theta.sin() * phi.sin()]),
                };
                let along = problem.along(&direction);
                assert!(found.lower <= along.1);
                least = least.min(along.1);
            }
        }
        assert!(found.upper <= least * (1.0 + 1e-6), "{found:?} {least}");
        assert!(found.lower >= found.upper * (1.0 - 2e-3), "{found:?}");
    }
}

#[test]
fn random_models_agree_with_many_directions() {
    for (size, seed) in [(2usize, 1u64), (2, 2), (3, 3), (3, 4), (4, 5), (4, 6)] {
        let (a, w) = (random_matrix(seed, size, size + 2), random_matrix(seed + 20, size + 1, size));
        let s = DVector::from_fn(size, |i, _| 0.5 + 0.3 * i as f64);
        let model = LinearGaussian::new(&a, &s, &w).unwrap();
        let problem = Problem::new(model, radius_for(&model, 0.95), 0.5);
        let found = problem.margin(0.01, 20_000);
        assert!(found.lower >= 0.99 * found.upper, "{found:?}");
        let upper = brute_force(&problem, &a, 1000);
        assert!(found.lower <= upper && found.upper <= upper * (1.0 + 1e-9), "{found:?} {upper}");
        let attained = problem.along(&found.direction);
        assert!(attained.0 <= found.upper && attained.1 <= found.upper * (1.0 + 1e-9));
    }
}

#[test]
fn the_second_derivatives_stay_within_their_bound() {
    let eigenvalues = [0.3, 0.12, 0.05];
    let curvature = super::curvature::Curvature::new(&eigenvalues);
    // P with 2·extra more degrees of freedom at some coordinates.
    let at = |rho: &DVector<f64>, extra: &[usize]| {
        let (mut values, mut shifts) = (eigenvalues.to_vec(), Vec::new());
        shifts.extend(rho.iter().zip(&eigenvalues).map(|(rho, value)| (rho / value).sqrt()));
        for &i in extra {
            values.extend([eigenvalues[i]; 2]);
            shifts.extend([0.0; 2]);
        }
        kept(&values, &shifts)
    };
    for index in 0..40 {
        let vertices = DMatrix::from_fn(3, 3, |i, j| spread(10 * index + j as u64, 3)[i].abs() * 0.5);
        let bound = 2.0 * curvature.edges(&vertices.columns(0, 2).into_owned()).greatest_drop() * 4.0;
        let edge = vertices.column(0) - vertices.column(1);
        for share in [0.0, 0.3, 0.7, 1.0] {
            let rho = vertices.column(1) + &edge * share;
            let second: f64 = (0..3)
                .flat_map(|i| (0..3).map(move |j| (i, j)))
                .map(|(i, j)| {
                    let difference = at(&rho, &[i, j]) - at(&rho, &[i]) - at(&rho, &[j]) + at(&rho, &[]);
                    0.25 * difference / (eigenvalues[i] * eigenvalues[j]) * edge[i] * edge[j]
                })
                .sum();
            assert!(second.abs() <= bound * (1.0 + 1e-6) + 1e-7, "{second} {bound}");
        }
    }
}

#[test]
fn what_does_not_reach_the_output_does_not_count() {
    // Two inputs, three latents (A has rank 2), the last latent ignored by the decoder.
    let a = DMatrix::from_row_slice(3, 2, &[1.0, 0.4, -0.3, 0.8, 5.0, -2.0]);
    let w = DMatrix::from_row_slice(3, 3, &[1.0, 0.2, 0.0, 0.0, 0.7, 0.0, 0.3, -0.2, 0.0]);
    let s = vector(&[1.0, 0.8, 0.5]);
    let model = LinearGaussian::new(&a, &s, &w).unwrap();
    let problem = Problem::new(model, radius_for(&model, 0.9), 0.5);
    let found = problem.margin(0.01, 20_000);
    let (a, w, s) = (a.rows(0, 2).into_owned(), w.columns(0, 2).into_owned(), vector(&[1.0, 0.8]));
    let smaller = Problem::new(LinearGaussian::new(&a, &s, &w).unwrap(), problem.radius.get(), 0.5);
    let same = smaller.margin(0.01, 20_000);
    assert!((found.upper - same.upper).abs() < 1e-6 * same.upper, "{found:?} {same:?}");
    assert!(found.lower >= 0.99 * found.upper && same.lower >= 0.99 * same.upper, "{found:?} {same:?}");
}

#[test]
fn more_latents_than_inputs() {
    let (a, w) = (random_matrix(8, 5, 2), random_matrix(9, 6, 5));
    let s = DVector::from_element(5, 0.7);
    let model = LinearGaussian::new(&a, &s, &w).unwrap();
    let problem = Problem::new(model, radius_for(&model, 0.9), 0.5);
    let found = problem.margin(0.01, 20_000);
    let least = (0..1000)
        .map(|i| (f64::from(i) * 0.003_141_6).sin_cos())
        .map(|(sin, cos)| problem.along(&vector(&[cos, sin])).1)
        .fold(f64::INFINITY, f64::min);
    assert!(found.lower >= 0.99 * found.upper && found.lower <= least, "{found:?} {least}");
    assert!(found.upper <= least * (1.0 + 1e-9) && least <= found.upper * (1.0 + 1e-3), "{found:?} {least}");
}

#[test]
fn margins_without_a_path_are_infinite_and_without_probability_zero() {
    let (one, none, s) = (DMatrix::identity(2, 2), DMatrix::zeros(2, 2), vector(&[1.0, 1.0]));
    for (a, w) in [(&none, &one), (&one, &none), (&none, &none)] {
        let problem = Problem::new(LinearGaussian::new(a, &s, w).unwrap(), 3.0, 0.5);
        let found = problem.margin(0.01, 100);
        assert!(found.lower.is_infinite() && found.upper.is_infinite());
        let along = problem.along(&vector(&[1.0, 2.0]));
        assert!(along.0.is_infinite() && along.1.is_infinite());
    }
    let problem = Problem::new(LinearGaussian::new(&one, &s, &one).unwrap(), 0.5, 0.5);
    let found = problem.margin(0.01, 100);
    assert!(found.lower <= 0.0 && found.upper <= 0.0);
    let along = problem.along(&vector(&[1.0, 2.0]));
    assert!(along.0 <= 0.0 && along.1 <= 0.0);
}

#[test]
fn a_direction_the_decoder_ignores_has_no_upper_end() {
    let (one, s) = (DMatrix::identity(2, 2), vector(&[1.0, 1.0]));
    let w = DMatrix::from_row_slice(1, 2, &[1.0, 0.0]);
    let problem = Problem::new(LinearGaussian::new(&one, &s, &w).unwrap(), 3.0, 0.5);
    let along = problem.along(&vector(&[0.0, 1.0]));
    assert!(along.1.is_infinite() && along.0 > 1e5, "{along:?}");
}

#[test]
fn a_latent_that_the_decoder_ignores_does_not_hide_the_others() {
    // Only the first latent reaches the output; the second moves a million times faster.
    let (a, s) = (DMatrix::from_diagonal(&vector(&[1.0, 1e7])), vector(&[1.0, 1.0]));
    let w = DMatrix::from_row_slice(1, 2, &[1.0, 0.0]);
    let problem = Problem::new(LinearGaussian::new(&a, &s, &w).unwrap(), 2.0, 0.5);
    let (found, along) = (problem.margin(0.01, 5000), problem.along(&vector(&[1.0, 0.0])));
    assert!(found.lower <= along.1 && found.upper <= along.1 * (1.0 + SAME), "{found:?} {along:?}");
    // A gain of any size: the margin scales with its inverse.
    for scale in [1e-13, 1e13] {
        let a = DMatrix::identity(2, 2) * scale;
        let one = DMatrix::identity(2, 2);
        let found = Problem::new(LinearGaussian::new(&a, &s, &one).unwrap(), 2.0, 0.5).margin(0.01, 5000);
        assert!(found.upper.is_finite() && found.lower >= 0.99 * found.upper, "{scale}: {found:?}");
    }
}

#[test]
fn numbers_at_the_end_of_the_range_are_refused_or_right() {
    let one = |value: f64| DMatrix::from_element(1, 1, value);
    // Decoder gain and radius times the same power of two leave the margin as it is.
    let (a, s, scale) = (one(1e-173), vector(&[1.2e-173]), 2f64.powi(500));
    for radius in [3e-323, 1.2e-309, 3e-308] {
        let margin = |scale: f64| {
            let w = one(1e-150 * scale);
            let radius = Radius::new(radius * scale).unwrap();
            LinearGaussian::new(&a, &s, &w).unwrap().margin(radius, Probability::HALF, 0.01, 1000)
        };
        match (margin(1.0), margin(scale)) {
            (Ok(here), Ok(there)) => {
                assert!(
                    here.lower.get() <= there.upper.get() && there.lower.get() <= here.upper.get(),
                    "{here:?} {there:?}"
                );
            }
            (Err(error), _) => assert!(matches!(error, BoundError::OutOfRange { .. }), "{error}"),
            (here, there) => panic!("{here:?} {there:?}"),
        }
    }
    assert!(matches!(
        LinearGaussian::new(&one(1.0), &vector(&[1e-200]), &one(1.0)).unwrap().margin(
            Radius::new(1e200).unwrap(),
            Probability::HALF,
            0.01,
            100
        ),
        Err(BoundError::OutOfRange { .. })
    ));
    let (one_gain, std, tiny) = (one(1.0), vector(&[1.0]), one(1e-20));
    let problem = Problem::new(LinearGaussian::new(&one_gain, &std, &tiny).unwrap(), 1.0, 0.5);
    assert!(problem.along(&vector(&[1.0])).0 > 1e18);
}

#[test]
fn a_small_budget_still_gives_a_bracket() {
    let (a, w) = (random_matrix(11, 4, 4), random_matrix(12, 4, 4));
    let s = DVector::from_element(4, 1.0);
    let model = LinearGaussian::new(&a, &s, &w).unwrap();
    let problem = Problem::new(model, radius_for(&model, 0.99), 0.5);
    let (rough, fine) = (problem.margin(1e-3, 1), problem.margin(1e-3, 20_000));
    assert!(rough.lower > 0.0 && rough.lower <= fine.upper && rough.upper >= fine.lower && rough.evaluations < 400);
    assert!(fine.lower >= fine.upper * 0.999, "{fine:?}");
}

#[test]
fn broken_input_is_handed_back() {
    let (one, s) = (DMatrix::identity(2, 2), vector(&[1.0, 1.0]));
    let wide = DMatrix::identity(2, 3);
    let (nothing, empty) = (DMatrix::zeros(0, 2), DVector::zeros(0));
    assert!(LinearGaussian::new(&nothing, &empty, &DMatrix::zeros(2, 0)).is_err());
    assert!(matches!(LinearGaussian::new(&one, &s, &wide), Err(BoundError::Shape { expected: 2, found: 3, .. })));
    assert!(matches!(
        LinearGaussian::new(&one, &vector(&[1.0, 0.0]), &one),
        Err(BoundError::StandardDeviation { index: 1, .. })
    ));
    let broken = DMatrix::from_element(2, 2, f64::NAN);
    assert!(matches!(LinearGaussian::new(&broken, &s, &one), Err(BoundError::Linalg(LinalgError::NonFinite { .. }))));
    let model = LinearGaussian::new(&one, &s, &one).unwrap();
    let (radius, tiny) = (Radius::new(2.0).unwrap(), Probability::new(1e-305).unwrap());
    assert!(model.margin_along(&vector(&[0.0, 0.0]), radius, Probability::HALF).is_err());
    assert!(model.margin_along(&vector(&[1.0]), radius, Probability::HALF).is_err());
    assert!(model.margin_along(&vector(&[1.0, 0.0]), radius, tiny).is_err());
    assert!(model.margin(radius, Probability::HALF, 0.0, 10).is_err());
}

proptest! {
    #![proptest_config(seeded(24))]

    #[test]
    fn no_direction_undercuts_the_lower_bound(
        size in 1..5usize, inputs in 1..6usize, seed in 0..1000u64, kept in 0.6..0.999f64, level in 0.2..0.58f64,
    ) {
        let (a, w) = (random_matrix(seed, size, inputs), random_matrix(seed + 1, size + 1, size));
        let s = DVector::from_fn(size, |i, _| 0.3 + 0.2 * i as f64);
        let model = LinearGaussian::new(&a, &s, &w).unwrap();
        let problem = Problem::new(model, radius_for(&model, kept), level);
        let found = problem.margin(0.02, 3000);
        prop_assert!(found.lower <= found.upper);
        prop_assert!((found.direction.norm() - 1.0).abs() < 1e-12);
        for index in 0..30 {
            let along = problem.along(&spread(seed + index, inputs));
            prop_assert!(found.lower <= along.1 && along.0 <= along.1);
            prop_assert!(found.upper <= along.1 * (1.0 + 1e-6), "{} {}", found.upper, along.1);
        }
    }
}
