//! Where a trace acts.

use super::World;
use crate::plan::NodePlan;
use crate::scenario::file::{LineFile, TraceFile, TracePlaceFile};
use crate::scenario::resolve::Resolver;
use hcddl_core::domain::NodeId;
use hcddl_core::error::UserError;
use hcddl_core::inject::Place;
use hcddl_core::net::PortId;
use std::collections::BTreeSet;

/// Where a trace acts.
pub(super) enum Where {
    /// These nodes, ascending.
    Nodes(Vec<NodeId>),
    /// A line that many share, and what links it is of.
    Line(PortId, Option<Place>),
}

/// Where a trace acts.
pub(super) fn place(
    cx: &Resolver<'_>,
    world: &World<'_>,
    nodes: &[NodePlan],
    file: &TraceFile,
    path: &str,
) -> Result<Where, UserError> {
    let path = format!("{path}.where");
    let name = match &file.place {
        TracePlaceFile::Name(name) => name.trim(),
        TracePlaceFile::Nodes(list) => {
            let mut chosen = BTreeSet::new();
            for (i, name) in list.iter().enumerate() {
                let path = format!("{path}.{i}");
                if !chosen.insert(world.names.find(cx.source, &path, name)?) {
                    return Err(cx.source.error(&path, format!("`{name}` twice"), "each once", ""));
                }
            }
            if chosen.is_empty() {
                return Err(cx.source.error(&path, "no node", "1 or more", ""));
            }
            return Ok(Where::Nodes(chosen.into_iter().collect()));
        }
    };
    let of = |wanted: fn(&NodePlan) -> bool| {
        let all = (0..nodes.len() as u32).map(NodeId).filter(|id| wanted(&nodes[id.index()]));
        Where::Nodes(all.collect())
    };
    let port = |name: &str| {
        let at = world.network.ports.iter().position(|port| port.name == name)?;
        Some(PortId(at as u32))
    };
    match name {
        "all" => Ok(of(|_| true)),
        "workers" => Ok(of(|node| node.shard.is_some())),
        "servers" => match of(|node| node.shard.is_none()) {
            Where::Nodes(none) if none.is_empty() => {
                Err(cx.source.error(&path, "there are no servers among peers", "all, workers, a node", ""))
            }
            servers => Ok(servers),
        },
        "lan" | "wan" => match port(name) {
            Some(port) => {
                let place = if name == "lan" { Place::Lan } else { Place::Wan };
                Ok(Where::Line(port, Some(place)))
            }
            None => {
                let message = format!("`{name}` has no line that its links share");
                let next = format!("set `network.{name}.shared`, or name the nodes whose lines change");
                Err(cx.source.error(&path, message, "", next))
            }
        },
        cell if cx.file.network.cells.contains_key(cell) => match port(&format!("cell {cell}")) {
            Some(port) => Ok(Where::Line(port, None)),
            None => Err(cx.source.error(&path, format!("the cell `{cell}` has no stations"), "", "add some")),
        },
        node => world.names.find(cx.source, &path, node).map(|node| Where::Nodes(vec![node])),
    }
}

/// The ports of a node's own line, up and down.
pub(super) fn own_ports(
    cx: &Resolver<'_>,
    world: &World<'_>,
    node: &NodePlan,
    line: LineFile,
    path: &str,
) -> Result<[PortId; 2], UserError> {
    if line == LineFile::Access {
        let Some((up, down)) = node.access else {
            let message = format!("`{}` has no access line of its own", node.name);
            let next = "set `network.wan.rate`, or leave `line` out";
            return Err(cx.source.error(&format!("{path}.line"), message, "local servers with one", next));
        };
        return Ok([up, down]);
    }
    let host = &world.hosts[node.host.index()];
    if host.airtime > 0.0 {
        let message =
            format!("the machine of `{}` is a station of WiFi, which has no line of its own", node.name);
        let next = "name its cell, from `network.cells`";
        return Err(cx.source.error(
            &format!("{path}.where"),
            message,
            "machines with a cable, or a cell",
            next,
        ));
    }
    Ok([host.up, host.down])
}
