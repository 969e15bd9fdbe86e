//! Settings of peers: their neighbours, weights and algorithm.

use super::Resolver;
use crate::plan::{Neighbour, NodePlan, PeerPlan};
use crate::scenario::file::PeersFile;
use hcddl_core::domain::NodeId;
use hcddl_core::error::UserError;
use hcddl_core::topology::{Topology, metropolis};

pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    topology: &Topology,
    nodes: &mut [NodePlan],
) -> Result<Option<PeerPlan>, UserError> {
    if !topology.is_peer_graph() {
        cx.without_effect("peers", "this topology has servers and workers, no peers");
        return Ok(None);
    }
    let default = PeersFile::default();
    let file = cx.file.peers.as_ref().unwrap_or(&default);
    let path = "peers.algorithm";
    let (build, algorithm) = cx.row(&cx.registry.peers, &file.algorithm, path)?;
    let built =
        build(&algorithm, &cx.registry.optimizers).map_err(|error| cx.source.option_error(path, error))?;
    let mut lists = metropolis(topology.nodes.len(), &topology.links);
    for (place, at) in order_ring(&mut lists).into_iter().enumerate() {
        nodes[at as usize].place = place as u32;
    }
    for (node, list) in nodes.iter_mut().zip(lists) {
        let neighbour = |(id, weight)| Neighbour { node: NodeId(id), weight, link: 0 };
        node.neighbours = list.into_iter().map(neighbour).collect();
    }
    let ids: Vec<Vec<NodeId>> =
        nodes.iter().map(|node| node.neighbours.iter().map(|n| n.node).collect()).collect();
    built.check(&ids).map_err(|message| {
        let (message, next) = message.split_once(": ").unwrap_or((&message, ""));
        cx.source.error("peers.algorithm", message, "", next)
    })?;
    Ok(Some(PeerPlan { algorithm }))
}

/// In a connected graph where all have two neighbours, lists the one before, then the one after: from the
/// first peer towards its lower neighbour. The peers in that order; none in another graph.
fn order_ring(lists: &mut [Vec<(u32, f64)>]) -> Vec<u32> {
    if lists.len() < 3 || lists.iter().any(|list| list.len() != 2) {
        return Vec::new();
    }
    let (mut before, mut at) = (lists[0][1].0, 0);
    let mut order = Vec::with_capacity(lists.len());
    for _ in 0..lists.len() {
        order.push(at);
        let list = &mut lists[at as usize];
        if list[0].0 != before {
            list.swap(0, 1);
        }
        (before, at) = (at, list[1].0);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_walked_around() {
        // 0 - 2 - 1 - 3 - 0, written in any order.
        let mut lists = metropolis(4, &[(0, 2), (1, 2), (1, 3), (0, 3)]);
        assert_eq!(order_ring(&mut lists), [0, 2, 1, 3]);
        let pairs: Vec<[u32; 2]> = lists.iter().map(|list| [list[0].0, list[1].0]).collect();
        assert_eq!(pairs, [[3, 2], [2, 3], [0, 1], [1, 0]]);
    }
}
