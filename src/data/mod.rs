//! Where the inputs of an audit come from: files and synthetic specifications, turned into a validated
//! [`Dataset`].
//!
//! A [`DataSource`] is parsed from a short text (`mnist`, `images.npy`, `gaussian:4,1,0.25`) and loaded for a
//! [`Split`]. Whatever it names, the result is a non-empty, row-major `[n, d]` array of finite `f32` values.
//! Files are not trusted: every reader checks the sizes a header claims against the bytes that are there, and
//! reports what is wrong as a [`DataError`]. Nothing in this module panics on bad input.

mod cifar;
mod dataset;
mod digits;
mod error;
mod file;
mod idx;
mod npy;
mod source;
mod synthetic;

pub use dataset::{Dataset, Split};
pub use error::DataError;
pub use source::DataSource;
pub use synthetic::{gaussian, gaussian_covariance, mixture};
