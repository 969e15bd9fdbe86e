//! A codec for models with running statistics: these travel as they are, behind the encoding of everything else. A
//! variance that is left out, quantised or held back is none; and their servers average them, they do not add them up.

use super::Codec;
use crate::domain::Stream;
use std::ops::Range;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
struct Apart {
    inner: Arc<dyn Codec>,
    /// Where the statistics lie, ascending.
    statistics: Vec<Range<usize>>,
}

/// A codec that leaves these ranges alone; itself where there are none.
#[must_use]
pub fn apart(inner: Arc<dyn Codec>, statistics: &[Range<usize>]) -> Arc<dyn Codec> {
    if statistics.is_empty() { inner } else { Arc::new(Apart { inner, statistics: statistics.to_vec() }) }
}

impl Apart {
    fn count(&self) -> usize {
        self.statistics.iter().map(Range::len).sum()
    }

    /// The values between the statistics.
    fn rest(&self, values: &[f32]) -> Vec<f32> {
        let mut rest = Vec::with_capacity(values.len() - self.count());
        let mut from = 0;
        for range in &self.statistics {
            rest.extend_from_slice(&values[from..range.start]);
            from = range.end;
        }
        rest.extend_from_slice(&values[from..]);
        rest
    }

    /// Puts values between the statistics.
    fn spread(&self, rest: &[f32], out: &mut [f32]) {
        let (mut from, mut taken) = (0, 0);
        for (start, end) in
            self.statistics.iter().map(|range| (range.start, range.end)).chain([(out.len(), 0)])
        {
            out[from..start].copy_from_slice(&rest[taken..taken + start - from]);
            taken += start - from;
            from = end;
        }
    }
}

impl Codec for Apart {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn bytes(&self, len: usize) -> u64 {
        let count = self.count().min(len);
        self.inner.bytes(len - count) + 4 * count as u64
    }

    fn keeps_residual(&self) -> bool {
        self.inner.keeps_residual()
    }

    fn encode(&self, values: &[f32], residual: Option<&mut [f32]>, stream: &mut Stream) -> Vec<u8> {
        let rest = self.rest(values);
        let mut bytes = match residual {
            Some(residual) => {
                let mut left = self.rest(residual);
                let bytes = self.inner.encode(&rest, Some(&mut left), stream);
                self.spread(&left, residual);
                bytes
            }
            None => self.inner.encode(&rest, None, stream),
        };
        let statistics = self.statistics.iter().flat_map(|range| &values[range.clone()]);
        bytes.extend(statistics.flat_map(|value| value.to_le_bytes()));
        bytes
    }

    fn decode(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
        let count = self.count();
        if self.statistics.last().is_some_and(|last| last.end > out.len()) || bytes.len() < 4 * count {
            return Err(format!("{} bytes for {} values with {count} statistics", bytes.len(), out.len()));
        }
        let (coded, plain) = bytes.split_at(bytes.len() - 4 * count);
        let mut rest = vec![0.0; out.len() - count];
        self.inner.decode(coded, &mut rest)?;
        self.spread(&rest, out);
        let mut values =
            plain.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        for range in &self.statistics {
            out[range.clone()].iter_mut().zip(&mut values).for_each(|(out, value)| *out = value);
        }
        Ok(())
    }

    fn cost_per_element(&self) -> (f64, f64) {
        self.inner.cost_per_element()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{codec, table};
    use crate::domain::Choice;

    #[test]
    fn statistics_travel_exactly_under_every_codec() {
        let values: Vec<f32> = (0..40).map(|i| (i as f32 * 0.37).sin()).collect();
        let statistics = [0..3, 10..14, 39..40];
        for row in table().rows() {
            let codec = apart(codec(&Choice::named(row.name)).unwrap(), &statistics);
            let mut residual = vec![0.0; values.len()];
            let left = codec.keeps_residual().then_some(&mut residual[..]);
            let bytes = codec.encode(&values, left, &mut Stream::new(1, "codec", 0, 0));
            assert_eq!(bytes.len() as u64, codec.bytes(values.len()), "{}", row.name);
            let mut decoded = vec![9.0; values.len()];
            codec.decode(&bytes, &mut decoded).unwrap();
            for range in &statistics {
                assert_eq!(decoded[range.clone()], values[range.clone()], "{}", row.name);
                assert!(residual[range.clone()].iter().all(|left| *left == 0.0), "{}", row.name);
            }
            assert!(codec.decode(&bytes[..3], &mut decoded).is_err());
            assert!(codec.decode(&bytes, &mut decoded[..20]).is_err());
        }
    }
}
