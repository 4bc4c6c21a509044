//! Reports as users make and see them: from the command line, and in a browser where there is one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::support::{quick, vaecert};

/// A folder with a small finished run in `run`.
fn audited(more: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert(folder.path(), &quick(&[&["--out", "run"][..], more].concat()));
    assert!(matches!(answer.code, 0 | 3), "{}", answer.stderr);
    folder
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_shard_is_reported_as_the_part_that_it_is() {
    let folder = audited(&["--shard", "1/2", "--report", "part.md"]);
    let text = read(folder.path(), "part.md");
    assert!(text.contains("inputs 1 to 2, shard 1/2 of 3 inputs"), "{text}");
    assert!(!text.contains("Not finished") && text.contains("for all 3 inputs of the run"), "{text}");
}

#[test]
fn an_audit_whose_time_is_up_reports_what_there_is_and_no_earlier_report_stands() {
    let folder = audited(&["--report", "r.md"]);
    assert!(!read(folder.path(), "r.md").contains("Not finished"));
    let more = ["--out", "run", "--overwrite", "--time", "1ms", "--report", "r.md"];
    let answer = vaecert(folder.path(), &quick(&more));
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    assert!(answer.stderr.contains("--resume in place of --overwrite"), "{}", answer.stderr);
    assert!(read(folder.path(), "r.md").contains("Not finished: 0 of"));
    let csv = vaecert(folder.path(), &["report", "run", "--format", "csv"]);
    assert!(csv.code == 0 && csv.stderr.contains("the run is not finished: 0 of"), "{}", csv.stderr);
}

#[test]
fn a_run_file_that_says_what_no_run_does_is_refused() {
    let folder = audited(&[]);
    let text = read(folder.path(), "run/run.json");
    let mut run: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut refused = |pointer: &str, value: serde_json::Value, expected: &str| {
        let before = std::mem::replace(run.pointer_mut(pointer).unwrap(), value);
        std::fs::write(folder.path().join("run/run.json"), run.to_string()).unwrap();
        *run.pointer_mut(pointer).unwrap() = before;
        let answer = vaecert(folder.path(), &["report", "run", "--format", "markdown"]);
        assert_eq!(answer.code, 5, "{}", answer.stderr);
        assert!(answer.stderr.contains("run.json") && answer.stderr.contains(expected), "{}", answer.stderr);
    };
    refused("/identity/plan/search/pixel_box", serde_json::json!({"low": 1.0, "high": 0.0}), "the box must have");
    refused("/identity/inputs", serde_json::json!(0), "no input was asked for");
    refused("/identity/plan/estimation_draws", serde_json::json!(0), "estimation draws");
}

#[test]
fn a_run_is_reported_in_every_format_and_nothing_is_replaced_unasked() {
    let folder = audited(&["--report", "first.html"]);
    let report = |arguments: &[&str]| vaecert(folder.path(), &[&["report", "run"][..], arguments].concat());
    assert_eq!(report(&[]).code, 0);
    // The audit wrote the same page, and it is complete: plots along rays, reconstructions.
    let page = read(folder.path(), "run/report.html");
    assert_eq!(page, read(folder.path(), "first.html"));
    assert!(page.contains("Probability of staying within r along saved perturbations</title>"), "no plot of rays");
    assert_eq!(page.matches("rec. of attacked</figcaption>").count(), 3);
    let again = report(&[]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("--overwrite"), "{}", again.stderr);
    assert_eq!(report(&["--overwrite", "--threads", "3"]).code, 0);
    assert_eq!(page, read(folder.path(), "run/report.html"));

    let csv = report(&["--format", "csv"]).stdout;
    assert_eq!(csv.split("\r\n").count(), 5);
    let json: vaecert::report::ReportDocument = serde_json::from_str(&report(&["--format", "json"]).stdout).unwrap();
    assert_eq!(json.records.len(), 3);
    assert!(report(&["--format", "markdown"]).stdout.starts_with("## vaecert: met\n"));
    assert_eq!(report(&["--out", "plots.png"]).code, 0);
    assert!(std::fs::read(folder.path().join("plots.png")).unwrap().starts_with(b"\x89PNG"));
    // The run itself is as it was.
    assert_eq!(vaecert(folder.path(), &["replay", "run"]).code, 0);
}

#[cfg(unix)]
#[test]
fn the_command_in_a_page_repeats_the_run_to_the_byte() {
    let folder = audited(&["--box", "0,1", "--threat", "joint", "--seed", "7", "--report", "page.html"]);
    let page = read(folder.path(), "page.html");
    let command = page.split("<pre>").nth(1).unwrap().split("</pre>").next().unwrap();
    assert!(command.starts_with("vaecert audit ") && command.ends_with(" --out RUN") && !command.contains('&'));
    let program = Path::new(env!("CARGO_BIN_EXE_vaecert"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let status =
        Command::new("sh").args(["-c", command]).env("PATH", path).current_dir(folder.path()).output().unwrap();
    assert!(matches!(status.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&status.stderr));
    for name in ["run.json", "inputs.jsonl", "summary.json"] {
        assert_eq!(read(folder.path(), &format!("RUN/{name}")), read(folder.path(), &format!("run/{name}")), "{name}");
    }
}

#[test]
fn a_report_without_the_model_is_made_all_the_same_and_says_what_is_missing() {
    let folder = audited(&[]);
    let run = read(folder.path(), "run/run.json");
    let gone = run.replace("\"model\": null", "\"model\": \"/gone/<b>.safetensors\"");
    std::fs::write(folder.path().join("run/run.json"), gone).unwrap();
    let answer = vaecert(folder.path(), &["report", "run"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stderr.contains("/gone/"), "{}", answer.stderr);
    let page = read(folder.path(), "run/report.html");
    assert!(page.contains("id=\"no-rays\"") && page.contains("--model FILE") && !page.contains("/gone/<b>"));
    // Inputs and attacked inputs are in the run's own files.
    assert_eq!(page.matches("attacked</figcaption>").count(), 3);
}

#[test]
fn a_killed_run_is_reported_as_far_as_it_came_and_rubbish_is_refused() {
    let folder = audited(&[]);
    let lines = read(folder.path(), "run/inputs.jsonl");
    let second = lines.match_indices('\n').nth(1).unwrap().0;
    std::fs::write(folder.path().join("run/inputs.jsonl"), &lines[..second + 50]).unwrap();
    std::fs::remove_file(folder.path().join("run/summary.json")).unwrap();
    let answer = vaecert(folder.path(), &["report", "run", "--format", "markdown"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stdout.contains("Not finished: 2 of 3 inputs."), "{}", answer.stdout);
    std::fs::write(folder.path().join("run/inputs.jsonl"), "{}\n").unwrap();
    assert_eq!(vaecert(folder.path(), &["report", "run", "--format", "markdown"]).code, 5);
    assert_eq!(vaecert(folder.path(), &["report", "absent"]).code, 5);
    assert_eq!(vaecert(folder.path(), &["report", "run", "--format", "pdf"]).code, 2);
}

/// A browser that this machine has.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// Looks at the page from inside and sends what it finds to the page around it.
const PROBE: &str = r"addEventListener('load', function () {
  var found = { width: innerWidth, overlaps: [], missing: [] };
  var boxes = function (list) {
    return Array.from(list).map(function (e) { return { text: e.textContent.slice(0, 40), box: e.getBoundingClientRect() }; })
      .filter(function (e) { return e.box.width > 0 && e.box.height > 0; });
  };
  var check = function (list, what) {
    var all = boxes(list), slack = 1;
    all.forEach(function (a, i) {
      all.slice(i + 1).forEach(function (b) {
        if (a.box.left < b.box.right - slack && b.box.left < a.box.right - slack &&
            a.box.top < b.box.bottom - slack && b.box.top < a.box.bottom - slack) {
          found.overlaps.push(what + ': ' + a.text + ' / ' + b.text);
        }
      });
    });
  };
  check(document.body.children, 'blocks');
  document.querySelectorAll('.tiles, .panels, .sides, .pictures, dl').forEach(function (e) { check(e.children, e.className || 'dl'); });
  document.querySelectorAll('svg.plot').forEach(function (svg) {
    check(svg.querySelectorAll('text'), 'plot');
    var outer = svg.getBoundingClientRect();
    boxes(svg.querySelectorAll('text')).forEach(function (t) {
      if (t.box.left < outer.left - 1 || t.box.right > outer.right + 1 || t.box.top < outer.top - 1 || t.box.bottom > outer.bottom + 1) {
        found.overlaps.push('outside: ' + t.text);
      }
    });
  });
  found.sideways = document.documentElement.scrollWidth - innerWidth;
  var pictures = document.querySelectorAll('#gallery img');
  found.pictures = pictures.length;
  pictures.forEach(function (img) {
    if (!img.naturalWidth || getComputedStyle(img).imageRendering !== 'pixelated') { found.missing.push(img.alt); }
  });
  var table = document.getElementById('inputs');
  var column = function (index) { return Array.from(table.tBodies[0].rows).map(function (row) { return row.cells[index].textContent; }); };
  found.unsorted = column(8);
  table.tHead.rows[0].cells[8].querySelector('button').click();
  found.ascending = column(8);
  table.tHead.rows[0].cells[8].querySelector('button').click();
  found.descending = column(8);
  found.sort = table.tHead.rows[0].cells[8].getAttribute('aria-sort');
  found.dark = matchMedia('(prefers-color-scheme: dark)').matches;
  found.paper = getComputedStyle(document.body).backgroundColor;
  parent.postMessage(JSON.stringify(found), '*');
});";

/// What the probe finds in `page`, `width` pixels wide. Only the report's own script and the probe may run.
fn probed(browser: &Path, folder: &Path, page: &str, width: u32, dark: bool) -> serde_json::Value {
    let hash = base64(&Sha256::digest(PROBE.as_bytes()));
    let page = page.replace("script-src '", &format!("script-src 'sha256-{hash}' '"));
    let page = page.replace("</body>", &format!("<script>{PROBE}</script></body>"));
    std::fs::write(folder.join("probed.html"), page).unwrap();
    let outer = format!(
        "<!doctype html><iframe src=\"probed.html\" style=\"width:{width}px;height:900px;border:0\"></iframe><pre id=\"found\"></pre>\
         <script>addEventListener('message',function(e){{document.getElementById('found').textContent=e.data}})</script>"
    );
    std::fs::write(folder.join("outer.html"), outer).unwrap();
    let scheme = if dark { 0 } else { 1 };
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000", "--virtual-time-budget=10000"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg("--dump-dom")
        .arg(format!("file://{}", folder.join("outer.html").display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = dom.split("<pre id=\"found\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let found = found.unwrap_or_default().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found:?} in {dom:.2000}"))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, index| bits << 8 | usize::from(*group.get(index).unwrap_or(&0)));
        for place in 0..4 {
            let digit = char::from(ALPHABET[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}

#[test]
fn in_a_browser_nothing_overlaps_the_table_sorts_and_pictures_show() {
    let Some(browser) = browser() else {
        // Past the capture of tests' output.
        let _ = writeln!(std::io::stderr(), "skipped: there is no chromium on this machine's PATH");
        return;
    };
    let folder = audited(&["--report", "page.html"]);
    let page = read(folder.path(), "page.html");
    let mut papers = std::collections::BTreeSet::new();
    for (width, dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let found = probed(&browser, folder.path(), &page, width, dark);
        assert_eq!((found["width"].as_u64(), found["dark"].as_bool()), (Some(u64::from(width)), Some(dark)), "{found}");
        assert_eq!(found["overlaps"], serde_json::json!([]), "at {width} pixels");
        assert!(found["sideways"].as_i64().unwrap() <= 0, "at {width} pixels: {found}");
        assert_eq!((found["pictures"].as_u64(), &found["missing"]), (Some(15), &serde_json::json!([])));
        let numbers = |name: &str| -> Vec<f64> {
            found[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap().parse().unwrap()).collect()
        };
        let mut sorted = numbers("unsorted");
        sorted.sort_by(f64::total_cmp);
        assert_eq!(numbers("ascending"), sorted);
        sorted.reverse();
        assert_eq!((numbers("descending"), found["sort"].as_str()), (sorted, Some("descending")));
        papers.insert(found["paper"].as_str().unwrap().to_owned());
    }
    assert_eq!(papers.len(), 2, "{papers:?}");
}
