//! Invariant: what is read is what was written, and nothing else is read.

use super::*;
use hcddl_core::domain::{Coded, Data, Head, Kind, Params};
use proptest::prelude::*;
use std::borrow::Cow;

const LIMITS: Limits = Limits { bodies: 3, elements: 1 << 20, frame_bytes: 8 << 20 };
const STAMP: Stamp = Stamp { life: 3, ordinal: 9 };

fn messages() -> Vec<Message> {
    let dense = |n: usize| Data::Dense(Params::new((0..n).map(|i| i as f32 * 0.5 - 7.0).collect()));
    let payload = Arc::new(vec![1, 2, 3, 4, 5]);
    let coded = Coded { codec: Cow::Borrowed("int8"), len: 5, bytes: 5, payload: Some(payload) };
    let mut mixed = Message::with(Kind::new("update"), Head::default(), "delta", Data::Coded(coded));
    mixed.bodies.push(Body { name: Cow::Borrowed("control"), data: dense(100_000) });
    mixed.sequence = 77;
    let with =
        |n| Message::with(Kind::new("assign"), Head { samples: 3, ..Head::default() }, "model", dense(n));
    vec![with(1), mixed, with(0), with(300_000)]
}

async fn written(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    for message in messages {
        writer.send(STAMP, message).await.unwrap();
    }
    writer.mark().await.unwrap();
    bytes
}

fn reader<'a>(bytes: &'a [u8], early: &[u8], limits: Limits) -> Reader<&'a [u8]> {
    Reader::new(bytes, BytesMut::from(early), limits, Room::new(&limits))
}

#[tokio::test]
async fn messages_come_back_wherever_the_hello_ended() {
    let bytes = written(&messages()).await;
    for early in [0, 1, 30, 5000] {
        let mut reader = reader(&bytes[early..], &bytes[..early], LIMITS);
        for expected in messages() {
            let Ok(Some(Incoming::Message { stamp, message, .. })) = reader.next().await else { panic!() };
            assert_eq!((stamp, message), (STAMP, expected));
        }
        assert!(matches!(reader.next().await, Ok(Some(Incoming::Mark))));
        assert!(matches!(reader.next().await, Ok(None)));
    }
}

#[tokio::test]
async fn a_stream_is_as_long_as_the_simulator_charges_plus_its_envelopes() {
    let message = &messages()[3];
    let empty = written(&[]).await.len();
    let (envelope, checksum) =
        (4 + hcddl_files::bytes::to_bytes(&Envelope::Message { life: 0, ordinal: 0 }).unwrap().len(), 8);
    let expected = empty + envelope + message.bytes() as usize + checksum;
    assert_eq!(written(std::slice::from_ref(message)).await.len(), expected);
}

#[tokio::test]
async fn a_truncated_tensor_a_long_one_and_a_damaged_one_are_refused() {
    let bytes = written(&messages()[3..]).await;
    let cut = reader(&bytes[..bytes.len() - 100], b"", LIMITS).next().await;
    assert!(matches!(cut, Err(BulkError::Io(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof));
    let limits = Limits { elements: 299_999, ..LIMITS };
    let long = reader(&bytes, b"", limits).next().await;
    assert!(matches!(long, Err(BulkError::Wire(WireError::TooLarge { value: 300_000, .. }))));
    let mut damaged = bytes.clone();
    damaged[600_000] ^= 1;
    let damaged = reader(&damaged, b"", LIMITS).next().await;
    assert!(matches!(damaged, Err(BulkError::Wire(WireError::Checksum))));
}

#[tokio::test]
async fn a_node_that_does_not_take_its_tensors_stops_the_stream() {
    let limits = Limits::for_model(300_000);
    let tensor = &messages()[3..];
    let bytes = written(&[tensor, tensor, tensor].concat()).await;
    let mut reader = reader(&bytes, b"", limits);
    let first = reader.next().await.unwrap();
    let _second = reader.next().await.unwrap();
    {
        let third = reader.next();
        tokio::pin!(third);
        assert!(futures_util::poll!(&mut third).is_pending(), "there is room for two");
        drop(first);
        assert!(matches!(third.await, Ok(Some(Incoming::Message { .. }))));
    }
}

proptest! {
    #[test]
    fn garbage_is_refused(
        garbage in proptest::collection::vec(any::<u8>(), 0..400), at: prop::sample::Index, keep: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut bytes = written(&messages()[..1]).await;
            // Random bytes from the start, or from somewhere within a message, before the mark of 8 bytes.
            bytes.truncate(if keep { at.index(bytes.len() - 8) } else { 0 });
            let good = bytes.len();
            bytes.extend_from_slice(&garbage);
            let mut reader = reader(&bytes, b"", LIMITS);
            while let Ok(Some(incoming)) = reader.next().await {
                // A mark is five bytes of which four are zero: chance may write one, never a message.
                prop_assert!(matches!(incoming, Incoming::Mark), "after {good} good bytes");
            }
            Ok(())
        })?;
    }
}
