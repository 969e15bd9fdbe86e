//! The storm over a fleet: supervisors and controllers, which are killed, started again and doubled at any event, while
//! processes of nodes come and go (they are stand-ins here: they count their lives, write, and end). The decisions are
//! those of a deployment: when a supervisor starts and stops what (`agent::watching`), when a run is over
//! (`controller::course`), how files are fetched (`controller::fetch`), who may write into a run directory
//! (`controller::Hold`). Asked of every run: no node has two processes, none begins the same life twice, nothing is
//! removed from a host that is not here, to the byte, and soon after the last trouble nothing is left there.

mod controller;
mod host;
mod world;

use hcddl_core::domain::{Stream, Time};
use std::path::Path;

/// A run of stand-ins, and what happens to those who run it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unrest {
    /// Names the draws of delays and durations.
    pub seed: u64,
    /// Hosts, each with so many nodes.
    pub hosts: u64,
    /// Nodes of a host.
    pub nodes: u64,
    /// Whether the end of the first node is the end of the run.
    pub has_root: bool,
    /// What happens, by its time.
    pub faults: Vec<(Time, Trouble)>,
}

/// Something that happens. Times are in milliseconds, nodes are counted over all hosts.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Every controller is killed.
    KillControllers,
    /// `hcddl deploy run --resume`, perhaps with `--take-over`.
    Resume { take_over: bool },
    /// `hcddl deploy fetch`.
    Fetch,
    /// A supervisor is killed; its nodes go on.
    KillSupervisor { host: u64 },
    /// A node's process is killed.
    KillNode { node: u64 },
    /// A node's process hears no signal any more but the last one.
    Hang { node: u64 },
    /// A host cannot be reached.
    Cut { host: u64, pause: u64 },
}

impl Unrest {
    /// The unrest of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "storm", 4, 0);
        let (hosts, nodes, has_root) = (1 + stream.below(3), 1 + stream.below(3), stream.below(3) > 0);
        let mut faults: Vec<(Time, Trouble)> = Vec::new();
        for _ in 0..stream.below(9) {
            // Much goes wrong while things begin.
            let window = if stream.below(2) == 0 { 2_500 } else { 60_000 };
            let at = Time(stream.below(window) * 1_000_000);
            let (host, node) = (stream.below(hosts), stream.below(hosts * nodes));
            let trouble = match stream.below(10) {
                0 | 1 => Trouble::KillControllers,
                2 => Trouble::Resume { take_over: stream.below(2) == 0 },
                3..=5 => Trouble::Fetch,
                6 => Trouble::KillSupervisor { host },
                7 => Trouble::KillNode { node },
                8 => Trouble::Hang { node },
                _ => Trouble::Cut { host, pause: 100 + stream.below(20_000) },
            };
            faults.push((at, trouble));
        }
        faults.sort_by_key(|(at, _)| *at);
        Self { seed, hosts, nodes, has_root, faults }
    }
}

/// Lets a fleet go through its unrest, with its files below `dir`, which is made and removed; its events.
///
/// # Errors
/// What went wrong, in a sentence.
pub fn run(unrest: &Unrest, dir: &Path) -> Result<u64, String> {
    let place = dir.join("fleet");
    let ran = world::World::new(unrest, &place).and_then(|mut world| world.run());
    // It may have failed before there was anything.
    let _ = std::fs::remove_dir_all(&place);
    ran
}

/// Leaves troubles out as long as the run still fails, in whatever way; returns what is left and how it fails.
#[must_use]
pub fn shrink(unrest: &Unrest, why: String, dir: &Path) -> (Unrest, String) {
    let (mut best, mut why) = (unrest.clone(), why);
    let mut at = 0;
    while at < best.faults.len() {
        let mut fewer = best.clone();
        fewer.faults.remove(at);
        match run(&fewer, dir) {
            Err(still) => (best, why) = (fewer, still),
            Ok(_) => at += 1,
        }
    }
    (best, why)
}
