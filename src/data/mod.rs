//! Where the inputs of an audit come from: files and synthetic specifications, turned into a validated
//! [`Dataset`].
//!
//! A [`DataSource`] is an [`Origin`], parsed from a short text (`mnist`, `images.npy`, `gaussian:4,1,0.25`), and the
//! [`Preprocessing`] of its items; it is loaded for a [`Split`]. Whatever it names, the result is a non-empty, row-major
//! `[n, d]` array of finite `f32` values.
//! Files are not trusted: every reader checks the sizes a header claims against the bytes that are there, and
//! reports what is wrong as a [`DataError`]. Nothing in this module panics on bad input.

mod array;
mod cifar;
mod dataset;
mod digits;
mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
mod file;
mod idx;
mod images;
mod layout;
mod mismatch;
mod npy;
mod npz;
mod preprocessing;
mod resize;
mod source;
mod synthetic;
mod tensors;

pub use dataset::{Dataset, Split};
pub use error::DataError;
pub use layout::Layout;
pub use mismatch::explain_mismatch;
pub use preprocessing::Preprocessing;
pub use resize::Resize;
pub use source::{DataSource, Origin};
pub use synthetic::{gaussian, gaussian_covariance, mixture};
