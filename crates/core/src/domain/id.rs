//! Identifiers. All are plain integers with a total order, so that ties have one answer.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A participant of a run; also its index in `Plan::nodes`.
    NodeId(u32), "n"
);
id!(
    /// A machine. Several nodes may share one host's cores, network card and power.
    HostId(u32), "h"
);
id!(
    /// The number of commits of a server.
    Version(u64), "v"
);
id!(
    /// A piece of work that a node has started; unique within that node.
    JobId(u64), "j"
);
id!(
    /// A timer or send that a node wants to recognise later; unique within that node.
    Token(u64), "t"
);
id!(
    /// An update waiting at a server; unique within that server, in order of arrival.
    UpdateId(u64), "u"
);

id!(
    /// The time from when two neighbours meet until one of them counts the other as lost, as one of them numbers it.
    /// What was said in a former era is void.
    Era(u32), "e"
);

/// Losses are counted in the lower bits of an era, lives of the node that counts above.
const LOSS_BITS: u32 = 16;

impl Era {
    /// The era of a node in its `life`th life (from 0) with a neighbour that it has lost so often in it.
    ///
    /// Both in one number: a node that was started again has forgotten its losses, and must not take what it handed out
    /// before for its own.
    #[must_use]
    pub fn new(life: u32, losses: u32) -> Self {
        Self((life << LOSS_BITS).wrapping_add(losses))
    }

    /// The era after the next loss.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl NodeId {
    /// Index into tables that are ordered by node.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl HostId {
    /// Index into tables that are ordered by host.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Version {
    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
