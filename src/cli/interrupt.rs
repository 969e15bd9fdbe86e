//! Ctrl-C: the first asks the run to end well, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Exit code of an interrupted run: 128 plus the number of SIGINT, as shells have it.
pub const EXIT_INTERRUPTED: u8 = 130;

/// The flag that the first Ctrl-C (or SIGTERM) raises; the second one exits at once. One for the whole program: a command
/// may make several runs.
pub fn flag() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    Arc::clone(FLAG.get_or_init(install))
}

fn install() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let installed = ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
        super::output::note("interrupted", "writing what there is; press again to stop at once");
    });
    if let Err(error) = installed {
        tracing::warn!("Ctrl-C will end the program without writing a summary: {error}");
    }
    flag
}
