//! Two audits of the same inputs, compared input by input: has the model become worse?
//!
//! A [`Baseline`] keeps what is compared of a finished run; it is small enough to be committed beside a model. A
//! [`Comparison`] pairs it with another run. What the two must have in common is an [`Aspect`]: runs that differ in one
//! that would change the meaning of their numbers are not compared unless that is allowed by name.

mod aspect;
mod comparison;
mod error;
mod file;
#[cfg(test)]
mod testing;

pub use aspect::{Aspect, Difference};
pub use comparison::{Change, Comparison, Moved, Pair, PairedChange, FAILURE_PROBABILITY};
pub use error::BaselineError;
pub use file::{Baseline, BaselineInput};
