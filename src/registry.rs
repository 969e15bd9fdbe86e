//! Every table in one place. A user's crate adds rows to its own [`Registry`].

use crate::domain::Table;
use crate::peer::BuildPeer;
use crate::policy::BuildPolicy;
use crate::policy::fold::BuildFold;
use crate::policy::optimizer::BuildOptimizer;

/// All that a scenario can name.
#[derive(Clone)]
pub struct Registry {
    /// Server policies.
    pub policies: Table<BuildPolicy>,
    /// Folds.
    pub folds: Table<BuildFold>,
    /// Server optimisers.
    pub optimizers: Table<BuildOptimizer>,
    /// Peer algorithms.
    pub peers: Table<BuildPeer>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            policies: crate::policy::table(),
            folds: crate::policy::fold::table(),
            optimizers: crate::policy::optimizer::table(),
            peers: crate::peer::table(),
        }
    }
}
