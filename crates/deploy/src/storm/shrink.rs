//! A run that failed, with as little weather as needed.

use super::{Weather, run};
use std::path::Path;

/// Leaves faults out as long as the run still fails, in whatever way; returns what is left and how it fails.
///
/// # Panics
/// When files below `dir` cannot be removed.
#[must_use]
pub fn shrink(weather: &Weather, why: &str, dir: &Path) -> (Weather, String) {
    let (mut best, mut why) = (weather.clone(), why.to_owned());
    let mut at = 0;
    while at < best.faults.len() {
        let mut fewer = best.clone();
        fewer.faults.remove(at);
        let place = dir.join("shrink");
        let ran = run(&fewer, &place);
        std::fs::remove_dir_all(&place).expect("a directory of our own");
        match ran {
            Err(still) => (best, why) = (fewer, still),
            Ok(_) => at += 1,
        }
    }
    (best, why)
}
