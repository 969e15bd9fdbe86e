//! The real [`Learner`]: a network, a data set and its shards. One step runs on one thread; the caller runs
//! many jobs at once. Nothing is allocated in a step: each thread keeps its working memory.

use super::data::{self, BuildData, DataContext, DataSet, Samples};
use super::kernels::Isa;
use super::local::{Batch, Buffers, LocalRule, run};
use super::model::{self, BuildModel, Network, Workspace};
use super::partition::{self, BuildPartition};
use super::{Cost, EvalPart, Learner, Split, safetensors};
use crate::domain::work::{Train, Trained};
use crate::domain::{Choice, NodeId, OptionError, Seeds, Stream, Table};
use crate::learn::plan::{LearningPlan, LocalOptimizer};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

/// Samples of one evaluation part.
pub const EVAL_PART_SAMPLES: usize = 500;
/// Samples of one forward pass within a part; bounds the working memory.
const EVAL_BATCH_SAMPLES: usize = 50;

/// What a learning section can name.
#[derive(Clone)]
pub struct LearnTables {
    /// Models.
    pub models: Table<BuildModel>,
    /// Data sets.
    pub data: Table<BuildData>,
    /// Partitioners.
    pub partitions: Table<BuildPartition>,
}

impl Default for LearnTables {
    fn default() -> Self {
        Self { models: model::table(), data: data::table(), partitions: partition::table() }
    }
}

/// A learning section that cannot be built; the scenario adds file and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {error}")]
pub struct LearnError {
    /// Path below the learning section: `model`, `data.limit_train`, `partition.alpha`, `batch`, ...
    pub key: String,
    /// What is wrong; its own key is empty.
    pub error: OptionError,
}

impl LearnError {
    fn at(section: &str, mut error: OptionError) -> Self {
        let option = std::mem::take(&mut error.key);
        let key = if option.is_empty() { section.to_owned() } else { format!("{section}.{option}") };
        Self { key, error }
    }
}

/// Builds the learner of a plan. `shards` tells for each node, in order, which shard it holds.
///
/// # Errors
/// [`LearnError`] with the key concerned: unknown names, options out of bounds, missing or damaged files,
/// too few samples.
pub fn build(
    plan: &LearningPlan,
    seeds: Seeds,
    tables: &LearnTables,
    shards: &[Option<u32>],
) -> Result<Arc<dyn Learner>, LearnError> {
    Ok(Arc::new(Engine::new(plan, seeds, tables, shards)?))
}

/// Resolves a choice and calls its row.
fn made<B: Copy, T>(
    section: &str,
    table: &Table<B>,
    choice: &Choice,
    call: impl FnOnce(B, &Choice) -> Result<T, OptionError>,
) -> Result<T, LearnError> {
    let result = table.resolve(choice).and_then(|(row, choice)| call(row.build, &choice));
    result.map_err(|error| LearnError::at(section, error))
}

/// The learner of a plan.
#[derive(Debug)]
pub struct Engine {
    network: Network,
    data: DataSet,
    shards: Vec<Shard>,
    /// Index into `shards`, in order of the nodes.
    shard_of: Vec<Option<u32>>,
    batch: usize,
    shuffle: bool,
    drop_last: bool,
    optimizer: LocalOptimizer,
    proximal: f64,
    data_seed: u64,
    start: Option<Vec<f32>>,
}

/// A node's training samples.
#[derive(Debug)]
struct Shard {
    samples: Vec<u32>,
    /// The order of the last epoch that was asked for; a pure function of its number, kept to save time.
    order: Mutex<Option<(u64, Arc<[u32]>)>>,
}

thread_local! {
    static WORK: RefCell<Work> = RefCell::new(Work::default());
}

/// Working memory of a thread.
#[derive(Default)]
struct Work {
    network: Workspace,
    buffers: Buffers,
    x: Vec<f32>,
    labels: Vec<u32>,
}

impl Engine {
    /// As [`build`], but the concrete type.
    ///
    /// # Errors
    /// As [`build`].
    pub fn new(
        plan: &LearningPlan,
        seeds: Seeds,
        tables: &LearnTables,
        shards: &[Option<u32>],
    ) -> Result<Self, LearnError> {
        if plan.batch == 0 {
            return Err(LearnError::at("batch", OptionError::new("", "batch is 0", "1 or more")));
        }
        let context = DataContext { data_dir: plan.data_dir.clone(), seed: seeds.data };
        let data = made("data", &tables.data, &plan.data, |build, choice| build(choice, &context))?;
        let network = made("model", &tables.models, &plan.model, |build, choice| build(choice, &data.shape))?;
        let split = made("partition", &tables.partitions, &plan.partition, |build, choice| {
            build(choice)?.split(data.train.labels(), plan.shards, seeds.data)
        })?;
        let limit = plan.shard_limit.unwrap_or(usize::MAX);
        if limit == 0 {
            return Err(LearnError::at("shard_limit", OptionError::new("", "shard_limit is 0", "1 or more")));
        }
        let shard = |mut samples: Vec<u32>| {
            samples.truncate(limit);
            samples.shrink_to_fit();
            Shard { samples, order: Mutex::new(None) }
        };
        let start = plan.init_from.as_ref().map(|path| safetensors::load(path, &network.tensors()));
        let start = start.transpose().map_err(|message| {
            LearnError::at("init_from", OptionError::new("", message, "a model saved from the same network"))
        })?;
        Ok(Self {
            shards: split.into_iter().map(shard).collect(),
            shard_of: shards.to_vec(),
            batch: plan.batch,
            shuffle: plan.shuffle,
            drop_last: plan.drop_last,
            optimizer: plan.optimizer,
            proximal: plan.proximal,
            data_seed: seeds.data,
            network,
            data,
            start,
        })
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

    fn batches(&self, shard: &Shard) -> u64 {
        let len = shard.samples.len();
        let batches = if self.drop_last { len / self.batch } else { len.div_ceil(self.batch) };
        batches.max(1) as u64
    }

    /// Makes batch `cursor` of a shard's endless sequence.
    fn load(
        &self,
        isa: Isa,
        index: u32,
        shard: &Shard,
        cursor: u64,
        x: &mut Vec<f32>,
        labels: &mut Vec<u32>,
    ) {
        let batches = self.batches(shard);
        let (epoch, batch) = (cursor / batches, (cursor % batches) as usize);
        let len = shard.samples.len();
        let range = batch * self.batch..((batch + 1) * self.batch).min(len);
        if self.shuffle {
            let order = shard.order(self.data_seed, index, epoch);
            let picked = order[range].iter().map(|i| shard.samples[*i as usize] as usize);
            self.data.train.gather(isa, picked, x, labels);
        } else {
            self.data.train.gather(isa, shard.samples[range].iter().map(|i| *i as usize), x, labels);
        }
    }
}

impl Shard {
    /// Positions within the shard in the order of an epoch.
    fn order(&self, seed: u64, index: u32, epoch: u64) -> Arc<[u32]> {
        let mut kept = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = kept.as_ref().filter(|(of, _)| *of == epoch) {
            return order.clone();
        }
        let mut order: Vec<u32> = (0..self.samples.len() as u32).collect();
        Stream::new(seed, "shuffle", u64::from(index), epoch).shuffle(&mut order);
        let order: Arc<[u32]> = order.into();
        *kept = Some((epoch, order.clone()));
        order
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
        let Some((index, shard)) = self.shard(node).filter(|(_, shard)| !shard.samples.is_empty()) else {
            return Err(format!("{node} holds no training samples"));
        };
        let rule = LocalRule::new(&self.optimizer, self.proximal, job.lr_scale);
        WORK.with_borrow_mut(|work| {
            let Work { network, buffers, x, labels } = work;
            let isa = network.isa;
            run(isa, job, &rule, buffers, self.params_len(), |at, cursor, out| {
                self.load(isa, index, shard, cursor, x, labels);
                let loss = self.network.gradient(network, at, x, labels, out);
                Ok(Batch { loss, samples: labels.len() as u64 })
            })
        })
    }

    fn evaluate(&self, model: &[f32], split: Split, part: usize) -> EvalPart {
        let (samples, own): (&Samples, Option<&[u32]>) = match split {
            Split::Test => (&self.data.test, None),
            Split::Shard(node) => {
                let Some((_, shard)) = self.shard(node) else { return EvalPart::default() };
                (&self.data.train, Some(&shard.samples))
            }
        };
        let len = own.map_or(samples.len(), <[u32]>::len);
        let end = ((part + 1) * EVAL_PART_SAMPLES).min(len);
        let mut result = EvalPart::default();
        WORK.with_borrow_mut(|work| {
            let Work { network, x, labels, .. } = work;
            for start in (part * EVAL_PART_SAMPLES..end).step_by(EVAL_BATCH_SAMPLES) {
                let range = start..(start + EVAL_BATCH_SAMPLES).min(end);
                let picked = range.map(|i| own.map_or(i, |own| own[i] as usize));
                samples.gather(network.isa, picked, x, labels);
                let loss = self.network.evaluate(network, model, x, labels);
                result.loss_sum += loss.sum;
                result.correct += loss.correct;
                result.count += labels.len() as u64;
            }
        });
        result
    }

    fn eval_parts(&self, split: Split) -> usize {
        let len = match split {
            Split::Test => self.data.test.len(),
            Split::Shard(node) => self.shard_len(node),
        };
        len.div_ceil(EVAL_PART_SAMPLES).max(1)
    }

    fn shard_len(&self, node: NodeId) -> usize {
        self.shard(node).map_or(0, |(_, shard)| shard.samples.len())
    }

    fn batches_per_epoch(&self, node: NodeId) -> u64 {
        self.shard(node).map_or(1, |(_, shard)| self.batches(shard))
    }

    fn cost(&self) -> Cost {
        self.network.cost(self.batch)
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.network.tensors()
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
