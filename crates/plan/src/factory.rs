//! From plan to nodes: the one place that knows which settings make which node.

use crate::plan::{LocalWork, NodePlan, Plan, Role, TierPlan};
use crate::registry::Registry;
use hcddl_core::domain::{NodeId, OptionError, Params, Span};
use hcddl_core::node::reliable::Reliable;
use hcddl_core::node::server::{Server, ServerConfig};
use hcddl_core::node::uplink::UplinkConfig;
use hcddl_core::node::worker::{Worker, WorkerConfig};
use hcddl_core::node::{Node, NodeState};
use hcddl_core::peer::PeerSetup;
use hcddl_learn::Learner;
use std::collections::BTreeSet;

/// Builds the nodes of a plan.
pub struct Factory<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
    learner: &'a dyn Learner,
    init: Params,
    delivery: Delivery,
}

/// How messages are kept from being lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// They never are, or nobody minds.
    Plain,
    /// As over streams, and each is also sent again until it is acknowledged, first after this: below, single messages
    /// get lost.
    Timed(Span),
    /// Each is sent again when the connection was lost and is there again: below is a stream. Deployed nodes talk so.
    OverStreams,
}

impl Delivery {
    /// What a simulation of this plan needs. Where nodes and links fail it is what a deployment has; only where
    /// messages get lost by themselves, as on no stream, is there more.
    #[must_use]
    pub fn simulated(plan: &Plan) -> Self {
        let network = &plan.network;
        if network.reliable {
            Self::Timed(network.resend_after)
        } else if plan.loses_somebody() && !plan.faults.loses_messages() {
            Self::OverStreams
        } else {
            Self::Plain
        }
    }
}

/// How a node comes into being.
#[derive(Clone, Debug)]
pub enum Begin {
    /// At the start of the run, or when it joins.
    New,
    /// From a checkpoint: it continues as if nothing had happened.
    Continue(NodeState),
    /// After a crash; a server may have a durable state.
    Restart(Option<NodeState>),
}

impl<'a> Factory<'a> {
    /// A factory for this plan; `init` is the model that all start from.
    #[must_use]
    pub fn new(plan: &'a Plan, registry: &'a Registry, learner: &'a dyn Learner, init: Params) -> Self {
        Self { plan, registry, learner, init, delivery: Delivery::simulated(plan) }
    }

    /// The same for nodes that talk over streams.
    #[must_use]
    pub fn over_streams(self) -> Self {
        Self { delivery: Delivery::OverStreams, ..self }
    }

    /// From now on.
    pub fn deliver_over_streams(&mut self) {
        self.delivery = Delivery::OverStreams;
    }

    /// How its nodes keep messages from being lost.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Builds one node, in this life of it, from 0; `down` are nodes that are not there now.
    ///
    /// # Errors
    /// When a choice of the plan cannot be built (a checked plan always can).
    pub fn node(
        &self,
        id: NodeId,
        begin: Begin,
        life: u32,
        down: &BTreeSet<NodeId>,
    ) -> Result<Box<dyn Node>, OptionError> {
        let (begin, reliable) = match begin {
            Begin::Continue(NodeState::Reliable(both)) => (Begin::Continue(both.1), Some(both.0)),
            Begin::Restart(Some(NodeState::Reliable(both))) => (Begin::Restart(Some(both.1)), None),
            begin => (begin, None),
        };
        let plan = &self.plan.nodes[id.index()];
        let node = match plan.role {
            Role::Server(tier) => {
                self.server(plan, &self.plan.tiers[usize::from(tier)], begin, life, down)?
            }
            Role::Worker => self.worker(id, plan, begin, life),
            Role::Peer => self.peer(id, plan, begin, life)?,
        };
        let resend_after = match self.delivery {
            Delivery::Plain => return Ok(self.around(id, node)),
            Delivery::Timed(after) => Some(after),
            Delivery::OverStreams => None,
        };
        Ok(self.around(id, Box::new(Reliable::new(node, resend_after, life, reliable))))
    }

    fn around(&self, id: NodeId, node: Box<dyn Node>) -> Box<dyn Node> {
        match self.registry.around {
            Some(around) => around(id, node),
            None => node,
        }
    }

    /// Gradient steps of one job of a node.
    #[must_use]
    pub fn steps(&self, id: NodeId) -> u64 {
        match self.plan.learning.local {
            LocalWork::Steps(steps) => steps,
            LocalWork::Epochs(epochs) => epochs * self.learner.batches_per_epoch(id),
        }
    }

    fn tier_of(&self, server: NodeId) -> &TierPlan {
        match self.plan.nodes[server.index()].role {
            Role::Server(tier) => &self.plan.tiers[usize::from(tier)],
            Role::Worker | Role::Peer => unreachable!("only servers have children"),
        }
    }

    fn server(
        &self,
        node: &NodePlan,
        tier: &TierPlan,
        begin: Begin,
        life: u32,
        down: &BTreeSet<NodeId>,
    ) -> Result<Box<dyn Node>, OptionError> {
        let (row, choice) = self.registry.policies.resolve(&tier.policy)?;
        let policy = (row.build)(&choice, self.registry)?.policy;
        let (row, choice) = self.registry.folds.resolve(&tier.fold)?;
        let rule = (row.build)(&choice, self.registry)?;
        let apply = match &tier.optimizer {
            Some(choice) => {
                let (row, choice) = self.registry.optimizers.resolve(choice)?;
                Some((row.build)(&choice, self.registry)?)
            }
            None => None,
        };
        let uplink = match (node.parent, tier.uplink) {
            (Some(parent), Some(plan)) => {
                let above = self.tier_of(parent);
                let combine = if rule.counts_samples() { "weighted" } else { "mean" };
                let combine = (self.registry.folds.get(combine)?.build)(
                    &hcddl_core::domain::Choice::named(combine),
                    self.registry,
                )?;
                Some(UplinkConfig {
                    parent,
                    plan,
                    combine,
                    own_model: apply.is_some(),
                    codec_up: above.compress_up,
                    codec_down: above.compress_down,
                })
            }
            _ => None,
        };
        let config = ServerConfig {
            children: node.children.clone(),
            absent: node.children.iter().copied().filter(|c| down.contains(c)).collect(),
            rule,
            apply,
            update: tier.update,
            uplink,
            traffic: tier.traffic,
            codec_up: tier.compress_up,
            codec_down: tier.compress_down,
            max_norm: tier.max_norm,
            rounds: self.plan.stop.rounds,
            life,
        };
        Ok(Box::new(match begin {
            Begin::Continue(NodeState::Server(state)) => {
                Server::new(config, policy, &self.init, Some(*state))
            }
            Begin::Restart(Some(NodeState::Server(state))) => {
                Server::restarted(config, policy, &self.init, *state)
            }
            _ => Server::new(config, policy, &self.init, None),
        }))
    }

    fn worker(&self, id: NodeId, node: &NodePlan, begin: Begin, life: u32) -> Box<dyn Node> {
        let parent = node.parent.expect("a worker has a server");
        let above = self.tier_of(parent);
        let config = WorkerConfig {
            parent,
            update: above.update,
            steps: self.steps(id),
            // A restarted worker goes on with other epochs than its former self began with.
            first_batch: u64::from(life) * RESTART_EPOCHS * self.learner.batches_per_epoch(id),
            codec_up: above.compress_up,
            codec_down: above.compress_down,
        };
        let state = match begin {
            Begin::Continue(NodeState::Worker(state)) => Some(*state),
            _ => None,
        };
        Box::new(Worker::new(config, state))
    }

    fn peer(
        &self,
        id: NodeId,
        node: &NodePlan,
        begin: Begin,
        life: u32,
    ) -> Result<Box<dyn Node>, OptionError> {
        let peers = self.plan.peers.as_ref().expect("a plan with peers says how they train");
        let (row, choice) = self.registry.peers.resolve(&peers.algorithm)?;
        let setup = PeerSetup {
            neighbours: node.neighbours.iter().map(|n| (n.node, n.weight)).collect(),
            names: node
                .neighbours
                .iter()
                .map(|n| (n.node, self.plan.nodes[n.node.index()].name.to_string()))
                .collect(),
            position: node.place as usize,
            peers: self.plan.nodes.len(),
            init: self.init.clone(),
            steps: self.steps(id),
            rounds: self.plan.stop.rounds,
            // Also one that left and joins again: the others are rounds ahead.
            restarted: life > 0 || node.joins_later,
        };
        let state = match begin {
            Begin::Continue(NodeState::Peer(state)) => Some(*state),
            _ => None,
        };
        Ok((row.build)(&choice, self.registry)?.node(setup, state))
    }
}

/// Epochs that a restart skips, so that it does not repeat the order of its former self.
const RESTART_EPOCHS: u64 = 1 << 20;
