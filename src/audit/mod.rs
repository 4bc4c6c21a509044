//! The audit: for every input what is certified, what Theorem 1 promises and what attacks achieve, side by side.
//!
//! [`plan`] says what to do, [`input`] does it for one input, [`run`] for many (streaming, resumable), [`record`] is
//! what is written per input, into a [`folder`], and [`summary`] what is said about all of them; [`merge`] joins the shards
//! of a run. [`replay`] checks what a run saved, [`ray`] follows a saved perturbation from nothing to beyond its length, and
//! [`linearization`] compares the decoder with its tangent as σ shrinks. [`certificates`] are what is proved about one
//! input, and [`certify`] writes them to a file; `undisturbed` holds the draws that audits and certificates share.

mod certificate_writer;
pub mod certificates;
pub mod certify;
pub mod folder;
mod gathering;
pub mod input;
pub mod linearization;
pub mod merge;
pub mod plan;
pub mod ray;
pub mod record;
pub mod replay;
pub mod run;
pub mod summary;
mod undisturbed;

pub use plan::{AuditPlan, PlanError};
pub use record::{InputRecord, Outcome};
pub use run::{Audit, RunIdentity};
pub use summary::Summary;
