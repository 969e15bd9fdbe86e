//! Plain data as bytes, for checkpoints, pushed samples and small messages: bincode 1.3 with fixed-size integers. Its
//! maintenance has ended, so this is the one place that knows of it.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Data that cannot be written, or bytes that mean nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BytesError(String);

/// Encodes any value of a checkpoint or of a control message.
///
/// # Errors
/// [`BytesError`] when the type cannot be written without its field names.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, BytesError> {
    options(u64::MAX).serialize(value).map_err(|error| BytesError(format!("cannot encode: {error}")))
}

/// Decodes what [`to_bytes`] wrote, reading and allocating at most `bytes_max`.
///
/// # Errors
/// [`BytesError`] when the bytes are not an encoding of `T`. Never panics.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8], bytes_max: u64) -> Result<T, BytesError> {
    if bytes.len() as u64 > bytes_max {
        return Err(BytesError(format!("size in bytes is {}, at most {bytes_max} allowed", bytes.len())));
    }
    options(bytes_max).deserialize(bytes).map_err(|error| BytesError(format!("cannot decode: {error}")))
}

fn options(bytes_max: u64) -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(bytes_max).reject_trailing_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A value of many small parts: whatever its length fields claim, it ends without a panic.
        #[test]
        fn garbage_ends(garbage in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _: Result<Vec<Vec<String>>, BytesError> = from_bytes(&garbage, 400);
        }
    }

    #[test]
    fn values_are_bounded_and_read_to_the_end() {
        let value = vec![(1_u64, "one".to_owned()), (2, "two".to_owned())];
        let bytes = to_bytes(&value).unwrap();
        assert_eq!(from_bytes::<Vec<(u64, String)>>(&bytes, 1000).unwrap(), value);
        let too_long = [&bytes[..], &[0]].concat();
        assert!(from_bytes::<Vec<(u64, String)>>(&too_long, 1000).is_err(), "trailing byte");
        assert!(from_bytes::<Vec<(u64, String)>>(&bytes, 10).is_err(), "limit");
        let mut huge = bytes.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(from_bytes::<Vec<(u64, String)>>(&huge, 1000).is_err(), "claims more than it has");
    }
}
