//! `hcddl profile --device`: this machine as a device for scenarios.

use super::{Ending, Usage, output};
use hcddl_core::domain::operation::Kind;
use hcddl_core::yaml::block;
use hcddl_files::atomic;
use hcddl_learn::calibrate::{self, Found, Timer, check};
use hcddl_learn::kernels::Isa;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Models of the self check, and its batches.
const CHECKED: [&str; 5] = ["mlp", "lenet", "cnn", "gru_tagger", "resnet18_gn"];
const BATCHES: [usize; 2] = [8, 32];
/// Time of a step of the self check.
const TIME: Duration = Duration::from_millis(300);

/// Measures, writes the table to a new file and prints the device that uses it.
pub fn measure(out: Option<&Path>) -> anyhow::Result<Ending> {
    let path = out.unwrap_or(Path::new("device.json"));
    if path.exists() {
        let text = format!("`{}` exists already; give a new file with `--out`", path.display());
        return Err(Usage(text).into());
    }
    // What cannot be written is told before the work.
    atomic::replace(path, b"{}\n")?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    output::note("measuring", &format!("kernels for {}, about two minutes", Isa::best().name()));
    let mut timer = Timer::new(Isa::best());
    let found = calibrate::measure(&mut timer, |_| {});
    let speedup = calibrate::speedup(threads);
    let mut text = serde_json::to_string(&found.efficiency)?;
    text.push('\n');
    atomic::replace(path, text.as_bytes())?;
    for line in kinds(&found) {
        output::note("efficiency", &line);
    }
    let slower = 100.0 * (timer.slowness() - 1.0);
    output::note("machine", &format!("{slower:.0} % slower than at its best, which is divided out"));
    self_check(&mut timer, &found);
    // A thread of a large step has what remains when all compute.
    let gflops = found.flops_per_second * speedup / 1e9;
    let device = json!({
        "name": "pc",
        "gflops": rounded(gflops),
        "threads": threads,
        "memory": format!("{}GB/s", rounded(found.memory_bytes_per_second / 1e9)),
        "cache": found.efficiency.cache,
        "efficiency": path.display().to_string(),
    });
    output::result(&block::block(&json!({"devices": {"default": device}})))?;
    Ok(Ending::Done)
}

/// Three digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Least, middle and best efficiency of each kind of kernel.
fn kinds(found: &Found) -> Vec<String> {
    let name = |kind: &Kind| json!(kind).as_str().unwrap_or_default().to_owned();
    let of = |(kind, grid): (&Kind, &calibrate::Grid)| {
        let mut all: Vec<f64> = grid.efficiency.iter().map(|share| 100.0 * share).collect();
        all.sort_by(f64::total_cmp);
        let (least, middle, best) = (all[0], all[all.len() / 2], all[all.len() - 1]);
        format!("{:<20} {least:>7.2} {middle:>7.2} {best:>7.2} %", name(kind))
    };
    found.efficiency.kinds.iter().map(of).collect()
}

/// Steps of some models, predicted by the table and measured.
fn self_check(timer: &mut Timer, found: &Found) {
    let mut errors = Vec::new();
    for case in check::cases().iter().filter(|case| CHECKED.contains(&case.model)) {
        for batch in BATCHES {
            let (predicted, measured) =
                (found.seconds(&case.operations(batch)), case.measured(timer, batch, TIME));
            let error = 100.0 * (predicted / measured - 1.0);
            errors.push(error.abs());
            let step = format!("{} with batches of {batch}", case.model);
            let (predicted, measured) = (predicted * 1e3, measured * 1e3);
            output::note(
                "check",
                &format!("{step}: {predicted:.3} ms, measured {measured:.3} ms, {error:+.1} %"),
            );
        }
    }
    errors.sort_by(f64::total_cmp);
    let (median, worst) = (errors[errors.len() / 2], errors[errors.len() - 1]);
    output::note("check", &format!("median error {median:.1} %, worst {worst:.1} %"));
}
