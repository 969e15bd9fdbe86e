//! Devices and links of a deployed run as the sections `devices` and `network` of a scenario: distributions that are
//! fitted to what its nodes wrote down, on one clock; and how well they predict (`certificate`).

pub mod certificate;
mod devices;
mod distribution;
mod links;

use crate::deploy::trace::observed::Observed;
use hcddl_core::domain::Time;
use hcddl_plan::plan::Plan;
use serde_json::Value;

/// Which rounds something is taken from. A round ends with a commit of the root; the first one has the start in it and
/// counts nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// All but the first.
    All,
    /// Every other one, from the second.
    Fitted,
    /// Those between.
    HeldOut,
}

impl Rounds {
    /// Whether a round is among them, counted from 0.
    #[must_use]
    pub fn has(self, round: usize) -> bool {
        match self {
            Self::All => round > 0,
            Self::Fitted => round % 2 == 1,
            Self::HeldOut => round > 0 && round.is_multiple_of(2),
        }
    }
}

/// Where the latency of links is taken from: both have their merits, and which one predicts better a simulation tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyFrom {
    /// Signs of life and small messages, which show nothing else.
    Small,
    /// Large messages, in which is also what they waited for on their devices.
    Large,
}

/// What a run tells of its devices and links.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The section `devices`.
    pub devices: Value,
    /// The section `network`, without `contention`.
    pub network: Value,
    /// Deviation of the logarithm of the shares of transfers that met; `None` where too few did.
    pub unfairness: Option<f64>,
}

impl Profile {
    /// Fitted to what happened in some rounds of a run; `commits` are the moments at which they end.
    #[must_use]
    pub fn fit(
        plan: &Plan,
        observed: &Observed,
        commits: &[Time],
        rounds: Rounds,
        latency: LatencyFrom,
    ) -> Self {
        // A run without commits is one round.
        let of = |at: Time| commits.is_empty() || rounds.has(commits.partition_point(|end| *end <= at));
        let jobs: Vec<_> = observed.jobs.iter().filter(|job| of(job.begin)).collect();
        let messages: Vec<_> = observed.messages.iter().filter(|message| of(message.at)).collect();
        let pings: Vec<_> = observed.pings.iter().filter(|ping| of(ping.sent)).collect();
        let (network, unfairness) = links::section(plan, &messages, &pings, latency);
        Self { devices: devices::section(plan, &jobs), network, unfairness }
    }

    /// Its sections, with how transfers share.
    #[must_use]
    pub fn sections(&self, contention: &str) -> Value {
        let mut network = self.network.clone();
        network["contention"] = Value::from(contention);
        serde_json::json!({"devices": self.devices, "network": network})
    }

    /// The ways of sharing that are worth a try.
    #[must_use]
    pub fn contentions(&self) -> Vec<String> {
        // A share that is never more unequal than this is equal.
        let least = 0.01;
        let mut all = vec!["tcp".to_owned(), "fair_share".to_owned()];
        all.extend(
            self.unfairness
                .filter(|spread| *spread >= least)
                .map(|spread| format!("fair_share({spread:.3})")),
        );
        all.extend(["fair_share(0.35)", "fifo", "none"].map(str::to_owned));
        all
    }
}
