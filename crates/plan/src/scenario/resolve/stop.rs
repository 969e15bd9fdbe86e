//! When the run ends, what is measured, and what is expected of it.

use super::Resolver;
use crate::plan::{EvaluationPlan, Expect, StopPlan};
use hcddl_core::error::UserError;
use hcddl_core::topology::Topology;

/// Rounds when a scenario says nothing about its end.
const ROUNDS_DEFAULT: u64 = 100;

pub(super) fn stop(cx: &mut Resolver<'_>) -> Result<StopPlan, UserError> {
    let training = &cx.file.training;
    let target = training.target_accuracy;
    if let Some(target) = target {
        cx.check((0.0..=1.0).contains(&target), "training.target_accuracy", target, "0 to 1, as in 0.9")?;
    }
    if training.rounds == Some(0) {
        return Err(cx.source.error("training.rounds", "0 rounds", "1 or more", ""));
    }
    let time = training.max_time.map(|duration| duration.0);
    if time.is_some_and(|span| span.0 == 0) {
        return Err(cx.source.error("training.max_time", "no time at all", "above 0, as in `10min`", ""));
    }
    if target.is_some() && training.rounds.is_none() && time.is_none() {
        return Err(cx.source.error(
            "training.target_accuracy",
            "nothing but the target ends this run, and it may never be reached",
            "",
            "add `training.rounds` or `training.max_time`",
        ));
    }
    if cx.file.timing_only {
        cx.without_effect("training.target_accuracy", "a timing-only run has no accuracy");
    }
    let rounds = match (training.rounds, time) {
        (None, None) => Some(ROUNDS_DEFAULT),
        (rounds, _) => rounds,
    };
    let target_accuracy = target.filter(|_| !cx.file.timing_only);
    Ok(StopPlan { rounds, time, target_accuracy })
}

pub(super) fn evaluation(cx: &mut Resolver<'_>, topology: &Topology) -> Result<EvaluationPlan, UserError> {
    let file = &cx.file.evaluation;
    for (i, name) in file.metrics.iter().enumerate() {
        if let Err(error) = cx.registry.metrics.get(name) {
            return Err(cx.source.option_error(&format!("evaluation.metrics.{i}"), error));
        }
    }
    if cx.file.timing_only {
        cx.without_effect("evaluation", "a timing-only run has nothing to evaluate");
    } else if !topology.is_peer_graph() {
        let why = "only peers have models of their own to compare";
        if file.per_node {
            cx.without_effect("evaluation.per_node", why);
        }
        if let Some(i) = file.metrics.iter().position(|name| name.starts_with("consensus")) {
            cx.without_effect(&format!("evaluation.metrics.{i}"), why);
        }
    }
    Ok(EvaluationPlan {
        every: file.every,
        at_start: file.at_start,
        metrics: file.metrics.clone(),
        per_node: file.per_node && topology.is_peer_graph(),
        best: file.best,
    })
}

pub(super) fn expect(cx: &mut Resolver<'_>) -> Result<Expect, UserError> {
    let expect = &cx.file.expect;
    if let Some(accuracy) = expect.accuracy_min {
        cx.check((0.0..=1.0).contains(&accuracy), "expect.accuracy_min", accuracy, "0 to 1, as in 0.9")?;
    }
    if expect.time_to_target_s_max.is_some() && cx.file.training.target_accuracy.is_none() {
        return Err(cx.source.error(
            "expect.time_to_target_s_max",
            "this scenario has no target",
            "",
            "add `training.target_accuracy`",
        ));
    }
    for (key, digest) in [("weight_digest", &expect.weight_digest), ("trace_digest", &expect.trace_digest)] {
        if let Some(digest) = digest
            && !(digest.len() == 32 && digest.chars().all(|c| c.is_ascii_hexdigit()))
        {
            let allowed = "32 hexadecimal digits, in quotes if they are all decimal";
            return Err(cx.source.error(
                &format!("expect.{key}"),
                format!("expected a digest, found `{digest}`"),
                allowed,
                "",
            ));
        }
    }
    let mut expect = expect.clone();
    if cx.file.timing_only {
        for key in ["accuracy_min", "loss_max", "time_to_target_s_max", "weight_digest"] {
            cx.without_effect(&format!("expect.{key}"), "a timing-only run computes no model");
        }
        expect.accuracy_min = None;
        expect.loss_max = None;
        expect.time_to_target_s_max = None;
        expect.weight_digest = None;
    }
    Ok(expect)
}
