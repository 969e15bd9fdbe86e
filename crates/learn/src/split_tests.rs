use super::*;
use crate::data::{BuildData, Features, Labels};
use crate::local::LocalRule;
use crate::plan::{LearningPlan, LocalWork};
use hcddl_core::domain::Row;
use serde_json::json;

fn choice(value: Value) -> Choice {
    Choice::from_value(&value).unwrap()
}

fn plan(data: Value, partition: Value, shards: usize) -> LearningPlan {
    LearningPlan { data: choice(data), partition: choice(partition), shards, ..LearningPlan::example() }
}

fn held(data: Value, partition: Value, shards: usize) -> Result<Holdings, LearnError> {
    Holdings::new(&plan(data, partition, shards), 1, &LearnTables::default())
}

fn refused(data: Value, partition: Value, shards: usize) -> (String, String) {
    let error = held(data, partition, shards).unwrap_err();
    (error.key.clone(), error.to_string())
}

#[test]
fn limits_and_a_validation_set_of_any_data_set() {
    let blobs = json!({"name": "blobs", "samples": 100, "test_samples": 20, "limit_train": 50, "limit_test": 7,
        "validation": 0.1});
    let holdings = held(blobs.clone(), json!("slices"), 3).unwrap();
    let data = &holdings.data;
    let validation = data.validation.as_ref().unwrap();
    assert_eq!((data.train.len(), validation.len(), data.test.len()), (45, 5, 7));
    assert_eq!(holdings.shards.iter().map(Vec::len).collect::<Vec<_>>(), [15, 15, 15]);
    // Together the first 50, whose classes go round: five of each.
    let mut counts = [0; 10];
    for samples in [&data.train, validation] {
        samples.classes().unwrap().iter().for_each(|class| counts[usize::from(*class)] += 1);
    }
    assert_eq!(counts, [5; 10]);
    let again = held(blobs, json!("slices"), 3).unwrap();
    assert_eq!(format!("{:?}", again.data), format!("{data:?}"));
}

#[test]
fn the_test_set_is_held_out_of_the_shards() {
    let holdings = held(json!("digits"), json!({"name": "iid", "test_share": 0.1}), 10).unwrap();
    // 1437 samples: seven shards of 144 and three of 143, of which int(.9 n) stay: 129 and 128.
    assert_eq!(holdings.shards[..7].iter().map(Vec::len).collect::<Vec<_>>(), [129; 7]);
    assert_eq!(holdings.shards[7..].iter().map(Vec::len).collect::<Vec<_>>(), [128; 3]);
    assert_eq!(holdings.data.test.len(), 10 * 15);
    let whole = held(json!("digits"), json!("iid"), 10).unwrap();
    assert_eq!((whole.data.train.len(), whole.data.test.len()), (1437, 360));
    for (part, all) in holdings.shards.iter().zip(&whole.shards) {
        assert!(part.iter().all(|i| all.contains(i)));
        let mut rest = all.iter();
        assert!(part.iter().all(|i| rest.any(|j| i == j)), "what stays keeps its order");
    }
}

#[test]
fn mistakes_name_their_key() {
    let digits = || json!("digits");
    for (data, key, part) in [
        (json!({"name": "digits", "limit_train": 0}), "data.limit_train", "1 to 1437"),
        (json!({"name": "digits", "limit_test": 0}), "data.limit_test", "1 to 360"),
        (json!({"name": "digits", "validation": 1.0}), "data.validation", "below 1"),
        (json!({"name": "digits", "validation": "much"}), "data.validation", "unknown field"),
        (json!({"name": "digits", "limit_train": 5, "validation": 0.1}), "data.validation", "not one sample"),
        (json!({"name": "digits", "valdation": 0.1}), "data.valdation", "`validation`, `augment`"),
        (json!({"name": "digits", "augment": ["blur"]}), "data.augment.0", "crop, flip, cutout"),
        (json!({"name": "digits", "augment": [{"name": "flip", "p": 2}]}), "data.augment.0.p", "0 to 1"),
        (json!({"name": "blobs", "augment": ["flip"]}), "data.augment", "expected images"),
    ] {
        let (at, text) = refused(data, json!("iid"), 2);
        assert!(at == key && text.contains(part), "{text}");
    }
    for (partition, shards, key, part) in [
        (json!({"name": "iid", "test_share": 0}), 2, "partition.test_share", "above 0"),
        (
            json!({"name": "iid", "test_share": 0.9}),
            300,
            "partition.test_share",
            "shard 0 none of its 5 samples",
        ),
        (json!({"name": "iid", "share": 0.1}), 2, "partition.share", "`test_share`"),
        (json!("natural"), 2, "partition", "no owners"),
        (json!("iid"), 0, "partition", "no node trains"),
    ] {
        let (at, text) = refused(digits(), partition, shards);
        assert!(at == key && text.contains(part), "{text}");
    }
}

/// Sequences of these lengths.
fn sequences(lengths: &[u32]) -> Samples {
    let ends = lengths.iter().scan(0, |end, len| {
        *end += len;
        Some(*end)
    });
    let starts: Vec<u32> = std::iter::once(0).chain(ends).collect();
    let rows = starts[starts.len() - 1] as usize;
    Samples::sequences(Features::Tokens(vec![0; rows]), Labels::Tags(vec![0; rows]), 1, starts)
}

#[test]
fn what_is_evaluated_by_batches_is_sorted_after_limits_and_shares() {
    let build: BuildData = |_, _| {
        let input = Input::Token { vocabulary: 1 };
        let shape = DataShape { input, sequence: true, output: Output::Tags(1) };
        let train: Vec<u32> = (0..40).map(|i| 1 + i * 7 % 40).collect();
        let set = DataSet::new(shape, sequences(&train), sequences(&[5, 2, 4, 2, 1]));
        Ok(DataSet { average: Average::Batches, ..set })
    };
    let mut tables = LearnTables::default();
    tables.data.add(Row { name: "own", summary: "", example: "own", positional: &[], build });
    let held = |partition| {
        let data = json!({"name": "own", "limit_test": 3, "validation": 0.25});
        Holdings::new(&plan(data, partition, 2), 1, &tables).unwrap().data
    };
    let lengths = |samples: &Samples| (0..samples.len()).map(|i| samples.steps(i)).collect::<Vec<_>>();
    let data = held(json!("slices"));
    assert_eq!(lengths(&data.test), [2, 4, 5], "the first three, not the shortest");
    let validation = lengths(data.validation.as_ref().unwrap());
    assert!(validation.len() == 10 && validation.is_sorted(), "{validation:?}");
    assert!(!lengths(&data.train).is_sorted(), "what is trained on keeps its order");
    let test = lengths(&held(json!({"name": "slices", "test_share": 0.5})).test);
    assert!(test.len() == 16 && test.is_sorted(), "{test:?}");
}

/// A row of a user's own that makes what it should not.
#[test]
fn data_that_would_not_train_is_refused() {
    let refused = |build: BuildData| {
        let mut tables = LearnTables::default();
        tables.data.add(Row { name: "own", summary: "", example: "own", positional: &[], build });
        Holdings::new(&plan(json!("own"), json!("slices"), 1), 1, &tables).unwrap_err().to_string()
    };
    fn samples(classes: &[u16]) -> Samples {
        Samples::from_floats(vec![0.0; classes.len()], classes.to_vec(), 1)
    }
    fn own(train: &[u16], test: &[u16]) -> Result<DataSet, OptionError> {
        Ok(DataSet::new(DataShape::features(1, 3), samples(train), samples(test)))
    }
    for (build, part) in [
        ((|_, _| own(&[], &[0])) as BuildData, "data: no training samples"),
        (|_, _| own(&[0, 3], &[0]), "data: label 3 among the training samples; allowed: 0 to 2"),
        (|_, _| own(&[0, 1], &[7]), "data: label 7 among the test samples"),
        (|_, _| own(&[0, 1], &[]), "test_share"),
    ] {
        let error = refused(build);
        assert!(error.contains(part), "{error}");
    }
}

impl LearningPlan {
    /// A plan whose other parts do not matter here.
    fn example() -> Self {
        Self {
            model: Choice::named("softmax"),
            data: Choice::named("digits"),
            data_dir: None,
            partition: Choice::named("iid"),
            shard_limit: None,
            batch: 10,
            shuffle: true,
            drop_last: false,
            local: LocalWork::Epochs(1),
            rule: LocalRule::sgd(0.1),
            gradients: false,
            shards: 1,
            init_from: None,
        }
    }
}
