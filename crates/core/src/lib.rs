//! The pure core of hcddl: everything that decides, and nothing that touches the world.
//!
//! In reading order:
//!
//! 1. [`domain`]: the vocabulary: ids, virtual time, units, messages, named random streams, tables of choices.
//! 2. [`node`]: [`Node`](node::Node), [`Event`](node::Event), [`Effect`](node::Effect); worker, server, uplink,
//!    reliable delivery.
//! 3. [`policy`]: when a server commits and who gets which model: one file and one row each;
//!    [`policy::fold`] combines updates, [`policy::optimizer`] applies them.
//! 4. [`peer`]: decentralised and collective algorithms; [`compress`]: codecs.
//! 5. [`topology`], [`net`], [`device`]: who is linked, how long transfers take, how long jobs take; [`trace`]: rates,
//!    availability and losses over time; [`inject`]: what makes messages and jobs late on purpose.
//! 6. [`stats`]: what runs tell together; [`mod@error`]: errors of the user's world; [`yaml`]: YAML with lines.
//!
//! **Invariant:** no files, no sockets, no clock, no threads and no global randomness: the same calls give the same
//! results, on every machine, to the bit.
//!
//! **Boundary:** who uses this crate hands in times and random seeds, and takes effects; it never waits.

pub mod compress;
pub mod device;
pub mod domain;
pub mod error;
pub mod inject;
pub mod net;
pub mod node;
pub mod peer;
pub mod policy;
pub mod stats;
pub mod topology;
pub mod trace;
pub mod yaml;
