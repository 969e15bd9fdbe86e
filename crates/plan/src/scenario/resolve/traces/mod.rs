//! What changes over time: whose, and from which records or generator.

mod columns;
mod place;

use super::Resolver;
use super::names::Names;
use crate::plan::{Changing, Fault, FaultsPlan, Held, HostPlan, NetworkPlan, NodePlan, Role, TracePlan};
use crate::scenario::file::TraceFile;
use columns::{Columns, columns};
use hcddl_core::domain::{NodeId, Seeds, Span, Stream, Time};
use hcddl_core::error::UserError;
use hcddl_core::inject::{Amount, Change, Injection, Place};
use hcddl_core::net::PortId;
use hcddl_core::trace::{Bandwidth, Recorded};
use place::{Where, own_ports, place};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What traces are about, as far as it is known when they are read.
pub(super) struct World<'a> {
    pub names: &'a Names<'a>,
    pub hosts: &'a [HostPlan],
    pub network: &'a NetworkPlan,
    pub faults: &'a FaultsPlan,
    pub seeds: Seeds,
}

/// The traces, and the injections that recorded latencies are.
pub(super) fn resolve(
    cx: &mut Resolver<'_>,
    world: &World<'_>,
    nodes: &mut [NodePlan],
) -> Result<(Vec<TracePlan>, Vec<Injection>), UserError> {
    let mut found = Found::default();
    for (i, file) in cx.file.traces.iter().enumerate() {
        let columns = columns(cx, file, &format!("traces.{i}"))?;
        found.entry(cx, world, nodes, (i, file), &columns)?;
    }
    for trace in &found.traces {
        // Who is away when the run begins has not been there before.
        if let Some((Time::ZERO, Held::Presence(node, false))) = trace.course(world.seeds.interleaving).next()
        {
            nodes[node.index()].joins_later = true;
        }
    }
    Ok((found.traces, found.injections))
}

/// What has been found so far.
#[derive(Default)]
struct Found {
    traces: Vec<TracePlan>,
    injections: Vec<Injection>,
    /// Ports and nodes that follow a trace, and the entry that says so.
    ports: BTreeMap<PortId, usize>,
    nodes: BTreeMap<NodeId, usize>,
}

impl Found {
    fn entry(
        &mut self,
        cx: &mut Resolver<'_>,
        world: &World<'_>,
        nodes: &[NodePlan],
        (i, file): (usize, &TraceFile),
        columns: &Columns,
    ) -> Result<(), UserError> {
        let from = Time(file.from.0.0);
        let path = format!("traces.{i}");
        let rates = [&columns.rate, &columns.up, &columns.down];
        if rates.iter().all(|rates| rates.is_none()) {
            cx.without_effect(&format!("{path}.line"), "no rate changes in this trace");
        }
        let chosen = match place(cx, world, nodes, file, &path)? {
            Where::Line(port, place) => return self.line(cx, (i, from), port, place, columns),
            Where::Nodes(chosen) => chosen,
        };
        let period = columns.period().filter(|_| file.random_start);
        for id in chosen.iter().copied() {
            let passed = period.map_or(Span::ZERO, |period| {
                let seed = world.seeds.interleaving;
                let mut stream = Stream::new(seed, "trace-start", u64::from(id.0), i as u64);
                Span(stream.below(period.0))
            });
            self.node(cx, world, nodes, (i, file), columns, (id, passed))?;
            if let Some(latency) = columns.latency.as_ref().filter(|_| period.is_some()) {
                self.inject(Place::Nodes(vec![id]), &latency.from_within(passed), from);
            }
        }
        if let Some(latency) = columns.latency.as_ref().filter(|_| period.is_none()) {
            self.inject(Place::Nodes(chosen), latency, from);
        }
        Ok(())
    }

    /// The rate of a line that many share.
    fn line(
        &mut self,
        cx: &Resolver<'_>,
        (i, from): (usize, Time),
        port: PortId,
        place: Option<Place>,
        columns: &Columns,
    ) -> Result<(), UserError> {
        let path = format!("traces.{i}");
        let Columns { rate, up, down, latency, available } = columns;
        if available.is_some() {
            let message = "a line cannot leave";
            return Err(cx.source.error(&path, message, "`where`: nodes", "use a `rate` of 0"));
        }
        if up.is_some() || down.is_some() || rate.is_none() {
            let message = "a line that many share has one rate, for both directions";
            return Err(cx.source.error(&path, message, "`rate`, with or without a latency", ""));
        }
        if let Some(rates) = rate {
            let trace = (i, from, (u64::from(port.0), (i as u64) << 2));
            self.rate(cx, port, rates.after(Span::ZERO), trace)?;
        }
        if let (Some(latency), Some(place)) = (latency, place) {
            self.inject(place, latency, from);
        } else if latency.is_some() {
            let message = "a cell has no latency of its own";
            return Err(cx.source.error(&path, message, "`where`: nodes, lan or wan", ""));
        }
        Ok(())
    }

    fn node(
        &mut self,
        cx: &Resolver<'_>,
        world: &World<'_>,
        nodes: &[NodePlan],
        (i, file): (usize, &TraceFile),
        columns: &Columns,
        (id, passed): (NodeId, Span),
    ) -> Result<(), UserError> {
        let (path, from) = (format!("traces.{i}"), Time(file.from.0.0));
        let key = |column: u64| (u64::from(id.0), ((i as u64) << 2) | column);
        let ports = [
            (&columns.rate, [true, true], 0),
            (&columns.up, [true, false], 1),
            (&columns.down, [false, true], 2),
        ];
        for (rates, directions, column) in ports {
            let Some(rates) = rates else { continue };
            let [up, down] = own_ports(cx, world, &nodes[id.index()], file.line, &path)?;
            if up == down && column > 0 {
                let message = format!("`{}` sends and receives over one medium", nodes[id.index()].name);
                return Err(cx.source.error(&path, message, "`rate`, of both directions together", ""));
            }
            let chosen: BTreeSet<PortId> = [(up, directions[0]), (down, directions[1])]
                .into_iter()
                .filter(|p| p.1)
                .map(|p| p.0)
                .collect();
            for port in chosen {
                // Nodes of one machine have one card.
                if self.ports.get(&port) != Some(&i) {
                    self.rate(cx, port, rates.after(passed), (i, from, key(column)))?;
                }
            }
        }
        if let Some(states) = &columns.available {
            self.presence(cx, world, nodes, (i, id))?;
            let what = Changing::Presence(id, states.after(passed));
            self.traces.push(TracePlan { what, from, key: key(3) });
        }
        Ok(())
    }

    fn rate(
        &mut self,
        cx: &Resolver<'_>,
        port: PortId,
        rates: Arc<dyn Bandwidth>,
        (i, from, key): (usize, Time, (u64, u64)),
    ) -> Result<(), UserError> {
        if let Some(other) = self.ports.insert(port, i) {
            let message = format!("a line of this trace follows `traces.{other}` already");
            let path = format!("traces.{i}.where");
            return Err(cx.source.error(&path, message, "one rate for each direction of a line", ""));
        }
        self.traces.push(TracePlan { what: Changing::Rate(port, rates), from, key });
        Ok(())
    }

    /// Checks that only this trace says when a node is there.
    fn presence(
        &mut self,
        cx: &Resolver<'_>,
        world: &World<'_>,
        nodes: &[NodePlan],
        (i, id): (usize, NodeId),
    ) -> Result<(), UserError> {
        let (node, path) = (&nodes[id.index()], format!("traces.{i}.where"));
        if node.parent.is_none() && matches!(node.role, Role::Server(_)) {
            let message = format!("the root `{}` cannot leave", node.name);
            return Err(cx.source.error(&path, message, "workers, or nodes below the root", ""));
        }
        if let Some(other) = self.nodes.insert(id, i) {
            let message = format!("`{}` comes and goes by `traces.{other}` already", node.name);
            return Err(cx.source.error(&path, message, "one trace of availability for each node", ""));
        }
        let concerns = |fault: &Fault| matches!(fault, Fault::Crash(n) | Fault::Restart(n) | Fault::Leave(n) | Fault::Join(n) if *n == id);
        if world.faults.events.iter().any(|event| concerns(&event.fault)) {
            let message = format!("`faults.events` say as well when `{}` is there", node.name);
            return Err(cx.source.error(&path, message, "a trace or faults for each node", "leave one out"));
        }
        Ok(())
    }

    fn inject(&mut self, place: Place, latency: &Recorded<Span>, from: Time) {
        let change = Change::Replace(Amount::Trace(latency.clone().into()));
        self.injections.push(Injection {
            place,
            direction: None,
            from,
            until: Time::MAX,
            bursts: None,
            change,
        });
    }
}
