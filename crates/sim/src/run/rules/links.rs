//! What a link does to a message: its latency (`network.lan.latency` and so on), and the time that retransmissions take
//! where packets get lost (`network.lan.loss`).

use super::{Fate, Rule, Sending, pair};
use hcddl_core::domain::{Stream, Streams};
use hcddl_core::net::transfer::{loss_delay, wire_bytes};
use hcddl_plan::plan::Plan;

/// Draws the latency where nothing has decided it.
pub(super) struct Latency<'a> {
    plan: &'a Plan,
    draws: Streams,
}

impl<'a> Latency<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, draws: Streams::new(plan.seeds.interleaving, "latency") }
    }
}

impl Rule for Latency<'_> {
    fn message(&mut self, sending: &Sending<'_>, fate: &mut Fate) {
        let link = &self.plan.network.links[usize::from(sending.link)];
        let draw = || {
            let mut stream = self.draws.stream(pair(sending.from, sending.to), sending.number);
            link.latency.sample(&mut stream)
        };
        fate.latency = Some(fate.latency.unwrap_or_else(draw) + fate.delay);
    }
}

/// Adds what lost packets cost. They are in a recorded duration already.
pub(super) struct Retransmissions<'a> {
    plan: &'a Plan,
}

impl<'a> Retransmissions<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan }
    }
}

impl Rule for Retransmissions<'_> {
    fn message(&mut self, sending: &Sending<'_>, fate: &mut Fate) {
        let link = &self.plan.network.links[usize::from(sending.link)];
        if fate.carried || link.loss == 0.0 {
            return;
        }
        let latency = fate.latency.unwrap_or_default();
        let key = pair(sending.from, sending.to);
        let mut stream = Stream::new(self.plan.seeds.interleaving, "loss", key, sending.number);
        let bytes = wire_bytes(sending.message.bytes(), link.efficiency);
        let rtt = link.latency.mean().unwrap_or(latency).times(2);
        fate.latency = Some(latency + loss_delay(bytes, link.loss, rtt, &mut stream));
    }
}
