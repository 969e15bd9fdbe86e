use super::*;
use crate::data::DataContext;
use crate::layer::{Backward, Forward, Layer, Pass, Role, Tensor};
use crate::model;
use crate::plan::LocalWork;
use hcddl_core::domain::Params;
use hcddl_core::domain::digest::of_values;
use hcddl_core::domain::work::UpdateKind;
use serde_json::json;

fn choice(value: serde_json::Value) -> Choice {
    let mut options = value.as_object().unwrap().clone();
    let name = options.remove("name").unwrap().as_str().unwrap().to_owned();
    Choice { name, options, positional: vec![] }
}

fn plan(shards: usize) -> LearningPlan {
    LearningPlan {
        model: choice(json!({"name": "mlp", "hidden": [32]})),
        data: choice(json!({"name": "digits"})),
        data_dir: None,
        partition: choice(json!({"name": "iid"})),
        shard_limit: None,
        batch: 32,
        shuffle: true,
        drop_last: false,
        local: LocalWork::Epochs(1),
        rule: LocalRule::sgd(0.1),
        gradients: false,
        shards,
        init_from: None,
    }
}

/// Node 0 is a server; the others hold shards 0, 1, ...
fn engine(plan: &LearningPlan) -> Engine {
    let shards: Vec<Option<u32>> = std::iter::once(None).chain((0..plan.shards as u32).map(Some)).collect();
    Engine::new(plan, Seeds::all(1), &LearnTables::default(), &shards).unwrap()
}

fn job(model: Vec<f32>, cursor: u64, steps: u64, output: UpdateKind) -> Train {
    Train { model: Params::new(model), opt: None, cursor, steps, output, lr_scale: 1.0 }
}

fn test_accuracy(engine: &Engine, model: &[f32]) -> f64 {
    let parts = (0..engine.eval_parts(Split::Test)).map(|part| engine.evaluate(model, Split::Test, part));
    let (correct, count) = parts.fold((0.0, 0), |sum, part| (sum.0 + part.correct, sum.1 + part.count));
    assert_eq!(count as usize, engine.data().test.len());
    correct / count as f64
}

#[test]
fn one_worker_learns_the_digits() {
    let engine = engine(&plan(1));
    let start = engine.init(1);
    assert!(test_accuracy(&engine, &start) < 0.3);
    let epochs = 20 * engine.batches_per_epoch(NodeId(1));
    let trained = engine.train(NodeId(1), &job(start, 0, epochs, UpdateKind::Model)).unwrap();
    assert_eq!(trained.samples, 20 * 1437);
    let accuracy = test_accuracy(&engine, trained.tensor.values().unwrap());
    assert!(accuracy > 0.95, "{accuracy}");
}

#[test]
fn an_epoch_visits_every_sample_of_the_shard_once_and_epochs_differ() {
    let engine = engine(&LearningPlan { batch: 10, ..plan(10) });
    let shard = &engine.shards[3];
    let batches = engine.batches_per_epoch(NodeId(4));
    assert_eq!((shard.samples.len(), batches), (144, 15));
    let epoch = |number: u64| {
        let (mut batch, mut all) = (Batch::default(), Vec::new());
        for cursor in number * batches..(number + 1) * batches {
            engine.load(Isa::best(), 3, shard, cursor, &mut batch);
            all.extend(batch.x.chunks_exact(64).map(of_values));
        }
        all
    };
    let (first, second) = (epoch(0), epoch(1));
    assert_ne!(first, second);
    let sorted = |mut all: Vec<_>| {
        all.sort_unstable();
        all
    };
    assert_eq!(sorted(first.clone()), sorted(second));
    assert_eq!(sorted(first.clone()).len(), 144);
    assert_eq!(epoch(0), first, "whatever was asked for in between");
}

#[test]
fn fixed_order_partial_batches_and_large_batches() {
    let samples = |plan: LearningPlan, cursor: u64| {
        let engine = engine(&plan);
        let start = engine.init(1);
        let trained = engine.train(NodeId(1), &job(start, cursor, 1, UpdateKind::Gradient)).unwrap();
        (engine.batches_per_epoch(NodeId(1)), trained.samples)
    };
    // 1437 samples over 10 shards: 144 on the first.
    let fixed = LearningPlan { shuffle: false, batch: 100, ..plan(10) };
    assert_eq!(samples(fixed.clone(), 0), (2, 100));
    assert_eq!(samples(fixed.clone(), 1), (2, 44));
    assert_eq!(samples(LearningPlan { drop_last: true, ..fixed.clone() }, 1), (1, 100));
    assert_eq!(samples(LearningPlan { batch: 1000, drop_last: true, ..fixed.clone() }, 7), (1, 144));
    assert_eq!(samples(LearningPlan { shard_limit: Some(30), ..fixed }, 2), (1, 30));
}

#[test]
fn a_gradient_of_several_batches_is_the_mean_over_their_samples() {
    let fixed = LearningPlan { shuffle: false, batch: 100, ..plan(10) };
    let (parts, whole) = (engine(&fixed), engine(&LearningPlan { batch: 144, ..fixed }));
    let start = parts.init(1);
    let two = parts.train(NodeId(1), &job(start.clone(), 0, 2, UpdateKind::Gradient)).unwrap();
    let one = whole.train(NodeId(1), &job(start, 0, 1, UpdateKind::Gradient)).unwrap();
    assert_eq!((two.samples, one.samples), (144, 144));
    let pairs = two.tensor.values().unwrap().iter().zip(one.tensor.values().unwrap());
    assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-6);
}

#[test]
fn jobs_are_pure_functions_on_any_thread() {
    let engine = engine(&plan(4));
    let start = engine.init(2);
    let digest = |node: u32, cursor: u64| {
        let trained = engine.train(NodeId(node), &job(start.clone(), cursor, 5, UpdateKind::Delta)).unwrap();
        of_values(trained.tensor.values().unwrap())
    };
    let alone: Vec<_> = (1..5).map(|node| digest(node, 9)).collect();
    let together = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..5).map(|node| scope.spawn(move || digest(node, 9))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(alone, together);
    assert_ne!(digest(1, 9), digest(1, 10));
}

#[test]
fn few_large_jobs_are_shared_out_and_threads_change_no_bits() {
    let wide = choice(json!({"name": "mlp", "hidden": [512, 256]}));
    let large = LearningPlan { model: wide, batch: 64, ..plan(1) };
    let engine_a = engine(&large);
    let digest = |threads| {
        engine_a.offer_threads(threads);
        let together = engine_a.team.lock().unwrap().as_ref().map_or(1, |team| team.threads);
        assert_eq!(together, threads);
        let trained = engine_a.train(NodeId(1), &job(engine_a.init(1), 3, 7, UpdateKind::Model)).unwrap();
        of_values(trained.tensor.values().unwrap())
    };
    let alone = digest(1);
    assert_eq!([2, 3, 1].map(digest), [alone; 3]);
    // As many nodes as threads, and small steps: none is shared out. More threads than nodes: each has its part.
    for (plan, threads, together) in [
        (LearningPlan { shards: 2, ..large.clone() }, 2, None),
        (plan(1), 2, None),
        (LearningPlan { shards: 2, ..large }, 5, Some(2)),
    ] {
        let engine = engine(&plan);
        engine.offer_threads(threads);
        assert_eq!(engine.team.lock().unwrap().as_ref().map(|team| team.threads), together);
    }
}

#[test]
fn jobs_of_a_team_side_by_side_are_those_of_one_thread() {
    let wide = choice(json!({"name": "mlp", "hidden": [512, 256]}));
    let engine = engine(&LearningPlan { model: wide, batch: 64, ..plan(2) });
    let start = engine.init(1);
    let digest = |node| {
        let trained = engine.train(NodeId(node), &job(start.clone(), 0, 9, UpdateKind::Delta)).unwrap();
        of_values(trained.tensor.values().unwrap())
    };
    let alone = [1, 2].map(digest);
    engine.offer_threads(4);
    let together = std::thread::scope(|scope| {
        [1, 2].map(|node| scope.spawn(move || digest(node))).map(|thread| thread.join().unwrap())
    });
    assert_eq!(alone, together);
}

#[test]
fn the_digest_of_a_trained_model_is_committed() {
    // The same in debug and release, on every machine.
    let engine = engine(&plan(2));
    let trained = engine.train(NodeId(2), &job(engine.init(1), 3, 40, UpdateKind::Model)).unwrap();
    assert_eq!(of_values(trained.tensor.values().unwrap()).to_string(), "d5c8638a16cc8eb838255fdfa4b3ca76");
}

#[test]
fn evaluation_parts_of_a_shard_cover_it() {
    let engine = engine(&plan(1));
    let model = engine.init(1);
    let split = Split::Shard(NodeId(1));
    let counts: Vec<u64> =
        (0..engine.eval_parts(split)).map(|part| engine.evaluate(&model, split, part).count).collect();
    assert_eq!(counts, [500, 500, 437]);
    assert_eq!(engine.evaluate(&model, Split::Shard(NodeId(0)), 0), EvalPart::default());
    assert_eq!(engine.eval_parts(Split::Shard(NodeId(0))), 1);
}

#[test]
fn failures_of_a_job_are_told() {
    let mut wild = plan(1);
    wild.rule = LocalRule::sgd(1e30);
    let engine = engine(&wild);
    let error = engine.train(NodeId(1), &job(engine.init(1), 0, 9, UpdateKind::Delta)).unwrap_err();
    assert!(error.contains("at step") && error.contains("of 9"), "{error}");
    let gradient = job(vec![0.0; 3], 0, 1, UpdateKind::Gradient);
    assert!(engine.train(NodeId(1), &gradient).unwrap_err().contains("3 parameters"));
    assert!(engine.train(NodeId(0), &gradient).unwrap_err().contains("n0 holds no training samples"));
}

#[test]
fn mistakes_in_a_plan_name_their_key() {
    let tables = LearnTables::default();
    let key = |change: fn(&mut LearningPlan)| {
        let mut plan = plan(4);
        change(&mut plan);
        let error = Engine::new(&plan, Seeds::all(1), &tables, &[]).unwrap_err();
        assert!(error.error.key.is_empty());
        (error.key.clone(), error.to_string())
    };
    assert_eq!(key(|p| p.model = Choice::named("resnet")).0, "model");
    let (at, text) = key(|p| p.model = Choice::named("lenet"));
    assert!(at == "model" && text.contains("does not fit"), "{text}");
    assert_eq!(key(|p| p.data = choice(json!({"name": "digits", "limit_train": 0}))).0, "data.limit_train");
    assert_eq!(key(|p| p.data = choice(json!({"name": "digits", "limits": 0}))).0, "data.limits");
    let (at, text) = key(|p| p.data = Choice::named("mnist"));
    assert!(at == "data" && text.contains("--data-dir"), "{text}");
    assert_eq!(key(|p| p.partition = choice(json!({"name": "dirichlet", "alpha": -1}))).0, "partition.alpha");
    let (at, text) = key(|p| p.shards = 5000);
    assert!(
        at == "partition" && text.contains("1437 training samples are too few for 5000 shards"),
        "{text}"
    );
    assert_eq!(key(|p| p.batch = 0).0, "batch");
    assert_eq!(key(|p| p.shard_limit = Some(0)).0, "shard_limit");
    assert_eq!(key(|p| p.init_from = Some("/nowhere".into())).0, "init_from");
}

#[test]
fn a_saved_model_is_the_start() {
    let engine_a = engine(&plan(1));
    let values = engine_a.init(7);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    safetensors::save(&path, &engine_a.tensors(), &values).unwrap();
    let engine_b = engine(&LearningPlan { init_from: Some(path), ..plan(1) });
    assert_eq!(engine_b.init(1), values);
}

/// The choice that a row's example writes.
fn example(text: &str) -> Choice {
    choice(hcddl_core::yaml::parse(text).unwrap().value)
}

#[test]
fn the_example_of_every_row_is_its_default() {
    let tables = LearnTables::default();
    // A model of one's own layers has none.
    for row in tables.models.rows().iter().filter(|row| row.name != "layers") {
        let shape = model::gradient_tests::usual(row.name);
        let built = [example(row.example), Choice::named(row.name)]
            .map(|c| (row.build)(&c, &ModelContext::new(shape)).unwrap());
        assert_eq!(format!("{:?}", built[0]), format!("{:?}", built[1]));
    }
    for row in tables.data.rows() {
        let built = [example(row.example), Choice::named(row.name)]
            .map(|c| (row.build)(&c, &DataContext::default()).map(|set| format!("{set:?}")));
        // These cannot do without the name of a file.
        if ["conllu", "leaf", "text", "csv", "npz", "folders"].contains(&row.name) {
            assert!(
                built[0].as_ref().is_err_and(|e| e.message.starts_with("no file or folder")),
                "{built:?}"
            );
            continue;
        }
        assert_eq!(built[0], built[1]);
        assert!(built[0].as_ref().map_or_else(|e| e.message.contains("no data directory"), |_| true));
    }
    // Its list is an example, no default.
    for row in tables.partitions.rows().iter().filter(|row| row.name != "file") {
        let built = [example(row.example), Choice::named(row.name)].map(|c| (row.build)(&c).unwrap());
        assert_eq!(format!("{:?}", built[0]), format!("{:?}", built[1]));
        assert_eq!(example(row.example).name, row.name);
    }
}

#[test]
fn windows_move_on_by_a_step_and_begin_again_after_the_last_whole_one() {
    let mut engine =
        engine(&LearningPlan { data: choice(json!({"name": "blobs", "samples": 100})), ..plan(1) });
    engine.data.order = Order::Windows { len: 40, step: 25 };
    let shard = &engine.shards[0];
    assert_eq!(engine.batches(shard), 2);
    for (epoch, start) in [(0, 0), (1, 25), (2, 50), (3, 0)] {
        let mut order = engine.epoch_order(shard, epoch, Stream::new(1, "test", 0, epoch));
        assert!(!order.is_sorted(), "a window is shuffled");
        order.sort_unstable();
        assert_eq!(order, (start..start + 40).collect::<Vec<u32>>(), "epoch {epoch}");
    }
    engine.data.order = Order::Windows { len: 400, step: 25 };
    let whole = engine.epoch_order(&engine.shards[0], 7, Stream::new(1, "test", 0, 7));
    assert_eq!(whole.len(), 100, "a window is not longer than the shard");
}

/// Passes its input on and keeps the running mean of it.
#[derive(Debug)]
struct Watch(usize);

impl Layer for Watch {
    fn kind(&self) -> &'static str {
        "watch"
    }
    fn input_len(&self) -> usize {
        self.0
    }
    fn output_len(&self) -> usize {
        self.0
    }
    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new("mean", vec![1], Role::Statistic { start: 0.5, momentum: 0.1 })]
    }
    fn forward_flops(&self) -> f64 {
        1.0
    }
    fn forward(&self, _: Pass, _: &[f32], io: Forward<'_>) {
        io.y.copy_from_slice(io.x);
    }
    fn backward(&self, _: Pass, _: &[f32], io: Backward<'_>) {
        if let Some(dx) = io.dx {
            dx.copy_from_slice(io.dy);
        }
        io.gradient[0] = io.x.iter().sum::<f32>() / io.x.len() as f32;
    }
}

#[test]
fn running_statistics_move_in_jobs_and_are_refused_in_gradients() {
    let mut tables = LearnTables::default();
    tables.models.add(hcddl_core::domain::Row {
        name: "watched",
        summary: "",
        example: "watched",
        positional: &[],
        build: |_, shape| {
            let watch = Watch(shape.row_len());
            model::NetworkBuilder::new(shape).layer(watch, shape.input).head(model::Init::GlorotUniform)
        },
    });
    let watched = LearningPlan { model: Choice::named("watched"), ..plan(1) };
    let build = |gradients| {
        let plan = LearningPlan { gradients, ..watched.clone() };
        Engine::new(&plan, Seeds::all(1), &tables, &[Some(0)])
    };
    let error = build(true).unwrap_err();
    assert_eq!(error.key, "update");
    let text = error.to_string();
    assert!(text.contains("delta") && text.contains("statistics: batch"), "{text}");
    let engine = build(false).unwrap();
    let start = engine.init(1);
    assert_eq!(start[0], 0.5);
    let trained = engine.train(NodeId(0), &job(start, 0, 30, UpdateKind::Model)).unwrap();
    let mean = trained.tensor.values().unwrap()[0];
    let mut all = Batch::default();
    engine.data.train.gather(Isa::best(), 0..engine.data.train.len(), &mut all);
    let expected = all.x.iter().map(|v| f64::from(*v)).sum::<f64>() / all.x.len() as f64;
    assert!((f64::from(mean) - expected).abs() < 0.03, "{mean}, expected about {expected}");
}
