//! The durations of a deployed run, from its logs: of every job, and of every message from sending to hearing.
//!
//! A job's begin and end are read from one clock. A message's are read from two: how far the second is ahead of the
//! first is taken to be half the difference of the fastest messages there and back, as network time does it (Mills,
//! RFC 5905: the sample of the least delay). That holds as far as both directions of a link are alike.

use hcddl_core::domain::{JobId, Lane, NodeId, Span, Time};
use hcddl_sim::run::rules::recorded::Recorded;
use std::collections::BTreeMap;

/// Number, lane, and what the receiver's clock showed beyond the sender's.
type Heard = (u64, Lane, i128);

/// Moments seen while a run is executed again.
#[derive(Debug, Default)]
pub struct Moments {
    begun: BTreeMap<(NodeId, JobId), (Time, &'static str)>,
    jobs: Vec<(NodeId, JobId, &'static str, Span)>,
    sent: BTreeMap<(NodeId, NodeId, u64), (Time, Lane)>,
    /// Of each directed pair.
    heard: BTreeMap<(NodeId, NodeId), Vec<Heard>>,
}

impl Moments {
    pub(super) fn job_begun(&mut self, node: NodeId, job: JobId, label: &'static str, now: Time) {
        self.begun.insert((node, job), (now, label));
    }

    /// A job that ended before its last step says nothing.
    pub(super) fn job_ended(&mut self, node: NodeId, job: JobId, now: Time, whole: bool) {
        if let Some((begun, label)) = self.begun.remove(&(node, job)).filter(|_| whole) {
            self.jobs.push((node, job, label, now.since(begun)));
        }
    }

    pub(super) fn sent(&mut self, from: NodeId, to: NodeId, number: u64, lane: Lane, now: Time) {
        self.sent.insert((from, to, number), (now, lane));
    }

    pub(super) fn received(&mut self, from: NodeId, to: NodeId, number: u64, now: Time) {
        if let Some((sent, lane)) = self.sent.remove(&(from, to, number)) {
            let beyond = i128::from(now.0) - i128::from(sent.0);
            self.heard.entry((from, to)).or_default().push((number, lane, beyond));
        }
    }

    /// The durations.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        let mut recorded = Recorded::default();
        let mut of_kind: BTreeMap<(NodeId, &'static str), Vec<u64>> = BTreeMap::new();
        for (node, job, label, took) in &self.jobs {
            recorded.jobs.insert((*node, *job), *took);
            of_kind.entry((*node, label)).or_default().push(took.0);
        }
        recorded.usual_jobs = of_kind.into_iter().map(|(kind, all)| (kind, median(all))).collect();
        for ((from, to), messages) in &self.heard {
            let ahead = self.ahead(*from, *to);
            let mut of_lane: BTreeMap<Lane, Vec<u64>> = BTreeMap::new();
            for (number, lane, beyond) in messages {
                let trip = u64::try_from((beyond - ahead).max(0)).unwrap_or(u64::MAX);
                recorded.trips.insert((*from, *to, *number), (*lane, Span(trip)));
                of_lane.entry(*lane).or_default().push(trip);
            }
            let usual = of_lane.into_iter().map(|(lane, all)| ((*from, *to, lane), median(all)));
            recorded.usual_trips.extend(usual);
        }
        recorded
    }

    /// How far the clock of `to` is ahead of that of `from`.
    fn ahead(&self, from: NodeId, to: NodeId) -> i128 {
        let least = |a, b| self.heard.get(&(a, b))?.iter().map(|message| message.2).min();
        match (least(from, to), least(to, from)) {
            (Some(there), Some(back)) => (there - back) / 2,
            // Nothing came back: the fastest is taken to have needed no time.
            (there, _) => there.unwrap_or(0),
        }
    }
}

fn median(mut all: Vec<u64>) -> Span {
    all.sort_unstable();
    Span(all.get(all.len() / 2).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trips_do_not_depend_on_how_far_clocks_are_apart() {
        let (a, b) = (NodeId(0), NodeId(1));
        let mut moments = Moments::default();
        // The clock of b is a second ahead; the fastest messages take 4 ms each way, one takes 9.
        let ms = 1_000_000;
        for (number, sent, took) in [(0, 10, 4), (1, 20, 9), (2, 40, 4)] {
            moments.sent(a, b, number, Lane::Model, Time(sent * ms));
            moments.received(a, b, number, Time((1_000 + sent + took) * ms));
        }
        moments.sent(b, a, 0, Lane::Control, Time(2_000 * ms));
        moments.received(b, a, 0, Time(1_004 * ms));
        let recorded = moments.recorded();
        let trip = |number| recorded.trip(a, b, number, Lane::Model);
        assert_eq!([trip(0), trip(1), trip(2)], [4, 9, 4].map(|took| Some(Span(took * ms))));
        assert_eq!(trip(77), Some(Span(4 * ms)), "the median");
        assert_eq!(recorded.trip(b, a, 0, Lane::Control), Some(Span(4 * ms)));
        assert_eq!(recorded.trip(b, a, 0, Lane::Model), None);
    }
}
