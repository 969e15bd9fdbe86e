//! What is asked of a run that has gone through the storm.

use super::Report;
use super::world::{Ready, World};
use crate::replay::{Logs, replay};
use hcddl_core::domain::NodeId;
use hcddl_plan::plan::Role;
use hcddl_sim::record::order::What;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A node's state with a model of 64 parameters: a few tensors, what it knows of its neighbours, some messages.
const STATE_MAX: usize = 40_000;

/// What became of a run.
pub(super) fn judge(world: &World<'_>, ready: &Ready, dir: &Path) -> Result<Report, String> {
    let plan = &ready.plan;
    let (node, bytes) = world.largest;
    if bytes > STATE_MAX {
        return Err(format!("the state of {} grew to {bytes} bytes", plan.nodes[node.index()].name));
    }
    let logs = Logs::read(dir, plan).map_err(|error| error.to_string())?;
    let replayed = replay(plan, &ready.registry, Arc::clone(&ready.learner), &logs, 1, None);
    let replayed = replayed.map_err(|error| error.to_string())?;
    if let Some(divergence) = replayed.divergence {
        return Err(format!("executed again it is another run: {divergence:?}"));
    }
    let mut commits = u64::MAX;
    let mut end = String::new();
    for (i, node) in plan.nodes.iter().enumerate() {
        let own = dir.join("nodes").join(&node.name);
        // One that was lost and is back may have got the same version again, and trained on other samples.
        let lost: BTreeSet<&str> = logs.0[i]
            .iter()
            .filter_map(|entry| match entry.what {
                What::Down(other) => Some(plan.nodes[other.index()].name.as_str()),
                _ => None,
            })
            .collect();
        // FedBuff gives a worker the same version again while its buffer fills.
        let hands_out_once = match node.role {
            Role::Server(tier) => plan.tiers[usize::from(tier)].policy.name != "fedbuff",
            Role::Worker | Role::Peer => true,
        };
        for life in 0..world.slots[i].lives {
            let path = own.join(format!("life{life}/commits.csv"));
            let table = std::fs::read_to_string(path).unwrap_or_default();
            once(&table, &node.name, &|who| hands_out_once && !lost.contains(who))?;
        }
        if crate::deploy::node::evaluates(plan, NodeId(i as u32)) {
            let last = world.slots[i].lives.saturating_sub(1);
            let result = std::fs::read_to_string(own.join(format!("life{last}/result.json")));
            let version = result.ok().and_then(|text| {
                serde_json::from_str::<serde_json::Value>(&text).ok()?.get("version")?.as_u64()
            });
            commits = commits.min(version.unwrap_or(0));
            end = match &world.slots[i].ended {
                Some(Ok(_)) => "as configured".to_owned(),
                Some(Err(why)) => why.clone(),
                None => return Err(format!("{} never ended", node.name)),
            };
        }
    }
    let rounds = plan.stop.rounds.unwrap_or(0);
    if plan.peers.is_none() && (commits != rounds || end != "as configured") {
        return Err(format!("{commits} commits of {rounds}: {end}"));
    }
    let lives = world.slots.iter().map(|slot| u64::from(slot.lives)).sum();
    Ok(Report { events: world.events, lives, commits, seconds: world.now.seconds(), end })
}

/// In one life of a server nothing counts twice: no worker or peer contributes twice what it made of one version.
fn once(table: &str, server: &str, is_judged: &dyn Fn(&str) -> bool) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut last = 0;
    for row in table.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        let [_, version, _, contributors, bases, ..] = fields[..] else { continue };
        let version: u64 = version.parse().map_err(|_| format!("a row without a version: {row}"))?;
        if version <= last {
            return Err(format!("{server} commits version {version} after {last}"));
        }
        last = version;
        for (who, base) in contributors.split(';').zip(bases.split(';')) {
            let counts = is_judged(who) && (who.starts_with("worker") || who.starts_with("peer"));
            if counts && !seen.insert((who.to_owned(), base.to_owned())) {
                return Err(format!("{who} counts twice with version {base} at {server}: {row}"));
            }
        }
    }
    Ok(())
}
