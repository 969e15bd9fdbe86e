//! What is to be deployed where: the same for `check`, `plan`, `run` and `render`.

use super::args::TargetArgs;
use crate::cli::session::{self, Session};
use crate::cli::{Usage, output};
use hcddl_core::error::UserError;
use hcddl_deploy::deploy::controller::{Fleet, Probe};
use hcddl_deploy::deploy::inventory::{Host, doubtful_addresses};
use hcddl_deploy::deploy::placement::{self, Address, PlacementError, Seat};
use hcddl_plan::registry::Registry;
use std::net::IpAddr;

/// A checked scenario with a host for each node.
pub struct Target<'a> {
    pub session: Session<'a>,
    /// The hosts that carry nodes, in pool order.
    pub hosts: Vec<Host>,
    /// The place of each node, by index into `hosts`.
    pub seats: Vec<Seat>,
}

impl<'a> Target<'a> {
    /// Reads scenario and inventory and places the nodes.
    pub fn load(args: &TargetArgs, registry: &'a Registry) -> anyhow::Result<Self> {
        let session = session::load(args.file()?, &args.scenario, registry)?;
        let plan = &session.plan;
        if plan.timing_only {
            return Err(Usage(
                "a timing-only run computes nothing that could be deployed; use `hcddl sim`".to_owned(),
            )
            .into());
        }
        if !plan.faults.events.is_empty() || !plan.faults.rules.is_empty() {
            output::note("warning", "`faults` has no effect on real devices: they have their own");
        }
        if !plan.traces.is_empty() {
            output::note(
                "warning",
                "`traces` of rates and of who is there are simulated only: real lines and devices have their own; \
                 traces of latency are injected",
            );
        }
        if plan.schedule.is_some() {
            output::note("warning", "`schedule` has no effect on real devices: it is the simulator's");
        }
        let (inventory, pool, warnings) = args.pool()?;
        let doubtful = doubtful_addresses(&pool);
        for warning in session.plan.warnings.iter().chain(&warnings).chain(&doubtful) {
            output::note("warning", warning);
        }
        let seats = placement::place(&session.plan, &pool).map_err(|error| match error {
            PlacementError::Scenario(error) => session.option_error("deploy", error),
            error => UserError::in_file(&inventory, error.to_string(), ""),
        })?;
        let alone = |host: &Host| host.local && host.reached_at.is_none();
        if let Some(host) = pool.iter().find(|host| alone(host) && pool.len() > 1) {
            let message = format!("`{}` is this machine, and the others do not know its address", host.name);
            let next =
                "add `hcddl_address=ADDRESS` to it, with an address of this machine that they can reach";
            return Err(UserError::in_file(&inventory, message, next).into());
        }
        let mut used: Vec<usize> = seats.iter().map(|seat| seat.host).collect();
        used.sort_unstable();
        used.dedup();
        let place = |seat: Seat| {
            let host = used.binary_search(&seat.host).expect("every used host is there");
            Seat { host, ..seat }
        };
        let hosts = used.iter().map(|host| pool[*host].clone()).collect();
        let mut target = Self { session, hosts, seats: seats.into_iter().map(place).collect() };
        if args.local && !target.session.has("deploy.port") {
            target.take_free_ports()?;
        }
        Ok(target)
    }

    /// Several runs on one machine, as in tests, must not meet.
    fn take_free_ports(&mut self) -> anyhow::Result<()> {
        let free = hcddl_deploy::transport::free_ports(self.seats.len())?;
        self.seats.iter_mut().zip(free).for_each(|(seat, port)| seat.port = port);
        Ok(())
    }

    /// Names of the nodes on a host.
    pub fn nodes_of(&self, host: usize) -> Vec<String> {
        let nodes = self.session.plan.nodes.iter().zip(&self.seats);
        nodes.filter(|(_, seat)| seat.host == host).map(|(node, _)| node.name.to_string()).collect()
    }

    /// The ways that nodes take from a host: to the parents, and to the neighbours, of its nodes on other hosts.
    pub fn ways_from(&self, host: usize) -> Vec<(usize, u16)> {
        let nodes = &self.session.plan.nodes;
        let mut ways = Vec::new();
        for (node, _) in nodes.iter().zip(&self.seats).filter(|(_, seat)| seat.host == host) {
            let others =
                node.parent.into_iter().chain(node.neighbours.iter().map(|neighbour| neighbour.node));
            ways.extend(others.map(|other| self.seats[other.0 as usize]).map(|seat| (seat.host, seat.port)));
        }
        ways.retain(|(to, _)| *to != host);
        ways.sort_unstable();
        ways.dedup();
        ways
    }
}

/// Where the others reach a host: what the inventory says if it is an address, else the one that SSH reached it at, so
/// that names need not resolve on the devices.
pub fn address(host: &Host, probe: &Probe) -> Address {
    let own = probe.own_address.clone();
    if host.local {
        let at = host.reached_at.clone().unwrap_or("127.0.0.1".to_owned());
        return Address { bind: at.clone(), reached_at: at };
    }
    let is_address = |text: &String| text.parse::<IpAddr>().is_ok();
    let written = host.reached_at.clone().or_else(|| Some(host.destination().to_owned()).filter(is_address));
    let reached_at = written.clone().or(own.clone()).unwrap_or(host.destination().to_owned());
    let bind = own.or(written.filter(is_address)).unwrap_or("0.0.0.0".to_owned());
    Address { reached_at, bind }
}

/// Looks at every host; what is wrong with any is said, one line each, before this fails.
pub async fn probe_all(fleet: &Fleet) -> anyhow::Result<Vec<Probe>> {
    let probed = fleet.each(|_, remote| async move { Probe::of(&remote).await }).await;
    let mut probes = Vec::new();
    let mut failed = 0;
    for result in probed {
        match result {
            Ok(probe) => probes.push(probe),
            Err(error) => {
                failed += 1;
                output::note("error", &error.to_string());
            }
        }
    }
    if failed > 0 {
        anyhow::bail!("{failed} of {} hosts cannot take part; nothing was started", fleet.hosts.len());
    }
    Ok(probes)
}
