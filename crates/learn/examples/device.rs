use hcddl_learn::calibrate::{self, check};
use serde_json::json;
use std::time::{Duration, Instant};
fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let start = Instant::now();
    let mut timer = calibrate::Timer::new(hcddl_learn::kernels::Isa::best());
    if what != "models" {
        let mut last = Instant::now();
        let found = calibrate::measure(&mut timer, |kind| {
            eprintln!("{:.1} {kind:?}", last.elapsed().as_secs_f64());
            last = Instant::now();
        });
        eprintln!("{:?} s slowness {:.3}", start.elapsed(), timer.slowness());
        std::fs::write("/tmp/table.json", json!({"flops": found.flops_per_second, "memory": found.memory_bytes_per_second, "efficiency": found.efficiency, "predicted": check::cases().iter().flat_map(|c| check::BATCHES.map(|b| (c.model, b, found.seconds(&c.operations(b))))).collect::<Vec<_>>()}).to_string()).unwrap();
    }
    if what != "table" {
        let mut all = vec![];
        let only = std::env::args().nth(2);
        for case in check::cases() {
            if only.as_ref().is_some_and(|o| o != case.model) {
                continue;
            }
            for batch in check::BATCHES {
                let t = case.measured(&mut timer, batch, Duration::from_millis(400));
                eprintln!("{} {batch} {:.1} us  slowness {:.3}", case.model, t * 1e6, timer.slowness());
                all.push(json!({"model": case.model, "batch": batch, "seconds": t, "operations": case.operations(batch)}));
            }
        }
        std::fs::write("/tmp/models.json", json!(all).to_string()).unwrap();
    }
}
