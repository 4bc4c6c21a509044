//! Findings as GitHub workflow commands, which the job page shows at the policy's lines.

use std::path::Path;

use super::finding::{Finding, Verdict};

/// The workflow command of a finding at a line of the policy file; none if it passed.
#[must_use]
pub fn command(policy: &Path, line: usize, finding: &Finding) -> Option<String> {
    let (level, word) = match finding.verdict {
        Verdict::Passed => return None,
        Verdict::Failed => ("error", "failed"),
        Verdict::Undecided => ("warning", "undecided"),
    };
    let (file, title) = (policy.display().to_string(), format!("{word}: {}", finding.title()));
    let inputs = finding.inputs_in_words();
    let message = if inputs.is_empty() { finding.sentence() } else { format!("{}\n{inputs}", finding.sentence()) };
    Some(format!("::{level} file={},line={line},title={}::{}\n", property(&file), property(&title), data(&message)))
}

/// The workflow command of a check that came to no result.
#[must_use]
pub fn error(policy: &Path, message: &str) -> String {
    let file = policy.display().to_string();
    format!("::error file={},title=vaecert check::{}\n", property(&file), data(message))
}

/// A note without a place.
#[must_use]
pub fn warning(title: &str, message: &str) -> String {
    format!("::warning title={}::{}\n", property(title), data(message))
}

/// Escapes a message: the runner ends it at a line break and decodes these.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property's value, which also ends at a colon or a comma.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_or_a_property_is_escaped() {
        assert_eq!(warning("a:b,c", "100 %\r\nx::y, z"), "::warning title=a%3Ab%2Cc::100 %25%0D%0Ax::y, z\n");
    }

    #[test]
    fn an_escape_in_the_text_is_not_decoded_as_one() {
        assert_eq!(data("%0A"), "%250A");
    }
}
