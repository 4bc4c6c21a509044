//! Findings as Markdown, for a job page or a comment.

use super::finding::{Finding, Verdict};
use crate::markdown::escaped;

/// What the numbers of findings are.
pub const UNITS: &str = "Radii and medians are L2 norms of perturbations, in input units.";

/// A heading, a table of the findings and the notes. Ends with an empty line, so that more can follow.
#[must_use]
pub fn summary(policy: &str, subject: &str, findings: &[Finding], notes: &[String]) -> String {
    let verdict = Verdict::of_all(findings);
    let mut text = format!("### vaecert check: {}\n\n{} · {}\n\n", verdict.word(), escaped(policy), escaped(subject));
    text += UNITS;
    text += "\n\n| requirement | required | found | verdict |\n|---|---|---|---|\n";
    for finding in findings {
        let cells = [&finding.name, &finding.required, &finding.found].map(|cell| escaped(cell));
        text += &format!("| {} | {} |\n", cells.join(" | "), emphasised(finding.verdict));
    }
    text.push('\n');
    for note in notes {
        text += &format!("* {}\n", escaped(note));
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    text
}

/// The same for an audit that came to no result.
#[must_use]
pub fn without_result(policy: &str, reason: &str) -> String {
    format!("### vaecert check: no result\n\n{}\n\n{}\n\n", escaped(policy), escaped(reason))
}

fn emphasised(verdict: Verdict) -> String {
    match verdict {
        Verdict::Passed => verdict.word().to_owned(),
        Verdict::Failed | Verdict::Undecided => format!("**{}**", verdict.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_stays_text() {
        let text = summary("a|b\n*c*.toml", "<script>[x](y)", &[], &["`n`".to_owned()]);
        assert!(text.contains("a\\|b \\*c\\*.toml · &lt;script&gt;\\[x\\](y)\n"), "{text}");
        assert!(text.contains("* \\`n\\`\n"), "{text}");
    }
}
