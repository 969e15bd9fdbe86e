//! TensorBoard event files.
//!
//! A file is a sequence of TFRecords (length, its masked CRC, data, its masked CRC), each an `Event` message in
//! Protocol Buffers' wire format. Only the few fields that scalars need are written, by hand: wall_time (1, double),
//! step (2, int64), file_version (3, string) and summary (5), a list of values (1) with tag (1, string) and
//! simple_value (2, float); tensorflow/core/util/event.proto and framework/summary.proto.
//!
//! `wall_time` is virtual time, so that TensorBoard's "relative" axis shows virtual time.

use super::super::read::Run;
use hcddl_core::error::UserError;

/// A scalar of a run at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// Its name.
    pub tag: String,
    /// Version of the model.
    pub step: u64,
    /// Virtual seconds.
    pub time: f64,
    /// Its value.
    pub value: f64,
}

/// Name of the file: TensorBoard looks for `tfevents`.
pub const FILE: &str = "events.out.tfevents.0000000000.hcddl";

/// Every metric of a run, and the staleness and bytes of its root's commits.
///
/// # Errors
/// [`UserError`] when a file of the run is damaged.
pub fn scalars(run: &Run) -> Result<Vec<Scalar>, UserError> {
    let csv = &run.metrics;
    let (version, time) = (csv.column("version")?, csv.column("virtual_time_s")?);
    let mut scalars = Vec::new();
    for row in 0..csv.rows.len() {
        let step = csv.whole(row, version)?;
        let at = csv.number(row, time)?.unwrap_or(0.0);
        for column in (0..csv.header.len()).filter(|column| *column != version && *column != time) {
            if let Some(value) = csv.number(row, column)? {
                scalars.push(Scalar {
                    tag: format!("evaluation/{}", csv.header[column]),
                    step,
                    time: at,
                    value,
                });
            }
        }
    }
    let root = run.root().map(str::to_owned);
    for commit in run.commits.iter().filter(|commit| Some(&commit.node) == root.as_ref()) {
        let mean = commit.contributors.iter().map(|(_, stale)| *stale as f64).sum::<f64>()
            / commit.contributors.len().max(1) as f64;
        for (tag, value) in [
            ("commit/staleness", mean),
            ("commit/contributors", commit.contributors.len() as f64),
            ("commit/bytes", commit.bytes),
        ] {
            scalars.push(Scalar { tag: tag.to_owned(), step: commit.version, time: commit.time, value });
        }
    }
    Ok(scalars)
}

/// The bytes of an event file.
#[must_use]
pub fn file(scalars: &[Scalar]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut version = Vec::new();
    double(&mut version, 1, 0.0);
    field(&mut version, 3, b"brain.Event:2");
    record(&mut bytes, &version);
    for scalar in scalars {
        let mut value = Vec::new();
        field(&mut value, 1, scalar.tag.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((scalar.value as f32).to_le_bytes());
        let mut summary = Vec::new();
        field(&mut summary, 1, &value);
        let mut event = Vec::new();
        double(&mut event, 1, scalar.time);
        event.push(2 << 3);
        varint(&mut event, scalar.step);
        field(&mut event, 5, &summary);
        record(&mut bytes, &event);
    }
    bytes
}

fn record(bytes: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    bytes.extend(length);
    bytes.extend(masked_crc(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked_crc(data).to_le_bytes());
}

fn double(bytes: &mut Vec<u8>, number: u8, value: f64) {
    bytes.push(number << 3 | 1);
    bytes.extend(value.to_le_bytes());
}

fn field(bytes: &mut Vec<u8>, number: u8, content: &[u8]) {
    bytes.push(number << 3 | 2);
    varint(bytes, content.len() as u64);
    bytes.extend(content);
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// CRC-32C (Castagnoli, reflected), rotated and shifted as TFRecord wants it.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors of RFC 3720, B.4.
    #[test]
    fn the_checksum_is_that_of_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    }

    /// The bytes that TensorBoard's own reader took (`tensorboard.backend.event_processing`, 2.21.0).
    #[test]
    fn golden_bytes() {
        let scalar = Scalar { tag: "a".to_owned(), step: 300, time: 1.5, value: 0.25 };
        let bytes = file(&[scalar]);
        let hex = hcddl_core::domain::text::hex(&bytes);
        let version = "1800000000000000a37f4b220900000000000000001a0d627261696e2e4576656e743a32";
        assert!(hex.starts_with(version), "{hex}");
        let event = "09000000000000f83f10ac022a0a0a080a0161150000803e";
        assert!(hex.contains(event), "{hex}");
        assert_eq!(bytes.len(), 40 + 16 + 24);
    }
}
