//! Lines of JSON that only the command line writes, as types: what is written and its schema cannot differ.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use crate::audit::linearization::LinearizationRow;
use crate::baseline::{Change, Comparison, Difference, PairedChange};
use crate::quantity::{LowerBound, Probability};
use crate::verify::Report;

/// A value as a line.
///
/// # Errors
/// None in practice: everything has a JSON form.
pub(super) fn line_of(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

/// The last line: what is said of all the others.
#[derive(Serialize, JsonSchema)]
pub(super) struct Last<T> {
    /// What is said of all lines together.
    pub(super) summary: T,
}

/// What a certificate says, entry by entry, counted.
#[derive(Serialize, JsonSchema)]
pub(super) struct CertificateCounts {
    /// Inputs.
    pub(super) inputs: usize,
    /// Those with a certified radius above 0.
    pub(super) certified: usize,
    /// Those whose probability was not shown to exceed the level.
    pub(super) abstained: usize,
    /// Those for which something could not be proved.
    pub(super) undecided: usize,
}

/// The verdict on an entry of a certificate.
#[derive(Serialize, JsonSchema)]
pub(super) struct VerifiedEntry<'a> {
    input: usize,
    /// How the check ended.
    #[schemars(extend("enum" = ["verified", "incomplete", "rejected"]))]
    verdict: &'static str,
    /// The radius that was verified, in input units; null for any other verdict and where nothing is claimed.
    certified_radius: Option<LowerBound>,
    /// Whether the entry makes no claim.
    claims_nothing: bool,
    /// The step that failed; null if all passed.
    step: Option<String>,
    /// Why it failed.
    reason: Option<&'a str>,
    /// Draws that the prover has not seen; null where none were asked for.
    fresh: Option<FreshDraws>,
}

/// Fresh draws.
#[derive(Serialize, JsonSchema)]
struct FreshDraws {
    /// Those that may have been within r.
    inside: u64,
    /// All of them.
    draws: u64,
}

impl<'a> From<&'a Report> for VerifiedEntry<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            input: report.input,
            verdict: report.verdict.word(),
            certified_radius: report.certified_radius,
            claims_nothing: report.claims_nothing,
            step: report.step.map(|step| step.to_string()),
            reason: report.reason.as_deref(),
            fresh: report.fresh.map(|(inside, draws)| FreshDraws { inside, draws }),
        }
    }
}

/// How many entries ended how.
#[derive(Serialize, JsonSchema)]
pub(super) struct VerifiedCounts {
    /// Entries that prove what they claim.
    pub(super) verified: usize,
    /// Entries that could not be checked to the end.
    pub(super) incomplete: usize,
    /// Entries that do not prove what they claim.
    pub(super) rejected: usize,
    /// Entries, of any verdict, that make no claim.
    pub(super) claims_nothing: usize,
    /// Inputs that the header announces and that have no entry.
    pub(super) missing: usize,
    /// What a verified certificate still rests on.
    pub(super) trusted: &'static [&'static str],
}

/// The last line of a comparison of decoder and tangent.
#[derive(Serialize, JsonSchema)]
pub(super) struct LinearizationTable<'a> {
    /// A row per probability and factor of σ.
    pub(super) rows: &'a [LinearizationRow],
    /// Per first-order probability the power of σ with which the difference vanishes; null where too few factors show one.
    pub(super) rates: Vec<(Probability, Option<f64>)>,
}

/// The last line of a comparison with a baseline.
#[derive(Serialize, JsonSchema)]
pub(super) struct ComparisonLine<'a> {
    comparison: ComparisonFields<'a>,
}

/// All inputs together, before and after.
#[derive(Serialize, JsonSchema)]
struct ComparisonFields<'a> {
    verdict: Change,
    /// In what the two audits differ.
    differences: &'a [Difference],
    /// The certified radius, then the margin found by attacks.
    changes: &'a [PairedChange],
    /// Inputs that newly are alarms or failed.
    broken: &'a [usize],
    /// Inputs that newly are undecided.
    newly_undecided: &'a [usize],
    /// Inputs whose certified radius or margin was unbounded and no longer is.
    newly_bounded: &'a [usize],
    /// Inputs whose r, chosen for each model, differs.
    other_radii: usize,
    /// Whether the same computation gave other numbers.
    same_but_unequal: bool,
}

impl<'a> From<&'a Comparison> for ComparisonLine<'a> {
    fn from(comparison: &'a Comparison) -> Self {
        Self {
            comparison: ComparisonFields {
                verdict: comparison.verdict(),
                differences: &comparison.differences,
                changes: &comparison.changes,
                broken: &comparison.broken,
                newly_undecided: &comparison.newly_undecided,
                newly_bounded: &comparison.newly_bounded,
                other_radii: comparison.other_radii(),
                same_but_unequal: comparison.same_but_unequal(),
            },
        }
    }
}

/// A split of a data set that was fetched.
#[cfg(feature = "fetch")]
#[derive(Serialize, JsonSchema)]
pub(super) struct FetchedLine<'a> {
    split: crate::data::Split,
    items: usize,
    /// SHA-256 of shape and values.
    content_sha256: &'a str,
    /// Whether it was there before.
    was_there: bool,
    /// What it was checked against, in words.
    checked_against: &'a str,
}

#[cfg(feature = "fetch")]
impl<'a> From<&'a crate::data::fetch::Fetched> for FetchedLine<'a> {
    fn from(fetched: &'a crate::data::fetch::Fetched) -> Self {
        let crate::data::fetch::Fetched { split, items, content_sha256, was_there, checked } = fetched;
        Self { split: *split, items: *items, content_sha256, was_there: *was_there, checked_against: checked }
    }
}
