//! Synchronous SGD over a ring: gradients are summed by reduce-scatter and all-gather in n chunks, 2(n - 1) steps
//! and 2(n - 1)/n of the gradient's bytes for each node (Patarasuk and Yuan, Bandwidth Optimal All-reduce
//! Algorithms for Clusters of Workstations, JPDC 2009). Each chunk is added up in ring order, starting at its
//! own peer: that order is part of the result. Every peer then takes the same step with the mean.

use super::{PeerAlgorithm, PeerRow, PeerSetup, Piece, piece};
use crate::domain::{Choice, Kind, Message, NodeId, OptionError, Params, Pick, Tables, options};
use crate::node::peer::PeerState;
use crate::node::work::{Fold, FoldInput, UpdateKind, Work};
use crate::node::{Cx, Effect, Effects, Event, Node, NodeState, Outcome, Reason};
use crate::policy::optimizer::ServerOptimizer;
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: PeerRow = PeerRow {
    name: "ring_all_reduce",
    summary: "synchronous SGD; gradients are averaged around a ring in chunks",
    example: "{name: ring_all_reduce, optimizer: sgd(0.1)}",
    positional: &[],
    options: options::<Options>,
    build,
};

/// A chunk on its way around the ring.
const CHUNK: Kind = Kind::new("chunk");

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The optimiser that every peer runs on the mean gradient.
    optimizer: Pick<dyn ServerOptimizer>,
}

impl Default for Options {
    fn default() -> Self {
        Self { optimizer: Pick::text("sgd(0.1)") }
    }
}

struct Ring {
    optimizer: Arc<dyn ServerOptimizer>,
}

fn build(choice: &Choice, tables: &dyn Tables) -> Result<Arc<dyn PeerAlgorithm>, OptionError> {
    let Options { optimizer } = choice.options()?;
    let optimizer = optimizer.build(tables).map_err(|error| error.below("optimizer"))?;
    Ok(Arc::new(Ring { optimizer }))
}

impl PeerAlgorithm for Ring {
    fn node(&self, setup: PeerSetup, state: Option<PeerState>) -> Box<dyn Node> {
        let state = state.unwrap_or_else(|| PeerState::new(&setup.init, &setup.neighbours, setup.restarted));
        Box::new(Peer { optimizer: Arc::clone(&self.optimizer), setup, state })
    }

    fn agrees(&self) -> bool {
        true
    }

    fn check(&self, neighbours: &[Vec<NodeId>]) -> Result<(), String> {
        if neighbours.len() >= 2 && neighbours.iter().all(|n| n.len() == 2 || neighbours.len() == 2) {
            return Ok(());
        }
        Err("ring all-reduce needs a ring of at least 2 peers: use `topology: {name: ring, peers: N}`"
            .to_owned())
    }
}

struct Peer {
    optimizer: Arc<dyn ServerOptimizer>,
    setup: PeerSetup,
    state: PeerState,
}

impl Peer {
    /// Chunk c of n of a vector of `len` elements is [c len / n, (c + 1) len / n).
    fn chunk_range(&self, chunk: usize) -> std::ops::Range<usize> {
        let (n, len) = (self.setup.peers, self.state.model.len());
        chunk * len / n..(chunk + 1) * len / n
    }

    fn split(&self, gradient: &Params) -> Vec<Params> {
        (0..self.setup.peers)
            .map(|chunk| {
                let range = self.chunk_range(chunk);
                gradient
                    .values()
                    .map_or_else(|| Params::absent(range.len()), |v| Params::new(v[range.clone()].to_vec()))
            })
            .collect()
    }

    fn join(&self) -> Params {
        let values: Option<Vec<&[f32]>> = self.state.parts.iter().map(Params::values).collect();
        values.map_or_else(|| Params::absent(self.state.model.len()), |parts| Params::new(parts.concat()))
    }

    /// The chunk that this peer receives in a step: one further back each time.
    fn incoming(&self, step: u64) -> usize {
        let n = self.setup.peers;
        (self.setup.position + 2 * n - 1 - step as usize % n) % n
    }

    fn send_chunk(&mut self, step: u64, out: &mut Effects) {
        let n = self.setup.peers;
        let chunk = (self.setup.position + 2 * n - step as usize % n) % n;
        let (next, _) = self.setup.neighbours[self.setup.neighbours.len() - 1];
        let tensor = self.state.parts[chunk].clone();
        let place = Piece { step, chunk: chunk as u32 };
        out.send(next, piece(CHUNK, "chunk", self.state.round, place, tensor));
    }

    fn received(&mut self, from: NodeId, message: &Message, out: &mut Effects) {
        let (round, step) = (message.head.version.0, Piece::from(message.head.detail).step);
        let chunk = message.params().cloned().unwrap_or(Params::absent(0));
        // The one before cannot be further: it needs what this one has not sent yet. Nor can it be behind.
        let steps = 2 * (self.setup.peers as u64 - 1);
        let mine = self.state.round;
        let is_due = (mine..=mine + 1).contains(&round) && step < steps;
        let (got, expected) = (chunk.len(), self.chunk_range(self.incoming(step)).len());
        let has_tensor = message.params().is_some();
        if !is_due || got != expected || !has_tensor {
            let what = format!(
                "{got} values of round {round}, step {step}, expected {expected} of round {mine} or the next"
            );
            PeerState::misfit(self.setup.name(from), &what, out);
            return;
        }
        self.state.inbox.insert((round, step, from), chunk);
        self.advance(out);
    }

    /// Takes the chunk of the current step, once it is there.
    fn advance(&mut self, out: &mut Effects) {
        let steps = 2 * (self.setup.peers as u64 - 1);
        while self.state.job.is_none() && self.state.gradient.is_some() {
            let step = self.state.phase;
            if step == steps {
                self.apply(out);
                return;
            }
            let (previous, _) = self.setup.neighbours[0];
            let Some(chunk) = self.state.inbox.remove(&(self.state.round, step, previous)) else { return };
            let place = self.incoming(step);
            if step < steps / 2 {
                let mine = self.state.parts[place].clone();
                self.state.start_combination(vec![(chunk, 1.0), (mine, 1.0)], out);
            } else {
                self.state.parts[place] = chunk;
                self.next_step(out);
            }
        }
    }

    fn next_step(&mut self, out: &mut Effects) {
        self.state.phase += 1;
        if self.state.phase < 2 * (self.setup.peers as u64 - 1) {
            self.send_chunk(self.state.phase, out);
        }
    }

    /// One optimiser step with the mean gradient.
    fn apply(&mut self, out: &mut Effects) {
        let sum = self.join();
        let input =
            FoldInput { tensor: sum, weight: 1.0 / self.setup.peers as f32, samples: 1, snapshot: None };
        let fold = Fold {
            rule: Arc::new(crate::policy::fold::Sum),
            inputs: vec![input],
            base: self.state.model.clone(),
            apply: Some(Arc::clone(&self.optimizer)),
            opt: self.state.opt.clone(),
            kind: UpdateKind::Gradient,
            keep_aggregate: false,
            demands: None,
        };
        self.state.phase += 1;
        self.state.run(Work::Fold(Box::new(fold)), out);
    }

    fn folded(&mut self, me: NodeId, folded: crate::node::Folded, out: &mut Effects) {
        let steps = 2 * (self.setup.peers as u64 - 1);
        if self.state.phase <= steps {
            let place = self.incoming(self.state.phase);
            self.state.parts[place] = folded.aggregate.expect("the combination was asked for");
            self.next_step(out);
            self.advance(out);
            return;
        }
        self.state.model = folded.model;
        self.state.opt = folded.opt;
        self.state.gradient = None;
        self.state.phase = 0;
        let (previous, _) = self.setup.neighbours[0];
        if self.state.commit(me, &[previous], self.setup.rounds, out) {
            self.state.start_gradient(self.setup.steps, out);
        }
    }
}

impl Node for Peer {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        match event {
            Event::Start if self.setup.restarted => out.push(Effect::Finish(Reason::Failed(
                "a peer of a ring all-reduce was restarted: its gradient sum is lost and a ring cannot take it back"
                    .to_owned(),
            ))),
            Event::Start => self.state.start_gradient(self.setup.steps, out),
            Event::Received { from, message } if message.kind == CHUNK => self.received(from, &message, out),
            Event::Done { job, outcome } => match self.state.finished(job, outcome) {
                Some(Outcome::Trained(trained)) => {
                    self.state.cursor += trained.steps;
                    self.state.loss = trained.loss;
                    self.state.samples = trained.samples;
                    self.state.parts = self.split(&trained.tensor);
                    self.state.gradient = Some(trained.tensor);
                    self.send_chunk(0, out);
                    self.advance(out);
                }
                Some(Outcome::Folded(folded)) => self.folded(cx.me, *folded, out),
                _ => {}
            },
            Event::Down(lost) if !self.state.idle => out.push(Effect::Finish(Reason::Failed(format!(
                "{} of the ring is lost, and ring all-reduce cannot go on without it; d_psgd and servers can",
                self.setup.name(lost)
            )))),
            _ => {}
        }
    }

    fn save(&self) -> NodeState {
        NodeState::Peer(Box::new(self.state.clone()))
    }
}
