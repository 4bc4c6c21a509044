use super::testing::{bracketed, run, undecided};
use super::*;
use crate::audit::run::RunFile;
use crate::audit::InputRecord;
use crate::data::Origin;
use crate::threads::Workers;

/// The page without model and data.
fn page(run: &RunFile, records: &[InputRecord]) -> String {
    let report = Report::new(run, records);
    let workers = Workers::new(std::num::NonZeroUsize::new(1)).unwrap();
    let evidence = report.evidence(Path::new("no such folder"), Err("the model is <gone>"), &workers);
    report.html(&evidence).unwrap()
}

/// Fails unless every element that is opened is closed in turn.
fn assert_balanced(page: &str) {
    const VOID: [&str; 4] = ["meta", "img", "br", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let end = tag.find('>').unwrap();
        let (inside, name) = (&tag[..end], tag[..end].split([' ', '/', '\n']).next().unwrap());
        rest = &tag[end + 1..];
        if let Some(closed) = inside.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "…{}", &rest[..rest.len().min(80)]);
        } else if !inside.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            if matches!(name, "script" | "style") {
                rest = &rest[rest.find("</").unwrap()..];
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn failed(input: usize) -> InputRecord {
    InputRecord { reasons: vec!["the radius: found 0".to_owned()], ..InputRecord::empty(input) }
}

fn records() -> Vec<InputRecord> {
    vec![bracketed(0, 0.25, 1.0), bracketed(1, 0.5, 2.5), bracketed(2, 0.125, 0.75), undecided(3), failed(4)]
}

#[test]
fn a_page_is_balanced_whatever_the_run_holds() {
    let all_failed: Vec<InputRecord> = (0..3).map(failed).collect();
    let infinite = vec![bracketed(0, f64::INFINITY, f64::INFINITY)];
    for records in [vec![], vec![undecided(0)], vec![bracketed(0, 0.5, 1.0)], all_failed, infinite, records()] {
        let page = page(&run(records.len()), &records);
        assert_balanced(&page);
        assert!(!page.replace("isNaN(", "").contains("NaN"), "no number is missing in a plot");
        assert_eq!(
            page.matches("<tr><td>").count(),
            records.len() + Report::new(&run(1), &records).summary.spreads.len()
        );
    }
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (run, records) = (run(5), records());
    assert_eq!(page(&run, &records), page(&run, &records));
    let report = Report::new(&run, &records);
    assert_eq!(report.png().unwrap(), report.png().unwrap());
}

#[test]
fn a_page_fetches_nothing_and_runs_only_its_own_script() {
    let page = page(&run(5), &records());
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("url("));
    assert_eq!(page.matches("<script").count(), 1);
    // SHA-256 of the script between its tags, as browsers compute it.
    let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
    let hash = picture::base64(&<sha2::Sha256 as sha2::Digest>::digest(script.as_bytes()));
    assert!(page.contains(&format!("script-src 'sha256-{hash}'")));
}

#[test]
fn names_and_reasons_are_text_and_never_markup() {
    let hostile = "</title><script>alert(1)</script>\"'>.npy";
    let mut run = run(2);
    run.identity.data = hostile.to_owned();
    run.model = Some(hostile.into());
    run.source = Origin::Npy { path: hostile.into() }.into();
    let mut record = undecided(0);
    record.reasons = vec![hostile.to_owned()];
    let records = [record, bracketed(1, 0.1, 0.2)];
    let page = page(&run, &records);
    assert_balanced(&page);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("&lt;script&gt;") || page.contains("&#60;script&#62;"));
    let report = Report::new(&run, &records);
    assert!(!report.markdown().contains("<script"));
    report.png().unwrap();
}

#[test]
fn an_unfinished_run_says_how_far_it_came() {
    let (run, records) = (run(20), records());
    let report = Report::new(&run, &records);
    assert!(page(&run, &records).contains("Not finished: 5 of 20 inputs."));
    assert!(report.markdown().contains("**Not finished: 5 of 20 inputs.**"));
    assert!(!page(&super::testing::run(5), &records).contains("Not finished"));
    let document: ReportDocument = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!((document.finished, document.audited), (false, 5));
}

#[test]
fn json_reads_back_as_what_it_was_made_of() {
    let (run, records) = (run(5), records());
    let report = Report::new(&run, &records);
    let document: ReportDocument = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!((&document.run, &document.summary), (&run, &report.summary));
    assert_eq!(document.records, records);
}

#[test]
fn failures_and_undecided_inputs_are_listed_with_their_reasons() {
    let (run, records) = (run(5), records());
    let page = page(&run, &records);
    for expected in
        ["no attack succeeded", "the radius: found 0", "<b>undecided</b>, 1 input (3)", "<b>FAILED</b>, 1 input (4)"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    // What needs model and data says what is missing.
    assert!(
        page.contains("Not drawn: the model is &#60;gone&#62;")
            || page.contains("Not drawn: the model is &lt;gone&gt;")
    );
}

#[test]
fn half_of_all_inputs_counts_those_without_a_certificate() {
    let run = run(5);
    let report = |records: &[InputRecord]| Report::new(&run, records).certified_for_half().get();
    // 0.5, 0.25, 0.125, 0, 0: three of five reach 0.125.
    assert_eq!(report(&records()), 0.125);
    assert_eq!(report(&[bracketed(0, 0.5, 1.0), undecided(1)]), 0.0);
    assert_eq!(report(&[]), 0.0);
}

#[test]
fn a_picture_decodes_and_is_not_empty() {
    for records in [records(), vec![], vec![failed(0)]] {
        let run = run(5);
        let picture = image::load_from_memory(&Report::new(&run, &records).png().unwrap()).unwrap().to_rgb8();
        assert!(picture.width() > 1000 && picture.height() > 600);
        // Blue of the certified curve, and letters in the top left corner.
        let blue = picture.pixels().filter(|pixel| pixel.0 == [0, 0x72, 0xb2]).count();
        assert!(blue > 100, "{blue}");
        let heading = picture.enumerate_pixels().filter(|(x, y, pixel)| *x < 400 && *y < 80 && pixel.0[0] < 80).count();
        assert!(heading > 500, "{heading}");
    }
}

#[test]
fn ten_thousand_inputs_give_a_page_that_still_opens() {
    let input = |index: usize| match index % 50 {
        49 => undecided(index),
        _ => bracketed(index, 0.1 + (index as f64 * 0.618).fract(), 1.3 + (index as f64 * 0.414).fract()),
    };
    let records: Vec<InputRecord> = (0..10_000).map(input).collect();
    let size = page(&run(10_000), &records).len();
    assert!(size < 4_000_000, "{size}");
}

#[test]
fn the_markdown_of_a_small_run() {
    insta::assert_snapshot!(Report::new(&run(5), &records()).markdown());
}

#[test]
fn formats_are_known_by_the_endings_of_files() {
    let of = |path: &str| Format::of_path(Path::new(path));
    assert_eq!(of("a.HTML"), Some(Format::Html));
    assert_eq!(of("a/b.md"), Some(Format::Markdown));
    assert_eq!((of("a.txt"), of("a")), (None, None));
}
