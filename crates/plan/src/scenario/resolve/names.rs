//! Nodes by name.

use crate::scenario::Source;
use hcddl_core::domain::NodeId;
use hcddl_core::domain::table::nearest;
use hcddl_core::error::UserError;
use hcddl_core::topology::Topology;
use std::collections::BTreeMap;

/// Names shown in an error before it says how many more there are.
const SHOWN: usize = 20;

/// The nodes of a topology by name.
pub(super) struct Names<'a>(BTreeMap<&'a str, NodeId>, &'a Topology);

impl<'a> Names<'a> {
    /// Every builder of a topology gives each name once.
    pub(super) fn new(topology: &'a Topology) -> Self {
        let ids = topology.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), NodeId(i as u32)));
        Self(ids.collect(), topology)
    }

    /// The node of this name, which `path` names.
    pub(super) fn find(&self, source: &Source, path: &str, name: &str) -> Result<NodeId, UserError> {
        self.0.get(name).copied().ok_or_else(|| {
            let names = self.1.nodes.iter().map(|node| node.name.as_str());
            let next = nearest(name, names.clone()).map_or_else(
                || "`hcddl topo` shows the nodes".to_owned(),
                |n| format!("did you mean `{n}`?"),
            );
            source.error(path, format!("unknown node `{name}`"), some_of(names), next)
        })
    }
}

/// The first names, and how many more there are.
pub(super) fn some_of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let all = names.clone().count();
    let mut text = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if all > SHOWN {
        text += &format!(" and {} more", all - SHOWN);
    }
    text
}
