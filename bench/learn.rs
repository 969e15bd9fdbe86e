//! Time of gradient steps, of matrix products and of clients' fits: `cargo bench --bench learn`.
//!
//! A step is the forward and backward pass and plain SGD over one batch of random inputs, as `bench/torch/bench.py`
//! times it; the figure is the median of a second of steps. Options, after `--`: `--models a,b` (only these),
//! `--seconds 3`, `--threads 2` (of a step; 1), `--candle` (candle's autograd too, where it knows the layers), `--json FILE` (a line
//! {"model", "batch", "ms_median", "params"} for each row, to be joined with PyTorch's).

use hcddl::domain::{Choice, NodeId, Params, Seeds, Stream};
use hcddl::learn::batch::{Batch, Targets};
use hcddl::learn::engine;
use hcddl::learn::kernels::{self, Isa, View, elementwise};
use hcddl::learn::model::{self, DataShape, Input, Network, Output, Workspace};
use hcddl::learn::reference;
use hcddl::learn::tables::LearnTables;
use hcddl::node::{Train, work::UpdateKind};
use hcddl::plan::{LearningPlan, LocalRule, LocalWork};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

struct Arguments {
    models: Option<Vec<String>>,
    time: Duration,
    threads: usize,
    candle: bool,
    json: Option<File>,
}

fn arguments() -> Result<Arguments, Box<dyn std::error::Error>> {
    let time = Duration::from_secs(1);
    let mut result = Arguments { models: None, time, threads: 1, candle: false, json: None };
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--models" => result.models = Some(value()?.split(',').map(str::to_owned).collect()),
            "--seconds" => result.time = Duration::from_secs_f64(value()?.parse()?),
            "--threads" => result.threads = value()?.parse::<usize>()?.max(1),
            "--candle" => result.candle = true,
            "--json" => result.json = Some(File::create(value()?)?),
            "--bench" => {}
            other => {
                let known = "--models, --seconds, --threads, --candle, --json";
                return Err(format!("{other}: there are {known}").into());
            }
        }
    }
    Ok(result)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    println!("kernels: {}", Isa::best().name());
    let peak = products(arguments.time.mul_f64(0.3));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build()?;
    pool.install(|| steps(arguments, peak)).map_err(|error| error.to_string())?;
    fits();
    Ok(())
}

/// Median time of a call, over at least this time and 5 calls.
fn median(time: Duration, mut call: impl FnMut()) -> Duration {
    call();
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < time || times.len() < 5 {
        let before = Instant::now();
        call();
        times.push(before.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn random(len: usize, salt: u64) -> Vec<f32> {
    let mut stream = Stream::new(1, "bench", salt, 0);
    (0..len).map(|_| stream.uniform() as f32 - 0.5).collect()
}

/// Returns the speed of the fastest own product, in GFLOP/s.
fn products(time: Duration) -> f64 {
    let mut peak = 0f64;
    println!("\n{:>18} {:>10} {:>12} {:>12}", "matrix product", "us", "GFLOP/s", "gemm crate");
    let small = [(32, 128, 64), (32, 128, 784), (784, 128, 32), (6, 576, 25), (16, 64, 150)];
    // Of the convolutions of alexnet, resnet18_gn and mobilenet.
    let large = [(192, 512, 1600), (384, 128, 1728), (64, 288, 576), (512, 512, 512), (1024, 128, 1024)];
    for (m, n, k) in small.into_iter().chain(large) {
        let (a, b, mut c) = (random(m * k, 1), random(k * n, 2), vec![0f32; m * n]);
        let isa = Isa::best();
        let own =
            median(time, || kernels::gemm(isa, m, n, k, View::rows(&a, k), View::rows(&b, n), &mut c, false))
                .as_secs_f64();
        // SAFETY: the three slices hold the matrices that their sizes and strides describe.
        let other = median(time, || unsafe {
            let (n_, k_) = (n as isize, k as isize);
            let none = ::gemm::Parallelism::None;
            let to = c.as_mut_ptr();
            ::gemm::gemm(
                m,
                n,
                k,
                to,
                1,
                n_,
                false,
                a.as_ptr(),
                1,
                k_,
                b.as_ptr(),
                1,
                n_,
                1.0,
                1.0,
                false,
                false,
                false,
                none,
            );
        });
        let gflop = 2e-9 * (m * n * k) as f64;
        peak = peak.max(gflop / own);
        let shape = format!("{m}x{n}x{k}");
        println!(
            "{shape:>18} {:>10.2} {:>12.1} {:>12.1}",
            own * 1e6,
            gflop / own,
            gflop / other.as_secs_f64()
        );
    }
    peak
}

/// A row of the table of models on samples of one shape.
struct Case {
    name: &'static str,
    model: &'static str,
    options: Value,
    shape: DataShape,
    batches: &'static [usize],
    /// Time steps of a sample.
    steps: usize,
}

/// The models of `bench/torch/models.py`, under the same names.
fn cases() -> Vec<Case> {
    let case =
        |name, model, options, shape| Case { name, model, options, shape, batches: &[32, 64], steps: 1 };
    let (mnist, cifar) = (DataShape::images(1, 28, 28, 10), DataShape::images(3, 32, 32, 10));
    let sequence =
        |vocabulary, output| DataShape { input: Input::Token { vocabulary }, sequence: true, output };
    let (tags, characters) = (sequence(8867, Output::Tags(18)), sequence(90, Output::Classes(90)));
    let separable = json!([
        {"name": "depthwise", "kernel": 3, "padding": 1, "bias": false}, "batch_norm", "relu",
        {"name": "conv2d", "filters": 64, "kernel": 1, "bias": false}, "batch_norm", "relu",
        "global_avg_pool", {"name": "linear", "outputs": "classes"},
    ]);
    let points = DataShape { output: Output::Probabilities(1), ..DataShape::features(2, 2) };
    vec![
        case("softmax", "softmax", json!({}), mnist),
        case("mlp", "mlp", json!({}), mnist),
        case("mlp2", "mlp", json!({"hidden": [256, 128]}), mnist),
        case("cnn", "cnn", json!({}), mnist),
        case("cnn8", "cnn", json!({"filters": 8}), mnist),
        case("lenet", "lenet", json!({}), mnist),
        case("alexnet", "alexnet", json!({}), cifar),
        case("depthwise", "layers", json!({"layers": separable}), DataShape::images(32, 16, 16, 10)),
        case("mobilenet", "mobilenet", json!({}), cifar),
        Case {
            batches: &[8, 32],
            ..case("resnet18_gn", "resnet18_gn", json!({}), DataShape::images(3, 24, 24, 100))
        },
        case("resnet56", "resnet56", json!({}), cifar),
        Case { steps: 25, ..case("gru_tagger", "gru_tagger", json!({}), tags) },
        Case { steps: 25, ..case("lstm_tagger", "gru_tagger", json!({"cell": "lstm"}), tags) },
        Case { steps: 80, ..case("char_lstm", "char_lstm", json!({}), characters) },
        Case { batches: &[1250], ..case("fourier", "fourier", json!({}), points) },
    ]
}

impl Case {
    /// Nothing if this crate has no such model.
    fn network(&self) -> Option<Network> {
        let options = self.options.as_object().cloned().unwrap_or_default();
        let choice = Choice { name: self.model.into(), options, positional: vec![] };
        let build = model::table().get(self.model).ok()?.build;
        build(&choice, &model::ModelContext::new(self.shape))
            .map_err(|error| println!("{:>12}: {error}", self.name))
            .ok()
    }

    fn batch(&self, samples: usize) -> Batch {
        let mut stream = Stream::new(1, "bench", 3, samples as u64);
        let rows = samples * self.steps;
        let x = match self.shape.input {
            Input::Token { vocabulary } => {
                (0..rows).map(|_| 1.0 + stream.below(vocabulary as u64 - 1) as f32).collect()
            }
            Input::Values { .. } => {
                (0..rows * self.shape.row_len()).map(|_| stream.normal() as f32).collect()
            }
        };
        let targets = match self.shape.output {
            Output::Classes(n) => Targets::Classes((0..samples).map(|i| (i % n) as u32).collect()),
            Output::Tags(n) => Targets::Classes((0..rows).map(|i| (i % n) as u32).collect()),
            Output::Probabilities(n) | Output::Numbers(n) => {
                Targets::Values((0..rows * n).map(|i| (i % 2) as f32).collect())
            }
        };
        Batch { x, targets, samples, steps: self.steps }
    }
}

fn steps(mut arguments: Arguments, peak: f64) -> std::io::Result<()> {
    println!(
        "\n{:>12} {:>6} {:>10} {:>10} {:>8} {:>10}",
        "step", "batch", "ms", "GFLOP/s", "of peak", "candle ms"
    );
    for case in cases() {
        if arguments.models.as_ref().is_some_and(|models| !models.iter().any(|name| name == case.name)) {
            continue;
        }
        let Some(network) = case.network() else { continue };
        for &samples in case.batches {
            let batch = case.batch(samples);
            let own = step(&network, &batch, arguments.time, arguments.threads).as_secs_f64();
            let flops = network.cost(samples, case.steps as f64).forward_flops;
            let speed = 3e-9 * samples as f64 * flops / own;
            let candle = arguments.candle.then(|| candle(&network, &batch, arguments.time)).flatten();
            let candle = candle.map_or(String::new(), |time| format!("{:.3}", time.as_secs_f64() * 1e3));
            let (name, ms, share) = (case.name, own * 1e3, 100.0 * speed / peak);
            println!("{name:>12} {samples:>6} {ms:>10.3} {speed:>10.1} {share:>6.0} % {candle:>10}");
            if let Some(file) = arguments.json.as_mut() {
                let params = network.params_len();
                writeln!(
                    file,
                    "{}",
                    json!({"model": name, "batch": samples, "ms_median": ms, "params": params})
                )?;
            }
        }
    }
    Ok(())
}

fn step(network: &Network, batch: &Batch, time: Duration, threads: usize) -> Duration {
    let (mut work, mut params) = (Workspace::default(), network.init(1));
    work.threads = threads;
    let (mut gradient, mut key) = (vec![0.0; params.len()], 0);
    median(time, || {
        key += 1;
        network.gradient(&mut work, &params, batch, key, &mut gradient);
        elementwise::add_scaled(work.isa, &mut params, -0.01, &gradient);
    })
}

/// Nothing where candle has no counterpart of a layer.
fn candle(network: &Network, batch: &Batch, time: Duration) -> Option<Duration> {
    let params = network.init(1);
    let gradient = || reference::gradient(network, &params, batch, candle_core::DType::F32);
    gradient().ok()?;
    Some(median(time, || assert!(gradient().is_ok())))
}

fn fits() {
    println!("\n{:>18} {:>10} {:>12}", "clients", "us/fit", "fits/s");
    for clients in [10, 100] {
        let plan = LearningPlan {
            model: Choice::named("mlp"),
            data: Choice::named("digits"),
            data_dir: None,
            partition: Choice::named("iid"),
            shard_limit: None,
            batch: 32,
            shuffle: true,
            drop_last: false,
            local: LocalWork::Epochs(1),
            rule: LocalRule::sgd(0.1),
            gradients: false,
            shards: clients,
            init_from: None,
        };
        let shards: Vec<Option<u32>> = (0..clients as u32).map(Some).collect();
        let Ok(learner) = engine::build(&plan, Seeds::all(1), &LearnTables::default(), &shards) else {
            continue;
        };
        let model = Params::new(learner.init(1));
        let (mut client, mut round) = (0, 0);
        let time = median(Duration::from_millis(300), || {
            let node = NodeId(client as u32);
            let steps = learner.batches_per_epoch(node);
            let cursor = round * steps;
            let output = UpdateKind::Delta;
            let job = Train { model: model.clone(), opt: None, cursor, steps, output, lr_scale: 1.0 };
            assert!(learner.train(node, &job).is_ok());
            client = (client + 1) % clients;
            round += u64::from(client == 0);
        });
        println!("{clients:>18} {:>10.1} {:>12.0}", time.as_secs_f64() * 1e6, 1.0 / time.as_secs_f64());
    }
}
