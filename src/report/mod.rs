//! A run as a document: for eyes (HTML, a picture), for pull requests (Markdown) and for programs (CSV, JSON).
//!
//! [`content`] is what a report is made of, [`claim`] what it says in words, [`command`] how to repeat it and [`curve`] the
//! fractions behind its main plot. The same run gives the same bytes, whenever and wherever the report is made; nothing is
//! left out of a denominator, and nothing is fetched from anywhere.

mod axis;
pub mod claim;
pub mod command;
pub mod content;
mod csv;
pub mod curve;
mod figures;
mod gallery;
mod html;
mod json;
mod listing;
mod markdown;
mod palette;
mod picture;
mod png;
mod svg;
#[cfg(test)]
mod testing;

use std::path::Path;

pub use content::{Evidence, Report};
pub use json::ReportDocument;
pub use svg::Figure;

/// What a report can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One page that needs no other file.
    Html,
    /// For a pull request's comment.
    Markdown,
    /// One row per input.
    Csv,
    /// Identity, summary and records in one document.
    Json,
    /// The main plots as a picture.
    Png,
}

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The page's template failed.
    #[error("the page cannot be put together: {0}")]
    Template(#[from] askama::Error),
    /// A record does not serialise.
    #[error("the records cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The drawing is refused by what turns it into a picture.
    #[error("the picture cannot be drawn: {0}")]
    Picture(String),
}

impl Format {
    /// The format that a file's ending asks for.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "html" | "htm" => Some(Self::Html),
            "md" | "markdown" => Some(Self::Markdown),
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

impl Report<'_> {
    /// The page. `evidence` comes from [`Report::evidence`].
    ///
    /// # Errors
    /// [`ReportError::Template`].
    pub fn html(&self, evidence: &Evidence) -> Result<String, ReportError> {
        html::page(self, evidence)
    }

    /// A short text in GitHub's Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::text(self)
    }

    /// One row per input after a header with units (RFC 4180).
    #[must_use]
    pub fn csv(&self) -> String {
        csv::table(self.records)
    }

    /// A [`ReportDocument`] as JSON, with a line end.
    ///
    /// # Errors
    /// [`ReportError::Json`].
    pub fn json(&self) -> Result<String, ReportError> {
        json::text(self)
    }

    /// The certified fraction and the bounds against the empirical margin, as one PNG.
    ///
    /// # Errors
    /// [`ReportError::Picture`].
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        png::picture(self)
    }
}

/// A quantity that an input does not have.
const MISSING: &str = "–";

fn or_missing(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| MISSING.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests;
