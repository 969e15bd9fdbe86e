//! The laws of codecs, for every row of the table.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn codecs() -> Vec<Arc<dyn Codec>> {
    let build = |choice: serde_json::Value| codec(&Choice::from_value(&choice).unwrap()).unwrap();
    let mut all: Vec<_> = table().rows().iter().map(|row| build(crate::yaml::flow(row.example))).collect();
    all.extend([
        build(json!("top_k(0.3)")),
        build(json!({"name": "top_k", "fraction": 1, "error_feedback": false})),
        build(json!("two_bit(0.125)")),
    ]);
    all
}

/// Multiples of 1/64 of small size: sums of them are exact in f32.
fn vector() -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec((-200i32..200).prop_map(|n| n as f32 / 64.0), 0..70)
}

#[test]
fn every_example_shows_the_defaults() {
    for row in table().rows() {
        let shown = codec(&Choice::from_value(&crate::yaml::flow(row.example)).unwrap()).unwrap();
        let default = codec(&Choice::named(row.name)).unwrap();
        assert_eq!(format!("{shown:?}"), format!("{default:?}"), "{}", row.name);
        assert_eq!(shown.name(), row.name);
        assert!(shown.cost_per_element().0 > 0.0 && shown.cost_per_element().1 > 0.0);
    }
}

proptest! {
    #[test]
    fn an_encoding_has_the_stated_size_and_decodes_to_the_plain_length(values in vector()) {
        for codec in codecs() {
            let mut residual = vec![0.0; values.len()];
            let residual = codec.keeps_residual().then_some(residual.as_mut_slice());
            let encode = |residual| codec.encode(&values, residual, &mut Stream::new(1, "codec", 0, 0));
            let bytes = encode(residual);
            prop_assert_eq!(bytes.len() as u64, codec.bytes(values.len()), "{:?}", codec);
            prop_assert_eq!(&bytes, &encode(None), "a residual of zero changes nothing");
            let mut out = vec![f32::NAN; values.len()];
            codec.decode(&bytes, &mut out).unwrap();
            for (out, value) in out.iter().zip(&values) {
                // Never of the wrong sign, never larger than what went in (up to rounding).
                prop_assert!(out * value >= 0.0 && out.abs() <= value.abs() * 1.004, "{:?}: {} of {}", codec, out, value);
            }
        }
    }

    /// What was sent plus what waits is what went in, after any number of vectors.
    #[test]
    fn error_feedback_loses_nothing(vectors in proptest::collection::vec(
        proptest::collection::vec((-200i32..200).prop_map(|n| n as f32 / 64.0), 33), 1..8)) {
        for codec in codecs().into_iter().filter(|codec| codec.keeps_residual()) {
            let (mut sum, mut sent, mut residual) = (vec![0.0; 33], vec![0.0; 33], vec![0.0; 33]);
            let mut out = vec![0.0; 33];
            for values in &vectors {
                let bytes = codec.encode(values, Some(&mut residual), &mut Stream::new(1, "codec", 0, 0));
                codec.decode(&bytes, &mut out).unwrap();
                for i in 0..33 {
                    sum[i] += values[i];
                    sent[i] += out[i];
                }
            }
            let total: Vec<f32> = sent.iter().zip(&residual).map(|(sent, left)| sent + left).collect();
            prop_assert_eq!(total, sum, "{:?}", codec);
        }
    }

    #[test]
    fn other_bytes_are_refused_or_decoded_but_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        len in 0usize..80,
    ) {
        for codec in codecs() {
            let mut out = vec![0.0; len];
            let result = codec.decode(&bytes, &mut out);
            if bytes.len() as u64 != codec.bytes(len) {
                prop_assert!(result.unwrap_err().contains("bytes, not"));
            }
        }
    }

    #[test]
    fn a_truncated_encoding_is_refused(values in vector(), cut in 1usize..40) {
        for codec in codecs() {
            let bytes = codec.encode(&values, None, &mut Stream::new(1, "codec", 0, 0));
            if cut <= bytes.len() {
                let mut out = vec![0.0; values.len()];
                prop_assert!(codec.decode(&bytes[..bytes.len() - cut], &mut out).is_err());
            }
        }
    }
}

#[test]
fn bad_options_name_the_key_the_value_and_what_is_right() {
    for (value, part) in [
        (json!("top_k(0)"), "fraction: `0` is out of bounds; allowed: more than 0, up to 1"),
        (json!("top_k(1.5)"), "fraction: `1.5` is out of bounds"),
        (json!("two_bit(-1)"), "threshold: `-1` is out of bounds"),
        (json!({"name": "fp16", "scale": 2}), "unknown field `scale`"),
        (json!("fp61"), "did you mean `fp16`?"),
    ] {
        let error = codec(&Choice::from_value(&value).unwrap()).unwrap_err().to_string();
        assert!(error.contains(part), "{value}: {error}");
    }
}
