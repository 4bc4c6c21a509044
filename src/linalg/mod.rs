//! Norms, singular directions and square roots of small dense matrices in double precision.
//!
//! Norms and what [`spectral`] gives are estimates: accurate, but without a proved side. [`verified`] encloses.

mod enclosed;
mod factor;
mod norms;
pub mod spectral;
pub mod verified;

pub(crate) use enclosed::{add_gram, frobenius_upper, rounded_up, scaled_on_both_sides, times_upper, CertifiedInverse};
pub use enclosed::{largest_eigenvalue_upper, spectral_norm_upper, EnclosedMatrix};
pub use norms::{euclidean_norm, frobenius_norm};
pub(crate) use spectral::eigendecomposition;
pub use spectral::{positive_eigenvalues, spectral_norm, symmetric_square_root, top_right_singular_vector};
pub use verified::{eigenvalue_enclosures, spectral_norm_enclosure, EnclosedCholesky};
pub(crate) use verified::{relative_rounding, VerifiedEigen};

/// A matrix without the quantity asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinalgError {
    /// An entry is NaN or infinite.
    #[error("entry ({row}, {column}) is {value}")]
    NonFinite {
        /// Row of the first such entry in column order, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// The eigendecomposition gave no result within its iterations.
    #[error("the eigenvalues of a {size}x{size} matrix did not converge in {iterations} iterations")]
    NotConverged {
        /// Rows of the symmetric matrix.
        size: usize,
        /// Iterations allowed.
        iterations: usize,
    },
    /// The matrix is zero or empty, so no direction is distinguished.
    #[error("a {rows}x{columns} matrix of zeros has no top singular direction")]
    NoDirection {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// A symmetric matrix was needed.
    #[error("a {rows}x{columns} matrix is not symmetric: transposed entries differ by up to {asymmetry}")]
    NotSymmetric {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
        /// Largest difference of transposed entries; infinite where the matrix is not square.
        asymmetry: f64,
    },
    /// A positive semidefinite matrix was needed.
    #[error("the matrix has the eigenvalue {eigenvalue}, too negative beside the largest, {largest}, to be rounding")]
    NotPositive {
        /// The smallest eigenvalue.
        eigenvalue: f64,
        /// The largest eigenvalue in size.
        largest: f64,
    },
}
