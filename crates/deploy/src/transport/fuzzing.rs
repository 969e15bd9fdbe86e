//! Doors of the fuzz targets to what is private here.

use super::bulk::{Reader, Room};
use super::control::Frame;
use super::heads::{CHECKSUM_AT, HEAD};
use super::hello::{Answer, HELLO_BYTES_MAX, Hello};
use super::identity::{Identity, Tls};
use super::wire::{self, Limits};
use bytes::BytesMut;
use futures_util::FutureExt;
use xxhash_rust::xxh3::Xxh3;

const LIMITS: Limits = Limits { bodies: 4, elements: 4096, frame_bytes: 1 << 17 };

/// A frame; its checksum is made right, so that what lies behind is reached.
pub fn frame(bytes: &[u8]) {
    let _ = wire::decode(bytes, &LIMITS);
    let mut bytes = bytes.to_vec();
    if bytes.len() >= HEAD {
        let mut hash = Xxh3::new();
        hash.update(&bytes[..CHECKSUM_AT]);
        hash.update(&bytes[HEAD..]);
        bytes[CHECKSUM_AT..HEAD].copy_from_slice(&hash.digest().to_le_bytes());
    }
    if let Ok(message) = wire::decode(&bytes, &LIMITS) {
        assert_eq!(wire::encode(&message).expect("what was read can be written"), bytes);
    }
}

/// The first words of a connection, by both ends.
pub fn hello(bytes: &[u8]) {
    if let Ok(hello) = hcddl_files::bytes::from_bytes::<Hello>(bytes, HELLO_BYTES_MAX as u64) {
        assert_eq!(hcddl_files::bytes::to_bytes(&hello).expect("what was read can be written"), bytes);
        let _ = hello.refusal("run", hcddl_core::domain::NodeId(0));
    }
    let _ = hcddl_files::bytes::from_bytes::<Answer>(bytes, HELLO_BYTES_MAX as u64);
}

/// A frame of the control lane and the message in it.
pub fn control(bytes: &[u8]) {
    if let Ok(frame) = hcddl_files::bytes::from_bytes::<Frame>(bytes, 1 << 19)
        && let super::control::Content::Message { frame, .. } = frame.content
    {
        let _ = wire::decode(&frame, &LIMITS);
    }
}

/// A stream of messages with tensors.
pub fn bulk(bytes: &[u8]) {
    let mut reader = Reader::new(bytes, BytesMut::new(), LIMITS, Room::new(&LIMITS));
    // A slice is always ready, and nobody else takes room.
    while let Some(Ok(Some(_))) = reader.next().now_or_never() {}
}

/// Certificates and a key.
pub fn identity(identity: &Identity) {
    let _ = Tls::new("run", identity);
}
