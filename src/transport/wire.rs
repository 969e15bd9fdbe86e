//! The wire format: one frame for each [`Message`], and the bytes of checkpoints.
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
//! | 32 | 48 | version, base, root, clock, samples, steps |
//! | 80 | 8 | part (u32), loss (f32) |
//! | 88 | 8 | XXH3-64 of the whole frame, these 8 bytes left out |
//!
//! Then 32 bytes for each body: name (12), codec (12, all zeros for raw f32), elements (u32), bytes (u32).
//! Then the bodies' payloads in the same order, so that a reader knows every length before the first tensor.

use crate::domain::message::{BODY_HEAD_BYTES, HEAD_BYTES};
use crate::domain::{Body, Coded, Data, Head, Kind, Lane, Message, Params, Version};
use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::Arc;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

/// Version of the frame format and of [`to_bytes`]; a reader refuses any other.
pub const WIRE_VERSION: u16 = 1;
/// Longest name of a message kind, in bytes.
pub const KIND_BYTES_MAX: usize = 16;
/// Longest name of a body or of a codec, in bytes.
pub const NAME_BYTES_MAX: usize = 12;

const MAGIC: [u8; 4] = *b"hcdl";
const HEAD: usize = HEAD_BYTES as usize;
const BODY_HEAD: usize = BODY_HEAD_BYTES as usize;
const CHECKSUM_AT: usize = 88;

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
    /// A checkpoint or control value that does not decode.
    #[error("{0}")]
    Value(String),
}

/// Encodes a message; the result is exactly [`Message::bytes`] long.
///
/// # Errors
/// [`WireError`] when a name does not fit, a body has no values or is larger than 4 GiB, or there are more
/// than 255 bodies.
pub fn encode(message: &Message) -> Result<Vec<u8>, WireError> {
    let mut frame = Vec::with_capacity(message.bytes() as usize);
    put_head(&mut frame, message)?;
    for body in &message.bodies {
        put_body_head(&mut frame, body)?;
    }
    for body in &message.bodies {
        put_payload(&mut frame, body)?;
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
    if frame.len() < HEAD {
        return Err(WireError::Truncated { got, needs: HEAD_BYTES });
    }
    if frame[..4] != MAGIC {
        return Err(WireError::Magic);
    }
    let version = u16::from_le_bytes(array(frame, 4));
    if version != WIRE_VERSION {
        return Err(WireError::Version(version));
    }
    let count = usize::from(frame[7]);
    at_most("number of bodies", count as u64, limits.bodies as u64)?;
    let payload_at = HEAD + count * BODY_HEAD;
    if frame.len() < payload_at {
        return Err(WireError::Truncated { got, needs: payload_at as u64 });
    }
    let heads = (0..count)
        .map(|i| BodyHead::read(&frame[HEAD + i * BODY_HEAD..][..BODY_HEAD], limits))
        .collect::<Result<Vec<_>, _>>()?;
    let needs = payload_at as u64 + heads.iter().map(|h| h.bytes).sum::<u64>();
    if got < needs {
        return Err(WireError::Truncated { got, needs });
    }
    if got > needs {
        return Err(WireError::Trailing(got - needs));
    }
    if u64::from_le_bytes(array(frame, CHECKSUM_AT)) != checksum(frame) {
        return Err(WireError::Checksum);
    }
    let mut message = get_head(frame)?;
    let mut rest = &frame[payload_at..];
    for head in heads {
        let (payload, after) = rest.split_at(head.bytes as usize);
        rest = after;
        message.bodies.push(head.body(payload)?);
    }
    let lane = if message.lane() == Lane::Model { 1 } else { 0 };
    if frame[6] != lane {
        return Err(WireError::Field("lane"));
    }
    message.sequence = u64::from_le_bytes(array(frame, 24));
    Ok(message)
}

/// Encodes any value of the checkpoint or of a control message.
///
/// # Errors
/// [`WireError::Value`] when the type cannot be written without its field names.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    options(u64::MAX).serialize(value).map_err(|error| WireError::Value(format!("cannot encode: {error}")))
}

/// Decodes what [`to_bytes`] wrote, reading and allocating at most `bytes_max`.
///
/// # Errors
/// [`WireError::Value`] when the bytes are not an encoding of `T`. Never panics.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8], bytes_max: u64) -> Result<T, WireError> {
    at_most("size in bytes", bytes.len() as u64, bytes_max)?;
    options(bytes_max).deserialize(bytes).map_err(|error| WireError::Value(format!("cannot decode: {error}")))
}

fn options(bytes_max: u64) -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(bytes_max).reject_trailing_bytes()
}

fn put_head(frame: &mut Vec<u8>, message: &Message) -> Result<(), WireError> {
    let count = message.bodies.len();
    at_most("number of bodies", count as u64, u64::from(u8::MAX))?;
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&WIRE_VERSION.to_le_bytes());
    frame.push(if message.lane() == Lane::Model { 1 } else { 0 });
    frame.push(count as u8);
    frame.extend_from_slice(&padded::<KIND_BYTES_MAX>("message kind", message.kind.name())?);
    let Head { version, base, root, clock, samples, steps, part, loss } = message.head;
    for word in [message.sequence, version.0, base.0, root.0, clock, samples, steps] {
        frame.extend_from_slice(&word.to_le_bytes());
    }
    frame.extend_from_slice(&part.to_le_bytes());
    frame.extend_from_slice(&loss.to_le_bytes());
    frame.extend_from_slice(&[0; HEAD - CHECKSUM_AT]);
    Ok(())
}

fn get_head(frame: &[u8]) -> Result<Message, WireError> {
    let word = |i: usize| u64::from_le_bytes(array(frame, 32 + 8 * i));
    let head = Head {
        version: Version(word(0)),
        base: Version(word(1)),
        root: Version(word(2)),
        clock: word(3),
        samples: word(4),
        steps: word(5),
        part: u32::from_le_bytes(array(frame, 80)),
        loss: f32::from_le_bytes(array(frame, 84)),
    };
    let kind = unpadded(&frame[8..8 + KIND_BYTES_MAX]).ok_or(WireError::Field("kind"))?;
    Ok(Message::control(Kind::from(kind), head))
}

fn put_body_head(frame: &mut Vec<u8>, body: &Body) -> Result<(), WireError> {
    let (codec, elements) = match &body.data {
        Data::Dense(params) => ([0; NAME_BYTES_MAX], params.len()),
        Data::Coded(coded) => (padded("codec", &coded.codec)?, coded.len),
    };
    at_most("number of elements of a body", elements as u64, u64::from(u32::MAX))?;
    at_most("size of a body in bytes", body.data.bytes(), u64::from(u32::MAX))?;
    frame.extend_from_slice(&padded::<NAME_BYTES_MAX>("body name", &body.name)?);
    frame.extend_from_slice(&codec);
    frame.extend_from_slice(&(elements as u32).to_le_bytes());
    frame.extend_from_slice(&(body.data.bytes() as u32).to_le_bytes());
    Ok(())
}

fn put_payload(frame: &mut Vec<u8>, body: &Body) -> Result<(), WireError> {
    let absent = || WireError::Absent(body.name.to_string());
    match &body.data {
        Data::Dense(params) => {
            for value in params.values().ok_or_else(absent)? {
                frame.extend_from_slice(&value.to_le_bytes());
            }
        }
        Data::Coded(coded) => {
            let payload = coded.payload.as_ref().ok_or_else(absent)?;
            let (announced, actual) = (coded.bytes, payload.len() as u64);
            if announced != actual {
                return Err(WireError::Size { name: body.name.to_string(), announced, actual });
            }
            frame.extend_from_slice(payload);
        }
    }
    Ok(())
}

struct BodyHead {
    name: String,
    /// `None` for raw f32.
    codec: Option<String>,
    elements: usize,
    bytes: u64,
}

impl BodyHead {
    fn read(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let (name, codec) = (&bytes[..NAME_BYTES_MAX], &bytes[NAME_BYTES_MAX..2 * NAME_BYTES_MAX]);
        let elements = u32::from_le_bytes(array(bytes, 24));
        at_most("number of elements of a body", u64::from(elements), limits.elements as u64)?;
        let head = Self {
            name: unpadded(name).ok_or(WireError::Field("body name"))?,
            codec: match codec {
                [0, ..] => None,
                codec => Some(unpadded(codec).ok_or(WireError::Field("codec"))?),
            },
            elements: elements as usize,
            bytes: u64::from(u32::from_le_bytes(array(bytes, 28))),
        };
        if head.codec.is_none() && head.bytes != u64::from(elements) * 4 {
            return Err(WireError::Field("body bytes"));
        }
        Ok(head)
    }

    fn body(self, payload: &[u8]) -> Result<Body, WireError> {
        let data = match self.codec {
            None => {
                let (values, _) = payload.as_chunks::<4>();
                Data::Dense(Params::new(values.iter().map(|v| f32::from_le_bytes(*v)).collect()))
            }
            Some(codec) => Data::Coded(Coded {
                codec: Cow::Owned(codec),
                len: self.elements,
                bytes: self.bytes,
                payload: Some(Arc::new(payload.to_vec())),
            }),
        };
        Ok(Body { name: Cow::Owned(self.name), data })
    }
}

fn checksum(frame: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&frame[..CHECKSUM_AT]);
    hash.update(&frame[HEAD..]);
    hash.digest()
}

fn at_most(what: &'static str, value: u64, max: u64) -> Result<(), WireError> {
    if value > max { Err(WireError::TooLarge { what, value, max }) } else { Ok(()) }
}

fn padded<const N: usize>(what: &'static str, name: &str) -> Result<[u8; N], WireError> {
    if name.is_empty() || name.len() > N || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(WireError::Name { what, name: name.to_owned(), max: N });
    }
    let mut field = [0; N];
    field[..name.len()].copy_from_slice(name.as_bytes());
    Ok(field)
}

/// The name in a padded field; `None` when [`padded`] has not written it.
fn unpadded(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let (name, padding) = field.split_at(end);
    let valid = !name.is_empty() && name.iter().all(u8::is_ascii_graphic) && padding.iter().all(|b| *b == 0);
    valid.then(|| name.iter().map(|b| char::from(*b)).collect())
}

/// `N` bytes at an offset that the caller has checked.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
