//! The certificate: what a run claims about its inputs, and the evidence with which anyone can check it.
//!
//! A certificate is one file of lines of JSON: a header, then one entry per input, in order. Everything is canonical: a
//! line is exactly what this module writes for the value it holds, no field may be missing or unknown, and every entry
//! names the SHA-256 of the header it belongs to. This module only reads and writes; it computes nothing, so that a
//! checker can use it without trusting what made the certificate.

mod exact;
mod file;
mod schema;
mod shard;

pub use exact::ExactBound;
pub(crate) use file::UNCOMMITTED;
pub use file::{encode, sha256, CertificateError, CertificateFile, CertificateReader};
pub use schema::{
    Claim, DataIdentity, Draws, Entry, Evidence, Header, LayerScalings, Method, ModelIdentity, NetworkEvidence,
    Outcome, Streams, FORMAT, GENERATOR, SEMANTICS,
};
pub use shard::{range_of, Shard, ShardError};
