//! Applies injections to messages and jobs.

use super::{Amount, Bursts, Change, Hop, Injection};
use crate::device::SlowPhases;
use crate::domain::rng::derived;
use crate::domain::{NodeId, Span, Stream, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Applies the injections of a plan.
#[derive(Debug)]
pub struct Injector<'a> {
    injections: &'a [Injection],
    seed: u64,
    /// What the next draws depend on.
    pub state: InjectState,
    /// Of injections with random bursts; a pure function of the seed.
    phases: BTreeMap<usize, SlowPhases>,
    /// Injections that are in recorded durations already.
    recorded: Vec<bool>,
}

/// What an injector remembers of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InjectState {
    /// The last deviation from the mean in seconds, by injection and directed link.
    deviations: BTreeMap<(u32, u64), f64>,
}

impl<'a> Injector<'a> {
    /// Of these injections; `seed` is that of the interleaving.
    #[must_use]
    pub fn new(injections: &'a [Injection], seed: u64) -> Self {
        let phases = injections.iter().enumerate().filter_map(|(i, injection)| match &injection.bursts {
            Some(Bursts::Random(phase)) => {
                Some((i, SlowPhases::new(phase.clone(), Stream::new(seed, "bursts", i as u64, 0))))
            }
            _ => None,
        });
        let recorded = vec![false; injections.len()];
        Self { injections, seed, state: InjectState::default(), phases: phases.collect(), recorded }
    }

    /// Those that also held in a run whose durations are used (told by their settings, as `Debug` writes them) are in
    /// these already; only the others are applied.
    pub fn leave_out(&mut self, recorded: &[String]) {
        let settings = |injection: &Injection| format!("{injection:?}");
        self.recorded =
            self.injections.iter().map(|injection| recorded.contains(&settings(injection))).collect();
    }

    /// Whether there is nothing to apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.injections.is_empty()
    }

    /// The latency of the message `number` on its link, which would be `latency`.
    pub fn latency(&mut self, now: Time, hop: Hop, number: u64, mut latency: Span) -> Span {
        for (i, injection) in self.injections.iter().enumerate() {
            if !injection.concerns(hop) || !self.is_active(i, now) {
                continue;
            }
            latency = match &injection.change {
                Change::Add(amount) => latency + self.draw(i, amount, now, hop, number),
                Change::Scale(factor) => latency.scale(*factor),
                Change::Replace(amount) => self.draw(i, amount, now, hop, number),
                Change::SlowDown(_) => latency,
            };
        }
        latency
    }

    /// What a node's compute times are multiplied by.
    pub fn slowdown(&mut self, now: Time, node: NodeId) -> f64 {
        let mut product = 1.0;
        for (i, injection) in self.injections.iter().enumerate() {
            if let Some(factor) = injection.slows(node)
                && self.is_active(i, now)
            {
                product *= factor;
            }
        }
        product
    }

    fn is_active(&mut self, index: usize, now: Time) -> bool {
        let injection = &self.injections[index];
        if self.recorded[index] {
            return false;
        }
        if now < injection.from || now >= injection.until {
            return false;
        }
        let since = now.since(injection.from);
        match &injection.bursts {
            None => true,
            Some(Bursts::Regular { on, off }) => since.0 % (on.0 + off.0) < on.0,
            // A phase with a factor other than 1 is one that is on.
            Some(Bursts::Random(_)) => {
                self.phases.get_mut(&index).is_some_and(|phases| phases.factor(Time(since.0)) != 1.0)
            }
        }
    }

    fn draw(&mut self, index: usize, amount: &Amount, now: Time, hop: Hop, number: u64) -> Span {
        let (distribution, correlation) = match amount {
            Amount::Trace(trace) => return trace.at(self.injections[index].from, now),
            Amount::Drawn { distribution, correlation } => (distribution, *correlation),
        };
        let link = (u64::from(hop.from.0) << 32) | u64::from(hop.to.0);
        let mut stream = Stream::new(self.seed, "injection", derived(link, index as u64), number);
        let drawn = distribution.sample(&mut stream);
        let Some(mean) = distribution.mean().filter(|_| correlation > 0.0) else { return drawn };
        let fresh = drawn.seconds() - mean.seconds();
        let deviation = match self.state.deviations.get(&(index as u32, link)) {
            Some(last) => correlation * last + (1.0 - correlation * correlation).sqrt() * fresh,
            None => fresh,
        };
        self.state.deviations.insert((index as u32, link), deviation);
        Span::from_seconds((mean.seconds() + deviation).max(0.0))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
