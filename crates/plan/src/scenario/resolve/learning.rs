//! What is trained, and how much at a time.

use super::Resolver;
use super::tiers::Tiers;
use crate::plan::{LearningPlan, LocalRule, LocalWork};
use hcddl_core::error::UserError;
use hcddl_core::node::work::UpdateKind;
use hcddl_core::topology::{NodeKind, Topology, TopologyNode};

pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    topology: &Topology,
    tiers: &Tiers,
) -> Result<LearningPlan, UserError> {
    let file = cx.file;
    let training = &file.training;
    // Peers exchange what their algorithm says; their own work is a gradient.
    let gradients = tiers.plans.iter().all(|tier| tier.update == UpdateKind::Gradient);
    check_numbers(cx)?;
    if gradients {
        let why = match topology.is_peer_graph() {
            true => "peers make their step with the options of `peers.algorithm`",
            false => "workers send plain gradients, the server's optimiser makes the step",
        };
        for path in ["training.optimizer", "training.schedule", "training.proximal"] {
            cx.without_effect(path, why);
        }
    }
    if topology.is_peer_graph() {
        cx.without_effect("training.update", "peers exchange what their algorithm says");
    }
    if file.timing_only {
        for path in NOT_IN_TIMING_ONLY {
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
        rule: rule(cx)?,
        gradients: sends_gradients(topology, tiers),
        shards: topology.trainers(),
        init_from: training.init_from.clone(),
    })
}

/// What computes no gradients does not need these.
const NOT_IN_TIMING_ONLY: [&str; 7] = [
    "data",
    "partition",
    "training.optimizer",
    "training.schedule",
    "training.clip_norm",
    "training.not_finite",
    "training.init_from",
];

fn rule(cx: &Resolver<'_>) -> Result<LocalRule, UserError> {
    let training = &cx.file.training;
    let registry = cx.registry;
    let optimizer = training.optimizer.named();
    Ok(LocalRule {
        optimizer: cx.build(&registry.local_optimizers, &optimizer, "training.optimizer")?.0,
        schedule: cx.build(&registry.schedules, &training.schedule, "training.schedule")?.0,
        clip_norm: training.clip_norm,
        proximal: training.proximal,
        not_finite: training.not_finite,
    })
}

/// Whether any worker or peer sends plain gradients.
fn sends_gradients(topology: &Topology, tiers: &Tiers) -> bool {
    let sends = |node: &TopologyNode| {
        node.kind == NodeKind::Worker
            && node.parent.is_some_and(|parent| {
                let tier = usize::from(tiers.of_node[parent as usize]);
                tiers.plans[tier].update == UpdateKind::Gradient
            })
    };
    topology.is_peer_graph() || topology.nodes.iter().any(sends)
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
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let not_negative = |x: f64| x.is_finite() && x >= 0.0;
    cx.check(training.batch > 0, "training.batch", training.batch, "1 or more samples")?;
    let clip = training.clip_norm;
    cx.check(clip.is_none_or(positive), "training.clip_norm", clip.unwrap_or_default(), "above 0")?;
    cx.check(not_negative(training.proximal), "training.proximal", training.proximal, "0 or more")?;
    let limit = training.shard_limit;
    cx.check(limit != Some(0), "training.shard_limit", 0, "1 or more samples")
}

type Choice = hcddl_core::domain::Choice;

/// Names and positional options; the builders check the rest when they see the data.
fn choices(cx: &Resolver<'_>) -> Result<(Choice, Choice, Choice), UserError> {
    let file = cx.file;
    let learn = &cx.registry.learn;
    Ok((
        cx.row(&learn.models, &file.model, "model")?.1,
        cx.row(&learn.data, &file.data, "data")?.1,
        cx.row(&learn.partitions, &file.partition, "partition")?.1,
    ))
}
