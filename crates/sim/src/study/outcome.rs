//! What remains of a run: a line of finished.jsonl, from which every table is written.

use hcddl_core::domain::{NodeId, Time};
use hcddl_core::node::Reason;
use hcddl_plan::measure::outcome::Summary;
use serde::{Deserialize, Serialize};

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Its number in the study.
    pub run: u64,
    /// How it ended.
    pub status: Status,
    /// Why it ended.
    pub reason: String,
    /// Real seconds; the only thing here that differs from one execution to another.
    pub wall_time_s: f64,
    /// Its results; `None` of a failed run.
    pub summary: Option<Summary>,
    /// Its evaluations in order.
    pub curve: Vec<Point>,
    /// Updates by contributor and staleness.
    pub staleness: Vec<(String, u64, u64)>,
    /// Updates of each contributor, those without any included.
    pub participation: Vec<(String, u64)>,
    /// The final model's class of each test sample, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As configured.
    Finished,
    /// Training could not go on; what was measured until then counts.
    Stalled,
    /// It could not be run.
    Failed,
}

impl Status {
    /// As the tables have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stalled => "stalled",
            Self::Failed => "failed",
        }
    }
}

/// An evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Version of the root, or round of the peers.
    pub version: u64,
    /// When.
    pub at: Time,
    /// Training jobs finished so far.
    pub updates: u64,
    /// Bytes sent so far.
    pub bytes: u64,
    /// Joules so far, idle included.
    pub energy_j: f64,
    /// Test accuracy.
    pub accuracy: Option<f64>,
    /// Mean test loss.
    pub loss: Option<f64>,
}

impl Finished {
    /// A run that could not be run.
    #[must_use]
    pub fn failed(run: u64, why: String) -> Self {
        Self {
            run,
            status: Status::Failed,
            reason: why,
            wall_time_s: 0.0,
            summary: None,
            curve: Vec::new(),
            staleness: Vec::new(),
            participation: Vec::new(),
            predictions: None,
        }
    }

    /// The same without what differs between executions.
    #[must_use]
    pub fn timeless(&self) -> Self {
        Self { wall_time_s: 0.0, ..self.clone() }
    }

    /// The first evaluation that reached the target.
    #[must_use]
    pub fn reached(&self, target: Option<f64>) -> Option<&Point> {
        let target = target?;
        self.curve.iter().find(|point| point.accuracy.is_some_and(|accuracy| accuracy >= target))
    }

    /// The highest accuracy of any evaluation.
    #[must_use]
    pub fn best_accuracy(&self) -> Option<f64> {
        self.curve.iter().filter_map(|point| point.accuracy).reduce(f64::max)
    }
}

/// A summary without what would fill the disk or is not the same everywhere.
#[must_use]
pub fn slim(summary: Summary) -> Summary {
    Summary {
        name: String::new(),
        metrics: Default::default(),
        energy_by_host_j: Default::default(),
        wall_time_s: 0.0,
        best: None,
        kernels: String::new(),
        ..summary
    }
}

/// Status and reason in words; `None` for an interrupted run, which did not end.
#[must_use]
pub fn ended(reason: &Reason) -> Option<(Status, String)> {
    Some(match reason {
        Reason::Rounds => (Status::Finished, "rounds".to_owned()),
        Reason::Target => (Status::Finished, "target".to_owned()),
        Reason::TimeLimit => (Status::Finished, "time limit".to_owned()),
        Reason::Stalled(why) | Reason::Failed(why) => (Status::Stalled, why.clone()),
        Reason::Interrupted => return None,
    })
}

/// A node and what it contributed, before names are known.
pub(super) type Counted = ((NodeId, u64), u64);
