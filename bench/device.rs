//! Steps of every model, predicted and measured: `cargo bench --bench device`.
//!
//! Measures this machine as `hcddl profile --device` does, then a step of plain SGD of each model of the table on one thread
//! with batches of 1, 8, 32 and 128, and prints what the table predicts. Options, after `--`: `--models a,b` (only these),
//! `--seconds 0.4` (for each step). On a machine that is busy, run it alone on a core: `chrt -f 10 taskset -c 1 ...`.

use hcddl::learn::calibrate::{self, Timer, check};
use hcddl::learn::kernels::Isa;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut models, mut seconds): (Option<Vec<String>>, f64) = (None, 0.4);
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--models" => models = Some(value()?.split(',').map(str::to_owned).collect()),
            "--seconds" => seconds = value()?.parse()?,
            "--bench" => {}
            other => return Err(format!("{other}: there are --models, --seconds").into()),
        }
    }
    let mut timer = Timer::new(Isa::best());
    let found = calibrate::measure(&mut timer, |_| {});
    let (gflops, memory) = (found.flops_per_second / 1e9, found.memory_bytes_per_second / 1e9);
    println!("{}: {gflops:.1} Gflop/s, memory {memory:.1} GB/s", Isa::best().name());
    println!("{:>12} {:>6} {:>12} {:>12} {:>8}", "model", "batch", "predicted us", "measured us", "error");
    let mut errors = Vec::new();
    for case in check::cases() {
        if models.as_ref().is_some_and(|models| !models.iter().any(|name| name == case.model)) {
            continue;
        }
        for batch in check::BATCHES {
            let predicted = found.seconds(&case.operations(batch));
            let measured = case.measured(&mut timer, batch, Duration::from_secs_f64(seconds));
            let error = 100.0 * (predicted / measured - 1.0);
            errors.push(error.abs());
            let (predicted, measured) = (predicted * 1e6, measured * 1e6);
            println!("{:>12} {batch:>6} {predicted:>12.1} {measured:>12.1} {error:>+6.1} %", case.model);
        }
    }
    errors.sort_by(f64::total_cmp);
    if let Some(worst) = errors.last() {
        println!("median error {:.1} %, worst {worst:.1} %", errors[errors.len() / 2]);
    }
    println!("the machine was {:.2} times as slow as at its best, which is divided out", timer.slowness());
    Ok(())
}
