//! The plots.

mod distributions;
mod fractions;
mod margins;
mod rays;

pub(super) use distributions::distributions;
pub(super) use fractions::fractions;
pub(super) use margins::margins;
pub(super) use rays::{rays, Ray};

use super::svg::number;

/// The end of an axis that shows all of `values`; those that are not finite are left out.
fn axis_end(values: impl Iterator<Item = f64>) -> f64 {
    1.05 * values.filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// Points without those that would be drawn where another already is.
fn distinct(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut seen = std::collections::BTreeSet::new();
    points.filter(|(x, y)| seen.insert((number(x.round()), number(y.round())))).collect()
}

#[cfg(test)]
mod tests;
