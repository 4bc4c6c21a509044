//! Identity, summary and records in one document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::Report;
use super::ReportError;
use crate::audit::run::RunFile;
use crate::audit::{InputRecord, Summary};

/// Version of the document's layout.
const FORMAT: u32 = 1;

/// A run in one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportDocument {
    /// Version of this layout.
    pub format: u32,
    /// Whether every input was audited.
    pub finished: bool,
    /// Inputs that were audited.
    pub audited: usize,
    /// What the run is, and where its model and data were.
    pub run: RunFile,
    /// What is said about all audited inputs.
    pub summary: Summary,
    /// What is said about each.
    pub records: Vec<InputRecord>,
}

pub(super) fn text(report: &Report<'_>) -> Result<String, ReportError> {
    let document = ReportDocument {
        format: FORMAT,
        finished: report.is_finished(),
        audited: report.records.len(),
        run: report.run.clone(),
        summary: report.summary.clone(),
        records: report.records.to_vec(),
    };
    Ok(serde_json::to_string(&document)? + "\n")
}
