//! Everything a server knows.

use crate::domain::{ByNode, Data, Head, JobId, NodeId, Params, UpdateId, Version};
use crate::node::uplink::UplinkState;
use crate::node::work::OptState;
use crate::node::{Contribution, Jobs};
use crate::policy::{Assignment, Child, PolicyEvent, UpdateMeta};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Everything a server knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerState {
    pub(super) model: Params,
    pub(super) version: Version,
    pub(super) opt: OptState,
    pub(super) children: ByNode<Child>,
    /// Children whose loss was the last news of them.
    pub(super) gone: BTreeSet<NodeId>,
    pub(super) grants: ByNode<Grant>,
    pub(super) pending: BTreeMap<UpdateId, UpdateMeta>,
    pub(super) held: BTreeMap<UpdateId, Held>,
    pub(super) inbox: VecDeque<Input>,
    pub(super) folding: Option<Folding>,
    pub(super) decoding: BTreeMap<JobId, (NodeId, Head)>,
    pub(super) encoded: Option<(Version, Data)>,
    pub(super) encoding: Option<(JobId, Version)>,
    pub(super) asked: BTreeMap<NodeId, Assignment>,
    pub(super) contributors: Vec<NodeId>,
    pub(super) next_update: u64,
    pub(super) jobs: Jobs,
    pub(super) finished: bool,
    /// Filled in when it is saved: a running server has its uplink beside.
    pub(super) uplink: Option<UplinkState>,
    /// Filled in when it is saved, as the policy keeps its own.
    pub(super) policy: String,
}

impl ServerState {
    /// Updates that wait at this server: neither folded nor dropped.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let queued = self.inbox.iter().filter(|i| matches!(i, Input::Update { .. })).count();
        let folding = self.folding.as_ref().map_or(0, |f| f.contributions.len());
        (self.pending.len() + queued + folding + self.decoding.len()) as u64
    }

    /// The saved state of its policy.
    pub fn policy_state(&self) -> &str {
        &self.policy
    }
}

/// What the server remembers of a model it handed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Grant {
    /// Version of the parent's model (at the root: its own) that it descends from.
    pub(super) origin: Version,
    /// The parameters, if the fold needs them.
    pub(super) snapshot: Option<Params>,
    /// What a child that pulls shall do.
    pub(super) assignment: Assignment,
    /// It was told that a model is ready, and has not pulled it yet.
    pub(super) offered: bool,
}

/// The tensor of a pending update and what only the server needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) tensor: Params,
    pub(super) snapshot: Option<Params>,
    pub(super) origin: Version,
    pub(super) loss: f32,
}

/// What waits for the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Input {
    Update { from: NodeId, head: Head, tensor: Params },
    Event(PolicyEvent),
}

/// A running fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Folding {
    pub(super) job: JobId,
    pub(super) contributions: Vec<Contribution>,
    pub(super) origin: Version,
}
