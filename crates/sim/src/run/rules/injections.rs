//! Latencies and compute times that are changed on purpose (`injections`), in the simulator and by deployed nodes.

use super::{Beginning, Fate, Rule, Sending, Took};
use hcddl_core::domain::{NodeId, Span, Time};
use hcddl_core::inject::{InjectState, Injector};
use hcddl_plan::plan::{Plan, hop};

/// See the module.
pub(super) struct Injections<'a> {
    plan: &'a Plan,
    injector: Injector<'a>,
}

impl<'a> Injections<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, injector: Injector::new(&plan.injections, plan.seeds.interleaving) }
    }

    /// Those that are in recorded durations already, by their settings.
    pub fn leave_out(&mut self, recorded: &[String]) {
        self.injector.leave_out(recorded);
    }

    pub fn is_empty(&self) -> bool {
        self.injector.is_empty()
    }

    pub fn latency(&mut self, now: Time, from: NodeId, to: NodeId, number: u64, latency: Span) -> Span {
        self.injector.latency(now, hop(self.plan, from, to), number, latency)
    }

    pub fn slowdown(&mut self, now: Time, node: NodeId) -> f64 {
        self.injector.slowdown(now, node)
    }

    pub fn save(&self) -> InjectState {
        self.injector.state.clone()
    }

    pub fn load(&mut self, state: InjectState) {
        self.injector.state = state;
    }
}

impl Rule for Injections<'_> {
    fn message(&mut self, sending: &Sending<'_>, fate: &mut Fate) {
        if !self.is_empty() {
            let Sending { now, from, to, number, .. } = *sending;
            fate.latency = fate
                .latency
                .map(|latency| self.injector.latency(now, hop(self.plan, from, to), number, latency));
        }
    }

    fn job(&mut self, beginning: &Beginning<'_>, took: &mut Took) {
        took.factor *= self.injector.slowdown(beginning.now, beginning.node);
    }
}
