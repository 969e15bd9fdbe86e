//! From what was written to what was meant: a [`Plan`], or the first mistake with its place.

mod deploy;
mod faults;
mod injections;
mod learning;
mod listed;
mod machines;
mod matrix;
mod names;
mod network;
mod peers;
mod platform;
mod schedule;
mod stop;
#[cfg(test)]
mod tests;
mod tiers;
mod topology;
mod traces;

use super::file::ScenarioFile;
use super::{Source, Written};
use crate::plan::{NodePlan, Plan, Role};
use crate::registry::Registry;
use hcddl_core::compress::Codec;
use hcddl_core::domain::{Build, Choice, NodeId, Pick, Pluggable, Seeds};
use hcddl_core::error::UserError;
use hcddl_core::topology::{NodeKind, Topology};
use names::Names;

/// Checks a scenario and resolves every name in it.
///
/// # Errors
/// [`UserError`]: the first mistake, with file, line, path, value, what is allowed and the next step.
pub fn resolve(written: &Written, registry: &Registry) -> Result<Plan, UserError> {
    let mut cx = Resolver {
        file: &written.file,
        source: &written.source,
        registry,
        warnings: written.notes.clone(),
        codecs: Vec::new(),
    };
    let seeds = seeds(&written.file);
    let topology = topology::build(&cx, written.topology.as_ref())?;
    let names = Names::new(&topology);
    let tiers = tiers::resolve(&mut cx, &topology)?;
    let mut nodes = nodes(&topology, &tiers.of_node);
    let peers = peers::resolve(&mut cx, &topology, &mut nodes)?;
    let learning = learning::resolve(&mut cx, &topology, &tiers)?;
    let mut stop = stop::stop(&mut cx)?;
    let evaluation = stop::evaluation(&mut cx, &topology)?;
    let expect = stop::expect(&mut cx)?;
    let placed = platform::read(&matrix::World { cx: &cx, names: &names, seeds: &seeds, nodes: &nodes })?;
    let machines = machines::resolve(&mut cx, &names, &seeds, &mut nodes, placed.as_ref())?;
    let (network, hosts) = network::resolve(&mut cx, &names, &seeds, &mut nodes, machines, placed.as_ref())?;
    let faults = faults::resolve(&mut cx, &names, &mut nodes)?;
    let schedule = schedule::resolve(&mut cx, written, &names, &nodes, &faults)?;
    schedule.iter().for_each(|schedule| schedule.shorten(&mut stop));
    let world = traces::World { names: &names, hosts: &hosts, network: &network, faults: &faults, seeds };
    let (traces, mut injections) = traces::resolve(&mut cx, &world, &mut nodes)?;
    // What is injected acts on top of recorded latencies.
    injections.extend(injections::resolve(&cx, &names, &nodes, seeds)?);
    let deploy = deploy::resolve(&mut cx, &names)?;
    Ok(Plan {
        name: written.file.name.clone().unwrap_or_else(|| "scenario".to_owned()),
        seeds,
        nodes,
        hosts,
        tiers: tiers.plans,
        peers,
        learning,
        stop,
        evaluation,
        network,
        faults,
        schedule,
        injections,
        traces,
        deploy,
        expect,
        timing_only: written.file.timing_only,
        codecs: cx.codecs,
        warnings: cx.warnings,
    })
}

/// What every part of the resolution needs.
struct Resolver<'a> {
    file: &'a ScenarioFile,
    source: &'a Source,
    registry: &'a Registry,
    warnings: Vec<String>,
    codecs: Vec<Choice>,
}

impl Resolver<'_> {
    /// Builds what a choice names; returns it with the choice, its options named.
    fn build<T, M>(&self, pick: &Pick<T>, path: &str) -> Result<(M, Choice), UserError>
    where
        T: ?Sized + Pluggable<Build = Build<M>>,
    {
        let fail = |error| self.source.option_error(path, error);
        let (row, choice) = pick.resolve(self.registry).map_err(fail)?;
        Ok(((row.build)(&choice, self.registry).map_err(fail)?, choice))
    }

    /// What a choice names, its options named but not checked.
    fn named<T: ?Sized + Pluggable>(&self, pick: &Pick<T>, path: &str) -> Result<Choice, UserError> {
        let found = pick.resolve(self.registry).map_err(|error| self.source.option_error(path, error));
        Ok(found?.1)
    }

    /// The index of a codec; `whole` if it codes whole models, of which nothing may be left out.
    fn codec(
        &mut self,
        pick: Option<(&Pick<dyn Codec>, String)>,
        whole: bool,
    ) -> Result<Option<u16>, UserError> {
        let Some((pick, path)) = pick else { return Ok(None) };
        let (codec, choice) = self.build(pick, &path)?;
        if whole && codec.keeps_residual() {
            let message = format!("`{}` leaves parts out, which suits updates but not models", choice.name);
            return Err(self.source.error(
                &path,
                message,
                "fp16, bf16",
                "use it as `compression.up` of updates",
            ));
        }
        let index = self.codecs.iter().position(|codec| *codec == choice).unwrap_or(self.codecs.len());
        if index == self.codecs.len() {
            self.codecs.push(choice);
        }
        Ok(Some(index as u16))
    }

    /// Warns that a setting has no effect, if the user wrote it.
    fn without_effect(&mut self, path: &str, why: &str) {
        if self.source.has(path) {
            self.warnings.push(format!("`{path}` has no effect: {why}"));
        }
    }

    /// A number that must lie in bounds.
    fn check(
        &self,
        ok: bool,
        path: &str,
        value: impl std::fmt::Display,
        allowed: &str,
    ) -> Result<(), UserError> {
        if ok {
            Ok(())
        } else {
            Err(self.source.error(path, format!("`{value}` is out of bounds"), allowed, ""))
        }
    }
}

fn seeds(file: &ScenarioFile) -> Seeds {
    let all = file.seed.unwrap_or(1);
    Seeds {
        data: file.seeds.data.unwrap_or(all),
        init: file.seeds.init.unwrap_or(all),
        interleaving: file.seeds.interleaving.unwrap_or(all),
    }
}

/// The participants as the topology has them; hosts, links and neighbours come later.
fn nodes(topology: &Topology, tier_of_node: &[u16]) -> Vec<NodePlan> {
    let mut nodes: Vec<NodePlan> = Vec::with_capacity(topology.nodes.len());
    let mut shards = 0;
    for (i, node) in topology.nodes.iter().enumerate() {
        let depth = node.parent.map_or(0, |parent| nodes[parent as usize].depth + 1);
        let shard = (node.kind != NodeKind::Server).then(|| {
            shards += 1;
            shards - 1
        });
        if let Some(parent) = node.parent {
            nodes[parent as usize].children.push(NodeId(i as u32));
        }
        nodes.push(NodePlan {
            name: node.name.clone(),
            place: i as u32,
            role: match node.kind {
                NodeKind::Server => Role::Server(tier_of_node[i]),
                NodeKind::Worker => Role::Worker,
                NodeKind::Peer => Role::Peer,
            },
            host: hcddl_core::domain::HostId(0),
            parent: node.parent.map(NodeId),
            children: Vec::new(),
            neighbours: Vec::new(),
            depth,
            link: 0,
            link_down: None,
            access: None,
            slowdown: 1.0,
            joins_later: false,
            shard,
        });
    }
    nodes
}
