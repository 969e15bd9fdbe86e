//! Versions: the root's grow by one, the others' grow; an update's base is older than the commit; the staleness that
//! the run reports is that of its commits.

use super::{At, Law, LawRow, World};
use hcddl_core::domain::{NodeId, Version};
use hcddl_core::node::{Commit, Event};
use hcddl_plan::measure::outcome::Summary;
use std::collections::BTreeMap;

pub(super) const ROW: LawRow = LawRow {
    name: "versions",
    says: "the root's versions grow by one, every other node's grow; an update is based on an older version than \
           its commit; the reported staleness is that of the commits",
    build: |world| Box::new(Versions { world, last: BTreeMap::new(), stale: 0, updates: 0 }),
};

struct Versions<'a> {
    world: World<'a>,
    last: BTreeMap<NodeId, Version>,
    /// Staleness of the updates in the root's commits, added up.
    stale: u64,
    updates: u64,
}

impl Law for Versions<'_> {
    fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        // Only the root has a durable state.
        if *event == Event::Start && !self.world.is_root(at.node) {
            self.last.remove(&at.node);
        }
        Ok(())
    }

    fn commit(&mut self, at: At, commit: &Commit) -> Result<(), String> {
        let (name, version) = (self.world.name(at.node), commit.version);
        let before = self.last.insert(at.node, version).unwrap_or_default();
        let root = self.world.is_root(at.node);
        if version <= before || (root && version != before.next()) {
            return Err(format!("{name} commits version {} after version {}", version.0, before.0));
        }
        if !self.world.is_server(at.node) {
            return Ok(());
        }
        if commit.contributors.is_empty() {
            return Err(format!("{name} commits version {} of no update", version.0));
        }
        for contribution in &commit.contributors {
            let (base, from) = (contribution.base, self.world.name(contribution.node));
            if base >= version {
                let (base, version) = (base.0, version.0);
                return Err(format!("{name}'s version {version} has an update of {from} on version {base}"));
            }
            if root {
                self.stale += version.0 - 1 - base.0;
                self.updates += 1;
            }
        }
        Ok(())
    }

    fn end(&mut self, summary: &Summary) -> Result<(), String> {
        if self.world.plan.peers.is_some() || self.updates == 0 {
            return Ok(());
        }
        let mean = self.stale as f64 / self.updates as f64;
        let reported = summary.staleness.mean;
        if (mean - reported).abs() > 1e-9 * mean.max(1.0) {
            return Err(format!("the mean staleness of the commits is {mean}, the run reports {reported}"));
        }
        Ok(())
    }
}
