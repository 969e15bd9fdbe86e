//! A node's training samples, and the order in which an epoch goes through them.

use hcddl_core::domain::Stream;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A node's training samples.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) samples: Vec<u32>,
    /// The orders of the epochs that were asked for last; pure functions of their numbers, kept to save time.
    orders: Mutex<VecDeque<(u64, Arc<[u32]>)>>,
}

impl Shard {
    pub(super) fn new(samples: Vec<u32>) -> Self {
        Self { samples, orders: Mutex::default() }
    }

    /// The order of an epoch, made unless it is one of the `keep` that were asked for last.
    pub(super) fn order(&self, epoch: u64, keep: usize, make: impl FnOnce() -> Vec<u32>) -> Arc<[u32]> {
        let mut kept = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = kept.iter().find(|(of, _)| *of == epoch) {
            return order.clone();
        }
        let order: Arc<[u32]> = make().into();
        kept.truncate(keep.max(1) - 1);
        kept.push_front((epoch, order.clone()));
        order
    }
}

/// These positions in random order.
pub(super) fn shuffled(positions: Range<u32>, stream: &mut Stream) -> Vec<u32> {
    let mut order: Vec<u32> = positions.collect();
    stream.shuffle(&mut order);
    order
}

/// Sorted by length within pools of 100 batches; then the batches of each pool in random order, a last, smaller
/// batch staying the last (torchtext's BucketIterator).
pub(super) fn bucketed(
    mut order: Vec<u32>,
    batch: usize,
    steps: impl Fn(&u32) -> usize,
    stream: &mut Stream,
) -> Vec<u32> {
    let mut result = Vec::with_capacity(order.len());
    for pool in order.chunks_mut(100 * batch) {
        pool.sort_by_key(&steps);
        let whole = pool.chunks_exact(batch);
        let last = whole.remainder();
        let mut batches: Vec<&[u32]> = whole.collect();
        stream.shuffle(&mut batches);
        result.extend(batches.concat());
        result.extend(last);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_similar_lengths_and_every_sample_once() {
        let mut stream = Stream::new(3, "test", 0, 0);
        let order = bucketed(shuffled(0..103, &mut stream), 10, |i| (*i % 20) as usize, &mut stream);
        for batch in order[..100].chunks(10) {
            let lengths: Vec<u32> = batch.iter().map(|i| i % 20).collect();
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 3, "{lengths:?}");
        }
        let mut all = order.clone();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        let firsts: Vec<u32> = order.chunks(10).map(|b| b[0] % 20).collect();
        assert!(!firsts.is_sorted(), "batches come in random order");
    }
}
