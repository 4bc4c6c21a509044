//! What is wrong with a form or a question about it.

/// Forms that are not defined, questions that have no answer, and answers out of reach.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuadraticFormError {
    /// There is no eigenvalue.
    #[error("a quadratic form needs at least one eigenvalue")]
    Empty,
    /// A number is NaN or infinite.
    #[error("{what} {index} is {value}; it must be a finite number")]
    NotFinite {
        /// `eigenvalue` or `shift`.
        what: &'static str,
        /// Its place, from 0.
        index: usize,
        /// The number.
        value: f64,
    },
    /// Every eigenvalue is 0 and there is no normal term, so Q is constant.
    #[error("every eigenvalue is 0 ({0} given) and there is no normal term: the form is constant")]
    AllZero(usize),
    /// There are not as many shifts as eigenvalues.
    #[error("the shifts number {shifts}, the eigenvalues {eigenvalues}; each eigenvalue needs one shift")]
    LengthMismatch {
        /// Eigenvalues given.
        eigenvalues: usize,
        /// Shifts given.
        shifts: usize,
    },
    /// σ is negative, NaN or infinite.
    #[error("the normal term's standard deviation is {0}; it must be a finite number, 0 or more")]
    Sigma(f64),
    /// A shift's square is beyond what can be summed.
    #[error("shift {index} is {value:e}; its size must be at most {LARGEST_SHIFT:e}")]
    Shift {
        /// Its place, from 0.
        index: usize,
        /// The shift.
        value: f64,
    },
    /// Coefficients differ too much in size.
    #[error("eigenvalues and the normal term's standard deviation differ by more than a factor of 1e140")]
    Spread,
    /// The point is NaN.
    #[error("the point is not a number")]
    Point,
    /// The density has no finite value there.
    #[error("the density is unbounded at {0}")]
    UnboundedDensity(f64),
    /// No value with a useful bound was reached.
    #[error("not converged: {}", reached(*relative_error, *nodes))]
    NotConverged {
        /// The bound on the relative error that was reached; infinite where there is none.
        relative_error: f64,
        /// Nodes, or terms of a series, that were spent.
        nodes: usize,
    },
}

/// The largest |b| of a form.
pub const LARGEST_SHIFT: f64 = 1e70;

fn reached(relative_error: f64, nodes: usize) -> String {
    if relative_error.is_finite() && nodes == 0 {
        format!("no relative error below {relative_error:.1e} is within reach")
    } else if relative_error.is_finite() {
        format!("a relative error of {relative_error:.1e} was reached with {nodes} nodes")
    } else {
        "no bound on the error was reached".to_owned()
    }
}

impl QuadraticFormError {
    /// Nothing was reached.
    pub(super) const OUT_OF_REACH: Self = Self::NotConverged { relative_error: f64::INFINITY, nodes: 0 };
}
