//! Findings as JUnit XML: what CI servers show as test results.
//!
//! One `testcase` per requirement: empty if passed, with a `failure` if failed, with an `error` if undecided (its type says
//! whether because computations failed). Valid by the Jenkins schema `junit-10.xsd`. No times: the same findings give the
//! same bytes.

use std::io;

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::Writer;

use super::finding::{Finding, Verdict};
use super::Requirement;

/// Name of the suite.
const SUITE: &str = "vaecert check";

/// The requirements of `policy` (its name) and how they stand.
///
/// # Errors
/// Only if memory cannot be written.
pub fn report(policy: &str, findings: &[Finding]) -> io::Result<String> {
    let cases: Vec<Case<'_>> = findings.iter().map(Case::of).collect();
    write(policy, &cases)
}

/// The same for an audit that came to no result: every requirement is an error with this reason, or the policy itself where
/// it could not be understood.
///
/// # Errors
/// Only if memory cannot be written.
pub fn without_result(policy: &str, requirements: &[Requirement], reason: &str) -> io::Result<String> {
    let case = |name: String| {
        let (message, text) = (reason.to_owned(), String::new());
        Case { name, problem: Some(Problem { element: "error", kind: "not audited", message, text }) }
    };
    let mut cases: Vec<Case<'_>> = requirements.iter().map(|requirement| case(requirement.title())).collect();
    if cases.is_empty() {
        cases.push(case("policy".to_owned()));
    }
    write(policy, &cases)
}

struct Case<'a> {
    name: String,
    problem: Option<Problem<'a>>,
}

struct Problem<'a> {
    element: &'static str,
    kind: &'a str,
    message: String,
    text: String,
}

impl Case<'_> {
    fn of(finding: &Finding) -> Self {
        let (element, kind) = match finding.verdict {
            Verdict::Passed => return Self { name: finding.title(), problem: None },
            Verdict::Failed => ("failure", "failed"),
            Verdict::Undecided if finding.broken.is_empty() => ("error", "undecided"),
            Verdict::Undecided => ("error", "computation failed"),
        };
        let problem = Problem { element, kind, message: finding.sentence(), text: finding.inputs_in_words() };
        Self { name: finding.title(), problem: Some(problem) }
    }
}

fn write(policy: &str, cases: &[Case<'_>]) -> io::Result<String> {
    let count = |element: &str| {
        let found = cases.iter().filter(|case| case.problem.as_ref().is_some_and(|found| found.element == element));
        found.count().to_string()
    };
    let (tests, failures, errors) = (cases.len().to_string(), count("failure"), count("error"));
    let counts = [("tests", tests.as_str()), ("failures", &failures), ("errors", &errors)];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all = BytesStart::new("testsuites").with_attributes(counts);
    writer.write_event(Event::Start(all))?;
    let suite = BytesStart::new("testsuite").with_attributes([("name", SUITE)]);
    writer.write_event(Event::Start(suite.with_attributes(counts).with_attributes([("skipped", "0")])))?;
    for case in cases {
        write_case(&mut writer, policy, case)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    text.push('\n');
    Ok(text)
}

fn write_case(writer: &mut Writer<Vec<u8>>, policy: &str, case: &Case<'_>) -> io::Result<()> {
    let (policy, name) = (legal(policy), legal(&case.name));
    let start = BytesStart::new("testcase").with_attributes([("classname", policy.as_str()), ("name", &name)]);
    let Some(problem) = &case.problem else { return writer.write_event(Event::Empty(start)) };
    writer.write_event(Event::Start(start))?;
    let (message, text) = (legal(&problem.message), legal(&problem.text));
    let attributes = [("type", problem.kind), ("message", message.as_str())];
    let element = BytesStart::new(problem.element).with_attributes(attributes);
    writer.write_event(Event::Start(element))?;
    writer.write_event(Event::Text(BytesText::new(&text)))?;
    writer.write_event(Event::End(BytesEnd::new(problem.element)))?;
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

/// The text without what XML 1.0 cannot hold, not even escaped; line breaks become spaces.
fn legal(text: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars()
        .map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c })
        .map(|c| if allowed(c) { c } else { '\u{fffd}' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::requirement::Ending;

    #[test]
    fn hostile_text_is_escaped_and_control_characters_are_replaced() {
        let requirement = Requirement::AtMost(Ending::Alarm, 0);
        let text = without_result("a\"<b>&\u{1b}'.toml", &[requirement], "x]]>\n<!--\u{ffff}").unwrap();
        assert!(text.contains("classname=\"a&quot;&lt;b&gt;&amp;\u{fffd}&apos;.toml\""), "{text}");
        assert!(text.contains("message=\"x]]&gt; &lt;!--\u{fffd}\""), "{text}");
        assert!(text.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{text}");
    }
}
