//! The wire format: one frame for each [`Message`].
//!
//! A frame is as long as [`Message::bytes`] says, so the simulator charges exactly what a deployment sends.
//! All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `hcdl` |
//! | 4 | 2 | format version |
//! | 6 | 1 | lane: 0 control, 1 model |
//! | 7 | 1 | number of bodies |
//! | 8 | 16 | kind, ASCII, padded with zeros |
//! | 24 | 8 | sequence number within (from, to, lane) |
//! | 32 | 48 | version, base, root, the long number of the detail, samples, steps |
//! | 80 | 8 | the short number of the detail (u32), loss (f32) |
//! | 88 | 8 | XXH3-64 of the whole frame, these 8 bytes left out |
//!
//! Then 32 bytes for each body: name (12), codec (12, all zeros for raw f32), elements (u32), bytes (u32).
//! Then the bodies' payloads in the same order, so that a reader knows every length before the first tensor.

use super::heads::{self, CHECKSUM_AT, HEAD, Heads, Payload, at_most};
use hcddl_core::domain::Message;
use hcddl_core::domain::message::{BODY_HEAD_BYTES, HEAD_BYTES};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

/// Version of the frame format and of the [bytes](hcddl_files::bytes) of control messages; a reader refuses any other.
pub const WIRE_VERSION: u16 = 1;
/// Longest name of a message kind, in bytes.
pub const KIND_BYTES_MAX: usize = 16;
/// Longest name of a body or of a codec, in bytes.
pub const NAME_BYTES_MAX: usize = 12;

/// What a reader accepts; it allocates no more than this, whatever a frame claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bodies in one frame.
    pub bodies: usize,
    /// Elements of one plain tensor, also of a coded one once it is decoded.
    pub elements: usize,
    /// Bytes of one frame.
    pub frame_bytes: u64,
}

impl Limits {
    /// Limits for messages about a model of so many parameters: four tensors of its size, coded or not.
    #[must_use]
    pub fn for_model(params: usize) -> Self {
        let payload = 4 * (params as u64 * 8 + BODY_HEAD_BYTES);
        Self { bodies: 4, elements: params, frame_bytes: HEAD_BYTES + payload }
    }
}

/// Why bytes are not a frame, or a message cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// Fewer bytes than the format needs.
    #[error("frame is cut short: {got} bytes, needs {needs}")]
    Truncated {
        /// Bytes given.
        got: u64,
        /// Bytes needed.
        needs: u64,
    },
    /// More bytes than the heads announce.
    #[error("frame has {0} bytes too many")]
    Trailing(u64),
    /// The first bytes are not ours.
    #[error("not an hcddl frame: it does not start with `hcdl`")]
    Magic,
    /// A frame of another program version.
    #[error(
        "wire format version {0}, this program speaks {WIRE_VERSION}; run the same hcddl version on every host"
    )]
    Version(u16),
    /// The bytes were changed on their way.
    #[error("checksum does not match: the frame was damaged")]
    Checksum,
    /// A claim beyond the limits.
    #[error("{what} is {value}, allowed are {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The claim.
        value: u64,
        /// The limit.
        max: u64,
    },
    /// A name that does not fit its field.
    #[error("{what} `{name}` must be 1 to {max} visible ASCII characters")]
    Name {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// Longest name.
        max: usize,
    },
    /// A field whose value has no meaning.
    #[error("frame field `{0}` has a value without meaning")]
    Field(&'static str),
    /// A timing-only message has no values to send.
    #[error("body `{0}` has no values: a timing-only message cannot be encoded")]
    Absent(String),
    /// A coded body whose announced size is not the size of its payload.
    #[error("body `{name}` announces {announced} bytes and has {actual}")]
    Size {
        /// The body.
        name: String,
        /// What `bytes` says.
        announced: u64,
        /// What the payload is.
        actual: u64,
    },
}

/// Encodes a message; the result is exactly [`Message::bytes`] long.
///
/// # Errors
/// [`WireError`] when a name does not fit, a body has no values or is larger than 4 GiB, or there are more
/// than 255 bodies.
pub fn encode(message: &Message) -> Result<Vec<u8>, WireError> {
    let mut frame = Vec::with_capacity(message.bytes() as usize);
    heads::put(&mut frame, message)?;
    for body in &message.bodies {
        match heads::payload(body)? {
            Payload::Values(values) => values.iter().for_each(|v| frame.extend_from_slice(&v.to_le_bytes())),
            Payload::Bytes(bytes) => frame.extend_from_slice(bytes),
        }
    }
    assert_eq!(frame.len() as u64, message.bytes(), "the simulator charges what is sent");
    let sum = checksum(&frame);
    frame[CHECKSUM_AT..HEAD].copy_from_slice(&sum.to_le_bytes());
    Ok(frame)
}

/// Decodes one whole frame.
///
/// # Errors
/// [`WireError`] for everything that [`encode`] has not written, or that is beyond `limits`. Never panics.
pub fn decode(frame: &[u8], limits: &Limits) -> Result<Message, WireError> {
    let got = frame.len() as u64;
    at_most("frame size in bytes", got, limits.frame_bytes)?;
    let mut heads = Heads::read(frame, limits)?;
    let payload_at = Heads::size(frame, limits)?;
    let needs = payload_at as u64 + heads.payload_bytes();
    if got < needs {
        return Err(WireError::Truncated { got, needs });
    }
    if got > needs {
        return Err(WireError::Trailing(got - needs));
    }
    if frame[CHECKSUM_AT..HEAD] != checksum(frame).to_le_bytes() {
        return Err(WireError::Checksum);
    }
    let mut rest = &frame[payload_at..];
    let mut bodies = Vec::with_capacity(heads.bodies.len());
    for mut head in std::mem::take(&mut heads.bodies) {
        let (payload, after) = rest.split_at(head.bytes as usize);
        rest = after;
        bodies.push(match head.codec.take() {
            None => {
                let (values, _) = payload.as_chunks::<4>();
                head.dense(values.iter().map(|v| f32::from_le_bytes(*v)).collect())
            }
            Some(codec) => head.coded(codec, payload.to_vec()),
        });
    }
    heads.finish(bodies)
}

fn checksum(frame: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&frame[..CHECKSUM_AT]);
    hash.update(&frame[HEAD..]);
    hash.digest()
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
