//! One file over HTTP, continued where it broke off.

use super::FetchError;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::TlsConfig;

/// Attempts in a row that bring no further byte.
const ATTEMPTS: u32 = 4;
/// A connection that brings nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Why an attempt ended.
enum End {
    /// Another one may do better.
    Passing(String),
    /// Another one would end the same.
    Final(FetchError),
}

/// Downloads to `part`, whatever is there already being the start of it; returns the length. More than `most`
/// bytes are refused.
pub(super) fn download(
    url: &str,
    part: &Path,
    most: Option<u64>,
    patience: Duration,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<u64, FetchError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().unversioned_rustls_crypto_provider(provider).build())
        .http_status_as_error(false)
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build()
        .new_agent();
    let mut failures = 0;
    loop {
        let before = length(part);
        match attempt(&agent, url, part, most, progress) {
            Ok(()) => return Ok(length(part)),
            Err(End::Final(error)) => return Err(error),
            Err(End::Passing(problem)) => {
                failures = if length(part) > before { 1 } else { failures + 1 };
                tracing::info!("{url}: {problem}");
                if failures >= ATTEMPTS {
                    return Err(FetchError::Broken { url: url.to_owned(), problem, attempts: failures });
                }
                std::thread::sleep(patience * failures);
            }
        }
    }
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn attempt(
    agent: &ureq::Agent,
    url: &str,
    part: &Path,
    most: Option<u64>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), End> {
    let have = length(part);
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| End::Passing(error.to_string()))?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let start = match response.status().as_u16() {
        200 => 0,
        206 if range_start(header("content-range")) == Some(have) => have,
        206 | 416 => {
            // Not the file that the first part came from, or there is nothing left of it: from the start.
            std::fs::remove_file(part).map_err(|error| End::Final(FetchError::io("remove", part)(error)))?;
            return Err(End::Passing("another range than was asked for".to_owned()));
        }
        status @ (408 | 429 | 500..) => return Err(End::Passing(format!("the server answers {status}"))),
        status => return Err(End::Final(FetchError::Refused { url: url.to_owned(), status })),
    };
    let total = header("content-length").and_then(|length| length.parse::<u64>().ok()).map(|l| start + l);
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .append(start > 0)
        .truncate(start == 0)
        .open(part)
        .map_err(|error| End::Final(FetchError::io("create", part)(error)))?;
    let mut body = response.into_body().into_reader();
    let (mut done, mut buffer) = (start, vec![0; 1 << 16]);
    loop {
        progress(done, total);
        let read = body.read(&mut buffer).map_err(|error| End::Passing(error.to_string()))?;
        if read == 0 {
            break;
        }
        file.write_all(&buffer[..read]).map_err(|error| End::Final(FetchError::io("write", part)(error)))?;
        done += read as u64;
        if most.is_some_and(|most| done > most) {
            let _ = std::fs::remove_file(part);
            let problem =
                format!("from {url} goes on after the {} bytes that it should have", most.unwrap_or(0));
            return Err(End::Final(FetchError::wrong(part, problem)));
        }
    }
    match total {
        Some(total) if done < total => Err(End::Passing(format!("ended after {done} of {total} bytes"))),
        _ => Ok(()),
    }
}

/// `bytes 50-99/100`: 50.
fn range_start(content_range: Option<&str>) -> Option<u64> {
    content_range?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
