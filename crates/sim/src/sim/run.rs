//! Running a plan from beginning to end.

use super::bonds::Bonds;
use super::checkpoint::Checkpoint;
use super::conductor::{Conductor, RealClock};
use super::heap::{Heap, Pending};
use super::network::Network;
use super::order_gate::{Gate, Kept, Order};
use super::traces::Traces;
use crate::run::RunError;
use crate::run::actors::Actors;
use crate::run::carrier::Core;
use crate::run::compute::Compute;
use crate::run::execute::Tools;
use crate::run::jobs::Jobs;
use crate::run::pool::Pool;
use crate::run::probe::{self, Probe};
use crate::run::rules::Chain as Rules;
use crate::run::rules::director::{Director, Player};
use crate::run::rules::recorded::Recorded;
use crate::run::runner::{Direct, Runner};
use hcddl_core::domain::digest::{Chain, of_values};
use hcddl_core::domain::{NodeId, Params, Time, Version};
use hcddl_core::node::kinds::UPDATE;
use hcddl_core::node::{NodeState, Reason};
use hcddl_learn::Learner;
use hcddl_learn::kernels::Isa;
use hcddl_plan::factory::{Begin, Delivery, Factory};
use hcddl_plan::measure::outcome::{Clock, Observer, RunnerKind, SimOptions, Summary};
use hcddl_plan::plan::{Fault, Plan, Role};
use hcddl_plan::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// Everything in numbers.
    pub summary: Summary,
    /// The final model of the root; for peers the mean of theirs.
    pub model: Params,
    /// The final models of the root or of every peer.
    pub models: BTreeMap<NodeId, Params>,
    /// The best model by the validation split ([`Summary::best`]), where there is one; for peers the mean of
    /// theirs.
    pub best: Option<Params>,
}

/// Runs a plan to its end, or continues it from a checkpoint.
///
/// `interrupt` is looked at now and then; when it is set the run ends with [`Reason::Interrupted`] and, if there
/// is a checkpoint directory, a checkpoint.
///
/// # Errors
/// [`RunError`]; a run that ends because training cannot go on is not an error but a [`Reason`].
pub fn run(
    plan: &Plan,
    registry: &Registry,
    learner: Arc<dyn Learner>,
    options: &SimOptions,
    observer: &mut dyn Observer,
    interrupt: Arc<AtomicBool>,
    resume: Option<Checkpoint>,
) -> Result<RunResult, RunError> {
    let mut player = plan.schedule.as_ref().map(Player::new);
    let director = player.as_mut().map(|player| player as &mut dyn Director);
    let learner = &learner;
    let start = resume.map_or(Start::New, |checkpoint| Start::Checkpoint(Box::new(checkpoint)));
    let parts = Parts { plan, registry, learner, options, observer, director, interrupt };
    to_the_end(carry(parts, start, Imposed::default())?)
}

/// As [`run`] from the beginning, but `director` decides delays and fates; the plan's own schedule is not looked at.
///
/// # Errors
/// As [`run`].
pub fn run_directed(
    plan: &Plan,
    registry: &Registry,
    learner: Arc<dyn Learner>,
    options: &SimOptions,
    observer: &mut dyn Observer,
    director: &mut dyn Director,
    interrupt: Arc<AtomicBool>,
) -> Result<RunResult, RunError> {
    let learner = &learner;
    // The cast lets it live as long as the other parts do.
    let director = Some(director as &mut dyn Director);
    let parts = Parts { plan, registry, learner, options, observer, director, interrupt };
    to_the_end(carry(parts, Start::New, Imposed::default())?)
}

/// Runs a plan as a real run of it went: in its order until some point, or with its durations, or both. The second value
/// says how well the order was kept.
///
/// # Errors
/// As [`run`].
pub fn run_imposed(parts: Parts<'_>, start: Start, imposed: Imposed) -> Result<(Ended, Kept), RunError> {
    carry(parts, start, imposed)
}

fn to_the_end((ended, _): (Ended, Kept)) -> Result<RunResult, RunError> {
    match ended {
        Ended::Result(result) => Ok(*result),
        Ended::Reached(_) => unreachable!("no order was imposed"),
    }
}

fn carry(parts: Parts<'_>, start: Start, imposed: Imposed) -> Result<(Ended, Kept), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(RunError::Runtime)?;
    runtime.block_on(async {
        match parts.options.runner {
            RunnerKind::Actors => drive(parts, start, imposed, Actors::default()).await,
            RunnerKind::Direct => drive(parts, start, imposed, Direct::default()).await,
        }
    })
}

/// What a simulation is made of.
pub struct Parts<'a> {
    pub plan: &'a Plan,
    pub registry: &'a Registry,
    pub learner: &'a Arc<dyn Learner>,
    pub options: &'a SimOptions,
    pub observer: &'a mut dyn Observer,
    /// Decides delays and fates, if anybody does.
    pub director: Option<&'a mut dyn Director>,
    pub interrupt: Arc<AtomicBool>,
}

/// Where a run begins.
pub enum Start {
    /// At its beginning.
    New,
    /// Where it was interrupted.
    Checkpoint(Box<Checkpoint>),
    /// Where another one came to ([`Ended::Reached`]), with another plan for the same nodes: other policies, another
    /// network, another end. The servers `changed` start anew with their models, as if they had been stopped and started
    /// with the new settings at that moment; transfers under way begin anew.
    Elsewhere {
        /// Where the other one came to.
        from: Box<Checkpoint>,
        /// Servers whose settings differ.
        changed: Vec<NodeId>,
    },
}

/// What of a real run is imposed on a simulation.
#[derive(Clone, Debug, Default)]
pub struct Imposed {
    /// What each node was told, in order; none when the order follows from the times.
    pub order: Option<Order>,
    /// How long jobs and messages took; none when they take as long as modelled.
    pub durations: Option<Arc<Recorded>>,
    /// Nodes talk over streams that lose nothing, as deployed ones do.
    pub streams: bool,
}

/// Where a run has come to.
pub enum Ended {
    /// To its end.
    Result(Box<RunResult>),
    /// To the point until which an order was imposed.
    Reached(Box<Checkpoint>),
}

async fn drive<R: Runner>(
    parts: Parts<'_>,
    start: Start,
    imposed: Imposed,
    runner: R,
) -> Result<(Ended, Kept), RunError> {
    let started = Instant::now();
    let init = initial_model(parts.plan, parts.learner.as_ref());
    let mut conductor = Conductor::assemble(parts, runner, &init)?;
    if let Some(durations) = &imposed.durations {
        conductor.rules.follow(durations);
    }
    if imposed.streams {
        conductor.core.factory.deliver_over_streams();
    }
    conductor.gate = imposed.order.map(Gate::new);
    match start {
        Start::New => conductor.begin_run(&init).await?,
        Start::Checkpoint(checkpoint) => conductor.resume(*checkpoint).await?,
        Start::Elsewhere { from, changed } => conductor.resume_elsewhere(*from, &changed).await?,
    }
    conductor.conduct().await?;
    if let Some(kept) = conductor.kept.take() {
        return Ok((Ended::Reached(Box::new(conductor.snapshot().await?)), kept));
    }
    if conductor.finished == Some(Reason::Interrupted) && conductor.options.checkpoint_dir.is_some() {
        conductor.checkpoint().await?;
    }
    let kept = conductor.gate.as_mut().map(Gate::judged).unwrap_or_default();
    Ok((Ended::Result(Box::new(conductor.end(&init, started).await?)), kept))
}

fn initial_model(plan: &Plan, learner: &dyn Learner) -> Params {
    if plan.timing_only {
        Params::absent(learner.params_len())
    } else {
        Params::new(learner.init(plan.seeds.init))
    }
}

/// Servers that a fault will restart, so that their last commit must be kept.
fn durable_nodes(plan: &Plan) -> BTreeMap<NodeId, Option<NodeState>> {
    let is_root = |id: &NodeId| plan.nodes[id.index()].parent.is_none();
    let restarted = plan.faults.events.iter().filter_map(|event| match event.fault {
        Fault::Restart(node) if matches!(plan.nodes[node.index()].role, Role::Server(_)) => Some(node),
        _ => None,
    });
    restarted.filter(is_root).map(|node| (node, None)).collect()
}

impl<'a, R: Runner> Conductor<'a, R> {
    /// A conductor before its first event.
    pub(super) fn assemble(parts: Parts<'a>, runner: R, init: &Params) -> Result<Self, RunError> {
        let Parts { plan, registry, learner, options, observer, director, interrupt } = parts;
        let tools = Tools::new(plan, registry, Arc::clone(learner)).map_err(RunError::Build)?;
        let pool = match options.clock {
            Clock::Virtual => Pool::new(options.threads)?,
            Clock::Real => Pool::detached(options.threads)?,
        };
        learner.offer_threads(pool.threads());
        let absent = plan.nodes.iter().enumerate().filter(|(_, n)| n.joins_later);
        Ok(Self {
            plan,
            network: Network::new(plan),
            compute: Compute::new(plan, learner.as_ref(), &tools.codecs),
            heap: Heap::default(),
            pool,
            probe: Probe::new(plan, &registry.metrics, tools.clone()).of_all(),
            core: Core::new(
                plan,
                Factory::new(plan, registry, learner.as_ref(), init.clone()),
                runner,
                tools,
            ),
            observer,
            rules: Rules::new(plan, director),
            interrupt,
            traces: Traces::new(plan),
            trace: Chain::default(),
            now: Time::ZERO,
            jobs: Jobs::new(plan.nodes.len()),
            timers: BTreeMap::new(),
            timers_set: 0,
            down: absent.map(|(i, _)| NodeId(i as u32)).collect(),
            lives: BTreeMap::new(),
            bonds: Bonds::default(),
            durable: durable_nodes(plan),
            models: BTreeMap::new(),
            finished_peers: BTreeSet::new(),
            finished: None,
            clock: RealClock::new(options.clock),
            options,
            last_checkpoint: Instant::now(),
            gate: None,
            kept: None,
        })
    }

    /// Puts every node in its place and the first events on the heap.
    pub(super) async fn begin_run(&mut self, init: &Params) -> Result<(), RunError> {
        for id in (0..self.plan.nodes.len() as u32).map(NodeId) {
            if !self.down.contains(&id) {
                self.place(id, Begin::New).await?;
                self.heap.push(Time::ZERO, Pending::Start(id));
            }
            if self.core.is_top(id) {
                self.models.insert(id, init.clone());
            }
        }
        self.begin_apart();
        if self.gate.is_none() {
            self.plan_ahead();
        }
        if self.plan.evaluation.at_start {
            let models = self.models.clone();
            self.evaluate(Version(0), &models);
        }
        Ok(())
    }

    /// Puts what the plan brings from now on on the heap: traces, faults, the time limit.
    pub(super) fn plan_ahead(&mut self) {
        self.trace_ahead();
        let mut earliest = self.now;
        for (i, event) in self.plan.faults.events.iter().enumerate() {
            if event.at < self.now {
                continue;
            }
            // Faults keep their order: who is there at each of them has been checked.
            earliest = self.rules.fault(i as u32, event.at).max(earliest);
            self.heap.push(earliest, Pending::Fault(i as u32));
        }
        if let Some(limit) = self.plan.stop.time {
            self.heap.push(Time(limit.0).max(self.now), Pending::TimeLimit);
        }
    }

    pub(super) async fn end(mut self, init: &Params, started: Instant) -> Result<RunResult, RunError> {
        let commits = self.commits();
        self.evaluate_end(Version(commits));
        if let Some(why) = self.probe.not_finite()
            && !self
                .finished
                .as_ref()
                .is_some_and(|reason| reason.problem().is_some() || *reason == Reason::Interrupted)
        {
            self.finished = Some(Reason::Failed(why));
        }
        let model = probe::mean(&self.models).unwrap_or_else(|| init.clone());
        let weights = match self.models.len() {
            0 | 1 => model.values().map_or(of_values(&[]), of_values),
            _ => {
                let all: Vec<f32> =
                    self.models.values().filter_map(Params::values).flatten().copied().collect();
                of_values(&all)
            }
        };
        let lost_updates = self.lost_updates().await?;
        let (bytes_up, bytes_down, bytes_by_tier) = self.core.account.bytes();
        let time_split = self.core.account.time_split(self.plan, self.now);
        let (energy_j, energy_marginal_j, energy_by_host_j) = self.core.account.energy(self.plan, self.now);
        let last = self.probe.state.last.clone();
        let mut metrics = std::mem::take(&mut self.core.account.metrics);
        metrics.extend(last.clone());
        let reason = self.finished.clone().expect("the run is over");
        let summary = Summary {
            time_to_target_s: self.probe.state.target_reached.map(Time::seconds),
            virtual_time_s: self.now.seconds(),
            wall_time_s: started.elapsed().as_secs_f64(),
            commits,
            client_fits: self.core.account.client_fits,
            gradient_steps: self.core.account.gradient_steps,
            events: self.core.account.events,
            staleness: self.core.account.staleness(),
            bytes_up,
            bytes_down,
            bytes_by_tier,
            messages: self.core.account.messages,
            dropped_updates: self.core.account.dropped.clone(),
            lost_updates,
            time_split,
            energy_j,
            energy_marginal_j,
            energy_by_host_j,
            trace_digest: self.trace.digest().to_string(),
            weight_digest: weights.to_string(),
            best: self.probe.state.best.as_ref().map(|(best, _)| best.clone()),
            kernels: Isa::best().name().to_owned(),
            ..Summary::of(self.plan, reason, metrics)
        };
        let best = self.probe.state.best.take().map(|(_, model)| model);
        Ok(RunResult { summary, model, models: self.models, best })
    }

    /// Updates that were sent, but are neither committed, dropped by a policy, waiting nor on their way.
    async fn lost_updates(&mut self) -> Result<u64, RunError> {
        if self.plan.peers.is_some() {
            return Ok(0);
        }
        let mut known = self.core.account.updates_committed + self.core.account.dropped.values().sum::<u64>();
        if self.core.factory.delivery() != Delivery::Plain {
            known += self.resending().await?;
        } else {
            known += self.network.updates_in_transit();
            let update =
                |p: &&Pending| matches!(p, Pending::Deliver { message, .. } if message.kind == UPDATE);
            known += self.heap.iter().filter(update).count() as u64;
        }
        for (i, node) in self.plan.nodes.iter().enumerate() {
            if matches!(node.role, Role::Server(_)) {
                let state = match self.core.runner.save(NodeId(i as u32)).await? {
                    Some(NodeState::Reliable(both)) => {
                        known += both.0.early(&UPDATE);
                        both.1
                    }
                    Some(state) => state,
                    None => continue,
                };
                if let NodeState::Server(server) = state {
                    known += server.waiting();
                }
            }
        }
        Ok(self.core.account.updates_sent.saturating_sub(known))
    }

    /// Updates that reliable delivery still has to bring to their servers: on their way or lost underway, but
    /// to be sent again.
    async fn resending(&mut self) -> Result<u64, RunError> {
        let mut count = 0;
        for (i, node) in self.plan.nodes.iter().enumerate() {
            let (me, Some(parent)) = (NodeId(i as u32), node.parent) else { continue };
            let states = (self.core.runner.save(me).await?, self.core.runner.save(parent).await?);
            if let (Some(NodeState::Reliable(mine)), Some(NodeState::Reliable(its))) = states {
                count += mine.0.undelivered(me, parent, &its.0, &UPDATE);
            }
        }
        Ok(count)
    }
}
