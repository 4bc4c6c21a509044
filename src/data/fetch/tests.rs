//! Small data sets of a known formula, fetched from a server on this machine and from folders.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::data::Dataset;
use crate::progress::Silent;
use tempfile::TempDir;

const GREY: &[u8] = include_bytes!("../../../fixtures/data/parquet/grey.parquet");
const COLOUR: &[u8] = include_bytes!("../../../fixtures/data/parquet/colour.parquet");
const TWO_SIZES: &[u8] = include_bytes!("../../../fixtures/data/parquet/two-sizes.parquet");
const BAD_LABEL: &[u8] = include_bytes!("../../../fixtures/data/parquet/bad-label.parquet");
const NO_IMAGES: &[u8] = include_bytes!("../../../fixtures/data/parquet/no-images.parquet");

/// How the server behaves.
#[derive(Clone, Default)]
struct Manner {
    body: Vec<u8>,
    /// Answers ranges.
    ranges: bool,
    /// Closes the connection after that many bytes of a body.
    breaks_after: Option<usize>,
    /// Redirects from the hub's path to another one, stating a checksum and a size.
    redirects_with: Option<(String, usize)>,
    /// Does not say how long the body is.
    hides_length: bool,
    /// Answers with this status alone.
    status: Option<u16>,
    /// Sends everybody here.
    location: Option<String>,
    /// Claims this length.
    claims: Option<u64>,
}

/// A server, and the first lines and ranges of the requests it got.
struct Server {
    base: Base,
    manner: Arc<Mutex<Manner>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = Base::parse(&format!("http://{}/", listener.local_addr().unwrap()));
        let (manner, requests) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Vec::new())));
        let (shared, log) = (Arc::clone(&manner), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let manner = shared.lock().unwrap().clone();
                // A client that hangs up is no failure of the server.
                let _ = answer(stream, &manner, &log);
            }
        });
        Self { base, manner, requests }
    }

    fn now(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.manner.lock().unwrap());
    }

    fn ranges_asked(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .filter_map(|line| line.split_once("bytes="))
            .map(|(_, range)| range.to_owned())
            .collect()
    }
}

fn answer(mut stream: TcpStream, manner: &Manner, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut range = None;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("range:") {
            range = Some(value.trim().to_owned());
        }
    }
    log.lock().unwrap().push(format!("{first} {}", range.clone().unwrap_or_default()));
    if let Some(status) = manner.status {
        return write!(stream, "HTTP/1.1 {status} no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if let Some(location) = &manner.location {
        return write!(
            stream,
            "HTTP/1.1 302 there\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    if let (Some((sha256, size)), true) = (&manner.redirects_with, first.contains("/datasets/")) {
        return write!(
            stream,
            "HTTP/1.1 302 there\r\nLocation: /blob\r\nX-Linked-Etag: \"{sha256}\"\r\nX-Linked-Size: {size}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let total = manner.body.len();
    let start = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let body = match start.filter(|_| manner.ranges) {
        Some(start) if start >= total => {
            return write!(
                stream,
                "HTTP/1.1 416 no\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Some(start) => {
            write!(stream, "HTTP/1.1 206 part\r\nContent-Range: bytes {start}-{}/{total}\r\n", total - 1)?;
            &manner.body[start..]
        }
        None => {
            write!(stream, "HTTP/1.1 200 all\r\n")?;
            &manner.body[..]
        }
    };
    if !manner.hides_length {
        write!(stream, "Content-Length: {}\r\n", manner.claims.unwrap_or(body.len() as u64))?;
    }
    write!(stream, "Connection: close\r\n\r\n")?;
    stream.write_all(&body[..manner.breaks_after.unwrap_or(body.len()).min(body.len())])
}

/// The bytes of a split by the formula of the fixtures' script.
fn pixels(index: usize, count: usize) -> Vec<u8> {
    (0..count).map(|k| u8::try_from((37 * index + 11 * k) % 256).unwrap()).collect()
}

fn grey_content() -> String {
    let values = (0..6).flat_map(|index| pixels(index, 20)).map(|pixel| f32::from(pixel) / 255.0).collect();
    Dataset::new("grey", vec![4, 5], values).unwrap().sha256()
}

/// Both splits are the same file, under the hub's paths.
fn entry(container: Container, content: Option<&str>, file: Option<&str>) -> Entry {
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let part = Part { file: "a/b.parquet", file_sha256: file.map(leak), content_sha256: content.map(leak) };
    Entry { name: "tiny", repository: "who/tiny", revision: "0123", container, train: part.clone(), test: part }
}

fn grey() -> Entry {
    entry(Container::Idx, Some(&grey_content()), None)
}

fn run(entry: &Entry, out: &TempDir, base: &Base) -> Result<Vec<Fetched>, FetchError> {
    fetch_entry(entry, out.path(), base, &mut Silent)
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn sha256(bytes: &[u8]) -> String {
    files::hexadecimal(&Sha256::digest(bytes))
}

const GREY_FILES: [&str; 3] = ["fetched.json", "t10k-images-idx3-ubyte", "train-images-idx3-ubyte"];

#[test]
fn grey_images_become_idx_files_and_are_not_fetched_twice() {
    let server = Server::start(Manner { body: GREY.to_vec(), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    let fetched = run(&grey(), &out, &server.base).unwrap();
    assert_eq!(names(&out), GREY_FILES);
    assert_eq!(fetched.len(), 2);
    assert!(fetched.iter().all(|one| one.items == 6 && !one.was_there && one.content_sha256 == grey_content()));
    assert_eq!(fetched[0].checked, "the pixels of the original data set");
    let asked = server.requests.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].starts_with("GET /datasets/who/tiny/resolve/0123/a/b.parquet "), "{asked:?}");
    let again = run(&grey(), &out, &server.base).unwrap();
    assert!(again.iter().all(|one| one.was_there));
    assert_eq!(server.requests.lock().unwrap().len(), 2);
}

#[test]
fn colour_images_become_batches_with_labels_and_planes() {
    let server = Server::start(Manner { body: COLOUR.to_vec(), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    let entry = entry(Container::Cifar, None, Some(&sha256(COLOUR)));
    let fetched = run(&entry, &out, &server.base).unwrap();
    assert_eq!(fetched[0].checked, "the SHA-256 published for the hub's file");
    let test = std::fs::read(out.path().join("test_batch.bin")).unwrap();
    for (index, record) in test.chunks(3073).enumerate() {
        assert_eq!(usize::from(record[0]), index);
        let interleaved = pixels(index, 3072);
        for (place, &byte) in record[1..].iter().enumerate() {
            assert_eq!(byte, interleaved[place % 1024 * 3 + place / 1024]);
        }
    }
    // Seven records, two to a file.
    let train: Vec<u8> =
        (1..=4).flat_map(|batch| std::fs::read(out.path().join(format!("data_batch_{batch}.bin"))).unwrap()).collect();
    assert_eq!(train, test);
}

#[test]
fn a_download_that_broke_off_is_continued() {
    let server =
        Server::start(Manner { body: GREY.to_vec(), ranges: true, breaks_after: Some(500), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    let error = run(&grey(), &out, &server.base).unwrap_err();
    let FetchError::Interrupted { received: 500, total, .. } = &error else { panic!("{error}") };
    assert_eq!(*total, Some(GREY.len() as u64));
    assert!(error.to_string().contains("run the command again to continue"));
    assert_eq!(names(&out), ["tiny-train.parquet.part"]);
    assert_eq!(run(&grey(), &out, &server.base).unwrap_err().to_string().matches("after 1000 bytes of").count(), 1);
    server.now(|manner| manner.breaks_after = None);
    run(&grey(), &out, &server.base).unwrap();
    assert_eq!(server.ranges_asked(), ["500-", "1000-"]);
    assert_eq!(names(&out), GREY_FILES);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let server = Server::start(Manner { body: GREY.to_vec(), breaks_after: Some(1000), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    assert!(matches!(run(&grey(), &out, &server.base), Err(FetchError::Interrupted { .. })));
    server.now(|manner| manner.breaks_after = None);
    run(&grey(), &out, &server.base).unwrap();
    assert_eq!(names(&out), GREY_FILES);
}

#[test]
fn a_file_that_was_complete_is_not_fetched_again_and_a_longer_one_is() {
    for (there, asked) in [(GREY.len(), 1), (GREY.len() + 5, 1)] {
        let server = Server::start(Manner { body: GREY.to_vec(), ranges: true, ..Manner::default() });
        let out = tempfile::tempdir().unwrap();
        let mut bytes = GREY.to_vec();
        bytes.resize(there, 0);
        std::fs::write(out.path().join("tiny-train.parquet.part"), bytes).unwrap();
        run(&grey(), &out, &server.base).unwrap();
        assert_eq!(server.ranges_asked().len(), asked);
    }
}

#[test]
fn two_fetches_do_not_write_into_one_file() {
    let server = Server::start(Manner { body: GREY.to_vec(), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    let other = File::create(out.path().join("tiny-train.parquet.part")).unwrap();
    assert!(files::lock(&other).unwrap());
    let error = run(&grey(), &out, &server.base).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(other);
    run(&grey(), &out, &server.base).unwrap();
}

#[test]
fn redirections_are_followed_and_the_hubs_checksum_is_compared() {
    let stated = |sha256: String| Manner {
        body: GREY.to_vec(),
        redirects_with: Some((sha256, GREY.len())),
        ..Manner::default()
    };
    let out = tempfile::tempdir().unwrap();
    let unknown = entry(Container::Idx, None, None);
    let fetched = run(&unknown, &out, &Server::start(stated(sha256(GREY))).base).unwrap();
    assert_eq!(fetched[0].checked, "the SHA-256 that the server states");

    let out = tempfile::tempdir().unwrap();
    let error = run(&unknown, &out, &Server::start(stated("0".repeat(64))).base).unwrap_err();
    let FetchError::Checksum { expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!((expected, found), (&"0".repeat(64), &sha256(GREY)));
    assert!(error.to_string().contains("thrown away"), "{error}");
    assert!(names(&out).is_empty());
}

#[test]
fn other_pixels_than_the_originals_are_rejected_and_not_kept() {
    let server = Server::start(Manner { body: GREY.to_vec(), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    let other = entry(Container::Idx, Some(&"1".repeat(64)), None);
    let error = run(&other, &out, &server.base).unwrap_err();
    assert!(matches!(&error, FetchError::Checksum { found, .. } if *found == grey_content()), "{error}");
    assert!(names(&out).is_empty());
}

#[test]
fn files_that_are_there_and_wrong_are_named_and_left_alone() {
    let server = Server::start(Manner { body: GREY.to_vec(), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("train-images-idx3-ubyte");
    let other = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9];
    std::fs::write(&path, other).unwrap();
    let error = run(&grey(), &out, &server.base).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }) && error.to_string().contains("nothing was changed"));
    assert_eq!(std::fs::read(&path).unwrap(), other);
    std::fs::write(&path, "damaged").unwrap();
    let error = run(&grey(), &out, &server.base).unwrap_err();
    assert!(matches!(error, FetchError::Data(_)) && error.to_string().contains("move the file away"), "{error}");
}

#[test]
fn a_later_fetch_must_find_what_an_earlier_one_did() {
    let unknown = entry(Container::Idx, None, None);
    let server = Server::start(Manner { body: GREY.to_vec(), ..Manner::default() });
    let out = tempfile::tempdir().unwrap();
    run(&unknown, &out, &server.base).unwrap();
    let path = out.path().join("train-images-idx3-ubyte");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = run(&unknown, &out, &server.base).unwrap_err();
    assert!(error.to_string().contains("recorded in fetched.json"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let fetched = run(&unknown, &out, &server.base).unwrap();
    assert_eq!(fetched.iter().map(|one| one.was_there).collect::<Vec<_>>(), [false, true]);
    std::fs::write(out.path().join("fetched.json"), "{").unwrap();
    assert!(matches!(run(&unknown, &out, &server.base), Err(FetchError::Io { .. })));
}

#[test]
fn a_folder_serves_parquet_files_or_finished_ones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::fs::write(folder.path().join("a/b.parquet"), GREY).unwrap();
    let from = |folder: &TempDir, out: &TempDir| {
        run(&grey(), out, &Base::parse(&format!("file://{}", folder.path().display())))
    };
    let first = tempfile::tempdir().unwrap();
    from(&folder, &first).unwrap();
    assert_eq!(names(&first), GREY_FILES);
    assert!(folder.path().join("a/b.parquet").exists());

    // The finished files serve another folder.
    let second = tempfile::tempdir().unwrap();
    let fetched = from(&first, &second).unwrap();
    assert!(fetched.iter().all(|one| !one.was_there));
    assert_eq!(names(&second), GREY_FILES);

    let empty = tempfile::tempdir().unwrap();
    let error = from(&empty, &tempfile::tempdir().unwrap()).unwrap_err();
    assert!(matches!(&error, FetchError::NotInFolder { .. }));
    assert!(error.to_string().contains("train-images-idx3-ubyte, a/b.parquet"), "{error}");
}

#[test]
fn parquet_files_that_do_not_hold_the_images_are_rejected() {
    for (bytes, container, reason) in [
        (TWO_SIZES, Container::Idx, "row 1 has"),
        (COLOUR, Container::Idx, "3 channels"),
        (GREY, Container::Cifar, "1 channels"),
        (BAD_LABEL, Container::Cifar, "label"),
        (NO_IMAGES, Container::Idx, "no image"),
        (&GREY[..GREY.len() - 1], Container::Idx, "thrown away"),
        (b"<html>no such thing</html>", Container::Idx, "thrown away"),
    ] {
        let server = Server::start(Manner { body: bytes.to_vec(), ..Manner::default() });
        let out = tempfile::tempdir().unwrap();
        let error = run(&entry(container, None, None), &out, &server.base).unwrap_err();
        assert!(matches!(&error, FetchError::BadRows { .. }) && error.to_string().contains(reason), "{error}");
        assert!(names(&out).is_empty());
    }
}

#[test]
fn damaged_parquet_files_are_errors_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    for at in (0..GREY.len()).step_by(29) {
        let mut bytes = GREY.to_vec();
        bytes[at] ^= 0x41;
        std::fs::write(&path, bytes).unwrap();
        // Some bytes do not matter.
        let _ = rows::convert(&path, Container::Idx);
    }
}

#[test]
fn bodies_beyond_the_size_stated_or_supported_are_refused() {
    let out = tempfile::tempdir().unwrap();
    let longer = Manner {
        body: GREY.to_vec(),
        hides_length: true,
        redirects_with: Some((sha256(GREY), GREY.len() - 1)),
        ..Manner::default()
    };
    let error = run(&grey(), &out, &Server::start(longer).base).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert!(names(&out).is_empty());
    let huge = Manner { body: GREY.to_vec(), claims: Some((1 << 30) + 1), ..Manner::default() };
    let error = run(&grey(), &out, &Server::start(huge).base).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 0x4000_0000, .. }), "{error}");
    assert!(names(&out).is_empty());
}

#[test]
fn refusals_and_silence_are_reported_with_the_address() {
    let out = tempfile::tempdir().unwrap();
    let server = Server::start(Manner { status: Some(404), ..Manner::default() });
    let error = run(&grey(), &out, &server.base).unwrap_err();
    assert!(matches!(&error, FetchError::Status { status: 404, url } if url.ends_with("b.parquet")), "{error}");
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(&grey(), &out, &Base::parse(&format!("http://{closed}"))).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("--base-url"));
}

#[test]
fn redirections_without_end_or_to_other_schemes_are_refused() {
    let out = tempfile::tempdir().unwrap();
    for (location, reason) in [
        ("/again", "too many"),
        ("file:///etc/hostname", "expected https"),
        ("//elsewhere/x", "expected https"),
        ("", "nowhere"),
    ] {
        let server = Server::start(Manner { location: Some(location.to_owned()), ..Manner::default() });
        let error = run(&grey(), &out, &server.base).unwrap_err();
        assert!(matches!(&error, FetchError::Redirect { .. }) && error.to_string().contains(reason), "{error}");
        assert!(server.requests.lock().unwrap().len() <= 10);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let base = Base::parse("http://127.0.0.1:1");
    let error = fetch_entry(&grey(), &file.join("below"), &base, &mut Silent).unwrap_err();
    assert!(matches!(error, FetchError::Io { .. }), "{error}");
}

#[test]
fn names_are_given_back_and_unknown_ones_are_rejected() {
    for fetchable in Fetchable::ALL {
        assert_eq!(fetchable.to_string().parse::<Fetchable>().unwrap(), fetchable);
        let entry = fetchable.entry();
        for part in [&entry.train, &entry.test] {
            let known = part.content_sha256.or(part.file_sha256).unwrap();
            assert!(known.len() == 64 && known.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
    assert!(matches!("imagenet".parse::<Fetchable>(), Err(FetchError::Unknown { found }) if found == "imagenet"));
}

#[test]
fn addresses_and_folders_are_told_apart() {
    assert_eq!(Base::parse("https://mirror/hub/"), Base::Http("https://mirror/hub".to_owned()));
    assert_eq!(Base::parse("file:///some/where"), Base::Folder("/some/where".into()));
    assert_eq!(Base::parse("some/where"), Base::Folder("some/where".into()));
}
