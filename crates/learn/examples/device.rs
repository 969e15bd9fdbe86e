use hcddl_learn::calibrate::{self, check};
use serde_json::json;
use std::time::{Duration, Instant};
fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let start = Instant::now();
    if what != "models" {
        let mut last = Instant::now();
        let found = calibrate::measure(|kind| {
            eprintln!("{:.1} {kind:?}", last.elapsed().as_secs_f64());
            last = Instant::now();
        });
        eprintln!("{:?} s", start.elapsed());
        std::fs::write("/tmp/table.json", json!({"flops": found.flops_per_second, "memory": found.memory_bytes_per_second, "efficiency": found.efficiency}).to_string()).unwrap();
    }
    if what != "table" {
        let mut all = vec![];
        for case in check::cases() {
            for batch in check::BATCHES {
                let t = case.measured(batch, Duration::from_millis(400));
                eprintln!("{} {batch} {:.1} us", case.model, t * 1e6);
                all.push(json!({"model": case.model, "batch": batch, "seconds": t, "operations": case.operations(batch)}));
            }
        }
        std::fs::write("/tmp/models.json", json!(all).to_string()).unwrap();
    }
}
