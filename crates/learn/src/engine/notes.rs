//! What is unlikely about data, shards and model together, each a sentence.

use super::Engine;
use crate::layer::Layer;

/// What the user should know of an engine.
pub(super) fn of(engine: &Engine) -> Vec<String> {
    let mut notes = engine.data().notes.clone();
    notes.extend(short_shards(engine));
    notes.extend(small_batches(engine));
    notes
}

/// `drop_last` where there is no other batch.
fn short_shards(engine: &Engine) -> Option<String> {
    let batch = engine.batch();
    let short = engine.shards().map(<[u32]>::len).filter(|len| *len < batch);
    let (count, smallest) = short.fold((0, usize::MAX), |(count, least), len| (count + 1, least.min(len)));
    (engine.drops_last() && count > 0).then(|| {
        let all = engine.shards().len();
        format!(
            "`training.drop_last` has no effect on {count} of {all} shards: they hold fewer samples (the smallest \
             {smallest}) than a batch of {batch}, and their only batch is kept"
        )
    })
}

/// Batches that a layer cannot normalise.
fn small_batches(engine: &Engine) -> Option<String> {
    let least = engine.network().layers().map(Layer::batch_min).max().unwrap_or(1);
    let batch = engine.batch();
    let last = |len: usize| match len % batch {
        _ if len <= batch => len,
        0 => batch,
        _ if engine.drops_last() => batch,
        rest => rest,
    };
    let batches = || engine.shards().map(|shard| last(shard.len()));
    let count = batches().filter(|samples| *samples < least).count();
    let smallest = batches().min().unwrap_or(least);
    (count > 0).then(|| {
        format!(
            "batch normalisation needs {least} samples or more in a batch, and {count} of {} shards end with a batch of \
             {smallest}: its normalised values are 0 whatever the sample, and what lies before gets no gradient; use \
             `drop_last: true`, another `batch`, larger shards, or group_norm",
            engine.shards().len()
        )
    })
}
