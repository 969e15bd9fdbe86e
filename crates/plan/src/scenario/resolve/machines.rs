//! Which node runs on which machine, and what kind of device that is.

use super::Resolver;
use super::listed::Listed;
use super::names::Names;
use super::platform::Placed;
use crate::plan::{NodePlan, Role};
use hcddl_core::device::Profile;
use hcddl_core::domain::{HostId, Pick, Seeds, Stream};
use hcddl_core::error::UserError;
use std::collections::BTreeMap;

/// A machine before it is plugged into the network.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) device: Profile,
    /// Rates of its line towards the network and from it, where a list of devices has them.
    pub(super) rates: Option<(f64, f64)>,
}

pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    names: &Names<'_>,
    seeds: &Seeds,
    nodes: &mut [NodePlan],
    placed: Option<&Placed>,
) -> Result<Vec<Machine>, UserError> {
    let mut host_of = shared_hosts(cx, names)?;
    if let Some(placed) = placed {
        host_of = (0..nodes.len()).map(|node| (node, placed.host(node))).collect();
    }
    let listed = Listed::new(cx, seeds, nodes)?;
    let mut devices = Devices::default();
    check_devices(cx, names, &mut devices)?;
    let mut machines: Vec<Machine> = Vec::with_capacity(nodes.len());
    let mut index_of: BTreeMap<&str, HostId> = BTreeMap::new();
    for (i, node) in nodes.iter_mut().enumerate() {
        let shared = host_of.get(&i).copied();
        if let Some(host) = shared.and_then(|name| index_of.get(name)) {
            node.host = *host;
            continue;
        }
        node.host = HostId(machines.len() as u32);
        let mut device = devices.of(cx, node, shared.filter(|_| placed.is_none()))?;
        if let Some(placed) = placed {
            device = placed.device(i, device);
        }
        let rates = match &listed {
            Some(listed) => listed.change(cx, node, shared, &mut device)?,
            None => None,
        };
        let name = shared.map_or_else(|| node.name.to_string(), str::to_owned);
        machines.push(Machine { name, device, rates });
        if let Some(name) = shared {
            index_of.insert(name, node.host);
        }
    }
    slowdowns(cx, names, seeds, nodes)?;
    Ok(machines)
}

/// Index of a node to the name of the machine that it shares.
fn shared_hosts<'a>(cx: &Resolver<'a>, names: &Names<'_>) -> Result<BTreeMap<usize, &'a str>, UserError> {
    let mut host_of = BTreeMap::new();
    for (host, file) in &cx.file.hosts {
        if file.nodes.is_empty() {
            return Err(cx.source.error(
                &format!("hosts.{host}.nodes"),
                "a host without nodes",
                "1 or more",
                "",
            ));
        }
        for (i, name) in file.nodes.iter().enumerate() {
            let path = format!("hosts.{host}.nodes.{i}");
            let id = names.find(cx.source, &path, name)?;
            if let Some(other) = host_of.insert(id.index(), host.as_str()) {
                let message = format!("`{name}` is on the host `{other}` already");
                return Err(cx.source.error(&path, message, "", "name each node once"));
            }
        }
    }
    Ok(host_of)
}

/// Every device that is written must exist, whether a node uses it or not.
fn check_devices(cx: &Resolver<'_>, names: &Names<'_>, devices: &mut Devices) -> Result<(), UserError> {
    let file = &cx.file.devices;
    devices.get(cx, &file.default, "devices.default")?;
    for (key, pick) in [("workers", &file.workers), ("servers", &file.servers)] {
        if let Some(pick) = pick {
            devices.get(cx, pick, &format!("devices.{key}"))?;
        }
    }
    for (name, pick) in &file.nodes {
        let path = format!("devices.nodes.{name}");
        names.find(cx.source, &path, name)?;
        devices.get(cx, pick, &path)?;
    }
    Ok(())
}

/// Devices that were built, by the key path of their choice.
#[derive(Default)]
struct Devices(BTreeMap<String, Profile>);

impl Devices {
    fn get(&mut self, cx: &Resolver<'_>, pick: &Pick<Profile>, path: &str) -> Result<Profile, UserError> {
        if let Some(profile) = self.0.get(path) {
            return Ok(profile.clone());
        }
        let (profile, _) = cx.build(pick, path)?;
        self.0.insert(path.to_owned(), profile.clone());
        Ok(profile)
    }

    /// The most specific of: the shared machine's, the node's own, its role's, the default.
    fn of(&mut self, cx: &Resolver<'_>, node: &NodePlan, host: Option<&str>) -> Result<Profile, UserError> {
        let file = &cx.file.devices;
        let on_host = host.and_then(|host| cx.file.hosts[host].device.as_ref());
        let (role, pick) = match node.role {
            Role::Server(_) => ("servers", &file.servers),
            Role::Worker | Role::Peer => ("workers", &file.workers),
        };
        match (on_host, file.nodes.get(node.name.as_str()), pick) {
            (Some(pick), _, _) => self.get(cx, pick, &format!("hosts.{}.device", host.unwrap_or_default())),
            (_, Some(pick), _) => self.get(cx, pick, &format!("devices.nodes.{}", node.name)),
            (_, _, Some(pick)) => self.get(cx, pick, &format!("devices.{role}")),
            _ => self.get(cx, &file.default, "devices.default"),
        }
    }
}

fn slowdowns(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    seeds: &Seeds,
    nodes: &mut [NodePlan],
) -> Result<(), UserError> {
    let file = &cx.file.devices;
    let (slowdown, _) = cx.build(&file.heterogeneity, "devices.heterogeneity")?;
    for (i, node) in nodes.iter_mut().enumerate() {
        if !matches!(node.role, Role::Server(_)) {
            let mut stream = Stream::new(seeds.interleaving, "heterogeneity", i as u64, 0);
            node.slowdown = slowdown.draw(&mut stream);
        }
    }
    for (name, factor) in &file.slowdown {
        let path = format!("devices.slowdown.{name}");
        let id = names.find(cx.source, &path, name)?;
        cx.check(
            *factor > 0.0 && factor.is_finite(),
            &path,
            factor,
            "above 0; 1 is normal, 2 takes twice as long",
        )?;
        nodes[id.index()].slowdown = *factor;
    }
    Ok(())
}
