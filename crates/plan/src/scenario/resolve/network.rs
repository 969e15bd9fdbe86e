//! Links, ports and contention.

use super::machines::Machine;
use super::names::Names;
use super::platform::Placed;
use super::{Resolver, matrix};
use crate::plan::{HostPlan, LinkPlan, NetworkPlan, NodePlan, PortPlan, Role};
use crate::scenario::file::{LinkFile, MessageRuleFile};
use hcddl_core::domain::{HostId, NodeId, Pick, Seeds, Time, units::Rate};
use hcddl_core::error::UserError;
use hcddl_core::net::profile::LinkProfile;
use hcddl_core::net::{Distribution, PortId};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    names: &Names<'_>,
    seeds: &Seeds,
    nodes: &mut [NodePlan],
    machines: Vec<Machine>,
    placed: Option<&Placed>,
) -> Result<(NetworkPlan, Vec<HostPlan>), UserError> {
    let file = &cx.file.network;
    check(cx, &file.lan, "network.lan")?;
    check(cx, &file.wan, "network.wan")?;
    let mut net = Builder::default();
    let cells = cells(cx, names, nodes)?;
    let hosts = net.hosts(cx, machines, &cells)?;
    net.lan_segment(cx);
    net.wan(cx, nodes)?;
    net.assign(nodes, &hosts);
    matrix::apply(cx, names, seeds, nodes, &mut net.links)?;
    if let Some(placed) = placed {
        placed.apply(cx, nodes, &mut net)?;
    }
    net.overrides(cx, names, nodes)?;
    if !net.wan_used {
        cx.without_effect("network.wan", "no link of this topology joins two servers");
    }
    // A loss that is not understood is told about with the rules.
    let loses = |rule: &MessageRuleFile| rule.loss.build(cx.registry).is_ok_and(|loss| loss.mean() > 0.0);
    let mut rules = cx.file.faults.messages.iter();
    let reliable = file.reliable.unwrap_or(rules.any(|rule| rule.duplicate > 0.0 || loses(rule)));
    if !reliable {
        cx.without_effect("network.resend_after", "nothing is resent unless `network.reliable` is true");
    }
    if file.resend_after.0.0 == 0 {
        return Err(cx.source.error(
            "network.resend_after",
            "`0` is out of bounds",
            "above 0, as in `1s`",
            "",
        ));
    }
    let contention = cx.build(&file.contention, "network.contention")?.0;
    let plan = NetworkPlan {
        contention,
        ports: net.ports,
        links: net.links,
        reliable,
        resend_after: file.resend_after.0,
    };
    Ok((plan, hosts))
}

/// The named cell of each machine that is in one.
fn cells<'f>(
    cx: &Resolver<'f>,
    names: &Names<'_>,
    nodes: &[NodePlan],
) -> Result<BTreeMap<HostId, &'f str>, UserError> {
    let mut cells = BTreeMap::new();
    for (cell, members) in &cx.file.network.cells {
        for (i, member) in members.iter().enumerate() {
            let path = format!("network.cells.{cell}.{i}");
            let host = nodes[names.find(cx.source, &path, member)?.index()].host;
            if let Some(other) = cells.insert(host, cell.as_str()).filter(|other| other != cell) {
                let message = format!("the machine of `{member}` is in the cell `{other}` already");
                return Err(cx.source.error(&path, message, "one cell for each machine", ""));
            }
        }
    }
    Ok(cells)
}

fn check(cx: &Resolver<'_>, link: &LinkFile, path: &str) -> Result<(), UserError> {
    for (key, rate) in [("rate", link.rate), ("up", link.up), ("down", link.down), ("shared", link.shared)] {
        if let Some(rate) = rate {
            check_rate(cx, &format!("{path}.{key}"), rate)?;
        }
    }
    check_loss(cx, &format!("{path}.loss"), link.loss)
}

fn check_rate(cx: &Resolver<'_>, path: &str, rate: Rate) -> Result<(), UserError> {
    cx.check(rate.0 > 0.0, path, rate, "above 0, as in `50mbit`")
}

fn check_loss(cx: &Resolver<'_>, path: &str, loss: Option<f64>) -> Result<(), UserError> {
    cx.check(loss.is_none_or(|p| (0.0..1.0).contains(&p)), path, loss.unwrap_or(0.0), "0 to below 1")
}

fn latency(
    cx: &Resolver<'_>,
    pick: &Pick<dyn Distribution>,
    path: &str,
) -> Result<Arc<dyn Distribution>, UserError> {
    pick.build(cx.registry).map_err(|error| cx.source.option_error(path, error))
}

/// The profile of a link's file laid over another one.
fn over(cx: &Resolver<'_>, base: LinkProfile, link: &LinkFile, path: &str) -> Result<LinkProfile, UserError> {
    let mut profile = base;
    if let Some(Rate(rate)) = link.up.or(link.rate) {
        profile.up_bytes_per_second = rate;
    }
    if let Some(Rate(rate)) = link.down.or(link.rate) {
        profile.down_bytes_per_second = rate;
    }
    if let Some(pick) = &link.latency {
        profile.latency = latency(cx, pick, &format!("{path}.latency"))?;
    }
    profile.loss = link.loss.unwrap_or(profile.loss);
    Ok(profile)
}

/// Ports and kinds of link that have been found so far.
#[derive(Default)]
pub(super) struct Builder {
    ports: Vec<PortPlan>,
    pub links: Vec<LinkPlan>,
    /// Index of the link of each kind of network card.
    cards: BTreeMap<String, (u16, LinkProfile)>,
    /// The link of each host's card.
    card_of_host: Vec<u16>,
    /// The link between servers, when it differs, and whether anyone uses it.
    wan_link: Option<u16>,
    wan_used: bool,
}

impl Builder {
    pub fn port(&mut self, name: String, bytes_per_second: f64) -> PortId {
        self.ports.push(PortPlan { name, bytes_per_second });
        PortId(self.ports.len() as u32 - 1)
    }

    fn link(&mut self, name: String, profile: &LinkProfile) -> u16 {
        self.links.push(LinkPlan {
            name,
            latency: Arc::clone(&profile.latency),
            rate_max: f64::INFINITY,
            loss: profile.loss,
            efficiency: profile.efficiency,
            segments: Vec::new(),
        });
        self.links.len() as u16 - 1
    }

    /// Plugs each machine in; its card is `network.lan`'s profile or its device's own. Stations of WiFi share the
    /// medium of their cell.
    fn hosts(
        &mut self,
        cx: &Resolver<'_>,
        machines: Vec<Machine>,
        cells: &BTreeMap<HostId, &str>,
    ) -> Result<Vec<HostPlan>, UserError> {
        let mut hosts = Vec::with_capacity(machines.len());
        let mut mediums: BTreeMap<String, PortId> = BTreeMap::new();
        for (i, Machine { name, device, rates }) in machines.into_iter().enumerate() {
            let (link, card) = self.card(cx, &device.nic)?;
            let named = cells.get(&HostId(i as u32));
            if rates.is_some() && card.shared_medium {
                let message =
                    format!("the list gives `{name}` a line of its own, but it is a station of WiFi");
                let next = "set `network.lan.profile` to a card with a cable, or leave rates out of the list";
                return Err(cx.source.error("devices.list", message, "", next));
            }
            let rates = rates.unwrap_or((card.up_bytes_per_second, card.down_bytes_per_second));
            let (up, down) = if card.shared_medium {
                let cell = named.map_or_else(
                    || format!("cell of {}", self.links[usize::from(link)].name),
                    |cell| format!("cell {cell}"),
                );
                let rate = card.up_bytes_per_second;
                let medium = match mediums.get(&cell) {
                    Some(medium) => *medium,
                    None => self.port(cell.clone(), rate),
                };
                mediums.insert(cell, medium);
                // A cell is as fast as its fastest station.
                let fastest = &mut self.ports[medium.0 as usize].bytes_per_second;
                *fastest = fastest.max(rate);
                (medium, medium)
            } else if let Some(cell) = named {
                let path = format!("network.cells.{cell}");
                let message = format!("the machine `{name}` has no WiFi: its card is {}", device.nic);
                return Err(cx.source.error(
                    &path,
                    message,
                    "machines with wifi4 or wifi5, by device or profile",
                    "",
                ));
            } else {
                let up = self.port(format!("{name}.up"), rates.0);
                (up, self.port(format!("{name}.down"), rates.1))
            };
            self.card_of_host.push(link);
            let airtime = if card.shared_medium { card.up_bytes_per_second } else { 0.0 };
            hosts.push(HostPlan { name, device, up, down, airtime });
        }
        for host in hosts.iter_mut().filter(|host| host.airtime > 0.0) {
            host.airtime = self.ports[host.up.0 as usize].bytes_per_second / host.airtime;
        }
        Ok(hosts)
    }

    fn card(&mut self, cx: &Resolver<'_>, nic: &str) -> Result<(u16, LinkProfile), UserError> {
        let lan = &cx.file.network.lan;
        // One profile for all leaves one kind of card.
        let (key, pick, path) = match &lan.profile {
            Some(pick) => (String::new(), pick.clone(), "network.lan.profile"),
            None => (nic.to_owned(), Pick::text(nic), "devices"),
        };
        if let Some(found) = self.cards.get(&key) {
            return Ok(found.clone());
        }
        let base = cx.build(&pick, path)?.0;
        let profile = over(cx, base, lan, "network.lan")?;
        let name = if key.is_empty() { "lan".to_owned() } else { format!("lan ({key})") };
        let card = (self.link(name, &profile), profile);
        self.cards.insert(key, card.clone());
        Ok(card)
    }

    /// The one line that all LAN links share.
    fn lan_segment(&mut self, cx: &Resolver<'_>) {
        if let Some(Rate(rate)) = cx.file.network.lan.shared {
            let port = self.port("lan".to_owned(), rate);
            for link in &mut self.links {
                link.segments.push(port);
            }
        }
    }

    /// The link between servers and the access lines of local servers, when `network.wan` says anything.
    fn wan(&mut self, cx: &Resolver<'_>, nodes: &mut [NodePlan]) -> Result<(), UserError> {
        let wan = &cx.file.network.wan;
        if *wan == LinkFile::default() || self.cards.is_empty() {
            return Ok(());
        }
        let base = match (&wan.profile, nodes.first()) {
            (Some(pick), _) => cx.build(pick, "network.wan.profile")?.0,
            (None, Some(root)) => {
                let link = self.card_of_host[root.host.index()];
                let card = self.cards.values().find(|card| card.0 == link).or(self.cards.values().next());
                card.expect("there is a card").1.clone()
            }
            (None, None) => return Ok(()),
        };
        let profile = over(cx, base, wan, "network.wan")?;
        let link = self.link("wan".to_owned(), &profile);
        if let Some(Rate(rate)) = wan.shared {
            let port = self.port("wan".to_owned(), rate);
            self.links[link as usize].segments.push(port);
        }
        let own_line = wan.profile.is_some() || wan.rate.is_some() || wan.up.is_some() || wan.down.is_some();
        for node in nodes.iter_mut().filter(|node| is_local_server(node)) {
            if own_line {
                let up = self.port(format!("{}.wan.up", node.name), profile.up_bytes_per_second);
                let down = match profile.shared_medium {
                    true => up,
                    false => self.port(format!("{}.wan.down", node.name), profile.down_bytes_per_second),
                };
                node.access = Some((up, down));
            }
        }
        self.wan_link = Some(link);
        Ok(())
    }

    /// Gives every edge its kind: the WAN between servers, else the card of the end with more latency.
    fn assign(&mut self, nodes: &mut [NodePlan], hosts: &[HostPlan]) {
        let means: Vec<u64> =
            self.links.iter().map(|link| link.latency.mean().map_or(Time::MAX.0, |mean| mean.0)).collect();
        let slower = |a: u16, b: u16| if means[b as usize] > means[a as usize] { b } else { a };
        let card: Vec<u16> = nodes.iter().map(|node| self.card_of_host[node.host.index()]).collect();
        debug_assert_eq!(hosts.len(), self.card_of_host.len());
        for (i, node) in nodes.iter_mut().enumerate() {
            let between_servers = is_local_server(node);
            self.wan_used |= between_servers;
            if let Some(parent) = node.parent {
                node.link = match self.wan_link {
                    Some(wan) if between_servers => wan,
                    _ => slower(card[i], card[parent.index()]),
                };
            }
            for neighbour in &mut node.neighbours {
                neighbour.link =
                    slower(card[i.min(neighbour.node.index())], card[i.max(neighbour.node.index())]);
            }
        }
    }

    fn overrides(
        &mut self,
        cx: &Resolver<'_>,
        names: &Names<'_>,
        nodes: &mut [NodePlan],
    ) -> Result<(), UserError> {
        for (i, file) in cx.file.network.links.iter().enumerate() {
            let path = format!("network.links.{i}");
            let (a, b) = linked(cx, names, nodes, &format!("{path}.between"), &file.between)?;
            let old = match nodes[b.index()].parent {
                Some(parent) if parent == a => nodes[b.index()].link,
                _ => nodes[a.index()].neighbours.iter().find(|n| n.node == b).map_or(0, |n| n.link),
            };
            let mut link = self.links[old as usize].clone();
            link.name = file.between.join("-");
            if let Some(pick) = &file.latency {
                link.latency = latency(cx, pick, &format!("{path}.latency"))?;
            }
            if let Some(rate) = file.rate {
                check_rate(cx, &format!("{path}.rate"), rate)?;
                link.rate_max = rate.0;
            }
            check_loss(cx, &format!("{path}.loss"), file.loss)?;
            link.loss = file.loss.unwrap_or(link.loss);
            let index = u16::try_from(self.links.len()).map_err(|_| {
                cx.source.error(&path, "more than 65,535 kinds of link", "", "leave some out")
            })?;
            self.links.push(link);
            if nodes[b.index()].parent == Some(a) {
                nodes[b.index()].link = index;
                nodes[b.index()].link_down = None;
            }
            for (from, to) in [(a, b), (b, a)] {
                for neighbour in nodes[from.index()].neighbours.iter_mut().filter(|n| n.node == to) {
                    neighbour.link = index;
                }
            }
        }
        Ok(())
    }
}

fn is_local_server(node: &NodePlan) -> bool {
    matches!(node.role, Role::Server(_)) && node.parent.is_some()
}

/// Two nodes that must be linked; in a tree the parent comes first.
pub(super) fn linked(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    nodes: &[NodePlan],
    path: &str,
    pair: &[String; 2],
) -> Result<(NodeId, NodeId), UserError> {
    let a = names.find(cx.source, &format!("{path}.0"), &pair[0])?;
    let b = names.find(cx.source, &format!("{path}.1"), &pair[1])?;
    let (node_a, node_b) = (&nodes[a.index()], &nodes[b.index()]);
    if node_b.parent == Some(a) || node_a.neighbours.iter().any(|n| n.node == b) {
        return Ok((a, b));
    }
    if node_a.parent == Some(b) {
        return Ok((b, a));
    }
    let message = format!("no link between `{}` and `{}`", pair[0], pair[1]);
    let allowed = "a server and its child, or two neighbouring peers";
    Err(cx.source.error(path, message, allowed, "`hcddl topo` shows the links"))
}
