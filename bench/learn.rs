//! Time of a gradient step and of a client's fit, one thread: `cargo bench --bench learn`.
//!
//! Prints the median of many runs for each model at batch 32, by this crate's engine and by candle's
//! autograd, the speed of the matrix product, and fits per second of FedAvg's clients on the digits.

use hcddl::domain::{Choice, NodeId, Params, Seeds, Stream};
use hcddl::learn::batch::Batch;
use hcddl::learn::engine::{self, LearnTables};
use hcddl::learn::kernels::{self, Isa, View};
use hcddl::learn::model::{self, DataShape, Network, Workspace};
use hcddl::learn::reference;
use hcddl::node::{Train, work::UpdateKind};
use hcddl::scenario::plan::{LearningPlan, LocalRule, LocalWork};
use std::time::{Duration, Instant};

fn main() {
    println!("kernels: {}", Isa::best().name());
    products();
    steps();
    fits();
}

/// Median time of a call, over at least 0.3 seconds.
fn median(mut call: impl FnMut()) -> Duration {
    call();
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_millis(300) || times.len() < 5 {
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

fn products() {
    println!("\n{:>18} {:>10} {:>12} {:>12}", "matrix product", "us", "GFLOP/s", "gemm crate");
    for (m, n, k) in
        [(32, 128, 64), (32, 128, 784), (784, 128, 32), (6, 576, 25), (16, 64, 150), (512, 512, 512)]
    {
        let (a, b, mut c) = (random(m * k, 1), random(k * n, 2), vec![0f32; m * n]);
        let isa = Isa::best();
        let own = median(|| kernels::gemm(isa, m, n, k, View::rows(&a, k), View::rows(&b, n), &mut c, false))
            .as_secs_f64();
        // SAFETY: the three slices hold the matrices that their sizes and strides describe.
        let other = median(|| unsafe {
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
        let shape = format!("{m}x{n}x{k}");
        println!(
            "{shape:>18} {:>10.2} {:>12.1} {:>12.1}",
            own * 1e6,
            gflop / own,
            gflop / other.as_secs_f64()
        );
    }
}

fn steps() {
    println!("\n{:>18} {:>10} {:>12} {:>10}", "step, batch 32", "ms", "GFLOP/s", "candle ms");
    let shape = DataShape::images(1, 28, 28, 10);
    for name in model::table().names() {
        let build = model::table().get(name).map(|row| row.build);
        let Ok(network) = build.and_then(|build| build(&Choice::named(name), &shape)) else { continue };
        let (own, candle) = step(&network);
        let gflop = 3.0 * 32.0 * 1e-9 * network.cost(32, 1.0).forward_flops;
        let candle = candle.as_secs_f64() * 1e3;
        println!(
            "{name:>18} {:>10.3} {:>12.1} {candle:>10.3}",
            own.as_secs_f64() * 1e3,
            gflop / own.as_secs_f64()
        );
    }
}

fn step(network: &Network) -> (Duration, Duration) {
    let (params, x) = (network.init(1), random(32 * 784, 3));
    let batch = Batch::of_classes(x, (0..32).map(|i| i % 10).collect());
    let mut gradient = vec![0.0; params.len()];
    let mut work = Workspace::default();
    let own = median(|| {
        network.gradient(&mut work, &params, &batch, 0, &mut gradient);
    });
    let candle = median(|| {
        let result = reference::gradient(network, &params, &batch, candle_core::DType::F32);
        assert!(result.is_ok());
    });
    (own, candle)
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
        let time = median(|| {
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
