//! The server, of any tier: collects its children's updates, folds them when its policy says so, and hands out
//! models. A local server is the same node with an `uplink` to its parent.
//!
//! A server does one thing at a time: while a fold runs, arrivals queue, so a policy never sees a half-made
//! commit.

mod arrival;
mod commit;
mod hand_out;
mod state;
#[cfg(test)]
mod tests;

pub use state::ServerState;

use super::kinds::CANCEL;
use super::uplink::{self, Below, Uplink, UplinkConfig};
use super::work::{OptState, Outcome, UpdateKind};
use super::{Cx, Effect, Effects, Event, Jobs, Node, NodeState};
use crate::domain::{ByNode, Era, Head, JobId, Message, NodeId, Params, Token, Version};
use crate::policy::fold::FoldRule;
use crate::policy::optimizer::ServerOptimizer;
use crate::policy::{Child, Policy, PolicyEvent, ServerView, TimerRequest, Verdict};
use serde::{Deserialize, Serialize};
use state::Input;
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
    /// Which of its lives this is: how often the server was started before.
    pub life: u32,
}

/// See the module.
pub struct Server {
    config: ServerConfig,
    state: ServerState,
    policy: Box<dyn Policy>,
    /// Beside the state, not in it: an uplink is its plan and what it knows, together or not at all.
    uplink: Option<Uplink>,
}

/// The policy's one timer.
const POLICY_TIMER: Token = Token(1);

impl Server {
    /// A new server with this model, or one that continues.
    #[must_use]
    pub fn new(
        mut config: ServerConfig,
        mut policy: Box<dyn Policy>,
        init: &Params,
        state: Option<ServerState>,
    ) -> Self {
        let mut state = state.unwrap_or_else(|| ServerState {
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
            jobs: Jobs::default(),
            finished: false,
            uplink: None,
            policy: String::new(),
        });
        if !state.policy.is_empty() {
            policy.load(&state.policy).expect("a state that this policy saved");
        }
        let saved = state.uplink.take();
        let uplink = config.uplink.take().map(|uplink| Uplink::new(uplink, config.update, init, saved));
        Self { config, state, policy, uplink }
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
        server.state.jobs = saved.jobs;
        server.state.next_update = saved.next_update;
        server
    }

    /// Tells the uplink something, if there is one, and does what it answers.
    fn tell_uplink(&mut self, input: uplink::Input<'_>, out: &mut Effects) {
        let Some(uplink) = &mut self.uplink else { return };
        let state = &mut self.state;
        let children = &state.children;
        let below = Below {
            model: &state.model,
            is_untouched: state.version == Version(0),
            is_folding: state.folding.is_some(),
            clock: &|| children.values().filter(|c| c.alive).map(|c| c.clock).min().unwrap_or(0),
            jobs: &mut state.jobs,
        };
        match uplink.on(input, below, out) {
            uplink::Answer::Nothing => {}
            uplink::Answer::Fail(reason) => self.finish(reason, out),
            uplink::Answer::Adopt { model, waiting } => {
                self.state.model = model;
                // A version like any other, so that what children compute on the one before counts as stale.
                self.state.version = self.state.version.next();
                for (child, assignment) in waiting {
                    self.grant(child, assignment, out);
                }
                self.tell_uplink(uplink::Input::Adopted, out);
            }
        }
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
    ///
    /// Losses and returns queue with the updates, though they could be told at once: the policy hears everything in the
    /// order in which it happened, so an update of before a loss is not one of a child that is not there.
    fn pump(&mut self, cx: &Cx, out: &mut Effects) {
        let is_mixing = |uplink: &Option<Uplink>| uplink.as_ref().is_some_and(Uplink::is_mixing);
        while self.state.folding.is_none() && !self.state.finished && !is_mixing(&self.uplink) {
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

    fn obey(&mut self, verdict: Verdict, out: &mut Effects) {
        for (id, why) in verdict.dropped {
            let meta = self.state.pending.remove(&id).expect("a policy drops pending updates only");
            self.state.held.remove(&id);
            out.push(Effect::Dropped { from: meta.from, why });
        }
        // Before the replies, so that a child which is cancelled and gets new work is not cancelled in that.
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

    /// A job ended: one of the server's own, or of its uplink.
    fn done(&mut self, cx: &Cx, job: JobId, outcome: Outcome, out: &mut Effects) {
        let state = &mut self.state;
        let outcome = match outcome {
            Outcome::Folded(folded) => match state.folding.take_if(|folding| folding.job == job) {
                Some(folding) => return self.folded(cx, folding, *folded, out),
                None => Outcome::Folded(folded),
            },
            Outcome::Decoded(tensor) => match state.decoding.remove(&job) {
                Some((from, head)) => return self.got(cx, from, head, tensor, out),
                None => Outcome::Decoded(tensor),
            },
            Outcome::Encoded { data, residual } => match state.encoding.take_if(|(mine, _)| *mine == job) {
                Some((_, version)) => return self.encoded(data, version, out),
                None => Outcome::Encoded { data, residual },
            },
            other => other,
        };
        self.tell_uplink(uplink::Input::Done(job, outcome), out);
        self.pump(cx, out);
    }

    /// A neighbour is lost or back. A child gets nothing more from the moment of its loss, and something again only
    /// once the policy has heard of both.
    fn neighbour_changed(&mut self, cx: &Cx, child: NodeId, alive: bool, out: &mut Effects) {
        let Some(known) = self.state.children.get_mut(&child) else {
            if !alive {
                self.tell_uplink(uplink::Input::Lost, out);
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
            known.era = known.era.next();
            if let Some(uplink) = &mut self.uplink {
                uplink.forget(child);
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
    Child { alive, busy: false, clock: 0, holds: Version(0), era: Era::new(config.life, 0) }
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
            Event::Received { message, .. } => self.tell_uplink(uplink::Input::Heard(message), out),
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
        let (policy, uplink) = (self.policy.save(), self.uplink.as_ref().map(Uplink::save));
        NodeState::Server(Box::new(ServerState { policy, uplink, ..self.state.clone() }))
    }
}
