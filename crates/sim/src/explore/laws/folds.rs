//! Folds that correct an update for the distance that the model has moved since its snapshot (DC-ASGD): the snapshot
//! is the right one, and where there is no distance there is no correction.

use super::{At, Law, LawRow, World, older};
use hcddl_core::domain::work::{FoldInput, UpdateKind};
use hcddl_core::domain::{JobId, Message, NodeId, Params, Version};
use hcddl_core::node::kinds::ASSIGN;
use hcddl_core::node::work::{Fold, Outcome, Work};
use hcddl_core::node::{Commit, Effect, Event};
use hcddl_core::policy::fold::{self, FoldRule};
use hcddl_plan::plan::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) const SNAPSHOT: LawRow = LawRow {
    name: "snapshot",
    says: "the snapshot that a fold uses for a worker's update is the very model that this worker was given for it",
    build: |world| Box::new(Folds::new(world, true)),
};

pub(super) const FRESH: LawRow = LawRow {
    name: "fresh",
    says: "a fold with snapshots leaves updates that are not stale as they are: with every snapshot equal to the \
           server's model, it is the weighted sum",
    build: |world| Box::new(Folds::new(world, false)),
};

/// Both laws need the same folds.
struct Folds<'a> {
    world: World<'a>,
    /// Whether this is the law `snapshot`.
    snapshot: bool,
    /// Servers whose folds need snapshots.
    servers: BTreeSet<NodeId>,
    /// Dense models that children were given, by server, child and version.
    given: BTreeMap<(NodeId, NodeId), BTreeMap<Version, Params>>,
    running: BTreeMap<(NodeId, JobId), Fold>,
    /// The fold that has just ended.
    ended: Option<(NodeId, Fold)>,
}

impl<'a> Folds<'a> {
    fn new(world: World<'a>, snapshot: bool) -> Self {
        let mut servers = BTreeSet::new();
        for (i, node) in world.plan.nodes.iter().enumerate() {
            let Role::Server(tier) = node.role else { continue };
            let rule = world.registry.folds.resolve(&world.plan.tiers[usize::from(tier)].fold);
            let rule = rule.ok().and_then(|(row, choice)| (row.build)(&choice).ok());
            if rule.is_some_and(|rule| rule.needs_snapshots()) && !world.plan.timing_only {
                servers.insert(NodeId(i as u32));
            }
        }
        let (given, running) = (BTreeMap::new(), BTreeMap::new());
        Self { world, snapshot, servers, given, running, ended: None }
    }

    fn right_snapshots(&mut self, server: NodeId, fold: &Fold, commit: &Commit) -> Result<(), String> {
        for (input, part) in fold.inputs.iter().zip(&commit.contributors) {
            // What a local server sends descends from several models.
            if self.world.is_server(part.node) {
                continue;
            }
            let given = self.given.entry((server, part.node)).or_default();
            let right = given.get(&part.base);
            if let (Some(right), Some(used)) = (right, &input.snapshot)
                && right != used
            {
                let of = given.iter().find(|(_, model)| *model == used).map(|(version, _)| *version);
                let used = of.map_or("another model".to_owned(), older);
                let (server, from) = (self.world.name(server), self.world.name(part.node));
                let (version, base) = (commit.version.0, older(part.base));
                return Err(format!(
                    "{server}'s version {version} corrects an update of {from} on {base} by the distance from {used}"
                ));
            }
            // Of what a child was given before this it sends nothing any more.
            *given = given.split_off(&part.base);
        }
        Ok(())
    }

    fn no_correction(&self, server: NodeId, fold: Fold, commit: &Commit) -> Result<(), String> {
        let fresh = |input: &FoldInput| input.snapshot.as_ref() == Some(&fold.base);
        if fold.kind == UpdateKind::Model || !fold.inputs.iter().all(fresh) {
            return Ok(());
        }
        let rule = Arc::new(Plain(Arc::clone(&fold.rule)));
        let plain = fold::run(Fold { rule, ..fold }, &[]).model;
        if plain == commit.model {
            return Ok(());
        }
        let parts = commit.contributors.iter().map(|part| self.world.name(part.node));
        Err(format!(
            "{}'s version {} is not the weighted sum of its updates ({}), though none of them is stale",
            self.world.name(server),
            commit.version.0,
            parts.collect::<Vec<_>>().join(", "),
        ))
    }
}

/// A rule without its correction.
#[derive(Debug)]
struct Plain(Arc<dyn FoldRule>);

impl FoldRule for Plain {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32> {
        self.0.weights(inputs)
    }
    fn slots(&self) -> usize {
        self.0.slots()
    }
}

impl Law for Folds<'_> {
    fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        self.ended = None;
        match event {
            Event::Done { job, outcome: Outcome::Folded(_) } => {
                self.ended = self.running.remove(&(at.node, *job)).map(|fold| (at.node, fold));
            }
            Event::Start => {
                self.given.retain(|(server, _), _| *server != at.node);
                self.running.retain(|(server, _), _| *server != at.node);
            }
            _ => {}
        }
        Ok(())
    }

    fn sent(&mut self, at: At, to: NodeId, message: &Message) -> Result<(), String> {
        if self.snapshot && message.kind == ASSIGN && self.servers.contains(&at.node) {
            let given = self.given.entry((at.node, to)).or_default();
            given.extend(message.params().map(|model| (message.head.version, model.clone())));
        }
        Ok(())
    }

    fn effect(&mut self, at: At, effect: &Effect) -> Result<(), String> {
        if let Effect::Run { job, work: Work::Fold(fold) } = effect
            && self.servers.contains(&at.node)
            && fold.inputs.iter().all(|input| input.snapshot.is_some())
        {
            self.running.insert((at.node, *job), fold.as_ref().clone());
        }
        Ok(())
    }

    fn commit(&mut self, at: At, commit: &Commit) -> Result<(), String> {
        match self.ended.take() {
            Some((node, fold)) if node == at.node && self.snapshot => {
                self.right_snapshots(node, &fold, commit)
            }
            Some((node, fold)) if node == at.node => self.no_correction(node, fold, commit),
            _ => Ok(()),
        }
    }
}
