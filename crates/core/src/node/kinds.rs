//! The kinds of message that servers and workers exchange.

use crate::domain::Kind;

/// Server to child: a model, and the wish that it be trained on.
pub const ASSIGN: Kind = Kind::new("assign");
/// Child to server: the result of an assignment.
pub const UPDATE: Kind = Kind::new("update");
/// Server to child, with `traffic: pull`: a new model is there.
pub const READY: Kind = Kind::new("ready");
/// Child to server, with `traffic: pull`: send it.
pub const PULL: Kind = Kind::new("pull");
/// Server to child: the running work is not wanted any more.
pub const CANCEL: Kind = Kind::new("cancel");
/// Receiver to sender: numbered messages up to here have arrived.
pub const ACK: Kind = Kind::new("ack");
