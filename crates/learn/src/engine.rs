//! The real [`Learner`]: a network, a data set and its shards. The caller runs many jobs at once, so a step runs on
//! one thread, unless there are fewer nodes than threads and the step is large (a team). Each thread keeps its
//! working memory: a step on one thread allocates nothing.

mod notes;

use super::augment::Pipeline;
use super::batch::{Batch, IGNORE, Targets};
use super::data::{Average, DataSet, Order, Samples};
use super::kernels::Isa;
use super::local::{Buffers, LocalRule, Site, StepLoss, run};
use super::model::{Network, Output, Workspace};
use super::shard::{Shard, bucketed, shuffled};
use super::split::Holdings;
use super::tables::LearnError;
use super::{Cost, EvalPart, GoOn, Learner, Operations, Split, optimizer, safetensors};
use crate::plan::LearningPlan;
use hcddl_core::domain::operation::{Kind, Operation};
use hcddl_core::domain::work::{Train, Trained};
use hcddl_core::domain::{NodeId, OptionError, Seeds, Stream, Tables};
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Samples of one evaluation part.
pub const EVAL_PART_SAMPLES: usize = 500;
/// Samples of one forward pass within a part; bounds the working memory.
const EVAL_BATCH_SAMPLES: usize = 50;
/// Counted operations of a gradient step from which on several threads make it faster.
const LARGE_STEP: f64 = 3e7;

/// Builds the learner of a plan. `shards` tells for each node, in order, which shard it holds.
///
/// # Errors
/// [`LearnError`] with the key concerned: unknown names, options out of bounds, missing or damaged files,
/// too few samples.
pub fn build(
    plan: &LearningPlan,
    seeds: Seeds,
    tables: &dyn Tables,
    shards: &[Option<u32>],
) -> Result<Arc<dyn Learner>, LearnError> {
    Ok(Arc::new(Engine::new(plan, seeds, tables, shards)?))
}

fn statistics_in_gradients() -> OptionError {
    OptionError {
        hint: "or let the model keep no statistics (`statistics: batch` of its normalisation)".to_owned(),
        ..OptionError::new(
            "",
            "plain gradients cannot carry the running statistics that this model keeps",
            "delta, model (with servers whose policy takes them)",
        )
    }
}

/// The learner of a plan.
#[derive(Debug)]
pub struct Engine {
    network: Network,
    data: DataSet,
    augment: Pipeline,
    shards: Vec<Shard>,
    /// Index into `shards`, in order of the nodes.
    shard_of: Vec<Option<u32>>,
    batch: usize,
    shuffle: bool,
    drop_last: bool,
    rule: LocalRule,
    data_seed: u64,
    start: Option<Vec<f32>>,
    team: Mutex<Option<Arc<Team>>>,
    /// Runs that use it at the same time.
    runs: AtomicUsize,
}

/// Threads that compute steps together.
#[derive(Debug)]
struct Team {
    pool: rayon::ThreadPool,
    /// Of these, for one step.
    threads: usize,
}

thread_local! {
    static WORK: RefCell<Work> = RefCell::new(Work::default());
}

/// Working memory of a thread.
#[derive(Default)]
struct Work {
    network: Workspace,
    buffers: Buffers,
    batch: Batch,
    image: Vec<f32>,
}

impl Engine {
    /// As [`build`], but the concrete type.
    ///
    /// # Errors
    /// As [`build`].
    pub fn new(
        plan: &LearningPlan,
        seeds: Seeds,
        tables: &dyn Tables,
        shards: &[Option<u32>],
    ) -> Result<Self, LearnError> {
        if plan.batch == 0 {
            return Err(LearnError::at("batch", OptionError::new("", "batch is 0", "1 or more")));
        }
        Self::of(Holdings::new(plan, seeds.data, tables)?, plan, seeds, tables, shards)
    }

    /// As [`Engine::new`], with the data at hand.
    ///
    /// # Errors
    /// As [`build`], but for the data.
    pub fn of(
        holdings: Holdings,
        plan: &LearningPlan,
        seeds: Seeds,
        tables: &dyn Tables,
        shards: &[Option<u32>],
    ) -> Result<Self, LearnError> {
        let Holdings { data, augment, shards: split } = holdings;
        let model = tables.of::<Network>().resolve(&plan.model);
        let network = model.and_then(|(row, choice)| (row.build)(&choice, tables, &data.shape));
        let network = network.map_err(|error| LearnError::at("model", error))?;
        if plan.gradients && !network.statistics().is_empty() {
            return Err(LearnError::at("update", statistics_in_gradients()));
        }
        let start = plan.init_from.as_ref().map(|path| safetensors::load(path, &network.tensors()));
        let start = start.transpose().map_err(|message| {
            LearnError::at("init_from", OptionError::new("", message, "a model saved from the same network"))
        })?;
        Ok(Self {
            shards: split.into_iter().map(Shard::new).collect(),
            shard_of: shards.to_vec(),
            batch: plan.batch,
            shuffle: plan.shuffle,
            drop_last: plan.drop_last,
            rule: plan.rule.clone(),
            data_seed: seeds.data,
            network,
            data,
            augment,
            start,
            team: Mutex::new(None),
            runs: AtomicUsize::new(1),
        })
    }

    /// Samples in a batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Whether the last, smaller batch of an epoch is left out.
    #[must_use]
    pub fn drops_last(&self) -> bool {
        self.drop_last
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The data set.
    #[must_use]
    pub fn data(&self) -> &DataSet {
        &self.data
    }

    /// The training samples on each shard, in order.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.shards.iter().map(|shard| shard.samples.as_slice())
    }

    fn shard(&self, node: NodeId) -> Option<(u32, &Shard)> {
        let shard = self.shard_of.get(node.index()).copied().flatten()?;
        self.shards.get(shard as usize).map(|s| (shard, s))
    }

    /// Samples of one epoch of a shard.
    fn epoch_len(&self, shard: &Shard) -> usize {
        match self.data.order {
            Order::Windows { len, .. } => len.min(shard.samples.len()),
            Order::Shuffled | Order::Bucketed => shard.samples.len(),
        }
    }

    fn batches(&self, shard: &Shard) -> u64 {
        let len = self.epoch_len(shard);
        let batches = if self.drop_last { len / self.batch } else { len.div_ceil(self.batch) };
        batches.max(1) as u64
    }

    /// Makes batch `cursor` of a shard's endless sequence.
    fn load(&self, isa: Isa, index: u32, shard: &Shard, cursor: u64, to: &mut Batch) {
        let batches = self.batches(shard);
        let (epoch, batch) = (cursor / batches, (cursor % batches) as usize);
        let len = self.epoch_len(shard);
        let range = batch * self.batch..((batch + 1) * self.batch).min(len);
        let order = self.shuffle.then(|| {
            let stream = Stream::new(self.data_seed, "shuffle", u64::from(index), epoch);
            let runs = self.runs.load(Ordering::Relaxed);
            shard.order(epoch, runs, || self.epoch_order(shard, epoch, stream))
        });
        let at = |i: usize| order.as_ref().map_or(i, |order| order[i] as usize);
        let picked = range.map(|i| shard.samples[at(i)] as usize);
        self.data.train.gather(isa, picked, to);
    }

    /// Runs a job on this many threads of the pool that this is called on.
    fn fit(
        &self,
        index: u32,
        shard: &Shard,
        job: &Train,
        go_on: GoOn<'_>,
        threads: usize,
    ) -> Result<Trained, String> {
        // Taken, not borrowed: a thread of a team may begin another job while it waits for others.
        let mut work = WORK.take();
        let Work { network, buffers, batch, image } = &mut work;
        network.threads = threads;
        let isa = network.isa;
        let (statistics, epoch) = (self.network.statistics(), self.batches(shard));
        let site = Site { isa, params_len: self.params_len(), statistics, epoch };
        let trained = run(site, job, &self.rule, buffers, go_on, |at, cursor, out| {
            self.load(isa, index, shard, cursor, batch);
            self.augment.apply(self.data_seed, index, cursor, batch, image);
            let key = Stream::new(self.data_seed, "batch", u64::from(index), cursor).word();
            let loss = self.network.gradient(network, at, batch, key, out);
            Ok(StepLoss { loss: loss.mean(), samples: batch.samples as u64 })
        });
        WORK.set(work);
        trained
    }

    /// Positions within a shard in the order of an epoch.
    fn epoch_order(&self, shard: &Shard, epoch: u64, mut stream: Stream) -> Vec<u32> {
        let len = shard.samples.len();
        let steps = |i: &u32| self.data.train.steps(shard.samples[*i as usize] as usize);
        match self.data.order {
            Order::Shuffled => shuffled(0..len as u32, &mut stream),
            Order::Bucketed => bucketed(shuffled(0..len as u32, &mut stream), self.batch, steps, &mut stream),
            Order::Windows { len: window, step } => {
                let window = window.min(len);
                let windows = (len - window) / step + 1;
                let start = (epoch % windows as u64) as u32 * step as u32;
                shuffled(start..start + window as u32, &mut stream)
            }
        }
    }

    /// Samples of one part of an evaluation.
    fn eval_part(&self) -> usize {
        match self.data.average {
            Average::Rows => EVAL_PART_SAMPLES,
            Average::Batches => EVAL_PART_SAMPLES.div_ceil(self.batch) * self.batch,
        }
    }

    /// The samples of a split, and which of them if not all.
    fn split(&self, split: Split) -> (&Samples, Option<&[u32]>) {
        match split {
            Split::Test => (&self.data.test, None),
            Split::Validation => (self.data.validation.as_ref().unwrap_or(&self.data.test), None),
            Split::Shard(node) => {
                (&self.data.train, Some(self.shard(node).map_or(&[], |(_, shard)| &shard.samples)))
            }
        }
    }
}

impl Learner for Engine {
    fn params_len(&self) -> usize {
        self.network.params_len()
    }

    fn init(&self, seed: u64) -> Vec<f32> {
        self.start.clone().unwrap_or_else(|| self.network.init(seed))
    }

    fn train(&self, node: NodeId, job: &Train) -> Result<Trained, String> {
        self.train_while(node, job, &|| true)
    }

    fn train_while(&self, node: NodeId, job: &Train, go_on: GoOn<'_>) -> Result<Trained, String> {
        let Some((index, shard)) = self.shard(node).filter(|(_, shard)| !shard.samples.is_empty()) else {
            return Err(format!("{node} holds no training samples"));
        };
        let team = self.team.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match team {
            Some(team) => team.pool.install(|| self.fit(index, shard, job, go_on, team.threads)),
            None => self.fit(index, shard, job, go_on, 1),
        }
    }

    /// Fewer nodes than threads, and large steps: then a step is made by a team.
    fn offer_threads(&self, threads: usize) {
        let Cost { forward_flops, batch, .. } = self.cost();
        let nodes = self.shard_of.iter().flatten().count().max(1);
        let each = if 3.0 * forward_flops * batch as f64 >= LARGE_STEP { threads / nodes } else { 1 };
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
        // Without the threads one alone does it: only time is lost.
        let team = if each > 1 { pool().map(|pool| Arc::new(Team { pool, threads: each })) } else { None };
        *self.team.lock().unwrap_or_else(PoisonError::into_inner) = team;
    }

    fn offer_runs(&self, runs: usize) {
        self.runs.store(runs, Ordering::Relaxed);
    }

    fn evaluate(&self, model: &[f32], split: Split, part: usize) -> EvalPart {
        let (samples, own) = self.split(split);
        let len = own.map_or(samples.len(), <[u32]>::len);
        let (size, by_batch) = match self.data.average {
            Average::Rows => (EVAL_BATCH_SAMPLES, false),
            Average::Batches => (self.batch, true),
        };
        let end = ((part + 1) * self.eval_part()).min(len);
        let mut result = EvalPart::default();
        WORK.with_borrow_mut(|work| {
            let Work { network, batch, .. } = work;
            network.threads = 1;
            for start in (part * self.eval_part()..end).step_by(size) {
                let range = start..(start + size).min(end);
                let picked = range.map(|i| own.map_or(i, |own| own[i] as usize));
                samples.gather(network.isa, picked, batch);
                let loss = self.network.evaluate(network, model, batch);
                if by_batch {
                    result.loss_sum += loss.mean();
                    result.correct += loss.correct as f64 / loss.count.max(1) as f64;
                    result.count += 1;
                } else {
                    result.loss_sum += loss.sum;
                    result.correct += loss.correct as f64;
                    result.count += loss.count;
                }
            }
        });
        result
    }

    fn classes(&self) -> Option<usize> {
        match self.data.shape.output {
            Output::Classes(classes) | Output::Tags(classes) => Some(classes),
            Output::Probabilities(_) | Output::Numbers(_) => None,
        }
    }

    fn predict(&self, model: &[f32], split: Split, part: usize) -> Vec<u32> {
        let Some(classes) = self.classes() else { return Vec::new() };
        let (samples, own) = self.split(split);
        let len = own.map_or(samples.len(), <[u32]>::len);
        let end = ((part + 1) * self.eval_part()).min(len);
        let mut predicted = Vec::new();
        WORK.with_borrow_mut(|work| {
            let Work { network, batch, .. } = work;
            network.threads = 1;
            for start in (part * self.eval_part()..end).step_by(EVAL_BATCH_SAMPLES) {
                let picked = (start..(start + EVAL_BATCH_SAMPLES).min(end))
                    .map(|i| own.map_or(i, |own| own[i] as usize));
                samples.gather(network.isa, picked, batch);
                self.network.evaluate(network, model, batch);
                let Targets::Classes(targets) = &batch.targets else { return };
                let rows = self.network.outputs(network, targets.len()).chunks_exact(classes).zip(targets);
                predicted.extend(rows.filter(|(_, target)| **target != IGNORE).map(|(row, _)| largest(row)));
            }
        });
        predicted
    }

    fn has_validation(&self) -> bool {
        self.data.validation.is_some()
    }

    fn eval_parts(&self, split: Split) -> usize {
        let (samples, own) = self.split(split);
        own.map_or(samples.len(), <[u32]>::len).div_ceil(self.eval_part()).max(1)
    }

    fn shard_len(&self, node: NodeId) -> usize {
        self.shard(node).map_or(0, |(_, shard)| shard.samples.len())
    }

    fn batches_per_epoch(&self, node: NodeId) -> u64 {
        self.shard(node).map_or(1, |(_, shard)| self.batches(shard))
    }

    fn statistics(&self) -> Vec<std::ops::Range<usize>> {
        self.network.statistics().iter().map(|statistic| statistic.range.clone()).collect()
    }

    fn notes(&self) -> Vec<String> {
        notes::of(self)
    }

    fn cost(&self) -> Cost {
        self.network.cost(self.batch, self.data.train.mean_steps())
    }

    fn operations(&self, batch: usize) -> Operations {
        let (params, steps) = (self.params_len(), self.data.train.mean_steps().round() as usize);
        let mut all = self.network.operations(batch, steps);
        let row_len = self.data.shape.row_len();
        all.step.insert(0, Operation::new(Kind::Copy, [row_len, batch * steps.max(1)], 1));
        all.step.push(optimizer::operation(self.rule.optimizer.as_ref(), params));
        // The parameters to start from, the tensor that is returned, and a look at each of its values.
        all.job = [Kind::Copy, Kind::Add, Kind::Sum].map(|kind| Operation::new(kind, [params], 1)).to_vec();
        all
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.network.tensors()
    }

    fn look(&self) -> super::Look {
        self.data.look()
    }
}

/// The position of the largest value, the first one of equals.
fn largest(row: &[f32]) -> u32 {
    let larger = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
    (0..row.len()).reduce(larger).unwrap_or(0) as u32
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
