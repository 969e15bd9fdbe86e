//! stdout carries results, stderr everything else. A reader that goes away (`| head`) is not an error. Both are doors
//! through which no text of others can make the terminal obey it.

use hcddl_core::domain::text::visible;
use std::io::{ErrorKind, IsTerminal, Write};

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
    let mut stderr = std::io::stderr().lock();
    let colour = match kind {
        "error" => Some(31),
        "warning" => Some(33),
        _ => None,
    };
    let _ = match colour.filter(|_| colours()) {
        Some(colour) => writeln!(stderr, "\u{1b}[1;{colour}m{kind}\u{1b}[0m: {}", visible(text)),
        None => writeln!(stderr, "{kind}: {}", visible(text)),
    };
}

/// Whether stderr shows colours: it is a terminal, and nobody minds (<https://no-color.org>).
pub fn colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}
