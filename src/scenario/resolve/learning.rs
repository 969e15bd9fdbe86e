//! What is trained, and how much at a time.

use super::Resolver;
use crate::error::UserError;
use crate::node::work::UpdateKind;
use crate::scenario::plan::{LearningPlan, LocalWork, TierPlan};
use crate::topology::Topology;

pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    topology: &Topology,
    tiers: &[TierPlan],
) -> Result<LearningPlan, UserError> {
    let file = cx.file;
    let training = &file.training;
    // Peers exchange what their algorithm says; their own work is a gradient.
    let gradients = tiers.iter().all(|tier| tier.update == UpdateKind::Gradient);
    check_numbers(cx)?;
    if gradients {
        let why = "workers send plain gradients, the server's optimiser makes the step";
        cx.without_effect("training.optimizer", why);
        cx.without_effect("training.proximal", why);
    }
    if topology.is_peer_graph() {
        cx.without_effect("training.update", "peers exchange what their algorithm says");
    }
    if file.timing_only {
        for path in ["data", "partition", "training.optimizer", "training.init_from"] {
            cx.without_effect(path, "a timing-only run computes no gradients");
        }
    }
    let (model, data, partition) = choices(cx)?;
    Ok(LearningPlan {
        model,
        data,
        data_dir: file.data_dir.clone(),
        partition,
        shard_limit: training.shard_limit.map(|limit| limit as usize),
        batch: training.batch as usize,
        shuffle: training.shuffle,
        drop_last: training.drop_last,
        local: local(cx, gradients)?,
        optimizer: training.optimizer,
        proximal: training.proximal,
        shards: topology.trainers(),
        init_from: training.init_from.clone(),
    })
}

fn local(cx: &Resolver<'_>, gradients: bool) -> Result<LocalWork, UserError> {
    let local = &cx.file.training.local;
    match (local.steps, local.epochs) {
        (Some(_), Some(_)) => Err(cx.source.error(
            "training.local",
            "both `steps` and `epochs`",
            "one of them",
            "`local: {steps: 1}` or `local: {epochs: 1}`",
        )),
        (Some(0), _) => Err(cx.source.error("training.local.steps", "0 steps", "1 or more", "")),
        (_, Some(0)) => Err(cx.source.error("training.local.epochs", "0 epochs", "1 or more", "")),
        (Some(steps), None) => Ok(LocalWork::Steps(steps)),
        (None, Some(epochs)) => Ok(LocalWork::Epochs(epochs)),
        (None, None) if gradients => Ok(LocalWork::Steps(1)),
        (None, None) => Ok(LocalWork::Epochs(1)),
    }
}

fn check_numbers(cx: &Resolver<'_>) -> Result<(), UserError> {
    let training = &cx.file.training;
    let optimizer = &training.optimizer;
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let not_negative = |x: f64| x.is_finite() && x >= 0.0;
    cx.check(training.batch > 0, "training.batch", training.batch, "1 or more samples")?;
    cx.check(positive(optimizer.lr), "training.optimizer.lr", optimizer.lr, "above 0")?;
    let momentum = optimizer.momentum;
    cx.check((0.0..1.0).contains(&momentum), "training.optimizer.momentum", momentum, "0 to below 1")?;
    let decay = optimizer.weight_decay;
    cx.check(not_negative(decay), "training.optimizer.weight_decay", decay, "0 or more")?;
    cx.check(not_negative(training.proximal), "training.proximal", training.proximal, "0 or more")?;
    let limit = training.shard_limit;
    cx.check(limit != Some(0), "training.shard_limit", 0, "1 or more samples")
}

type Choice = crate::domain::Choice;

/// Names and positional options; the builders check the rest when they see the data.
#[cfg(feature = "runtime")]
fn choices(cx: &Resolver<'_>) -> Result<(Choice, Choice, Choice), UserError> {
    let file = cx.file;
    let learn = &cx.registry.learn;
    Ok((
        cx.row(&learn.models, &file.model, "model")?.1,
        cx.row(&learn.data, &file.data, "data")?.1,
        cx.row(&learn.partitions, &file.partition, "partition")?.1,
    ))
}

/// Without the learning engine there are no tables to look them up in.
#[cfg(not(feature = "runtime"))]
fn choices(cx: &Resolver<'_>) -> Result<(Choice, Choice, Choice), UserError> {
    let choice = |pick: &crate::scenario::file::Pick, path| {
        pick.choice().map_err(|error| cx.source.option_error(path, error))
    };
    let file = cx.file;
    Ok((choice(&file.model, "model")?, choice(&file.data, "data")?, choice(&file.partition, "partition")?))
}
