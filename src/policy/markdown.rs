//! Findings as Markdown, for a job page or a comment.

use super::finding::{Finding, Verdict};

/// A heading, a table of the findings and the notes. Ends with an empty line, so that more can follow.
#[must_use]
pub fn summary(policy: &str, subject: &str, findings: &[Finding], notes: &[String]) -> String {
    let verdict = Verdict::of_all(findings);
    let mut text = format!("### vaecert check: {}\n\n{} · {}\n\n", verdict.word(), escaped(policy), escaped(subject));
    text += "| requirement | required | found | verdict |\n|---|---|---|---|\n";
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

fn emphasised(verdict: Verdict) -> String {
    match verdict {
        Verdict::Passed => verdict.word().to_owned(),
        Verdict::Failed | Verdict::Undecided => format!("**{}**", verdict.word()),
    }
}

/// The text as text: nothing in it is markup, ends a cell or a line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '@' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
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
