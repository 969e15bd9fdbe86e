//! What children say, until it waits for the policy.

use super::Server;
use super::state::{Held, Input};
use crate::domain::{Data, Head, Message, NodeId, Params, Progress, Strange, UpdateId};
use crate::node::kinds::{PULL, UPDATE};
use crate::node::uplink::Uplink;
use crate::node::work::Work;
use crate::node::{Cx, Effect, Effects};
use crate::policy::{PolicyEvent, UpdateMeta, Why};

/// Samples that an update may be said to stand for, so that sums of them cannot overflow.
const SAMPLES_MAX: u64 = 1 << 40;

impl Server {
    /// A child says something: it pulls a model, or sends an update.
    pub(super) fn heard_child(&mut self, cx: &Cx, from: NodeId, message: Message, out: &mut Effects) {
        if message.kind == PULL {
            // Only what was offered since the child was last lost, and only once.
            if let Some(grant) = self.state.grants.get_mut(&from)
                && std::mem::take(&mut grant.offered)
            {
                let assignment = grant.assignment;
                self.deliver(from, assignment, out);
            }
        } else if message.kind == UPDATE {
            let head = message.head;
            if self.state.children[&from].era != Progress::from(head.detail).era {
                // It answers a model from before the child, or this server, was lost. The policy has been told that
                // this work is not coming and may have given the child other work since: to fold it would leave the
                // child with two models to train on, and there is no snapshot of its own for it.
                out.push(Effect::Dropped { from, why: Why::Late });
                return;
            }
            match (message.bodies.into_iter().next().map(|b| b.data), self.config.codec_up) {
                (Some(Data::Dense(tensor)), _) => self.got(cx, from, head, tensor, out),
                (Some(data), Some(codec)) => {
                    let job = self.state.jobs.fresh();
                    self.state.decoding.insert(job, (from, head));
                    out.run(job, Work::Decode { data, codec });
                }
                // No tensor, or one that is coded though no codec was agreed on. The child is waited for all the same,
                // so this has to count as its update.
                _ => self.got(cx, from, head, Params::absent(0), out),
            }
        }
    }

    /// An update is there and decoded. A child that sends something else than was agreed is a broken or a hostile one:
    /// what it sent is void, so that nobody waits for it, and told.
    pub(super) fn got(
        &mut self,
        cx: &Cx,
        from: NodeId,
        mut head: Head,
        mut tensor: Params,
        out: &mut Effects,
    ) {
        let len = self.state.model.len();
        if tensor.len() != len {
            out.push(Effect::Noticed { from, what: Strange::Length(tensor.len()) });
            (head.samples, head.steps) = (0, 0);
            tensor = self.state.model.values().map_or(Params::absent(len), |_| Params::new(vec![0.0; len]));
        }
        if head.base > self.state.version {
            out.push(Effect::Noticed { from, what: Strange::Version(head.base.0) });
            head.base = self.state.version;
        }
        head.samples = head.samples.min(SAMPLES_MAX);
        self.state.inbox.push_back(Input::Update { from, head, tensor });
        self.pump(cx, out);
    }

    /// Files an update; the policy is asked next.
    pub(super) fn admit(&mut self, cx: &Cx, from: NodeId, head: &Head, tensor: Params) -> PolicyEvent {
        let state = &mut self.state;
        let child = state.children.get_mut(&from).expect("only children send updates");
        // A child that was cancelled, or given a newer model since, still counts as working on that.
        let current = child.busy && head.version == child.holds;
        if current {
            child.busy = false;
        }
        child.clock = child.clock.max(Progress::from(head.detail).clock);
        state.next_update += 1;
        let id = UpdateId(state.next_update);
        let base = head.base.min(state.version);
        let meta =
            UpdateMeta { from, base, current, steps: head.steps, samples: head.samples, arrived: cx.now };
        state.pending.insert(id, meta);
        let (origin, snapshot) = match state.grants.get(&from) {
            Some(grant) => (grant.origin, grant.snapshot.clone()),
            None => (self.uplink.as_ref().map_or(base, Uplink::parent_version), None),
        };
        state.held.insert(id, Held { tensor, snapshot, origin, loss: head.loss });
        PolicyEvent::Update(id)
    }
}
