//! Handing out models: at once or when the parent has answered, pushed or pulled, plain or coded.

use super::state::Grant;
use super::{Server, Traffic};
use crate::domain::{Data, Head, Message, NodeId, Progress, Version};
use crate::node::Effects;
use crate::node::kinds::{ASSIGN, READY};
use crate::node::uplink::Uplink;
use crate::node::work::Work;
use crate::policy::Assignment;

impl Server {
    /// Gives a child the current model, now or as soon as the parent has answered.
    pub(super) fn reply(&mut self, child: NodeId, assignment: Assignment, out: &mut Effects) {
        let known = self.state.children.get_mut(&child).expect("a policy replies to children only");
        if !known.alive {
            return;
        }
        known.busy = true;
        known.holds = self.state.version;
        if !self.uplink.as_mut().is_some_and(|uplink| uplink.holds_back(child, assignment)) {
            self.grant(child, assignment, out);
        }
    }

    pub(super) fn grant(&mut self, child: NodeId, assignment: Assignment, out: &mut Effects) {
        match self.config.traffic {
            Traffic::Pull => {
                let grant = self.new_grant(assignment, true);
                self.state.grants.insert(child, grant);
                out.send(child, Message::control(READY, self.head(child, assignment)));
            }
            Traffic::Broadcast => self.deliver(child, assignment, out),
        }
    }

    fn new_grant(&self, assignment: Assignment, offered: bool) -> Grant {
        let state = &self.state;
        Grant {
            origin: self.uplink.as_ref().map_or(state.version, Uplink::parent_version),
            snapshot: self.config.rule.needs_snapshots().then(|| state.model.clone()),
            assignment,
            offered,
        }
    }

    fn head(&self, child: NodeId, assignment: Assignment) -> Head {
        let version = self.state.version;
        let root = self.uplink.as_ref().map_or(version, Uplink::root_version);
        let detail = Progress { clock: 0, era: self.state.children[&child].era }.into();
        Head { version, root, steps: assignment.steps, loss: f32::NAN, detail, ..Head::default() }
    }

    /// Sends the model, encoded once for each version if there is a codec.
    pub(super) fn deliver(&mut self, child: NodeId, assignment: Assignment, out: &mut Effects) {
        let data = match (&self.state.encoded, self.config.codec_down) {
            (_, None) => Data::Dense(self.state.model.clone()),
            (Some((version, data)), Some(_)) if *version == self.state.version => data.clone(),
            (_, Some(codec)) => {
                self.state.asked.insert(child, assignment);
                if self.state.encoding.is_none() {
                    let job = self.state.jobs.fresh();
                    self.state.encoding = Some((job, self.state.version));
                    let tensor = self.state.model.clone();
                    let counter = self.state.version.0;
                    out.run(job, Work::Encode { tensor, residual: None, codec, counter });
                }
                return;
            }
        };
        // The model may be newer than when the policy answered: the child was slow to pull it, or it had to be
        // encoded first. What it holds, and the snapshot of its gradient, are what really leaves.
        let grant = self.new_grant(assignment, false);
        self.state.grants.insert(child, grant);
        self.state.children.get_mut(&child).expect("a child").holds = self.state.version;
        out.send(child, Message::with(ASSIGN, self.head(child, assignment), "model", data));
    }

    pub(super) fn encoded(&mut self, data: Data, version: Version, out: &mut Effects) {
        self.state.encoded = Some((version, data));
        for (child, assignment) in std::mem::take(&mut self.state.asked) {
            self.deliver(child, assignment, out);
        }
    }
}
