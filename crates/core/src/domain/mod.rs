//! The vocabulary of the crate: identifiers, virtual time, parameters, messages, randomness.
//!
//! Nothing here awaits, reads a clock, touches a file or draws global randomness.

pub mod by_node;
pub mod choice;
pub mod digest;
pub mod id;
pub mod math;
pub mod message;
pub mod name;
pub mod operation;
pub mod params;
pub mod pick;
#[doc(hidden)]
pub mod planted;
pub mod rng;
pub mod strange;
pub mod table;
pub mod text;
pub mod time;
pub mod units;
pub mod work;

pub use by_node::ByNode;
pub use choice::{Choice, OptionError};
pub use digest::Digest;
pub use id::{Era, HostId, JobId, NodeId, Token, UpdateId, Version};
pub use message::{Body, Coded, Data, Detail, Head, Kind, Lane, Message, Progress};
pub use name::NodeName;
pub use params::Params;
pub use pick::{Name, Pick};
pub use rng::{Seeds, Stream, Streams};
pub use strange::Strange;
pub use table::{
    AnyTable, Build, NoOptions, Options, Pluggable, Row, Table, Tables, both, option_names, options,
};
pub use time::{Span, Time};
