//! stdout carries results, stderr everything else. A reader that goes away (`| head`) is not an error. Both are doors
//! through which no text of others can make the terminal obey it.

use crate::domain::text::visible;
use std::io::{ErrorKind, Write};

/// Writes a result to stdout.
///
/// # Errors
/// When stdout cannot be written, unless its reader has gone.
pub fn result(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(visible(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to stdout"))
        }
        _ => Ok(()),
    }
}

/// Writes `kind: text` to stderr; when even that fails there is nobody left to tell.
pub fn note(kind: &str, text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{kind}: {}", visible(text));
}
