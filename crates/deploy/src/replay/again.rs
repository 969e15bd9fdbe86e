//! A deployed run once more, but not quite the same: in its order at modelled times, with its durations in whatever
//! order follows, or until some event, and from there on with other settings.

use super::{Logs, ReplayError, Until, replay};
use hcddl_core::domain::{NodeId, Version};
use hcddl_learn::Learner;
use hcddl_plan::measure::outcome::{Observer, SimOptions};
use hcddl_plan::plan::{NodePlan, Plan, Role};
use hcddl_plan::registry::Registry;
use hcddl_sim::record::order::What;
use hcddl_sim::run::rules::recorded::{Conditions, Recorded};
use hcddl_sim::sim::order_gate::{Kept, Order};
use hcddl_sim::sim::{Ended, Imposed, Parts, RunResult, Start, run_imposed};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What of the run is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Its order of events.
    pub order: bool,
    /// Its durations of jobs and messages, instead of modelled ones.
    pub durations: bool,
    /// The order is kept until then; from there on it follows from the times.
    pub until: Option<Until>,
}

/// A run that was led by another one.
#[derive(Debug)]
pub struct Again {
    /// Its result.
    pub result: RunResult,
    /// How the order was kept, as far as it was to be.
    pub kept: Kept,
}

/// Simulates `plan` led by the logs of a run of it; from [`Keep::until`] on `changed` is the plan, if there is one.
///
/// # Errors
/// [`ReplayError::Cannot`] when a node of the run was started more than once, when `changed` has other nodes, devices
/// or codecs, or when the order of the run cannot be kept; [`ReplayError::Sim`].
#[allow(clippy::too_many_arguments)]
pub fn again(
    plan: &Plan,
    changed: Option<&Plan>,
    registry: &Registry,
    learner: &Arc<dyn Learner>,
    logs: &Logs,
    keep: &Keep,
    options: &SimOptions,
    observer: &mut dyn Observer,
    interrupt: &Arc<AtomicBool>,
) -> Result<Again, ReplayError> {
    one_life(plan, logs)?;
    let servers = changed.map(|changed| differences(plan, changed)).transpose()?.unwrap_or_default();
    let recorded = keep.durations.then(|| durations(plan, registry, learner, logs, options)).transpose()?;
    let order = keep.order.then(|| Order {
        logs: logs.0.iter().map(|log| log.iter().map(|entry| entry.what.clone()).collect()).collect(),
        until: keep.until.map(|until| (until.node, until.inputs)),
    });
    let mut part = |plan, start, imposed| {
        let interrupt = Arc::clone(interrupt);
        let observer = &mut *observer;
        let parts = Parts { plan, registry, learner, options, observer, director: None, interrupt };
        run_imposed(parts, start, imposed)
    };
    let imposed = Imposed { order, durations: recorded.clone(), streams: true };
    let (ended, kept) = part(plan, Start::New, imposed)?;
    complain(plan, &kept)?;
    let result = match ended {
        Ended::Result(_) if changed.is_some() => {
            return Err(ReplayError::Cannot(
                "the run is over before `--from`: nothing would be different; name an earlier event"
                    .to_owned(),
            ));
        }
        Ended::Result(result) => *result,
        Ended::Reached(from) => {
            let plan = changed.unwrap_or(plan);
            // Streams lose no message; where the other plan has some lost, nodes need its delivery.
            let imposed = Imposed { order: None, durations: recorded, streams: !plan.network.reliable };
            match part(plan, Start::Elsewhere { from, changed: servers }, imposed)?.0 {
                Ended::Result(result) => *result,
                Ended::Reached(_) => unreachable!("no order is imposed any more"),
            }
        }
    };
    Ok(Again { result, kept })
}

/// How long everything took: what executing the run exactly tells.
fn durations(
    plan: &Plan,
    registry: &Registry,
    learner: &Arc<dyn Learner>,
    logs: &Logs,
    options: &SimOptions,
) -> Result<Arc<Recorded>, ReplayError> {
    let exact = replay(plan, registry, Arc::clone(learner), logs, options.threads, None)?;
    Ok(Arc::new(Recorded { conditions: Conditions::of(plan), ..exact.moments.recorded() }))
}

fn one_life(plan: &Plan, logs: &Logs) -> Result<(), ReplayError> {
    let reborn = |log: &Vec<hcddl_sim::record::order::Entry>| {
        log.iter().any(|entry| matches!(entry.what, What::Born { life: 1.., .. }))
    };
    match logs.0.iter().position(reborn) {
        Some(node) => Err(ReplayError::Cannot(format!(
            "{} was started more than once in this run, which can only be executed exactly: leave --order, --clock \
             and --from out",
            plan.nodes[node].name
        ))),
        None => Ok(()),
    }
}

/// The servers whose settings differ.
fn differences(plan: &Plan, changed: &Plan) -> Result<Vec<NodeId>, ReplayError> {
    let same_place = |(a, b): (&NodePlan, &NodePlan)| {
        (&a.name, a.host, a.parent, &a.children, a.shard) == (&b.name, b.host, b.parent, &b.children, b.shard)
            && std::mem::discriminant(&a.role) == std::mem::discriminant(&b.role)
    };
    let text = |what: &dyn std::fmt::Debug| format!("{what:?}");
    let devices = |plan: &Plan| plan.hosts.iter().map(|host| text(&host.device)).collect::<Vec<_>>();
    let same =
        plan.nodes.len() == changed.nodes.len() && plan.nodes.iter().zip(&changed.nodes).all(same_place);
    for (what, same) in [
        ("nodes and their places", same),
        ("devices", devices(plan) == devices(changed)),
        ("seeds", text(&plan.seeds) == text(&changed.seeds)),
        ("data, model and local training", text(&plan.learning) == text(&changed.learning)),
        ("codecs", plan.codecs == changed.codecs),
        ("algorithm of the peers", text(&plan.peers) == text(&changed.peers)),
    ] {
        if !same {
            return Err(ReplayError::Cannot(format!(
                "--set changes the {what} of a run that is under way; tiers, network, faults, evaluation and when it \
                 stops can be changed"
            )));
        }
    }
    let tier = |plan: &Plan, node: &NodePlan| match node.role {
        Role::Server(tier) => text(&plan.tiers[usize::from(tier)]),
        Role::Worker | Role::Peer => String::new(),
    };
    let both = plan.nodes.iter().zip(&changed.nodes).enumerate();
    let differ = both.filter(|(_, (a, b))| tier(plan, a) != tier(changed, b));
    Ok(differ.map(|(i, _)| NodeId(i as u32)).collect())
}

/// A run whose order cannot be kept in modelled time: its policy looks at the clock, or the logs are of another
/// scenario.
fn complain(plan: &Plan, kept: &Kept) -> Result<(), ReplayError> {
    let name = |node: NodeId| &plan.nodes[node.index()].name;
    let why = "the order of the run cannot be kept at other times; does a policy look at the clock?";
    if let Some((node, Version(version))) = kept.differs {
        return Err(ReplayError::Cannot(format!(
            "version {version} of {} has another digest: {why}",
            name(node)
        )));
    }
    // The root comes to the end of its log; what the others had not heard of by then is cut off there.
    match kept
        .stuck
        .iter()
        .find(|(node, _)| plan.nodes[node.index()].parent.is_none() && plan.peers.is_none())
    {
        Some((node, next)) => {
            Err(ReplayError::Cannot(format!("{} never came to {next}: {why}", name(*node))))
        }
        None => Ok(()),
    }
}
