//! What travels between desk and device: a kind, a length, that many bytes.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most bytes of a frame.
const BYTES_MAX: u32 = 1 << 20;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// From the device: its name.
    Hello(String),
    /// To the device: run this script.
    Run(String),
    /// To the device: the script's standard input; empty at its end.
    Input(Vec<u8>),
    /// From the device: standard output; empty at its end.
    Output(Vec<u8>),
    /// From the device: standard error; empty at its end.
    Error(Vec<u8>),
    /// From the device: the exit code; `None` for a signal.
    Exit(Option<i32>),
    /// From the device: the script could not be started.
    Failed(String),
    /// Both ways: I am still there.
    Alive,
}

/// Writes a frame.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let code;
    let (kind, bytes): (u8, &[u8]) = match frame {
        Frame::Hello(name) => (1, name.as_bytes()),
        Frame::Run(script) => (2, script.as_bytes()),
        Frame::Input(bytes) => (3, bytes),
        Frame::Output(bytes) => (4, bytes),
        Frame::Error(bytes) => (5, bytes),
        Frame::Exit(exit) => {
            code = exit.map_or(String::new(), |code| code.to_string());
            (6, code.as_bytes())
        }
        Frame::Failed(why) => (7, why.as_bytes()),
        Frame::Alive => (8, &[]),
    };
    to.write_u8(kind).await?;
    to.write_u32_le(bytes.len() as u32).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

/// Reads a frame.
///
/// # Errors
/// The connection's, and [`io::ErrorKind::InvalidData`] for bytes that are not a message.
pub(super) async fn hear(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let kind = from.read_u8().await?;
    let length = from.read_u32_le().await?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    if length > BYTES_MAX {
        return Err(invalid());
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).await?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| invalid());
    Ok(match kind {
        1 => Frame::Hello(text(bytes)?),
        2 => Frame::Run(text(bytes)?),
        3 => Frame::Input(bytes),
        4 => Frame::Output(bytes),
        5 => Frame::Error(bytes),
        6 if bytes.is_empty() => Frame::Exit(None),
        6 => Frame::Exit(Some(text(bytes)?.parse().map_err(|_| invalid())?)),
        7 => Frame::Failed(text(bytes)?),
        8 => Frame::Alive,
        _ => return Err(invalid()),
    })
}
