//! The stream of an edge for messages with tensors.
//!
//! For each message: an envelope (length, then bincode, through `tokio_serde`), the heads of [`super::wire`], the raw
//! payloads, and the XXH3-64 of heads and payloads. The checksum comes last, and its field in the head is zero, so
//! that nobody reads a tensor twice. Tensors are written from where they lie and read to where they will stay.

use super::heads::{self, HEAD, Heads, Payload};
use super::hello::{Framing, framing, lengths};
use super::links::{Credit, Stamp};
use super::wire::{Limits, WireError};
use bytes::{Buf, BytesMut};
use futures_util::{SinkExt, StreamExt};
use hcddl_core::domain::{Body, Message};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use xxhash_rust::xxh3::Xxh3;

/// Longest envelope, in bytes.
const ENVELOPE_BYTES_MAX: usize = 64;
/// Bytes that are hashed and written, or read and hashed, at a time: they stay in the cache in between.
const PIECE: usize = 256 << 10;
/// Bytes of one permit of a [`Room`].
const ROOM_UNIT: u64 = 1 << 10;

/// What comes next on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Envelope {
    /// A message.
    Message { life: u32, ordinal: u64 },
    /// Nothing; the receiver says that it has come this far.
    Mark,
}

/// Why a stream ends.
#[derive(Debug, Error)]
pub(super) enum BulkError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Bytes of received tensors that may wait for the node.
#[derive(Clone, Debug)]
pub(super) struct Room {
    permits: Arc<Semaphore>,
    size: u32,
}

impl Room {
    /// Room for two tensors of the largest size, so that one can arrive while the other is worked on.
    pub fn new(limits: &Limits) -> Self {
        let bytes = 2 * (4 * limits.elements as u64 + ROOM_UNIT);
        let size = u32::try_from(bytes / ROOM_UNIT).unwrap_or(u32::MAX).max(1024);
        Self { permits: Arc::new(Semaphore::new(size as usize)), size }
    }

    /// Waits for room. What is larger than everything gets everything.
    async fn take(&self, bytes: u64) -> Credit {
        let permits = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX).min(self.size);
        Credit(self.permits.clone().acquire_many_owned(permits).await.ok())
    }
}

/// What a stream brings.
pub(super) enum Incoming {
    Message { stamp: Stamp, message: Message, credit: Credit },
    Mark,
}

/// The receiving half.
pub(super) struct Reader<R> {
    frames: Framing<FramedRead<R, LengthDelimitedCodec>, Envelope>,
    limits: Limits,
    room: Room,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads from `io`, after what has been read already.
    pub fn new(io: R, early: BytesMut, limits: Limits, room: Room) -> Self {
        let mut frames = FramedRead::new(io, lengths(ENVELOPE_BYTES_MAX));
        *frames.read_buffer_mut() = early;
        Self { frames: framing(frames, ENVELOPE_BYTES_MAX), limits, room }
    }

    /// The next thing; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Incoming>, BulkError> {
        let (life, ordinal) = match self.frames.next().await.transpose()? {
            None => return Ok(None),
            Some(Envelope::Mark) => return Ok(Some(Incoming::Mark)),
            Some(Envelope::Message { life, ordinal }) => (life, ordinal),
        };
        let mut hash = Xxh3::new();
        let mut frame = vec![0; HEAD];
        self.fill(&mut frame, &mut hash).await?;
        let size = Heads::size(&frame, &self.limits)?;
        frame.resize(size, 0);
        self.fill(&mut frame[HEAD..], &mut hash).await?;
        let mut heads = Heads::read(&frame, &self.limits)?;
        let credit = self.room.take(heads.payload_bytes()).await;
        let mut bodies = Vec::with_capacity(heads.bodies.len());
        for head in std::mem::take(&mut heads.bodies) {
            bodies.push(self.body(head, &mut hash).await?);
        }
        let mut sum = [0; 8];
        self.fill(&mut sum, &mut Xxh3::new()).await?;
        if hash.digest() != u64::from_le_bytes(sum) {
            return Err(WireError::Checksum.into());
        }
        let message = heads.finish(bodies)?;
        Ok(Some(Incoming::Message { stamp: Stamp { life, ordinal }, message, credit }))
    }

    async fn body(&mut self, mut head: heads::BodyHead, hash: &mut Xxh3) -> Result<Body, BulkError> {
        match head.codec.take() {
            None => {
                let mut values = vec![0.0_f32; head.elements];
                self.fill(bytes_of_mut(&mut values), hash).await?;
                from_little_endian(&mut values);
                Ok(head.dense(values))
            }
            Some(codec) => {
                let mut payload = vec![0; head.bytes as usize];
                self.fill(&mut payload, hash).await?;
                Ok(head.coded(codec, payload))
            }
        }
    }

    /// Fills a buffer, first with what was read together with the envelope.
    async fn fill(&mut self, buffer: &mut [u8], hash: &mut Xxh3) -> std::io::Result<()> {
        let frames = self.frames.get_mut();
        let early = frames.read_buffer_mut();
        let there = early.len().min(buffer.len());
        early.copy_to_slice(&mut buffer[..there]);
        hash.update(&buffer[..there]);
        for piece in buffer[there..].chunks_mut(PIECE) {
            frames.get_mut().read_exact(piece).await?;
            hash.update(piece);
        }
        Ok(())
    }
}

/// The sending half.
pub(super) struct Writer<W> {
    frames: Framing<FramedWrite<W, LengthDelimitedCodec>, Envelope>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub fn new(io: W) -> Self {
        let frames = FramedWrite::new(io, lengths(ENVELOPE_BYTES_MAX));
        Self { frames: framing(frames, ENVELOPE_BYTES_MAX) }
    }

    /// Asks the receiver to say that it has come this far.
    pub async fn mark(&mut self) -> Result<(), BulkError> {
        Ok(self.frames.send(Envelope::Mark).await?)
    }

    /// Sends a message.
    pub async fn send(&mut self, stamp: Stamp, message: &Message) -> Result<(), BulkError> {
        let mut start = Vec::new();
        heads::put(&mut start, message)?;
        let payloads = message.bodies.iter().map(heads::payload).collect::<Result<Vec<_>, _>>()?;
        self.frames.send(Envelope::Message { life: stamp.life, ordinal: stamp.ordinal }).await?;
        let io = self.frames.get_mut().get_mut();
        let mut hash = Xxh3::new();
        write(io, &start, &mut hash).await?;
        for payload in payloads {
            match payload {
                Payload::Bytes(bytes) => write(io, bytes, &mut hash).await?,
                Payload::Values(values) => write_values(io, values, &mut hash).await?,
            }
        }
        io.write_all(&hash.digest().to_le_bytes()).await?;
        Ok(io.flush().await?)
    }
}

async fn write(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8], hash: &mut Xxh3) -> std::io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        hash.update(piece);
        io.write_all(piece).await?;
    }
    Ok(())
}

#[cfg(target_endian = "little")]
async fn write_values(
    io: &mut (impl AsyncWrite + Unpin),
    values: &[f32],
    hash: &mut Xxh3,
) -> std::io::Result<()> {
    // SAFETY: every f32 is four bytes without padding, and u8 needs no alignment.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
    write(io, bytes, hash).await
}

#[cfg(target_endian = "big")]
async fn write_values(
    io: &mut (impl AsyncWrite + Unpin),
    values: &[f32],
    hash: &mut Xxh3,
) -> std::io::Result<()> {
    for piece in values.chunks(PIECE / 4) {
        let bytes: Vec<u8> = piece.iter().flat_map(|v| v.to_le_bytes()).collect();
        write(io, &bytes, hash).await?;
    }
    Ok(())
}

/// The bytes of values, in the order of this machine.
fn bytes_of_mut(values: &mut [f32]) -> &mut [u8] {
    // SAFETY: every f32 is four bytes without padding, u8 needs no alignment, and all bits make an f32.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), size_of_val(values)) }
}

fn from_little_endian(values: &mut [f32]) {
    if cfg!(target_endian = "big") {
        values.iter_mut().for_each(|v| *v = f32::from_bits(v.to_bits().swap_bytes()));
    }
}

#[cfg(test)]
#[path = "bulk_tests.rs"]
mod tests;
