//! The server, of any tier: collects its children's updates, folds them when its policy says so, and hands out
//! models. A local server is the same node with an [`uplink`](super::uplink) to its parent.
//!
//! A server does one thing at a time: while a fold runs, arrivals queue, so a policy never sees a half-made
//! commit.

use super::kinds::{ASSIGN, CANCEL, PULL, READY, UPDATE};
use super::uplink::{Uplink, UplinkConfig};
use super::work::{Fold, FoldInput, Folded, OptState, Outcome, UpdateKind, Work};
use super::{Commit, Contribution, Cx, Effect, Effects, Event, Node, NodeState, Reason};
use crate::domain::{Data, Head, JobId, Message, NodeId, Params, Token, UpdateId, Version};
use crate::policy::fold::FoldRule;
use crate::policy::optimizer::ServerOptimizer;
use crate::policy::{Assignment, Child, Policy, PolicyEvent, ServerView, TimerRequest, UpdateMeta, Verdict};
use crate::scenario::plan::Traffic;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What a server is told once.
#[derive(Clone)]
pub struct ServerConfig {
    /// Its children, ascending.
    pub children: Vec<NodeId>,
    /// Children that are not there at the start.
    pub absent: BTreeSet<NodeId>,
    /// How it combines updates.
    pub rule: Arc<dyn FoldRule>,
    /// How it applies the aggregate; `None` for a server that only forwards aggregates.
    pub apply: Option<Arc<dyn ServerOptimizer>>,
    /// What its children send.
    pub update: UpdateKind,
    /// What it pushes to its parent; `None` at the root.
    pub uplink: Option<UplinkConfig>,
    /// How children get the new model.
    pub traffic: Traffic,
    /// Codec of updates from its children: index into the plan's codecs.
    pub codec_up: Option<u16>,
    /// Codec of models to its children.
    pub codec_down: Option<u16>,
    /// Commits after which the root ends the run.
    pub rounds: Option<u64>,
}

/// Everything a server knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerState {
    pub(super) model: Params,
    pub(super) version: Version,
    pub(super) opt: OptState,
    children: BTreeMap<NodeId, Child>,
    /// Children whose loss was the last news of them.
    gone: BTreeSet<NodeId>,
    grants: BTreeMap<NodeId, Grant>,
    pending: BTreeMap<UpdateId, UpdateMeta>,
    held: BTreeMap<UpdateId, Held>,
    inbox: VecDeque<Input>,
    folding: Option<Folding>,
    decoding: BTreeMap<JobId, (NodeId, Head)>,
    encoded: Option<(Version, Data)>,
    encoding: Option<(JobId, Version)>,
    asked: BTreeMap<NodeId, Assignment>,
    contributors: Vec<NodeId>,
    next_update: u64,
    pub(super) next_job: u64,
    finished: bool,
    pub(super) uplink: Option<Uplink>,
    policy: String,
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
    #[cfg(test)]
    pub(crate) fn policy_state(&self) -> &str {
        &self.policy
    }

    pub(super) fn job(&mut self) -> JobId {
        self.next_job += 1;
        JobId(self.next_job)
    }

    /// The clock of the slowest living child.
    pub(super) fn clock(&self) -> u64 {
        self.children.values().filter(|c| c.alive).map(|c| c.clock).min().unwrap_or(0)
    }
}

/// What the server remembers of a model it handed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Grant {
    /// Version of the parent's model (at the root: its own) that it descends from.
    origin: Version,
    /// The parameters, if the fold needs them.
    snapshot: Option<Params>,
    /// What a child that pulls shall do.
    assignment: Assignment,
    /// It was told that a model is ready, and has not pulled it yet.
    offered: bool,
}

/// The tensor of a pending update and what only the server needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    tensor: Params,
    snapshot: Option<Params>,
    origin: Version,
    loss: f32,
}

/// What waits for the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Input {
    Update { from: NodeId, head: Head, tensor: Params },
    Event(PolicyEvent),
}

/// A running fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Folding {
    job: JobId,
    contributions: Vec<Contribution>,
    origin: Version,
}

/// See the module.
pub struct Server {
    pub(super) config: ServerConfig,
    pub(super) state: ServerState,
    policy: Box<dyn Policy>,
}

/// The policy's one timer.
const POLICY_TIMER: Token = Token(1);

impl Server {
    /// A new server with this model, or one that continues.
    #[must_use]
    pub fn new(
        config: ServerConfig,
        mut policy: Box<dyn Policy>,
        init: &Params,
        state: Option<ServerState>,
    ) -> Self {
        let state = state.unwrap_or_else(|| ServerState {
            model: init.clone(),
            version: Version(0),
            opt: OptState::default(),
            children: config.children.iter().map(|id| (*id, newcomer(!config.absent.contains(id)))).collect(),
            gone: BTreeSet::new(),
            grants: BTreeMap::new(),
            pending: BTreeMap::new(),
            held: BTreeMap::new(),
            inbox: VecDeque::new(),
            folding: None,
            decoding: BTreeMap::new(),
            encoded: None,
            encoding: None,
            asked: BTreeMap::new(),
            contributors: Vec::new(),
            next_update: 0,
            next_job: 0,
            finished: false,
            uplink: config.uplink.as_ref().map(|_| Uplink::new(init)),
            policy: String::new(),
        });
        if !state.policy.is_empty() {
            policy.load(&state.policy).expect("a state that this policy saved");
        }
        Self { config, state, policy }
    }

    /// A server that starts again from a durable state: its model and version survive, its connections and
    /// running work do not.
    #[must_use]
    pub fn restarted(
        config: ServerConfig,
        policy: Box<dyn Policy>,
        init: &Params,
        saved: ServerState,
    ) -> Self {
        let mut server = Self::new(config, policy, init, None);
        server.state.model = saved.model;
        server.state.version = saved.version;
        server.state.opt = saved.opt;
        server.state.next_job = saved.next_job;
        server.state.next_update = saved.next_update;
        server
    }

    /// Whether a fold is running.
    pub(super) fn is_folding(&self) -> bool {
        self.state.folding.is_some()
    }

    fn ask(&mut self, cx: &Cx, event: PolicyEvent) -> Verdict {
        let state = &self.state;
        let view = ServerView {
            now: cx.now,
            version: state.version,
            children: &state.children,
            pending: &state.pending,
            contributors: &state.contributors,
            seeds: cx.seeds,
            me: cx.me,
        };
        self.policy.on(event, &view)
    }

    /// Hands queued inputs to the policy until a fold runs.
    fn pump(&mut self, cx: &Cx, out: &mut Effects) {
        while self.state.folding.is_none() && !self.state.finished && !self.is_mixing() {
            let Some(input) = self.state.inbox.pop_front() else { return };
            let event = match input {
                Input::Update { from, head, tensor } => self.admit(cx, from, &head, tensor),
                Input::Event(event) => event,
            };
            if let PolicyEvent::Joined(child) = event {
                if self.state.gone.contains(&child) {
                    continue;
                }
                let known = self.state.children.get_mut(&child).expect("only children join");
                if known.alive {
                    // The news of its return is older than this server's own start, which counted it in.
                    continue;
                }
                (known.alive, known.busy) = (true, false);
            }
            let verdict = self.ask(cx, event);
            self.obey(cx, verdict, out);
        }
    }

    /// Files an update; the policy is asked next.
    fn admit(&mut self, cx: &Cx, from: NodeId, head: &Head, tensor: Params) -> PolicyEvent {
        let state = &mut self.state;
        let child = state.children.get_mut(&from).expect("only children send updates");
        let current = child.busy && head.version == child.holds;
        if current {
            child.busy = false;
        }
        child.clock = child.clock.max(head.clock);
        state.next_update += 1;
        let id = UpdateId(state.next_update);
        let base = head.base.min(state.version);
        let meta =
            UpdateMeta { from, base, current, steps: head.steps, samples: head.samples, arrived: cx.now };
        state.pending.insert(id, meta);
        let (origin, snapshot) = match state.grants.get(&from) {
            Some(grant) => (grant.origin, grant.snapshot.clone()),
            None => (state.uplink.as_ref().map_or(base, |u| u.parent_version), None),
        };
        state.held.insert(id, Held { tensor, snapshot, origin, loss: head.loss });
        PolicyEvent::Update(id)
    }

    fn obey(&mut self, cx: &Cx, verdict: Verdict, out: &mut Effects) {
        for (id, why) in verdict.dropped {
            let meta = self.state.pending.remove(&id).expect("a policy drops pending updates only");
            self.state.held.remove(&id);
            out.push(Effect::Dropped { from: meta.from, why });
        }
        for child in verdict.cancel {
            let known = self.state.children.get_mut(&child).expect("a policy cancels children only");
            known.busy = false;
            // Control messages may overtake models and be overtaken: say which work is meant.
            let head = Head { version: known.holds, ..Head::default() };
            out.send(child, Message::control(CANCEL, head));
        }
        match verdict.timer {
            Some(TimerRequest::After(after)) => out.push(Effect::SetTimer { after, token: POLICY_TIMER }),
            Some(TimerRequest::Clear) => out.push(Effect::ClearTimer(POLICY_TIMER)),
            None => {}
        }
        for (child, assignment) in verdict.replies {
            self.reply(child, assignment, out);
        }
        if !verdict.fold.is_empty() {
            self.start_fold(cx, verdict.fold, out);
        }
    }

    /// Gives a child the current model, now or as soon as the parent has answered.
    fn reply(&mut self, child: NodeId, assignment: Assignment, out: &mut Effects) {
        let known = self.state.children.get_mut(&child).expect("a policy replies to children only");
        if !known.alive {
            return;
        }
        known.busy = true;
        known.holds = self.state.version;
        match &mut self.state.uplink {
            Some(uplink) if uplink.gate_closed => {
                uplink.gated.insert(child, assignment);
            }
            _ => self.grant(child, assignment, out),
        }
    }

    fn grant(&mut self, child: NodeId, assignment: Assignment, out: &mut Effects) {
        match self.config.traffic {
            Traffic::Pull => {
                let grant = self.new_grant(assignment, true);
                self.state.grants.insert(child, grant);
                out.send(child, Message::control(READY, self.head(assignment)));
            }
            Traffic::Broadcast => self.deliver(child, assignment, out),
        }
    }

    fn new_grant(&self, assignment: Assignment, offered: bool) -> Grant {
        let state = &self.state;
        Grant {
            origin: state.uplink.as_ref().map_or(state.version, |u| u.parent_version),
            snapshot: self.config.rule.needs_snapshots().then(|| state.model.clone()),
            assignment,
            offered,
        }
    }

    fn head(&self, assignment: Assignment) -> Head {
        let root = self.state.uplink.as_ref().map_or(self.state.version, |u| u.root_version);
        Head { version: self.state.version, root, steps: assignment.steps, loss: f32::NAN, ..Head::default() }
    }

    /// Sends the model, encoded once for each version if there is a codec.
    fn deliver(&mut self, child: NodeId, assignment: Assignment, out: &mut Effects) {
        let data = match (&self.state.encoded, self.config.codec_down) {
            (_, None) => Data::Dense(self.state.model.clone()),
            (Some((version, data)), Some(_)) if *version == self.state.version => data.clone(),
            (_, Some(codec)) => {
                self.state.asked.insert(child, assignment);
                if self.state.encoding.is_none() {
                    let job = self.state.job();
                    self.state.encoding = Some((job, self.state.version));
                    let tensor = self.state.model.clone();
                    let counter = self.state.version.0;
                    out.run(job, Work::Encode { tensor, residual: None, codec, counter });
                }
                return;
            }
        };
        // The model may be newer than when the policy answered: the child was slow to pull it, or it had to be
        // encoded first. What it holds, and the snapshot of its gradient, are what really leaves.
        let grant = self.new_grant(assignment, false);
        self.state.grants.insert(child, grant);
        self.state.children.get_mut(&child).expect("a child").holds = self.state.version;
        out.send(child, Message::with(ASSIGN, self.head(assignment), "model", data));
    }

    fn encoded(&mut self, data: Data, version: Version, out: &mut Effects) {
        self.state.encoded = Some((version, data));
        for (child, assignment) in std::mem::take(&mut self.state.asked) {
            self.deliver(child, assignment, out);
        }
    }

    fn start_fold(&mut self, cx: &Cx, chosen: Vec<(UpdateId, f32)>, out: &mut Effects) {
        let state = &mut self.state;
        let mut parts = Vec::with_capacity(chosen.len());
        for (id, weight) in chosen {
            let meta = state.pending.remove(&id).expect("a policy folds pending updates only");
            let held = state.held.remove(&id).expect("every pending update is held");
            parts.push((meta.from, id, weight, meta, held));
        }
        // By sender, not by arrival: a synchronous round has the same bits whatever the interleaving.
        parts.sort_by_key(|p| (p.0, p.1));
        state.contributors = parts.iter().map(|p| p.0).collect();
        // Policies answer the last contributor differently; keep the one that arrived last at the end.
        if let Some(last) = parts.iter().max_by_key(|p| p.1).map(|p| p.0) {
            state.contributors.retain(|c| *c != last);
            state.contributors.push(last);
        }
        let origin = parts.iter().map(|p| p.4.origin).min().unwrap_or(state.version);
        let contributions = parts
            .iter()
            .map(|(node, _, weight, meta, held)| Contribution {
                node: *node,
                base: meta.base,
                weight: *weight,
                samples: meta.samples,
                loss: held.loss,
            })
            .collect();
        let inputs = parts
            .into_iter()
            .map(|(_, _, weight, meta, held)| FoldInput {
                tensor: held.tensor,
                weight,
                samples: meta.samples,
                snapshot: held.snapshot,
            })
            .collect();
        let job = state.job();
        state.folding = Some(Folding { job, contributions, origin });
        let fold = Fold {
            rule: Arc::clone(&self.config.rule),
            inputs,
            base: state.model.clone(),
            apply: self.config.apply.clone(),
            opt: std::mem::take(&mut state.opt),
            kind: self.config.update,
            keep_aggregate: self.config.uplink.as_ref().is_some_and(|u| u.forwards(self.config.update)),
        };
        let _ = cx;
        out.run(job, Work::Fold(Box::new(fold)));
    }

    fn folded(&mut self, cx: &Cx, folded: Folded, out: &mut Effects) {
        let Folding { mut contributions, origin, .. } =
            self.state.folding.take().expect("a fold was running");
        self.state.model = folded.model;
        self.state.opt = folded.opt;
        self.state.version = self.state.version.next();
        for (contribution, weight) in contributions.iter_mut().zip(folded.weights) {
            contribution.weight = weight;
        }
        self.note_commit(&contributions, origin, folded.aggregate, out);
        let version = self.state.version;
        out.push(Effect::Commit(Commit {
            version,
            contributors: contributions,
            model: self.state.model.clone(),
        }));
        if self.config.uplink.is_none() && self.config.rounds.is_some_and(|rounds| version.0 >= rounds) {
            self.finish(Reason::Rounds, out);
            return;
        }
        let verdict = self.ask(cx, PolicyEvent::Folded);
        self.obey(cx, verdict, out);
        self.adopt_deferred(out);
        self.pump(cx, out);
    }

    fn finish(&mut self, reason: Reason, out: &mut Effects) {
        self.state.finished = true;
        out.push(Effect::Finish(reason));
    }

    /// Opens the gate: everybody who waited for the parent's answer gets the model.
    pub(super) fn open_gate(&mut self, out: &mut Effects) {
        let uplink = self.state.uplink.as_mut().expect("only a local server has a gate");
        uplink.gate_closed = false;
        for (child, assignment) in std::mem::take(&mut uplink.gated) {
            self.grant(child, assignment, out);
        }
    }

    fn from_child(&mut self, cx: &Cx, from: NodeId, message: Message, out: &mut Effects) {
        if message.kind == PULL {
            // Only what was offered since the child was last lost, and only once.
            if let Some(grant) = self.state.grants.get_mut(&from)
                && std::mem::take(&mut grant.offered)
            {
                let assignment = grant.assignment;
                self.deliver(from, assignment, out);
            }
        } else if message.kind == UPDATE {
            let head = message.head;
            match message.bodies.into_iter().next().map(|b| b.data) {
                Some(Data::Dense(tensor)) => {
                    self.state.inbox.push_back(Input::Update { from, head, tensor });
                    self.pump(cx, out);
                }
                Some(data) => {
                    let job = self.state.job();
                    self.state.decoding.insert(job, (from, head));
                    out.run(job, Work::Decode { data, codec: self.config.codec_up.unwrap_or_default() });
                }
                None => {}
            }
        }
    }

    fn done(&mut self, cx: &Cx, job: JobId, outcome: Outcome, out: &mut Effects) {
        match outcome {
            Outcome::Folded(folded) if self.state.folding.as_ref().is_some_and(|f| f.job == job) => {
                self.folded(cx, *folded, out);
            }
            Outcome::Decoded(tensor) if self.state.decoding.contains_key(&job) => {
                let (from, head) = self.state.decoding.remove(&job).expect("just seen");
                self.state.inbox.push_back(Input::Update { from, head, tensor });
                self.pump(cx, out);
            }
            Outcome::Encoded { data, .. } if self.state.encoding.is_some_and(|(mine, _)| mine == job) => {
                let (_, version) = self.state.encoding.take().expect("just seen");
                self.encoded(data, version, out);
            }
            outcome => {
                self.uplink_done(job, outcome, out);
                self.pump(cx, out);
            }
        }
    }

    /// A child is lost or back. It gets nothing more from the moment of its loss, and something again only once
    /// the policy has heard of both.
    fn child_changed(&mut self, cx: &Cx, child: NodeId, alive: bool, out: &mut Effects) {
        let Some(known) = self.state.children.get_mut(&child) else { return };
        if alive {
            self.state.gone.remove(&child);
        } else {
            self.state.gone.insert(child);
            known.alive = false;
            known.busy = false;
            if let Some(uplink) = &mut self.state.uplink {
                uplink.gated.remove(&child);
            }
            self.state.asked.remove(&child);
            if let Some(grant) = self.state.grants.get_mut(&child) {
                grant.offered = false;
            }
        }
        let event = if alive { PolicyEvent::Joined(child) } else { PolicyEvent::Lost(child) };
        self.state.inbox.push_back(Input::Event(event));
        self.pump(cx, out);
    }
}

fn newcomer(alive: bool) -> Child {
    Child { alive, busy: false, clock: 0, holds: Version(0) }
}

impl Node for Server {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        if self.state.finished {
            return;
        }
        match event {
            Event::Start => {
                self.state.inbox.push_back(Input::Event(PolicyEvent::Start));
                self.pump(cx, out);
            }
            Event::Received { from, message } if self.state.children.contains_key(&from) => {
                self.from_child(cx, from, message, out);
            }
            Event::Received { message, .. } => self.from_parent(message, out),
            Event::Done { job, outcome } => self.done(cx, job, outcome, out),
            Event::Timer(_) => {
                self.state.inbox.push_back(Input::Event(PolicyEvent::Timer));
                self.pump(cx, out);
            }
            Event::Up(node) => self.child_changed(cx, node, true, out),
            Event::Down(node) => self.child_changed(cx, node, false, out),
            Event::Stop(reason) => self.finish(reason, out),
        }
    }

    fn save(&self) -> NodeState {
        NodeState::Server(Box::new(ServerState { policy: self.policy.save(), ..self.state.clone() }))
    }
}
