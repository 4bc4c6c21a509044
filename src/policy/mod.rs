//! What a continuous-integration job requires of a model: a policy file, judged on an audit.
//!
//! A policy names a model, data and what an audit does with them ([`mod@file`]), and requires something of the result
//! ([`Requirement`]). Each requirement is passed, failed or undecided ([`Verdict`]); what could not be decided is never
//! passed. [`junit`], [`annotation`] and [`markdown`] write the findings for machines and job pages.

pub mod annotation;
mod error;
pub mod evidence;
pub mod file;
pub mod finding;
mod judge;
pub mod junit;
mod keys;
pub mod markdown;
pub mod requirement;
mod written;

pub use error::PolicyError;
pub use evidence::{Audited, Evidence};
pub use file::{Policy, Required};
pub use finding::{Finding, Verdict};
pub use keys::TOP as KEYS;
pub use requirement::Requirement;

/// A commented policy that the embedded model meets, as `vaecert check --example` prints it.
pub const EXAMPLE: &str = include_str!("example.toml");
