//! What goes wrong, in order of time, checked against who is there at each moment.

use super::Resolver;
use super::names::Names;
use super::network::linked;
use crate::plan::{Fault, FaultEvent, FaultsPlan, MessageRule, NodePlan, Role};
use crate::scenario::file::{FaultEventFile, MessageRuleFile};
use hcddl_core::domain::{NodeId, Time};
use hcddl_core::error::UserError;
use hcddl_core::trace::Loss;
use std::collections::BTreeMap;

const ONE_OF: &str = "crash, restart, leave, join, slow_down, link_down, link_up, partition, heal";

pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    names: &Names<'_>,
    nodes: &mut [NodePlan],
) -> Result<FaultsPlan, UserError> {
    let file = &cx.file.faults;
    let mut events = Vec::new();
    for (i, event) in file.events.iter().enumerate() {
        let path = format!("faults.events.{i}");
        let fault = fault(cx, names, nodes, event, &path)?;
        events.push((path, FaultEvent { at: Time(event.at.0.0), fault }));
    }
    events.sort_by_key(|(_, event)| event.at);
    presence(cx, nodes, &events)?;
    let mut rules = Vec::new();
    for (i, rule) in file.messages.iter().enumerate() {
        rules.push(message_rule(cx, names, rule, &format!("faults.messages.{i}"))?);
    }
    let nobody_is_lost = events.iter().all(|(_, event)| matches!(event.fault, Fault::SlowDown(..)));
    for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.loss >= 1.0 && rule.until == Time::MAX)
    {
        let of = |end: Option<NodeId>| end.map_or("any node", |node| nodes[node.index()].name.as_str());
        cx.warnings.push(format!(
            "`faults.messages.{i}.loss`: from {} on, every message of {} to {} is lost for good; they count as lost after \
             `faults.detection`, and a run that needs them ends; set `until` if the network shall heal",
            rule.from,
            of(rule.sender),
            of(rule.receiver),
        ));
    }
    if nobody_is_lost && rules.iter().all(|rule| rule.loss == 0.0) {
        cx.without_effect("faults.detection", "no node is lost or comes back");
    }
    let events = events.into_iter().map(|(_, event)| event).collect();
    Ok(FaultsPlan { events, rules, detection: file.detection.0 })
}

fn fault(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    nodes: &[NodePlan],
    event: &FaultEventFile,
    path: &str,
) -> Result<Fault, UserError> {
    let key = |name: &str| format!("{path}.{name}");
    let mut found = Vec::new();
    type MakeFault = fn(NodeId) -> Fault;
    let simple: [(&str, &Option<String>, MakeFault); 4] = [
        ("crash", &event.crash, Fault::Crash),
        ("restart", &event.restart, Fault::Restart),
        ("leave", &event.leave, Fault::Leave),
        ("join", &event.join, Fault::Join),
    ];
    for (name, node, make) in simple {
        if let Some(node) = node {
            found.push(make(names.find(cx.source, &key(name), node)?));
        }
    }
    if let Some(slow) = &event.slow_down {
        let node = names.find(cx.source, &key("slow_down.node"), &slow.node)?;
        let factor = slow.factor;
        cx.check(factor > 0.0 && factor.is_finite(), &key("slow_down.factor"), factor, "above 0; 1 heals")?;
        found.push(Fault::SlowDown(node, factor));
    }
    if let Some(pair) = &event.link_down {
        let (a, b) = linked(cx, names, nodes, &key("link_down"), pair)?;
        found.push(Fault::LinkDown(a, b));
    }
    if let Some(pair) = &event.link_up {
        let (a, b) = linked(cx, names, nodes, &key("link_up"), pair)?;
        found.push(Fault::LinkUp(a, b));
    }
    if let Some(groups) = &event.partition {
        found.push(Fault::Partition(partition(cx, names, groups, &key("partition"))?));
    }
    match event.heal {
        Some(true) => found.push(Fault::Heal),
        Some(false) => return Err(cx.source.error(&key("heal"), "`heal: false`", "true", "leave it out")),
        None => {}
    }
    match (found.pop(), found.len()) {
        (Some(fault), 0) => Ok(fault),
        (Some(_), _) => {
            Err(cx.source.error(path, "more than one fault in one event", ONE_OF, "write one event for each"))
        }
        (None, _) => Err(cx.source.error(path, "an event without a fault", ONE_OF, "add one of them")),
    }
}

fn partition(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    groups: &[Vec<String>],
    path: &str,
) -> Result<Vec<Vec<NodeId>>, UserError> {
    if groups.len() < 2 {
        let message = format!("a partition into {}", groups.len());
        return Err(cx.source.error(path, message, "2 or more groups of nodes", ""));
    }
    let mut group_of = BTreeMap::new();
    let mut resolved = Vec::new();
    for (g, group) in groups.iter().enumerate() {
        let mut ids = Vec::new();
        for (i, name) in group.iter().enumerate() {
            let path = format!("{path}.{g}.{i}");
            let id = names.find(cx.source, &path, name)?;
            if group_of.insert(id, g).is_some() {
                return Err(cx.source.error(
                    &path,
                    format!("`{name}` twice in one partition"),
                    "each once",
                    "",
                ));
            }
            ids.push(id);
        }
        ids.sort_unstable();
        resolved.push(ids);
    }
    Ok(resolved)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Here,
    Crashed,
    Away,
}

/// Who is there when: a node whose first event of this kind is `join` was absent from the start.
fn presence(
    cx: &Resolver<'_>,
    nodes: &mut [NodePlan],
    events: &[(String, FaultEvent)],
) -> Result<(), UserError> {
    let mut states: BTreeMap<NodeId, State> = BTreeMap::new();
    for (path, event) in events {
        let (node, key, next, allowed): (_, _, _, &[State]) = match event.fault {
            Fault::Crash(node) => (node, "crash", State::Crashed, &[State::Here]),
            Fault::Restart(node) => (node, "restart", State::Here, &[State::Crashed]),
            Fault::Leave(node) => (node, "leave", State::Away, &[State::Here]),
            Fault::Join(node) => (node, "join", State::Here, &[State::Away]),
            _ => continue,
        };
        let plan = &mut nodes[node.index()];
        let first = !states.contains_key(&node);
        let is_root = plan.parent.is_none() && matches!(plan.role, Role::Server(_));
        if is_root && matches!(key, "leave" | "join") {
            let message = format!("the root `{}` cannot {key}", plan.name);
            return Err(cx.source.error(&format!("{path}.{key}"), message, "crash, restart", ""));
        }
        if first && key == "join" {
            plan.joins_later = true;
        } else {
            let state = states.get(&node).copied().unwrap_or(State::Here);
            if !allowed.contains(&state) {
                let is = match state {
                    State::Here => "there",
                    State::Crashed => "down",
                    State::Away => "away",
                };
                let message = format!("`{}` cannot {key} at {}: it is {is}", plan.name, event.at);
                let next_step = match key {
                    "restart" => "a restart follows a crash; use `join` after `leave`",
                    "join" => "a join follows a leave; use `restart` after `crash`",
                    _ => "bring it back first",
                };
                return Err(cx.source.error(&format!("{path}.{key}"), message, "", next_step));
            }
        }
        states.insert(node, next);
    }
    Ok(())
}

fn message_rule(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    rule: &MessageRuleFile,
    path: &str,
) -> Result<MessageRule, UserError> {
    let loss = rule
        .loss
        .build(cx.registry)
        .map_err(|error| cx.source.option_error(&format!("{path}.loss"), error))?;
    let (mean, duplicate) = (loss.mean(), rule.duplicate);
    cx.check((0.0..=1.0).contains(&duplicate), &format!("{path}.duplicate"), duplicate, "0 to 1")?;
    let from = Time(rule.from.0.0);
    let until = rule.until.map_or(Time::MAX, |until| Time(until.0.0));
    if until <= from {
        let message = format!("this rule ends at {until}, before it begins at {from}");
        return Err(cx.source.error(&format!("{path}.until"), message, "", "set it after `from`"));
    }
    if mean == 0.0 && duplicate == 0.0 && rule.delay.0.0 == 0 {
        let next = "add one of `loss`, `duplicate`, `delay`";
        return Err(cx.source.error(path, "a rule that does nothing", "", next));
    }
    let find = |key: &str, name: &Option<String>| match name {
        Some(name) => names.find(cx.source, &format!("{path}.{key}"), name).map(Some),
        None => Ok(None),
    };
    Ok(MessageRule {
        from,
        until,
        sender: find("sender", &rule.sender)?,
        receiver: find("receiver", &rule.receiver)?,
        loss: mean,
        bursts: match loss {
            Loss::Bursts(bursts) => Some(bursts),
            Loss::Independent(_) => None,
        },
        duplicate,
        delay: rule.delay.0,
    })
}
