//! Simulations that a real run leads: see [`super::guide`].

use super::checkpoint::Checkpoint;
use super::conductor::Conductor;
use super::guide::{Gate, Guide, Kept, Recorded};
use super::run::{Parts, RunResult, initial_model};
use crate::run::RunError;
use crate::run::runner::Direct;
use hcddl_core::domain::NodeId;
use hcddl_learn::Learner;
use hcddl_plan::measure::outcome::{Observer, SimOptions};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Where a led simulation has come to.
pub enum Led {
    /// To its end.
    Ended(Box<RunResult>),
    /// To the event until which the order was to be kept.
    Reached(Box<Checkpoint>),
}

/// Runs a plan as a real run of it went: in its order, or with its durations, or both. The second value says how well
/// the order was kept.
///
/// # Errors
/// As [`super::run`].
pub fn lead(
    plan: &Plan,
    registry: &Registry,
    learner: &Arc<dyn Learner>,
    options: &SimOptions,
    observer: &mut dyn Observer,
    interrupt: Arc<AtomicBool>,
    guide: Guide,
) -> Result<(Led, Kept), RunError> {
    let started = Instant::now();
    let init = initial_model(plan, learner.as_ref());
    let until = guide.order.as_ref().and_then(|order| order.until);
    let parts = Parts { plan, registry, learner, options, observer, director: None, interrupt };
    block_on(async {
        let mut conductor = Conductor::assemble(parts, Direct::default(), &init)?;
        conductor.follow(guide.recorded);
        conductor.core.factory.deliver_over_streams();
        conductor.gate = guide.order.map(Gate::new);
        conductor.begin_run(&init).await?;
        conductor.conduct().await?;
        if let Some(kept) = conductor.kept.take().filter(|_| until.is_some()) {
            let checkpoint = conductor.snapshot().await?;
            return Ok((Led::Reached(Box::new(checkpoint)), kept));
        }
        let mut kept = Kept::default();
        if let Some(gate) = &mut conductor.gate {
            gate.judge();
            kept = std::mem::take(&mut gate.kept);
        }
        Ok((Led::Ended(Box::new(conductor.end(&init, started).await?)), kept))
    })
}

/// Goes on from the event that [`lead`] reached, with another plan for the same nodes: other policies, another
/// network, another end. The servers `changed` start anew with their models, as if they had been stopped and started
/// with the new settings at that moment; transfers under way begin anew.
///
/// # Errors
/// As [`super::run`].
#[allow(clippy::too_many_arguments)]
pub fn go_on(
    plan: &Plan,
    registry: &Registry,
    learner: &Arc<dyn Learner>,
    options: &SimOptions,
    observer: &mut dyn Observer,
    interrupt: Arc<AtomicBool>,
    from: Checkpoint,
    recorded: Option<Arc<Recorded>>,
    changed: &[NodeId],
) -> Result<RunResult, RunError> {
    let started = Instant::now();
    let init = initial_model(plan, learner.as_ref());
    let parts = Parts { plan, registry, learner, options, observer, director: None, interrupt };
    block_on(async {
        let mut conductor = Conductor::assemble(parts, Direct::default(), &init)?;
        conductor.follow(recorded);
        // Streams lose no message; where the other plan has some lost, nodes need its delivery.
        if !plan.network.reliable {
            conductor.core.factory.deliver_over_streams();
        }
        conductor.resume_elsewhere(from, changed).await?;
        conductor.conduct().await?;
        conductor.end(&init, started).await
    })
}

fn block_on<T>(future: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
    tokio::runtime::Builder::new_current_thread().build().map_err(RunError::Runtime)?.block_on(future)
}

impl Conductor<'_, Direct> {
    /// Nodes talk as they did in the deployment, and take as long, if that is known.
    fn follow(&mut self, recorded: Option<Arc<Recorded>>) {
        if let Some(recorded) = &recorded {
            self.compute.follow(&recorded.conditions.injections);
        }
        self.network.follow(recorded.clone());
        self.recorded = recorded;
    }
}
