//! Who holds what: a data set with its limits and validation set, dealt to shards, with what each shard holds
//! out for testing. These options belong to every data set and every partitioner; their rows never see them.

use super::augment::Pipeline;
use super::data::{Average, DataContext, DataSet, Samples, of_set};
use super::model::{DataShape, Input, Output};
use super::plan::LearningPlan;
use super::tables::{LearnError, LearnTables};
use hcddl_core::domain::{Choice, OptionError, Stream, Table};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Options of every data set besides its own, with their defaults.
pub const DATA_OPTIONS: &str = "{limit_train: null, limit_test: null, validation: null, augment: []}";
/// Options of every partitioner besides its own, with their defaults.
pub const PARTITION_OPTIONS: &str = "{test_share: null}";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DataOptions {
    /// Keep only the first so many training samples.
    limit_train: Option<usize>,
    /// Keep only the first so many test samples.
    limit_test: Option<usize>,
    /// This share of the training samples, from the data seed, becomes the validation set.
    validation: Option<f64>,
    /// Changes of training images.
    augment: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PartitionOptions {
    /// This share of each shard is held out; together that is the test set, instead of the data set's own.
    test_share: Option<f64>,
}

/// A data set and who holds which of its training samples.
#[derive(Debug)]
pub struct Holdings {
    /// The data set.
    pub data: DataSet,
    /// What is done to training images.
    pub augment: Pipeline,
    /// Indexes of the training samples on each shard; none is empty.
    pub shards: Vec<Vec<u32>>,
}

impl Holdings {
    /// Reads the data of a plan and deals it out.
    ///
    /// # Errors
    /// [`LearnError`] with the key concerned: unknown names, options out of bounds, missing or damaged files,
    /// too few samples.
    pub fn new(plan: &LearningPlan, data_seed: u64, tables: &LearnTables) -> Result<Self, LearnError> {
        let context = DataContext { data_dir: plan.data_dir.clone(), seed: data_seed };
        let (mut data, augment) =
            data_set(&plan.data, &context, tables).map_err(|error| LearnError::at("data", error))?;
        let mut shards =
            deal(plan, &mut data, data_seed, tables).map_err(|error| LearnError::at("partition", error))?;
        let limit = plan.shard_limit.unwrap_or(usize::MAX);
        if limit == 0 {
            return Err(LearnError::at("shard_limit", OptionError::new("", "shard_limit is 0", "1 or more")));
        }
        for shard in &mut shards {
            shard.truncate(limit);
            shard.shrink_to_fit();
        }
        if data.average == Average::Batches {
            data.test = by_length(&data.test);
            data.validation = data.validation.as_ref().map(by_length);
        }
        Ok(Self { data, augment, shards })
    }
}

/// Reads or makes a data set, with the options that every data set has.
///
/// # Errors
/// [`OptionError`] with the option concerned.
pub fn data_set(
    choice: &Choice,
    context: &DataContext,
    tables: &LearnTables,
) -> Result<(DataSet, Pipeline), OptionError> {
    let (build, choice, options): (_, _, DataOptions) = taken(&tables.data, choice, DATA_OPTIONS)?;
    let mut data =
        build(&choice, context).map_err(|error| of_set(&choice.name, with_common(error, DATA_OPTIONS)))?;
    check(&data)?;
    limit("limit_train", options.limit_train, &mut data.train)?;
    limit("limit_test", options.limit_test, &mut data.test)?;
    if let Some(share) = options.validation {
        validation(share, &mut data, context.seed)?;
    }
    let augment = Pipeline::new(&options.augment, &tables.augment, &data.shape)?;
    Ok((data, augment))
}

/// The changes of training images that a choice of a data set asks for.
///
/// # Errors
/// [`OptionError`] with the option concerned.
pub fn pipeline(choice: &Choice, shape: &DataShape, tables: &LearnTables) -> Result<Pipeline, OptionError> {
    let (_, _, options): (_, _, DataOptions) = taken(&tables.data, choice, DATA_OPTIONS)?;
    Pipeline::new(&options.augment, &tables.augment, shape)
}

/// The row of a choice, the choice with its own options, and those that all rows have.
fn taken<B: Copy, T: DeserializeOwned>(
    table: &Table<B>,
    choice: &Choice,
    common: &str,
) -> Result<(B, Choice, T), OptionError> {
    let (row, mut own) = table.resolve(choice)?;
    let mut all = Choice::default();
    for name in names(common) {
        // A text is a file, which is the row's own matter: `validation: dev.conllu`.
        if own.options.get(name).is_some_and(|value| !value.is_string()) {
            all.options.extend(own.options.shift_remove(name).map(|value| (name.to_owned(), value)));
        }
    }
    Ok((row.build, own, all.options()?))
}

/// The keys of `{key: value, key: value}`.
fn names(options: &str) -> impl Iterator<Item = &str> {
    options.trim_matches(['{', '}']).split(", ").filter_map(|pair| pair.split(':').next())
}

/// The refusal of an unknown option also lists those that every row has.
fn with_common(mut error: OptionError, common: &str) -> OptionError {
    if error.message.starts_with("unknown field") {
        names(common).for_each(|name| error.message.push_str(&format!(", `{name}`")));
    }
    error
}

/// Refuses data that would not train: no samples, labels or tokens that the shape does not know.
fn check(data: &DataSet) -> Result<(), OptionError> {
    let parts = [
        ("training", Some(&data.train)),
        ("validation", data.validation.as_ref()),
        ("test", Some(&data.test)),
    ];
    for (part, samples) in parts.into_iter().filter_map(|(part, samples)| Some((part, samples?))) {
        if samples.is_empty() && part != "test" {
            let hint = "choose other files or another part of them".to_owned();
            return Err(OptionError {
                hint,
                ..OptionError::new("", format!("no {part} samples"), "1 or more")
            });
        }
        let DataShape { input, output, .. } = data.shape;
        let labels = match output {
            Output::Classes(classes) | Output::Tags(classes) => Some(classes),
            Output::Probabilities(_) | Output::Numbers(_) => None,
        };
        let tokens = match input {
            Input::Token { vocabulary } => Some(vocabulary),
            Input::Values { .. } => None,
        };
        for (what, largest, count) in
            [("label", samples.largest_label(), labels), ("token", samples.largest_token(), tokens)]
        {
            if let (Some(largest), Some(count)) = (largest, count)
                && largest as usize >= count
            {
                let message = format!("{what} {largest} among the {part} samples");
                return Err(OptionError::new("", message, format!("0 to {}", count.saturating_sub(1))));
            }
        }
    }
    Ok(())
}

fn limit(key: &str, limit: Option<usize>, samples: &mut Samples) -> Result<(), OptionError> {
    if limit == Some(0) {
        let allowed = format!("1 to {}, or leave it out", samples.len());
        return Err(OptionError::new(key, format!("{key} is 0"), allowed));
    }
    samples.truncate(limit);
    Ok(())
}

/// A share between 0 and 1, both left out.
fn share_of(key: &str, share: f64) -> Result<f64, OptionError> {
    OptionError::check(share > 0.0 && share < 1.0, key, share, "above 0 and below 1, as in 0.1")?;
    Ok(share)
}

/// Moves a share of the training samples into a validation set; both keep their order.
fn validation(share: f64, data: &mut DataSet, seed: u64) -> Result<(), OptionError> {
    let key = "validation";
    let (share, len) = (share_of(key, share)?, data.train.len());
    if data.validation.is_some() {
        let message = "this data set brings a validation set of its own";
        let hint = "leave it out".to_owned();
        return Err(OptionError { hint, ..OptionError::new(key, message, "") });
    }
    let count = (share * len as f64) as usize;
    if count == 0 {
        let message = format!("a share of {share} of {len} training samples is not one sample");
        return Err(OptionError::new(key, message, "a larger share, or more data"));
    }
    let (held, kept) = held_out(len, count, Stream::new(seed, "validation", 0, 0));
    data.validation = Some(data.train.select(&held));
    data.train = data.train.select(&kept);
    Ok(())
}

/// Splits `len` positions at random into `count` of them and the others, both ascending.
fn held_out(len: usize, count: usize, mut stream: Stream) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> = (0..len as u32).collect();
    stream.shuffle(&mut order);
    let mut held = order.split_off(len - count);
    held.sort_unstable();
    order.sort_unstable();
    (held, order)
}

/// In order of their lengths, for batches of which each counts the same: they need little padding. Equal lengths keep
/// their order.
fn by_length(samples: &Samples) -> Samples {
    let mut order: Vec<u32> = (0..samples.len() as u32).collect();
    order.sort_by_key(|i| samples.steps(*i as usize));
    samples.select(&order)
}

/// Deals the training samples to the shards of a plan.
fn deal(
    plan: &LearningPlan,
    data: &mut DataSet,
    seed: u64,
    tables: &LearnTables,
) -> Result<Vec<Vec<u32>>, OptionError> {
    let (build, choice, options): (_, _, PartitionOptions) =
        taken(&tables.partitions, &plan.partition, PARTITION_OPTIONS)?;
    let partitioner = build(&choice).map_err(|error| with_common(error, PARTITION_OPTIONS))?;
    let mut shards = partitioner.split(data.train.overview(), plan.shards, seed)?;
    if let Some(empty) = shards.iter().position(Vec::is_empty) {
        let message = format!("shard {empty} of {} holds no samples", shards.len());
        let hint = "use fewer workers, more data or another partitioner".to_owned();
        return Err(OptionError { hint, ..OptionError::new("", message, "") });
    }
    if let Some(share) = options.test_share {
        data.test = test_of(share_of("test_share", share)?, &mut shards, &data.train, seed)?;
    }
    if data.test.is_empty() {
        let hint = "`partition.test_share` holds a share of every shard out".to_owned();
        return Err(OptionError { hint, ..OptionError::new("", "there are no test samples", "") });
    }
    Ok(shards)
}

/// Takes a share of each shard away, at random: of n samples, the whole part of (1 - share) n stay to train on
/// (FedProx). What stays keeps its order.
fn test_of(share: f64, shards: &mut [Vec<u32>], train: &Samples, seed: u64) -> Result<Samples, OptionError> {
    let mut test = Vec::new();
    for (i, shard) in shards.iter_mut().enumerate() {
        let kept = ((1.0 - share) * shard.len() as f64) as usize;
        if kept == 0 {
            let message = format!("{share} leaves shard {i} none of its {} samples to train on", shard.len());
            let hint = "use a smaller share, fewer workers or more data".to_owned();
            return Err(OptionError { hint, ..OptionError::new("test_share", message, "") });
        }
        let stream = Stream::new(seed, "test share", i as u64, 0);
        let (held, kept) = held_out(shard.len(), shard.len() - kept, stream);
        test.extend(held.iter().map(|at| shard[*at as usize]));
        *shard = kept.iter().map(|at| shard[*at as usize]).collect();
    }
    Ok(train.select(&test))
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
