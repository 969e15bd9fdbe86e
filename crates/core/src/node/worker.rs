//! The worker: trains on its shard whenever its server assigns a model, and sends what it was asked for.

use super::kinds::{ASSIGN, CANCEL, PULL, READY, UPDATE};
use super::work::UpdateKind;
use super::{Cx, Effect, Effects, Event, Jobs, Node, NodeState, OptState, Outcome, Train, Trained, Work};
use crate::domain::{Data, Head, JobId, Message, NodeId, Params, Progress, Version};
use serde::{Deserialize, Serialize};

/// What a worker is told once.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its server.
    pub parent: NodeId,
    /// What it sends.
    pub update: UpdateKind,
    /// Gradient steps of a job, unless an assignment says otherwise.
    pub steps: u64,
    /// Batch of its shard that it starts with: not 0 after a restart.
    pub first_batch: u64,
    /// Codec of what it sends: index into the plan's codecs.
    pub codec_up: Option<u16>,
    /// Codec of the models it gets.
    pub codec_down: Option<u16>,
}

/// Everything a worker knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerState {
    /// What it is doing.
    phase: Phase,
    /// Batches consumed.
    cursor: u64,
    /// Updates finished: the clock of SSP.
    clock: u64,
    /// Local optimiser, if it persists.
    opt: Option<OptState>,
    /// Error feedback of its codec.
    residual: Option<Params>,
    /// The newest assignment that came while it was busy.
    queued: Option<Message>,
    /// Names of its jobs.
    jobs: Jobs,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Idle,
    /// A coded model is being decoded.
    Decoding(JobId, Head),
    /// Training on the assignment with this head.
    Training(JobId, Head),
    /// The update with this head is being encoded.
    Encoding(JobId, Head),
}

/// See the module.
pub struct Worker {
    config: WorkerConfig,
    state: WorkerState,
}

impl Worker {
    /// A new worker, or one that continues.
    #[must_use]
    pub fn new(config: WorkerConfig, state: Option<WorkerState>) -> Self {
        let state = state.unwrap_or(WorkerState {
            phase: Phase::Idle,
            cursor: config.first_batch,
            clock: 0,
            opt: None,
            residual: None,
            queued: None,
            jobs: Jobs::default(),
        });
        Self { config, state }
    }

    fn assigned(&mut self, message: Message, out: &mut Effects) {
        if self.state.phase != Phase::Idle {
            // Not after the one that waits already, but in its place: the server knows only of the newest that it is trained
            // on, and would count work on the older one as late or stale.
            self.state.queued = Some(message);
            return;
        }
        let head = message.head;
        match (message.bodies.into_iter().next().map(|b| b.data), self.config.codec_down) {
            (Some(Data::Dense(model)), _) => self.train(model, head, out),
            (Some(data), Some(codec)) => {
                let job = self.state.jobs.fresh();
                self.state.phase = Phase::Decoding(job, head);
                out.run(job, Work::Decode { data, codec });
            }
            // No model, or one that is coded though no codec was agreed on: the job fails by its length.
            _ => self.train(Params::absent(0), head, out),
        }
    }

    fn train(&mut self, model: Params, head: Head, out: &mut Effects) {
        let job = self.state.jobs.fresh();
        self.state.phase = Phase::Training(job, head);
        let steps = if head.steps == 0 { self.config.steps } else { head.steps };
        let train = Train {
            model,
            opt: self.state.opt.clone(),
            cursor: self.state.cursor,
            steps,
            output: self.config.update,
            lr_scale: 1.0,
        };
        out.run(job, Work::Train(train));
    }

    fn trained(&mut self, trained: Trained, assignment: Head, out: &mut Effects) {
        self.state.cursor += trained.steps;
        self.state.clock += 1;
        self.state.opt = trained.opt;
        let void = trained.skipped.is_some();
        let head = Head {
            version: assignment.version,
            base: assignment.version,
            root: assignment.root,
            samples: trained.samples,
            steps: if void { 0 } else { trained.steps },
            loss: trained.loss,
            detail: Progress { clock: self.state.clock, ..assignment.detail.into() }.into(),
        };
        match self.config.codec_up {
            // A void update is not coded: what its codec has held back must not get lost with it.
            Some(codec) if !void => {
                let job = self.state.jobs.fresh();
                self.state.phase = Phase::Encoding(job, head);
                // A copy: if the job is given up, what earlier ones left over is not lost.
                let residual = self.state.residual.clone();
                out.run(
                    job,
                    Work::Encode { tensor: trained.tensor, residual, codec, counter: self.state.clock },
                );
            }
            _ => self.push(Data::Dense(trained.tensor), head, out),
        }
    }

    fn push(&mut self, data: Data, head: Head, out: &mut Effects) {
        let message = Message::with(UPDATE, head, body_name(self.config.update), data);
        out.send(self.config.parent, message);
        self.rest(out);
    }

    /// Free again: takes the queued assignment, if there is one.
    fn rest(&mut self, out: &mut Effects) {
        self.state.phase = Phase::Idle;
        if let Some(message) = self.state.queued.take() {
            self.assigned(message, out);
        }
    }

    /// Gives up work on this version or an older one; newer work was asked for after the cancellation.
    fn cancelled(&mut self, version: Version, out: &mut Effects) {
        self.state.queued.take_if(|queued| queued.head.version <= version);
        let (Phase::Decoding(_, head) | Phase::Training(_, head) | Phase::Encoding(_, head)) =
            &self.state.phase
        else {
            return;
        };
        if head.version <= version {
            self.give_up(out);
            self.rest(out);
        }
    }

    fn give_up(&mut self, out: &mut Effects) {
        if let Phase::Decoding(job, _) | Phase::Training(job, _) | Phase::Encoding(job, _) = self.state.phase
        {
            out.push(Effect::Cancel { job, keep_partial: false });
        }
    }
}

/// The name of a body that carries this kind of update.
#[must_use]
pub fn body_name(kind: UpdateKind) -> &'static str {
    match kind {
        UpdateKind::Gradient => "gradient",
        UpdateKind::Delta => "delta",
        UpdateKind::Model => "model",
    }
}

impl Node for Worker {
    fn on(&mut self, _: &Cx, event: Event, out: &mut Effects) {
        match event {
            Event::Received { message, .. } if message.kind == ASSIGN => self.assigned(message, out),
            Event::Received { message, .. } if message.kind == READY => {
                // At once, also during a job: the model travels while this one computes.
                out.send(self.config.parent, Message::control(PULL, message.head));
            }
            Event::Received { message, .. } if message.kind == CANCEL => {
                self.cancelled(message.head.version, out);
            }
            Event::Done { job, outcome } => match (self.state.phase.clone(), outcome) {
                (Phase::Decoding(mine, head), Outcome::Decoded(model)) if mine == job => {
                    self.train(model, head, out)
                }
                (Phase::Training(mine, head), Outcome::Trained(trained)) if mine == job => {
                    self.trained(trained, head, out);
                }
                (Phase::Encoding(mine, head), Outcome::Encoded { data, residual }) if mine == job => {
                    self.state.residual = residual;
                    self.push(data, head, out);
                }
                // The carrier ends the run on a failed job; a job of another phase was cancelled.
                _ => {}
            },
            // The server lost its memory of us: what we do for its former self is of no use.
            Event::Down(_) => {
                self.give_up(out);
                self.state.phase = Phase::Idle;
                self.state.queued = None;
            }
            _ => {}
        }
    }

    fn save(&self) -> NodeState {
        NodeState::Worker(Box::new(self.state.clone()))
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
