//! Invariant: bytes on the wire in `sim` are the bytes of the encoding; and no bytes can hurt a reader.

use super::*;
use hcddl_core::domain::{Body, Coded, Data, Detail, Head, Kind, Params, Version};
use proptest::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

const LIMITS: Limits = Limits { bodies: 4, elements: 1 << 16, frame_bytes: 1 << 20 };

fn update() -> Message {
    let head = Head { version: Version(7), base: Version(5), samples: 32, loss: 0.25, ..Head::default() };
    Message::with(Kind::new("update"), head, "gradient", Data::Dense(Params::new(vec![1.0, -2.0])))
}

fn any_data() -> impl Strategy<Value = Data> {
    let dense = proptest::collection::vec(any::<u32>(), 0..64)
        .prop_map(|bits| Data::Dense(Params::new(bits.into_iter().map(f32::from_bits).collect())));
    let coded = ("[a-z0-9_-]{1,12}", 0..1000_usize, proptest::collection::vec(any::<u8>(), 0..200)).prop_map(
        |(codec, len, payload)| {
            let bytes = payload.len() as u64;
            Data::Coded(Coded { codec: Cow::Owned(codec), len, bytes, payload: Some(Arc::new(payload)) })
        },
    );
    prop_oneof![dense, coded]
}

fn any_message() -> impl Strategy<Value = Message> {
    let head = (any::<[u64; 6]>(), any::<u32>(), any::<u32>()).prop_map(|(w, short, loss)| Head {
        version: Version(w[0]),
        base: Version(w[1]),
        root: Version(w[2]),
        samples: w[4],
        steps: w[5],
        loss: f32::from_bits(loss),
        detail: Detail { long: w[3], short },
    });
    let body = ("[a-z]{1,12}", any_data()).prop_map(|(name, data)| Body { name: Cow::Owned(name), data });
    (any::<u64>(), "[a-z_]{1,16}", head, proptest::collection::vec(body, 0..4))
        .prop_map(|(sequence, kind, head, bodies)| Message { sequence, kind: Kind::from(kind), head, bodies })
}

proptest! {
    #[test]
    fn a_frame_is_as_long_as_the_message_says_and_comes_back(message in any_message()) {
        let frame = encode(&message).unwrap();
        prop_assert_eq!(frame.len() as u64, message.bytes());
        let back = decode(&frame, &LIMITS).unwrap();
        prop_assert_eq!(back.sequence, message.sequence);
        // NaN is not equal to itself, so compare bits: encoding again must give the same bytes.
        prop_assert_eq!(encode(&back).unwrap(), frame);
    }

    #[test]
    fn every_flipped_bit_is_noticed(message in any_message(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut frame = encode(&message).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;
        prop_assert!(decode(&frame, &LIMITS).is_err());
    }

    #[test]
    fn every_cut_is_noticed(message in any_message(), at: prop::sample::Index) {
        let frame = encode(&message).unwrap();
        prop_assert!(decode(&frame[..at.index(frame.len())], &LIMITS).is_err());
    }

    #[test]
    fn garbage_is_refused(garbage in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&garbage, &LIMITS).is_err());
        let mut framed = encode(&update()).unwrap();
        framed.truncate(8);
        framed.extend_from_slice(&garbage);
        prop_assert!(decode(&framed, &LIMITS).is_err());
    }
}

/// Written down by hand: a change of the format must change [`WIRE_VERSION`] too.
#[test]
fn the_format_is_fixed() {
    let mut message = update();
    message.sequence = 3;
    let frame = encode(&message).unwrap();
    assert_eq!(frame.len(), 96 + 32 + 8);
    assert_eq!(&frame[..24], b"hcdl\x01\x00\x01\x01update\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(frame[24], 3, "sequence");
    assert_eq!((frame[32], frame[40], frame[64]), (7, 5, 32), "version, base, samples");
    assert_eq!(frame[84..88], 0.25_f32.to_le_bytes(), "loss");
    assert_eq!(&frame[96..128], b"gradient\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x08\0\0\0");
    assert_eq!(frame[128..], [1.0_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat());
}

#[test]
fn a_claim_beyond_the_limits_is_refused_by_name() {
    let frame = encode(&update()).unwrap();
    let refuse = |limits: Limits| decode(&frame, &limits).unwrap_err().to_string();
    assert_eq!(refuse(Limits { elements: 1, ..LIMITS }), "number of elements of a body is 2, allowed are 1");
    assert_eq!(refuse(Limits { bodies: 0, ..LIMITS }), "number of bodies is 1, allowed are 0");
    assert_eq!(refuse(Limits { frame_bytes: 100, ..LIMITS }), "frame size in bytes is 136, allowed are 100");
    assert!(decode(&frame, &Limits::for_model(2)).is_ok());
}

#[test]
fn a_message_that_cannot_be_sent_says_why() {
    let kind = Kind::new("a-kind-that-is-too-long");
    assert_eq!(
        encode(&Message::control(kind, Head::default())).unwrap_err().to_string(),
        "message kind `a-kind-that-is-too-long` must be 1 to 16 visible ASCII characters"
    );
    let absent = Message::with(Kind::new("assign"), Head::default(), "model", Data::Dense(Params::absent(3)));
    assert_eq!(encode(&absent), Err(WireError::Absent("model".to_owned())));
    let coded = Coded { codec: Cow::Borrowed("int8"), len: 4, bytes: 5, payload: Some(Arc::new(vec![1; 4])) };
    let wrong = Message::with(Kind::new("update"), Head::default(), "delta", Data::Coded(coded));
    assert_eq!(encode(&wrong), Err(WireError::Size { name: "delta".to_owned(), announced: 5, actual: 4 }));
}

/// A field that is zero for raw values is zero to its end: a frame is what `encode` writes, byte for byte.
#[test]
fn a_codec_that_begins_with_zero_and_goes_on_is_refused() {
    let mut frame = encode(&update()).unwrap();
    frame[HEAD + 2 * NAME_BYTES_MAX - 1] = 3;
    let sum = checksum(&frame);
    frame[CHECKSUM_AT..HEAD].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(decode(&frame, &LIMITS), Err(WireError::Field("codec")));
}
