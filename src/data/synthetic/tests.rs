//! Samples against the distribution they are drawn from.

use super::*;

const SPECTRUM: [f64; 4] = [4.0, 1.0, 0.25, 0.0];

/// Eigenvalues, largest first.
fn eigenvalues(matrix: &DMatrix<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

/// The samples as columns.
fn columns(data: &Dataset) -> DMatrix<f64> {
    DMatrix::from_iterator(data.dim(), data.len(), data.values().iter().map(|&value| f64::from(value)))
}

#[test]
fn the_exact_covariance_has_the_spectrum_asked_for() {
    let covariance = gaussian_covariance(&SPECTRUM, Seed(3)).unwrap();
    for (found, expected) in eigenvalues(&covariance).iter().zip(SPECTRUM) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    assert!((&covariance - covariance.transpose()).amax() <= 0.0);
    // The axes are rotated: the covariance is not diagonal.
    assert!((&covariance - DMatrix::from_diagonal(&covariance.diagonal())).amax() > 0.05);
}

#[test]
fn the_empirical_covariance_is_near_the_exact_one() {
    let count = 20_000;
    let data = gaussian(&SPECTRUM, count, Seed(3), Split::Train).unwrap();
    assert_eq!((data.len(), data.item_shape()), (count, &[4][..]));
    let samples = columns(&data);
    let n = f64::from(u32::try_from(count).unwrap());
    let covariance = &samples * samples.transpose() / n;
    // An entry's standard error is at most sqrt(2 / n) times the largest eigenvalue: six of them.
    let tolerance = 6.0 * (2.0 / n).sqrt() * SPECTRUM[0];
    let exact = gaussian_covariance(&SPECTRUM, Seed(3)).unwrap();
    assert!((&covariance - exact).amax() < tolerance);
    // An empirical eigenvalue's standard error is sqrt(2 / n) times the eigenvalue; zero stays zero.
    for (found, expected) in eigenvalues(&covariance).iter().zip(SPECTRUM) {
        assert!((found - expected).abs() < 6.0 * (2.0 / n).sqrt() * expected + 1e-6, "{found} {expected}");
    }
    // The mean's standard error is sqrt(4 / n) at most.
    assert!(samples.column_mean().amax() < 6.0 * (4.0 / n).sqrt());
}

#[test]
fn the_rotation_is_orthogonal_with_a_positive_diagonal_of_r() {
    for dim in [1, 2, 7] {
        let q = rotation(dim, &mut Seed(5).stream("rotation"));
        assert!((&q * q.transpose() - DMatrix::identity(dim, dim)).amax() < 1e-12);
        let draws = StandardNormal.sample_iter(Seed(5).stream("rotation")).take(dim * dim);
        let r = q.transpose() * DMatrix::<f64>::from_iterator(dim, dim, draws);
        assert!(r.diagonal().iter().all(|&pivot| pivot > 0.0), "{r}");
    }
}

#[test]
fn the_first_axis_is_uniform_over_all_directions() {
    // A decomposition that fixed the sign of Q instead of R's would keep this entry on one side of zero. Its
    // standard deviation is 1 / sqrt(3): six standard errors of the mean over 2000 seeds.
    let first = |seed| rotation(3, &mut Seed(seed).stream("rotation"))[(0, 0)];
    let mean = (0..2000).map(first).sum::<f64>() / 2000.0;
    assert!(mean.abs() < 6.0 / 6000_f64.sqrt(), "{mean}");
}

#[test]
fn the_same_seed_gives_the_same_values_and_train_differs_from_test() {
    type Make = fn(u64, Split) -> Dataset;
    let makers: [Make; 2] = [
        |seed, split| gaussian(&SPECTRUM, 10, Seed(seed), split).unwrap(),
        |seed, split| mixture(3, 4, 2.0, 0.1, 10, Seed(seed), split).unwrap(),
    ];
    for make in makers {
        assert_eq!(make(1, Split::Train), make(1, Split::Train));
        assert_ne!(make(1, Split::Train), make(1, Split::Test));
        assert_ne!(make(1, Split::Train), make(2, Split::Train));
    }
}

#[test]
fn both_splits_share_the_rotation() {
    // With one eigenvalue above zero every sample of either split lies on one line.
    let samples = [Split::Train, Split::Test].map(|split| gaussian(&[1.0, 0.0], 5, Seed(8), split).unwrap());
    let values = [columns(&samples[0]), columns(&samples[1])];
    for item in values[1].column_iter() {
        let area = values[0][(0, 0)] * item[1] - values[0][(1, 0)] * item[0];
        assert!(area.abs() < 1e-6, "{area}");
    }
}

#[test]
fn a_mixture_without_noise_consists_of_its_means_on_the_sphere_equally_often() {
    let (components, count) = (4, 8_000);
    let data = mixture(components, 3, 2.5, 0.0, count, Seed(2), Split::Train).unwrap();
    let test = mixture(components, 3, 2.5, 0.0, count, Seed(2), Split::Test).unwrap();
    let mut means: Vec<&[f32]> = vec![];
    let mut counts = vec![];
    for item in 0..count {
        let row = data.row(item).unwrap();
        match means.iter().position(|mean| *mean == row) {
            Some(index) => counts[index] += 1.0,
            None => {
                means.push(row);
                counts.push(1.0);
            }
        }
    }
    assert_eq!(means.len(), components);
    for mean in &means {
        let radius = mean.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        assert!((radius - 2.5).abs() < 1e-6, "{radius}");
    }
    // Six standard errors of a binomial count with 8000 trials and probability 1/4.
    for found in counts {
        assert!((found - 2000.0_f64).abs() < 6.0 * 1500_f64.sqrt(), "{found}");
    }
    assert!((0..count).all(|item| means.contains(&test.row(item).unwrap())));
}

#[test]
fn a_single_component_has_the_deviation_asked_for() {
    let data = mixture(1, 2, 3.0, 0.5, 10_000, Seed(4), Split::Test).unwrap();
    for variance in columns(&data).row_iter().map(|row| row.variance()) {
        // Six standard errors of a variance from 10000 draws.
        assert!((variance - 0.25).abs() < 6.0 * 0.25 * (2.0 / 10_000_f64).sqrt(), "{variance}");
    }
}

#[test]
fn spectra_that_no_covariance_has_are_rejected() {
    for spectrum in [vec![], vec![1.0, -0.5], vec![f64::NAN], vec![f64::INFINITY], vec![1.0; 4097]] {
        let error = gaussian(&spectrum, 10, Seed(0), Split::Train).unwrap_err();
        assert!(matches!(error, DataError::BadSpecification { .. }), "{error}");
        assert!(gaussian_covariance(&spectrum, Seed(0)).is_err());
    }
}

#[test]
fn mixtures_that_cannot_exist_are_rejected() {
    for (components, dim, separation, std) in
        [(0, 2, 1.0, 1.0), (2, 0, 1.0, 1.0), (2, 2, -1.0, 1.0), (2, 2, 1.0, f64::NAN), (usize::MAX, 2, 1.0, 1.0)]
    {
        let error = mixture(components, dim, separation, std, 10, Seed(0), Split::Train).unwrap_err();
        assert!(matches!(error, DataError::BadSpecification { .. }), "{error}");
    }
}

#[test]
fn sizes_that_make_no_data_set_are_rejected() {
    assert!(matches!(gaussian(&[1.0], 0, Seed(0), Split::Train), Err(DataError::Empty { .. })));
    let too_many = gaussian(&[1.0, 1.0], 1 << 30, Seed(0), Split::Train);
    assert!(matches!(too_many, Err(DataError::BadSpecification { .. })));
    let too_large = gaussian(&[1e90], 10, Seed(0), Split::Train);
    assert!(matches!(too_large, Err(DataError::NonFinite { item: 0, coordinate: 0, .. })));
}
