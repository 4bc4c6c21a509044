//! Data sets with a known distribution, to compare an audit against theory.
//!
//! What belongs to the distribution (the rotation, the means) comes from streams that both splits share; the
//! samples come from one stream per split. The arithmetic runs in `f64` in a fixed order, so that the values do
//! not depend on the vector instructions of the machine.

use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{DataError, Dataset, Split};
use crate::seed::{Seed, Stream};

pub(super) const GAUSSIAN_FORM: &str = "gaussian:E1,E2,... with 1 to 4096 eigenvalues, each finite and not negative";
pub(super) const MIXTURE_FORM: &str =
    "mixture:K,D,SEPARATION,STD with whole K and D of at least 1 and finite SEPARATION and STD, not negative";
/// A rotation of this many dimensions takes minutes and 128 MiB.
const MAX_ROTATED_DIM: usize = 4096;
/// 4 GiB of `f32`.
const MAX_VALUES: usize = 1 << 30;

/// `count` items of shape `[d]` from the zero-mean Gaussian whose covariance has the `d` eigenvalues `spectrum`
/// (variances, in squared data units) and randomly oriented axes. The orientation depends on `seed` alone, the
/// samples on `seed` and `split`.
///
/// # Errors
/// [`DataError::BadSpecification`] if `spectrum` is empty, longer than 4096, or holds a value that is negative or
/// not finite, or if the samples would exceed 2^30 values; [`DataError::Empty`] if `count` is 0;
/// [`DataError::NonFinite`] if a sample exceeds the range of `f32`.
pub fn gaussian(spectrum: &[f64], count: usize, seed: Seed, split: Split) -> Result<Dataset, DataError> {
    let name = gaussian_text(spectrum);
    check_spectrum(spectrum)?;
    check_count(count, spectrum.len(), &name, GAUSSIAN_FORM)?;
    let root = covariance_root(spectrum, seed);
    let mut stream = seed.stream(&format!("data/gaussian/{split}"));
    let mut values = Vec::with_capacity(count * spectrum.len());
    for _ in 0..count {
        let mut item = DVector::zeros(spectrum.len());
        for axis in root.column_iter() {
            item.axpy(StandardNormal.sample(&mut stream), &axis, 1.0);
        }
        values.extend(item.iter().map(|&value| single(value)));
    }
    Dataset::new(name, vec![spectrum.len()], values)
}

/// The exact `[d, d]` covariance of [`gaussian`] with the same arguments: symmetric, with the eigenvalues
/// `spectrum` up to rounding.
///
/// # Errors
/// [`DataError::BadSpecification`] as for [`gaussian`].
pub fn gaussian_covariance(spectrum: &[f64], seed: Seed) -> Result<DMatrix<f64>, DataError> {
    check_spectrum(spectrum)?;
    let root = covariance_root(spectrum, seed);
    let covariance = &root * root.transpose();
    Ok((&covariance + covariance.transpose()) * 0.5)
}

/// `count` items of shape `[dim]` from a mixture of `components` equally likely Gaussians with covariance
/// `std`² times the identity, whose means lie at independent uniform places on the sphere of radius `separation`
/// around the origin. The means depend on `seed` alone, the samples on `seed` and `split`.
///
/// # Errors
/// [`DataError::BadSpecification`] if `components` or `dim` is 0, if `separation` or `std` is negative or not
/// finite, or if the means or the samples would exceed 2^30 values; [`DataError::Empty`] if `count` is 0;
/// [`DataError::NonFinite`] if a sample exceeds the range of `f32`.
pub fn mixture(
    components: usize,
    dim: usize,
    separation: f64,
    std: f64,
    count: usize,
    seed: Seed,
    split: Split,
) -> Result<Dataset, DataError> {
    let name = mixture_text(components, dim, separation, std);
    let last_component = check_mixture(components, dim, separation, std)?;
    check_count(count, dim, &name, MIXTURE_FORM)?;
    let means = sphere(components, dim, separation, &mut seed.stream("data/mixture/means"));
    let mut stream = seed.stream(&format!("data/mixture/{split}"));
    let mut values = Vec::with_capacity(count * dim);
    for _ in 0..count {
        // Drawn as `u32` because the draws of a `usize` may depend on its width.
        let component = stream.random_range(0..=last_component) as usize;
        for &mean in means.iter().skip(component * dim).take(dim) {
            let noise: f64 = StandardNormal.sample(&mut stream);
            values.push(single(mean + std * noise));
        }
    }
    Dataset::new(name, vec![dim], values)
}

/// `gaussian:4,1,0.25`
pub(super) fn gaussian_text(spectrum: &[f64]) -> String {
    format!("gaussian:{}", spectrum.iter().map(f64::to_string).collect::<Vec<_>>().join(","))
}

/// `mixture:10,2,4,0.5`
pub(super) fn mixture_text(components: usize, dim: usize, separation: f64, std: f64) -> String {
    format!("mixture:{components},{dim},{separation},{std}")
}

/// Whether a Gaussian with this spectrum can be made.
pub(super) fn check_spectrum(spectrum: &[f64]) -> Result<(), DataError> {
    let reason = if spectrum.is_empty() || spectrum.len() > MAX_ROTATED_DIM {
        format!("it has {} eigenvalues", spectrum.len())
    } else if let Some(value) = spectrum.iter().find(|value| !value.is_finite() || **value < 0.0) {
        format!("{value} is not a variance")
    } else {
        return Ok(());
    };
    Err(DataError::BadSpecification { text: gaussian_text(spectrum), reason, expected: GAUSSIAN_FORM })
}

/// Whether a mixture with these parameters can be made; gives the number of its last component.
pub(super) fn check_mixture(components: usize, dim: usize, separation: f64, std: f64) -> Result<u32, DataError> {
    let text = || mixture_text(components, dim, separation, std);
    let bad = |reason: String| DataError::BadSpecification { text: text(), reason, expected: MIXTURE_FORM };
    if components == 0 || dim == 0 {
        return Err(bad("it has no components or no dimensions".to_owned()));
    }
    if let Some(value) = [separation, std].into_iter().find(|value| !value.is_finite() || *value < 0.0) {
        return Err(bad(format!("{value} is not a length")));
    }
    check_count(components, dim, &text(), MIXTURE_FORM)?;
    u32::try_from(components - 1).map_err(|_| bad("it has too many components".to_owned()))
}

fn check_count(count: usize, dim: usize, text: &str, expected: &'static str) -> Result<(), DataError> {
    if count.checked_mul(dim).is_some_and(|values| values <= MAX_VALUES) {
        return Ok(());
    }
    let reason = format!("{count} times {dim} values are more than 2^30");
    Err(DataError::BadSpecification { text: text.to_owned(), reason, expected })
}

/// A `[d, d]` matrix whose columns are the random axes times the standard deviations along them: the product
/// with its transpose is the covariance.
fn covariance_root(spectrum: &[f64], seed: Seed) -> DMatrix<f64> {
    let mut root = rotation(spectrum.len(), &mut seed.stream("data/gaussian/rotation"));
    for (mut axis, variance) in root.column_iter_mut().zip(spectrum) {
        axis *= variance.sqrt();
    }
    root
}

/// A uniformly distributed (Haar) orthogonal `[d, d]` matrix: `Q` of the QR decomposition of a matrix of normal
/// draws, with the signs that make the diagonal of `R` positive.
fn rotation(dim: usize, stream: &mut Stream) -> DMatrix<f64> {
    let draws = DMatrix::<f64>::from_iterator(dim, dim, StandardNormal.sample_iter(stream).take(dim * dim));
    let qr = draws.qr();
    let (mut q, r) = (qr.q(), qr.r());
    for (mut column, pivot) in q.column_iter_mut().zip(r.diagonal().iter()) {
        column *= pivot.signum();
    }
    q
}

/// `count` independent uniform points on the sphere of the given radius, row-major `[count, dim]`.
fn sphere(count: usize, dim: usize, radius: f64, stream: &mut Stream) -> Vec<f64> {
    let mut points = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let direction: Vec<f64> = StandardNormal.sample_iter(&mut *stream).take(dim).collect();
        // Zero with probability zero, and then the point is not finite and is rejected with the samples.
        let length = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
        points.extend(direction.iter().map(|value| radius * (value / length)));
    }
    points
}

/// Rounds to single precision; what does not fit becomes infinite, which `Dataset::new` rejects.
#[allow(clippy::cast_possible_truncation)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
