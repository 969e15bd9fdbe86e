//! Faults: nodes that crash, return, leave, join or slow down; links that fail. Others learn of them after the
//! detection delay, through the same events as in a deployment (`bonds`).

use super::conductor::Conductor;
use super::heap::Pending;
use super::network::Cut;
use crate::run::RunError;
use crate::run::runner::Runner;
use hcddl_core::domain::NodeId;
use hcddl_core::node::Reason;
use hcddl_plan::factory::Begin;
use hcddl_plan::measure::outcome::{SpanKind, TimelineSpan};
use hcddl_plan::plan::Fault;

impl<R: Runner> Conductor<'_, R> {
    /// A fault of the plan happens.
    pub(super) async fn fault(&mut self, index: u32) -> Result<(), RunError> {
        let plan = self.plan;
        let event = &plan.faults.events[index as usize];
        self.trace.push(&[self.now.0, u64::from(index) | (7 << 32), 0, 0]);
        tracing::info!("{}: {:?}", self.now, event.fault);
        match &event.fault {
            Fault::Crash(node) => {
                self.lose(*node, plan.faults.detection).await;
                self.end_without_root(*node, index);
            }
            Fault::Leave(node) => {
                self.lose(*node, hcddl_core::domain::Span::ZERO).await;
                self.end_without_root(*node, index);
            }
            Fault::Restart(node) => {
                let durable = self.durable.get(node).cloned().flatten();
                self.bring(*node, Begin::Restart(durable)).await?;
            }
            Fault::Join(node) => self.bring(*node, Begin::New).await?,
            Fault::SlowDown(node, factor) => self.rules.faults.slow_down(*node, *factor),
            Fault::LinkDown(a, b) => self.cut(Cut::Down(*a, *b)),
            Fault::LinkUp(a, b) => self.cut(Cut::Up(*a, *b)),
            Fault::Partition(groups) => self.cut(Cut::Partition(groups)),
            Fault::Heal => self.cut(Cut::Heal),
        }
        Ok(())
    }

    /// A node stops; its memory, jobs and timers are gone.
    pub(super) async fn lose(&mut self, node: NodeId, detection: hcddl_core::domain::Span) {
        if !self.down.insert(node) {
            return;
        }
        self.core.runner.remove(node).await;
        self.core.account.set_down(self.now, node, true);
        for key in self.jobs.of(node) {
            if self.jobs.remove(key).is_some_and(|job| job.shared) {
                self.compute.cancel_shared(self.now, key);
            }
        }
        self.timers.retain(|(owner, _), _| *owner != node);
        for other in self.acquaintances(node) {
            self.changed(node, other, detection);
        }
    }

    /// Without its root a run goes nowhere, though workers of asynchronous local servers would train for ever.
    fn end_without_root(&mut self, node: NodeId, index: u32) {
        let returns = |fault: &Fault| matches!(fault, Fault::Restart(n) | Fault::Join(n) if *n == node);
        let later = &self.plan.faults.events[index as usize + 1..];
        if self.plan.peers.is_none() && self.core.is_top(node) && !later.iter().any(|e| returns(&e.fault)) {
            self.finished = Some(Reason::Stalled(self.stall_message()));
        }
    }

    /// A node starts (again).
    pub(super) async fn bring(&mut self, node: NodeId, how: Begin) -> Result<(), RunError> {
        if !self.down.remove(&node) {
            return Ok(());
        }
        *self.lives.entry(node).or_insert(0) += 1;
        self.core.account.set_down(self.now, node, false);
        self.place(node, how).await?;
        self.heap.push(self.now, Pending::Start(node));
        self.reborn(node);
        if self.observer.wants_spans() {
            self.observer.span(&TimelineSpan {
                node,
                kind: SpanKind::Down,
                start: self.now,
                end: self.now,
                label: "up again".to_owned(),
                other: None,
                bytes: 0,
            });
        }
        Ok(())
    }

    /// The nodes that a node talks to, ascending.
    pub(super) fn acquaintances(&self, node: NodeId) -> Vec<NodeId> {
        let plan = &self.plan.nodes[node.index()];
        let mut all: Vec<NodeId> = plan.parent.into_iter().chain(plan.children.iter().copied()).collect();
        all.extend(plan.neighbours.iter().map(|n| n.node));
        all.sort_unstable();
        all.dedup();
        all
    }

    fn cut(&mut self, change: Cut<'_>) {
        let mut pairs = Vec::new();
        for id in (0..self.plan.nodes.len() as u32).map(NodeId) {
            pairs.extend(
                self.acquaintances(id).into_iter().filter(|other| *other > id).map(|other| (id, other)),
            );
        }
        for (a, b) in self.network.change(change, &pairs) {
            self.changed(a, b, self.plan.faults.detection);
        }
    }
}
