//! Arguments and counterexample files that `vaecert claims` refuses.

use super::refused;

#[test]
fn arguments_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 13] = [
        (&["--only", "X9"], &["no claim is called \"X9\"", "known: ", "T2-variance", "all of a part: D31, S3, T1"]),
        (&["--only", "t2-varience"], &["no claim is called \"t2-varience\"; known of T2: T2-posterior"]),
        (&["--only", "T2,"], &["no claim is called \"\""]),
        (&["--cases", "0"], &["a whole number from 1 to 10000000", "\"0\""]),
        (&["--cases", "1e3"], &["a whole number"]),
        (&["--seed", "-1"], &["--seed"]),
        (&["--failure-probability", "1"], &["strictly between 0 and 1"]),
        (&["--time-limit", "0"], &["a number of seconds above 0"]),
        (&["--time-limit", "nan"], &["a number of seconds above 0"]),
        (&["--json", "--markdown"], &["cannot be used with"]),
        (&["--overwrite"], &["--out"]),
        (&["--list", "--replay", "x.json"], &["cannot be used with"]),
        (&["--threads", "0"], &["a number from 1 to 1024"]),
    ];
    for (arguments, fragments) in cases {
        refused(folder.path(), &[&["claims"], arguments].concat(), 2, fragments);
    }
    refused(folder.path(), &["explain", "T2"], 2, &["no claim is called \"T2\"; known of T2: ", "T2-variance"]);
    refused(folder.path(), &["explain"], 2, &["<ID>"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn files_that_are_no_counterexample() {
    let folder = tempfile::tempdir().unwrap();
    let replay = |bytes: &[u8], fragments: &[&str]| {
        std::fs::write(folder.path().join("c.json"), bytes).unwrap();
        refused(folder.path(), &["claims", "--replay", "c.json"], 5, &[&["c.json"], fragments].concat());
    };
    replay(b"", &["not a counterexample", "EOF"]);
    replay(b"{\"format\": 1", &["not a counterexample", "EOF"]);
    replay(b"\xff\xfe", &["not a counterexample"]);
    replay(b"{}", &["missing field `format`"]);
    replay(b"{\"format\": 7}", &["file format 7, expected 1"]);
    replay(b"{\"format\": 1, \"claim\": \"T1-eq22\"}", &["missing field `instance`"]);
    replay(&vec![b' '; (1 << 20) + 1], &["1048577 bytes, expected at most 1048576"]);
    let full = |claim: &str, instance: &str| {
        format!(
            "{{\"format\":1,\"vaecert_version\":\"0\",\"claim\":\"{claim}\",\"statement\":\"s\",\"line\":\"\",\"numbers\":[],\
             \"instance\":{instance},\"seed\":0,\"stream\":\"x\",\"failure_probability\":0.01}}"
        )
    };
    replay(full("T9", "{}").as_bytes(), &["no claim is called \"T9\"", "--list"]);
    replay(full("T1-eq22", "{}").as_bytes(), &["is \"s\", expected", "or leave the statement out"]);
    refused(folder.path(), &["claims", "--replay", "absent.json"], 5, &["absent.json"]);
    refused(folder.path(), &["claims", "--replay", "."], 5, &["not a regular file"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), b"").unwrap();
    let search = ["claims", "--cases", "10000000", "--out", "file/evidence"];
    refused(folder.path(), &search, 5, &["file/evidence", "cannot be written", "file is not a folder"]);
    std::fs::create_dir_all(folder.path().join("evidence/T1-eq22.json")).unwrap();
    let search = ["claims", "--cases", "10000000", "--out", "evidence", "--overwrite"];
    refused(folder.path(), &search, 5, &["evidence/T1-eq22.json", "cannot be written"]);
}
