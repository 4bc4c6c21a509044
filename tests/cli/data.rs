//! `vaecert data fetch` and the data options, from outside. Fetching itself is tested beside its code.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::{files_below, npy, quick, vaecert, Answer};

/// Answers every request with `status` and `body`; gives the address.
fn server(status: u16, body: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that hangs up is no failure of the server.
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
        }
    });
    address
}

/// Runs `vaecert data fetch` with `HF_ENDPOINT` set.
fn fetch_from(endpoint: &str, folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaecert"));
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    command
        .current_dir(folder)
        .env("HF_ENDPOINT", endpoint)
        .args(["data", "fetch"])
        .args(arguments)
        .output()
        .unwrap()
        .into()
}

#[test]
fn the_hubs_path_is_asked_of_the_endpoint_in_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = server(404, b"");
    let answer = fetch_from(&endpoint, folder.path(), &["cifar10"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (5, ""));
    let url = format!(
        "{endpoint}/datasets/uoft-cs/cifar10/resolve/0b2714987fa478483af9968de7c934580d0bb9a2/plain_text/train"
    );
    assert!(answer.stderr.contains(&url) && answer.stderr.contains("status 404"), "{}", answer.stderr);
    // An option counts more than the environment.
    let other = server(403, b"");
    let answer = fetch_from(&endpoint, folder.path(), &["cifar10", "--base-url", &other]);
    assert!(answer.stderr.contains("status 403"), "{}", answer.stderr);
}

#[test]
fn images_that_are_not_the_originals_are_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = server(200, include_bytes!("../../fixtures/data/parquet/grey.parquet"));
    let answer = fetch_from(&endpoint, folder.path(), &["mnist", "--out", "m"]);
    assert_eq!(answer.code, 5);
    let expected = "aff4822bc64ea1688c8b73212ec91e232bba9e98de2b6fa762cb9347af171e8b was expected";
    assert!(answer.stderr.contains(expected) && answer.stderr.contains("thrown away"), "{}", answer.stderr);
    assert!(files_below(folder.path()).is_empty());
}

#[test]
fn a_folder_serves_batches_and_says_what_they_were_checked_against() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    std::fs::create_dir(&from).unwrap();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        std::fs::write(from.join(format!("{name}.bin")), [&[3][..], &[51; 3072]].concat()).unwrap();
    }
    let arguments = ["data", "fetch", "cifar10", "--base-url", "from"];
    let answer = vaecert(folder.path(), &arguments);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    for expected in ["5 items, fetched", "checked against nothing", "--data cifar10 --data-dir data/cifar10"] {
        assert!(answer.stdout.contains(expected), "{expected:?} is missing from\n{}", answer.stdout);
    }
    let again = vaecert(folder.path(), &[&arguments[..], &["--json"]].concat());
    let lines: Vec<serde_json::Value> = again.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["items"].as_u64(), lines[1]["items"].as_u64()), (Some(5), Some(1)));
    assert!(lines
        .iter()
        .all(|line| line["was_there"] == true && line["checked_against"] == "fetched.json of an earlier fetch"));
    // Changed since then.
    std::fs::write(folder.path().join("data/cifar10/test_batch.bin"), [&[3][..], &[52; 3072]].concat()).unwrap();
    let changed = vaecert(folder.path(), &arguments);
    assert_eq!(changed.code, 5);
    assert!(changed.stderr.contains("recorded in fetched.json"), "{}", changed.stderr);
}

#[test]
fn an_unknown_data_set_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let answer = vaecert(folder.path(), &["data", "fetch", "imagenet"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("expected mnist, fashion-mnist or cifar10"), "{}", answer.stderr);
}

#[test]
fn preprocessing_is_recorded_with_a_run_and_repeated_in_its_replay() {
    let folder = tempfile::tempdir().unwrap();
    // The default scale of the digits, said aloud: the same numbers under another name.
    let answer = vaecert(folder.path(), &quick(&["--scale", "0.0625", "--json", "--out", "run"]));
    let plain = vaecert(folder.path(), &quick(&["--json", "--out", "plain"]));
    assert_eq!((answer.code, answer.stdout), (plain.code, plain.stdout), "{}", answer.stderr);
    let recorded = std::fs::read_to_string(folder.path().join("run/run.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    assert_eq!(recorded["source"]["preprocessing"], serde_json::json!({"scale": 0.0625}));
    assert_eq!(recorded["identity"]["data"], "digits (scale 0.0625)");
    let replayed = vaecert(folder.path(), &["replay", "run", "--draws", "1000"]);
    assert!(matches!(replayed.code, 0 | 3), "{}", replayed.stderr);
    // Data under another scale are other data.
    let other = vaecert(folder.path(), &["replay", "run", "--draws", "1000", "--data", "digits (scale 0.125)"]);
    assert_eq!(other.code, 2, "{}", other.stderr);
}

#[test]
fn channels_that_come_last_are_put_first() {
    let folder = tempfile::tempdir().unwrap();
    // Three images of 8 x 8 pixels with one channel, as 16 brightness steps: what the default model expects.
    let pixels: Vec<u8> = (0..192).map(|i| i % 17).collect();
    std::fs::write(folder.path().join("x.npy"), npy("|u1", "(3, 8, 8, 1)", &pixels)).unwrap();
    let data = ["--data", "x.npy", "--layout", "nhwc", "--scale", "0.0625"];
    let answer = vaecert(folder.path(), &quick(&data));
    assert!(matches!(answer.code, 0 | 3), "{}", answer.stderr);
}
