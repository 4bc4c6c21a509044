//! The theory on trial: the paper's statements as claims that a search may refute.
//!
//! A [`Claim`] says what the paper says, how instances of it are drawn and what would refute it; [`REGISTRY`] lists them
//! all. [`SearchPlan::run`] tries each on random instances and shrinks what contradicts to a minimal
//! [`Counterexample`]. Where the paper is wrong as printed, an amended claim says what is right; both are searched.
//!
//! Every comparison is made on enclosures: a difference smaller than its error bound decides nothing. Comparisons by
//! draws share the run's failure probability. The search never looks at the verdict on record, only the exit status does.

mod c_a_priori;
mod c_joint;
mod c_slope_interval;
mod claim;
mod counterexample;
mod d1_radius;
mod d31_margin;
mod e6_linear;
mod experiment;
mod grid;
mod p1_invertible;
mod p1_radius;
mod q_contour;
pub mod registry;
mod s3_sigma;
mod s5_linear;
mod s5_trained;
mod search;
mod simplify;
mod t1_eq22;
mod t1_ladder;
mod t1_linear;
mod t1_relu;
mod t1_sigma_fixed;
mod t2_limit;
mod t2_posterior;
mod t2_variance;
mod theory;
mod truth;

pub use claim::{
    Claim, Cost, Expectation, Experiment, Finding, Form, Judgement, Number, Obstacle, Trial, ATTAINED_TOLERANCE,
};
pub use counterexample::{Counterexample, CounterexampleError};
pub use registry::REGISTRY;
pub use search::{SearchPlan, Searched, Verdict, DEFAULT_CASES, MAX_CASES};
pub use theory::{Stated, Theory};
