//! The server, of any tier: collects its children's updates, folds them when its policy says so, and hands out
//! models. A local server is the same node with an [`uplink`](super::uplink) to its parent.
//!
//! A server does one thing at a time: while a fold runs, arrivals queue, so a policy never sees a half-made
//! commit.

mod commit;
mod hand_out;
mod state;

pub use state::ServerState;

use super::kinds::{CANCEL, PULL, UPDATE};
use super::uplink::{Uplink, UplinkConfig};
use super::work::{OptState, Outcome, UpdateKind, Work};
use super::{Cx, Effect, Effects, Event, Node, NodeState};
use crate::domain::{ByNode, Data, Head, JobId, Message, NodeId, Params, Strange, Token, UpdateId, Version};
use crate::policy::fold::FoldRule;
use crate::policy::optimizer::ServerOptimizer;
use crate::policy::{Child, Policy, PolicyEvent, ServerView, TimerRequest, UpdateMeta, Verdict, Why};
use serde::{Deserialize, Serialize};
use state::{Held, Input};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How a new model reaches the children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// The server sends it when its policy says so.
    #[default]
    Broadcast,
    /// The server says that it is ready, and each child pulls it.
    Pull,
}

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
    /// Largest Euclidean norm of an update; a longer one is shortened.
    pub max_norm: Option<f64>,
    /// Commits after which the root ends the run.
    pub rounds: Option<u64>,
    /// How often this server was started again.
    pub incarnation: u32,
}

/// See the module.
pub struct Server {
    pub(super) config: ServerConfig,
    pub(super) state: ServerState,
    policy: Box<dyn Policy>,
}

/// A child's life is counted in the lower bits, the server's own above.
const LIFE_BITS: u32 = 16;

/// Samples that an update may be said to stand for, so that sums of them cannot overflow.
const SAMPLES_MAX: u64 = 1 << 40;

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
            children: config.children.iter().map(|id| (*id, newcomer(&config, *id))).collect(),
            gone: BTreeSet::new(),
            grants: ByNode::default(),
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
            self.obey(verdict, out);
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

    fn obey(&mut self, verdict: Verdict, out: &mut Effects) {
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
            self.start_fold(verdict.fold, out);
        }
    }

    fn heard_child(&mut self, cx: &Cx, from: NodeId, message: Message, out: &mut Effects) {
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
            if self.state.children[&from].life != head.part {
                // It answers a model from before the child, or this server, was lost. The policy has been told that
                // this work is not coming and may have given the child other work since: to fold it would leave the
                // child with two models to train on, and there is no snapshot of its own for it.
                out.push(Effect::Dropped { from, why: Why::Late });
                return;
            }
            match (message.bodies.into_iter().next().map(|b| b.data), self.config.codec_up) {
                (Some(Data::Dense(tensor)), _) => self.got(cx, from, head, tensor, out),
                (Some(data), Some(codec)) => {
                    let job = self.state.job();
                    self.state.decoding.insert(job, (from, head));
                    out.run(job, Work::Decode { data, codec });
                }
                // No tensor, or one that is coded though no codec was agreed on. The child is waited for all the same,
                // so this has to count as its update.
                _ => self.got(cx, from, head, Params::absent(0), out),
            }
        }
    }

    /// An update is there and decoded. A child that sends something else than was agreed is a broken or a hostile one:
    /// what it sent is void, so that nobody waits for it, and told.
    fn got(&mut self, cx: &Cx, from: NodeId, mut head: Head, mut tensor: Params, out: &mut Effects) {
        let len = self.state.model.len();
        if tensor.len() != len {
            out.push(Effect::Noticed { from, what: Strange::Length(tensor.len()) });
            (head.samples, head.steps) = (0, 0);
            tensor = self.state.model.values().map_or(Params::absent(len), |_| Params::new(vec![0.0; len]));
        }
        if head.base > self.state.version {
            out.push(Effect::Noticed { from, what: Strange::Version(head.base.0) });
            head.base = self.state.version;
        }
        head.samples = head.samples.min(SAMPLES_MAX);
        self.state.inbox.push_back(Input::Update { from, head, tensor });
        self.pump(cx, out);
    }

    fn done(&mut self, cx: &Cx, job: JobId, outcome: Outcome, out: &mut Effects) {
        match outcome {
            Outcome::Folded(folded) if self.state.folding.as_ref().is_some_and(|f| f.job == job) => {
                self.folded(cx, *folded, out);
            }
            Outcome::Decoded(tensor) if self.state.decoding.contains_key(&job) => {
                let (from, head) = self.state.decoding.remove(&job).expect("just seen");
                self.got(cx, from, head, tensor, out);
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

    /// A neighbour is lost or back. A child gets nothing more from the moment of its loss, and something again only
    /// once the policy has heard of both.
    fn neighbour_changed(&mut self, cx: &Cx, child: NodeId, alive: bool, out: &mut Effects) {
        let Some(known) = self.state.children.get_mut(&child) else {
            if !alive {
                self.parent_lost();
                self.pump(cx, out);
            }
            return;
        };
        if alive {
            self.state.gone.remove(&child);
        } else {
            self.state.gone.insert(child);
            known.alive = false;
            known.busy = false;
            known.life = known.life.wrapping_add(1);
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

fn newcomer(config: &ServerConfig, child: NodeId) -> Child {
    let alive = !config.absent.contains(&child);
    // What a former life of this server handed out is not what this one did.
    Child { alive, busy: false, clock: 0, holds: Version(0), life: config.incarnation << LIFE_BITS }
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
                self.heard_child(cx, from, message, out);
            }
            Event::Received { message, .. } => self.heard_parent(message, out),
            Event::Done { job, outcome } => self.done(cx, job, outcome, out),
            Event::Timer(_) => {
                self.state.inbox.push_back(Input::Event(PolicyEvent::Timer));
                self.pump(cx, out);
            }
            Event::Up(node) => self.neighbour_changed(cx, node, true, out),
            Event::Down(node) => self.neighbour_changed(cx, node, false, out),
            Event::Stop(reason) => self.finish(reason, out),
            Event::Reconnected(_) => {}
        }
    }

    fn save(&self) -> NodeState {
        NodeState::Server(Box::new(ServerState { policy: self.policy.save(), ..self.state.clone() }))
    }
}
