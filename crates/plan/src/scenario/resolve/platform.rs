//! Machines and links of a platform file.

use super::Resolver;
use super::matrix::{World, places};
use super::network::Builder;
use crate::plan::{LinkPlan, NodePlan};
use crate::scenario::file::LinkFile;
use crate::scenario::platform::{Hop, Platform, Sharing};
use hcddl_core::device::Profile;
use hcddl_core::domain::Span;
use hcddl_core::error::UserError;
use hcddl_core::net::PortId;
use hcddl_core::net::latency::Constant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A platform, and on which of its hosts each node is.
pub(super) struct Placed {
    platform: Platform,
    host_of: Vec<usize>,
}

/// The platform that the scenario names, if it does.
pub(super) fn read(world: &World<'_>) -> Result<Option<Placed>, UserError> {
    let cx = world.cx;
    let Some(file) = &cx.file.network.platform else { return Ok(None) };
    let path = "network.platform";
    let Some(xml) = &file.xml else {
        let message = match &file.file {
            Some(name) => format!("the platform in `{name}` has not been read"),
            None => "a platform without a file".to_owned(),
        };
        return Err(cx.source.error(path, message, "`file` in a scenario file, or `xml`", ""));
    };
    let (network, lan) = (&cx.file.network, LinkFile::default());
    for (key, is_set) in [
        ("hosts", !cx.file.hosts.is_empty()),
        ("devices.list", cx.file.devices.list.is_some()),
        ("network.lan", network.lan != lan),
        ("network.wan", network.wan != lan),
        ("network.cells", !network.cells.is_empty()),
        ("network.latencies", network.latencies.is_some()),
        ("network.rates", network.rates.is_some()),
    ] {
        if is_set {
            let message = "the platform says which machines and links there are";
            return Err(cx.source.error(key, message, "this or `network.platform`", "leave one out"));
        }
    }
    let platform = Platform::read(xml).map_err(|(line, problem)| {
        let allowed = "SimGrid's format, version 4: zones of routing Full, host, link, route, cluster";
        cx.source.error(&format!("{path}.xml"), format!("line {line} of it: {problem}"), allowed, "")
    })?;
    let names: Vec<String> = platform.hosts.iter().map(|host| host.name.clone()).collect();
    let host_of = places(world, (file.by, &file.assign), &names, path, "platform")?;
    Ok(Some(Placed { platform, host_of }))
}

impl Placed {
    /// The name of a node's host.
    pub fn host(&self, node: usize) -> &str {
        &self.platform.hosts[self.host_of[node]].name
    }

    /// The device as the platform has it: operations at its speed, on so many cores, over no card but its links.
    pub fn device(&self, node: usize, base: Profile) -> Profile {
        let host = &self.platform.hosts[self.host_of[node]];
        Profile {
            name: format!("{} at {} Gflop/s", base.name, host.speed / 1e9),
            flops_per_second: host.speed,
            memory_bytes_per_second: f64::INFINITY,
            step_time: None,
            cores: host.cores,
            nic: "ideal".to_owned(),
            ..base
        }
    }

    /// Gives every pair of nodes that talk the links between their hosts.
    pub fn apply(
        &self,
        cx: &Resolver<'_>,
        nodes: &mut [NodePlan],
        net: &mut Builder,
    ) -> Result<(), UserError> {
        let mut made = Made { ports: BTreeMap::new(), indices: BTreeMap::new() };
        for i in 0..nodes.len() {
            if let Some(parent) = nodes[i].parent {
                let (up, down) = (
                    self.link(cx, nodes, (i, parent.index()), &mut made, net)?,
                    self.link(cx, nodes, (parent.index(), i), &mut made, net)?,
                );
                if let (Some(up), Some(down)) = (up, down) {
                    (nodes[i].link, nodes[i].link_down) = (up, (down != up).then_some(down));
                }
            }
            for k in 0..nodes[i].neighbours.len() {
                let other = nodes[i].neighbours[k].node.index();
                if let Some(link) = self.link(cx, nodes, (i, other), &mut made, net)? {
                    nodes[i].neighbours[k].link = link;
                }
            }
        }
        Ok(())
    }

    /// From one node to another; nothing within a host.
    fn link(
        &self,
        cx: &Resolver<'_>,
        nodes: &[NodePlan],
        (from, to): (usize, usize),
        made: &mut Made,
        net: &mut Builder,
    ) -> Result<Option<u16>, UserError> {
        let pair = (self.host_of[from], self.host_of[to]);
        if pair.0 == pair.1 {
            return Ok(None);
        }
        if let Some(index) = made.indices.get(&pair) {
            return Ok(Some(*index));
        }
        let (a, b) = (self.host(from), self.host(to));
        let Some(hops) = self.platform.route(pair.0, pair.1) else {
            let (from, to) = (&nodes[from].name, &nodes[to].name);
            let message = format!("no route from the host `{a}` to `{b}`, on which `{from}` and `{to}` talk");
            let next = "add a `route`, or put the nodes elsewhere with `assign`";
            return Err(cx.source.error("network.platform", message, "", next));
        };
        let links = hops.iter().map(|hop| &self.platform.links[hop.link]);
        let latency = Span::from_seconds(links.clone().map(|link| link.latency_s).sum());
        let unshared = links.filter(|link| link.sharing == Sharing::Fatpipe);
        let rate_max = unshared.map(|link| link.bytes_per_second).fold(f64::INFINITY, f64::min);
        let segments = hops.iter().filter_map(|hop| self.port(hop, made, net)).collect();
        let index = u16::try_from(net.links.len()).map_err(|_| {
            let message = "more than 65,535 pairs of hosts talk";
            cx.source.error("network.platform", message, "", "use fewer hosts")
        })?;
        net.links.push(LinkPlan {
            name: format!("{a}-{b}"),
            latency: Arc::new(Constant { value: latency }),
            rate_max,
            loss: 0.0,
            efficiency: 1.0,
            segments,
        });
        made.indices.insert(pair, index);
        Ok(Some(index))
    }

    /// The constraint of a link that transfers share.
    fn port(&self, hop: &Hop, made: &mut Made, net: &mut Builder) -> Option<PortId> {
        let link = &self.platform.links[hop.link];
        let (key, name) = match (link.sharing, hop.up) {
            (Sharing::Fatpipe, _) => return None,
            (Sharing::Shared, _) => ((hop.link, true), link.name.clone()),
            (Sharing::Duplex, true) => ((hop.link, true), format!("{}.up", link.name)),
            (Sharing::Duplex, false) => ((hop.link, false), format!("{}.down", link.name)),
        };
        Some(*made.ports.entry(key).or_insert_with(|| net.port(name, link.bytes_per_second)))
    }
}

/// Constraints and kinds of link that were made.
struct Made {
    ports: BTreeMap<(usize, bool), PortId>,
    indices: BTreeMap<(usize, usize), u16>,
}
