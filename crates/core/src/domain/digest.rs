//! 128-bit digests of traces and weights: XXH3 over little-endian bytes, the same on every machine.

use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// A finished 128-bit digest; shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Digest)
    }
}

/// The digest of parameters: their f32 values as little-endian bytes, in flat order.
#[must_use]
pub fn of_values(values: &[f32]) -> Digest {
    let mut hash = Xxh3::new();
    let mut block = [0u8; 4096];
    for chunk in values.chunks(1024) {
        for (bytes, value) in block.chunks_exact_mut(4).zip(chunk) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        hash.update(&block[..chunk.len() * 4]);
    }
    Digest(hash.digest128())
}

/// The digest of bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Digest {
    Digest(xxhash_rust::xxh3::xxh3_128(bytes))
}

/// A digest of a growing sequence of words that can be saved and resumed: it folds blocks of 512 words,
/// each block's digest seeding the next.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Chain {
    state: u64,
    high: u64,
    words: u64,
    pending: Vec<u8>,
}

const CHAIN_BLOCK_BYTES: usize = 4096;

impl Chain {
    /// Appends one record.
    #[inline]
    pub fn push(&mut self, words: &[u64]) {
        for word in words {
            self.pending.extend_from_slice(&word.to_le_bytes());
        }
        self.words += words.len() as u64;
        if self.pending.len() >= CHAIN_BLOCK_BYTES {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        let digest =
            xxhash_rust::xxh3::xxh3_128_with_seed(&self.pending, self.state ^ self.high.rotate_left(32));
        self.state = digest as u64;
        self.high = (digest >> 64) as u64;
        self.pending.clear();
    }

    /// The digest of everything so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut end = self.clone();
        let words = end.words;
        end.pending.extend_from_slice(&words.to_le_bytes());
        end.close_block();
        Digest(u128::from(end.state) | (u128::from(end.high) << 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_sees_every_word_and_its_order() {
        let digest = |records: &[[u64; 2]]| {
            let mut chain = Chain::default();
            records.iter().for_each(|r| chain.push(r));
            chain.digest()
        };
        let base: Vec<[u64; 2]> = (0..1000).map(|i| [i, i * i]).collect();
        let mut swapped = base.clone();
        swapped.swap(3, 4);
        let mut changed = base.clone();
        changed[999][1] += 1;
        assert_eq!(digest(&base), digest(&base));
        assert_ne!(digest(&base), digest(&swapped));
        assert_ne!(digest(&base), digest(&changed));
        assert_ne!(digest(&base), digest(&base[..999]));
    }

    #[test]
    fn values_are_hashed_bit_by_bit() {
        assert_ne!(of_values(&[0.0]), of_values(&[-0.0]));
        let long: Vec<f32> = (0..3000).map(|i| i as f32).collect();
        let bytes: Vec<u8> = long.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(of_values(&long), of_bytes(&bytes));
    }
}
