//! Learning-rate schedules: a factor on the local optimiser's learning rate for each step, by its position in a
//! node's own sequence of batches. One file and one row each; pure functions.

mod constant;
mod cosine;
mod linear;
mod log;
mod step;

use hcddl_core::domain::{Choice, OptionError, Row, Table};
use serde::Deserialize;
use std::sync::Arc;

/// A factor for each step.
pub trait Schedule: Send + Sync + std::fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// The factor of the step on batch `position` (from 0) of a node whose epoch has `epoch` batches.
    fn factor(&self, position: u64, epoch: u64) -> f64;
}

/// Makes a schedule from its options.
pub type BuildSchedule = fn(&Choice) -> Result<Arc<dyn Schedule>, OptionError>;

/// All schedules.
#[must_use]
pub fn table() -> Table<BuildSchedule> {
    Table::new("schedule", vec![constant::ROW, step::ROW, linear::ROW, cosine::ROW, log::ROW])
}

/// Always 1.
#[must_use]
pub fn constant() -> Arc<dyn Schedule> {
    Arc::new(constant::Constant {})
}

type ScheduleRow = Row<BuildSchedule>;

/// Options of a schedule that goes from 1 to `to`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Descent {
    /// Steps that it takes.
    over: Option<u64>,
    /// The same in passes over the node's shard.
    epochs: Option<u64>,
    /// The last factor.
    to: f64,
}

impl Descent {
    /// Reads the options and checks the length.
    fn read(choice: &Choice) -> Result<Self, OptionError> {
        let descent: Self = choice.options()?;
        check_length("over", descent.over, descent.epochs)?;
        Ok(descent)
    }

    /// Steps that it takes on a node whose epoch has so many batches.
    fn steps(&self, epoch: u64) -> u64 {
        length(self.over, self.epochs, epoch)
    }
}

/// One of the two, and not 0.
fn check_length(key: &str, steps: Option<u64>, epochs: Option<u64>) -> Result<(), OptionError> {
    match (steps, epochs) {
        (None, None) => {
            Err(OptionError::new(key, "no length is given", format!("`{key}` in steps, or `epochs`")))
        }
        (Some(_), Some(_)) => Err(OptionError::new(
            "epochs",
            format!("`{key}` is given too"),
            format!("one of {key} and epochs"),
        )),
        (Some(0), None) => Err(OptionError::new(key, "0 steps", "1 or more")),
        (None, Some(0)) => Err(OptionError::new("epochs", "0 epochs", "1 or more")),
        _ => Ok(()),
    }
}

fn length(steps: Option<u64>, epochs: Option<u64>, epoch: u64) -> u64 {
    steps.or(epochs.map(|epochs| epochs.saturating_mul(epoch))).unwrap_or(1).max(1)
}

/// Where a position lies between the first of `count` evenly spaced points (0) and the last (1), and 1 after it.
fn spaced(position: u64, count: u64) -> f64 {
    if position + 1 >= count { 1.0 } else { position as f64 / (count - 1) as f64 }
}

#[cfg(test)]
mod tests;
