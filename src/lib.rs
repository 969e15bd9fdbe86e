//! hcddl: hierarchical clustered distributed deep learning, simulated under a virtual clock to the same bit
//! every time.
//!
//! Servers, workers and peers are pure state machines ([`node::Node`]): an event in, effects out. The simulator hands
//! them one event at a time, the earliest first, moves their messages over a modelled network, charges modelled
//! device time for their jobs and computes the real gradients beside.
//!
//! # Use
//!
//! Most people use the program (`hcddl sim scenario.yml`, see the README). In Rust it is one call:
//!
//! ```
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
//! ```
//!
//! A crate of yours can add policies, models, devices and so on: it adds rows to a [`Registry`] and hands that to
//! `simulate`, or to `cli::main_with` for the whole program. `examples/custom_policy.rs` does both.
//!
//! # What is here
//!
//! - One call for each use: [`simulate()`] and [`simulate_text`], [`study`], [`deploy`], [`replay`], [`report`].
//! - What your crate adds rows to: [`Registry`]; and what rows are made of: [`domain`] (the vocabulary), [`node`],
//!   [`policy`], [`peer`], [`compress`], [`topology`], [`net`], [`device`], [`learn`].
//! - What comes out: [`measure`].
//!
//! Everything else is public for the program, for tests and benchmarks alone, is hidden, and may change.
//! `ARCHITECTURE.md` walks through the crates with a gradient and with a key of a scenario.

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod fetch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use hcddl_core::{compress, device, domain, net, node, peer, policy, topology, trace};
pub use hcddl_deploy::{deploy, replay};
pub use hcddl_learn as learn;
pub use hcddl_plan::{Registry, measure, plan, scenario};
pub use hcddl_report as report;
pub use hcddl_sim::{SimulateError, simulate, simulate_text, study};

// For the program's own tests, benchmarks and examples.
#[doc(hidden)]
pub use hcddl_core::{error, inject, stats, yaml};
#[doc(hidden)]
pub use hcddl_deploy::{storm, transport};
#[doc(hidden)]
pub use hcddl_files as files;
#[doc(hidden)]
pub use hcddl_plan::{factory, registry};
#[doc(hidden)]
pub use hcddl_sim::{explore, record, run, sim};
