//! The fixed-size heads of a frame: that of the message, and one for each body. See [`super::wire`] for the layout.

use super::wire::{KIND_BYTES_MAX, Limits, NAME_BYTES_MAX, WIRE_VERSION, WireError};
use hcddl_core::domain::message::{BODY_HEAD_BYTES, HEAD_BYTES};
use hcddl_core::domain::{Body, Coded, Data, Detail, Head, Kind, Lane, Message, Params, Version};
use std::borrow::Cow;
use std::sync::Arc;

/// Bytes of the head of a message.
pub(super) const HEAD: usize = HEAD_BYTES as usize;
/// Bytes of the head of a body.
pub(super) const BODY_HEAD: usize = BODY_HEAD_BYTES as usize;
/// Where the checksum lies in the head of a message.
pub(super) const CHECKSUM_AT: usize = 88;

const MAGIC: [u8; 4] = *b"hcdl";

/// The heads of a message, its checksum left zero.
pub(super) fn put(frame: &mut Vec<u8>, message: &Message) -> Result<(), WireError> {
    put_head(frame, message)?;
    message.bodies.iter().try_for_each(|body| put_body_head(frame, body))
}

/// What is sent of a body, as it lies in memory.
pub(super) enum Payload<'a> {
    /// Raw f32.
    Values(&'a [f32]),
    /// The output of a codec.
    Bytes(&'a [u8]),
}

/// The payload of a body.
pub(super) fn payload(body: &Body) -> Result<Payload<'_>, WireError> {
    let absent = || WireError::Absent(body.name.to_string());
    match &body.data {
        Data::Dense(params) => params.values().map(Payload::Values).ok_or_else(absent),
        Data::Coded(coded) => {
            let payload = coded.payload.as_ref().ok_or_else(absent)?;
            let (announced, actual) = (coded.bytes, payload.len() as u64);
            if announced != actual {
                return Err(WireError::Size { name: body.name.to_string(), announced, actual });
            }
            Ok(Payload::Bytes(payload))
        }
    }
}

/// The heads of a frame, read and checked against the limits.
pub(super) struct Heads {
    /// The message, without its bodies.
    pub message: Message,
    /// What the bodies will be.
    pub bodies: Vec<BodyHead>,
    lane: u8,
}

impl Heads {
    /// Bytes that the heads of a frame take whose first [`HEAD`] bytes these are.
    pub fn size(frame: &[u8], limits: &Limits) -> Result<usize, WireError> {
        if frame.len() < HEAD {
            return Err(WireError::Truncated { got: frame.len() as u64, needs: HEAD_BYTES });
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
        Ok(HEAD + count * BODY_HEAD)
    }

    /// Reads heads of which all [`Heads::size`] bytes are there.
    pub fn read(frame: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let size = Self::size(frame, limits)?;
        if frame.len() < size {
            return Err(WireError::Truncated { got: frame.len() as u64, needs: size as u64 });
        }
        let (bodies, _) = frame[HEAD..size].as_chunks::<BODY_HEAD>();
        let bodies = bodies.iter().map(|b| BodyHead::read(b, limits)).collect::<Result<Vec<_>, _>>()?;
        let mut message = get_head(frame)?;
        message.sequence = u64::from_le_bytes(array(frame, 24));
        let heads = Self { message, bodies, lane: frame[6] };
        at_most("frame size in bytes", size as u64 + heads.payload_bytes(), limits.frame_bytes)?;
        Ok(heads)
    }

    /// Bytes of all payloads.
    pub fn payload_bytes(&self) -> u64 {
        self.bodies.iter().map(|head| head.bytes).sum()
    }

    /// The message with its bodies.
    pub fn finish(self, bodies: Vec<Body>) -> Result<Message, WireError> {
        let message = Message { bodies, ..self.message };
        if self.lane != lane_byte(&message) {
            return Err(WireError::Field("lane"));
        }
        Ok(message)
    }
}

fn lane_byte(message: &Message) -> u8 {
    if message.lane() == Lane::Model { 1 } else { 0 }
}

fn put_head(frame: &mut Vec<u8>, message: &Message) -> Result<(), WireError> {
    let count = message.bodies.len();
    at_most("number of bodies", count as u64, u64::from(u8::MAX))?;
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&WIRE_VERSION.to_le_bytes());
    frame.push(lane_byte(message));
    frame.push(count as u8);
    frame.extend_from_slice(&padded::<KIND_BYTES_MAX>("message kind", message.kind.name())?);
    // The two numbers of the detail lie apart, where they did when they were fields of their own: the format stays.
    let Head { version, base, root, samples, steps, loss, detail } = message.head;
    for word in [message.sequence, version.0, base.0, root.0, detail.long, samples, steps] {
        frame.extend_from_slice(&word.to_le_bytes());
    }
    frame.extend_from_slice(&detail.short.to_le_bytes());
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
        samples: word(4),
        steps: word(5),
        loss: f32::from_le_bytes(array(frame, 84)),
        detail: Detail { long: word(3), short: u32::from_le_bytes(array(frame, 80)) },
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

/// What a body will be.
pub(super) struct BodyHead {
    name: String,
    /// `None` for raw f32.
    pub codec: Option<String>,
    pub elements: usize,
    /// Bytes of its payload.
    pub bytes: u64,
}

impl BodyHead {
    fn read(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let (name, codec) = (&bytes[..NAME_BYTES_MAX], &bytes[NAME_BYTES_MAX..2 * NAME_BYTES_MAX]);
        let elements = u32::from_le_bytes(array(bytes, 24));
        at_most("number of elements of a body", u64::from(elements), limits.elements as u64)?;
        let head = Self {
            name: unpadded(name).ok_or(WireError::Field("body name"))?,
            codec: match codec {
                codec if codec.iter().all(|byte| *byte == 0) => None,
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

    /// The body with these values, of which there are as many as it says.
    pub fn dense(self, values: Vec<f32>) -> Body {
        Body { name: Cow::Owned(self.name), data: Data::Dense(Params::new(values)) }
    }

    /// The body of this codec with these bytes, of which there are as many as it says.
    pub fn coded(self, codec: String, payload: Vec<u8>) -> Body {
        let payload = Some(Arc::new(payload));
        let coded = Coded { codec: Cow::Owned(codec), len: self.elements, bytes: self.bytes, payload };
        Body { name: Cow::Owned(self.name), data: Data::Coded(coded) }
    }
}

pub(super) fn at_most(what: &'static str, value: u64, max: u64) -> Result<(), WireError> {
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
