//! Which host carries which node.
//!
//! As the older HCDDL assigned them: hosts in the order of the pool, nodes in the order of their ids, which for trees is
//! depth first: the global server, then each local server followed by its workers.

use super::deployment::{Deployment, Placed};
use super::inventory::Host;
use hcddl_core::domain::OptionError;
use hcddl_core::domain::table::nearest;
use hcddl_plan::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// The place of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Index into the pool.
    pub host: usize,
    /// TCP port of the node.
    pub port: u16,
}

/// What is known about where a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where other nodes reach it.
    pub reached_at: String,
    /// Where its nodes listen: an IP address of its own.
    pub bind: String,
}

/// Why nodes cannot be placed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// A key of the scenario (below `deploy`) is wrong.
    #[error(transparent)]
    Scenario(#[from] OptionError),
    /// The pool is too small.
    #[error(
        "{nodes} nodes need {needed} hosts, and {left} of the pool are left for them; add hosts, or let several nodes \
         share one: `deploy: {{placement: {{{example}}}}}`"
    )]
    TooFew {
        /// Nodes of the plan.
        nodes: usize,
        /// Nodes without a placement of their own.
        needed: usize,
        /// Hosts that no placement names.
        left: usize,
        /// A placement that would help.
        example: String,
    },
}

/// Gives each node a host of the pool and a port: first where `deploy.placement` says, then the hosts that are left,
/// in order. With a single local host every node is there.
///
/// # Errors
/// [`PlacementError`] for placements on unknown hosts, for too few hosts, for more ports than there are.
pub fn place(plan: &Plan, pool: &[Host]) -> Result<Vec<Seat>, PlacementError> {
    let hosts = assign(plan, pool)?;
    // Names of one machine share its ports.
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    let mut seats = Vec::with_capacity(hosts.len());
    for host in hosts {
        let before = taken.entry(pool[host].destination()).or_default();
        let port = u16::try_from(u32::from(plan.deploy.port) + *before).map_err(|_| {
            let message =
                format!("`{}` leaves too few ports for the nodes of `{}`", plan.deploy.port, pool[host].name);
            OptionError::new("port", message, "a lower one")
        })?;
        *before += 1;
        seats.push(Seat { host, port });
    }
    Ok(seats)
}

fn assign(plan: &Plan, pool: &[Host]) -> Result<Vec<usize>, PlacementError> {
    if let [only] = pool
        && only.local
    {
        return Ok(vec![0; plan.nodes.len()]);
    }
    let mut named: BTreeMap<usize, usize> = BTreeMap::new();
    for (node, host) in &plan.deploy.placement {
        let Some(index) = pool.iter().position(|candidate| candidate.name == *host) else {
            let names = pool.iter().map(|candidate| candidate.name.as_str());
            let near = nearest(host, names.clone()).map(|near| format!("did you mean `{near}`?"));
            let key = format!("placement.{}", plan.nodes[node.0 as usize].name);
            let error = OptionError::new(
                &key,
                format!("no host `{host}` in the pool"),
                names.collect::<Vec<_>>().join(", "),
            );
            return Err(OptionError { hint: near.unwrap_or_default(), ..error }.into());
        };
        named.insert(node.0 as usize, index);
    }
    let used: BTreeSet<usize> = named.values().copied().collect();
    let mut left = (0..pool.len()).filter(|host| !used.contains(host));
    let assigned: Option<Vec<usize>> =
        (0..plan.nodes.len()).map(|node| named.get(&node).copied().or_else(|| left.next())).collect();
    assigned.ok_or_else(|| PlacementError::TooFew {
        nodes: plan.nodes.len(),
        needed: plan.nodes.len() - named.len(),
        left: pool.len() - used.len(),
        example: example(plan, pool),
    })
}

/// The last nodes on the last host, as many as leave a host for each of the others.
fn example(plan: &Plan, pool: &[Host]) -> String {
    let host = pool.last().map_or("pi1", |host| &host.name);
    let shared = (plan.nodes.len() + 1).saturating_sub(pool.len()).max(1);
    /// Names that a message shows at most.
    const SHOWN: usize = 40;
    let names = plan.nodes.iter().rev().take(shared.min(SHOWN)).map(|node| format!("{}: {host}", node.name));
    names.collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(", ")
}

/// What every process of a run is told. `addresses` go with `pool`.
#[must_use]
pub fn deployment(
    run: &str,
    plan: &Plan,
    seats: &[Seat],
    pool: &[Host],
    addresses: &[Address],
) -> Deployment {
    let placed = plan.nodes.iter().zip(seats).map(|(node, seat)| Placed {
        name: node.name.clone(),
        host: pool[seat.host].name.clone(),
        address: addresses[seat.host].reached_at.clone(),
        bind: addresses[seat.host].bind.clone(),
        port: seat.port,
    });
    Deployment {
        run: run.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: placed.collect(),
        settings: plan.deploy.settings.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::inventory::{Format, Inventory};
    use hcddl_plan::registry::Registry;

    fn plan(text: &str) -> Plan {
        let written = hcddl_plan::scenario::parse("x.yml", text, &[]).unwrap();
        hcddl_plan::scenario::resolve(&written, &Registry::default()).unwrap()
    }

    fn pool(text: &str) -> Vec<Host> {
        Inventory::parse("hosts", text, Format::Ini).unwrap().pool(None, None).unwrap()
    }

    fn shown(plan: &Plan, pool: &[Host]) -> String {
        let seats = place(plan, pool).unwrap();
        let line = |(i, seat): (usize, &Seat)| {
            let parent =
                plan.nodes[i].parent.map_or("-", |parent| plan.nodes[parent.0 as usize].name.as_str());
            format!("{} {}:{} {parent}", pool[seat.host].name, plan.nodes[i].name, seat.port)
        };
        seats.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }

    /// README of the older HCDDL: pi1 is the global server, pi2 and pi5 the local ones, pi3, pi4, pi6 and pi7 workers.
    #[test]
    fn the_older_readmes_are_assigned_as_there() {
        let hosts = pool("[pool]\npi1\npi2\npi3\npi4\npi5\npi6\npi7\n");
        let config = "num_server_rounds: 5\ntarget_accuracy: 0.9\nbatch_size: 32\narch: hierarchical\n\
                      global_server:\n  aggr_type: sync\n  local_servers:\n    - type: async\n      num_workers: 2\n    \
                      - type: async\n      num_workers: 2\n";
        assert_eq!(
            shown(&plan(config), &hosts),
            "pi1 global:7700 -\npi2 local1:7700 global\npi3 worker1:7700 local1\npi4 worker2:7700 local1\n\
             pi5 local2:7700 global\npi6 worker3:7700 local2\npi7 worker4:7700 local2"
        );
        let flat = "num_server_rounds: 5\narch: flat\nparameter_server: {aggr_type: sync, num_workers: 4}\n";
        assert_eq!(
            shown(&plan(flat), &hosts),
            "pi1 global:7700 -\npi2 worker1:7700 global\npi3 worker2:7700 global\npi4 worker3:7700 global\n\
             pi5 worker4:7700 global"
        );
    }

    #[test]
    fn placements_come_first_and_share_hosts() {
        let hosts = pool("[pool]\na\nb\nc ansible_host=b\n");
        let scenario = "topology: flat(3)\nmodel: softmax\n\
                        deploy: {port: 9000, placement: {global: b, worker1: b}}\n";
        assert_eq!(
            shown(&plan(scenario), &hosts),
            "b global:9000 -\nb worker1:9001 global\na worker2:9000 global\nc worker3:9002 global",
            "b and c are one machine"
        );
    }

    #[test]
    fn one_local_host_carries_everything() {
        let seats = place(&plan("topology: flat(2)\nmodel: softmax\n"), &[Host::here()]).unwrap();
        let ports: Vec<(usize, u16)> = seats.iter().map(|seat| (seat.host, seat.port)).collect();
        assert_eq!(ports, [(0, 7700), (0, 7701), (0, 7702)]);
    }

    #[test]
    fn what_cannot_be_placed_is_said() {
        let hosts = pool("[pool]\npi1\npi2\n");
        let error = place(&plan("topology: flat(2)\nmodel: softmax\n"), &hosts).unwrap_err().to_string();
        assert_eq!(
            error,
            "3 nodes need 3 hosts, and 2 of the pool are left for them; add hosts, or let several nodes share one: \
             `deploy: {placement: {worker1: pi2, worker2: pi2}}`"
        );
        let unknown = plan("topology: flat(1)\nmodel: softmax\ndeploy: {placement: {worker1: pi22}}\n");
        let error = place(&unknown, &hosts).unwrap_err().to_string();
        assert!(error.contains("placement.worker1: no host `pi22`") && error.contains("`pi2`?"), "{error}");
        let ports = plan("topology: flat(1)\nmodel: softmax\ndeploy: {port: 65535}\n");
        let error = place(&ports, &[Host::here()]).unwrap_err().to_string();
        assert!(error.contains("port: `65535` leaves too few"), "{error}");
    }
}
