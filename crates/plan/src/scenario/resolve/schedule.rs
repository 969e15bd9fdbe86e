//! The schedule of decided delays, checked against the nodes, links and faults of the scenario.

use super::Resolver;
use super::names::Names;
use super::network::linked;
use crate::plan::schedule::{Decision, DecisionFile, Schedule, ScheduleFile};
use crate::plan::{FaultsPlan, NodePlan};
use crate::scenario::{Source, Written};
use hcddl_core::domain::Time;
use hcddl_core::error::UserError;

const ABOUT: &str = "message with from and to, job with node, or fault";

pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    written: &Written,
    names: &Names<'_>,
    nodes: &[NodePlan],
    faults: &FaultsPlan,
) -> Result<Option<Schedule>, UserError> {
    let Some((file, source)) = &written.schedule else { return Ok(None) };
    if file.rounds == Some(0) {
        return Err(source.error("rounds", "0 rounds", "1 or more", ""));
    }
    // Places of what follows are those of the schedule's own file.
    let own = Resolver { file: cx.file, source, registry: cx.registry, warnings: vec![], codecs: vec![] };
    let mut decisions = Vec::with_capacity(file.decisions.len());
    for (i, decision) in file.decisions.iter().enumerate() {
        decisions.push(one(&own, decision, names, nodes, faults, &format!("decisions.{i}"))?);
    }
    cx.warnings.extend(stranger(written, file, source));
    Ok(Some(Schedule { rounds: file.rounds, decisions }))
}

/// A warning when the schedule was found in another scenario: it can be played, but need not show the same.
fn stranger(written: &Written, file: &ScheduleFile, source: &Source) -> Option<String> {
    let digest = written.digest();
    let other = file.digest.as_ref().filter(|of| **of != digest)?;
    Some(format!(
        "`{}` was found in `{}` with other settings (digest {other}, here {digest}): the run may differ from the \
         one that was found",
        source.file, file.scenario
    ))
}

fn one(
    cx: &Resolver<'_>,
    file: &DecisionFile,
    names: &Names<'_>,
    nodes: &[NodePlan],
    faults: &FaultsPlan,
    path: &str,
) -> Result<Decision, UserError> {
    let wrong = |message: &str| cx.source.error(path, message, ABOUT, "write one decision for each");
    match (file.message, file.job, file.fault) {
        (Some(number), None, None) => message(cx, file, number, names, nodes, faults, path),
        (None, Some(number), None) => {
            let (Some(node), Some(duration)) = (&file.node, file.duration) else {
                return Err(wrong("a job without `node` or `duration`"));
            };
            counted(cx, number, &format!("{path}.job"))?;
            let node = names.find(cx.source, &format!("{path}.node"), node)?;
            Ok(Decision::Job { node, number, duration: duration.0 })
        }
        (None, None, Some(index)) => {
            let Some(at) = file.at else { return Err(wrong("a fault without `at`")) };
            let count = faults.events.len();
            let allowed = format!("0 to the number of `faults.events` less one ({count} are there)");
            cx.check((index as usize) < count, &format!("{path}.fault"), index, &allowed)?;
            Ok(Decision::Fault { index, at: Time(at.0.0) })
        }
        (None, None, None) => Err(wrong("a decision about nothing")),
        _ => Err(wrong("a decision about several things")),
    }
}

fn message(
    cx: &Resolver<'_>,
    file: &DecisionFile,
    number: u64,
    names: &Names<'_>,
    nodes: &[NodePlan],
    faults: &FaultsPlan,
    path: &str,
) -> Result<Decision, UserError> {
    let (Some(from), Some(to)) = (&file.from, &file.to) else {
        return Err(cx.source.error(path, "a message without `from` or `to`", ABOUT, "name both nodes"));
    };
    counted(cx, number, &format!("{path}.message"))?;
    let sender = names.find(cx.source, &format!("{path}.from"), from)?;
    let receiver = names.find(cx.source, &format!("{path}.to"), to)?;
    linked(cx, names, nodes, path, &[from.clone(), to.clone()])?;
    let DecisionFile { lost, duplicate, .. } = *file;
    let fates = [
        ("lost", lost, faults.rules.iter().any(|rule| rule.loss > 0.0)),
        ("duplicate", duplicate, faults.rules.iter().any(|rule| rule.duplicate > 0.0)),
    ];
    for (key, wanted, possible) in fates {
        if wanted == Some(true) && !possible {
            let message = format!("no rule of `faults.messages` lets a message be `{key}`");
            let next = "messages are resent only in scenarios that can lose them";
            return Err(cx.source.error(&format!("{path}.{key}"), message, "", next));
        }
    }
    let latency = file.latency.map(|latency| latency.0);
    Ok(Decision::Message { from: sender, to: receiver, number, latency, lost, duplicate })
}

fn counted(cx: &Resolver<'_>, number: u64, path: &str) -> Result<(), UserError> {
    cx.check(number > 0, path, number, "1 or more: the first is number 1")
}
