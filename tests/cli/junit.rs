//! A checker of the part of the JUnit schema `junit-10.xsd` (of Jenkins's xUnit plugin) that reports here can use: which
//! element may hold which, the attributes each needs and may have, and where text may stand.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::events::{BytesStart, Event};
use quick_xml::Reader;

/// Element, elements it may hold, attributes it needs, further ones it may have, whether it may hold text.
type Rule = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str], bool);

const RULES: [Rule; 7] = [
    ("", &["testsuites", "testsuite"], &[], &[], false),
    ("testsuites", &["testsuite"], &[], &["name", "time", "tests", "failures", "errors"], false),
    (
        "testsuite",
        &["testsuite", "testcase"],
        &["name", "tests", "failures", "errors"],
        &["group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version"],
        false,
    ),
    ("testcase", &["skipped", "error", "failure"], &["name"], &["time", "classname", "group"], false),
    ("failure", &[], &[], &["type", "message"], true),
    ("error", &[], &[], &["type", "message"], true),
    ("skipped", &[], &[], &["type", "message"], true),
];

/// A test case: its name, and the element, type and message of its problem.
#[derive(Debug, PartialEq)]
pub(crate) struct TestCase {
    pub(crate) name: String,
    pub(crate) problem: Option<(String, String, String)>,
}

fn attributes(element: &BytesStart<'_>) -> BTreeMap<String, String> {
    let read = |attribute: quick_xml::events::attributes::Attribute<'_>| {
        let name = attribute.key.as_ref().to_owned();
        (name, attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).unwrap().into_owned())
    };
    element.attributes().map(|attribute| read(attribute.unwrap())).collect()
}

fn rule(name: &str) -> Rule {
    *RULES.iter().find(|rule| rule.0 == name).unwrap_or_else(|| panic!("<{name}> is not in the schema"))
}

/// The test cases of a report.
///
/// # Panics
/// If it is not valid, or if its counts are not those of its cases.
pub(crate) fn read(text: &str) -> Vec<TestCase> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut cases, mut counts) = (vec![String::new()], Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                let name = element.name().as_ref().to_owned();
                let (parent, holds) = (open.last().unwrap(), rule(open.last().unwrap()).1);
                assert!(holds.contains(&name.as_str()), "<{name}> inside <{parent}>");
                let (_, _, needed, optional, _) = rule(&name);
                let found = attributes(&element);
                let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
                assert!(needed.iter().all(|needed| names.contains(needed)), "<{name}> lacks an attribute: {names:?}");
                assert!(names.iter().all(|name| needed.contains(name) || optional.contains(name)), "{name}: {names:?}");
                match name.as_str() {
                    "testsuites" | "testsuite" => {
                        counts
                            .push(["tests", "failures", "errors"].map(|count| found[count].parse::<usize>().unwrap()));
                    }
                    "testcase" => cases.push(TestCase { name: found["name"].clone(), problem: None }),
                    _ => {
                        let problem = (name.clone(), found["type"].clone(), found["message"].clone());
                        assert_eq!(cases.last_mut().unwrap().problem.replace(problem), None);
                    }
                }
                open.push(name);
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(found) => {
                let parent = open.last().unwrap();
                assert!(rule(parent).4 || found.xml10_content().trim().is_empty(), "text inside <{parent}>");
            }
            Event::Eof => break,
            Event::Decl(_) | Event::GeneralRef(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(open, [""], "an element is not closed");
    let of = |element: &str| {
        let kinds = cases.iter().filter_map(|case| Some(case.problem.as_ref()?.0.as_str()));
        kinds.filter(|kind| *kind == element).count()
    };
    for count in counts {
        assert_eq!(count, [cases.len(), of("failure"), of("error")]);
    }
    cases
}

#[test]
fn the_checker_notices_what_the_schema_forbids() {
    let good = "<testsuite name='s' tests='1' failures='0' errors='0'><testcase name='c'/></testsuite>";
    assert_eq!(read(good).len(), 1);
    for (from, to) in [
        ("name='c'", ""),
        ("name='c'", "name='c' verdict='x'"),
        ("<testcase name='c'/>", "<case name='c'/>"),
        ("<testcase name='c'/>", "text<testcase name='c'/>"),
        ("tests='1'", "tests='2'"),
        ("errors='0'", ""),
        ("</testsuite>", ""),
    ] {
        let bad = good.replace(from, to);
        let found = std::panic::catch_unwind(|| read(&bad));
        assert!(found.is_err(), "{bad}");
    }
}
