//! hcddl: hierarchical clustered distributed deep learning, simulated under a virtual clock to the same bit
//! every time.
//!
//! Servers, workers and peers are pure state machines ([`node::Node`]): an event in, effects out. The
//! [conductor](sim) hands them one event at a time, the earliest first, moves their messages over a modelled
//! [network](net), charges modelled [`device`] time for their jobs and computes the real gradients beside.
//!
//! # Use
//!
//! Most people use the program (`hcddl sim scenario.yml`, see the README). In Rust it is one call:
//!
//! ```
//! # #[cfg(feature = "runtime")]
//! # fn main() -> Result<(), hcddl::SimulateError> {
//! use hcddl::measure::outcome::{Silent, SimOptions};
//!
//! let scenario = "
//! topology: {name: tree, fanout: [2, 2]}   # a global server, two local ones, two workers below each
//! model: softmax
//! training: {rounds: 20, local: {epochs: 1}}
//! tiers: {global: {policy: fedavg}, local: {policy: fedasync}}
//! ";
//! let registry = hcddl::Registry::default();
//! let run = hcddl::simulate_text(scenario, &[], &registry, &SimOptions::default(), &mut Silent)?;
//! assert_eq!(run.summary.commits, 20);
//! assert!(run.summary.accuracy > Some(0.85));
//!
//! // The same scenario and seeds: the same order of events, the same weights, to the bit.
//! let again = hcddl::simulate_text(scenario, &[], &registry, &SimOptions::default(), &mut Silent)?;
//! assert_eq!(again.summary.trace_digest, run.summary.trace_digest);
//! assert_eq!(again.summary.weight_digest, run.summary.weight_digest);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "runtime"))]
//! # fn main() {}
//! ```
//!
//! A crate of yours can add policies, models, devices and so on: it adds rows to a [`Registry`] and hands that to
//! `simulate`, or to `cli::main_with` for the whole program. `examples/custom_policy.rs` does both.
//!
//! # The map, in reading order
//!
//! The pure core knows no runtime, no files, no sockets, no clock and no global randomness
//! (`cargo check --lib --no-default-features` builds it alone):
//!
//! 1. [`domain`]: the vocabulary: ids, virtual time, units, messages, named random streams, tables of choices.
//! 2. [`node`]: [`Node`](node::Node), [`Event`](node::Event), [`Effect`](node::Effect); worker, server, uplink,
//!    reliable delivery.
//! 3. [`policy`]: when a server commits and who gets which model: one file and one row each;
//!    [`policy::fold`] combines updates, [`policy::optimizer`] applies them.
//! 4. [`peer`]: decentralised and collective algorithms; [`compress`]: codecs.
//! 5. [`topology`], [`net`], [`device`]: who is linked, how long transfers take, how long jobs take; [`inject`]: what
//!    makes them late on purpose.
//! 6. [`scenario`]: from YAML to a checked [`Plan`](plan::Plan), every mistake with its place; [`plan`]: what a scenario
//!    means; [`measure`]: what is measured of a run.
//! 7. [`factory`]: from a plan to its nodes; [`registry`]: every table in one place; [`error`]: errors of the
//!    user's world.
//!
//! What runs tell together: [`stats`]. What learns: [`learn`] (its traits are pure; engine, kernels, models and data
//! come with the feature).
//!
//! The shells, behind the feature `runtime` (on by default):
//!
//! 8. `run`: what every carrier of nodes shares; `sim`: the conductor, its heap, its network, checkpoints.
//! 9. `record`: the run directory; `report`: tables and explanations; `cli`: one file for each subcommand.
//! 10. `deploy`: the same nodes on real devices; `replay`: a deployed run executed again.
//! 11. `study`: many runs of one scenario over levels and seeds, their tables; `explore`: the search of other
//!     orders of events, and the laws that hold in all of them.
//! 12. `fetch`: data files from the network; `transport`: messages as bytes; `files`: bytes and whole files.
//!
//! `ARCHITECTURE.md` walks through it with a gradient and with a key of a scenario.

#[cfg(feature = "runtime")]
pub mod cli;
pub mod compress;
#[cfg(feature = "runtime")]
pub mod deploy;
pub mod device;
pub mod domain;
pub mod error;
#[cfg(feature = "runtime")]
pub mod explore;
pub mod factory;
#[cfg(feature = "runtime")]
pub mod fetch;
#[cfg(feature = "runtime")]
pub mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod inject;
#[cfg(test)]
mod laws;
pub mod learn;
pub mod measure;
pub mod net;
pub mod node;
pub mod peer;
pub mod plan;
pub mod policy;
#[cfg(feature = "runtime")]
pub mod record;
pub mod registry;
#[cfg(feature = "runtime")]
pub mod replay;
#[cfg(feature = "runtime")]
pub mod report;
#[cfg(feature = "runtime")]
pub mod run;
pub mod scenario;
#[cfg(feature = "runtime")]
pub mod sim;
#[cfg(feature = "runtime")]
pub mod simulate;
pub mod stats;
#[cfg(feature = "runtime")]
#[doc(hidden)]
pub mod storm;
#[cfg(feature = "runtime")]
pub mod study;
pub mod topology;
#[cfg(feature = "runtime")]
pub mod transport;
pub mod yaml;

pub use registry::Registry;
#[cfg(feature = "runtime")]
pub use simulate::{SimulateError, simulate, simulate_text};
