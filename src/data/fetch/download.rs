//! One file over HTTP, continued where an earlier attempt broke off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use tracing::info;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::FetchError;
use crate::files;
use crate::progress::Progress;

/// No data set here has a file that large.
const MAX_BYTES: u64 = 1 << 30;
const MAX_REQUESTS: usize = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence of a server.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// Brings `url` into the file `part`, after the bytes that are there already where the server allows that, and gives the
/// SHA-256 that the server states for the whole, if it does.
pub(super) fn download(url: &str, part: &Path, progress: &mut dyn Progress) -> Result<Option<String>, FetchError> {
    let mut attempt = Attempt { first: url, url: url.to_owned(), have: length(part), size: None, sha256: None };
    let agent = agent();
    for _ in 0..MAX_REQUESTS {
        let response = attempt.request(&agent)?;
        attempt.note(&response);
        match response.status() {
            status if status.is_redirection() => attempt.follow(&response)?,
            StatusCode::OK => {
                attempt.have = 0;
                attempt.receive(response, part, progress)?;
                return Ok(attempt.sha256);
            }
            StatusCode::PARTIAL_CONTENT
                if content_range(&response).is_some_and(|(start, _)| start == Some(attempt.have)) =>
            {
                attempt.receive(response, part, progress)?;
                return Ok(attempt.sha256);
            }
            StatusCode::RANGE_NOT_SATISFIABLE if content_range(&response) == Some((None, Some(attempt.have))) => {
                return Ok(attempt.sha256);
            }
            // Something else is there than what was begun.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if attempt.have > 0 => attempt.have = 0,
            status => return Err(FetchError::Status { url: attempt.url, status: status.as_u16() }),
        }
    }
    Err(FetchError::Redirect { url: url.to_owned(), location: attempt.url, reason: "too many in a row" })
}

/// Redirections are followed here, because the first answer has the checksum and the last one the bytes.
fn agent() -> Agent {
    Agent::config_builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .accept_encoding("identity")
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT))
        .user_agent(concat!("vaecert/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// The state of a download.
struct Attempt<'a> {
    first: &'a str,
    url: String,
    /// Bytes of the file that are there.
    have: u64,
    /// Of the whole file, as stated by the server that redirects.
    size: Option<u64>,
    sha256: Option<String>,
}

impl Attempt<'_> {
    fn request(&self, agent: &Agent) -> Result<Response<Body>, FetchError> {
        info!(url = self.url, from_byte = self.have, "request");
        let mut request = agent.get(&self.url);
        if self.have > 0 {
            request = request.header("Range", format!("bytes={}-", self.have));
        }
        request.call().map_err(|error| FetchError::Unreachable { url: self.url.clone(), reason: error.to_string() })
    }

    /// Keeps what the hub says about the file before it redirects.
    fn note(&mut self, response: &Response<Body>) {
        if let Some(tag) = header(response, "x-linked-etag") {
            let tag = tag.trim_matches('"').to_ascii_lowercase();
            if tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                self.sha256.get_or_insert(tag);
            }
        }
        self.size = self.size.or_else(|| header(response, "x-linked-size")?.parse().ok());
    }

    fn follow(&mut self, response: &Response<Body>) -> Result<(), FetchError> {
        let location = header(response, "location").unwrap_or_default().to_owned();
        let refused = |reason| FetchError::Redirect { url: self.url.clone(), location: location.clone(), reason };
        let (scheme, rest) = self.url.split_once("://").ok_or_else(|| refused("the address has no scheme"))?;
        let host = rest.split('/').next().unwrap_or_default();
        let target = match location.as_str() {
            "" => return Err(refused("it says nowhere")),
            whole if whole.starts_with("https://") => whole.to_owned(),
            whole if whole.starts_with("http://") && scheme == "http" => whole.to_owned(),
            whole if whole.starts_with("http://") => return Err(refused("it leaves the encrypted connection")),
            rooted if rooted.starts_with('/') && !rooted.starts_with("//") => format!("{scheme}://{host}{rooted}"),
            _ => return Err(refused("expected https:// or an absolute path")),
        };
        self.url = target;
        Ok(())
    }

    /// Appends the body to the bytes that are there.
    fn receive(
        &mut self,
        response: Response<Body>,
        part: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        let remaining = response.body().content_length();
        let announced = content_range(&response).and_then(|(_, total)| total);
        let total = self.size.or(announced).or_else(|| remaining.map(|remaining| remaining.saturating_add(self.have)));
        let limit = total.unwrap_or(MAX_BYTES);
        if limit.max(remaining.unwrap_or(0)) > MAX_BYTES {
            return Err(FetchError::TooLarge { url: self.first.to_owned(), limit: MAX_BYTES });
        }
        let mut file = open(part, self.have)?;
        let steps = |bytes: u64| usize::try_from(bytes / MIB).unwrap_or(usize::MAX);
        progress.begin("MiB", steps(limit), steps(self.have));
        let outcome = self.copy(response, &mut file, part, limit, total, progress);
        progress.end();
        outcome?;
        file.sync_all().map_err(|source| FetchError::Io { path: part.to_owned(), source })
    }

    fn copy(
        &mut self,
        response: Response<Body>,
        file: &mut File,
        part: &Path,
        limit: u64,
        total: Option<u64>,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        let interrupted =
            |received, reason: String| FetchError::Interrupted { url: self.first.to_owned(), received, total, reason };
        let mut body = response.into_body().into_with_config().limit(MAX_BYTES + 1).reader();
        let mut chunk = vec![0; 1 << 16];
        loop {
            let count = body.read(&mut chunk).map_err(|error| interrupted(self.have, error.to_string()))?;
            if count == 0 {
                break;
            }
            let before = self.have / MIB;
            self.have += count as u64;
            if self.have > limit {
                // What is there cannot be continued.
                let _ = std::fs::remove_file(part);
                return Err(FetchError::TooLarge { url: self.first.to_owned(), limit });
            }
            file.write_all(chunk.get(..count).unwrap_or_default())
                .map_err(|source| FetchError::Io { path: part.to_owned(), source })?;
            (before..self.have / MIB).for_each(|_| progress.step(""));
        }
        match total {
            Some(total) if self.have < total => Err(interrupted(self.have, "the connection was closed".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Opens the file for what follows its first `have` bytes, and keeps other processes out.
fn open(part: &Path, have: u64) -> Result<File, FetchError> {
    let failed = |source| FetchError::Io { path: part.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(part).map_err(failed)?;
    if !files::lock(&file).map_err(failed)? {
        return Err(failed(io::Error::new(io::ErrorKind::WouldBlock, "another process is fetching into it")));
    }
    file.set_len(have).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
    Ok(file)
}

fn length(part: &Path) -> u64 {
    std::fs::metadata(part).map(|metadata| metadata.len()).unwrap_or(0)
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The first byte and the total of `bytes FIRST-LAST/TOTAL`, where given.
fn content_range(response: &Response<Body>) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = header(response, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split('-').next().and_then(|first| first.parse().ok()), total.parse().ok()))
}
