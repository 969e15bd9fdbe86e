//! D-PSGD: x_i+ = sum_j W_ij x_j - eta g_i(x_i) with the neighbours' models of the same round (Jacobi) and
//! doubly stochastic W (Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?,
//! arXiv 1705.09056). The exchange and the gradient overlap.

use super::{PeerAlgorithm, PeerRow, PeerSetup, Piece, check_lr, piece};
use crate::domain::{Choice, Head, Kind, Message, NodeId, OptionError, Params, Span, Tables, Token, options};
use crate::node::peer::PeerState;
use crate::node::{Cx, Effect, Effects, Event, Node, NodeState, Outcome, Reason};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: PeerRow = PeerRow {
    name: "d_psgd",
    summary: "each peer mixes its neighbours' models (Jacobi, Metropolis weights) and takes a gradient step",
    example: "{name: d_psgd, lr: 0.1}",
    positional: &["lr"],
    options: options::<Dpsgd>,
    build,
};

/// A peer's model of one round.
const MODEL: Kind = Kind::new("model");
/// A peer that was started again says that it has no model yet.
const BLANK: Kind = Kind::new("blank");
/// The round from which a neighbour without a model is waited for.
const NEVER: u64 = u64::MAX;
/// How long a neighbour that is lost, and may have a model, is waited for when nobody else has one.
const PATIENCE: Span = Span::from_millis(60_000);
const PATIENCE_TIMER: Token = Token(1);

#[derive(Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Dpsgd {
    /// Step size eta.
    lr: f32,
}

impl Default for Dpsgd {
    fn default() -> Self {
        Self { lr: 0.1 }
    }
}

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn PeerAlgorithm>, OptionError> {
    let algorithm: Dpsgd = choice.options()?;
    check_lr(algorithm.lr)?;
    Ok(Arc::new(algorithm))
}

impl PeerAlgorithm for Dpsgd {
    fn node(&self, setup: PeerSetup, state: Option<PeerState>) -> Box<dyn Node> {
        let state = state.unwrap_or_else(|| PeerState::new(&setup.init, &setup.neighbours, setup.restarted));
        Box::new(Peer { lr: self.lr, setup, state })
    }
}

struct Peer {
    lr: f32,
    setup: PeerSetup,
    state: PeerState,
}

impl Peer {
    fn begin_round(&mut self, out: &mut Effects) {
        for (neighbour, _) in &self.setup.neighbours {
            if !self.state.lost.contains(neighbour) {
                out.send(*neighbour, self.my_model());
            }
        }
        self.state.start_gradient(self.setup.steps, out);
    }

    fn my_model(&self) -> Message {
        piece(MODEL, "model", self.state.round, Piece::default(), self.state.model.clone())
    }

    /// Mixes once the gradient is there and every living neighbour's model of this round.
    fn maybe_mix(&mut self, out: &mut Effects) {
        let state = &mut self.state;
        if state.idle || state.job.is_some() {
            return;
        }
        let Some(gradient) = state.gradient.clone() else { return };
        let round = state.round;
        let there = |n: &NodeId| state.inbox.contains_key(&(round, 0, *n));
        if !state.since.iter().all(|(n, since)| round < *since || there(n)) {
            return;
        }
        // The weight of a lost neighbour falls to oneself, so that the row still sums to 1.
        let mut own = 1.0;
        let mut terms = vec![];
        for (neighbour, weight) in &self.setup.neighbours {
            if let Some(model) = state.inbox.get(&(round, 0, *neighbour)) {
                own -= weight;
                terms.push((model.clone(), *weight as f32));
            }
        }
        terms.insert(0, (state.model.clone(), own as f32));
        terms.push((gradient, -self.lr));
        state.start_combination(terms, out);
    }

    fn mixed(&mut self, me: NodeId, model: Params, out: &mut Effects) {
        let state = &mut self.state;
        let round = state.round;
        let senders: Vec<NodeId> = state.inbox.keys().filter(|k| k.0 == round).map(|k| k.2).collect();
        state.inbox.retain(|key, _| key.0 > round);
        state.model = model;
        state.gradient = None;
        if state.commit(me, &senders, self.setup.rounds, out) {
            self.begin_round(out);
        }
        self.maybe_mix(out);
    }

    fn is_blank(&self) -> bool {
        self.setup.restarted && self.state.idle && self.state.round == 0
    }

    /// Whether no neighbour has a model to give: some say so, the others are lost.
    fn is_hopeless(&self) -> bool {
        let blank = |n: &NodeId| self.state.since.get(n) == Some(&NEVER);
        let ids = || self.setup.neighbours.iter().map(|(neighbour, _)| neighbour);
        self.is_blank() && ids().any(blank) && ids().all(|n| blank(n) || self.state.lost.contains(n))
    }

    /// If all peers were started again their models are gone, and everybody would wait for everybody else.
    fn despair(&self, out: &mut Effects) {
        out.push(match self.is_hopeless() {
            true => Effect::SetTimer { after: PATIENCE, token: PATIENCE_TIMER },
            false => Effect::ClearTimer(PATIENCE_TIMER),
        });
    }

    fn received(&mut self, from: NodeId, round: u64, model: Params, out: &mut Effects) {
        let (got, expected) = (model.len(), self.state.model.len());
        if got != expected {
            let what = format!("a model of {got} values, expected {expected}");
            PeerState::misfit(self.setup.name(from), &what, out);
            return;
        }
        // Who is heard is there, also if this peer has not met it since its own start.
        let is_back = self.state.lost.remove(&from);
        if self.is_blank() {
            self.state.idle = false;
            self.state.model = model.clone();
            self.state.round = round;
            self.begin_round(out);
        } else if is_back {
            out.send(from, self.my_model());
        }
        if round >= self.state.round {
            let since = self.state.since.entry(from).or_insert(round);
            *since = if *since == NEVER { round } else { *since };
            if round > self.state.round + 1 {
                // It goes on without this peer, which was lost to it: of what it says only the newest is kept, and it
                // counts from there.
                let now = self.state.round;
                self.state.inbox.retain(|key, _| key.2 != from || key.0 <= now);
                self.state.since.entry(from).and_modify(|since| *since = round);
            }
            self.state.inbox.insert((round, 0, from), model);
            self.maybe_mix(out);
        }
    }
}

impl Node for Peer {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        match event {
            Event::Start if !self.state.idle => self.begin_round(out),
            Event::Start if self.is_blank() => {
                for (neighbour, _) in &self.setup.neighbours {
                    out.send(*neighbour, Message::control(BLANK, Head::default()));
                }
            }
            Event::Received { from, message } if message.kind == BLANK => {
                let was_unmet = self.state.lost.remove(&from);
                if self.is_blank() {
                    self.state.since.insert(from, NEVER);
                    self.despair(out);
                } else {
                    // Answered once: a model for each such word would be much for little.
                    let was_waited_for = self.state.since.remove(&from).is_some();
                    if was_unmet || was_waited_for {
                        out.send(from, self.my_model());
                    }
                    self.maybe_mix(out);
                }
            }
            Event::Timer(PATIENCE_TIMER) if self.is_hopeless() => {
                let why =
                    "all peers that are there were started again, and none has a model: start the run anew";
                out.push(Effect::Finish(Reason::Failed(why.to_owned())));
            }
            Event::Received { from, message } if message.kind == MODEL => {
                let model = message.params().cloned().unwrap_or(Params::absent(0));
                self.received(from, message.head.version.0, model, out);
            }
            Event::Done { job, outcome } => match self.state.finished(job, outcome) {
                Some(Outcome::Trained(trained)) => {
                    self.state.cursor += trained.steps;
                    self.state.loss = trained.loss;
                    self.state.samples = trained.samples;
                    self.state.gradient = Some(trained.tensor);
                    self.maybe_mix(out);
                }
                Some(Outcome::Folded(folded)) => {
                    let model = folded.aggregate.expect("the combination was asked for");
                    self.mixed(cx.me, model, out);
                }
                _ => {}
            },
            Event::Down(neighbour) => {
                self.state.lost.insert(neighbour);
                self.state.since.remove(&neighbour);
                if self.is_blank() {
                    self.despair(out);
                }
                self.maybe_mix(out);
            }
            // It counts again from its first message of a round that is not over; ours tells it where we are.
            Event::Up(neighbour) => {
                self.state.lost.remove(&neighbour);
                // Who has no model yet waits for a neighbour's.
                if self.is_blank() {
                    out.send(neighbour, Message::control(BLANK, Head::default()));
                    self.despair(out);
                } else {
                    out.send(neighbour, self.my_model());
                }
            }
            _ => {}
        }
    }

    fn save(&self) -> NodeState {
        NodeState::Peer(Box::new(self.state.clone()))
    }
}
